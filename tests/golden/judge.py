"""Compares what left with what must leave, octet by octet.

Where an identification is the director's own choice, that field and the header checksum are taken out of the
comparison, after the checksum was verified; that no identification comes twice is judged over the whole case. So is a
tunnel's IPv6 flow label, of which only that is judged: each flow has one, and the flows together more than one.
"""

from collections import Counter

from scapy.layers.l2 import Ether

from packets import ones_complement_sum

IP_HEADER = 14
IDENTIFICATION = slice(IP_HEADER + 4, IP_HEADER + 6)
CHECKSUM = slice(IP_HEADER + 10, IP_HEADER + 12)
LABEL = slice(IP_HEADER + 1, IP_HEADER + 4)
TUNNELS = (4, 41)
"""What follows a tunnel's outer header."""


def judge(scenario, left, workers=1):
    """Returns what is wrong with the frames that left, as lines; none if all is well.

    `left` holds, for each port's name, the frames in the order in which they left.
    """
    faults = []
    for port, must in (scenario.said if workers == 1 else as_chosen(scenario, left)).items():
        announced = scenario.announcements(port)
        if workers == 1:
            start, rest = left[port][: len(announced)], left[port][len(announced) :]
            faults += as_multiset(f"{port}, at start", announced, start)
            faults += in_order(port, must, rest)
        else:
            faults += as_multiset(port, announced + must, left[port])
    return faults + repeated_ids(left) + changing_labels(left)


def as_chosen(scenario, left):
    """Returns what must leave by each port, given the servers that the workers' cursors turned out to choose."""
    must = {port: [said for said in frames if said.connection is None] for port, frames in scenario.said.items()}
    got = {port: {comparable(octets, free) for octets in frames for free in (False, True)} for port, frames in left.items()}
    for by_server in scenario.choices.values():
        frames = next(
            (f for f in by_server.values() if all(comparable(said.octets, said.free_id) in got[p] for p, said in f)),
            next(iter(by_server.values())),
        )
        for port, said in frames:
            must[port].append(said)
    return must


def in_order(port, must, left):
    """Judges frame after frame."""
    faults = []
    for number, (said, octets) in enumerate(zip(must, left), 1):
        wrong = sum_fault(octets) if said.free_id else ""
        if wrong or comparable(octets, said.free_id) != comparable(said.octets, said.free_id):
            faults.append(f"{port}, frame {number}: {wrong or difference(said.octets, octets)}")
            faults += both(said.octets, octets)
            break
    if len(must) != len(left):
        faults.append(f"{port}: {len(left)} frames left, {len(must)} must leave")
        faults += [f"  unexpected: {summary(octets)}" for octets in left[len(must) :][:3]]
        faults += [f"  missing: {summary(said.octets)}" for said in must[len(left) :][:3]]
    return faults


def as_multiset(where, must, left):
    """Judges frames whose order is open."""
    free = {comparable(said.octets, True) for said in must if said.free_id}
    wanted = Counter(comparable(said.octets, said.free_id) for said in must)
    got, faults = Counter(), []
    for octets in left:
        is_free = comparable(octets, True) in free
        got[comparable(octets, is_free)] += 1
        if is_free and sum_fault(octets):
            faults.append(f"{where}: {sum_fault(octets)}: {summary(octets)}")
    faults += [f"{where}: missing {n} x {summary(octets)}" for octets, n in (wanted - got).items()]
    faults += [f"{where}: unexpected {n} x {summary(octets)}" for octets, n in (got - wanted).items()]
    return faults[:12]


def repeated_ids(left):
    """Judges that no two tunnel packets of the case, by any port, carry one identification (RFC 6864 §4.1)."""
    outer = [o[IDENTIFICATION] for frames in left.values() for o in frames if is_four(o) and o[23] in TUNNELS]
    repeated = [i.hex() for i, n in Counter(outer).items() if n > 1]
    return [f"identifications that came more than once: {' '.join(repeated[:8])}"] if repeated else []


def changing_labels(left):
    """Judges that all tunnel packets of one flow carry one flow label, by which routers keep them on one way (RFC 6438 §3)."""
    labels = {}
    for octets in (o for frames in left.values() for o in frames if is_tunnel_six(o)):
        labels.setdefault(flow(octets[IP_HEADER + 40 :]), set()).add(label(octets))
    changing = [values for values in labels.values() if len(values) > 1]
    return [f"flow labels that one flow had: {sorted(changing[0])[:8]}"] if changing else []


def is_four(octets):
    return octets[12:14] == b"\x08\0"


def is_tunnel_six(octets):
    """Tells whether the frame is a tunnel's over IPv6."""
    return octets[12:14] == b"\x86\xdd" and len(octets) > IP_HEADER + 40 and octets[20] in TUNNELS


def label(octets):
    """Returns an IPv6 packet's flow label."""
    return int.from_bytes(octets[LABEL], "big") & 0xFFFFF


def flow(packet):
    """Returns what tells an IP packet's flow from others: addresses, protocol and ports; of one with options or extension headers all."""
    if packet[0] == 0x45:
        return packet[12:20], packet[9], packet[20:24]
    if packet[0] >> 4 == 6 and packet[6] in (6, 17, 132):
        return packet[8:40], packet[6], packet[40:44]
    return packet


def comparable(octets, free_id):
    """Returns the frame with what is the director's own choice taken out."""
    if not free_id or len(octets) < IP_HEADER + 20:
        return octets
    taken_out = bytearray(octets)
    if is_four(octets):
        taken_out[IDENTIFICATION] = taken_out[CHECKSUM] = b"\0\0"
    elif is_tunnel_six(octets):
        taken_out[LABEL.start] &= 0xF0
        taken_out[LABEL.start + 1 : LABEL.stop] = b"\0\0"
    return bytes(taken_out)


def sum_fault(octets):
    """Says whether the outer IPv4 header's checksum is wrong."""
    if not is_four(octets):
        return ""
    header = octets[IP_HEADER : IP_HEADER + 4 * (octets[IP_HEADER] & 15)] if len(octets) > IP_HEADER else b""
    if len(header) < 20 or ones_complement_sum(header) != 0xFFFF:
        return "the IPv4 header checksum is wrong"
    return ""


def difference(must, octets):
    """Names the first thing in which two frames differ."""
    if len(must) != len(octets):
        return f"{len(octets)} octets, must be {len(must)}"
    at = [i for i, (a, b) in enumerate(zip(must, octets)) if a != b]
    fields = ", ".join(differing_fields(Ether(must), Ether(octets))) or "no field that scapy names"
    return f"octets {at[:8]} differ: {fields}"


def differing_fields(must, got):
    """Yields the fields in which two dissected frames differ, layer by layer."""
    while must and got and type(must) is type(got):
        for name in must.fields:
            if must.fields[name] != got.fields.get(name):
                yield f"{type(must).__name__}.{name} is {got.fields.get(name)!r}, must be {must.fields[name]!r}"
        must, got = must.payload, got.payload
    if type(must) is not type(got):
        yield f"{type(got).__name__} where {type(must).__name__} must be"


def both(must, octets):
    return [f"  must be: {must.hex()}", f"  left:    {octets.hex()}"]


def summary(octets):
    """Returns one line about a frame."""
    shown = Ether(octets).summary() if len(octets) >= IP_HEADER else f"runt of {len(octets)} octets"
    return f"{shown[:90]} [{octets.hex()[:160]}]"
