"""Conversations of every kind that IPVS handles, and of some that it does not."""

import struct

from . import crafted
from .conversation import MTU, ROUTER_IN, kind
from .conversation import draw as draw  # drawn from here, all kinds are there
from .crafted import HEADERS, ICMP, NUMBERS, icmp, ip, pattern, sctp, tcp, udp
from .frames import REAL1, VIP, WAN, Socket, in_family

NOBODY_PORT = 7_777


def most(conversation, octets):
    """Returns as many octets of payload as make a later packet of `octets`."""
    headers = HEADERS[conversation.family] + {"tcp": 20, "udp": 8, "sctp": 28}[conversation.protocol]
    return pattern(octets - headers)


def room(conversation):
    """Returns the largest packet of a client that fits the link to the real server."""
    outer = {"tunnel": conversation.family, "tunnel-other": 10 - conversation.family}.get(conversation.method)
    return MTU["lan"] - HEADERS.get(outer, 0)


def drawn_header(chance, family):
    """Returns fields of an IP header at random."""
    fields = {"ttl": chance.choice((2, 3, 64, 128, 255)), "tos": chance.choice((0, 0, 1, 2, 3, 0x10, 0xB8, 0xFF, chance.randrange(256)))}
    if family == 6:
        return {**fields, "label": chance.choice((0, chance.randrange(1 << 20)))}
    return {**fields, "identification": chance.randrange(1 << 16), "flags": chance.choice((0, 2, 2, 2))}


@kind("plain", times=8)
def plain(one, chance, _):
    """Whole packets with headers drawn at random, both ways by NAT."""
    one.opens()
    for _ in range(2):
        one.comes(2, one.ask(one.more(pattern(chance.randrange(1, 1200), chance.randrange(99))), **drawn_header(chance, one.family)))
        if one.method == "nat":
            one.comes(3, one.answer(one.back(pattern(chance.randrange(1, 1200))), **drawn_header(chance, one.family)), "lan")


@kind("opener with a drawn header", times=4)
def drawn_opener(one, chance, _):
    """First packets likewise."""
    one.comes(0, one.ask(one.opener(pattern(chance.randrange(300))), **drawn_header(chance, one.family)))


TCP_OPTIONS = (
    bytes.fromhex("020405b4"), bytes.fromhex("020405b4 0402 080a 11223344 00000000 01 030307".replace(" ", "")),
    b"\x01" * 40, bytes.fromhex("13120000000000000000000000000000000000000101"),
)  # fmt: skip


@kind("SYN with options", times=len(TCP_OPTIONS), protocols=("tcp",))
def syn_options(one, _, turn):
    """Openers with TCP options: MSS, SACK, time stamps, window scale, the longest, a signature."""
    options = TCP_OPTIONS[turn]
    one.comes(0, one.ask(tcp(one.client, one.service, options=options + b"\x01" * (-len(options) % 4))))


@kind("flags that open, or not", times=64, protocols=("tcp",), methods=("nat", "direct"))
def first_flags(one, _, turn):
    """A first packet of each combination of TCP's flags."""
    one.comes(0, one.ask(tcp(one.client, one.service, turn, ack=7)))


@kind("flags in a connection", times=64, protocols=("tcp",), methods=("nat", "tunnel"))
def later_flags(one, chance, turn):
    """A later packet of each combination of TCP's flags, with reserved bits and an urgent pointer at random, and one more."""
    one.opens()
    odd = {"reserved": chance.randrange(16), "urgent": chance.randrange(1 << 16), "window": chance.randrange(1 << 16)}
    one.comes(2, one.ask(tcp(one.client, one.service, turn | chance.choice((0, 0x40, 0x80)), ack=7, **odd)))
    one.comes(2, one.ask(one.more(b"more")))


@kind("flags from the real server", times=32, protocols=("tcp",), methods=("nat",))
def server_flags(one, chance, turn):
    """A real server's later packet of each combination of TCP's flags but URG, and one more."""
    one.opens()
    one.comes(3, one.answer(tcp(one.server, one.client, turn, ack=7, reserved=chance.randrange(16))), "lan")
    one.comes(3, one.answer(one.back(b"more")), "lan")


@kind("TTL that ends here", times=2)
def ttl(one, _, turn):
    """A packet of one hop, or none, of a known connection; and one that opens."""
    one.opens()
    one.comes(2, one.ask(one.more(b"late"), ttl=turn))
    if one.method == "nat":
        one.comes(3, one.answer(one.back(b"late"), ttl=turn), "lan")


@kind("opener whose TTL ends here", times=2)
def opener_ttl(one, _, turn):
    """A first packet of one hop, or none; and one more."""
    one.comes(0, one.ask(one.opener(), ttl=turn))
    one.comes(2, one.ask(one.more(b"more")))


@kind("as large as fits")
def fits(one, _, __):
    """The largest packets that fit the next link."""
    one.opens()
    one.comes(2, one.ask(one.more(most(one, room(one) & ~3))))
    if one.method == "nat":
        one.comes(3, one.answer(one.back(most(one, MTU["wan"]))), "lan")


@kind("too big", times=2)
def too_big(one, _, turn):
    """A packet that is too big for the next link by a little, or by as much as can be; IPv4's with DF."""
    one.opens()
    one.comes(2, one.ask(one.more(most(one, (room(one) + 4 & ~3) if turn else 1500))))
    if one.method == "nat":
        one.comes(3, one.answer(one.back(most(one, 1304 if turn else 1400))), "lan")


@kind("too big without DF", families=(4,))
def too_big_without_df(one, _, __):
    """A packet that routers may fragment."""
    one.opens()
    one.comes(2, one.ask(one.more(most(one, 1480)), flags=0))
    if one.method == "nat":
        one.comes(3, one.answer(one.back(most(one, 1400)), flags=0), "lan")


OPTIONS = {
    "router alert": "94040000", "padding": "01010101", "unknown": "5e0801020304050600", "record route": "070704 00000000 00",
    "time stamp": "440c0500 00000000 00000000", "loose source route": "830704 c6120001 00", "malformed": "94000000",
    "stream id": "88040001",
}  # fmt: skip


@kind("IPv4 options", times=len(OPTIONS), families=(4,))
def options(one, _, turn):
    """Options that stay, and those that routers write to."""
    name, text = list(OPTIONS.items())[turn]
    one.kind = f"IPv4 option: {name}"
    octets = bytes.fromhex(text.replace(" ", ""))
    octets += bytes(-len(octets) % 4)
    one.opens()
    one.comes(2, one.ask(one.more(b"data"), options=octets))
    if one.method == "nat":
        one.comes(3, one.answer(one.back(b"data"), options=octets), "lan")


PADDING = b"\0\x01\x04\0\0\0\0"
CHAINS = {
    "hop-by-hop options": [(0, PADDING)],
    "router alert": [(0, b"\0\x05\x02\0\0\x01\0")],
    "destination options": [(60, PADDING)],
    "unknown option to be skipped": [(60, b"\0\x1e\x04\0\0\0\0")],
    "three": [(0, PADDING), (60, PADDING), (60, PADDING)],
    "eight": [(60, PADDING)] * 8,
    "nine": [(60, PADDING)] * 9,
    "routing, no segment left": [(43, b"\x02\x04\0\0\0\0\0" + bytes(16))],
    "routing, a segment left": [(43, b"\x02\x04\x01\0\0\0\0" + pattern(16))],
    "routing of type 0": [(43, b"\x02\0\x01\0\0\0\0" + pattern(16))],
    "authentication": [(51, b"\x04\0\0" + pattern(20))],
    "atomic fragment": [(44, b"\0\0\0\x12\x34\x56\x78")],
    "hop-by-hop options behind others": [(60, PADDING), (0, PADDING)],
    "longer than the packet": [(60, b"\x40\x01\x04\0\0\0\0")],
}


@kind("extension headers", times=len(CHAINS), families=(6,))
def extensions(one, _, turn):
    """Extension headers before the transport header."""
    name, chain = list(CHAINS.items())[turn]
    one.kind = f"extension headers: {name}"
    one.opens()
    one.comes(2, one.ask(one.more(b"data"), chain=chain))
    if one.method == "nat":
        one.comes(3, one.answer(one.back(b"data"), chain=chain), "lan")


@kind("opener behind extension headers", times=3, families=(6,))
def extended_opener(one, _, turn):
    """First packets behind extension headers."""
    one.comes(0, one.ask(one.opener(), chain=list(CHAINS.values())[turn]))


def damaged(packet, place, bits=1):
    """Returns octets with a bit turned over."""
    return packet[:place] + bytes([packet[place] ^ bits]) + packet[place + 1 :]


SUMS = {"tcp": 16, "udp": 6, "sctp": 8}


@kind("wrong transport checksum", times=3)
def bad_sum(one, chance, turn):
    """Sums that are wrong in the field, or in the data, both ways; and openers."""
    bits = 1 << chance.randrange(8)
    hurt = (lambda body: damaged(body, SUMS[one.protocol] + turn, bits)) if turn < 2 else (lambda body: damaged(body, len(body) - 1, bits))
    one.opens()
    one.comes(2, one.ask(hurt(one.more(pattern(31)))))
    if one.method == "nat":
        one.comes(3, one.answer(hurt(one.back(pattern(31)))), "lan")


@kind("opener with a wrong transport checksum")
def bad_opener(one, _, __):
    """A first packet that is damaged, and a good one."""
    one.comes(0, one.ask(damaged(one.opener(), SUMS[one.protocol])))
    one.comes(2, one.ask(one.more(b"more")))


@kind("UDP without a checksum", protocols=("udp",))
def no_sum(one, _, __):
    """Sums of 0, which over IPv4 say that there is none."""
    def without(body):
        return body[:6] + b"\0\0" + body[8:]

    one.opens()
    one.comes(2, one.ask(without(one.more(pattern(20)))))
    if one.method == "nat":
        one.comes(3, one.answer(without(one.back(pattern(20)))), "lan")


@kind("UDP sums around 0", times=6, protocols=("udp",), methods=("nat",))
def low_sums(one, chance, turn):
    """Data by which a sum comes out as 0, 1 or 0xfffe, before the translation or behind it."""
    wanted, translated = (1, 0xFFFE, 0xFFFF)[turn % 3], turn >= 3
    one.opens()
    for phase, port, here, there in ((2, "wan", (one.client, one.service), (one.client, one.server)),
                                     (3, "lan", (one.server, one.client), (one.service, one.client))):  # fmt: skip
        at = there if translated else here
        now = struct.unpack("!H", udp(*at, b"\0\0")[6:8])[0]
        filler = struct.pack("!H", (now - wanted) % 0xFFFF)
        body = udp(*here, filler)
        packet = one.ask(body) if port == "wan" else one.answer(body)
        one.comes(phase, packet, port)


@kind("transport header that is not whole", times=4)
def short(one, chance, turn):
    """Packets that end within the transport header."""
    one.opens()
    whole = one.more(pattern(20))
    octets = (0, 3, 7, {"tcp": 19, "udp": 6, "sctp": 11}[one.protocol])[turn]
    one.comes(2, one.ask(whole[:octets]))


@kind("transport lengths that do not fit", times=4, protocols=("tcp", "udp"))
def lengths(one, _, turn):
    """TCP data offsets and UDP lengths below the header, and beyond the packet; a UDP length that leaves octets over."""
    one.opens()
    if one.protocol == "tcp":
        one.comes(2, one.ask(one.more(pattern(20), offset=(0, 4, 11, 15)[turn])))
    else:
        one.comes(2, one.ask(one.more(pattern(20), length=(0, 7, 29, 20)[turn])))


@kind("SCTP chunk", times=20, protocols=("sctp",), methods=("nat", "direct"))
def chunks(one, chance, turn):
    """Chunks of each type as a first and as a later packet, and one more."""
    chunk = (*range(16), 63, 130, 192, 255)[turn]
    one.kind = f"SCTP chunk: {chunk}"
    if chance.random() < 0.5:
        one.opens()
    one.comes(2, one.ask(sctp(one.client, one.service, chunk, pattern(16))))
    one.comes(2, one.ask(one.more(b"more")))


@kind("IP header that is wrong", times=8)
def bad_ip(one, _, turn):
    """Versions, lengths and header checksums that are wrong, and frames that are longer than their packets."""
    one.opens()
    good = one.ask(one.more(pattern(60)))
    v4 = one.family == 4
    changed = [
        ("version 5", b"\x55" + good[1:]),
        ("version of the other family", bytes([good[0] ^ 0x20]) + good[1:]),
        ("length beyond the frame", good[:2] + b"\x10\0" + good[4:] if v4 else good[:4] + b"\x10\0" + good[6:]),
        ("length that cuts the payload", with_length(good, len(good) - 20)),
        ("length that cuts the transport header", with_length(good, HEADERS[one.family] + 5)),
        ("frame longer than the packet", good + bytes(30)),
        ("header checksum", damaged(good, 10) if v4 else good[:-1]),
        ("frame cut short", good[:-30]),
    ]
    name, packet = changed[turn]
    one.kind = f"IP header: {name}"
    one.comes(2, packet, ethertype=crafted.ETHERTYPES[one.family])


def with_length(packet, octets):
    """Returns a packet that says to be so long."""
    if packet[0] >> 4 == 6:
        return packet[:4] + struct.pack("!H", octets - 40) + packet[6:]
    return crafted.with_header_sum(packet[:2] + struct.pack("!H", octets) + packet[4:])


@kind("a port that no service has")
def no_service(one, _, __):
    """Packets to the VIP for which there is no service."""
    nobody = Socket(one.vip, NOBODY_PORT)
    body = {"tcp": lambda: tcp(one.client, nobody), "udp": lambda: udp(one.client, nobody, b"hello"), "sctp": lambda: sctp(one.client, nobody)}
    one.comes(0, ip(one.client.address, one.vip, NUMBERS[one.protocol], body[one.protocol]()))


@kind("a packet of no connection")
def no_connection(one, _, __):
    """What opens no connection, and is of none."""
    if one.protocol != "udp":
        one.comes(0, one.ask(one.more(b"lost")))


@kind("an answer of no connection", methods=("nat",))
def no_reply(one, _, __):
    """What a real server sends from its socket without having been asked."""
    one.comes(1, one.answer(one.back(b"unasked")), "lan")


@kind("an answer from another port", methods=("nat",))
def other_port(one, _, __):
    """What a real server sends from another port than its service's in the midst of a connection."""
    one.opens()
    elsewhere = Socket(one.server.address, one.server.port + 1)
    one.comes(3, one.answer(one.more(b"other", (elsewhere, one.client))), "lan")


SOURCES = {
    4: {"loopback": "127.0.0.1", "unspecified": "0.0.0.0", "multicast": "224.0.0.1", "broadcast": "255.255.255.255", "reserved": "240.0.0.1",
        "network's broadcast": "192.0.2.255", "own": "192.0.2.1", "VIP": VIP},
    6: {"loopback": "::1", "unspecified": "::", "multicast": "ff02::1", "mapped": "::ffff:198.18.0.1", "compatible": "::198.18.0.1",
        "own": in_family("192.0.2.1", 6), "VIP": in_family(VIP, 6)},
}  # fmt: skip


@kind("martian source", times=8, protocols=("tcp", "udp"), methods=("nat", "direct"))
def martian(one, _, turn):
    """Sources that no packet may have."""
    names = list(SOURCES[one.family].items())
    name, address = names[turn % len(names)]
    one.kind = f"martian source: {name}"
    source = Socket(address, one.martian_port)
    body = tcp(source, one.service) if one.protocol == "tcp" else udp(source, one.service, b"hello")
    one.comes(0, ip(address, one.service.address, NUMBERS[one.protocol], body))


TARGETS = {
    4: {"all hosts": "224.0.0.1", "group": "239.1.2.3", "broadcast": "255.255.255.255", "network's broadcast": "192.0.2.255", "loopback": "127.0.0.1",
        "reserved": "240.0.0.1"},
    6: {"all nodes": "ff02::1", "group": "ff0e::1:2", "loopback": "::1", "unspecified": "::", "mapped": "::ffff:203.0.113.10", "any router": "2001:db8:192:0:2::"},
}  # fmt: skip


@kind("target that is nobody's", times=6, protocols=("tcp", "udp"), methods=("nat",))
def nobodys(one, _, turn):
    """Groups, broadcasts and what no packet may be for."""
    name, address = list(TARGETS[one.family].items())[turn]
    one.kind = f"target: {name}"
    target = Socket(address, one.service.port)
    body = tcp(one.client, target) if one.protocol == "tcp" else udp(one.client, target, b"hello")
    packet = ip(one.client.address, address, NUMBERS[one.protocol], body)
    one.comes(0, packet)
    one.comes(2, packet, target_mac="ff:ff:ff:ff:ff:ff")


@kind("frame to a group", times=2, protocols=("tcp", "udp"), methods=("nat", "direct"))
def group_frame(one, _, turn):
    """Packets to the VIP in a frame to all, or to a group."""
    one.comes(0, one.ask(one.opener()), target_mac=("ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01" if one.family == 6 else "01:00:5e:00:00:01")[turn])


@kind("echo", times=12, protocols=("udp",), methods=("nat",))
def echo(one, chance, turn):
    """Echo requests to the VIP and to the director's own address: of all lengths, with wrong sums, too."""
    target = one.vip if turn % 2 else in_family(WAN.address, one.family)
    message = icmp(one.client.address, target, 8 if one.family == 4 else 128, 0, chance.randrange(1 << 32), pattern(chance.randrange(1200)))
    if turn > 9:
        message = damaged(message, 2)
    one.kind = "echo with a wrong checksum" if turn > 9 else "echo"
    one.comes(0, ip(one.client.address, target, ICMP[one.family], message, **drawn_header(chance, one.family)))


ERRORS = {
    4: {"network unreachable": (3, 0, 0), "host unreachable": (3, 1, 0), "port unreachable": (3, 3, 0), "fragmentation needed": (3, 4, 1280),
        "prohibited": (3, 13, 0), "source quench": (4, 0, 0), "time exceeded": (11, 0, 0), "reassembly time exceeded": (11, 1, 0),
        "parameter problem": (12, 0, 0), "redirect": (5, 1, 0xC0000263)},
    6: {"no route": (1, 0, 0), "prohibited": (1, 1, 0), "address unreachable": (1, 3, 0), "port unreachable": (1, 4, 0),
        "packet too big": (2, 0, 1280), "time exceeded": (3, 0, 0), "reassembly time exceeded": (3, 1, 0), "parameter problem": (4, 0, 0)},
}  # fmt: skip
ROUTER_OUT = {4: "198.19.0.1", 6: "2001:db8:bad::1"}


@kind("ICMP error for the real server", times=10)
def error_in(one, _, turn):
    """A router between director and client tells of a packet that the real server has sent, as the client's side saw it."""
    name, what = error_of(one, turn)
    one.kind = f"ICMP error for the real server: {name}"
    one.opens()
    quoted = ip(one.service.address, one.client.address, NUMBERS[one.protocol], one.more(pattern(100), (one.service, one.client)), ttl=50)
    one.comes(2, error(one, ROUTER_OUT[one.family], one.vip, what, quoted))


@kind("ICMP error for the client", times=10, methods=("nat", "direct"))
def error_out(one, _, turn):
    """A router between director and real server tells of a packet of the client's, as the real server's side saw it."""
    name, what = error_of(one, turn)
    one.kind = f"ICMP error for the client: {name}"
    one.opens()
    target = one.server if one.method == "nat" else one.service
    quoted = ip(one.client.address, target.address, NUMBERS[one.protocol], one.more(pattern(100), (one.client, target)), ttl=50)
    source = in_family(REAL1.address if turn % 2 else ROUTER_IN, one.family)
    one.comes(3, error(one, source, one.client.address, what, quoted), "lan")


def error_of(one, turn):
    """Returns the name of an error, and its type, code and second word."""
    errors = list(ERRORS[one.family].items())
    return errors[turn % len(errors)]


def error(one, source, target, what, quoted):
    """Returns an ICMP error about a packet."""
    kind, code, rest = what
    return ip(source, target, ICMP[one.family], icmp(source, target, kind, code, rest, quoted[:120]), ttl=60)
