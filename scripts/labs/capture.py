"""dpdk-dumpcap beside a director at work: what it shows, that forwarding goes on, what is left after stop and kill -9.

The network is that of the lab `forward`, by NAT. The director runs as in production: its memory in files of a
hugetlbfs under a --file-prefix, by which dpdk-dumpcap finds it and shares it.
"""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from .kit import traffic
from .kit.stage import CLIENT, NAT_PORTS, SERVERS, VIP, Stage

NEEDED_MIB = 160
HUGEPAGES, RUNTIME = Path("/dev/hugepages"), Path("/var/run/dpdk")
WAN, LAN = "wan", "lan"
REQUESTS, PACKETS = 100, 40


def arguments(_parser):
    """This lab has no options of its own."""


def run(lab, _options):
    """Runs the lab."""
    if missing := [name for name in ("dpdk-dumpcap", "tshark") if not shutil.which(name)]:
        raise RuntimeError(f"not installed: {', '.join(missing)} (scripts/setup)")
    if (free := free_hugepages()) < NEEDED_MIB:
        raise RuntimeError(f"{free} MiB of hugepages are free on {HUGEPAGES}, {NEEDED_MIB} are needed (scripts/setup)")
    stage = Stage(lab, [1], "adaptive", 0)
    stage.setup_servers("nat")
    try:
        Watch(lab, stage).run()
    finally:
        stage.director.stop()
        for path in left_behind(lab.prefix):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def free_hugepages():
    """Returns how much memory in hugepages is free, in MiB, for files in the usual place."""
    mounted = any(line.split()[1:3] == [str(HUGEPAGES), "hugetlbfs"] for line in open("/proc/mounts", encoding="utf-8"))
    info = dict(line.split(":") for line in open("/proc/meminfo", encoding="utf-8"))
    pages, kib = (int(info.get(name, "0").split()[0]) for name in ("HugePages_Free", "Hugepagesize"))
    return pages * kib // 1024 if mounted else 0


def left_behind(prefix):
    """Returns the EAL's files of a prefix that are there."""
    return sorted(HUGEPAGES.glob(f"{prefix}map_*")) + sorted(RUNTIME.glob(prefix))


class Dumpcap:
    """A dpdk-dumpcap at work."""

    def __init__(self, lab, name, *options):
        self.file = lab.folder / f"{name}.pcapng"
        self.process = lab.start(lab.network.namespaces["director"], name, "dpdk-dumpcap", f"--file-prefix={lab.prefix}",
                                 *options, "-w", self.file)
        deadline = time.monotonic() + 10
        while not self.file.exists() and self.process.alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)

    def wait(self, seconds=20):
        """Waits for its end; returns its exit code, None if it goes on."""
        try:
            return self.process.handle.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def interrupt(self):
        """Ends it as Ctrl-C does; returns its exit code."""
        time.sleep(0.5)
        self.process.handle.send_signal(signal.SIGINT)
        return self.wait()

    def packets(self, wanted):
        """Returns interface, source, destination, HTTP method and TCP ports of each packet that tshark's filter wants."""
        fields = ("frame.interface_name", "ip.src", "ip.dst", "http.request.method", "tcp.dstport")
        # Left alone, tshark believes that a card does these later.
        options = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
        listed = subprocess.run(["tshark", "-r", self.file, "-Y", wanted, *options, "-T", "fields",
                                 *(word for field in fields for word in ("-e", field))],
                                capture_output=True, text=True, check=True)
        return [tuple(line.split("\t")) for line in listed.stdout.splitlines()]


class Watch:
    """What is watched of one director."""

    def __init__(self, lab, stage):
        self.lab = lab
        self.stage = stage
        self.director = stage.director
        self.check = lab.report.check

    def run(self):
        """Takes every step."""
        self.director.configure(self.stage.services("nat"), memory=[f"--file-prefix={self.lab.prefix}", "--no-pci"])
        self.director.start()
        said = self.director.process.output()
        self.check("the director says how to capture", f"dpdk-dumpcap --file-prefix={self.lab.prefix}" in said)
        for step in (self.both_sides, self.filtered, self.stopped_meanwhile, self.killed, self.stopped):
            step()

    def requests(self, what):
        """Sends requests; all must be answered."""
        outcome = traffic.requests(self.stage.client, VIP, REQUESTS, 10)
        return self.check(f"{what}: every request is answered", outcome.complete(), outcome.summary())

    def both_sides(self):
        """A capture of both ports holds every request, on its way in and on its way out."""
        capture = Dumpcap(self.lab, "both", "-i", "*")
        self.requests("during a capture")
        code = capture.interrupt()
        self.check("dpdk-dumpcap ends well", code == 0, f"exit {code}")
        heard = Counter(packet[:3] for packet in capture.packets("http.request.method == GET"))
        wan = heard[(WAN, CLIENT, VIP)]
        lan = {name: heard[(LAN, CLIENT, address)] for name, address in SERVERS.items()}
        self.check("it shows each client's request on its way in", wan == REQUESTS, f"{wan} from {CLIENT} to {VIP} on {WAN}")
        self.check("and translated on its way out", sum(lan.values()) == REQUESTS and min(lan.values()) > 0,
                   ", ".join(f"{count} to {name}" for name, count in lan.items()))
        packets = len(capture.packets("tcp"))
        right = len(capture.packets("ip.checksum.status == Good && tcp.checksum.status == Good"))
        self.check("every checksum in it is right", packets == right > 0, f"{right} of {packets}")
        self.lab.report.row("Captured", packets=packets, wan=wan, **lan)

    def filtered(self):
        """A capture with a filter, of so many packets, ends by itself."""
        port = NAT_PORTS[80]
        capture = Dumpcap(self.lab, "filtered", "-i", "1", "-f", f"tcp dst port {port}", "-c", PACKETS)
        self.requests("during a filtered capture")
        code = capture.wait()
        packets = capture.packets("frame")
        # It looks at whole bursts, and stops after the one in which it has enough.
        enough = PACKETS <= len(packets) and {packet[4] for packet in packets} == {str(port)}
        self.check(f"a filter for TCP port {port} and a count of {PACKETS} hold", code == 0 and enough,
                   f"exit {code}, {len(packets)} packets")
        self.requests("after captures")

    def stopped_meanwhile(self):
        """A director that is stopped during a capture ends well, and so does the capture; a new one starts."""
        capture = Dumpcap(self.lab, "cut", "-i", "0")
        code = self.director.stop()
        self.check("millrace stopped during a capture ends cleanly", code == 0, f"exit {code}")
        code = capture.wait()
        self.check("dpdk-dumpcap ends with it", code == 0, f"exit {code}")
        self.director.start()
        self.requests("after a new start")

    def killed(self):
        """After kill -9 the next start clears what was left."""
        os.kill(self.director.process.pid, signal.SIGKILL)
        self.director.process.handle.wait()
        left = self.pages()
        self.check("kill -9 leaves hugepages in files", left, f"{len(left)}")
        self.director.start()
        taken = self.pages()
        self.check("the next start clears them", not left & taken and len(taken) == len(left), f"{len(taken)} others now")
        self.requests("after kill -9 and a new start")

    def pages(self):
        """Returns the director's hugepages, each by the number of its file."""
        return {path.stat().st_ino for path in HUGEPAGES.glob(f"{self.lab.prefix}map_*")}

    def stopped(self):
        """After a clean stop nothing is left."""
        code = self.director.stop()
        self.check("millrace ends cleanly on SIGTERM", code == 0, f"exit {code}")
        left = left_behind(self.lab.prefix)
        self.check("no file of the EAL is left", not left, ", ".join(map(str, left)) or f"in {HUGEPAGES} and {RUNTIME}")
