"""Packets that end badly at the IPv4 header. Nothing leaves, and each is counted by its reason."""

from scapy.layers.inet import IP, IPOption

from network import CLIENT, GATEWAY, LAN, REAL1, Real, Socket, VIP, WAN
from packets import frame, opener, pattern, tcp, udp
from scenario import cases

SERVICE = Socket(VIP, 80)


def listening(lab):
    """Services that would take the packet if it were whole."""
    for protocol in ("tcp", "udp", "sctp"):
        lab.service(SERVICE, protocol, "nat", [Real(REAL1.at(8080))])


def dropped(lab, packet, outcome):
    lab.arrives(WAN, GATEWAY, packet, outcome)


@cases("malformed/ipv4/truncated-{octets}", octets=[1, 10, 19])
def truncated(lab, octets):
    """Frames that end inside the IPv4 header."""
    listening(lab)
    dropped(lab, bytes(tcp("S").between(CLIENT, SERVICE))[:octets], "drop_truncated")


@cases("malformed/ipv4/version-{version}", version=[0, 3, 5, 6, 15])
def version(lab, version):
    """A version other than 4 behind the EtherType of IPv4."""
    listening(lab)
    dropped(lab, tcp("S").between(CLIENT, SERVICE, version=version), "drop_ip_version")


@cases("malformed/ipv4/ihl-{words}", words=[0, 1, 4])
def header_too_short(lab, words):
    """A header length below five words."""
    listening(lab)
    dropped(lab, tcp("S").between(CLIENT, SERVICE, ihl=words), "drop_ip_header_length")


@cases("malformed/ipv4/ihl-beyond-{what}", what=["packet", "frame"])
def header_too_long(lab, what):
    """A header length beyond the frame, or one that the total length has no room for."""
    listening(lab)
    packet = bytes(udp(b"1234").between(CLIENT, SERVICE, ihl=15))
    if what == "frame":
        dropped(lab, packet, "drop_ip_header_length")
    else:
        dropped(lab, packet + bytes(100), "drop_ip_total_length")


@cases("malformed/ipv4/total-length-{octets}", octets=[0, 19, 41, 1500, 65535])
def total_length(lab, octets):
    """A total length below the header's, or beyond the frame."""
    listening(lab)
    dropped(lab, tcp("S").between(CLIENT, SERVICE, len=octets), "drop_ip_total_length")


@cases("malformed/ipv4/total-length-within-options")
def total_length_within_options(lab):
    """A total length that ends inside the options."""
    listening(lab)
    packet = udp(b"1234").between(CLIENT, SERVICE, options=IPOption(b"\x94\x04\x00\x00"), len=22)
    dropped(lab, packet, "drop_ip_total_length")


@cases("malformed/ipv4/cut-{missing}-short", missing=[1, 4, 20])
def cut_short(lab, missing):
    """A whole header, but the frame ends before the packet does."""
    listening(lab)
    dropped(lab, bytes(tcp("S").between(CLIENT, SERVICE))[:-missing], "drop_ip_total_length")


@cases("malformed/ipv4/checksum-{kind}", kind=["one-bit", "zero", "swapped", "options"])
def checksum(lab, kind):
    """A wrong header checksum: one bit, none at all, octets swapped, and an error that only the options show."""
    listening(lab)
    packet = tcp("S").between(CLIENT, SERVICE)
    octets = bytearray(bytes(packet))
    if kind == "one-bit":
        octets[10] ^= 0x10
    elif kind == "zero":
        octets[10:12] = b"\0\0"
    elif kind == "swapped":
        octets[10], octets[11] = octets[11], octets[10]
    else:
        octets = bytearray(bytes(tcp("S").between(CLIENT, SERVICE, options=IPOption(b"\x94\x04\x00\x00"))))
        octets[23] ^= 1
    dropped(lab, bytes(octets), "drop_ip_checksum")


SOURCES = {
    "zero": "0.0.0.0",
    "zero-net": "0.1.2.3",
    "loopback": "127.0.0.1",
    "multicast": "224.0.0.1",
    "multicast-high": "239.255.255.255",
    "broadcast": "255.255.255.255",
    "reserved": "250.1.2.3",
    "own": WAN.address,
    "own-of-another-port": LAN.address,
    "vip": VIP,
}


@cases("malformed/ipv4/source-{kind}", kind=list(SOURCES))
def martian_source(lab, kind):
    """Source addresses that no sender may have (RFC 1812 §5.3.7), our own included."""
    listening(lab)
    for protocol in ("tcp", "udp"):
        dropped(lab, opener(protocol).between(Socket(SOURCES[kind], 40000), SERVICE), "drop_ip_source")


TARGETS = {
    "all-hosts": "224.0.0.1",
    "multicast": "239.1.2.3",
    "broadcast": "255.255.255.255",
    "loopback": "127.0.0.1",
    "reserved": "250.1.2.3",
    "zero": "0.0.0.0",
}


@cases("malformed/ipv4/target-{kind}", kind=list(TARGETS))
def group_target(lab, kind):
    """Destinations that are groups, or nobody's outside a host."""
    listening(lab)
    dropped(lab, udp(b"hello").between(CLIENT, Socket(TARGETS[kind], 80)), "drop_ip_group")


@cases("malformed/ipv4/target-subnet-broadcast")
def directed_broadcast(lab):
    """A subnet's broadcast address, in a unicast frame, is simply nobody here (RFC 2644: not forwarded)."""
    listening(lab)
    dropped(lab, udp(b"hello").between(CLIENT, Socket("192.0.2.255", 80)), "drop_not_for_us")


@cases("malformed/ipv4/protocol-{number}", number=[0, 2, 4, 41, 47, 50, 58, 136, 255])
def protocol(lab, number):
    """Protocols that are not balanced, to a VIP: IGMP, tunnels, ESP, UDP-Lite and the like."""
    listening(lab)
    packet = IP(src=CLIENT.address, dst=VIP, proto=number) / pattern(40)
    dropped(lab, packet, "drop_protocol")


@cases("malformed/ipv4/empty")
def empty(lab):
    """A header and nothing behind it."""
    listening(lab)
    dropped(lab, IP(src=CLIENT.address, dst=VIP, proto=6), "drop_tcp_header")
    dropped(lab, IP(src=CLIENT.address, dst=VIP, proto=17), "drop_udp_length")
    dropped(lab, IP(src=CLIENT.address, dst=VIP, proto=132), "drop_sctp_header")
    dropped(lab, IP(src=CLIENT.address, dst=VIP, proto=1), "drop_icmp_malformed")


@cases("malformed/ipv4/nothing-sticks")
def nothing_sticks(lab):
    """A good packet behind a bad one, in the same burst, is forwarded as if the bad one had not been there."""
    listening(lab)
    good = tcp("S")
    bad = bytes(good.between(CLIENT, SERVICE, version=5))
    for _ in range(3):
        lab.arrives_frame(WAN, frame(GATEWAY.mac, WAN.mac, bad), "drop_ip_version")
        lab.arrives(WAN, GATEWAY, good.between(CLIENT, SERVICE), "forwarded_nat_in")
        lab.leaves(LAN, REAL1, good.between(CLIENT, REAL1.at(8080), 63))
