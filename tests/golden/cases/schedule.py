"""Which real server a new connection gets: rr and wrr, with one worker in their exact order.

Each worker has a cursor of its own, so with more workers the order is open: then each connection may go to any
server that has weight, but with all its packets.
"""

from network import GATEWAY, LAN, REALS, Real, Socket, VIP, WAN, clients
from packets import follower, opener, tunnelled
from scenario import both

METHODS = ["nat", "tunnel", "direct"]
PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)


def servers(method, weights):
    """Returns one real server per weight, in canonical order."""
    return [Real(station.at(8080 if method == "nat" else 80), weight) for station, weight in zip(REALS, weights)]


def request(lab, method, datagram, client, number, service=SERVICE, weights=(1, 1, 1)):
    """A client's packet, which must go to the real server of that number."""
    outcome = "forwarded_nat_in" if method == "nat" else f"forwarded_{method}"
    lab.arrives(WAN, GATEWAY, datagram.between(client, service), outcome)
    onward = {n: (REALS[n], onward_by(method, datagram, client, n, service)) for n in range(3) if weights[n]}
    lab.leaves_to_one_of(LAN, (client, service), onward, number, free_id=method == "tunnel")


def onward_by(method, datagram, client, number, service):
    """Returns the client's packet as the real server of that number must get it."""
    station = REALS[number]
    onward = datagram.between(client, station.at(8080) if method == "nat" else service, 63)
    return tunnelled(LAN.address, station.address, onward) if method == "tunnel" else onward


def dealt(lab, method, protocol, scheduler, weights, order):
    """New clients, one after the other, must be dealt to the servers in `order`."""
    lab.service(SERVICE, protocol, method, servers(method, weights), scheduler)
    for client, number in zip(clients(len(order)), order):
        request(lab, method, opener(protocol), client, number, weights=weights)


@both("rr/{method}/{protocol}", method=METHODS, protocol=PROTOCOLS)
def round_robin(lab, method, protocol):
    """Clients are dealt to three servers in turn, beginning with the first."""
    dealt(lab, method, protocol, "rr", [1, 1, 1], [0, 1, 2, 0, 1, 2, 0])


@both("rr/order-of-the-file")
def canonical_order(lab):
    """The turn goes by address and port, however the file lists the servers."""
    lab.service(SERVICE, "tcp", "nat", reversed(servers("nat", [1, 1, 1])))
    for client, number in zip(clients(4), [0, 1, 2, 0]):
        request(lab, "nat", opener("tcp"), client, number)


@both("rr/weights-do-not-matter")
def weights_ignored(lab):
    """rr looks at a weight only for being zero."""
    dealt(lab, "nat", "tcp", "rr", [5, 1, 3], [0, 1, 2, 0, 1, 2])


@both("{scheduler}/weight-0", scheduler=["rr", "wrr"])
def quiesced(lab, scheduler):
    """A server of weight 0 takes no new connection."""
    dealt(lab, "nat", "tcp", scheduler, [1, 0, 1], [0, 2, 0, 2])


@both("{scheduler}/{protocol}/no-server", scheduler=["rr", "wrr"], protocol=PROTOCOLS)
def no_server(lab, scheduler, protocol):
    """With every weight 0 there is nobody to choose, and the packet is counted so, where its client is not told."""
    lab.service(SERVICE, protocol, "nat", servers("nat", [0, 0, 0]), scheduler, 'no_server = "drop"')
    for client in clients(3):
        lab.arrives(WAN, GATEWAY, opener(protocol).between(client, SERVICE), "drop_no_real_server")


WRR = {
    "3-2-1": ([3, 2, 1], [0, 1, 2, 0, 0, 1] * 2),
    "1-2-3": ([1, 2, 3], [0, 1, 2, 2, 1, 2] * 2),
    "1-1-1": ([1, 1, 1], [0, 1, 2] * 3),
    "4-2-0": ([4, 2, 0], [0, 1, 0] * 3),
    "6-4-2": ([6, 4, 2], [0, 1, 2, 0, 0, 1] * 2),
    "5-1-1": ([5, 1, 1], [0, 1, 2, 0, 0, 0, 0] * 2),
}


@both("wrr/{weights}", weights=list(WRR))
def weighted_round_robin(lab, weights):
    """IPVS's order: one round in which all are taken, then the current weight begins at the largest and falls by the
    common divisor each round, and servers at or above it are taken."""
    dealt(lab, "nat", "tcp", "wrr", *WRR[weights])


@both("wrr/{method}/{protocol}", method=METHODS, protocol=PROTOCOLS)
def weighted_by_method(lab, method, protocol):
    """The same order by each forwarding method."""
    dealt(lab, method, protocol, "wrr", *WRR["3-2-1"])


@both("mixed-methods/{method}", method=METHODS)
def mixed_methods(lab, method):
    """One service may reach each of its servers by another method; the one with weight is reached by {method}."""
    by_method = [Real(REALS[n].at(80), int(METHODS[n] == method), METHODS[n]) for n in range(3)]
    lab.service(SERVICE, "tcp", "nat", by_method)
    for client in clients(3):
        packet = opener("tcp").between(client, SERVICE)
        station = REALS[METHODS.index(method)]
        lab.arrives(WAN, GATEWAY, packet, "forwarded_nat_in" if method == "nat" else f"forwarded_{method}")
        onward = opener("tcp").between(client, station.at(80) if method == "nat" else SERVICE, 63)
        if method == "tunnel":
            onward = tunnelled(LAN.address, station.address, onward)
        lab.leaves(LAN, station, onward, free_id=method == "tunnel")


@both("cursors/each-service-its-own")
def cursor_of_each_service(lab):
    """Two services' turns do not disturb each other."""
    other = Socket(VIP, 81)
    for service in (SERVICE, other):
        lab.service(service, "tcp", "direct", [Real(station.at(service.port)) for station in REALS])
    for client, number in zip(clients(4), [0, 1, 2, 0]):
        request(lab, "direct", opener("tcp"), client, number, SERVICE)
        request(lab, "direct", opener("tcp"), client, number, other)


@both("cursors/only-new-connections-move-it/{protocol}", protocol=PROTOCOLS)
def known_connections_take_no_turn(lab, protocol):
    """Packets of known connections do not move the turn."""
    lab.service(SERVICE, protocol, "nat", servers("nat", [1, 1, 1]))
    people = clients(3)
    for number, client in enumerate(people):
        request(lab, "nat", opener(protocol), client, number)
        for known, other in enumerate(people[: number + 1]):
            request(lab, "nat", follower(protocol, b"more"), other, known)
