"""Services of every port (port 0): the client's port stays, and is part of what makes a connection."""

from network import CLIENT, GATEWAY, LAN, REAL1, REAL2, Real, Socket, VIP, VIP2, WAN
from packets import follower, opener, pattern, tunnelled
from scenario import cases

PROTOCOLS = ["tcp", "udp", "sctp"]
PORTS = [1, 80, 65535]


def every_port(lab, protocol, forwarding, vip=VIP, station=REAL1):
    lab.service(Socket(vip, 0), protocol, forwarding, [Real(station.at(0))])


def exchange(lab, datagram, service, server, station):
    """A client's packet by NAT, and an answer."""
    lab.arrives(WAN, GATEWAY, datagram.between(CLIENT, service), "forwarded_nat_in")
    lab.leaves(LAN, station, datagram.between(CLIENT, server, 63))


def answer(lab, datagram, service, server, station):
    lab.arrives(LAN, station, datagram.between(server, CLIENT), "forwarded_nat_out")
    lab.leaves(WAN, GATEWAY, datagram.between(service, CLIENT, 63))


@cases("every-port/nat/{protocol}", protocol=PROTOCOLS)
def nat(lab, protocol):
    """One client port has a connection to each port, and each answer comes from the port that it answers for."""
    every_port(lab, protocol, "nat")
    for port in PORTS:
        exchange(lab, opener(protocol), Socket(VIP, port), REAL1.at(port), REAL1)
    for port in PORTS:
        answer(lab, follower(protocol, pattern(port % 9)), Socket(VIP, port), REAL1.at(port), REAL1)
        exchange(lab, follower(protocol, pattern(5)), Socket(VIP, port), REAL1.at(port), REAL1)
    stranger = follower(protocol).between(REAL1.at(81), CLIENT)
    lab.arrives(LAN, REAL1, stranger, "drop_no_connection_reply")


@cases("every-port/direct/{protocol}", protocol=PROTOCOLS)
def direct(lab, protocol):
    """By direct routing the packet is the client's but for the TTL."""
    every_port(lab, protocol, "direct")
    for port in PORTS:
        lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, Socket(VIP, port)), "forwarded_direct")
        lab.leaves(LAN, REAL1, opener(protocol).between(CLIENT, Socket(VIP, port), 63))


@cases("every-port/tunnel/{protocol}", protocol=PROTOCOLS)
def tunnel(lab, protocol):
    """By a tunnel too."""
    every_port(lab, protocol, "tunnel")
    for port in PORTS:
        lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, Socket(VIP, port)), "forwarded_tunnel")
        inner = opener(protocol).between(CLIENT, Socket(VIP, port), 63)
        lab.leaves(LAN, REAL1, tunnelled(LAN.address, REAL1.address, inner), free_id=True)


@cases("every-port/{protocol}/own-port-first", protocol=PROTOCOLS)
def own_port_first(lab, protocol):
    """A service that names the port comes before the one of every port, whichever is written first."""
    every_port(lab, protocol, "nat")
    lab.service(Socket(VIP, 80), protocol, "nat", [Real(REAL2.at(8080))])
    exchange(lab, opener(protocol), Socket(VIP, 80), REAL2.at(8080), REAL2)
    exchange(lab, opener(protocol), Socket(VIP, 8080), REAL1.at(8080), REAL1)
    answer(lab, follower(protocol), Socket(VIP, 80), REAL2.at(8080), REAL2)
    answer(lab, follower(protocol), Socket(VIP, 8080), REAL1.at(8080), REAL1)


@cases("every-port/{protocol}/two-vips-one-server", protocol=PROTOCOLS)
def two_vips(lab, protocol):
    """A tuple that would be two VIPs' is refused to the second."""
    every_port(lab, protocol, "nat")
    every_port(lab, protocol, "nat", VIP2)
    exchange(lab, opener(protocol), Socket(VIP, 80), REAL1.at(80), REAL1)
    lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, Socket(VIP2, 80)), "drop_ambiguous")
    exchange(lab, opener(protocol), Socket(VIP2, 81), REAL1.at(81), REAL1)
    answer(lab, follower(protocol), Socket(VIP, 80), REAL1.at(80), REAL1)
    answer(lab, follower(protocol), Socket(VIP2, 81), REAL1.at(81), REAL1)
