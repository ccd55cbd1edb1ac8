"""The director of a lab: millrace on two ports, each over a muted veth of its namespace."""

import json
import os
import re
import signal
import time
from pathlib import Path

from .lab import ROOT
from .network import command


def find_program():
    """Returns the millrace to run: $MILLRACE, or the newest build of this checkout."""
    named = os.environ.get("MILLRACE")
    if named:
        return Path(named)
    built = [ROOT / "target" / kind / "millrace" for kind in ("release", "debug")]
    built = [path for path in built if path.exists()]
    if not built:
        raise RuntimeError("millrace is not built: cargo build --release --workspace")
    return max(built, key=lambda path: path.stat().st_mtime)


def memory_arguments():
    """Returns what the EAL needs to know about memory here: hugepages if enough are free, else ordinary memory.

    Nothing is kept in files, so that runs do not meet and nothing stays after one that was killed.
    """
    info = Path("/proc/meminfo").read_text()
    free = re.search(r"HugePages_Free:\s+(\d+)", info)
    size = re.search(r"Hugepagesize:\s+(\d+) kB", info)
    if free and size and int(free[1]) * int(size[1]) >= 300 * 1024:
        return ["--in-memory", "--no-pci"]
    return ["--no-huge", "-m", "512", "--no-shconf", "--no-pci"]


class Port:
    """One port of the director: the name of both the port and its carrier, its addresses, and its twin and MTU if they are named."""

    def __init__(self, name, mac, *addresses, twin=None, mtu=None):
        self.name = name
        self.mac = mac
        self.addresses = addresses
        self.twin = twin
        self.mtu = mtu


class Director:
    """millrace in its namespace. `configure` writes the file, `start` and `reload` make it true."""

    def __init__(self, lab, namespace, ports, routes, workers, poll, name="millrace"):
        self.lab = lab
        self.namespace = namespace
        self.ports = ports
        self.routes = routes
        self.workers = workers
        self.poll = poll
        self.program = find_program()
        self.name = name
        """Of several directors each has its own."""
        self.file = lab.folder / f"{name}.toml"
        self.socket = lab.folder / f"{name}.sock"
        self.device = "net_af_packet{number},iface={name},qpairs={queues},framecnt=4096"
        """What a port is made of. Where it does not bring the carrier's Ethernet address, the file must name it: `names_macs`."""
        self.names_macs = False
        self.scheduler = "rr"
        self.api = []
        """Further lines of [api]."""
        self.local_pools = []
        """Full NAT's source addresses, as the file has them."""
        self.transit = None
        """What becomes of packets for others, if the file is to say."""
        self.process = None
        self.memory = None
        """What the running process was given; what is free now may be less, for it has taken some, or more."""

    def prepare(self):
        """Makes the carriers mute: a port copies what arrives, and the kernel must neither answer nor forward it.

        The chain that drops also counts, so that what the port received can be held against it. Where a port has a twin the
        director does it itself.
        """
        for port in self.ports:
            self.namespace.ip("link", "set", port.name, "address", port.mac)
            if port.twin:
                continue
            self.namespace.nft(port.name, port.name, "priority -500; policy drop;", f'counter comment "{port.name}"')

    def configure(self, services, max_connections=100_000, memory=None):
        """Writes the configuration. A service is (address, protocol, method, [(real server, weight)], further lines);
        `memory` is for the EAL, in place of `memory_arguments`."""
        running = self.process is not None and self.process.alive()
        self.memory = memory or (self.memory if running else memory_arguments())
        args = ", ".join(f'"{argument}"' for argument in self.memory)
        lines = ["[director]", f"workers = {self.workers}", f"max_connections = {max_connections:_}", f'poll = "{self.poll}"',
                 f"dpdk_args = [{args}]", *([f'transit = "{self.transit}"'] if self.transit else []), "", "[api]", f'socket = "{self.socket}"', *self.api]
        for number, port in enumerate(self.ports):
            device = self.device.format(number=number, name=port.name, queues=len(self.workers))
            addresses = ", ".join(f'"{address}"' for address in port.addresses)
            lines += ["", "[[port]]", f'name = "{port.name}"', f'device = "{device}"', f"addresses = [{addresses}]"]
            if self.names_macs:
                lines.append(f'mac = "{port.mac}"')
            if port.twin:
                lines.append(f'twin = "{port.twin}"')
            if port.mtu:
                lines.append(f"mtu = {port.mtu}")
        for to, via in self.routes:
            lines += ["", "[[route]]", f'to = "{to}"', f"via = {json.dumps(via)}"]
        if self.local_pools:
            lines += ["", "[[local_pool]]", f"addresses = {json.dumps(self.local_pools)}"]
        for address, protocol, method, reals, *more in services:
            lines += ["", "[[service]]", f'address = "{address}"', f'protocol = "{protocol}"', f'scheduler = "{self.scheduler}"',
                      f'forwarding = "{method}"', *more]
            for real, weight in reals:
                lines += ["  [[service.real]]", f'  address = "{real}"', f"  weight = {weight}"]
        self.file.write_text("\n".join(lines) + "\n")

    def start(self):
        """Starts it and waits until it answers on its socket."""
        self.process = self.lab.start(self.namespace, self.name, self.program, "run", "-c", self.file)
        deadline = time.monotonic() + 20
        while self._stats_text() is None:
            if not self.process.alive() or time.monotonic() > deadline:
                raise RuntimeError(f"millrace did not start: {self.process.output()[-2000:]}")
            time.sleep(0.1)

    def reload(self):
        """Has the file applied again, and waits until it is."""
        before = self.stats()["generation"]
        os.kill(self.process.pid, signal.SIGHUP)
        deadline = time.monotonic() + 5
        while self.stats()["generation"] == before:
            if time.monotonic() > deadline:
                raise RuntimeError(f"millrace did not apply its file: {self.process.output()[-2000:]}")
            time.sleep(0.02)

    def pause(self):
        """Stops it in its tracks."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        """Lets it go on."""
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        """Ends it; returns its exit code."""
        return self.process.stop() if self.process else None

    def _stats_text(self):
        done = command(self.program, "stats", "--json", "--socket", self.socket, check=False)
        return done.stdout if done.returncode == 0 else None

    def tell(self, *words, check=True):
        """Runs a command of `millrace` that asks it, or tells it something."""
        return command(self.program, *words, "--socket", self.socket, check=check)

    def ask(self, *command_line):
        """Returns the JSON that a command of millrace prints."""
        return json.loads(command(self.program, *command_line, "--json", "--socket", self.socket).stdout)

    def stats(self):
        """Returns what it has counted: the JSON of `millrace stats`."""
        text = self._stats_text()
        if text is None:
            raise RuntimeError(f"millrace does not answer: {self.process.output()[-2000:]}")
        return json.loads(text)

    def listed(self):
        """Returns its connections: the JSON of `millrace conn list`."""
        done = command(self.program, "conn", "list", "--json", "--socket", self.socket)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def settled(self):
        """Waits until nothing is forwarded any more, and returns what it has counted."""
        deadline = time.monotonic() + 10
        earlier, now = None, self.stats()
        while outcomes(earlier) != outcomes(now) and time.monotonic() < deadline:
            time.sleep(0.3)
            earlier, now = now, self.stats()
        return now


def outcomes(stats):
    """Returns how frames ended, by name."""
    return {name: outcome["count"] for name, outcome in stats["outcomes"].items()} if stats else None


def connections(stats, address, protocol):
    """Returns the connections that each real server of a service was given, by its address without port and brackets."""
    for service in stats["services"]:
        if service["address"] == address and service["protocol"] == protocol:
            return {real["address"].rsplit(":", 1)[0].strip("[]"): real["connections"] for real in service["reals"]}
    return {}
