"""What a capture tells of new connections to real servers: when each was sent, from which port, to whom."""

import struct
from collections import namedtuple

# Of a client's SYN as it leaves the director: the moment, the client's port, and the Ethernet address it goes to.
Opening = namedtuple("Opening", "at source port mac")

IPIP, TCP = 4, 6
SYN, ACK = 0x02, 0x10
# For tcpdump: SYNs, and packets in tunnels, of which those with SYNs are found here.
OPENINGS = "(tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn) or ip proto 4"


def records(file):
    """Goes through the frames of a capture that may still be written: time, octets."""
    data = file.read_bytes()
    at = 24
    while at + 16 <= len(data):
        seconds, micros, length = struct.unpack_from("<III", data, at)
        if at + 16 + length > len(data):
            return
        yield seconds + micros / 1e6, data[at + 16:at + 16 + length]
        at += 16 + length


def opening(at, frame):
    """Returns the opening of a connection that a frame holds, if it is one."""
    start = 14
    for _ in range(2):
        if len(frame) < start + 20 or frame[12:14] != b"\x08\x00":
            return None
        length, protocol = (frame[start] & 15) * 4, frame[start + 9]
        source = ".".join(map(str, frame[start + 12:start + 16]))
        start += length
        if protocol == TCP and len(frame) >= start + 14:
            if frame[start + 13] & (SYN | ACK) != SYN:
                return None
            return Opening(at, source, struct.unpack_from("!H", frame, start)[0], frame[0:6].hex(":"))
        if protocol != IPIP:
            return None
    return None


def openings(file, since=0.0):
    """Returns the openings in a capture, each once: one that is sent again is not new."""
    seen, found = set(), []
    for at, frame in records(file):
        if at < since:
            continue
        one = opening(at, frame)
        if one and (one.source, one.port, one.mac) not in seen:
            seen.add((one.source, one.port, one.mac))
            found.append(one)
    return found


def arrivals(file, since, until):
    """Returns when SYNs arrived, all of them."""
    return [at for at, frame in records(file) if since <= at < until and opening(at, frame)]
