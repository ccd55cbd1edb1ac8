"""ICMP echo: answered for VIPs and own addresses, in place."""

from scapy.layers.inet import ICMP, IP, IPOption

from network import CLIENT, GATEWAY, LAN, ON_LINK, REAL1, Real, Socket, VIP, VIP_ON_LINK, WAN
from packets import echo, pattern
from scenario import cases

TARGETS = {"vip": VIP, "vip-on-link": VIP_ON_LINK, "own": WAN.address, "own-of-another-port": LAN.address}


def services(lab):
    for vip in (VIP, VIP_ON_LINK):
        lab.service(Socket(vip, 80), "tcp", "nat", [Real(REAL1.at(8080))])


def answered(lab, target, payload=b"", pad=False, ttl=64, **header):
    """An echo request from afar, and its answer: TTL 64, everything else as it was asked."""
    question = echo(CLIENT.address, target, payload, ttl=ttl, **header)
    lab.arrives(WAN, GATEWAY, question, "answered_echo", pad)
    lab.leaves(WAN, GATEWAY, echo(target, CLIENT.address, payload, kind=0, **header))


@cases("echo/{target}", target=list(TARGETS))
def echo_answered(lab, target):
    """Echo requests to each kind of the director's addresses are answered."""
    services(lab)
    for number in range(3):
        answered(lab, TARGETS[target], pattern(56, number))


@cases("echo/{octets}-octets", octets=[0, 1, 2, 57, 1471, 1472])
def echo_lengths(lab, octets):
    """Echo data of every kind of length comes back."""
    services(lab)
    answered(lab, VIP, pattern(octets))


@cases("echo/padded")
def echo_padded(lab):
    """Ethernet padding is not echo data."""
    services(lab)
    answered(lab, VIP, b"x", pad=True)


@cases("echo/ttl-{ttl}", ttl=[1, 2, 255])
def echo_ttl(lab, ttl):
    """A packet for the director itself is taken at any TTL, and answered with 64."""
    services(lab)
    answered(lab, VIP, b"ping", ttl=ttl)


@cases("echo/header-{name}", name=["tos", "df"])
def echo_header(lab, name):
    """TOS and DF of the question are the answer's."""
    services(lab)
    answered(lab, VIP, b"ping", **({"tos": 0x28} if name == "tos" else {"flags": "DF"}))


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


@cases("echo/all-zero")
def echo_all_zero(lab):
    """The one reply in which a sum of 0 would be wrong: nothing but zeros beside it."""
    services(lab)
    nothing = {"identifier": 0, "sequence": 0}
    lab.arrives(WAN, GATEWAY, echo(CLIENT.address, VIP, **nothing), "answered_echo")
    lab.leaves(WAN, GATEWAY, echo(VIP, CLIENT.address, kind=0, **nothing))


@cases("echo/from-{side}", side=["on-link", "server"])
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


@cases("echo/not-for-us")
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
