"""Fragments: each goes where the first of its datagram goes, rewritten as it, in whatever order they come; nothing is put together."""

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from network import CLIENT, GATEWAY, LAN, REAL1, VIP, WAN, Real, Socket
from packets import dissect, echo, opener, pattern, tcp, tunnelled, udp
from scenario import both

METHODS = ["nat", "tunnel", "direct"]
PROTOCOLS = ["tcp", "udp"]
SERVICE = Socket(VIP, 80)
OUTCOMES = {"nat": "forwarded_nat_in", "tunnel": "forwarded_tunnel", "direct": "forwarded_direct"}
ORDERS = {"in-order": (0, 1, 2), "reversed": (2, 1, 0), "first-in-the-middle": (1, 0, 2), "first-last": (1, 2, 0)}


def part(whole, data, at, more, identification):
    """Returns one fragment of a packet, with this data, so many octets from its beginning."""
    if isinstance(whole, IPv6):
        header = IPv6(src=whole.src, dst=whole.dst, hlim=whole.hlim, tc=whole.tc, fl=whole.fl)
        return header / IPv6ExtHdrFragment(nh=whole.nh, offset=at // 8, m=more, id=identification) / Raw(data)
    header = IP(src=whole.src, dst=whole.dst, ttl=whole.ttl, tos=whole.tos, proto=whole.proto, id=identification)
    header.frag, header.flags = at // 8, "MF" if more else 0
    return header / Raw(data)


def parts(packet, octets=64, identification=0x4242):
    """Returns the fragments of a packet, of so many octets each."""
    whole = dissect(packet)
    data = bytes(whole.payload)
    return [
        part(whole, data[at : at + octets], at, at + octets < len(data), identification)
        for at in range(0, len(data), octets)
    ]


def server_of(protocol, method):
    """Returns the real server's socket: only NAT changes the port."""
    return REAL1.at(8080 if method == "nat" else 80)


def onward(datagram, method, octets=64):
    """Returns what the real server must get of a client's datagram."""
    if method == "nat":
        return parts(datagram.between(CLIENT, REAL1.at(8080), 63), octets)
    pieces = parts(datagram.between(CLIENT, SERVICE, 63), octets)
    return [tunnelled(LAN.address, REAL1.address, piece) for piece in pieces] if method == "tunnel" else pieces


def datagram_of(protocol, octets=150):
    """Returns a datagram that opens a connection and is long enough to be taken apart."""
    return tcp("S", pattern(octets)) if protocol == "tcp" else udp(pattern(octets))


@both("fragments/{method}/{protocol}/{order}", method=METHODS, protocol=PROTOCOLS, order=list(ORDERS))
def orders(lab, method, protocol, order):
    """A client's fragments by {method}, {order}: those before the first leave when it has come."""
    lab.service(SERVICE, protocol, method, [Real(server_of(protocol, method))])
    datagram = datagram_of(protocol)
    came, left = parts(datagram.between(CLIENT, SERVICE)), onward(datagram, method)
    for index in ORDERS[order]:
        lab.arrives(WAN, GATEWAY, came[index], OUTCOMES[method])
    late = [index for index in ORDERS[order][: ORDERS[order].index(0)]]
    for index in [0, *late, *(index for index in ORDERS[order] if index and index not in late)]:
        lab.leaves(LAN, REAL1, left[index], free_id=method == "tunnel")


@both("fragments/nat/{protocol}/answer/{order}", protocol=PROTOCOLS, order=list(ORDERS))
def answers(lab, protocol, order):
    """A NAT real server's answer comes from the VIP in every fragment."""
    lab.service(SERVICE, protocol, "nat", [Real(REAL1.at(8080))])
    lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, SERVICE), "forwarded_nat_in")
    lab.leaves(LAN, REAL1, opener(protocol).between(CLIENT, REAL1.at(8080), 63))
    answer = tcp("SA", pattern(150)) if protocol == "tcp" else udp(pattern(150))
    came, left = parts(answer.between(REAL1.at(8080), CLIENT)), parts(answer.between(SERVICE, CLIENT, 63))
    for index in ORDERS[order]:
        lab.arrives(LAN, REAL1, came[index], "forwarded_nat_out")
    late = ORDERS[order][: ORDERS[order].index(0)]
    for index in [0, *late, *(index for index in ORDERS[order] if index and index not in late)]:
        lab.leaves(WAN, GATEWAY, left[index])


@both("fragments/{method}/twice", method=METHODS)
def twice(lab, method):
    """What comes twice leaves twice; what overlaps is the real server's affair."""
    lab.service(SERVICE, "udp", method, [Real(server_of("udp", method))])
    datagram = datagram_of("udp")
    came, left = parts(datagram.between(CLIENT, SERVICE)), onward(datagram, method)
    wide, wide_left = parts(datagram.between(CLIENT, SERVICE), 120), onward(datagram, method, 120)
    for packet, expected in [*zip(came, left), (came[1], left[1]), (came[0], left[0]), (wide[1], wide_left[1])]:
        lab.arrives(WAN, GATEWAY, packet, OUTCOMES[method])
        lab.leaves(LAN, REAL1, expected, free_id=method == "tunnel")


@both("fragments/{method}/two-datagrams", method=METHODS)
def two_datagrams(lab, method):
    """Fragments of two datagrams, mixed: they are told apart by their identification."""
    lab.service(SERVICE, "udp", method, [Real(server_of("udp", method))])
    datagram = datagram_of("udp")
    pairs = []
    for identification in (1, 2):
        came = parts(datagram.between(CLIENT, SERVICE), identification=identification)
        if method == "nat":
            left = parts(datagram.between(CLIENT, REAL1.at(8080), 63), identification=identification)
        else:
            left = parts(datagram.between(CLIENT, SERVICE, 63), identification=identification)
        if method == "tunnel":
            left = [tunnelled(LAN.address, REAL1.address, piece) for piece in left]
        pairs.append(list(zip(came, left)))
    for packet, expected in [pair for both in zip(*pairs) for pair in both]:
        lab.arrives(WAN, GATEWAY, packet, OUTCOMES[method])
        lab.leaves(LAN, REAL1, expected, free_id=method == "tunnel")


@both("fragments/no-first/{method}", method=METHODS)
def no_first(lab, method):
    """Without the first the others wait for a second, and are dropped."""
    lab.service(SERVICE, "udp", method, [Real(server_of("udp", method))])
    datagram = datagram_of("udp")
    for piece in parts(datagram.between(CLIENT, SERVICE))[1:]:
        lab.arrives(WAN, GATEWAY, piece, "drop_fragment_no_first")
    lab.wait(1.5)
    # Too late: its fragments are not waited for.
    first, left = parts(datagram.between(CLIENT, SERVICE))[0], onward(datagram, method)[0]
    lab.arrives(WAN, GATEWAY, first, OUTCOMES[method])
    lab.leaves(LAN, REAL1, left, free_id=method == "tunnel")


@both("fragments/forgotten")
def forgotten(lab):
    """Two seconds after its last fragment a datagram is not known any more."""
    lab.service(SERVICE, "udp", "nat", [Real(REAL1.at(8080))])
    datagram = datagram_of("udp")
    came, left = parts(datagram.between(CLIENT, SERVICE)), onward(datagram, "nat")
    for index in (0, 1):
        lab.arrives(WAN, GATEWAY, came[index], "forwarded_nat_in")
        lab.leaves(LAN, REAL1, left[index])
        lab.wait(1.75)
    lab.wait(0.5)
    lab.arrives(WAN, GATEWAY, came[2], "drop_fragment_no_first")


@both("fragments/tiny/{octets}", octets=[8, 16])
def tiny(lab, octets):
    """A first fragment of {octets} octets has not all of TCP's header (RFC 1858 §3), and takes the others with it."""
    lab.service(SERVICE, "tcp", "nat", [Real(REAL1.at(8080))])
    for piece in parts(datagram_of("tcp").between(CLIENT, SERVICE), octets)[:6]:
        lab.arrives(WAN, GATEWAY, piece, "drop_fragment_tiny")


@both("fragments/overwriting/{offset}", offset=[8, 16])
def overwriting(lab, offset):
    """A fragment that lies {offset} octets into its datagram would overwrite TCP's flags or what is behind them (RFC 3128)."""
    lab.service(SERVICE, "tcp", "nat", [Real(REAL1.at(8080))])
    datagram = datagram_of("tcp")
    came, left = parts(datagram.between(CLIENT, SERVICE)), onward(datagram, "nat")
    lab.arrives(WAN, GATEWAY, came[0], "forwarded_nat_in")
    lab.leaves(LAN, REAL1, left[0])
    over = part(dissect(datagram.between(CLIENT, SERVICE)), pattern(64), offset, True, 0x4242)
    lab.arrives(WAN, GATEWAY, over, "drop_fragment_tiny")


@both("fragments/malformed/{what}", what=["odd", "beyond", "empty"])
def malformed(lab, what):
    """What is no part of any datagram: not a multiple of 8 octets, beyond 65,535, nothing at all."""
    lab.service(SERVICE, "udp", "nat", [Real(REAL1.at(8080))])
    whole = dissect(udp(b"hello").between(CLIENT, SERVICE))
    octets, at, more = {"odd": (63, 80, True), "beyond": (64, 65520, False), "empty": (0, 80, True)}[what]
    lab.arrives(WAN, GATEWAY, part(whole, pattern(octets), at, more, 1), "drop_fragment_malformed")


@both("fragments/no-service")
def no_service(lab):
    """Where the first is dropped, so are the others, and counted as it."""
    lab.service(SERVICE, "udp", "nat", [Real(REAL1.at(8080))])
    for piece in reversed(parts(datagram_of("udp").between(CLIENT, Socket(VIP, 81)))):
        lab.arrives(WAN, GATEWAY, piece, "drop_no_service")


@both("fragments/echo")
def to_the_director(lab):
    """The director puts no echo request together that is for itself."""
    lab.service(SERVICE, "udp", "nat", [Real(REAL1.at(8080))])
    for piece in parts(echo(CLIENT.address, VIP, pattern(150))):
        lab.arrives(WAN, GATEWAY, piece, "drop_fragment")
