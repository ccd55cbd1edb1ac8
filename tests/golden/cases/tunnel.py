"""Tunnel: the client's packet travels untouched, but for its TTL, inside another IP packet of either family (RFC 2003, RFC 4213, RFC 2473)."""

from scapy.layers.inet import IPOption

from network import CLIENT, FAR_REAL, GATEWAY, LAN, REAL1, ROUTER, Real, Socket, VIP, WAN, in_family
from packets import LENGTHS, follower, opener, pattern, payload, tunnelled, udp
from scenario import both, cases, six

from .limits import expired, packet_of, too_big

PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)
OUTER = {"ipv4": 4, "ipv6": 6}
"""The families that a tunnel may be of."""
IN_EACH = list(OUTER)


def one_server(lab, protocol, outer, server=REAL1.address):
    """A service with a real server that is reached by a tunnel of that family."""
    lab.config.families = sorted({lab.family, OUTER[outer]})
    lab.service(SERVICE, protocol, "tunnel", [Real(Socket(in_family(server, OUTER[outer]), 80))])


def request(lab, outer, datagram, ttl=64, pad=False, server=REAL1.address, station=REAL1, port=WAN, via=GATEWAY, **leaving):
    """A client's packet, and the tunnel packet that must carry it."""
    lab.arrives(port, via, datagram.between(CLIENT, SERVICE, ttl), "forwarded_tunnel", pad)
    inner = datagram.between(CLIENT, SERVICE, ttl - 1)
    ends = (in_family(address, OUTER[outer]) for address in (LAN.address, server))
    lab.leaves(LAN, station, tunnelled(*ends, inner), free_id=True, **leaving)


@both("tunnel/in-{outer}/{protocol}/lengths", outer=IN_EACH, protocol=["tcp", "udp"])
def all_lengths(lab, outer, protocol):
    """A client's packets of every kind of length reach the server whole, behind an outer header of {outer}."""
    one_server(lab, protocol, outer)
    request(lab, outer, opener(protocol))
    for octets in LENGTHS:
        request(lab, outer, follower(protocol, payload(protocol, octets, {4: 1480, 6: 1460}[OUTER[outer]])))


@both("tunnel/in-{outer}/{protocol}/tos", outer=IN_EACH, protocol=PROTOCOLS)
def type_of_service(lab, outer, protocol):
    """The outer header carries the inner one's TOS octet, ECN included."""
    one_server(lab, protocol, outer)
    for tos in (0xB8, 0x01, 0x02, 0x03, 0xFF):
        request(lab, outer, opener(protocol).with_header(tos=tos))


@cases("tunnel/in-ipv4/{protocol}/df-{flags}", protocol=PROTOCOLS, flags=["clear", "set"])
def dont_fragment(lab, protocol, flags):
    """The outer header's DF is the inner one's."""
    one_server(lab, protocol, "ipv4")
    request(lab, "ipv4", opener(protocol).with_header(flags="DF" if flags == "set" else 0))


@six("tunnel/in-ipv4/{protocol}/{octets}-octet-packet", protocol=["tcp", "udp"], octets=[1279, 1280, 1281])
def dont_fragment_six(lab, protocol, octets):
    """Around an IPv6 packet DF is set above 1,280 octets, and not below: who sends those cannot send less (RFC 4213 §3.2.2)."""
    one_server(lab, protocol, "ipv4")
    request(lab, "ipv4", opener(protocol))
    request(lab, "ipv4", follower(protocol, payload(protocol, "most", octets)))


@both("tunnel/in-{outer}/{protocol}/ttl", outer=IN_EACH, protocol=PROTOCOLS)
def ttl(lab, outer, protocol):
    """The inner TTL goes down by one, and the outer header starts with what is left."""
    one_server(lab, protocol, outer)
    for hops in (2, 64, 255):
        request(lab, outer, opener(protocol), hops)


@cases("tunnel/in-{outer}/{protocol}/ip-options", outer=IN_EACH, protocol=PROTOCOLS)
def ip_options(lab, outer, protocol):
    """Options stay in the inner header; the outer one has none."""
    one_server(lab, protocol, outer)
    request(lab, outer, opener(protocol).with_header(options=IPOption(b"\x94\x04\x00\x00")))
    request(lab, outer, opener(protocol).with_header(options=IPOption(b"\x5e\x28" + pattern(38))))


@both("tunnel/in-{outer}/{protocol}/padded", outer=IN_EACH, protocol=PROTOCOLS)
def padded(lab, outer, protocol):
    """Ethernet padding is not put into the tunnel."""
    one_server(lab, protocol, outer)
    request(lab, outer, opener(protocol, b"x"), pad=True)


@both("tunnel/in-{outer}/udp/no-checksum", outer=IN_EACH)
def udp_without_checksum(lab, outer):
    """Nothing behind the inner IP header is touched: no checksum stays none."""
    one_server(lab, "udp", outer)
    request(lab, outer, udp(b"question", chksum=0), broken_sum=lab.family == 6)


@both("tunnel/in-{outer}/{protocol}/routed-server", outer=IN_EACH, protocol=PROTOCOLS)
def routed_server(lab, outer, protocol):
    """A real server behind a router, which tunnelling is for."""
    one_server(lab, protocol, outer, FAR_REAL)
    request(lab, outer, opener(protocol), server=FAR_REAL, station=ROUTER)
    request(lab, outer, follower(protocol, b"far"), server=FAR_REAL, station=ROUTER)


@both("tunnel/in-{outer}/{protocol}/one-arm", outer=IN_EACH, protocol=PROTOCOLS)
def one_arm(lab, outer, protocol):
    """Client and server behind the same port."""
    one_server(lab, protocol, outer)
    request(lab, outer, opener(protocol), port=LAN, via=ROUTER)


@both("tunnel/in-ipv4/{protocol}/ids-differ", protocol=PROTOCOLS)
def distinct_identifications(lab, protocol):
    """A hundred tunnel packets to one server have a hundred identifications, with DF clear as well."""
    one_server(lab, protocol, "ipv4")
    for number in range(100):
        header = {"id": 7, "flags": "DF" if number % 2 else 0} if lab.family == 4 else {}
        request(lab, "ipv4", opener(protocol).with_header(**header))


@both("tunnel/in-ipv6/{protocol}/one-label", protocol=PROTOCOLS)
def one_label(lab, protocol):
    """All packets of a flow have one flow label outside, whatever they have inside."""
    one_server(lab, protocol, "ipv6")
    request(lab, "ipv6", opener(protocol))
    for number in range(10):
        header = {"id": number} if lab.family == 4 else {"label": 0x12345 * number % 0xFFFFF}
        request(lab, "ipv6", follower(protocol, pattern(4 * number)).with_header(**header), ttl=64 - number)


@both("tunnel/in-{outer}/{protocol}/too-big", outer=IN_EACH, protocol=PROTOCOLS)
def does_not_fit(lab, outer, protocol):
    """What does not fit with the outer header is answered with what would."""
    one_server(lab, protocol, outer)
    lab.config.change_port(LAN, mtu=1400)
    room = {"ipv4": 1380, "ipv6": 1360}[outer]
    request(lab, outer, opener(protocol))
    request(lab, outer, packet_of(protocol, room))
    too_big(lab, packet_of(protocol, room + 1).between(CLIENT, SERVICE), room)


@six("tunnel/in-{outer}/never-told-less-than-1280", outer=IN_EACH)
def helpless(lab, outer):
    """Nobody is told to send less than 1,280 octets (RFC 2473 §7.1); who sends no more than that and does not fit is dropped."""
    one_server(lab, "udp", outer)
    lab.config.change_port(LAN, mtu=1280)
    room = {"ipv4": 1260, "ipv6": 1240}[outer]
    request(lab, outer, packet_of("udp", room))
    for octets in (room + 1, 1280):
        lab.arrives(WAN, GATEWAY, packet_of("udp", octets).between(CLIENT, SERVICE), "drop_too_big")
    too_big(lab, packet_of("udp", 1281).between(CLIENT, SERVICE), 1280)


@both("tunnel/in-{outer}/{protocol}/ttl-runs-out", outer=IN_EACH, protocol=PROTOCOLS)
def runs_out(lab, outer, protocol):
    """Who sent a packet whose TTL ends here is told by its own family."""
    one_server(lab, protocol, outer)
    expired(lab, opener(protocol).between(CLIENT, SERVICE, 1))
