"""Packets that end badly at the TCP, UDP, SCTP or ICMP header. Nothing leaves, and each is counted by its reason."""

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded
from scapy.packet import Raw

from network import CLIENT, GATEWAY, LAN, REAL1, Real, Socket, VIP, WAN
from packets import cookie_echo, data_chunk, dissect, echo, ip_header, ones_complement_sum, opener, pattern, sctp, tcp, udp
from scenario import both, cases, six

SERVICE = Socket(VIP, 80)


def listening(lab):
    """Services that would take the packet if it were whole."""
    for protocol in ("tcp", "udp", "sctp"):
        lab.service(SERVICE, protocol, "nat", [Real(REAL1.at(8080))])


def dropped(lab, packet, outcome):
    lab.arrives(WAN, GATEWAY, packet, outcome)


def cut(packet, octets, protocol):
    """Returns an IP packet, right in itself, that carries only the first `octets` of the transport."""
    return ip_header(CLIENT.address, VIP, protocol=protocol) / Raw(bytes(packet.payload)[:octets])


@both("malformed/tcp/truncated-{octets}", octets=[0, 3, 4, 8, 13, 19])
def tcp_truncated(lab, octets):
    """A TCP header that does not fit into the packet."""
    listening(lab)
    dropped(lab, cut(dissect(tcp("S").between(CLIENT, SERVICE)), octets, 6), "drop_tcp_header")


@both("malformed/tcp/data-offset-{words}", words=[0, 1, 4])
def tcp_offset_too_small(lab, words):
    """A data offset below five words."""
    listening(lab)
    dropped(lab, tcp("S", dataofs=words).between(CLIENT, SERVICE), "drop_tcp_header")


@both("malformed/tcp/data-offset-beyond-by-{words}", words=[1, 10])
def tcp_offset_too_large(lab, words):
    """A data offset beyond the packet; the octets of the Ethernet padding do not count."""
    listening(lab)
    lab.arrives(WAN, GATEWAY, tcp("S", dataofs=5 + words).between(CLIENT, SERVICE), "drop_tcp_header", pad=True)


@both("malformed/udp/truncated-{octets}", octets=[0, 3, 4, 7])
def udp_truncated(lab, octets):
    """A UDP header that does not fit into the packet."""
    listening(lab)
    dropped(lab, cut(dissect(udp(b"data").between(CLIENT, SERVICE)), octets, 17), "drop_udp_length")


@both("malformed/udp/length-{octets}", octets=[0, 1, 7, 13, 65535])
def udp_length(lab, octets):
    """A UDP length below its header's, or beyond the packet."""
    listening(lab)
    dropped(lab, udp(b"data", len=octets).between(CLIENT, SERVICE), "drop_udp_length")


@both("malformed/udp/length-beyond-into-padding")
def udp_length_into_padding(lab):
    """A UDP length that only the Ethernet padding would fill."""
    listening(lab)
    lab.arrives(WAN, GATEWAY, udp(b"data", len=20).between(CLIENT, SERVICE), "drop_udp_length", pad=True)


@both("malformed/sctp/truncated-{octets}", octets=[0, 4, 11, 12, 13, 15])
def sctp_truncated(lab, octets):
    """An SCTP header that does not fit into the packet, or no chunk behind it, or not all of a chunk's header."""
    listening(lab)
    dropped(lab, cut(dissect(opener("sctp").between(CLIENT, SERVICE)), octets, 132), "drop_sctp_header")


@both("malformed/sctp/chunk-cut-by-{octets}", octets=[1, 4, 16])
def sctp_chunk_cut(lab, octets):
    """A first chunk that the packet does not hold; the octets of the Ethernet padding do not count."""
    listening(lab)
    packet = cut(dissect(opener("sctp").between(CLIENT, SERVICE)), 32 - octets, 132)
    lab.arrives(WAN, GATEWAY, packet, "drop_sctp_header", pad=True)


@both("malformed/sctp/chunk-length-{octets}", octets=[0, 1, 3, 21, 65535])
def sctp_chunk_length(lab, octets):
    """A chunk's length below its header's, or beyond the packet."""
    listening(lab)
    chunk = b"\x01\0" + octets.to_bytes(2, "big") + pattern(16)
    dropped(lab, sctp(chunk).between(CLIENT, SERVICE), "drop_sctp_header")


@both("malformed/sctp/bundled-length-{octets}", octets=[0, 3, 5])
def sctp_bundled_length(lab, octets):
    """A chunk behind a cookie, which may be an ABORT, is looked at likewise."""
    listening(lab)
    bundled = b"\x06\0" + octets.to_bytes(2, "big")
    dropped(lab, sctp(bytes(cookie_echo()) + bundled).between(CLIENT, SERVICE), "drop_sctp_header")


@both("sctp/last-padding-missing")
def sctp_without_padding(lab):
    """The padding of the last chunk (RFC 9260 §3.2) is not missed."""
    listening(lab)
    for packet in (opener("sctp"), sctp(bytes(data_chunk(pattern(5)))[:-3])):
        lab.arrives(WAN, GATEWAY, packet.between(CLIENT, SERVICE), "forwarded_nat_in")
        lab.leaves(LAN, REAL1, packet.between(CLIENT, REAL1.at(8080), 63))


@both("malformed/{protocol}/port-0-{side}", protocol=["tcp", "udp", "sctp"], side=["source", "target", "both"])
def port_zero(lab, protocol, side):
    """Port 0 is nobody's."""
    listening(lab)
    source = Socket(CLIENT.address, 0) if side in ("source", "both") else CLIENT
    target = Socket(VIP, 0) if side in ("target", "both") else SERVICE
    datagram = opener(protocol)
    dropped(lab, datagram.between(source, target), "drop_port_zero")


@both("malformed/{protocol}/reply-from-port-0", protocol=["tcp", "udp", "sctp"])
def reply_from_port_zero(lab, protocol):
    """A real server's packet from port 0, likewise."""
    listening(lab)
    datagram = tcp("SA") if protocol == "tcp" else opener(protocol)
    lab.arrives(LAN, REAL1, datagram.between(REAL1.at(0), CLIENT), "drop_port_zero")


@cases("malformed/icmp/truncated-{octets}", octets=[0, 1, 3, 7])
def icmp_truncated(lab, octets):
    """An ICMP message below eight octets."""
    listening(lab)
    dropped(lab, cut(dissect(echo(CLIENT.address, VIP, b"ping")), octets, 1), "drop_icmp_malformed")


@cases("malformed/icmp/checksum-{kind}", kind=["zero", "one-bit", "data", "last-odd-octet"])
def icmp_checksum(lab, kind):
    """A wrong ICMP checksum: none, one bit of it, and errors in the data, in an odd last octet too."""
    listening(lab)
    octets = bytearray(bytes(echo(CLIENT.address, VIP, pattern(33))))
    if kind == "zero":
        octets[22:24] = b"\0\0"
    else:
        octets[{"one-bit": 23, "data": 40, "last-odd-octet": len(octets) - 1}[kind]] ^= 1
    dropped(lab, bytes(octets), "drop_icmp_malformed")


@cases("malformed/icmp/error-{kind}", kind=["unreachable", "time-exceeded", "without-quote"])
def icmp_errors(lab, kind):
    """An ICMP error about no connection goes nowhere, and one that quotes nothing neither."""
    listening(lab)
    quote = bytes(tcp("A").between(SERVICE, CLIENT))[:28]
    icmp = {"unreachable": ICMP(type=3, code=1), "time-exceeded": ICMP(type=11), "without-quote": ICMP(type=3)}[kind]
    packet = IP(src=CLIENT.address, dst=VIP) / icmp / (b"" if kind == "without-quote" else quote)
    dropped(lab, packet, "drop_icmp_quote" if kind == "without-quote" else "drop_icmp_no_connection")


@both("udp/trailing-octets")
def udp_shorter_than_packet(lab):
    """A UDP length that leaves octets of the packet over is allowed: they travel along, outside the checksum."""
    listening(lab)
    tail = b"left over"
    question, onward = (
        ip_header(CLIENT.address, target.address, ttl, protocol=17)
        / Raw(bytes(dissect(udp(b"data").between(CLIENT, target)).payload) + tail)
        for target, ttl in ((SERVICE, 64), (REAL1.at(8080), 63))
    )
    lab.arrives(WAN, GATEWAY, question, "forwarded_nat_in")
    lab.leaves(LAN, REAL1, onward)


@six("malformed/icmpv6/truncated-{octets}", octets=[0, 1, 3, 7])
def icmpv6_truncated(lab, octets):
    """An ICMPv6 message below eight octets."""
    listening(lab)
    dropped(lab, cut(dissect(echo(CLIENT.address, VIP, b"ping")), octets, 58), "drop_icmp_malformed")


@six("malformed/icmpv6/checksum-{kind}", kind=["zero", "one-bit", "data", "last-odd-octet", "without-addresses"])
def icmpv6_checksum(lab, kind):
    """A wrong ICMPv6 checksum: also one that IPv4's rule would make, without the addresses (RFC 4443 §2.3)."""
    listening(lab)
    octets = bytearray(bytes(echo(CLIENT.address, VIP, pattern(33))))
    if kind in ("zero", "without-addresses"):
        octets[42:44] = b"\0\0"
    if kind == "without-addresses":
        octets[42:44] = (~ones_complement_sum(bytes(octets[40:])) & 0xFFFF).to_bytes(2, "big")
    elif kind != "zero":
        octets[{"one-bit": 43, "data": 60, "last-odd-octet": len(octets) - 1}[kind]] ^= 1
    dropped(lab, bytes(octets), "drop_icmp_malformed")


@six("malformed/icmpv6/error-{kind}", kind=["unreachable", "time-exceeded", "packet-too-big", "parameter-problem", "without-quote"])
def icmpv6_errors(lab, kind):
    """An ICMPv6 error about no connection goes nowhere, and one that quotes nothing neither."""
    listening(lab)
    quote = bytes(tcp("A").between(SERVICE, CLIENT))[:68]
    message = {
        "unreachable": ICMPv6DestUnreach(code=3),
        "time-exceeded": ICMPv6TimeExceeded(),
        "packet-too-big": ICMPv6PacketTooBig(mtu=1400),
        "parameter-problem": ICMPv6ParamProblem(),
        "without-quote": ICMPv6DestUnreach(),
    }[kind]
    packet = ip_header(CLIENT.address, VIP) / message / Raw(b"" if kind == "without-quote" else quote)
    dropped(lab, packet, "drop_icmp_quote" if kind == "without-quote" else "drop_icmp_no_connection")
