"""What is played: packet sequences, some told and most of them drawn, each on a service of its own; and when.

A sequence sends at most one packet a round. Packets are written as `datagram` (frames.py) reads them, a real server's
answer with "<" before it, and "." for a round without a packet.
"""

import itertools
import random
from dataclasses import dataclass, field

from .frames import VIP, Real, Service, Socket, STATIONS

METHODS = ("nat", "tunnel", "direct")
ROUNDS = 14

FTP_DATA = 20
"""The port that active FTP's data comes from (RFC 959 §3.2)."""

TIMEOUTS = (4, 10, 30, 60, 61, 120, 300, 900)
"""The timeouts, in seconds, of all states that a packet leads to (ip_vs_proto_tcp.c, _udp.c, _sctp.c)."""

EARLY = 1.0
"""How much later than planned the guest may be, in seconds."""


def late(timeout):
    """Returns how long after its time a connection is gone, in seconds, in millrace and in the kernel. By millrace that
    is two ticks, a pass of the sweep, and the tick in which it ends; a kernel's timers of more than two minutes are
    rounded up to 4,096 jiffies of 4 ms (kernel/time/timer.c), those below to 2 s at most."""
    return 2.5 if timeout <= 120 else 17

LOOK = 0.5
"""After each round's packets, in seconds: when both tables are read."""

COUNTED = (3, 7, ROUNDS - 1)
"""The rounds after which the real servers' counts are read too."""

SHORT = (1.1, 1.2, 1.3, 1.4, 2.3, 6.6, 6.9, 13.3, 14.1, 21.5)
LONG = (33.7, 48.4, 66.2, 124.1, 180.5, 318.1, 918.3)
"""Pauses between rounds, in seconds: short ones first, so that connections open and close, then long ones too."""

STORIES = {
    # A connection from the start to the end, closed by either side, by both at once, and half closed for long.
    "tcp": """
        S <SA A PA <A <PA A F <A <F A
        S <SA A PA <PA A <F A F <A
        S <SA A F <F <A A
        S <SA A <F F A <A
        S <SA A FA <A . . <PA A <FA A
        S <SA A <FA A . PA <A FA <A
        S S S S <SA <SA A A
        S <SA <SA . S S <SA A
        S R
        S <R
        S <RA S <RA S <SA A
        S <SA R A S <SA A
        S <SA A R . S <SA A PA
        S <SA A <R A S <SA A
        S <SA A RA RA . S <SA
        S <SA A F <A <F A S <SA A
        S <SA A F <F A . S S <SA A PA
        S <SA A F <A S <SA A
        S <SA A <F S <SA A F
        S <SA A F S <SA A
        S <SA A S <A A
        S <S A <A
        S <SA A <S A
        S SEW <SA A
        SEW <SEA A F
        S <SA A - PA S
        S <SA A <- A S
        A PA <A FA <FA A
        PA <PA S <SA A
        FA <FA A S
        R S <SA A
        RA R <R A PA
        <SA A S <SA A
        <A A <F
        - A S
        F A S <SA
        S . . . . . A PA
        S <SA A . . . . . . . PA F
        SA <SA A
        SF <SA A
        S <SA A R SA <SA A
    """,
    "udp": """
        x
        x x x . x
        x <x x <x
        x <x . . . . <x x
        x . . . . . . <x
        <x x <x
        . <x . x . <x
        x <x <x <x . . . . . . x
    """,
    "sctp": """
        init <init-ack cookie-echo <cookie-ack data <sack shutdown <shutdown-ack shutdown-complete
        init <init-ack cookie-echo+data <cookie-ack+sack data <shutdown shutdown-ack <shutdown-complete
        init <init-ack cookie-echo <cookie-ack abort init <init-ack
        init <init-ack cookie-echo <cookie-ack <abort init <init-ack
        init <abort init
        init init init <init-ack <init-ack
        init <init cookie-echo <cookie-ack
        init <init-ack cookie-echo <cookie-ack heartbeat <heartbeat shutdown <shutdown-ack shutdown-complete init
        init <init-ack cookie-echo+abort data
        init <init-ack cookie-echo <cookie-ack+abort data
        init <init-ack cookie-echo+error <cookie-ack
        init <init-ack cookie-echo <cookie-ack shutdown <shutdown shutdown-ack <shutdown-ack
        data <sack data
        abort init
        cookie-echo <cookie-ack data
        init . . . init-ack data
        <init init-ack <cookie-echo cookie-ack data <sack
    """,
}  # fmt: skip

DRAWN = {  # what a drawn sequence's packets are, by who sends them, with weights
    "tcp": {
        "client": {"S": 24, "A": 24, "PA": 8, "FA": 14, "F": 4, "R": 6, "RA": 6, "-": 2, "SEW": 2, "P": 1, "FPA": 2, "RF": 1, "U": 1},
        "server": {"SA": 24, "A": 20, "PA": 8, "FA": 16, "F": 4, "R": 5, "RA": 6, "S": 4, "-": 2, "SEA": 2, "SF": 1, "RSA": 1},
    },
    "udp": {"client": {"x": 1}, "server": {"x": 1}},
    "sctp": {
        "client": {"init": 14, "init-ack": 3, "cookie-echo": 8, "cookie-echo+data": 3, "cookie-ack": 3, "data": 8, "sack": 3,
                   "heartbeat": 2, "shutdown": 8, "shutdown-ack": 4, "shutdown-complete": 4, "error": 3, "abort": 5,
                   "cookie-echo+abort": 1, "cookie-ack+abort": 1, "data+abort": 1},
        "server": {"init": 3, "init-ack": 14, "cookie-echo": 3, "cookie-ack": 10, "cookie-ack+sack": 2, "data": 6, "sack": 4,
                   "heartbeat": 2, "shutdown": 8, "shutdown-ack": 6, "shutdown-complete": 3, "error": 3, "abort": 4,
                   "cookie-ack+abort": 1, "data+abort": 1},
    },
}  # fmt: skip

OPENERS = {"tcp": "S", "udp": "x", "sctp": "init"}


@dataclass(frozen=True, eq=False)
class Regime:
    """One director's settings: IPVS's sysctls, and its idle timeouts in seconds (ipvsadm --set)."""

    name: str
    sysctls: dict = field(default_factory=dict)
    timeouts: tuple = ()


REGIMES = (
    Regime("default"),
    Regime("reuse-0", {"conn_reuse_mode": 0}),
    Regime("reuse-2", {"conn_reuse_mode": 2}),
    Regime("reuse-3", {"conn_reuse_mode": 3}),
    Regime("sloppy", {"sloppy_tcp": 1, "sloppy_sctp": 1}),
    Regime("short", {}, (30, 10, 4)),
)


@dataclass(frozen=True)
class Sequence:
    """The packets of one client's connection, a round each."""

    number: int
    protocol: str
    method: str
    steps: tuple
    drawn: bool = False

    @property
    def client(self):
        """The client. Some of the drawn ones send from port 20, which opens nothing."""
        port = FTP_DATA if self.drawn and self.number % 20 == 0 else 20_000 + self.number
        return Socket(f"198.51.100.{self.number % 250 + 1}", port)

    @property
    def service(self):
        """The virtual service, this sequence's own."""
        return Socket(VIP, 1_000 + self.number)

    @property
    def real_port(self):
        """Its real servers' port: NAT translates it."""
        return self.service.port + (10_000 if self.method == "nat" else 0)

    def configured(self):
        """Returns the service as the configuration has it."""
        reals = [Real(station.at(self.real_port)) for station in STATIONS]
        return Service(self.service, self.protocol, self.method, reals)

    def __str__(self):
        return f"{self.protocol} by {self.method}: {' '.join(self.steps)}"


def told():
    """Yields protocol, method and steps of each story: by NAT, and, without the answers, by tunnel or direct routing."""
    one_sided = itertools.cycle(("tunnel", "direct"))
    for protocol, stories in STORIES.items():
        for story in filter(None, map(str.split, stories.splitlines())):
            yield protocol, "nat", story
            yield protocol, next(one_sided), ["." if step[0] == "<" else step for step in story]


def draw(chance, protocol, method):
    """Returns the steps of a sequence at random; most begin as connections do."""
    steps = [OPENERS[protocol]] if chance.random() < 0.85 else []
    while len(steps) < ROUNDS:
        side = chance.choice(("client", "server")) if method == "nat" else "client"
        weights = DRAWN[protocol][side]
        what = chance.choices(list(weights), list(weights.values()))[0]
        steps.append("." if chance.random() < 0.2 else ("<" if side == "server" else "") + what)
    return steps


def sequences(chance, count):
    """Returns the sequences of one regime: every story, then `count` drawn ones."""
    chosen = [(*each, False) for each in told()]
    for _ in range(count):
        protocol = chance.choices(("tcp", "udp", "sctp"), (6, 1, 3))[0]
        method = chance.choices(METHODS, (2, 1, 1))[0]
        chosen.append((protocol, method, draw(chance, protocol, method), True))
    padded = ((protocol, method, (*steps, *"." * (ROUNDS - len(steps))), drawn) for protocol, method, steps, drawn in chosen)
    return [Sequence(number, *each) for number, each in enumerate(padded)]


def schedule(chance):
    """Returns the moment of each round, in seconds, such that no packet and no look comes while a connection may be
    gone in one director and, by its clock, not yet in the other."""
    while True:
        later = chance.sample(LONG[:-2], 3) + chance.choices(SHORT, k=ROUNDS - 1 - 6 - 5) + list(LONG[-2:])
        pauses = chance.choices(SHORT, k=6) + chance.sample(later, len(later))
        rounds = [round(moment, 1) for moment in itertools.accumulate(pauses, initial=0.0)]
        ages = (later - earlier for earlier, later in itertools.combinations(rounds, 2))
        moments = (age + look for age in ages for look in (0, LOOK))
        if not any(timeout - EARLY < moment < timeout + late(timeout) for moment in moments for timeout in TIMEOUTS):
            return rounds


@dataclass(frozen=True)
class Plan:
    """Everything that is played."""

    rounds: list
    regimes: dict  # of sequences, by regime

    @classmethod
    def draw(cls, seed, count):
        """A plan with `count` drawn sequences a regime; the same seed gives the same plan."""
        chance = random.Random(seed)
        return cls(schedule(chance), {regime: sequences(chance, count) for regime in REGIMES})
