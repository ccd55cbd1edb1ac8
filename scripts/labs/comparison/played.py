"""What comes of a plan: connections after each round, and millrace's part of it, by `millrace replay`."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from .frames import LAN, STATIONS, WAN, Config, for_nobody, from_client, from_server, write_capture
from .plan import LOOK

AT_A_TIME = 2
REPLAY_SECONDS = 60


@dataclass(frozen=True)
class Connection:
    """A connection as both directors list it."""

    state: str
    seconds: int
    """Until it is removed, if no packet comes."""
    real: str
    """The address of its real server."""


@dataclass(frozen=True)
class Counts:
    """A real server's connections."""

    active: int
    inactive: int


@dataclass(frozen=True)
class Look:
    """What a director shows after a round: connections by their client and service, counts by service and real server."""

    connections: dict
    counts: dict


@dataclass(frozen=True)
class Director:
    """One regime's director: its number and its Ethernet addresses, in both players."""

    number: int
    regime: object
    sequences: list

    @property
    def wan(self):
        """The port towards clients."""
        return replace(WAN, mac=f"02:00:00:00:01:{self.number:02x}")

    @property
    def lan(self):
        """The port towards real servers."""
        return replace(LAN, mac=f"02:00:00:00:02:{self.number:02x}")

    def toml(self):
        """Returns millrace's configuration."""
        config = Config(ports={"wan": self.wan, "lan": self.lan}, services=[each.configured() for each in self.sequences])
        lines = [config.toml(), "[ipvs]", *(f"{name} = {value}" for name, value in self.regime.sysctls.items())]
        if self.regime.timeouts:
            lines += ["[timeouts]", *(f'{name} = "{value}s"' for name, value in zip(("tcp", "tcp_fin", "udp"), self.regime.timeouts))]
        return "\n".join(lines) + "\n"


class Replayed:
    """A director's sequences in millrace: round by round, since who answers is the real server that was chosen."""

    def __init__(self, director, program, folder):
        self.director, self.program, self.folder = director, program, folder
        self.frames = {"wan": [], "lan": []}
        """By port and round."""
        self.looks = []
        folder.mkdir()
        (folder / "millrace.toml").write_text(director.toml())

    def play(self, rounds):
        """Plays all rounds, each time from the start."""
        for number in range(len(rounds)):
            self.add_round(number)
            self.looks.append(self.look(rounds[: number + 1]))
        return self

    def add_round(self, number):
        """Makes the frames of one round."""
        clients, servers = [], []
        for sequence in self.director.sequences:
            step = sequence.steps[number]
            if step.startswith("<"):
                servers.append(from_server(sequence, step[1:], self.director.lan, self.answering(sequence)))
            elif step != ".":
                clients.append(from_client(sequence, step, self.director.wan))
        self.frames["wan"].append(clients)
        self.frames["lan"].append(servers)

    def answering(self, sequence):
        """Returns the real server that a sequence's connection has; the first one if there is none."""
        found = self.looks[-1].connections.get((str(sequence.client), str(sequence.service))) if self.looks else None
        return next((station for station in STATIONS if found and found.real == station.address), STATIONS[0])

    def look(self, rounds):
        """Replays these rounds; returns what is there a moment after the last."""
        command = [self.program, "replay", "-c", "millrace.toml", "--connections", "connections", "--stats", "stats"]
        for port, by_round in self.frames.items():
            stamped = [(round(moment * 1e6), frame) for moment, frames in zip(rounds, by_round) for frame in frames]
            stamped = [(0, for_nobody()), *stamped, (round((rounds[-1] + LOOK) * 1e6), for_nobody())]
            write_capture(self.folder / f"{port}.pcap", stamped)
            command += ["--in", f"{port}={port}.pcap"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=REPLAY_SECONDS)
        if done.returncode != 0:
            raise RuntimeError(f"millrace replay, exit {done.returncode}: {done.stderr[-1000:]}")
        listed = map(json.loads, (self.folder / "connections").read_text().splitlines())
        stats = json.loads((self.folder / "stats").read_text())
        return Look(
            {(each["client"], each["service"]): connection_of(each) for each in listed},
            {(service["address"], real["address"].partition(":")[0]): Counts(real["active"], real["inactive"])
             for service in stats["services"] for real in service["reals"]},
        )  # fmt: skip


def connection_of(listed):
    """Returns a connection from its line."""
    return Connection(listed["state"], listed["expires_seconds"], listed["real"].partition(":")[0])


def replay(directors, rounds, program, folder):
    """Plays every director's sequences into millrace."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        players = [Replayed(director, program, folder / director.regime.name) for director in directors]
        return list(pool.map(lambda player: player.play(rounds), players))
