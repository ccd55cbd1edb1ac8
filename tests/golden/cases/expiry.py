"""Connections end by their state's timeout, on the capture's clock."""

from network import CLIENT, GATEWAY, LAN, REAL1, REALS, Real, Socket, VIP, WAN
from packets import tcp, udp
from scenario import both, cases

SERVICE = Socket(VIP, 80)
SERVER = REAL1.at(8080)

LATE = 2.0
"""A connection may live this much longer than its timeout: two ticks, and one round of the sweep."""


def inbound(lab, datagram, station=REAL1):
    lab.arrives(WAN, GATEWAY, datagram.between(CLIENT, SERVICE), "forwarded_nat_in")
    lab.leaves(LAN, station, datagram.between(CLIENT, station.at(8080), 63))


def outbound(lab, datagram):
    lab.arrives(LAN, REAL1, datagram.between(SERVER, CLIENT), "forwarded_nat_out")
    lab.leaves(WAN, GATEWAY, datagram.between(SERVICE, CLIENT, 63))


def forgotten(lab):
    """The connection must be gone: a packet in the middle of it belongs to none."""
    lab.arrives(WAN, GATEWAY, tcp("A").between(CLIENT, SERVICE), "drop_no_connection")
    lab.arrives(LAN, REAL1, tcp("A").between(SERVER, CLIENT), "drop_no_connection_reply")


def established(lab):
    lab.service(SERVICE, "tcp", "nat", [Real(SERVER)])
    inbound(lab, tcp("S"))
    outbound(lab, tcp("SA"))
    inbound(lab, tcp("A"))


@both("expiry/tcp-established")
def tcp_established(lab):
    """An established connection lives for 900 s after its last packet, and each packet renews it."""
    established(lab)
    for seconds in (890, 895):
        lab.wait(seconds)
        outbound(lab, tcp("A", b"still here"))
    lab.tick(900 + LATE)
    forgotten(lab)


@both("expiry/tcp-time-wait")
def tcp_time_wait(lab):
    """After FIN from both sides a connection lives for 120 s more."""
    established(lab)
    outbound(lab, tcp("FA"))
    inbound(lab, tcp("FA"))
    outbound(lab, tcp("A"))
    lab.wait(115)
    inbound(lab, tcp("A"))
    lab.tick(120 + LATE)
    forgotten(lab)


@both("expiry/tcp-reset")
def tcp_reset(lab):
    """After a reset a connection lives for 10 s more."""
    established(lab)
    outbound(lab, tcp("RA"))
    lab.tick(10 + LATE)
    forgotten(lab)


@both("expiry/tcp-half-open")
def tcp_half_open(lab):
    """A connection of which only the SYN came lives for 60 s (SYN_RECV)."""
    lab.service(SERVICE, "tcp", "nat", [Real(SERVER)])
    inbound(lab, tcp("S"))
    lab.wait(55)
    outbound(lab, tcp("SA"))
    lab.tick(60 + LATE)
    forgotten(lab)


@both("expiry/udp")
def udp_flow(lab):
    """A UDP flow lives for 300 s after its last packet, then the next one is a new flow, with a server of its own."""
    lab.service(SERVICE, "udp", "nat", [Real(station.at(8080)) for station in REALS])
    lab.single_worker = "each worker has a cursor of its own"
    inbound(lab, udp(b"one"))
    lab.wait(295)
    inbound(lab, udp(b"two"))
    lab.wait(295)
    outbound(lab, udp(b"three"))
    lab.wait(295)
    inbound(lab, udp(b"four"))
    lab.tick(300 + LATE)
    inbound(lab, udp(b"five"), REALS[1])


@cases("expiry/day")
def day(lab):
    """A day of silence in a moment of test: nothing of an old connection is left."""
    established(lab)
    lab.tick(86400)
    forgotten(lab)
    inbound(lab, tcp("S"))
    outbound(lab, tcp("SA"))


@both("expiry/reuse-after-time-wait")
def reuse(lab):
    """A client may open the same five-tuple again while the old connection waits out its time."""
    established(lab)
    outbound(lab, tcp("FA"))
    inbound(lab, tcp("FA"))
    lab.wait(5)
    inbound(lab, tcp("S", seq=77))
    outbound(lab, tcp("SA", ack=78))
    inbound(lab, tcp("A", seq=78))


@both("expiry/reuse-takes-a-turn")
def reuse_takes_a_turn(lab):
    """The opener of a connection that was closed gets a server anew (IPVS's conn_reuse_mode 1), the next in turn."""
    lab.service(SERVICE, "tcp", "nat", [Real(station.at(8080)) for station in REALS])
    lab.single_worker = "each worker has a cursor of its own"
    inbound(lab, tcp("S"))
    outbound(lab, tcp("SA"))
    inbound(lab, tcp("A"))
    inbound(lab, tcp("RA"))
    inbound(lab, tcp("S", seq=77), REALS[1])
    inbound(lab, tcp("A", seq=78), REALS[1])
