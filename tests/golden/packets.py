"""Packets from their description, by scapy, which computes each length and checksum afresh.

An expectation is never a rewrite of an input: both are built from the same [`Datagram`], with other addresses.
"""

from dataclasses import dataclass, field
from typing import Callable

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.sctp import SCTP, SCTPChunkCookieEcho, SCTPChunkData, SCTPChunkInit, SCTPChunkSACK
from scapy.packet import Packet, Raw

from network import BROADCAST


def pattern(octets, salt=0):
    """Returns a payload of `octets` octets in which no two neighbours are alike."""
    return bytes((37 * i + 11 + salt) % 251 for i in range(octets))


@dataclass(frozen=True)
class Datagram:
    """A TCP segment, UDP datagram or SCTP packet in an IPv4 header, before it has addresses."""

    transport: Callable
    header: dict = field(default_factory=dict)

    def between(self, source, target, ttl=64, **header):
        """Returns the packet from one socket to another."""
        fields = {"id": 0x1234, "flags": "DF", **self.header, **header}
        ip = IP(src=source.address, dst=target.address, ttl=ttl, **fields)
        return ip / self.transport(source.port, target.port)

    def with_header(self, **header):
        """Returns the same datagram with other IPv4 header fields."""
        return Datagram(self.transport, {**self.header, **header})


def tcp(flags="S", payload=b"", seq=0x01020304, ack=None, header=None, **fields):
    """Returns a TCP segment's description."""
    ack = (0 if flags == "S" else 0x0A0B0C0D) if ack is None else ack

    def build(sport, dport):
        return TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, **fields) / payload

    return Datagram(build, header or {})


def udp(payload=b"", header=None, **fields):
    """Returns a UDP datagram's description; `chksum=0` sends it without a checksum."""
    return Datagram(lambda sport, dport: UDP(sport=sport, dport=dport, **fields) / payload, header or {})


def sctp(*chunks, header=None, tag=0x12345678, **fields):
    """Returns an SCTP packet's description; the chunks are scapy's, or octets. `chksum` is the CRC32c that it has."""

    def build(sport, dport):
        packet = SCTP(sport=sport, dport=dport, tag=tag, **fields)
        for chunk in chunks:
            packet = packet / chunk
        return packet

    return Datagram(build, header or {})


def init():
    """Returns the SCTP packet that opens an association; its verification tag is 0 (RFC 9260 §8.5.1)."""
    return sctp(SCTPChunkInit(init_tag=0x0A0B0C0D, a_rwnd=65536, n_out_streams=10, n_in_streams=10, init_tsn=77), tag=0)


def data_chunk(payload, tsn=77):
    """Returns an SCTP chunk that carries a whole message of user data."""
    return SCTPChunkData(beginning=1, ending=1, tsn=tsn, stream_id=1, data=payload)


def cookie_echo(octets=37):
    """Returns an SCTP chunk that brings a cookie back."""
    return SCTPChunkCookieEcho(cookie=pattern(octets))


def opener(protocol, payload=b""):
    """Returns a datagram that may open a connection of this protocol."""
    if protocol == "sctp":
        return init()
    return tcp("S") if protocol == "tcp" else udp(payload or b"hello")


def follower(protocol, payload=b""):
    """Returns a later datagram of a connection, with `payload`."""
    if protocol == "sctp":
        return sctp(data_chunk(payload) if payload else SCTPChunkSACK(cumul_tsn_ack=76, a_rwnd=65536))
    return tcp("PA" if payload else "A", payload, seq=0x01020305) if protocol == "tcp" else udp(payload)


def frame(source_mac, target_mac, packet, pad=False):
    """Returns the Ethernet frame's octets; with `pad`, as a NIC sends it: 60 octets at least, zeros at the end."""
    if isinstance(packet, Packet):
        octets = bytes(Ether(src=source_mac, dst=target_mac) / packet)
    else:
        octets = bytes(Ether(src=source_mac, dst=target_mac, type=0x0800)) + bytes(packet)
    return octets.ljust(60, b"\0") if pad else octets


def tunnelled(source, target, packet):
    """Returns `packet` inside another IPv4 packet, by RFC 2003 §3.1: TOS, TTL and DF are the inner header's."""
    inner = IP(bytes(packet))
    outer = IP(src=source, dst=target, proto=4, tos=inner.tos, ttl=inner.ttl, flags=int(inner.flags) & 2, id=0)
    return outer / Raw(bytes(packet))


QUOTE = 576 - 20 - 8


def time_exceeded(source, packet):
    """Returns the ICMP message that `packet`'s TTL ran out in transit (RFC 792, RFC 1812 §4.3.2)."""
    return error(source, packet, ICMP(type=11, code=0))


def net_unreachable(source, packet):
    """Returns the ICMP message that no route leads to where `packet` is sent (RFC 792, RFC 1812 §5.2.7.1)."""
    return error(source, packet, ICMP(type=3, code=0))


def fragmentation_needed(source, packet, mtu):
    """Returns the ICMP message that `packet` is too big for a link of `mtu` octets (RFC 1191 §4)."""
    return error(source, packet, ICMP(type=3, code=4, nexthopmtu=mtu))


def error(source, packet, icmp):
    """Returns an ICMP error about `packet`: precedence 6, 576 octets at most, the quote as it was received."""
    outer = IP(src=source, dst=packet[IP].src, tos=0xC0, ttl=64, id=0)
    return outer / icmp / Raw(bytes(packet)[:QUOTE])


def echo(source, target, payload=b"", kind=8, ttl=64, identifier=0x77, sequence=3, checksum=None, **header):
    """Returns an ICMP echo request, or with `kind=0` a reply."""
    ip = IP(src=source, dst=target, ttl=ttl, **{"id": 0x4321, **header})
    return ip / ICMP(type=kind, id=identifier, seq=sequence, chksum=checksum) / payload


def arp_request(sender_mac, sender, target, target_mac="00:00:00:00:00:00", ether_target=BROADCAST):
    """Returns an ARP request's frame, by RFC 826; broadcast, and the target's hardware address left 0."""
    arp = ARP(op=1, hwsrc=sender_mac, psrc=sender, hwdst=target_mac, pdst=target)
    return bytes(Ether(src=sender_mac, dst=ether_target) / arp)


def arp_reply(sender_mac, sender, target_mac, target, ether_target=None):
    """Returns an ARP reply's frame, to the target alone."""
    arp = ARP(op=2, hwsrc=sender_mac, psrc=sender, hwdst=target_mac, pdst=target)
    return bytes(Ether(src=sender_mac, dst=ether_target or target_mac) / arp)


def announcement(mac, address):
    """Returns an ARP announcement (RFC 5227 §2.3): a request whose sender and target are both the address."""
    return arp_request(mac, address, address)


def ones_complement_sum(octets):
    """Returns the folded 16-bit one's complement sum of `octets` (RFC 1071)."""
    octets += b"\0" * (len(octets) % 2)
    total = sum(int.from_bytes(octets[i : i + 2], "big") for i in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def transport_checksum(packet):
    """Returns the TCP or UDP checksum that scapy gives the packet."""
    built = IP(bytes(packet))
    return built[TCP].chksum if TCP in built else built[UDP].chksum


def payload_for(datagram, source, target, checksum):
    """Returns two octets of payload with which `datagram(payload)` has that transport checksum."""
    before = transport_checksum(datagram(b"\0\0").between(source, target))
    filler = ((~checksum & 0xFFFF) - (~before & 0xFFFF)) % 0xFFFF
    return filler.to_bytes(2, "big")
