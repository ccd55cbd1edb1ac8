"""Packets from their description, by scapy, which computes each length and checksum afresh.

An expectation is never a rewrite of an input: both are built from the same [`Datagram`], with other addresses.
"""

from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv6Address
from typing import Callable

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.layers.sctp import SCTP, SCTPChunkCookieEcho, SCTPChunkData, SCTPChunkInit, SCTPChunkSACK
from scapy.packet import Packet, Raw

from network import BROADCAST, family, here


def pattern(octets, salt=0):
    """Returns a payload of `octets` octets in which no two neighbours are alike."""
    return bytes((37 * i + 11 + salt) % 251 for i in range(octets))


def ip_header(source, target, ttl=64, protocol=None, **fields):
    """Returns an IP header of the addresses' family. Of IPv4's own fields IPv6 has but `tos`; IPv6's own are `label` and `extensions`."""
    source, target = here(source), here(target)
    if ":" not in target:
        number = {} if protocol is None else {"proto": protocol}
        return IP(src=source, dst=target, ttl=ttl, **number, **{name: value for name, value in fields.items() if name != "label"})
    number = {} if protocol is None else {"nh": protocol}
    return IPv6(src=source, dst=target, hlim=ttl, tc=fields.get("tos", 0), fl=fields.get("label", 0), **number)


def extended(packet, extensions):
    """Returns an IPv6 packet with extension headers: of each the number, and its octets but for the first, the next one's number."""
    built = IPv6(bytes(packet))
    numbers = [number for number, _ in extensions] + [built.nh]
    chain = b"".join(bytes([after]) + octets for (_, octets), after in zip(extensions, numbers[1:]))
    header = IPv6(src=built.src, dst=built.dst, hlim=built.hlim, tc=built.tc, fl=built.fl, nh=numbers[0])
    return header / Raw(chain + bytes(built)[40:])


@dataclass(frozen=True)
class Datagram:
    """A TCP segment, UDP datagram or SCTP packet in an IP header, before it has addresses."""

    transport: Callable
    header: dict = field(default_factory=dict)

    def between(self, source, target, ttl=64, **header):
        """Returns the packet from one socket to another."""
        fields = {**self.header, **header}
        if family() == 4:
            fields = {"id": 0x1234, "flags": "DF", **fields}
        packet = ip_header(source.address, target.address, ttl, **fields) / self.transport(source.port, target.port)
        return extended(packet, fields["extensions"]) if "extensions" in fields else packet

    def with_header(self, **header):
        """Returns the same datagram with other fields of the IP header."""
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


ETHERTYPES = {4: 0x0800, 6: 0x86DD}


LENGTHS = [0, 1, 2, 7, 535, "most-but-1", "most"]
HEADERS = {"tcp": 20, "udp": 8, "sctp": 28}


def payload(protocol, octets, packet=1500, salt=0):
    """Returns so many octets of payload: a number, or as many as fit into `packet` octets, or one less."""
    if not isinstance(octets, int):
        octets = packet - (20 if family() == 4 else 40) - HEADERS[protocol] - (octets == "most-but-1")
    return pattern(octets, salt)


def frame(source_mac, target_mac, packet, pad=False):
    """Returns the Ethernet frame's octets; with `pad`, as it may come over a link: 60 octets at least, zeros at the end."""
    if isinstance(packet, Packet):
        octets = bytes(Ether(src=source_mac, dst=target_mac) / packet)
    else:
        octets = bytes(Ether(src=source_mac, dst=target_mac, type=ETHERTYPES[family()])) + bytes(packet)
    return octets.ljust(max(60, len(octets) + 2), b"\0") if pad else octets


def dissect(packet):
    """Returns an IP packet as scapy reads it, with every field filled in."""
    octets = bytes(packet)
    return (IPv6 if octets[0] >> 4 == 6 else IP)(octets)


def tunnelled(source, target, packet):
    """Returns `packet` inside another IP packet, by RFC 2003 §3.1 and RFC 2473: traffic class and TTL are the inner header's; so is
    DF, and around IPv6 it is set above 1,280 octets (RFC 4213 §3.2.2)."""
    inner, source, target = dissect(packet), here(source), here(target)
    around_six = isinstance(inner, IPv6)
    tos, ttl = (inner.tc, inner.hlim) if around_six else (inner.tos, inner.ttl)
    number = 41 if around_six else 4
    if ":" in target:
        return IPv6(src=source, dst=target, nh=number, tc=tos, hlim=ttl) / Raw(bytes(packet))
    dont_fragment = 2 * (len(bytes(packet)) > 1280) if around_six else int(inner.flags) & 2
    return IP(src=source, dst=target, proto=number, tos=tos, ttl=ttl, flags=dont_fragment, id=0) / Raw(bytes(packet))


QUOTE = 576 - 20 - 8
QUOTE_SIX = 1280 - 40 - 8


def time_exceeded(source, packet):
    """Returns the ICMP message that `packet`'s TTL ran out in transit (RFC 792, RFC 1812 §4.3.2; RFC 4443 §3.3)."""
    return error(source, packet, ICMP(type=11, code=0), ICMPv6TimeExceeded(code=0))


def net_unreachable(source, packet):
    """Returns the ICMP message that no route leads to where `packet` is sent (RFC 792, RFC 1812 §5.2.7.1; RFC 4443 §3.1)."""
    return error(source, packet, ICMP(type=3, code=0), ICMPv6DestUnreach(code=0))


def too_big_message(source, packet, mtu):
    """Returns the ICMP message that `packet` is too big for a link of `mtu` octets (RFC 1191 §4; RFC 4443 §3.2, RFC 2473 §7.1)."""
    return error(source, packet, ICMP(type=3, code=4, nexthopmtu=mtu), ICMPv6PacketTooBig(mtu=max(mtu, 1280)))


def error(source, packet, icmp, icmpv6):
    """Returns an ICMP error about `packet`, the quote as it was received. Over IPv4 of precedence 6 and 576 octets at most, over
    IPv6 of 1,280 at most (RFC 4443 §2.4)."""
    offending = dissect(packet)
    if isinstance(offending, IPv6):
        return IPv6(src=here(source), dst=offending.src, hlim=64) / icmpv6 / Raw(bytes(packet)[:QUOTE_SIX])
    return IP(src=source, dst=offending.src, tos=0xC0, ttl=64, id=0) / icmp / Raw(bytes(packet)[:QUOTE])


def echo(source, target, payload=b"", kind=8, ttl=64, identifier=0x77, sequence=3, checksum=None, **header):
    """Returns an ICMP echo request, or with `kind=0` a reply."""
    if family() == 4:
        header = {"id": 0x4321, **header}
        message = ICMP(type=kind, id=identifier, seq=sequence, chksum=checksum) / payload
    else:
        message = ICMPv6EchoRequest if kind == 8 else ICMPv6EchoReply
        message = message(id=identifier, seq=sequence, data=payload, cksum=checksum)
    packet = ip_header(source, target, ttl, **header) / message
    return extended(packet, header["extensions"]) if "extensions" in header else packet


def arp_request(sender_mac, sender, target, target_mac="00:00:00:00:00:00", ether_target=BROADCAST):
    """Returns an ARP request's frame, by RFC 826; broadcast, and the target's hardware address left 0."""
    arp = ARP(op=1, hwsrc=sender_mac, psrc=sender, hwdst=target_mac, pdst=target)
    return bytes(Ether(src=sender_mac, dst=ether_target) / arp)


def arp_reply(sender_mac, sender, target_mac, target, ether_target=None):
    """Returns an ARP reply's frame, to the target alone."""
    arp = ARP(op=2, hwsrc=sender_mac, psrc=sender, hwdst=target_mac, pdst=target)
    return bytes(Ether(src=sender_mac, dst=ether_target or target_mac) / arp)


ALL_NODES = "ff02::1"
IS_ROUTER, IS_SOLICITED, OVERRIDES = 4, 2, 1
"""An advertisement's flags (RFC 4861 §4.4)."""


def group_of(address):
    """Returns the group that whoever has an IPv6 address listens to (RFC 4291 §2.7.1)."""
    low = int(IPv6Address(here(address))) & 0xFFFFFF
    return str(IPv6Address(int(IPv6Address("ff02::1:ff00:0")) | low))


def group_mac(group):
    """Returns an IPv6 group's Ethernet address (RFC 2464 §7)."""
    return "33:33:" + IPv6Address(group).packed[-4:].hex(":")


def solicitation(sender_mac, sender, target, to=None, ether_target=None, option=True, hops=255):
    """Returns the frame of a neighbour solicitation (RFC 4861 §4.3): who has `target`, tell `sender`; to the target's group."""
    to = to or group_of(target)
    packet = IPv6(src=here(sender), dst=here(to), hlim=hops) / ICMPv6ND_NS(tgt=here(target))
    if option:
        packet = packet / ICMPv6NDOptSrcLLAddr(lladdr=sender_mac)
    return bytes(Ether(src=sender_mac, dst=ether_target or group_mac(to)) / packet)


def advertisement(mac, target, to=ALL_NODES, ether_target=None, flags=IS_ROUTER | OVERRIDES, source=None, option=True, hops=255):
    """Returns the frame of a neighbour advertisement (RFC 4861 §4.4): `mac` has `target`; to all nodes, unasked."""
    na = ICMPv6ND_NA(tgt=here(target), R=flags >> 2, S=flags >> 1 & 1, O=flags & 1)
    packet = IPv6(src=here(source or target), dst=here(to), hlim=hops) / na
    if option:
        packet = packet / ICMPv6NDOptDstLLAddr(lladdr=mac)
    return bytes(Ether(src=mac, dst=ether_target or group_mac(to)) / packet)


def who_has(sender_mac, sender, target):
    """Returns the frame by which a station, or the director, asks all for an address's Ethernet address."""
    return (arp_request if family() == 4 else solicitation)(sender_mac, sender, target)


def is_at(mac, address, asker_mac, asker):
    """Returns the frame by which the director answers that."""
    if family() == 4:
        return arp_reply(mac, address, asker_mac, asker)
    return advertisement(mac, address, asker, asker_mac, IS_ROUTER | IS_SOLICITED | OVERRIDES)


def host_is_at(mac, address, asker_mac, asker):
    """Returns the frame by which a station that is no router answers that."""
    if family() == 4:
        return arp_reply(mac, address, asker_mac, asker)
    return advertisement(mac, address, asker, asker_mac, IS_SOLICITED | OVERRIDES)


@cache
def announcement(mac, address):
    """Returns what tells all that an address has come: an ARP announcement (RFC 5227 §2.3), which is a request whose sender and target
    are both the address; an unsolicited advertisement (RFC 4861 §7.2.6)."""
    return arp_request(mac, address, address) if ":" not in address else advertisement(mac, address)


def ones_complement_sum(octets):
    """Returns the folded 16-bit one's complement sum of `octets` (RFC 1071)."""
    octets += b"\0" * (len(octets) % 2)
    total = sum(int.from_bytes(octets[i : i + 2], "big") for i in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def transport_checksum(packet):
    """Returns the TCP or UDP checksum that scapy gives the packet."""
    built = dissect(packet)
    return built[TCP].chksum if TCP in built else built[UDP].chksum


def payload_for(datagram, source, target, checksum):
    """Returns two octets of payload with which `datagram(payload)` has that transport checksum."""
    before = transport_checksum(datagram(b"\0\0").between(source, target))
    filler = ((~checksum & 0xFFFF) - (~before & 0xFFFF)) % 0xFFFF
    return filler.to_bytes(2, "big")
