"""Services of several addresses or ports, by match and by mark."""

from network import CLIENT, GATEWAY, LAN, REAL1, REAL2, REAL3, Real, Socket, VIP, VIP2, WAN, Mark, Match, Range
from packets import follower, opener, pattern, tunnelled
from scenario import cases

from .every_port import answer, exchange

PROTOCOLS = ["tcp", "udp", "sctp"]
PREFIX = "203.0.113.0/28"
KINDS = {
    "prefix": Range(f"{PREFIX}:80"),
    "range": Range("203.0.113.9-203.0.113.13:80"),
    "ports": Range(f"{VIP}:75-85"),
    "match": Match(f'{{ from = "198.51.100.0/24", to = "{PREFIX}", ingress = "wan" }}'),
    "mark": Mark(7),
}


def kind(lab, name, protocol, forwarding, reals):
    """A service of that kind for `VIP`'s port 80."""
    what = KINDS[name]
    if name == "mark":
        lab.mark(7, f'{{ protocol = "{protocol}", to = "{PREFIX}", port = "80-89" }}')
    lab.service(what, protocol, forwarding, reals)


@cases("kinds/{name}/nat/{protocol}", name=list(KINDS), protocol=PROTOCOLS)
def nat(lab, name, protocol):
    """By NAT the port may be the real server's own; answers come from the address that the client talks to."""
    kind(lab, name, protocol, "nat", [Real(REAL1.at(8080))])
    service, server = Socket(VIP, 80), REAL1.at(8080)
    exchange(lab, opener(protocol), service, server, REAL1)
    answer(lab, follower(protocol, pattern(5)), service, server, REAL1)
    exchange(lab, follower(protocol, pattern(9)), service, server, REAL1)
    stranger = follower(protocol).between(REAL1.at(80), CLIENT)
    lab.arrives(LAN, REAL1, stranger, "drop_no_connection_reply")


@cases("kinds/{name}/direct/{protocol}", name=list(KINDS), protocol=PROTOCOLS)
def direct(lab, name, protocol):
    """By direct routing the packet is the client's but for the TTL."""
    kind(lab, name, protocol, "direct", [Real(REAL1.at(80))])
    lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, Socket(VIP, 80)), "forwarded_direct")
    lab.leaves(LAN, REAL1, opener(protocol).between(CLIENT, Socket(VIP, 80), 63))


@cases("kinds/{name}/tunnel/{protocol}", name=list(KINDS), protocol=PROTOCOLS)
def tunnel(lab, name, protocol):
    """By a tunnel too."""
    kind(lab, name, protocol, "tunnel", [Real(REAL1.at(80))])
    lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, Socket(VIP, 80)), "forwarded_tunnel")
    inner = opener(protocol).between(CLIENT, Socket(VIP, 80), 63)
    lab.leaves(LAN, REAL1, tunnelled(LAN.address, REAL1.address, inner), free_id=True)


@cases("kinds/prefix/{protocol}/two-vips-one-server", protocol=PROTOCOLS)
def two_vips(lab, protocol):
    """A tuple that would be two VIPs' is refused to the second; each VIP's answers are its own."""
    kind(lab, "prefix", protocol, "nat", [Real(REAL1.at(80))])
    other = Socket("203.0.113.11", 80)
    exchange(lab, opener(protocol), Socket(VIP, 80), REAL1.at(80), REAL1)
    lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, other), "drop_ambiguous")
    answer(lab, follower(protocol), Socket(VIP, 80), REAL1.at(80), REAL1)


@cases("kinds/{protocol}/order", protocol=PROTOCOLS)
def order(lab, protocol):
    """A mark comes before an address and port, that before a range, and every port comes last; whatever the file's order."""
    lab.mark(7, f'{{ protocol = "{protocol}", to = "{VIP}", port = 80 }}')
    lab.service(Socket(VIP, 0), protocol, "direct", [Real(REAL1.at(0))])
    lab.service(Range(f"{VIP}:80-82"), protocol, "direct", [Real(REAL2.at(0))])
    lab.service(Socket(VIP, 81), protocol, "direct", [Real(REAL3.at(81))])
    lab.service(Mark(7), protocol, "tunnel", [Real(REAL3.at(0))])
    marked = opener(protocol).between(CLIENT, Socket(VIP, 80))
    lab.arrives(WAN, GATEWAY, marked, "forwarded_tunnel")
    inner = opener(protocol).between(CLIENT, Socket(VIP, 80), 63)
    lab.leaves(LAN, REAL3, tunnelled(LAN.address, REAL3.address, inner), free_id=True)
    for port, station in [(81, REAL3), (82, REAL2), (83, REAL1)]:
        lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, Socket(VIP, port)), "forwarded_direct")
        lab.leaves(LAN, station, opener(protocol).between(CLIENT, Socket(VIP, port), 63))


@cases("kinds/{protocol}/nobody-s", protocol=PROTOCOLS)
def nobodys(lab, protocol):
    """What fits no description goes nowhere, and no address of a prefix is the director's own."""
    kind(lab, "prefix", protocol, "direct", [Real(REAL1.at(80))])
    for address, port in [(VIP, 81), (VIP2, 80)]:
        lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, Socket(address, port)), "drop_not_for_us")


@cases("kinds/real-server-as-client")
def real_server_as_client(lab):
    """A real server may talk to a VIP of every port from the port that it serves itself."""
    lab.service(Socket(VIP, 80), "tcp", "nat", [Real(REAL1.at(8080))])
    lab.service(Socket(VIP2, 0), "tcp", "nat", [Real(REAL2.at(0))])
    asks = opener("tcp")
    lab.arrives(LAN, REAL1, asks.between(REAL1.at(8080), Socket(VIP2, 25)), "forwarded_nat_in")
    lab.leaves(LAN, REAL2, asks.between(REAL1.at(8080), REAL2.at(25), 63))
    tells = follower("tcp", pattern(7))
    lab.arrives(LAN, REAL2, tells.between(REAL2.at(25), REAL1.at(8080)), "forwarded_nat_out")
    lab.leaves(LAN, REAL1, tells.between(Socket(VIP2, 25), REAL1.at(8080), 63))
