"""Neighbour discovery where it is not as ARP is: who asks from nowhere, and messages that nobody may believe (RFC 4861 §7.1)."""

from ipaddress import IPv6Address

from scapy.layers.inet6 import (
    ICMPv6MLReport2,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6Unknown,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import Ether

from network import CLIENT, GATEWAY, LAN, ON_LINK, REAL1, Real, Socket, STRANGER, VIP, VIP_ON_LINK, WAN, here
from packets import (
    ALL_NODES,
    IS_ROUTER,
    IS_SOLICITED,
    OVERRIDES,
    advertisement,
    group_mac,
    group_of,
    host_is_at,
    solicitation,
    udp,
    who_has,
)
from scenario import six

SERVICE = Socket(VIP, 80)
SERVER = REAL1.at(8080)
LINK_LOCAL = "fe80::a4d"
OLD_MAC = "02:00:00:00:0b:99"


def services(lab):
    for vip in (VIP, VIP_ON_LINK):
        lab.service(Socket(vip, 80), "udp", "nat", [Real(SERVER if vip == VIP else REAL1.at(8081))])


def request(lab, number):
    """A client's datagram, and what the real server gets of it."""
    datagram = udp(b"datagram %d" % number)
    lab.arrives(WAN, GATEWAY, datagram.between(CLIENT, SERVICE), "forwarded_nat_in")
    lab.leaves(LAN, REAL1, datagram.between(CLIENT, SERVER, 63))


@six("discovery/duplicate-address/{target}", target=["own", "vip-on-link", "vip"])
def duplicate_address(lab, target):
    """Who tries an address of ours out, from nowhere (RFC 4862 §5.4), hears before all that it is taken."""
    services(lab)
    address = {"own": WAN.address, "vip-on-link": VIP_ON_LINK, "vip": VIP}[target]
    lab.arrives_frame(WAN, solicitation(STRANGER.mac, "::", address, option=False), "answered_nd")
    lab.leaves_frame(WAN, advertisement(WAN.mac, address))


@six("discovery/duplicate-address/of-another")
def others_address(lab):
    """Who tries out another address is left alone."""
    services(lab)
    lab.arrives_frame(WAN, solicitation(STRANGER.mac, "::", "192.0.2.98", option=False), "drop_nd_not_ours")


@six("discovery/asked-from-{source}", source=["global", "link-local"])
def asked(lab, source):
    """Who asks is answered where it asks from."""
    services(lab)
    asker = here(ON_LINK.address) if source == "global" else LINK_LOCAL
    for address in (WAN.address, VIP_ON_LINK, VIP):
        lab.arrives_frame(WAN, solicitation(ON_LINK.mac, asker, address), "answered_nd")
        flags = IS_ROUTER | IS_SOLICITED | OVERRIDES
        lab.leaves_frame(WAN, advertisement(WAN.mac, address, asker, ON_LINK.mac, flags))


@six("discovery/asked-directly/{option}", option=["with-its-mac", "without"])
def asked_directly(lab, option):
    """A solicitation to the address itself, by which a station finds out whether we are still there (RFC 4861 §7.3.3)."""
    services(lab)
    address = here(VIP_ON_LINK)
    question = solicitation(ON_LINK.mac, ON_LINK.address, address, address, WAN.mac, option=option != "without")
    lab.arrives_frame(WAN, question, "answered_nd")
    flags = IS_ROUTER | IS_SOLICITED | OVERRIDES
    lab.leaves_frame(WAN, advertisement(WAN.mac, address, here(ON_LINK.address), ON_LINK.mac, flags))


@six("discovery/unasked-of-nobody-known")
def unasked_of_nobody(lab):
    """An advertisement about a station that we have nothing to do with is not kept (RFC 4861 §7.2.5)."""
    services(lab)
    lab.arrives_frame(WAN, advertisement(STRANGER.mac, STRANGER.address, flags=OVERRIDES), "drop_nd_not_ours")


def moved(lab, flags, to=ALL_NODES, ether_target=None, outcome="learned_nd"):
    """The real server, known by its old MAC, tells of another one."""
    lab.config.neighbors.remove(REAL1)
    services(lab)
    lab.arrives_frame(LAN, who_has(OLD_MAC, REAL1.address, LAN.address), "answered_nd")
    asker = here(REAL1.address)
    lab.leaves_frame(LAN, advertisement(LAN.mac, LAN.address, asker, OLD_MAC, IS_ROUTER | IS_SOLICITED | OVERRIDES))
    lab.arrives_frame(LAN, advertisement(REAL1.mac, REAL1.address, to, ether_target, flags), outcome)


@six("discovery/moved-unasked")
def moved_unasked(lab):
    """A station that says unasked that it has another MAC is followed (RFC 4861 §7.2.6)."""
    moved(lab, OVERRIDES)
    request(lab, 0)


FAULTS = {
    "hop-limit-254": {"hops": 254},
    "hop-limit-1": {"hops": 1},
    "target-a-group": {"target": "ff02::1"},
    "target-nobody": {"target": "::"},
    "from-nowhere-with-a-mac": {"sender": "::"},
    "from-nowhere-to-one": {"sender": "::", "option": False, "to": "own", "ether_target": WAN.mac},
}


@six("discovery/malformed/solicitation-{fault}", fault=list(FAULTS))
def malformed_solicitation(lab, fault):
    """Solicitations that RFC 4861 §7.1.1 has a station discard."""
    services(lab)
    fields = {"sender": here(ON_LINK.address), "target": here(VIP_ON_LINK), **FAULTS[fault]}
    if fields.get("to") == "own":
        fields["to"] = here(VIP_ON_LINK)
    elif fields["target"] != here(VIP_ON_LINK):
        fields["to"] = group_of(VIP_ON_LINK)
    lab.arrives_frame(WAN, solicitation(ON_LINK.mac, **fields), "drop_nd_malformed")


ADVERTISEMENTS = {
    "hop-limit-254": {"hops": 254},
    "target-a-group": {"target": "ff02::1", "source": "2001:db8:10::b"},
    "solicited-to-all": {"flags": IS_SOLICITED | OVERRIDES},
}


@six("discovery/malformed/advertisement-{fault}", fault=list(ADVERTISEMENTS))
def malformed_advertisement(lab, fault):
    """Advertisements that RFC 4861 §7.1.2 has a station discard, of one that is asked for: the packet waits on."""
    lab.config.neighbors.remove(REAL1)
    services(lab)
    request(lab, 0)
    lab.said["lan"].insert(0, lab.said["lan"].pop())
    asked = lab.said["lan"].pop()
    lab.leaves_frame(LAN, who_has(LAN.mac, LAN.address, REAL1.address))
    fields = {"target": here(REAL1.address), "flags": OVERRIDES, **ADVERTISEMENTS[fault]}
    lab.arrives_frame(LAN, advertisement(OLD_MAC, **fields), "drop_nd_malformed")
    lab.arrives_frame(LAN, host_is_at(REAL1.mac, REAL1.address, LAN.mac, LAN.address), "learned_nd")
    lab.said["lan"].append(asked)


OPTIONS = {"length-0": b"\x01\0" + bytes(6), "beyond": b"\x01\x02" + bytes(6), "half": b"\x01", "of-a-group": b"\x01\x01\x01\0\x5e\0\0\x01"}


@six("discovery/malformed/option-{kind}", kind=list(OPTIONS))
def malformed_option(lab, kind):
    """Options without a length (RFC 4861 §4.6), longer than the message, or with an Ethernet address that no station has."""
    services(lab)
    target = here(VIP_ON_LINK)
    group = group_of(target)
    message = ICMPv6ND_NS(tgt=target) / OPTIONS[kind]
    packet = IPv6(src=here(ON_LINK.address), dst=group, hlim=255) / message
    lab.arrives_frame(WAN, bytes(Ether(src=ON_LINK.mac, dst=group_mac(group)) / packet), "drop_nd_malformed")


@six("discovery/malformed/truncated-{octets}", octets=[8, 23])
def truncated(lab, octets):
    """A message that ends before its target does."""
    services(lab)
    group = group_of(VIP_ON_LINK)
    message = ICMPv6Unknown(type=135, msgbody=(bytes(4) + IPv6Address(here(VIP_ON_LINK)).packed)[: octets - 4])
    packet = IPv6(src=here(ON_LINK.address), dst=group, hlim=255, nh=58) / message
    lab.arrives_frame(WAN, bytes(Ether(src=ON_LINK.mac, dst=group_mac(group)) / packet), "drop_ip_group")


@six("discovery/malformed/fragmented")
def fragmented(lab):
    """A message in a fragment, also in one that is the whole packet, is not believed (RFC 6980 §5)."""
    services(lab)
    target = here(VIP_ON_LINK)
    group = group_of(target)
    whole = IPv6(solicitation(ON_LINK.mac, ON_LINK.address, target)[14:])
    packet = IPv6(src=whole.src, dst=whole.dst, hlim=255, nh=44) / IPv6ExtHdrFragment(nh=58, id=7) / bytes(whole.payload)
    lab.arrives_frame(WAN, bytes(Ether(src=ON_LINK.mac, dst=group_mac(group)) / packet), "drop_nd_malformed")


@six("discovery/wrong-checksum")
def wrong_checksum(lab):
    """A damaged message says nothing."""
    services(lab)
    hurt = bytearray(solicitation(ON_LINK.mac, ON_LINK.address, VIP_ON_LINK))
    hurt[-1] ^= 1
    lab.arrives_frame(WAN, bytes(hurt), "drop_ip_group")


@six("discovery/routers")
def routers(lab):
    """What routers and hosts tell each other is not the director's: it takes its routes from the configuration or the host."""
    services(lab)
    source = IPv6(src="fe80::1", dst=ALL_NODES, hlim=255)
    for message in (ICMPv6ND_RS(), ICMPv6ND_RA(), ICMPv6ND_Redirect(tgt="fe80::1", dst=here(CLIENT.address))):
        packet = source / message / ICMPv6NDOptSrcLLAddr(lladdr=GATEWAY.mac)
        lab.arrives_frame(WAN, bytes(Ether(src=GATEWAY.mac, dst=group_mac(ALL_NODES)) / packet), "drop_nd_malformed")


@six("discovery/listeners")
def listeners(lab):
    """Reports about groups (RFC 3810) concern routers of groups."""
    services(lab)
    packet = IPv6(src="fe80::1", dst="ff02::16", hlim=1) / ICMPv6MLReport2()
    lab.arrives_frame(WAN, bytes(Ether(src=GATEWAY.mac, dst=group_mac("ff02::16")) / packet), "drop_ip_group")


@six("discovery/static-stays")
def static_stays(lab):
    """What somebody says does not change an address set by hand."""
    services(lab)
    lab.arrives_frame(LAN, advertisement(OLD_MAC, REAL1.address, flags=OVERRIDES), "drop_nd_not_ours")
    request(lab, 0)
