"""The Linux kernel's IPVS beside millrace: the same packet sequences into both, the same connections in both, look by look.

Hundreds of sequences of TCP, UDP and SCTP packets, told (comparison/plan.py) and drawn at random, by NAT with the real
servers' answers and by tunnel and direct routing without, under several settings of IPVS's sysctls and timeouts. IPVS runs
in a guest, on a kernel of Debian's, set up by ipvsadm; millrace runs as `millrace replay`. After each packet both tables
are read: which connections there are, in which states, for how many seconds more, to which real servers; and the real
servers' active and inactive connections.
"""

import itertools
import shutil
import time
from collections import Counter
from dataclasses import dataclass

from .comparison.kernel import COMMANDS, Kernel
from .comparison.plan import EARLY, Plan
from .comparison.played import Director, replay
from .kit.director import find_program

SHOWN = 10
"""Differences that a failed check names."""


def arguments(parser):
    """The lab's options."""
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="where drawing begins (1)")
    parser.add_argument("--drawn", type=int, default=60, metavar="N", help="drawn sequences by each regime (60)")


def run(lab, options):
    """Runs the lab."""
    missing = [name for name in ("qemu-system-x86_64", "busybox", *COMMANDS) if not shutil.which(name)]
    if missing:
        raise RuntimeError(f"not installed: {', '.join(missing)} (scripts/setup)")
    plan = Plan.draw(options.seed, options.drawn)
    directors = [Director(number, regime, sequences) for number, (regime, sequences) in enumerate(plan.regimes.items())]

    timed = Timer(lab.report)
    players = replay(directors, plan.rounds, find_program().resolve(), lab.folder)
    timed.step("millrace replay")
    kernel = Kernel(lab, directors, players, plan.rounds)
    timed.step("image and boot")
    kernel.configure()
    timed.step("ipvsadm")
    looks, late = kernel.play()
    timed.step("play")

    lab.report.check("the guest plays by the clock", late < EARLY, f"Linux {kernel.release}, at most {late:.2f} s late")
    meant = sum((compare(lab.report, player, looks[player.director.regime.name]) for player in players), Counter())
    lab.report.check("what millrace does otherwise on purpose", len(meant) == 2,
                     "; ".join(f"{reason}: {count} times" for reason, count in meant.items()))
    cover(lab.report, players)


class Timer:
    """Notes how long each step took."""

    def __init__(self, report):
        self.report, self.began = report, time.monotonic()

    def step(self, name):
        """Notes the end of a step."""
        now = time.monotonic()
        self.report.row("times (s)", step=name, seconds=now - self.began)
        self.began = now


@dataclass(frozen=True)
class Difference:
    """Where the two are not the same: the first round of a sequence in which they are not."""

    sequence: object
    round: int
    ours: object
    theirs: object

    def __str__(self):
        return f"{self.sequence}: after round {self.round}: millrace {self.ours}, IPVS {self.theirs}"


def same(ours, theirs):
    """Tells whether two connections are: of the remaining seconds one rounds down, the other up."""
    if ours is None or theirs is None:
        return ours is theirs
    return (ours.state, ours.real) == (theirs.state, theirs.real) and abs(ours.seconds - theirs.seconds) <= 1


def on_purpose(regime, step, before):
    """Returns why millrace does otherwise with a client's packet of a connection that was so `before`, if it means to
    (src/dataplane/rules.rs)."""
    closing = before is None or before.state in ("TIME_WAIT", "CLOSE", "FIN_WAIT")
    if closing and "S" in step and {"A", "F"} & set(step):
        return "a SYN with ACK or FIN opens no connection"
    if before is None and regime.sysctls.get("sloppy_sctp") and step in ("cookie-echo+abort", "cookie-ack+abort"):
        return "a cookie with an ABORT behind it opens no association"
    return None


def compare(report, player, theirs):
    """Holds all looks of one regime's director against the kernel's; returns the differences that are meant."""
    regime, sequences = player.director.regime, player.director.sequences
    differences, meant, looked = [], {}, 0
    for sequence in sequences:
        key, before = (str(sequence.client), str(sequence.service)), None
        for number, (our_look, their_look) in enumerate(zip(player.looks, theirs)):
            mine, its = our_look.connections.get(key), their_look.connections.get(key)
            if not same(mine, its):
                reason = on_purpose(regime, sequence.steps[number], before)
                if reason:
                    meant[key[1]] = reason
                else:
                    differences.append(Difference(sequence, number, mine, its))
                break
            before, looked = mine, looked + (mine is not None)
    miscounts = {
        key: f"{' at '.join(reversed(key))}: after round {number}: millrace {our_look.counts.get(key)}, IPVS {its}"
        for number, (our_look, their_look) in enumerate(zip(player.looks, theirs))
        for key, its in their_look.counts.items()
        if our_look.counts.get(key) != its and key[0] not in meant
    }
    counted = sum(len(look.counts) for look in theirs)
    packets = sum(len(frames) for rounds in player.frames.values() for frames in rounds)
    report.row("Compared", regime=regime.name, sequences=len(sequences), packets=packets, connections=looked, counts=counted,
               differences=len(differences) + len(miscounts), meant=len(meant))  # fmt: skip
    report.check(f"{regime.name}: the same connections", len(theirs) == len(player.looks) and looked and not differences,
                 f"{looked} looks at one, {len(differences)} sequences with a difference{some(differences)}")
    report.check(f"{regime.name}: the same counts", counted and not miscounts,
                 f"{counted} looks, {len(miscounts)} real servers with a difference{some(miscounts.values())}")
    return Counter(meant.values())


def some(differences):
    """Returns the first few, each on a line of its own."""
    return "".join(f"\n        {each}" for each in itertools.islice(differences, SHOWN))


def cover(report, players):
    """Says how much of the states' tables the sequences have been to: what came, who sent it, and in which state."""
    met = {}
    for player in players:
        for sequence in player.director.sequences:
            key, before = (str(sequence.client), str(sequence.service)), "none"
            for step, look in zip(sequence.steps, player.looks):
                if step != ".":
                    side = "server" if step[0] == "<" else "client" if sequence.method == "nat" else "client alone"
                    met.setdefault((sequence.protocol, side), set()).add((step, before))
                before = getattr(look.connections.get(key), "state", "none")
    for (protocol, side), cells in sorted(met.items()):
        report.row("Met", protocol=protocol, sender=side, packets=len({step for step, _ in cells}),
                   states=len({state for _, state in cells}), pairs=len(cells))
