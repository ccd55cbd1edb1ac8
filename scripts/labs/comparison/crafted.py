"""Packets of either family, octet by octet as they are asked for: right ones, and ones that are wrong in one place."""

import ipaddress
import struct

from .frames import checksum

TCP, UDP, SCTP = 6, 17, 132
NUMBERS = {"tcp": TCP, "udp": UDP, "sctp": SCTP}
ICMP = {4: 1, 6: 58}
"""ICMP's protocol number by family."""
ETHERTYPES = {4: 0x0800, 6: 0x86DD}
HEADERS = {4: 20, 6: 40}
"""Octets of an IP header without options or extension headers."""


def raw(address):
    """Returns an address as it stands in a header."""
    return ipaddress.ip_address(address).packed


def family_of(address):
    """Returns 4 or 6."""
    return 6 if ":" in address else 4


def pattern(octets, salt=0):
    """Returns so many octets of payload."""
    return bytes((37 * i + 11 + salt) % 251 for i in range(octets))


def ip(source, target, protocol, body, ttl=64, tos=0, identification=0x1234, flags=2, options=b"", label=0, chain=()):
    """Returns an IP packet. IPv4's own are `identification`, `flags` (2 is DF) and `options`, IPv6's are `label` and `chain`: extension
    headers, of each the number, and its octets but for the first."""
    if family_of(target) == 6:
        numbers = [*(number for number, _ in chain), protocol]
        body = b"".join(bytes([after]) + octets for (_, octets), after in zip(chain, numbers[1:])) + body
        head = struct.pack("!IHBB", 6 << 28 | tos << 20 | label, len(body), numbers[0], ttl)
        return head + raw(source) + raw(target) + body
    words, total = 5 + len(options) // 4, 20 + len(options) + len(body)
    head = struct.pack("!BBHHHBBH", 0x40 | words, tos, total, identification, flags << 13, ttl, protocol, 0)
    return with_header_sum(head + raw(source) + raw(target) + options + body)


def with_header_sum(packet):
    """Returns an IPv4 packet with its header's checksum right."""
    end = 4 * (packet[0] & 15)
    return packet[:10] + struct.pack("!H", checksum(packet[:10] + b"\0\0" + packet[12:end])) + packet[12:]


def summed(source, target, protocol, body, place):
    """Returns a transport packet with its checksum, which covers the addresses, in `place`."""
    pseudo = raw(source) + raw(target) + struct.pack("!II", len(body), protocol)
    total = checksum(pseudo + body[:place] + b"\0\0" + body[place + 2 :])
    return body[:place] + struct.pack("!H", total or 0xFFFF * (protocol == UDP)) + body[place + 2 :]


def tcp(source, target, flags=0x02, payload=b"", seq=0x01020304, ack=0, options=b"", offset=None, reserved=0, window=64240, urgent=0):
    """Returns a TCP segment between two sockets."""
    offset = 5 + len(options) // 4 if offset is None else offset
    head = struct.pack("!HHIIBBHHH", source.port, target.port, seq, ack, offset << 4 | reserved, flags, window, 0, urgent)
    return summed(source.address, target.address, TCP, head + options + payload, 16)


def udp(source, target, payload=b"", length=None):
    """Returns a UDP datagram between two sockets."""
    length = 8 + len(payload) if length is None else length
    body = struct.pack("!HHHH", source.port, target.port, length, 0) + payload
    return summed(source.address, target.address, UDP, body, 6)


CRC = [0] * 256
for _n in range(256):
    _value = _n
    for _ in range(8):
        _value = _value >> 1 ^ (0x82F63B78 if _value & 1 else 0)
    CRC[_n] = _value


def crc32c(octets):
    """Returns the CRC32c of `octets` (RFC 9260, appendix A)."""
    value = 0xFFFFFFFF
    for octet in octets:
        value = value >> 8 ^ CRC[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF


def sctp(source, target, kind=1, body=bytes(16), tag=None):
    """Returns an SCTP packet of one chunk between two sockets; an INIT's tag is 0."""
    tag = (0 if kind == 1 else 0x12345678) if tag is None else tag
    chunk = struct.pack("!BBH", kind, 3 * (kind == 0), 4 + len(body)) + body + bytes(-len(body) % 4)
    head = struct.pack("!HHI", source.port, target.port, tag)
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk


def icmp(source, target, kind, code=0, rest=0, data=b""):
    """Returns an ICMP message of the addresses' family: IPv6's sum covers them (RFC 4443 §2.3)."""
    body = struct.pack("!BBHI", kind, code, 0, rest) + data
    if family_of(target) == 6:
        return summed(source, target, ICMP[6], body, 2)
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def framed(source_mac, target_mac, packet, ethertype=None):
    """Returns a packet's frame, padded as a network card pads it."""
    ethertype = ethertype or ETHERTYPES[6 if packet[:1] and packet[0] >> 4 == 6 else 4]
    macs = bytes.fromhex((target_mac + source_mac).replace(":", ""))
    return (macs + struct.pack("!H", ethertype) + packet).ljust(60, b"\0")
