"""What clients do in a lab, and what came of it."""

import hashlib
import itertools
import json
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from .network import CLIENT_PORTS


@dataclass
class Requests:
    """The outcome of a number of HTTP requests."""

    sent: int = 0
    answered: int = 0
    slow: int = 0  # over a second: a segment was lost and sent again
    seconds: float = 0.0
    shares: Counter = field(default_factory=Counter)
    errors: Counter = field(default_factory=Counter)

    def complete(self):
        """Whether every request was answered."""
        return self.sent > 0 and self.answered == self.sent

    def summary(self):
        """Says it in a line."""
        shares = ", ".join(f"{name} {count}" for name, count in sorted(self.shares.items()))
        errors = "".join(f"; {count} x {error}" for error, count in self.errors.most_common(3))
        return f"{self.answered} of {self.sent} answered ({shares}){errors}"


# Of requests: beyond those that clients choose by themselves, each once. A port that is used again within two minutes
# leads to the real server it led to before, by tunnel and direct routing: their director does not see connections end.
# IPVS does the same.
PORTS = itertools.cycle(range(CLIENT_PORTS.stop, 65536))

REQUEST = """\
url = "{url}"
local-port = {port}
output = /dev/null
header = "Connection: close"
connect-timeout = {patience}
max-time = {patience}
write-out = "%{{http_code}} %{{exitcode}} %{{time_total}} %header{{x-real-server}} %{{errormsg}}\\n"
"""


def url(host, path):
    """Returns the URL of a path on a host, which is an address of either family, or one of IPv4 and a port."""
    return f"http://[{host}]/{path}" if host.count(":") > 1 else f"http://{host}/{path}"


def requests(namespace, vip, count, parallel, patience=20):
    """Sends HTTP requests with curl, each on a connection and from a port of its own, and counts the answers."""
    outcome = Requests(sent=count)
    config = "next\n".join(REQUEST.format(url=url(vip, "index.html"), port=next(PORTS), patience=patience) for _ in range(count))
    started = time.monotonic()
    done = namespace.run("curl", "-sS", "-Z", "--parallel-immediate", "--parallel-max", parallel, "-K", "-", input=config,
                         check=False)
    outcome.seconds = time.monotonic() - started
    for line in done.stdout.splitlines():
        code, status, seconds, server, error = (line + "    ").split(" ", 4)
        if (code, status) == ("200", "0") and server:
            outcome.answered += 1
            outcome.shares[server] += 1
            outcome.slow += float(seconds) > 1
        else:
            outcome.errors[f"status {code} {error.strip() or f'curl {status}'}"] += 1
    return outcome


def checksum(path):
    """Returns the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(namespace, vip, file):
    """Fetches /large; returns its checksum and the seconds it took."""
    started = time.monotonic()
    namespace.run("curl", "-sS", "--fail", "--max-time", 180, "-o", file, url(vip, "large"))
    return checksum(file), time.monotonic() - started


def upload(namespace, vip, file, name):
    """Sends a file to /upload/NAME; returns the seconds it took."""
    started = time.monotonic()
    namespace.run("curl", "-sS", "--fail", "--max-time", 180, "-T", file, "-o", "/dev/null", url(vip, f"upload/{name}"))
    return time.monotonic() - started


@dataclass
class Throughput:
    """The outcome of an iperf3 run."""

    gigabits: float
    least: float  # of the one-second intervals
    intervals: int
    retransmissions: int


def iperf3(namespace, vip, seconds, *options):
    """Sends TCP for some seconds."""
    done = namespace.run("iperf3", "-c", vip, "-t", seconds, "-J", *options, check=False, timeout=seconds + 60)
    found = json.loads(done.stdout)
    if "error" in found or "sum_received" not in found.get("end", {}):
        raise RuntimeError(f"iperf3: {found.get('error', 'no result')}")
    # The last interval may be a sliver.
    rates = [interval["sum"]["bits_per_second"] / 1e9 for interval in found["intervals"] if interval["sum"]["seconds"] > 0.5]
    end = found["end"]
    return Throughput(end["sum_received"]["bits_per_second"] / 1e9, min(rates), len(rates), end["sum_sent"].get("retransmits", 0))


def udp_echo(lab, namespace, vip, port, datagrams, largest=1400, sockets=30, smallest=0):
    """Exchanges datagrams with an echo; returns the counts."""
    done = namespace.run(*lab.program("udp_client.py"), vip, port, datagrams, largest, sockets, smallest)
    return json.loads(done.stdout)


def two_vips(lab, namespace, vips, http_port, udp_port, rounds):
    """Speaks to two VIPs from one address and port; returns the counts."""
    done = namespace.run(*lab.program("two_vips.py"), *vips, http_port, udp_port, rounds)
    return json.loads(done.stdout)


class Capture:
    """A capture of all IP packets of a device, or of others, of the first octets of each (0: of all): read as text, as the
    addresses in it, or by tshark."""

    def __init__(self, lab, namespace, device, name, what="ip", octets=64):
        self.file = lab.folder / f"{name}.pcap"
        self.process = lab.start(namespace, f"{name}-capture", "tcpdump", "-Z", "root", "-i", device, "-n", "-U", "-s", octets, "-B", 16384,
                                 "--immediate-mode", "-w", self.file, what)
        deadline = time.monotonic() + 5
        while "listening on" not in self.process.output() and time.monotonic() < deadline:
            time.sleep(0.02)

    def end(self):
        """Ends the capture, when what was sent has come."""
        if self.process.alive():
            time.sleep(0.3)
            self.process.stop()

    def bad(self, what="frame"):
        """Ends the capture; returns what tshark finds malformed, or with a wrong checksum, among what it is to look at."""
        self.end()
        protocols = ("ip", "tcp", "udp")  # those whose sums tshark believes to be left to a card
        options = [word for protocol in protocols for word in ("-o", f"{protocol}.check_checksum:TRUE")]
        # What programs say is theirs: a client's port may be that of a protocol that tshark knows.
        options += [word for port in ("tcp.port", "udp.port") for word in ("-d", f"{port}==1-65535,data")]
        # An error quotes the beginning of a packet only, whose transport's sum tshark takes for wrong.
        sums = "ip.checksum.status == Bad || icmp.checksum.status == Bad || icmpv6.checksum.status == Bad || " \
               "(!icmp && !icmpv6 && (tcp.checksum.status == Bad || udp.checksum.status == Bad))"
        return subprocess.run(["tshark", "-n", "-r", self.file, *options, "-Y", f"({what}) && (_ws.malformed || {sums})"],
                              text=True, capture_output=True, check=True).stdout.splitlines()

    def packets(self, what):
        """Ends the capture; returns how many packets of it a filter of tcpdump's wants."""
        self.end()
        listed = subprocess.run(["tcpdump", "-nn", "-q", "-t", "-r", self.file, what], text=True, capture_output=True, check=True)
        return len(listed.stdout.splitlines())

    def text(self):
        """Ends the capture; returns its packets, a line each."""
        self.end()
        listed = subprocess.run(["tcpdump", "-nn", "-q", "-t", "-r", self.file], text=True, capture_output=True, check=True)
        self.file.unlink()
        return listed.stdout

    def addresses(self):
        """Ends the capture; returns how many packets it holds (0 if it missed some) and the IP addresses in them."""
        found, packets = set(), 0
        for line in self.text().splitlines():
            words = line.split()
            if len(words) > 3 and words[0] in ("IP", "IP6"):
                packets += 1
                found |= {_address(words[1]), _address(words[3])}
        whole = "\n0 packets dropped by kernel" in self.process.output()
        return packets if whole else 0, found


def _address(word):
    """Returns the address in what tcpdump prints: ADDRESS, ADDRESS.PORT, either with a colon after it."""
    parts = word.removesuffix(":").split(".")
    return parts[0] if ":" in parts[0] else ".".join(parts[:4])


@dataclass
class Answer:
    """One answer of a loop."""

    asked: float
    came: float
    status: str
    server: str


class Loop(threading.Thread):
    """Requests with curl, one after the other, each from a port of its own, until told to stop."""

    def __init__(self, namespace, vip):
        super().__init__(daemon=True)
        self.line = namespace.inside("curl", "-sS", "-H", "Connection: close", "--max-time", 10, "-o", "/dev/null", "-w",
                                     "%{http_code} %header{x-real-server}", url(vip, ""), "--local-port")
        self.answers = []
        self.ended = threading.Event()
        self.start()

    def run(self):
        """Asks again and again."""
        while not self.ended.is_set():
            asked = time.monotonic()
            line = [*self.line, str(next(PORTS))]
            done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            status, _, server = done.stdout.partition(" ")
            self.answers.append(Answer(asked, time.monotonic(), status, server))

    def stop(self):
        """Ends the loop; returns its answers, in order."""
        self.ended.set()
        self.join()
        return self.answers
