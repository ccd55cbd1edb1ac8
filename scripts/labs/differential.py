"""Everything that comes, into the Linux kernel's IPVS and into millrace: what each sends of it, frame by frame.

Some thousand conversations of each kind (comparison/mixture.py): whole packets, odd ones, wrong ones, too big ones, ICMP errors, by NAT,
direct routing and tunnels of both families, over IPv4 and IPv6. IPVS runs in a guest, on a kernel of Debian's; millrace runs as
`millrace replay`. Where what they send differs, a reason of docs/ipvs-differences.md must fit.
"""

import shutil
from collections import Counter, defaultdict

from .comparison import mixture, outputs, passed, reasons
from .comparison.crafted import raw
from .comparison.frames import second_opinion, write_capture
from .kit.director import find_program
from .kit.lab import ROOT

DOCUMENT = ROOT / "docs" / "ipvs-differences.md"
SHOWN = 5
"""Conversations of each kind of difference that are shown."""


def arguments(parser):
    """The lab's options."""
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="where drawing begins (1)")
    parser.add_argument("--kind", default="", metavar="TEXT", help="only conversations whose kind contains this")


def run(lab, options):
    """Runs the lab."""
    missing = [name for name in ("qemu-system-x86_64", "busybox", "tshark", *passed.COMMANDS) if not shutil.which(name)]
    if missing:
        raise RuntimeError(f"not installed: {', '.join(missing)} (scripts/setup)")
    conversations = [each for each in mixture.draw(options.seed) if options.kind in each.kind]
    ours = passed.of_millrace(conversations, find_program().resolve(), lab.folder / "millrace")
    mine = sorted_out(ours, conversations)
    look_at(lab, conversations, mine)
    release, theirs = passed.of_ipvs(lab, conversations)
    compare(lab.report, conversations, mine, sorted_out(theirs, conversations), release)


def sorted_out(left, conversations):
    """Returns the frames that left by whose conversation they are of; None's are nobody's."""
    clients = {raw(each.client.address): each.number for each in conversations}
    martians = {each.martian_port: each.number for each in conversations if each.kind.startswith("martian")}
    found = defaultdict(list)
    datagrams = {}
    for port, frames in left.items():
        for octets in filter(lambda octets: not outputs.is_noise(octets), frames):
            datagram, place = outputs.fragment_of(octets[14:])
            # Only a datagram's first fragment says whose it is.
            owner = datagrams.get(datagram) if place else outputs.client_of(octets[14:], clients, martians)
            datagrams[datagram] = owner
            found[owner].append(outputs.Left(port, octets))
    return found


def look_at(lab, conversations, ours):
    """Lets tshark judge what millrace sent: it may have something against that where it had against what came."""
    came = [(each, octets) for each in conversations for _, _, octets in each.frames]
    left = [(each, frame.octets) for each in conversations for frame in ours.get(each.number, [])]
    against_came, against_left = (judged(lab.folder / "judged", frames) for frames in (came, left))
    named = {each.number: each for each in conversations}
    worse = {number: text for number, text in against_left.items() if number not in against_came}
    lab.report.check("tshark has nothing against what millrace made of sound packets", against_came and not worse,
                     f"{len(left)} frames; against {len(against_came)} conversations as they came, {len(worse)} only as they left"
                     + "".join(f"\n        {named[number]}: {text}" for number, text in list(worse.items())[:SHOWN]))  # fmt: skip


def judged(capture, frames):
    """Returns what tshark has against the frames of each conversation."""
    write_capture(capture, [(number, octets) for number, (_, octets) in enumerate(frames)])
    return {frames[number][0].number: text for number, text in second_opinion(capture)}


def compare(report, conversations, ours, theirs, release):
    """Holds what millrace sent against what IPVS sent."""
    met, unexplained, same = Counter(), defaultdict(list), 0
    for conversation in conversations:
        mine, its = ours.get(conversation.number, []), theirs.get(conversation.number, [])
        why, mine, its = reasons.explain(conversation, mine, its)
        met.update(why)
        if mine != its:
            unexplained[conversation.kind].append((conversation, mine, its))
        elif not why:
            same += 1
    for reason in reasons.REASONS:
        report.row("Differences", reason=reason.name, conversations=met[reason.name])
    headings = [line.removeprefix("## ") for line in DOCUMENT.read_text().splitlines() if line.startswith("## ")]
    report.check("the document has all reasons", sorted(headings) == sorted([*(each.name for each in reasons.REASONS), "Elsewhere"]),
                 f"{len(headings)} headings, {len(reasons.REASONS)} reasons")  # fmt: skip
    frames = [sum(map(len, each.values())) for each in (ours, theirs)]
    report.row("Compared", kernel=release, conversations=len(conversations), packets=sum(len(each.frames) for each in conversations),
               sent_by_millrace=frames[0], sent_by_ipvs=frames[1], same=same)  # fmt: skip
    report.check("a kernel to compare with", frames[1] > len(conversations) // 2, f"Linux {release}, {frames[1]} frames")
    report.check("nothing is sent of nobody's", not ours.get(None) and not theirs.get(None),
                 "".join(f"\n        {name} {frame}" for name, each in (("millrace", ours), ("IPVS", theirs)) for frame in each.get(None, [])[:SHOWN]))  # fmt: skip
    report.check("every difference has a reason", not unexplained,
                 f"{same} conversations the same, {sum(met.values())} reasons, {sum(map(len, unexplained.values()))} without one" + shown(unexplained))  # fmt: skip


def shown(unexplained):
    """Returns some differences of each kind, as lines."""
    lines = []
    for kind, found in unexplained.items():
        lines.append(f"\n    {kind}: {len(found)}")
        for conversation, mine, its in found[:SHOWN]:
            lines.append(f"\n        {conversation}")
            lines += [f"\n            millrace {frame}" for frame in mine if frame not in its]
            lines += [f"\n            IPVS     {frame}" for frame in its if frame not in mine]
    return "".join(lines)
