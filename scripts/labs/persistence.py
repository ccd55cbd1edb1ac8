"""Persistence: many clients that keep coming back to their real server, a drained one, and passive FTP.

The network is that of the lab `forward`; the client has sixty addresses. By each method every address makes a few HTTP
requests, before and after a real server is drained; a download waits meanwhile. By tunnel and direct routing a
service of every port carries passive FTP, whose second connection goes to a port that nobody could have configured.
"""

import hashlib
import itertools
import subprocess
from collections import Counter, defaultdict

from .kit import traffic
from .kit.network import command
from .kit.stage import CLIENT, HTTP, SERVERS, VIP, Stage

CLIENTS = [f"198.51.100.{host}" for host in range(20, 80)]
EARLY, LATE = CLIENTS[:40], CLIENTS[40:]
VISITS = 4
FTP = 21
# Of the client's downloads, in turn.
DOWNLOAD_PORTS = itertools.count(20_000)
MEGABYTES = 8
# What the client's kernel takes in by itself.
RECEIVE_BUFFER = 1 << 20


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--workers", default="1", help="the director's workers, as CPU cores (default: 1)")


def run(lab, options):
    """Runs the lab."""
    stage = Stage(lab, [int(core) for core in options.workers.split(",")], "adaptive", MEGABYTES)
    for address in CLIENTS:
        stage.client.ip("addr", "add", f"{address}/24", "dev", "eth0")
    stage.client.run("sysctl", "-qw", f"net.ipv4.tcp_rmem=4096 131072 {RECEIVE_BUFFER}")
    for server in stage.servers:
        server.start_ftp(FTP)
    for method in ("nat", "tunnel", "direct"):
        print(f"\n{method}")
        Method(lab, stage, method).run()


class Download:
    """A large file, more than buffers hold, of which nobody reads more than the beginning until it is to end."""

    def __init__(self, client, address):
        port = next(DOWNLOAD_PORTS)
        self.client = f"{address}:{port}"
        self.curl = subprocess.Popen(client.inside("curl", "-sS", "--interface", address, "--local-port", port,
                                                   f"http://{VIP}/large"), stdout=subprocess.PIPE)
        self.digest = hashlib.sha256(self.curl.stdout.read(1))

    def finish(self):
        """Reads the rest. Returns curl's exit code and the checksum of the whole."""
        while part := self.curl.stdout.read(1 << 20):
            self.digest.update(part)
        return self.curl.wait(), self.digest.hexdigest()


class Method:
    """All steps through one forwarding method."""

    def __init__(self, lab, stage, method):
        self.lab = lab
        self.stage = stage
        self.method = method
        self.figures = {"method": method}

    def check(self, what, held, detail=""):
        """Notes whether something held."""
        return self.lab.report.check(f"{self.method}: {what}", held, detail)

    def run(self):
        """Sets the real servers up, takes every step, and takes it all back."""
        self.stage.setup_servers(self.method)
        try:
            self.configure(self.web())
            self.stage.director.start()
            self.clients()
            if self.method != "nat":
                self.ftp()
        finally:
            self.stage.director.stop()
            self.stage.setup_servers(self.method, "--undo")
        self.lab.report.row("Clients and files", **self.figures)

    def web(self, drained=None):
        """HTTP with persistence; one real server may be drained."""
        port = self.stage.nat_port(self.method, HTTP)
        reals = [(f"{address}:{port}", 0 if name == drained else 1) for name, address in SERVERS.items()]
        return (f"{VIP}:{HTTP}", "tcp", self.method, reals, "persistence = { timeout = 300 }")

    def every_port(self, *more):
        """Every port of the VIP."""
        return (f"{VIP}:0", "tcp", self.method, [(address, 1) for address in SERVERS.values()], *more)

    def configure(self, *services):
        """Writes the file."""
        self.stage.director.configure(services)

    def clients(self):
        """Who came back to whom."""
        first = self.visits(EARLY)
        servers = {client: next(iter(counts)) for client, counts in first.items() if len(counts) == 1}
        shares = Counter(servers.values())
        self.check(f"each of {len(EARLY)} clients keeps its real server for {VISITS} connections",
                   len(servers) == len(EARLY) and all(sum(counts.values()) == VISITS for counts in first.values()),
                   f"{len(servers)} did")
        self.check("every real server has its share of them", len(shares) == len(SERVERS),
                   ", ".join(f"{name} {count}" for name, count in sorted(shares.items())))
        templates = [c for c in self.stage.director.listed() if c["client"].endswith(":0")]
        told = {c["client"].rsplit(":", 1)[0]: c["real"].rsplit(":", 1)[0] for c in templates}
        self.check("millrace conn list tells the templates", told == {c: SERVERS[name] for c, name in servers.items()},
                   f"{len(templates)} of them, {Counter(c['state'] for c in templates)}")

        mine = next(client for client, name in servers.items() if name == "r1")
        download = Download(self.stage.client, mine)
        self.configure(self.web(drained="r1"))
        self.stage.director.reload()
        again = self.visits(EARLY)
        self.check("a drained real server keeps its clients", all(set(again[client]) == {servers[client]} for client in servers),
                   f"{sum(1 for client in servers if set(again[client]) == {servers[client]})} of {len(servers)} came back to theirs")
        new = Counter(name for counts in self.visits(LATE).values() for name in counts.elements())
        self.check("and gets no new ones", new["r1"] == 0 and sum(new.values()) == len(LATE) * VISITS, dict(new))
        state = [c["state"] for c in self.stage.director.listed() if c["client"] == download.client]
        code, digest = download.finish()
        whole = digest == traffic.checksum(self.stage.documents / "large")
        self.check("and finishes its downloads", state == ["ESTABLISHED"] and code == 0 and whole,
                   f"{MEGABYTES} MB, {', '.join(state)} meanwhile, curl {code}")
        self.figures |= {"clients": len(EARLY) + len(LATE), **{name: shares[name] for name in SERVERS}}
        self.configure(self.web())
        self.stage.director.reload()

    def visits(self, clients):
        """Makes each client's requests; returns which real servers answered each how often."""
        answered = defaultdict(Counter)
        for client in clients:
            url = ["-o", "/dev/null", f"http://{VIP}/"]
            done = command(*self.stage.client.inside(
                "curl", "-sS", "--interface", client, "-H", "Connection: close", "--max-time", 10, "-w",
                "%{http_code} %header{x-real-server}\\n", *url * VISITS), check=False)
            answered[client].update(line.split()[1] for line in done.stdout.splitlines() if line.startswith("200 "))
        return answered

    def ftp(self):
        """Passive FTP: the second connection has to find the first one's real server."""
        def fetched():
            copy, good = self.lab.folder / "copy", 0
            for client in EARLY[:12]:
                copy.unlink(missing_ok=True)
                done = self.stage.client.run("curl", "-sS", "--interface", client, "--disable-epsv", "--max-time", 10,
                                             "--connect-timeout", 3, "-o", copy, f"ftp://{VIP}/large", check=False)
                good += done.returncode == 0 and traffic.checksum(copy) == traffic.checksum(self.stage.documents / "large")
            return good

        self.configure(self.every_port("persistence = { timeout = 300 }"))
        self.stage.director.reload()
        good = fetched()
        self.check("passive FTP over a persistent service of every port", good == 12, f"{good} of 12 files whole")
        self.figures["files"] = good
        # Otherwise the check above would prove nothing.
        self.configure(self.every_port())
        self.stage.director.reload()
        good = fetched()
        self.check("and not without persistence", good < 12, f"{good} of 12")
        self.stage.director.pause()
        code = self.stage.client.run("curl", "-sS", "--interface", CLIENT, "--max-time", 2, "-o", "/dev/null", f"ftp://{VIP}/",
                                     check=False).returncode
        self.stage.director.resume()
        self.check("with millrace stopped nothing is answered", code != 0, f"curl {code}")
