"""Frames that a director sent, read as far as is needed to say whose they are, what they are, and to compare them."""

import ipaddress
import struct
from dataclasses import dataclass

from .frames import checksum

ERRORS = {1: (3, 4, 5, 11, 12), 58: (1, 2, 3, 4)}
"""The types of ICMP's errors by its protocol number."""
GROUPS = (b"\x33\x33", b"\x01\x00")


@dataclass(frozen=True)
class Left:
    """A frame that left by a port."""

    port: str
    octets: bytes

    @property
    def packet(self):
        """Its IP packet."""
        return self.octets[14:]

    def __str__(self):
        return f"{self.port}: {told(self.packet)} [{self.octets.hex()[:200]}]"


def is_noise(octets):
    """Tells whether a frame is what directors and kernels say of themselves: ARP, and IPv6's of a link."""
    if octets[12:14] == b"\x08\x06":
        return True
    packet = octets[14:]
    return octets[:2] == b"\x33\x33" and octets[12:14] == b"\x86\xdd" and (packet[6] == 58 or packet[6] == 0)


def layers(packet):
    """Yields each IP packet in a packet, from the outermost: those in tunnels and those that ICMP errors quote, as
    (family, source, target, protocol, payload)."""
    while len(packet) >= 20:
        if packet[0] >> 4 == 4:
            head = 4 * (packet[0] & 15)
            family, source, target, protocol, payload = 4, packet[12:16], packet[16:20], packet[9], packet[head:]
        elif len(packet) >= 40:
            family, source, target = 6, packet[8:24], packet[24:40]
            protocol, payload = walked(packet[6], packet[40:])
        else:
            return
        yield family, source, target, protocol, payload
        if protocol in (4, 41):
            packet = payload
        elif protocol in ERRORS and payload[:1] and payload[0] in ERRORS[protocol]:
            packet = payload[8:]
        else:
            return


def walked(protocol, payload):
    """Returns what is behind IPv6's extension headers, and its protocol."""
    while protocol in (0, 43, 51, 60) or protocol == 44 and payload[2:4] in (b"\0\0", b"\0\1"):
        if len(payload) < 8:
            break
        octets = 8 if protocol == 44 else 4 * (payload[1] + 2) if protocol == 51 else 8 * (payload[1] + 1)
        protocol, payload = payload[0], payload[octets:]
    return protocol, payload


def client_of(packet, clients, martians):
    """Returns whose a packet is: the client's by whose address it comes or goes, inside too, or by whose port where the address is no
    client's; None if it is nobody's."""
    for _, source, target, _, payload in layers(packet):
        for address in (target, source):
            if address in clients:
                return clients[address]
        if len(payload) >= 4:
            for port in struct.unpack("!HH", payload[:4]):
                if port in martians:
                    return martians[port]
    return None


def told(packet):
    """Returns a line about a packet."""
    parts = []
    for family, source, target, protocol, payload in layers(packet):
        text = f"{ipaddress.ip_address(source)} > {ipaddress.ip_address(target)}"
        if protocol in (6, 17, 132) and len(payload) >= 4:
            ports = struct.unpack("!HH", payload[:4])
            flags = f" flags {payload[13]:#04x}" if protocol == 6 and len(payload) > 13 else ""
            text += f" {({6: 'TCP', 17: 'UDP', 132: 'SCTP'})[protocol]} {ports[0]} > {ports[1]}{flags}"
        elif protocol in (1, 58) and len(payload) >= 8:
            text += f" ICMP {payload[0]}/{payload[1]} {payload[4:8].hex()}"
        else:
            text += f" protocol {protocol}"
        parts.append(text)
    return " | ".join(parts) + f" ({len(packet)} octets)"


def fragment_of(packet):
    """Returns what tells a packet's fragments from others', and the place of this one in it."""
    if packet[0] >> 4 == 6:
        return (packet[44:48], packet[8:40]), int.from_bytes(packet[42:44], "big") >> 3 if packet[6] == 44 else 0
    return (packet[4:6], packet[9:10], packet[12:20]), int.from_bytes(packet[6:8], "big") & 0x1FFF


def without_sum(packet):
    """Returns an IPv4 packet with its header's checksum 0 if it was right; if it was not, as it is."""
    end = 4 * (packet[0] & 15)
    return packet[:10] + b"\0\0" + packet[12:] if checksum(packet[:end]) == 0 else packet
