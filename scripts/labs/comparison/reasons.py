"""Why millrace does otherwise than IPVS: docs/ipvs-differences.md in a form that can be held against frames."""

from dataclasses import dataclass, replace
from typing import Callable

from .conversation import ROUTER_IN
from .crafted import raw
from .frames import LAN, WAN, in_family
from .outputs import ERRORS, layers, without_sum

SUMS = {"tcp": 16, "udp": 6}
"""Where transport headers have the checksum that covers addresses."""
MISSING = 100_000
"""What a frame that only one has sent counts, in octets."""


@dataclass(frozen=True)
class Reason:
    """A reason, and what takes it out of a comparison."""

    name: str
    """Its heading in the document."""
    excuse: Callable
    """Given a conversation and the frames of both, returns them without what this is the reason for."""


REASONS = []


def reason(name):
    """Registers a function as what excuses differences for a reason."""

    def register(excuse):
        REASONS.append(Reason(name, excuse))
        return excuse

    return register


def explain(conversation, mine, its):
    """Returns the reasons for which the frames of a conversation differ, and the frames without these differences."""
    why = []
    for each in REASONS:
        after = each.excuse(conversation, mine, its)
        if far(*after) < far(mine, its):
            why.append(each.name)
            mine, its = after
    return why, mine, its


def far(mine, its):
    """Returns by how many octets two lists of frames differ, each held against the one that is most like it."""
    left, total = list(its), 0
    for one in mine:
        nearest = min(left, key=lambda other: apart(one, other), default=None)
        distance = apart(one, nearest) if nearest else MISSING
        if distance < MISSING:
            left.remove(nearest)
        total += distance
    return total + MISSING * len(left)


def apart(one, other):
    """Returns by how many octets two frames differ."""
    if one.port != other.port or len(one.octets) != len(other.octets):
        return MISSING
    return sum(a != b for a, b in zip(one.octets, other.octets))


def changed(change, frames):
    """Returns the frames with their packets changed, but for those of which `change` makes nothing."""
    return [replace(each, octets=each.octets[:14] + (change(each.packet) or each.packet)) for each in frames]


def is_tunnel(packet):
    """Tells whether a packet is a tunnel's."""
    return next(layers(packet))[3] in (4, 41)


def own_error(packet):
    """Tells whether a packet is an ICMP error that the director itself sends."""
    _, source, _, protocol, payload = next(layers(packet))
    own = {raw(in_family(port.address, family)) for port in (WAN, LAN) for family in (4, 6)}
    return protocol in ERRORS and payload[:1] and payload[0] in ERRORS[protocol] and (source in own or own_error_of_vip(packet))


def own_error_of_vip(packet):
    """Tells whether it bears the VIP for its source, and is about a packet to the VIP."""
    (_, source, _, _, _), *quoted = layers(packet)
    return bool(quoted) and quoted[0][2] == source


def only(frames, others, test):
    """Returns the frames without those that only this side has sent, and that the test is true of."""
    sent = [each.octets for each in others]
    return [each for each in frames if each.octets in sent or not test(each.packet)]


@reason("A tunnel's identification")
def identification(_, mine, its):
    """Unique, where the kernel's is 0 with DF."""

    def change(packet):
        if packet[0] >> 4 == 4 and is_tunnel(packet):
            packet = without_sum(packet)
            return packet[:4] + b"\0\0" + packet[6:]

    return changed(change, mine), changed(change, its)


@reason("A tunnel's flow label")
def flow_label(_, mine, its):
    """A hash of the flow, where the kernel's is 0."""

    def change(packet):
        if packet[0] >> 4 == 6 and is_tunnel(packet):
            return bytes([packet[0], packet[1] & 0xF0, 0, 0]) + packet[4:]

    return changed(change, mine), changed(change, its)


@reason("ICMP errors of the director's own")
def own_errors(conversation, mine, its):
    """They come from the port's address, where the kernel's bear the one that the packet was for, and quote the packet as it came, where
    the kernel's have taken a hop off. Besides, identification, flow label and sums are their sender's."""

    def change(packet):
        if not own_error(packet):
            return None
        if packet[0] >> 4 == 4:
            packet, quote = without_sum(packet), packet[28:]
            packet = packet[:4] + b"\0\0" + packet[6:12] + bytes(4) + packet[16:22] + b"\0\0" + packet[24:28]
            return packet + quote[:8] + b"\0" + quote[9:10] + b"\0\0" + quote[12:]
        quote = packet[48:]
        packet = packet[:1] + bytes(3) + packet[4:8] + bytes(16) + packet[24:42] + b"\0\0" + packet[44:48]
        return packet + quote[:7] + b"\0" + quote[8:]

    return changed(change, mine), changed(change, its)


REFUSALS = {1: ((3, 2), (3, 3)), 58: ((1, 4), (4, 1))}
"""What a host tells of ports and protocols that it has not: type and code by ICMP's protocol number."""


@reason("The director's host does not speak for a VIP")
def host_answers(conversation, mine, its):
    """The kernel has the VIP, and answers what IPVS leaves to it."""

    def test(packet):
        _, source, _, protocol, payload = next(layers(packet))
        if source != raw(conversation.vip):
            return False
        return protocol == 6 and payload[13] & 4 or protocol in REFUSALS and (payload[0], payload[1]) in REFUSALS[protocol]

    return mine, only(its, mine, test)


@reason("Congestion marks on a tunnel's outer header")
def congestion(_, mine, its):
    """CE stays CE outside (RFC 6040 §4.1), where the kernel makes ECT(0) of it (RFC 3168 §9.1.1)."""

    def change(packet):
        if not is_tunnel(packet):
            return None
        if packet[0] >> 4 == 4:
            packet = without_sum(packet)
            return packet[:1] + bytes([packet[1] & 0xFC]) + packet[2:]
        return packet[:1] + bytes([packet[1] & 0xCF]) + packet[2:]

    return changed(change, mine), changed(change, its)


def of_kinds(*beginnings):
    """Returns a test of conversations: whether their kind begins so."""
    return lambda conversation: conversation.kind.startswith(beginnings)


SHORT = of_kinds("transport header that is not whole", "transport lengths that do not fit", "IP header: length that cuts")


@reason("Transport headers are whole")
def whole_headers(conversation, mine, its):
    """IPVS reads the ports and little else."""
    return (mine, only(its, mine, lambda packet: True)) if SHORT(conversation) else (mine, its)


@reason("What opens a connection")
def openers(conversation, mine, its):
    """IPVS takes a SYN with ACK or FIN for an opener."""
    if conversation.kind != "flags that open, or not":
        return mine, its
    return mine, only(its, mine, lambda packet: list(layers(packet))[-1][4][13] & 0x13 not in (0, 2))


WRITTEN = of_kinds("IPv4 option: record route", "IPv4 option: time stamp")


@reason("IPv4 options are left as they are")
def ipv4_options(conversation, mine, its):
    """The kernel is a router: it writes to some, and refuses source routes and what is malformed."""
    if WRITTEN(conversation):
        def change(packet):
            for at in (20, 40 if packet[0] == 0x45 else 60):
                if packet[at - 20 : at] and packet[:1] and packet[at - 20] & 15 > 5:
                    end = at - 20 + 4 * (packet[at - 20] & 15)
                    return packet[: at - 10] + b"\0\0" + packet[at - 8 : at] + bytes(end - at) + packet[end:]

        return changed(change, mine), changed(change, its)
    if of_kinds("IPv4 option: loose source route", "IPv4 option: malformed")(conversation):
        return [each for each in mine if each in its], only(its, mine, lambda packet: own_error(packet) and list(layers(packet))[0][4][0] == 12)
    return mine, its


@reason("A bound on extension headers")
def bound(conversation, mine, its):
    """Eight are walked over, hop-by-hop options at the front only; the kernel has no bound, and minds no order."""
    if of_kinds("extension headers: nine", "extension headers: hop-by-hop options behind others", "extension headers: longer")(conversation):
        return mine, only(its, mine, lambda packet: True)
    return mine, its


@reason("Atomic fragments keep their header")
def atomic(conversation, mine, its):
    """The kernel puts fragments together before IPVS sees them, and one that is the whole packet loses its header."""
    if conversation.kind != "extension headers: atomic fragment":
        return mine, its
    return [[replace(each, octets=without_fragment_headers(each.octets)) for each in frames] for frames in (mine, its)]


def without_fragment_headers(octets):
    """Returns a frame whose IPv6 packets, one in the other, have no fragment headers; of a tunnel's outer header without the length."""
    front, packet = octets[:14], octets[14:]
    while packet:
        six = packet[0] >> 4 == 6
        if six and packet[6] == 44:
            length = (int.from_bytes(packet[4:6], "big") - 8).to_bytes(2, "big")
            packet = packet[:4] + length + packet[40:41] + packet[7:40] + packet[48:]
        if packet[6 if six else 9] not in (4, 41):
            break
        outer = packet[:4] + b"\0\0" + packet[6:40] if six else without_sum(packet)[:20]
        front += outer if six else outer[:2] + b"\0\0" + outer[4:]
        packet = packet[40 if six else 20 :]
    return front + packet


@reason("SCTP checksums that are wrong")
def sctp_sums(conversation, mine, its):
    """They stay wrong, where IPVS computes them anew and damaged packets pass for sound ones."""
    if conversation.protocol != "sctp" or "wrong transport checksum" not in conversation.kind:
        return mine, its

    def change(packet):
        at = {4: 20, 6: 40}[packet[0] >> 4] + 8
        return packet[:at] + bytes(4) + packet[at + 4 :]

    return changed(change, mine), changed(change, its)


@reason("UDP without a checksum")
def no_udp_sum(conversation, mine, its):
    """It stays without, where IPVS's NAT gives it one."""
    if conversation.kind != "UDP without a checksum":
        return mine, its

    def change(packet):
        at = {4: 20, 6: 40}[packet[0] >> 4] + 6
        return packet[:at] + bytes(2) + packet[at + 2 :]

    return changed(change, mine), changed(change, its)


@reason("Addresses that nobody has")
def nobody(conversation, mine, its):
    """The kernel routes what is from and for 240.0.0.0/4, ::/32 and the like; millrace drops it."""
    if of_kinds("target: ", "martian source: ")(conversation):
        return mine, only(its, mine, lambda packet: True)
    return mine, its


@reason("IPv6 in transit")
def transit_six(conversation, mine, its):
    """It is dropped by this version, where the kernel routes it."""
    behind = (raw(conversation.server.address), raw(in_family(ROUTER_IN, 6)))
    return mine, only(its, mine, lambda packet: packet[0] >> 4 == 6 and next(layers(packet))[1] in behind)


@reason("Echo replies")
def echo_replies(conversation, mine, its):
    """They have the request's identification and DF, and no flow label; the kernel chooses all three."""
    if conversation.kind != "echo":
        return mine, its

    def change(packet):
        if packet[0] >> 4 == 4:
            packet = without_sum(packet)
            return packet[:4] + bytes(4) + packet[8:]
        return bytes([packet[0], packet[1] & 0xF0, 0, 0]) + packet[4:]

    return changed(change, mine), changed(change, its)


@reason("Fragments")
def fragments(conversation, mine, its):
    """What is too big and may be fragmented is dropped by this version; the kernel fragments it."""
    return mine, only(its, mine, is_fragment)


def is_fragment(packet):
    """Tells whether a packet is a fragment, and not all of one."""
    if packet[0] >> 4 == 6:
        return packet[6] == 44 and packet[42:44] != b"\0\0"
    return int.from_bytes(packet[6:8], "big") & 0x3FFF != 0


@reason("DF around IPv6")
def dont_fragment(conversation, mine, its):
    """An IPv4 tunnel's packets with more than 1,280 octets of IPv6 in them have it (RFC 4213 §3.2.2), the kernel's have not."""

    def change(packet):
        if packet[0] >> 4 == 4 and next(layers(packet))[3] == 41:
            packet = without_sum(packet)
            return packet[:6] + bytes([packet[6] & 0xBF]) + packet[7:]

    return changed(change, mine), changed(change, its)


@reason("Checksums in what ICMP errors quote")
def quoted_sums(conversation, mine, its):
    """They change with the addresses and ports that NAT translates, those of the kernel stay."""
    if not conversation.kind.startswith("ICMP error for"):
        return mine, its

    def change(packet):
        parts = list(layers(packet))
        if len(parts) != 2 or parts[0][3] not in ERRORS or conversation.protocol not in SUMS:
            return None
        at = len(packet) - len(parts[1][4]) + SUMS[conversation.protocol]
        packet = packet[:at] + b"\0\0" + packet[at + 2 :]
        at = len(packet) - len(parts[0][4]) + 2
        return packet[:at] + b"\0\0" + packet[at + 2 :]

    return changed(change, mine), changed(change, its)


@reason("ICMP parameter problems")
def parameter_problems(conversation, mine, its):
    """They reach whom they are for as other errors do; IPVS knows those of IPv4 not."""
    if not (conversation.family == 4 and conversation.kind.endswith("parameter problem")):
        return mine, its

    def told(packet):
        return any(protocol == 1 and payload[:1] == b"\x0c" for _, _, _, protocol, payload in layers(packet))

    return only(mine, its, told), only(its, mine, told)


@reason("The maximum segment size that SYNs tell")
def segment_size(conversation, mine, its):
    """It is lowered to what a tunnel takes."""
    if conversation.kind != "SYN with options" or not conversation.method.startswith("tunnel"):
        return mine, its

    def change(packet):
        at = len(packet) - len(list(layers(packet))[-1][4])
        segment = packet[at:]
        return packet[:at] + segment[:16] + b"\0\0" + segment[18:22] + b"\0\0" + segment[24:]

    return changed(change, mine), changed(change, its)
