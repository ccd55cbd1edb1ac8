"""Which real server a new connection gets: rr and wrr in their exact order (one worker has one cursor)."""

from network import GATEWAY, LAN, REALS, Real, Socket, VIP, WAN, clients
from packets import follower, opener, tunnelled
from scenario import cases

METHODS = ["nat", "tunnel", "direct"]
PROTOCOLS = ["tcp", "udp"]
SERVICE = Socket(VIP, 80)

CURSORS = "each worker has a cursor of its own"


def servers(method, weights):
    """Returns one real server per weight, in canonical order."""
    return [Real(station.at(8080 if method == "nat" else 80), weight) for station, weight in zip(REALS, weights)]


def request(lab, method, datagram, client, number, service=SERVICE):
    """A client's packet, which must go to the real server of that number."""
    outcome = "forwarded_nat_in" if method == "nat" else f"forwarded_{method}"
    station = REALS[number]
    lab.arrives(WAN, GATEWAY, datagram.between(client, service), outcome)
    onward = datagram.between(client, station.at(8080) if method == "nat" else service, 63)
    if method == "tunnel":
        onward = tunnelled(LAN.address, station.address, onward)
    lab.leaves(LAN, station, onward, free_id=method == "tunnel")


def dealt(lab, method, protocol, scheduler, weights, order):
    """New clients, one after the other, must be dealt to the servers in `order`."""
    lab.service(SERVICE, protocol, method, servers(method, weights), scheduler)
    lab.single_worker = CURSORS
    for client, number in zip(clients(len(order)), order):
        request(lab, method, opener(protocol), client, number)


@cases("rr/{method}/{protocol}", method=METHODS, protocol=PROTOCOLS)
def round_robin(lab, method, protocol):
    """Clients are dealt to three servers in turn, beginning with the first."""
    dealt(lab, method, protocol, "rr", [1, 1, 1], [0, 1, 2, 0, 1, 2, 0])


@cases("rr/order-of-the-file")
def canonical_order(lab):
    """The turn goes by address and port, however the file lists the servers."""
    lab.service(SERVICE, "tcp", "nat", reversed(servers("nat", [1, 1, 1])))
    lab.single_worker = CURSORS
    for client, number in zip(clients(4), [0, 1, 2, 0]):
        request(lab, "nat", opener("tcp"), client, number)


@cases("rr/weights-do-not-matter")
def weights_ignored(lab):
    """rr looks at a weight only for being zero."""
    dealt(lab, "nat", "tcp", "rr", [5, 1, 3], [0, 1, 2, 0, 1, 2])


@cases("{scheduler}/weight-0", scheduler=["rr", "wrr"])
def quiesced(lab, scheduler):
    """A server of weight 0 takes no new connection."""
    dealt(lab, "nat", "tcp", scheduler, [1, 0, 1], [0, 2, 0, 2])


@cases("{scheduler}/{protocol}/no-server", scheduler=["rr", "wrr"], protocol=PROTOCOLS)
def no_server(lab, scheduler, protocol):
    """With every weight 0 there is nobody to choose, and the packet is counted so."""
    lab.service(SERVICE, protocol, "nat", servers("nat", [0, 0, 0]), scheduler)
    for client in clients(3):
        lab.arrives(WAN, GATEWAY, opener(protocol).between(client, SERVICE), "drop_no_real_server")


WRR = {
    "3-2-1": ([3, 2, 1], [0, 0, 1, 0, 1, 2] * 2),
    "1-2-3": ([1, 2, 3], [2, 1, 2, 0, 1, 2] * 2),
    "1-1-1": ([1, 1, 1], [0, 1, 2] * 3),
    "4-2-0": ([4, 2, 0], [0, 0, 1] * 3),
    "6-4-2": ([6, 4, 2], [0, 0, 1, 0, 1, 2] * 2),
    "5-1-1": ([5, 1, 1], [0, 0, 0, 0, 0, 1, 2] * 2),
}


@cases("wrr/{weights}", weights=list(WRR))
def weighted_round_robin(lab, weights):
    """IPVS's order: the current weight falls by the common divisor each round, and servers at or above it are taken."""
    dealt(lab, "nat", "tcp", "wrr", *WRR[weights])


@cases("wrr/{method}/{protocol}", method=METHODS, protocol=PROTOCOLS)
def weighted_by_method(lab, method, protocol):
    """The same order by each forwarding method."""
    dealt(lab, method, protocol, "wrr", *WRR["3-2-1"])


@cases("mixed-methods")
def mixed_methods(lab):
    """One service may reach each of its servers by another method."""
    by_method = [Real(REALS[n].at(80), 1, method) for n, method in enumerate(METHODS)]
    lab.service(SERVICE, "tcp", "nat", by_method)
    lab.single_worker = CURSORS
    for client, number in zip(clients(6), [0, 1, 2] * 2):
        packet = opener("tcp").between(client, SERVICE)
        lab.arrives(WAN, GATEWAY, packet, ["forwarded_nat_in", "forwarded_tunnel", "forwarded_direct"][number])
        target = REALS[number].at(80) if number == 0 else SERVICE
        onward = opener("tcp").between(client, target, 63)
        if number == 1:
            onward = tunnelled(LAN.address, REALS[1].address, onward)
        lab.leaves(LAN, REALS[number], onward, free_id=number == 1)


@cases("cursors/each-service-its-own")
def cursor_of_each_service(lab):
    """Two services' turns do not disturb each other."""
    other = Socket(VIP, 81)
    for service in (SERVICE, other):
        lab.service(service, "tcp", "direct", [Real(station.at(service.port)) for station in REALS])
    lab.single_worker = CURSORS
    for client, number in zip(clients(4), [0, 1, 2, 0]):
        request(lab, "direct", opener("tcp"), client, number, SERVICE)
        request(lab, "direct", opener("tcp"), client, number, other)


@cases("cursors/only-new-connections-move-it/{protocol}", protocol=PROTOCOLS)
def known_connections_take_no_turn(lab, protocol):
    """Packets of known connections do not move the turn."""
    lab.service(SERVICE, protocol, "nat", servers("nat", [1, 1, 1]))
    lab.single_worker = CURSORS
    people = clients(3)
    for number, client in enumerate(people):
        request(lab, "nat", opener(protocol), client, number)
        for known, other in enumerate(people[: number + 1]):
            request(lab, "nat", follower(protocol, b"more"), other, known)
