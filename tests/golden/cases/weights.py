"""Weights that change while the director runs: drained servers, servers that return slowly, and the sorry server."""

from network import GATEWAY, LAN, REAL3, REALS, Real, Service, Socket, VIP, WAN, clients
from packets import follower, opener, tunnelled
from scenario import both

METHODS = ["nat", "tunnel", "direct"]
PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)


def pool(method, protocol, weights, scheduler="rr", keys=""):
    """Returns the service with one real server per weight, in canonical order."""
    reals = [Real(station.at(8080 if method == "nat" else 80), weight) for station, weight in zip(REALS, weights)]
    return Service(SERVICE, protocol, method, reals, scheduler, f'no_server = "drop"\n{keys}')


def goes(lab, method, datagram, client, station):
    """A client's packet must go to that station."""
    lab.arrives(WAN, GATEWAY, datagram.between(client, SERVICE), f"forwarded_{method}" + "_in" * (method == "nat"))
    onward = datagram.between(client, station.at(8080) if method == "nat" else SERVICE, 63)
    if method == "tunnel":
        onward = tunnelled(LAN.address, station.address, onward)
    lab.leaves(LAN, station, onward, free_id=method == "tunnel")


def is_refused(lab, datagram, client):
    """A client's packet finds no server."""
    lab.arrives(WAN, GATEWAY, datagram.between(client, SERVICE), "drop_no_real_server")


@both("weights/drained/{method}/{protocol}", method=METHODS, protocol=PROTOCOLS)
def drained(lab, method, protocol):
    """A server whose weight falls to 0 keeps its connections and gets no new one."""
    first, second, *_ = REALS
    lab.config.services.append(pool(method, protocol, [1, 0]))
    old, *new = clients(4)
    goes(lab, method, opener(protocol), old, first)
    lab.reload(pool(method, protocol, [0, 1]))
    for client in new:
        goes(lab, method, opener(protocol), client, second)
        goes(lab, method, follower(protocol, b"more"), old, first)


@both("weights/changed/{method}", method=METHODS)
def changed(lab, method):
    """Other weights leave connections where they are."""
    first, second, *_ = REALS
    lab.config.services.append(pool(method, "tcp", [0, 7]))
    old, new = clients(2)
    goes(lab, method, opener("tcp"), old, second)
    lab.reload(pool(method, "tcp", [65535, 1], "fo"))
    goes(lab, method, follower("tcp", b"more"), old, second)
    goes(lab, method, opener("tcp"), new, first)


@both("weights/turns-go-on")
def turns(lab):
    """rr goes on behind the server that it chose last, whoever went or came."""
    first, second, third = REALS
    lab.single_worker = "each worker has a turn of its own"
    lab.config.services.append(pool("direct", "tcp", [1, 1, 1]))
    people = iter(clients(8))
    for station in (first, second):
        goes(lab, "direct", opener("tcp"), next(people), station)
    whole = pool("direct", "tcp", [1, 1, 1])
    lab.reload(Service(SERVICE, "tcp", "direct", whole.reals[1:]))
    for station in (third, second):
        goes(lab, "direct", opener("tcp"), next(people), station)
    lab.reload(whole)
    for station in (third, first, second, third):
        goes(lab, "direct", opener("tcp"), next(people), station)



def sorry_server(port=8080, forwarding=""):
    """Returns the key that gives a service its sorry server."""
    by = f', forwarding = "{forwarding}"' if forwarding else ""
    return f'sorry_server = {{ address = "{REAL3.at(port)}"{by} }}'


@both("sorry/{method}/{protocol}", method=METHODS, protocol=PROTOCOLS)
def sorry(lab, method, protocol):
    """While all weights are 0 the sorry server takes new connections. When a server returns it gets all new ones, and the
    sorry server keeps those it has."""
    first, second, _ = REALS
    lab.config.services.append(pool(method, protocol, [1, 0], keys=sorry_server()))
    before, during, after = clients(3)
    goes(lab, method, opener(protocol), before, first)
    lab.reload(pool(method, protocol, [0, 0], keys=sorry_server()))
    goes(lab, method, opener(protocol), during, REAL3)
    goes(lab, method, follower(protocol, b"more"), before, first)
    lab.reload(pool(method, protocol, [0, 1], keys=sorry_server()))
    goes(lab, method, opener(protocol), after, second)
    goes(lab, method, follower(protocol, b"more"), during, REAL3)


@both("sorry/nobody-else")
def nobody_else(lab):
    """A service without real servers has its sorry server only, here by another forwarding method than its own."""
    lab.config.services.append(Service(SERVICE, "tcp", "nat", [], keys=sorry_server(80, "direct")))
    for client in clients(3):
        goes(lab, "direct", opener("tcp"), client, REAL3)


@both("sorry/gone")
def gone(lab):
    """A sorry server that is taken out of the file leaves its connections behind."""
    lab.config.services.append(pool("direct", "tcp", [0], keys=sorry_server()))
    old, new = clients(2)
    goes(lab, "direct", opener("tcp"), old, REAL3)
    lab.reload(pool("direct", "tcp", [0]))
    lab.arrives(WAN, GATEWAY, follower("tcp", b"more").between(old, SERVICE), "drop_real_server_removed")
    is_refused(lab, opener("tcp"), new)


@both("slow-start/wrr")
def slow_start(lab):
    """A server that a reload adds gets one connection in a hundred at first, and its whole share when its time is over."""
    first, second, _ = REALS
    lab.single_worker = "each worker has a turn of its own"
    keys = 'slow_start = "10s"'
    lab.config.services.append(pool("direct", "tcp", [1], "wrr", keys))
    people = iter(clients(60))
    goes(lab, "direct", opener("tcp"), next(people), first)
    lab.reload(pool("direct", "tcp", [1, 1], "wrr", keys))
    # The round that IPVS begins with is for all; then come 99 for the first alone.
    for station in (first, second, *[first] * 40):
        goes(lab, "direct", opener("tcp"), next(people), station)
    lab.wait(12)
    for station in (first, second) * 4:
        goes(lab, "direct", opener("tcp"), next(people), station)


@both("slow-start/none-at-the-start/{keys}", keys=["", "slow"])
def at_the_start(lab, keys):
    """At the start nobody is new."""
    lab.single_worker = "each worker has a turn of its own"
    lab.config.services.append(pool("direct", "tcp", [1, 1], "wrr", 'slow_start = "1h"' if keys else ""))
    for client, station in zip(clients(4), REALS[:2] * 2):
        goes(lab, "direct", opener("tcp"), client, station)
