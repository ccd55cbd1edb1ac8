"""SCTP (RFC 9260): associations by each method, what their states are seen to last, and the CRC32c."""

from scapy.layers.sctp import (
    SCTP,
    SCTPChunkAbort,
    SCTPChunkCookieAck,
    SCTPChunkInitAck,
    SCTPChunkSACK,
    SCTPChunkShutdown,
    SCTPChunkShutdownAck,
    SCTPChunkShutdownComplete,
)

from network import CLIENT, GATEWAY, LAN, REAL1, REALS, Real, Socket, VIP, WAN
from packets import cookie_echo, data_chunk, dissect, init, pattern, payload, sctp, tunnelled
from scenario import both

SERVICE = Socket(VIP, 3868)
SERVER = REAL1.at(2905)

LATE = 2.0
"""A connection may live this much longer than its timeout: two ticks, and one round of the sweep."""

ANSWER_TAG = 0x0A0B0C0D

INIT_ACK = SCTPChunkInitAck(init_tag=0x12345678, a_rwnd=65536, n_out_streams=10, n_in_streams=10, init_tsn=500)
SACK = SCTPChunkSACK(cumul_tsn_ack=77, a_rwnd=65536)
HEARTBEAT = b"\x04\0\0\x0c\0\x01\0\x08" + pattern(4)


def answer(*chunks):
    return sctp(*chunks, tag=ANSWER_TAG)


def one_server(lab, method="nat", server=SERVER):
    lab.service(SERVICE, "sctp", method, [Real(server if method == "nat" else REAL1.at(3868))])


def inbound(lab, packet, station=REAL1, **leaving):
    lab.arrives(WAN, GATEWAY, packet.between(CLIENT, SERVICE), "forwarded_nat_in")
    lab.leaves(LAN, station, packet.between(CLIENT, station.at(2905), 63), **leaving)


def outbound(lab, packet, station=REAL1):
    lab.arrives(LAN, station, packet.between(station.at(2905), CLIENT), "forwarded_nat_out")
    lab.leaves(WAN, GATEWAY, packet.between(SERVICE, CLIENT, 63))


def one_way(lab, method, packet):
    """A client's packet by a method that the director does not translate by."""
    lab.arrives(WAN, GATEWAY, packet.between(CLIENT, SERVICE), f"forwarded_{method}")
    onward = packet.between(CLIENT, SERVICE, 63)
    if method == "tunnel":
        onward = tunnelled(LAN.address, REAL1.address, onward)
    lab.leaves(LAN, REAL1, onward, free_id=method == "tunnel")


def opened(lab):
    """A service with one server, and a client's association with it."""
    one_server(lab)
    inbound(lab, init())
    outbound(lab, answer(INIT_ACK))
    inbound(lab, sctp(cookie_echo()))
    outbound(lab, answer(SCTPChunkCookieAck()))


def forgotten(lab):
    """The association must be gone: a packet in the middle of it belongs to none."""
    lab.arrives(WAN, GATEWAY, sctp(SACK).between(CLIENT, SERVICE), "drop_no_connection")
    lab.arrives(LAN, REAL1, answer(SACK).between(SERVER, CLIENT), "drop_no_connection_reply")


def lives(lab, seconds):
    """The association lives for so long after its last packet, and then no longer."""
    lab.wait(seconds + LATE)
    lab.arrives(WAN, GATEWAY, sctp(SACK).between(CLIENT, Socket(VIP, 3869)), "drop_no_service")
    forgotten(lab)


@both("sctp/nat/session-closed-by-{side}", side=["client", "server"])
def session(lab, side):
    """A whole association crosses in both directions, from INIT to SHUTDOWN COMPLETE."""
    opened(lab)
    inbound(lab, sctp(data_chunk(b"Capabilities-Exchange")))
    outbound(lab, answer(SACK, data_chunk(pattern(1000), tsn=500)))
    inbound(lab, sctp(SACK, data_chunk(pattern(3)), data_chunk(pattern(6), tsn=78)))
    here, there = (inbound, outbound) if side == "client" else (outbound, inbound)
    to, fro = (sctp, answer) if side == "client" else (answer, sctp)
    here(lab, to(SCTPChunkShutdown(cumul_tsn_ack=500)))
    there(lab, fro(SCTPChunkShutdownAck()))
    here(lab, to(SCTPChunkShutdownComplete()))


@both("sctp/nat/data")
def data(lab):
    """User data of every kind of length, with its padding, is under a right CRC32c both ways."""
    opened(lab)
    for octets in (1, 2, 3, 4, 5, 255, 767, 768, 769, 1000, "most-but-1", "most"):
        inbound(lab, sctp(data_chunk(payload("sctp", octets))))
        outbound(lab, answer(data_chunk(payload("sctp", octets, salt=5), tsn=500)))


@both("sctp/{method}/data", method=["tunnel", "direct"])
def data_one_way(lab, method):
    """The same by the methods that leave a packet as it is."""
    one_server(lab, method)
    one_way(lab, method, init())
    one_way(lab, method, sctp(cookie_echo()))
    packet = {"direct": 1500, "tunnel": 1480 if lab.family == 4 else 1460}[method]
    for octets in (1, 2, 3, 4, 535, "most-but-1", "most"):
        one_way(lab, method, sctp(data_chunk(payload("sctp", octets, packet))))


@both("sctp/{method}/session", method=["tunnel", "direct"])
def session_one_way(lab, method):
    """The client's half of an association, whose answers go past the director."""
    one_server(lab, method)
    one_way(lab, method, init())
    shutdown = SCTPChunkShutdown(cumul_tsn_ack=500)
    for chunk in (cookie_echo(), data_chunk(b"hello"), SACK, shutdown, SCTPChunkShutdownComplete()):
        one_way(lab, method, sctp(chunk))


@both("sctp/nat/chunk-types")
def any_chunk(lab):
    """Chunks that change nothing, unknown ones included, cross like data."""
    opened(lab)
    for number in (4, 5, 9, 12, 13, 15, 63, 160, 192, 255):
        parameter = b"\0\x01\0\x08" + pattern(4) if number in (4, 5) else b"\0\x03\0\x08" + pattern(4)
        chunk = bytes([number, 0, 0, 12]) + parameter
        inbound(lab, sctp(chunk))
        outbound(lab, answer(chunk))


@both("sctp/nat/init-with-addresses")
def addresses_in_init(lab):
    """Addresses that an INIT lists (RFC 9260 §3.3.2.1) pass as they are."""
    one_server(lab)
    addresses = b"\0\x05\0\x08\xc6\x33\x64\x07" + b"\0\x05\0\x08\xc6\x33\x64\x08"
    chunk = b"\x01\0\0\x24" + bytes(init().transport(1, 2))[16:32] + addresses
    inbound(lab, sctp(chunk, tag=0))


@both("sctp/nat/same-port")
def same_port(lab):
    """A real server that listens on the service's own port: only the address changes, which no CRC32c covers."""
    server = REAL1.at(3868)
    one_server(lab, server=server)
    for packet in (init(), sctp(cookie_echo())):
        lab.arrives(WAN, GATEWAY, packet.between(CLIENT, SERVICE), "forwarded_nat_in")
        lab.leaves(LAN, REAL1, packet.between(CLIENT, server, 63))


def damaged(packet, wrong):
    """Returns the packet with these bits of its CRC32c inverted."""
    packet = dissect(packet)
    packet[SCTP].chksum ^= wrong
    return packet


@both("sctp/nat/wrong-checksum-stays-wrong")
def wrong_sum(lab):
    """A packet damaged before it came is not made to look whole: its CRC32c is wrong in the same bits."""
    opened(lab)
    for wrong in (1, 0x80000000, 0xFFFFFFFF):
        packet = sctp(data_chunk(pattern(50)))
        for port, station, outcome, before, out, to, after in (
            (WAN, GATEWAY, "forwarded_nat_in", (CLIENT, SERVICE), LAN, REAL1, (CLIENT, SERVER)),
            (LAN, REAL1, "forwarded_nat_out", (SERVER, CLIENT), WAN, GATEWAY, (SERVICE, CLIENT)),
        ):
            lab.arrives(port, station, damaged(packet.between(*before), wrong), outcome)
            lab.leaves(out, to, damaged(packet.between(*after, 63), wrong), broken_sum=True)


@both("sctp/mid-stream/{chunk}", chunk=["data", "sack", "cookie-echo", "shutdown", "abort", "heartbeat", "init-ack"])
def mid_stream(lab, chunk):
    """An SCTP packet that does not open an association and belongs to none is dropped and counted."""
    one_server(lab)
    chunks = {
        "data": data_chunk(b"lost"),
        "sack": SACK,
        "cookie-echo": cookie_echo(),
        "shutdown": SCTPChunkShutdown(),
        "abort": SCTPChunkAbort(),
        "heartbeat": HEARTBEAT,
        "init-ack": INIT_ACK,
    }
    lab.arrives(WAN, GATEWAY, sctp(chunks[chunk]).between(CLIENT, SERVICE), "drop_no_connection")


@both("sctp/init-behind-data")
def init_behind_data(lab):
    """An INIT must be alone in its packet (RFC 9260 §3.2): behind another chunk it opens nothing."""
    one_server(lab)
    packet = sctp(bytes(data_chunk(b"data")) + bytes(init().transport(1, 2))[12:])
    lab.arrives(WAN, GATEWAY, packet.between(CLIENT, SERVICE), "drop_no_connection")


@both("sctp/expiry/established")
def established(lab):
    """An open association lives for 900 s after its last packet, and each packet renews it."""
    opened(lab)
    for seconds in (890, 895):
        lab.wait(seconds)
        outbound(lab, answer(HEARTBEAT))
    lives(lab, 900)


@both("sctp/expiry/init-unanswered")
def init_unanswered(lab):
    """After one INIT a connection lives for 4 s (INIT1)."""
    one_server(lab)
    inbound(lab, init())
    lives(lab, 4)


@both("sctp/expiry/init-repeated")
def init_repeated(lab):
    """With its INIT repeated it lives for 61 s (INIT)."""
    one_server(lab)
    inbound(lab, init())
    lab.wait(3)
    inbound(lab, init())
    lab.wait(59)
    outbound(lab, answer(INIT_ACK))
    lives(lab, 61)


@both("sctp/expiry/rejected")
def rejected(lab):
    """An INIT that the real server answers with ABORT leaves a connection of 4 s (REJECTED)."""
    one_server(lab)
    inbound(lab, init())
    outbound(lab, answer(SCTPChunkAbort()))
    lives(lab, 4)


@both("sctp/expiry/closed")
def closed(lab):
    """After SHUTDOWN COMPLETE it lives for 61 s more."""
    opened(lab)
    outbound(lab, answer(SCTPChunkShutdown(cumul_tsn_ack=77)))
    inbound(lab, sctp(SCTPChunkShutdownAck()))
    outbound(lab, answer(SCTPChunkShutdownComplete()))
    lab.wait(59)
    inbound(lab, sctp(SACK))
    lives(lab, 61)


@both("sctp/expiry/cookie-with-abort")
def cookie_with_abort(lab):
    """An ABORT bundled behind the COOKIE ECHO closes: 61 s, where the cookie alone by direct routing opens for 900."""
    one_server(lab, "direct")
    one_way(lab, "direct", init())
    one_way(lab, "direct", sctp(cookie_echo(), SCTPChunkAbort()))
    lab.wait(61 + LATE)
    lab.arrives(WAN, GATEWAY, sctp(SACK).between(CLIENT, Socket(VIP, 3869)), "drop_no_service")
    lab.arrives(WAN, GATEWAY, sctp(SACK).between(CLIENT, SERVICE), "drop_no_connection")


@both("sctp/expiry/cookie-opens-one-way")
def cookie_opens(lab):
    """Where answers are not seen the client's cookie opens: the association lives for 900 s."""
    one_server(lab, "direct")
    one_way(lab, "direct", init())
    one_way(lab, "direct", sctp(cookie_echo(5), data_chunk(b"bundled")))
    lab.wait(890)
    one_way(lab, "direct", sctp(SACK))


@both("sctp/reuse-takes-a-turn")
def reuse(lab):
    """The INIT of an association that was closed gets a server anew (IPVS's conn_reuse_mode 1), the next in turn."""
    lab.service(SERVICE, "sctp", "nat", [Real(station.at(2905)) for station in REALS])
    lab.single_worker = "each worker has a cursor of its own"
    inbound(lab, init())
    outbound(lab, answer(INIT_ACK))
    inbound(lab, sctp(cookie_echo()))
    inbound(lab, init())
    inbound(lab, sctp(SCTPChunkAbort()))
    inbound(lab, init(), REALS[1])
    outbound(lab, answer(INIT_ACK), REALS[1])
