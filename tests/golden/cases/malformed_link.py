"""Frames that end badly at the Ethernet or ARP header. Nothing leaves, and each is counted by its reason."""

from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from network import BROADCAST, CLIENT, GATEWAY, ON_LINK, REAL1, Real, Socket, VIP, WAN
from packets import arp_request, frame, pattern, tcp, udp
from scenario import cases

SERVICE = Socket(VIP, 80)
MULTICAST = "01:00:5e:00:00:01"


def listening(lab):
    """Services that would take the frame if it were whole."""
    for protocol in ("tcp", "udp"):
        lab.service(SERVICE, protocol, "nat", [Real(REAL1.at(8080))])


def dropped(lab, octets, outcome, port=WAN):
    lab.arrives_frame(port, octets, outcome)


def good_frame(source=GATEWAY.mac, target=WAN.mac):
    return frame(source, target, tcp("S").between(CLIENT, SERVICE))


@cases("malformed/ethernet/runt-{octets}", octets=[1, 6, 12, 13, 14])
def runt(lab, octets):
    """Frames that end inside the Ethernet header, or right behind it."""
    listening(lab)
    dropped(lab, good_frame()[:octets], "drop_truncated")


@cases("malformed/ethernet/other-station")
def other_station(lab):
    """A frame to another station's address, which a hub or a flooding switch shows us."""
    listening(lab)
    for target in (REAL1.mac, "02:00:00:00:00:03"):
        dropped(lab, good_frame(target=target), "drop_other_station")


@cases("malformed/ethernet/group-source-{kind}", kind=["multicast", "broadcast"])
def group_source(lab, kind):
    """No station may send from a group address (IEEE 802.3 §3.2.3)."""
    listening(lab)
    source = MULTICAST if kind == "multicast" else BROADCAST
    dropped(lab, good_frame(source=source), "drop_bad_source")
    question = arp_request(ON_LINK.mac, ON_LINK.address, WAN.address)
    dropped(lab, question[:6] + bytes.fromhex(source.replace(":", "")) + question[12:], "drop_bad_source")


@cases("malformed/ethernet/{kind}", kind=["vlan", "two-vlans", "802.3-length", "mpls", "lldp"])
def other_ethertype(lab, kind):
    """EtherTypes other than IPv4, IPv6 and ARP: tags and switches' own talk included."""
    listening(lab)
    ether = Ether(src=GATEWAY.mac, dst=WAN.mac)
    packet = tcp("S").between(CLIENT, SERVICE)
    octets = {
        "vlan": ether / Dot1Q(vlan=100) / packet,
        "two-vlans": ether / Dot1Q(vlan=100) / Dot1Q(vlan=7) / packet,
        "802.3-length": bytes(Ether(src=GATEWAY.mac, dst=WAN.mac, type=46)) + pattern(46),
        "mpls": bytes(Ether(src=GATEWAY.mac, dst=WAN.mac, type=0x8847)) + bytes(packet),
        "lldp": bytes(Ether(src=GATEWAY.mac, dst=WAN.mac, type=0x88CC)) + pattern(46),
    }[kind]
    dropped(lab, bytes(octets), "drop_ethertype")


@cases("malformed/ethernet/ipv6-{kind}", kind=["to-nobody-here", "cut-short"])
def ipv6(lab, kind):
    """IPv6 is read where there is none but IPv4: whole, it is for nobody here."""
    listening(lab)
    octets = bytes(Ether(src=GATEWAY.mac, dst=WAN.mac) / IPv6(src="2001:db8::7", dst="2001:db8::10") / UDP(sport=9, dport=80))
    whole = kind == "to-nobody-here"
    dropped(lab, octets if whole else octets[:20], "drop_not_for_us" if whole else "drop_truncated")


@cases("malformed/ethernet/ipv4-to-group-{kind}", kind=["multicast", "broadcast"])
def unicast_in_group_frame(lab, kind):
    """A unicast packet in a broadcast or multicast frame is not forwarded (RFC 1812 §5.3.4)."""
    listening(lab)
    dropped(lab, good_frame(target=MULTICAST if kind == "multicast" else BROADCAST), "drop_ip_group")


@cases("malformed/ethernet/jumbo")
def jumbo(lab):
    """A frame larger than one buffer comes in several segments and is not taken."""
    listening(lab)
    dropped(lab, frame(GATEWAY.mac, WAN.mac, udp(pattern(8000)).between(CLIENT, SERVICE)), "drop_segmented")


def arp_frame(**fields):
    """An ARP request for the WAN port's address, with some fields wrong."""
    asked = {"op": 1, "hwsrc": ON_LINK.mac, "psrc": ON_LINK.address, "pdst": WAN.address, **fields}
    return bytes(Ether(src=ON_LINK.mac, dst=BROADCAST, type=0x0806) / ARP(**asked))


ARP_FAULTS = {
    "hardware-type": {"hwtype": 6},
    "protocol-type": {"ptype": 0x86DD},
    "hardware-length": {"hwlen": 8, "hwsrc": ON_LINK.mac, "hwdst": "00:00:00:00:00:00"},
    "protocol-length": {"plen": 16},
    "operation-0": {"op": 0},
    "operation-3": {"op": 3},
    "group-sender-mac": {"hwsrc": MULTICAST},
    "group-sender-address": {"psrc": "224.0.0.1"},
    "broadcast-sender-address": {"psrc": "255.255.255.255"},
}


@cases("malformed/arp/{fault}", fault=list(ARP_FAULTS))
def arp_fields(lab, fault):
    """ARP messages of another shape than RFC 826's for IPv4 over Ethernet, or from addresses that nobody has."""
    listening(lab)
    octets = bytearray(arp_frame(**{k: v for k, v in ARP_FAULTS[fault].items() if k not in ("hwlen", "plen")}))
    octets[18] = ARP_FAULTS[fault].get("hwlen", 6)
    octets[19] = ARP_FAULTS[fault].get("plen", 4)
    dropped(lab, bytes(octets), "drop_arp_malformed")


@cases("malformed/arp/truncated-{octets}", octets=[15, 22, 28, 41])
def arp_truncated(lab, octets):
    """ARP messages that end early."""
    listening(lab)
    dropped(lab, arp_frame()[:octets], "drop_arp_malformed")
