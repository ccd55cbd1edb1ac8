"""Frames of connections, in the golden tests' network (tests/golden/network.py)."""

import socket
import struct
import sys

from ..kit.lab import ROOT

sys.path.append(str(ROOT / "tests" / "golden"))

from capture import read_capture, write_capture  # noqa: E402, F401
from decoder import second_opinion  # noqa: E402, F401
from network import GATEWAY, LAN, REAL1, REAL2, VIP, WAN, Config, Real, Service, Socket, in_family  # noqa: E402, F401

STATIONS = (REAL1, REAL2)
"""The real servers of every service, in their order."""

NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
"""IPv4's protocol numbers."""

FLAGS = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10, "U": 0x20, "E": 0x40, "W": 0x80, "-": 0}
"""TCP's flags as tcpdump writes them, and "-" for none (RFC 9293 §3.1)."""

CHUNKS = {
    "data": 0, "init": 1, "init-ack": 2, "sack": 3, "heartbeat": 4, "abort": 6, "shutdown": 7, "shutdown-ack": 8,
    "error": 9, "cookie-echo": 10, "cookie-ack": 11, "shutdown-complete": 14,
}  # fmt: skip
"""SCTP's chunk types by name (RFC 9260 §3.2)."""


def checksum(octets):
    """Returns the internet checksum of `octets` (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(octets) // 2 + len(octets) % 2}H", octets + bytes(len(octets) % 2)))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def transport(protocol, ports, what):
    """Returns a packet of `what`, and where its checksum is: TCP by its flags, SCTP by its chunks, UDP by its payload."""
    if protocol == "tcp":
        flags = sum(FLAGS[flag] for flag in what)
        body = b"payload" if "P" in what else b""
        return struct.pack("!HHIIBBHHH", *ports, 0x01020304, 0x0A0B0C0D, 0x50, flags, 64240, 0, 0) + body, 16
    if protocol == "udp":
        return struct.pack("!HHHH", *ports, 8 + len(what), 0) + what.encode(), 6
    # Of a chunk a director reads the header; of the packet's CRC32c nothing.
    chunks = b"".join(struct.pack("!BBH", CHUNKS[name], 0, 20) + bytes(16) for name in what.split("+"))
    return struct.pack("!HHII", *ports, 0x12345678, 0) + chunks, None


def frame(source, target, protocol, what):
    """Returns the frame of a packet; source and target are an Ethernet address and a socket each."""
    (source_mac, source), (target_mac, target) = source, target
    addresses = socket.inet_aton(source.address) + socket.inet_aton(target.address)
    body, place = transport(protocol, (source.port, target.port), what)
    if place is not None:
        pseudo = addresses + struct.pack("!HH", NUMBERS[protocol], len(body))
        body = body[:place] + struct.pack("!H", checksum(pseudo + body)) + body[place + 2 :]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0x1234, 0x4000, 64, NUMBERS[protocol], 0) + addresses
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    macs = bytes.fromhex((target_mac + source_mac).replace(":", ""))
    return (macs + b"\x08\x00" + head + body).ljust(60, b"\0")


def from_client(sequence, what, wan):
    """Returns the frame of a client's packet, as the port `wan` receives it."""
    return frame((GATEWAY.mac, sequence.client), (wan.mac, sequence.service), sequence.protocol, what)


def from_server(sequence, what, lan, station):
    """Returns the frame of a real server's answer, as the port `lan` receives it."""
    return frame((station.mac, station.at(sequence.real_port)), (lan.mac, sequence.client), sequence.protocol, what)


def for_nobody():
    """Returns a frame for another station: it brings a capture's clock to where it is to end."""
    return bytes.fromhex("02000000ffff" "02000000fffe" "0800") + bytes(46)
