"""ICMP errors about balanced connections: to the real server or the client, the packet that they quote as its sender knows it.

A message is built from what is quoted and from whom to whom it goes, here and there; so no expectation is a rewrite of an input.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.packet import Raw

from network import CLIENT, GATEWAY, LAN, REAL1, Real, Socket, VIP, WAN, family, here
from packets import echo, follower, opener, pattern, tunnelled, udp
from scenario import both

SERVICE = Socket(VIP, 80)
SERVER = REAL1.at(8080)
PROTOCOLS = ["tcp", "udp", "sctp"]
CLIENTS_ROUTER = "198.51.100.1"
SERVERS_ROUTER = "10.0.0.99"

ERRORS = {
    "host-unreachable": (lambda: ICMP(type=3, code=1), lambda: ICMPv6DestUnreach(code=3)),
    "port-unreachable": (lambda: ICMP(type=3, code=3), lambda: ICMPv6DestUnreach(code=4)),
    "prohibited": (lambda: ICMP(type=3, code=13), lambda: ICMPv6DestUnreach(code=1)),
    "too-big": (lambda: ICMP(type=3, code=4, nexthopmtu=1400), lambda: ICMPv6PacketTooBig(mtu=1400)),
    "time-exceeded": (lambda: ICMP(type=11, code=0), lambda: ICMPv6TimeExceeded(code=0)),
    "reassembly": (lambda: ICMP(type=11, code=1), lambda: ICMPv6TimeExceeded(code=1)),
    "parameter-problem": (lambda: ICMP(type=12, code=0, ptr=6), lambda: ICMPv6ParamProblem(code=1, ptr=6)),
}


def told(what, source, target, quoted, ttl=64):
    """Returns the error of that name, from one address to another, about the packet of which these octets are quoted."""
    four, six = ERRORS[what]
    source, target = here(source), here(target)
    if ":" in target:
        return IPv6(src=source, dst=target, hlim=ttl) / six() / Raw(quoted)
    return IP(src=source, dst=target, ttl=ttl, id=0x5151, tos=0xC0) / four() / Raw(quoted)


def header():
    """Returns the length of an IP header."""
    return 20 if family() == 4 else 40


def quotes(protocol):
    """Returns how much of a packet is quoted: all, and as little as may be (RFC 792). Of SCTP its sum is left as it was, so it is not."""
    return [header() + 8] if protocol == "sctp" else [None, header() + 8]


def connected(lab, protocol, method):
    """A connection by that method."""
    server = SERVER if method == "nat" else REAL1.at(80)
    lab.service(SERVICE, protocol, method, [Real(server)])
    opened = opener(protocol)
    lab.arrives(WAN, GATEWAY, opened.between(CLIENT, SERVICE), {"nat": "forwarded_nat_in", "tunnel": "forwarded_tunnel"}.get(method, "forwarded_direct"))
    onward = opened.between(CLIENT, SERVER if method == "nat" else SERVICE, 63)
    if method == "tunnel":
        lab.leaves(LAN, REAL1, tunnelled(LAN.address, REAL1.address, onward), free_id=True)
    else:
        lab.leaves(LAN, REAL1, onward)


@both("icmp-errors/nat/{protocol}/{what}/of-an-answer", protocol=PROTOCOLS, what=list(ERRORS))
def of_an_answer(lab, protocol, what):
    """{what}, which the client or a router before it says of what the VIP has sent, reaches the real server as about what that has sent."""
    connected(lab, protocol, "nat")
    answer = follower(protocol, pattern(77))
    for source in (CLIENT.address, CLIENTS_ROUTER):
        for octets in quotes(protocol):
            seen = bytes(answer.between(SERVICE, CLIENT, 40))[:octets]
            sent = bytes(answer.between(SERVER, CLIENT, 40))[:octets]
            lab.arrives(WAN, GATEWAY, told(what, source, VIP, seen), "forwarded_icmp_error")
            lab.leaves(LAN, REAL1, told(what, source, SERVER.address, sent, 63))


@both("icmp-errors/nat/{protocol}/{what}/of-a-request", protocol=PROTOCOLS, what=list(ERRORS))
def of_a_request(lab, protocol, what):
    """{what}, which the real server or a router before it says of the client's packet, reaches the client from the VIP."""
    connected(lab, protocol, "nat")
    request = follower(protocol, pattern(77))
    for source in (SERVER.address, SERVERS_ROUTER):
        for octets in quotes(protocol):
            seen = bytes(request.between(CLIENT, SERVER, 40))[:octets]
            sent = bytes(request.between(CLIENT, SERVICE, 40))[:octets]
            lab.arrives(LAN, REAL1, told(what, source, CLIENT.address, seen), "forwarded_icmp_error")
            lab.leaves(WAN, GATEWAY, told(what, VIP, CLIENT.address, sent, 63))


@both("icmp-errors/{method}/{protocol}/{what}", method=["direct", "tunnel"], protocol=PROTOCOLS, what=list(ERRORS))
def whole(lab, method, protocol, what):
    """{what} about an answer reaches a real server by {method} whole, as the answer was sent."""
    connected(lab, protocol, method)
    for octets in quotes(protocol):
        seen = bytes(follower(protocol, pattern(77)).between(SERVICE, CLIENT, 40))[:octets]
        lab.arrives(WAN, GATEWAY, told(what, CLIENTS_ROUTER, VIP, seen), "forwarded_icmp_error")
        onward = told(what, CLIENTS_ROUTER, VIP, seen, 63)
        if method == "tunnel":
            lab.leaves(LAN, REAL1, tunnelled(LAN.address, REAL1.address, onward), free_id=True)
        else:
            lab.leaves(LAN, REAL1, onward)


@both("icmp-errors/nat/udp/no-checksum")
def no_checksum(lab):
    """A quoted datagram without a sum keeps none."""
    connected(lab, "udp", "nat")
    answer = udp(pattern(20), chksum=0)
    seen, sent = (bytes(answer.between(source, CLIENT, 40)) for source in (SERVICE, SERVER))
    lab.arrives(WAN, GATEWAY, told("too-big", CLIENTS_ROUTER, VIP, seen), "forwarded_icmp_error")
    lab.leaves(LAN, REAL1, told("too-big", CLIENTS_ROUTER, SERVER.address, sent, 63))


@both("icmp-errors/nat/icmp/{what}", what=list(ERRORS))
def of_a_ping(lab, what):
    """{what} about an echo request that was balanced, and about its reply."""
    ping = Socket(VIP, None)
    lab.service(ping, "icmp", "nat", [Real(Socket(REAL1.address, None))])
    lab.arrives(WAN, GATEWAY, echo(CLIENT.address, VIP, pattern(56)), "forwarded_nat_in")
    lab.leaves(LAN, REAL1, echo(CLIENT.address, REAL1.address, pattern(56), ttl=63))
    seen, sent = (bytes(echo(source, CLIENT.address, pattern(56), kind=0, ttl=1)) for source in (VIP, REAL1.address))
    lab.arrives(WAN, GATEWAY, told(what, CLIENTS_ROUTER, VIP, seen), "forwarded_icmp_error")
    lab.leaves(LAN, REAL1, told(what, CLIENTS_ROUTER, REAL1.address, sent, 63))
    seen, sent = (bytes(echo(CLIENT.address, target, pattern(56), ttl=1)) for target in (REAL1.address, VIP))
    lab.arrives(LAN, REAL1, told(what, SERVERS_ROUTER, CLIENT.address, seen), "forwarded_icmp_error")
    lab.leaves(WAN, GATEWAY, told(what, VIP, CLIENT.address, sent, 63))


def in_the_tunnel(lab, octets):
    """A connection by tunnel, with the packet in it that a router on the way may say something of."""
    connected(lab, "udp", "tunnel")
    request = udp(pattern(octets))
    lab.arrives(WAN, GATEWAY, request.between(CLIENT, SERVICE), "forwarded_tunnel")
    inner = request.between(CLIENT, SERVICE, 63)
    outer = tunnelled(LAN.address, REAL1.address, inner)
    lab.leaves(LAN, REAL1, outer, free_id=True)
    return bytes(inner), bytes(outer)


def to_client(what, quoted):
    """Returns the error that the director makes for the client."""
    four, six = what
    if family() == 6:
        return IPv6(src=here(WAN.address), dst=here(CLIENT.address), hlim=64) / six / Raw(quoted[: 1280 - 48])
    return IP(src=WAN.address, dst=CLIENT.address, tos=0xC0, ttl=64, id=0) / four / Raw(quoted[: 576 - 28])


@both("icmp-errors/within-a-tunnel/too-big-{mtu}", mtu=[1400, 1320, 1300])
def too_big_within(lab, mtu):
    """What is too big for a link within the tunnel, of {mtu} octets, its client hears of, with the MTU less the outer header."""
    inner, outer = in_the_tunnel(lab, 1400)
    for octets in (500, 2 * header() + 8):
        lab.arrives(LAN, REAL1, too_big_of(mtu, outer[:octets]), "forwarded_tunnel_error")
        least = mtu - header()
        what = ICMP(type=3, code=4, nexthopmtu=least), ICMPv6PacketTooBig(mtu=max(least, 1280))
        lab.leaves(WAN, GATEWAY, to_client(what, inner[: octets - header()]), free_id=True)


def too_big_of(mtu, quoted):
    """Returns what a router on the tunnel's way says to the director."""
    if family() == 6:
        return IPv6(src=here(SERVERS_ROUTER), dst=here(LAN.address), hlim=64) / ICMPv6PacketTooBig(mtu=mtu) / Raw(quoted)
    return IP(src=SERVERS_ROUTER, dst=LAN.address, ttl=64) / ICMP(type=3, code=4, nexthopmtu=mtu) / Raw(quoted)


@both("icmp-errors/within-a-tunnel/{what}", what=["host-unreachable", "prohibited", "time-exceeded", "reassembly"])
def lost_within(lab, what):
    """{what} within the tunnel is to its client that the host cannot be reached (RFC 2003 §4, RFC 2473 §8)."""
    inner, outer = in_the_tunnel(lab, 100)
    lab.arrives(LAN, REAL1, told(what, SERVERS_ROUTER, LAN.address, outer), "forwarded_tunnel_error")
    lab.leaves(WAN, GATEWAY, to_client((ICMP(type=3, code=1), ICMPv6DestUnreach(code=3)), inner), free_id=True)


@both("icmp-errors/within-a-tunnel/untold")
def untold_within(lab):
    """What concerns the outer header alone, is not credible or quotes too little, no client hears of."""
    _, outer = in_the_tunnel(lab, 100)
    for what in ("port-unreachable", "parameter-problem", "too-big"):
        lab.arrives(LAN, REAL1, told(what, SERVERS_ROUTER, LAN.address, outer), "drop_tunnel_error")
    short = outer[: header() + 8]
    lab.arrives(LAN, REAL1, told("host-unreachable", SERVERS_ROUTER, LAN.address, short), "drop_icmp_quote")


@both("icmp-errors/nat/{protocol}/of-nothing", protocol=PROTOCOLS)
def of_nothing(lab, protocol):
    """Errors about no connection, about an error, about a later fragment, quoting too little or what another sent, are dropped."""
    connected(lab, protocol, "nat")
    answer = follower(protocol, pattern(77))
    stranger = Socket("198.51.100.8", 40001)
    seen = bytes(answer.between(SERVICE, CLIENT, 40))
    dropped = [
        (bytes(answer.between(SERVICE, stranger, 40)), "drop_icmp_no_connection"),
        (seen[: header() + 7], "drop_icmp_quote"),
        (seen[: header() - 1], "drop_icmp_quote"),
        (bytes(answer.between(SERVER, CLIENT, 40)), "drop_icmp_quote"),
        (bytes(told("host-unreachable", VIP, CLIENT.address, seen)), "drop_icmp_quote"),
    ]
    for quoted, outcome in dropped:
        lab.arrives(WAN, GATEWAY, told("host-unreachable", CLIENTS_ROUTER, VIP, quoted), outcome)
    lost = bytes(answer.between(CLIENT, REAL1.at(8080), 40)).replace(b"\x9c\x41", b"\x9c\x42", 1)
    lab.arrives(LAN, REAL1, told("host-unreachable", SERVERS_ROUTER, CLIENT.address, lost), "drop_icmp_no_connection")


@both("icmp-errors/nat/udp/out-of-hops")
def out_of_hops(lab):
    """An error whose own hops end at the director: nobody is told of an error about an error."""
    connected(lab, "udp", "nat")
    seen = bytes(udp(b"hello").between(SERVICE, CLIENT, 40))
    lab.arrives(WAN, GATEWAY, told("host-unreachable", CLIENTS_ROUTER, VIP, seen, 1), "drop_ttl")
