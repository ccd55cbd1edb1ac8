"""A golden case: what the director is told, what it hears, and what it must say, frame by frame.

Every frame that arrives names the outcome that it must be counted as, so the counters are checked exactly.
"""

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace

from network import FAMILIES, STRANGER, WAN, Config, Service, family, here, speaking
from packets import announcement, frame, who_has

START = 1_000_000
"""The first frame's time stamp: this many microseconds into the capture's first second."""
STEP = 1_000
"""Microseconds between two frames, unless a case says otherwise."""


@dataclass(frozen=True)
class Heard:
    """A frame that arrives."""

    micros: int
    port: str
    octets: bytes


@dataclass(frozen=True)
class Said:
    """A frame that must leave."""

    octets: bytes
    free_id: bool = False
    """The IPv4 identification is the director's choice: it and the header checksum are judged by their own rules."""
    broken_sum: bool = False
    """The transport checksum arrived wrong and must leave wrong."""
    connection: object = None
    """The connection, where its server depends on the worker: see [`Scenario.leaves_to_one_of`]."""


@dataclass
class Scenario:
    """One case, built by the functions in `cases`."""

    name: str
    about: str
    family: int = field(default_factory=family)
    """4 or 6: that of its addresses."""
    config: Config = field(default_factory=Config)
    reloads: list = field(default_factory=list)
    """Configurations that follow, each with the time at which it is applied."""
    heard: list = field(default_factory=list)
    said: dict = field(default_factory=lambda: {"wan": [], "lan": []})
    outcomes: Counter = field(default_factory=Counter)
    choices: dict = field(default_factory=dict)
    """For each connection whose server only one worker's cursor tells: its frames by each server that may be chosen."""
    micros: int = START
    step: int = STEP
    single_worker: str = ""
    """Why the case makes sense with one worker only; empty if it does with any number."""

    def service(self, address, protocol, forwarding, reals, scheduler="rr", keys=""):
        """Adds a virtual service."""
        self.config.services.append(Service(address, protocol, forwarding, list(reals), scheduler, keys))

    def reload(self, *services):
        """From here on, the virtual services are these."""
        self.reloads.append((self.micros, replace(self.config, services=list(services))))
        self.micros += self.step

    def twin(self, port):
        """Gives the port a twin, and returns the host's end of it."""
        own = self.config.change_port(port, twin=f"{port.name}0")
        end = replace(own, name=f"{port.name}:twin")
        self.said[end.name] = []
        return end

    def tick(self, seconds):
        """Lets the clock go on, and shows it to the director by a frame that concerns nobody here."""
        self.wait(seconds)
        question = who_has(STRANGER.mac, STRANGER.address, "192.0.2.98")
        self.arrives_frame(WAN, question, "drop_arp_not_ours" if self.family == 4 else "drop_nd_not_ours")

    def mark(self, mark, match):
        """Gives packets that `match` describes a mark."""
        self.config.marks.append((mark, match))

    def wait(self, seconds):
        """Lets the capture's clock go on."""
        self.micros += round(seconds * 1_000_000)

    def arrives(self, port, station, packet, outcome, pad=False):
        """A packet comes from `station` to the port's own Ethernet address, and is counted as `outcome`."""
        self.arrives_frame(port, frame(station.mac, port.mac, packet, pad), outcome)

    def host_sends(self, twin, station, packet, outcome):
        """The host sends a packet to `station` on a twin, and it is counted as `outcome`."""
        self.arrives_frame(twin, frame(twin.mac, station.mac, packet), outcome)

    def host_gets(self, twin, station, packet):
        """The host must be given, on a twin, a packet that `station` sent."""
        self.leaves_frame(twin, frame(station.mac, twin.mac, packet))

    def arrives_frame(self, port, octets, outcome):
        """A whole frame comes, and is counted as `outcome`."""
        self.heard.append(Heard(self.micros, port.name, bytes(octets)))
        self.outcomes[outcome] += 1
        self.micros += self.step

    def leaves(self, port, station, packet, free_id=False, broken_sum=False):
        """A packet must leave by `port` to `station`."""
        self.said[port.name].append(Said(frame(port.mac, station.mac, packet), free_id, broken_sum))

    def leaves_to_one_of(self, port, connection, onward, chosen, free_id=False):
        """A packet must leave to the server that its connection was given to.

        `onward` holds, for each server that may be chosen, the station and the packet as that one must get it; with
        one worker it is the one of key `chosen`. With more, any of them, but one for the whole connection.
        """
        said = {key: Said(frame(port.mac, station.mac, p), free_id) for key, (station, p) in onward.items()}
        self.said[port.name].append(replace(said[chosen], connection=connection))
        by_server = self.choices.setdefault(connection, {})
        for key, frame_of_key in said.items():
            by_server.setdefault(key, []).append((port.name, frame_of_key))

    def leaves_frame(self, port, octets):
        """A whole frame must leave by `port`."""
        self.said[port.name].append(Said(bytes(octets)))

    def announcements(self, name):
        """Returns what the port of that name must say at start: its addresses, and the VIPs of its own prefixes; its twin nothing."""
        port = self.config.ports.get(name)
        if port is None:
            return []
        with speaking(self.family):
            own = [address.split("/")[0] for address in port.own(self.config.families)]
            vips = [here(vip) for vip in [*self.config.vips(), *self.config.local_pools] if port.on_link(vip)]
        return [Said(announcement(port.mac, address)) for address in own + vips]


CASES = []


def cases(name, /, **choices):
    """Registers a function as a case, once for each combination of `choices`.

    The function's name for reports is `name`, and its description its docstring, both with the choices filled in.
    """
    return in_families((4,), name, choices)


def both(name, /, **choices):
    """Registers a function as a case of IPv4, and, with the same text, as one of IPv6."""
    return in_families(FAMILIES, name, choices)


def six(name, /, **choices):
    """Registers a function as a case of IPv6."""
    return in_families((6,), name, choices)


def in_families(families, name, choices):
    """Registers as [`cases`] says, for each family. The names of IPv6's begin with it."""

    def register(build):
        for each in families:
            for combination in itertools.product(*choices.values()):
                chosen = dict(zip(choices, combination))
                shown = {key: getattr(value, "label", value) for key, value in chosen.items()}
                CASES.append(("ipv6/" * (each == 6) + name.format(**shown), each, build, chosen))
        return build

    return register


def build_all(wanted=""):
    """Builds the cases whose name contains `wanted`, in the order of registration."""
    built = []
    for name, spoken, build, chosen in CASES:
        if wanted in name:
            with speaking(spoken):
                scenario = Scenario(name, " ".join((build.__doc__ or "").split()))
                build(scenario, **chosen)
            built.append(scenario)
    names = Counter(scenario.name for scenario in built)
    assert max(names.values(), default=0) <= 1, f"two cases of one name: {names.most_common(1)}"
    return built
