"""ICMP echo: answered for VIPs and own addresses, in place."""

from scapy.layers.inet import ICMP, IP, IPOption
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6Unknown

from network import CLIENT, GATEWAY, LAN, ON_LINK, REAL1, Real, Socket, VIP, VIP_ON_LINK, WAN
from packets import LENGTHS, dissect, echo, ip_header, pattern, payload
from scenario import both, cases, six

TARGETS = {"vip": VIP, "vip-on-link": VIP_ON_LINK, "own": WAN.address, "own-of-another-port": LAN.address}


def services(lab):
    for vip in (VIP, VIP_ON_LINK):
        lab.service(Socket(vip, 80), "tcp", "nat", [Real(REAL1.at(8080))])


def answered(lab, target, payload=b"", pad=False, ttl=64, **header):
    """An echo request from afar, and its answer: TTL 64, everything else as it was asked."""
    question = echo(CLIENT.address, target, payload, ttl=ttl, **header)
    lab.arrives(WAN, GATEWAY, question, "answered_echo", pad)
    lab.leaves(WAN, GATEWAY, echo(target, CLIENT.address, payload, kind=0, **header))


@both("echo/{target}", target=list(TARGETS))
def echo_answered(lab, target):
    """Echo requests to each kind of the director's addresses are answered."""
    services(lab)
    for number in range(3):
        answered(lab, TARGETS[target], pattern(56, number))


@both("echo/lengths")
def echo_lengths(lab):
    """Echo data of every kind of length comes back."""
    services(lab)
    for octets in LENGTHS:
        answered(lab, VIP, payload("udp", octets))


@both("echo/padded")
def echo_padded(lab):
    """Ethernet padding is not echo data."""
    services(lab)
    answered(lab, VIP, b"x", pad=True)


@both("echo/ttl-{ttl}", ttl=[1, 2, 255])
def echo_ttl(lab, ttl):
    """A packet for the director itself is taken at any TTL, and answered with 64."""
    services(lab)
    answered(lab, VIP, b"ping", ttl=ttl)


@both("echo/tos")
def echo_tos(lab):
    """TOS, or the traffic class, of the question is the answer's."""
    services(lab)
    answered(lab, VIP, b"ping", tos=0x28)


@cases("echo/df")
def echo_df(lab):
    """DF of the question is the answer's."""
    services(lab)
    answered(lab, VIP, b"ping", flags="DF")


@cases("echo/checksum-{checksum:#06x}", checksum=[0, 1, 0x07FF, 0x0800, 0xF7FE, 0xF7FF, 0xF800, 0xFFFE])
def echo_checksum(lab, checksum):
    """Question sums at which the answer's sum wraps around."""
    services(lab)
    plain = IP(bytes(echo(CLIENT.address, VIP, b"", sequence=0)))[ICMP].chksum
    sequence = ((~checksum & 0xFFFF) - (~plain & 0xFFFF)) % 0xFFFF
    question = echo(CLIENT.address, VIP, sequence=sequence)
    assert IP(bytes(question))[ICMP].chksum == checksum
    lab.arrives(WAN, GATEWAY, question, "answered_echo")
    lab.leaves(WAN, GATEWAY, echo(VIP, CLIENT.address, kind=0, sequence=sequence, checksum=never_zero(checksum)))


def never_zero(request_checksum):
    """Returns the reply's sum where it could be either zero of one's complement: 0xffff, which is always right.

    Where all else in the reply is zero too, 0 would be wrong; where it is not, both are right.
    """
    return 0xFFFF if request_checksum == 0xF7FF else None


@six("echo/checksum-{checksum:#06x}", checksum=[0, 1, 0xFF, 0x100, 0xFEFE, 0xFEFF, 0xFF00, 0xFFFE])
def echo_checksum_six(lab, checksum):
    """The same where the type changes by one."""
    services(lab)
    plain = dissect(echo(CLIENT.address, VIP, b"", sequence=0))[ICMPv6EchoRequest].cksum
    sequence = ((~checksum & 0xFFFF) - (~plain & 0xFFFF)) % 0xFFFF
    question = echo(CLIENT.address, VIP, sequence=sequence)
    assert dissect(question)[ICMPv6EchoRequest].cksum == checksum
    lab.arrives(WAN, GATEWAY, question, "answered_echo")
    wrapped = 0xFFFF if checksum == 0x100 else None
    lab.leaves(WAN, GATEWAY, echo(VIP, CLIENT.address, kind=0, sequence=sequence, checksum=wrapped))


@both("echo/all-zero")
def echo_all_zero(lab):
    """The one reply in which a sum of 0 would be wrong: nothing but zeros beside it."""
    services(lab)
    nothing = {"identifier": 0, "sequence": 0}
    lab.arrives(WAN, GATEWAY, echo(CLIENT.address, VIP, **nothing), "answered_echo")
    lab.leaves(WAN, GATEWAY, echo(VIP, CLIENT.address, kind=0, **nothing))


@both("echo/from-{side}", side=["on-link", "server"])
def echo_from(lab, side):
    """Neighbours are answered directly, on either port."""
    services(lab)
    port, station = (WAN, ON_LINK) if side == "on-link" else (LAN, REAL1)
    for target in (port.address, VIP):
        lab.arrives(port, station, echo(station.address, target, b"hello"), "answered_echo")
        lab.leaves(port, station, echo(target, station.address, b"hello", kind=0))


@cases("echo/other-types")
def other_types(lab):
    """ICMP of other types is not answered: an echo reply, a redirect, a timestamp and an information request."""
    services(lab)
    for kind, fields in ((0, {}), (5, {}), (13, {"ts_ori": 1, "ts_rx": 0, "ts_tx": 0}), (15, {})):
        packet = IP(src=CLIENT.address, dst=VIP) / ICMP(type=kind, **fields) / pattern(20)
        lab.arrives(WAN, GATEWAY, packet, "drop_icmp_type")


@six("echo/other-types")
def other_types_six(lab):
    """ICMPv6 of other types is not answered: an echo reply, a query and a report about groups, a node information query."""
    services(lab)
    for kind in (129, 130, 131, 132, 138, 139, 143, 200):
        message = ICMPv6Unknown(type=kind, msgbody=pattern(24))
        lab.arrives(WAN, GATEWAY, ip_header(CLIENT.address, VIP, protocol=58) / message, "drop_icmp_type")


@both("echo/not-for-us")
def echo_not_for_us(lab):
    """An echo request to somebody else is not answered."""
    services(lab)
    lab.arrives(WAN, GATEWAY, echo(CLIENT.address, "203.0.113.99"), "drop_not_for_us")


@cases("echo/ip-options")
def echo_options(lab):
    """A request with IPv4 options is answered, too; the answer has none, but for "end of options" in their place."""
    services(lab)
    question = echo(CLIENT.address, VIP, b"ping", options=IPOption(b"\x94\x04\x00\x00"))
    lab.arrives(WAN, GATEWAY, question, "answered_echo")
    lab.leaves(WAN, GATEWAY, echo(VIP, CLIENT.address, b"ping", kind=0, options=IPOption(b"\0\0\0\0")))


@six("echo/extensions")
def echo_extensions(lab):
    """A request with extension headers is answered, too; the answer has none (RFC 8200 §4)."""
    services(lab)
    options = (60, b"\0\x01\x04\0\0\0\0")
    question = echo(CLIENT.address, VIP, b"ping", extensions=[(0, b"\0\x01\x04\0\0\0\0"), options])
    lab.arrives(WAN, GATEWAY, question, "answered_echo")
    lab.leaves(WAN, GATEWAY, echo(VIP, CLIENT.address, b"ping", kind=0))
