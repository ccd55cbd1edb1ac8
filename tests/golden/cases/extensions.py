"""IPv6 extension headers (RFC 8200 §4): walked over to the ports behind, up to a bound, and passed on as they came."""

from network import CLIENT, GATEWAY, LAN, REAL1, Real, Socket, VIP, WAN
from packets import extended, follower, opener, pattern, tunnelled
from scenario import six

METHODS = ["nat", "tunnel", "direct"]
PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)
SERVER = REAL1.at(8080)

HOP_BY_HOP, ROUTING, FRAGMENT, ESP, AUTHENTICATION, NOTHING, DESTINATION = 0, 43, 44, 50, 51, 59, 60


def options(units=1):
    """Returns an options header's octets but for the first: its length, and PadN options."""
    octets = 8 * units - 2
    return bytes([units - 1]) + pad(octets)


def pad(octets):
    """Returns PadN options of so many octets in all."""
    return b"".join(b"\x01" + bytes([n - 2]) + bytes(n - 2) for n in [128] * (octets // 128) + [octets % 128] * (octets % 128 > 1))


def routing(kind=0, left=0, octets=16):
    """Returns a routing header, of which `left` segments are left; its addresses are nobody's."""
    return bytes([octets // 8, kind, left]) + bytes(4) + pattern(octets)


AUTHENTICATED = b"\x04\0\0" + pattern(20)
"""RFC 4302 §2.2 counts its length in words, without two."""

CHAINS = {
    "hop-by-hop": [(HOP_BY_HOP, options())],
    "destination": [(DESTINATION, options())],
    "long-destination": [(DESTINATION, options(32))],
    "routing-done": [(ROUTING, routing())],
    "segment-routing-done": [(ROUTING, routing(kind=4))],
    "routing-to-go": [(ROUTING, routing(kind=4, left=1))],
    "authentication": [(AUTHENTICATION, AUTHENTICATED)],
    "atomic-fragment": [(FRAGMENT, b"\0\0\0\x12\x34\x56\x78")],
    "all-in-order": [
        (HOP_BY_HOP, options()), (DESTINATION, options(2)), (ROUTING, routing()), (FRAGMENT, b"\0\0\0\0\0\0\x07"),
        (AUTHENTICATION, AUTHENTICATED), (DESTINATION, options()),
    ],
    "eight": [(DESTINATION, options())] * 8,
}  # fmt: skip


def one_server(lab, protocol, method):
    lab.service(SERVICE, protocol, method, [Real(SERVER if method == "nat" else REAL1.at(80))])


def inbound(lab, method, datagram, **leaving):
    """A client's packet, and what leaves for the real server by that method."""
    lab.arrives(WAN, GATEWAY, datagram.between(CLIENT, SERVICE), f"forwarded_{method}" + "_in" * (method == "nat"))
    onward = datagram.between(CLIENT, SERVER if method == "nat" else SERVICE, 63)
    if method == "tunnel":
        onward = tunnelled(LAN.address, REAL1.address, onward)
    lab.leaves(LAN, REAL1, onward, free_id=method == "tunnel", **leaving)


@six("extensions/{chain}/{method}", chain=list(CHAINS), method=METHODS)
def walked(lab, chain, method):
    """The ports are found behind {chain}, and the headers pass unchanged, both ways."""
    for protocol in PROTOCOLS:
        one_server(lab, protocol, method)
        # While segments are left the sums cover the last one's address (RFC 8200 §8.1), and here they do not.
        leaving = {"broken_sum": chain == "routing-to-go" and protocol != "sctp"}
        inbound(lab, method, opener(protocol).with_header(extensions=CHAINS[chain]), **leaving)
        inbound(lab, method, follower(protocol, pattern(20)))
        inbound(lab, method, follower(protocol, pattern(21)).with_header(extensions=CHAINS[chain]), **leaving)
        if method == "nat":
            answer = follower(protocol, pattern(9)).with_header(extensions=CHAINS[chain])
            lab.arrives(LAN, REAL1, answer.between(SERVER, CLIENT), "forwarded_nat_out")
            lab.leaves(WAN, GATEWAY, answer.between(SERVICE, CLIENT, 63), **leaving)


REFUSED = {
    "nine": ([(DESTINATION, options())] * 9, "drop_protocol"),
    "late-hop-by-hop": ([(DESTINATION, options()), (HOP_BY_HOP, options())], "drop_protocol"),
    "twice-hop-by-hop": ([(HOP_BY_HOP, options())] * 2, "drop_protocol"),
    "longer-than-the-packet": ([(DESTINATION, b"\x40" + pad(6))], "drop_ip_header_length"),
    "authentication-longer-than-the-packet": ([(AUTHENTICATION, b"\xff" + pattern(6))], "drop_ip_header_length"),
    "encrypted": ([(ESP, pattern(31))], "drop_protocol"),
}


@six("extensions/{chain}/refused", chain=list(REFUSED))
def refused(lab, chain):
    """Behind {chain} no ports are looked for, of a known connection neither."""
    headers, outcome = REFUSED[chain]
    for protocol in PROTOCOLS:
        one_server(lab, protocol, "nat")
        inbound(lab, "nat", opener(protocol))
        for datagram in (opener(protocol), follower(protocol, pattern(20))):
            lab.arrives(WAN, GATEWAY, datagram.with_header(extensions=headers).between(CLIENT, SERVICE), outcome)


@six("extensions/no-next-header")
def no_next_header(lab):
    """Nothing is behind a header that says so (RFC 8200 §4.7), whatever follows."""
    one_server(lab, "udp", "nat")
    packet = opener("udp").between(CLIENT, SERVICE)
    packet.nh = NOTHING
    lab.arrives(WAN, GATEWAY, packet, "drop_protocol")
    lab.arrives(WAN, GATEWAY, extended(packet, [(HOP_BY_HOP, options())]), "drop_protocol")


@six("extensions/cut-in-the-{place}", place=["first-word", "middle"])
def cut(lab, place):
    """A packet that ends within an extension header."""
    one_server(lab, "tcp", "nat")
    whole = bytes(opener("tcp").between(CLIENT, SERVICE, extensions=[(HOP_BY_HOP, options(4))]))
    octets = {"first-word": 4, "middle": 12}[place]
    packet = whole[:4] + octets.to_bytes(2, "big") + whole[6 : 40 + octets]
    lab.arrives(WAN, GATEWAY, packet, "drop_ip_header_length")
