"""ICMP echo as a service: requests to a VIP go to its real servers, the identifier standing for the client's port."""

from network import CLIENT, GATEWAY, LAN, REAL1, REAL2, Real, Socket, VIP, WAN, in_family
from packets import LENGTHS, echo, pattern, payload, tunnelled
from scenario import both, six

from .limits import room_by, too_big

METHODS = ["nat", "tunnel", "direct"]
OUTER = {"ipv4": 4, "ipv6": 6}


def service(lab, method, outer=None, reals=(REAL1,)):
    outer = outer or lab.family
    lab.config.families = sorted({lab.family, outer})
    lab.service(Socket(VIP, None), "icmp", method, [Real(Socket(in_family(each.address, outer), None)) for each in reals])


def request(lab, method, data, ttl=64, pad=False, outer=None, station=REAL1, **fields):
    """A client's echo request, and what leaves for the real server by that method."""
    lab.arrives(WAN, GATEWAY, echo(CLIENT.address, VIP, data, ttl=ttl, **fields), f"forwarded_{method}" + "_in" * (method == "nat"), pad)
    onward = echo(CLIENT.address, station.address if method == "nat" else VIP, data, ttl=ttl - 1, **fields)
    if method == "tunnel":
        ends = (in_family(address, outer or lab.family) for address in (LAN.address, station.address))
        onward = tunnelled(*ends, onward)
    lab.leaves(LAN, station, onward, free_id=method == "tunnel")


def reply(lab, data, ttl=64, station=REAL1, **fields):
    """The real server's answer, and what the client gets of it."""
    lab.arrives(LAN, station, echo(station.address, CLIENT.address, data, kind=0, ttl=ttl, **fields), "forwarded_nat_out")
    lab.leaves(WAN, GATEWAY, echo(VIP, CLIENT.address, data, kind=0, ttl=ttl - 1, **fields))


@both("echo-service/nat/lengths")
def nat(lab):
    """Requests of every kind of length reach the real server, and its answers the client."""
    service(lab, "nat")
    for octets in LENGTHS:
        request(lab, "nat", payload("udp", octets))
        reply(lab, payload("udp", octets))


@both("echo-service/direct/lengths")
def direct(lab):
    """By direct routing the request is the client's but for the TTL."""
    service(lab, "direct")
    for octets in LENGTHS:
        request(lab, "direct", payload("udp", octets))


@both("echo-service/tunnel-in-{outer}/lengths", outer=list(OUTER))
def tunnel(lab, outer):
    """By a tunnel of {outer}."""
    service(lab, "tunnel", OUTER[outer])
    for octets in LENGTHS:
        request(lab, "tunnel", payload("udp", octets, {"ipv4": 1480, "ipv6": 1460}[outer]), outer=OUTER[outer])


@both("echo-service/{method}/ttl-{ttl}", method=METHODS, ttl=[2, 255])
def ttl(lab, method, ttl):
    """The TTL, or hop limit, is one less on the other side."""
    service(lab, method)
    request(lab, method, b"ping", ttl, tos=0xB9)
    if method == "nat":
        reply(lab, b"ping", ttl, tos=0xB9)


@both("echo-service/{method}/padded", method=METHODS)
def padded(lab, method):
    """Ethernet padding is not echo data."""
    service(lab, method)
    request(lab, method, b"x", pad=True)


@both("echo-service/{method}/too-big", method=METHODS)
def does_not_fit(lab, method):
    """A request that does not fit the next link is answered with what would."""
    service(lab, method)
    lab.config.change_port(LAN, mtu=1400)
    room = room_by(lab, method, 1400)
    dont = {"flags": "DF"}
    request(lab, method, payload("udp", "most", room), **dont)
    too_big(lab, echo(CLIENT.address, VIP, payload("udp", "most", room + 1), **dont), room)


@both("echo-service/identifiers")
def identifiers(lab):
    """Each identifier of a client is a connection of its own, and none is translated."""
    service(lab, "nat", reals=(REAL1, REAL2))
    lab.single_worker = "each worker has a cursor of its own"
    for identifier, station in ((0, REAL1), (1, REAL2), (65535, REAL1)):
        for sequence in (0, 65535):
            request(lab, "nat", pattern(9), identifier=identifier, sequence=sequence, station=station)
            reply(lab, pattern(9), identifier=identifier, sequence=sequence, station=station)


@both("echo-service/nobody-s-answer")
def nobodys_answer(lab):
    """An answer that nobody has asked for goes nowhere, and one to the VIP neither."""
    service(lab, "nat")
    lab.arrives(LAN, REAL1, echo(REAL1.address, CLIENT.address, kind=0), "drop_no_connection_reply")
    lab.arrives(WAN, GATEWAY, echo(CLIENT.address, VIP, kind=0), "drop_icmp_type")


@six("echo-service/extensions/{method}", method=METHODS)
def extensions(lab, method):
    """Extension headers pass as they came, and the message behind them is found."""
    service(lab, method)
    chain = [(0, b"\0\x01\x04\0\0\0\0"), (60, b"\0\x01\x04\0\0\0\0")]
    request(lab, method, b"ping", extensions=chain)
    if method == "nat":
        reply(lab, b"ping", extensions=chain)
