"""Packets that end badly at the IPv6 header. Nothing leaves, and each is counted by its reason."""

from scapy.packet import Raw

from network import BROADCAST, CLIENT, GATEWAY, LAN, REAL1, Real, Socket, VIP, WAN, here
from packets import frame, group_mac, ip_header, opener, pattern, tcp, udp
from scenario import six

SERVICE = Socket(VIP, 80)


def listening(lab):
    """Services that would take the packet if it were whole."""
    for protocol in ("tcp", "udp", "sctp"):
        lab.service(SERVICE, protocol, "nat", [Real(REAL1.at(8080))])


def dropped(lab, packet, outcome):
    lab.arrives(WAN, GATEWAY, bytes(packet), outcome)


def whole():
    """Returns the octets of a good packet."""
    return bytearray(bytes(tcp("S").between(CLIENT, SERVICE)))


@six("malformed/truncated-{octets}", octets=[1, 20, 39])
def truncated(lab, octets):
    """Frames that end inside the IPv6 header."""
    listening(lab)
    dropped(lab, whole()[:octets], "drop_truncated")


@six("malformed/version-{version}", version=[0, 4, 5, 7, 15])
def version(lab, version):
    """A version other than 6 behind the EtherType of IPv6."""
    listening(lab)
    octets = whole()
    octets[0] = version << 4
    dropped(lab, octets, "drop_ip_version")


@six("malformed/ethertype-of-ipv4")
def other_ethertype(lab):
    """An IPv6 packet behind the EtherType of IPv4."""
    listening(lab)
    octets = bytearray(frame(GATEWAY.mac, WAN.mac, bytes(whole())))
    octets[12:14] = b"\x08\0"
    lab.arrives_frame(WAN, octets, "drop_ip_version")


@six("malformed/payload-length-{octets}", octets=[21, 1500, 65535])
def payload_length(lab, octets):
    """A payload length beyond the frame."""
    listening(lab)
    changed = whole()
    changed[4:6] = octets.to_bytes(2, "big")
    dropped(lab, changed, "drop_ip_total_length")


@six("malformed/payload-length-within-{header}", header=["tcp", "udp", "sctp"])
def payload_length_within(lab, header):
    """A payload length that cuts the transport header, though the frame holds it."""
    listening(lab)
    octets = bytearray(bytes(opener(header).between(CLIENT, SERVICE)))
    octets[4:6] = b"\0\x07"
    outcome = {"tcp": "drop_tcp_header", "udp": "drop_udp_length", "sctp": "drop_sctp_header"}
    dropped(lab, octets, outcome[header])


@six("malformed/cut-{missing}-short", missing=[1, 4, 20])
def cut_short(lab, missing):
    """A whole header, but the frame ends before the packet does."""
    listening(lab)
    dropped(lab, whole()[:-missing], "drop_ip_total_length")


@six("malformed/empty")
def empty(lab):
    """A header and nothing behind it; a jumbogram's length (RFC 2675) is 0 too."""
    listening(lab)
    for number, outcome in ((6, "drop_tcp_header"), (17, "drop_udp_length"), (132, "drop_sctp_header"), (58, "drop_icmp_malformed")):
        dropped(lab, ip_header(CLIENT.address, VIP, protocol=number), outcome)


SOURCES = {
    "unspecified": "::",
    "loopback": "::1",
    "all-nodes": "ff02::1",
    "group": "ff0e::1:2",
    "mapped": "::ffff:198.51.100.7",
    "compatible": "::198.51.100.7",
    "own": WAN.address,
    "own-of-another-port": LAN.address,
    "vip": VIP,
}


@six("malformed/source-{kind}", kind=list(SOURCES))
def martian_source(lab, kind):
    """Source addresses that no sender may have (RFC 4291 §2.5, §2.7), our own included."""
    listening(lab)
    for protocol in ("tcp", "udp", "sctp"):
        dropped(lab, opener(protocol).between(Socket(SOURCES[kind], 40000), SERVICE), "drop_ip_source")


TARGETS = {
    "all-nodes": "ff02::1",
    "all-routers": "ff02::2",
    "group": "ff0e::1:2",
    "loopback": "::1",
    "unspecified": "::",
    "mapped": "::ffff:203.0.113.10",
}


@six("malformed/target-{kind}", kind=list(TARGETS))
def group_target(lab, kind):
    """Destinations that are groups, or nobody's outside a host."""
    listening(lab)
    for protocol in ("tcp", "udp", "sctp"):
        dropped(lab, opener(protocol).between(CLIENT, Socket(TARGETS[kind], 80)), "drop_ip_group")


@six("malformed/in-group-frame-{kind}", kind=["all-nodes", "broadcast", "group-of-the-vip"])
def unicast_in_group_frame(lab, kind):
    """A packet to the VIP in a frame to a group is not forwarded."""
    listening(lab)
    low = here(VIP).rpartition(":")[2]
    target = {"all-nodes": group_mac("ff02::1"), "broadcast": BROADCAST, "group-of-the-vip": group_mac(f"ff02::1:ff00:{low}")}
    for datagram in (tcp("S"), udp(b"hello")):
        lab.arrives_frame(WAN, frame(GATEWAY.mac, target[kind], datagram.between(CLIENT, SERVICE)), "drop_ip_group")


@six("malformed/subnet-router-anycast")
def anycast(lab):
    """The address of all routers of a subnet (RFC 4291 §2.6.1) is nobody here."""
    listening(lab)
    dropped(lab, udp(b"hello").between(CLIENT, Socket("2001:db8:192:0:2::", 80)), "drop_not_for_us")


@six("malformed/protocol-{number}", number=[1, 2, 4, 41, 47, 50, 59, 136, 255])
def protocol(lab, number):
    """Protocols that are not balanced, to a VIP: IPv4's ICMP, tunnels, ESP, UDP-Lite and the like."""
    listening(lab)
    dropped(lab, ip_header(CLIENT.address, VIP, protocol=number) / Raw(pattern(40)), "drop_protocol")


@six("malformed/nothing-sticks")
def nothing_sticks(lab):
    """A good packet behind a bad one, in the same burst, is forwarded as if the bad one had not been there."""
    listening(lab)
    good = tcp("S")
    bad = whole()
    bad[0] = 0x50
    for _ in range(3):
        dropped(lab, bad, "drop_ip_version")
        lab.arrives(WAN, GATEWAY, good.between(CLIENT, SERVICE), "forwarded_nat_in")
        lab.leaves(LAN, REAL1, good.between(CLIENT, REAL1.at(8080), 63))


@six("malformed/mixed-with-ipv4")
def both_at_once(lab):
    """Packets of both families in one burst do not disturb each other."""
    listening(lab)
    lab.config.families = (4, 6)
    six_packet = tcp("S")
    for number in range(3):
        lab.arrives(WAN, GATEWAY, six_packet.between(CLIENT, SERVICE), "forwarded_nat_in")
        lab.leaves(LAN, REAL1, six_packet.between(CLIENT, REAL1.at(8080), 63))
        lab.arrives_frame(WAN, frame(GATEWAY.mac, WAN.mac, bytes(whole()[: 30 + number])), "drop_truncated")
