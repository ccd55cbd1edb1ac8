"""A twin for a port with an MTU of 9000: a pair of interfaces, since the tap driver stops at 1500.

    peer ── cable, MTU 9000 ── wan, director ── wan0 ═ wan0.in, the host

The host's packets of any size pass both ways, beside balanced ones; the twin shows the port's carrier, and lives on while the director is
restarted and killed.
"""

import json
import os
import signal
import time

from .kit import traffic
from .kit.director import Director, Port, outcomes
from .kit.servers import RealServer, make_documents

OWN, PEER, VIP = "192.0.2.2", "192.0.2.20", "192.0.2.80"
MAC = "02:00:00:00:00:01"
MTU = 9000
SIZES = (1472, 1473, 8972)
SESSION = 2222
PAGES = 8000
MEGABYTES = 32


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--workers", default="0,1", help="the director's workers, as CPU cores (default: 0,1)")


def run(lab, options):
    """Runs the lab."""
    jumbo = Jumbo(lab, [int(core) for core in options.workers.split(",")])
    jumbo.start()
    for step in (jumbo.made, jumbo.sizes, jumbo.files, jumbo.balanced, jumbo.cable, jumbo.lives_on, jumbo.accounts, jumbo.stopped):
        print(f"\n{step.__doc__.splitlines()[0]}")
        step()


class Jumbo:
    """The two machines."""

    def __init__(self, lab, workers):
        self.lab = lab
        self.check = lab.report.check
        network = lab.network
        self.namespace, self.peer = network.namespace("director"), network.namespace("peer")
        network.cable(self.peer, "eth0", self.namespace, "wan", f"{PEER}/24")
        for namespace, device in ((self.peer, "eth0"), (self.namespace, "wan")):
            namespace.ip("link", "set", device, "mtu", MTU)
        self.documents = make_documents(lab.folder, MEGABYTES)
        self.director = Director(lab, self.namespace, [Port("wan", MAC, f"{OWN}/24", twin="wan0", mtu=MTU)], [], workers, "adaptive")
        self.director.prepare()
        # On the same link as the client: it answers by itself.
        server = RealServer(lab, self.peer, PEER, self.documents)
        server.start_nginx([80])
        lab.start(self.namespace, "session-server", *lab.program("session.py"), "serve", SESSION)
        lab.start(self.namespace, "pages", "python3", "-m", "http.server", PAGES, "-d", self.documents)

    def start(self):
        """Starts the director; the host serves the VIP."""
        self.director.configure([(f"{VIP}:80", "tcp", "nat", [(f"127.0.0.1:{PAGES}", 1)])])
        self.director.start()

    def links(self, namespace, device):
        """Returns what the kernel says of an interface."""
        return json.loads(namespace.ip("-d", "-j", "link", "show", device).stdout)[0]

    def made(self):
        """What there is"""
        outer, inner = (self.links(self.namespace, name) for name in ("wan0", "wan0.in"))
        self.check("the twin has the port's Ethernet address and MTU", (outer["address"], outer["mtu"]) == (MAC, MTU),
                   f"{outer['address']}, {outer['mtu']}")
        self.check("and the port's address", f"{OWN}/24" in self.namespace.addresses("wan0"))
        self.check("its other end has no address", not self.namespace.addresses("wan0.in"), inner["operstate"])
        muted = self.namespace.run("nft", "list", "ruleset").stdout
        self.check("and is muted, as the carrier is", '"wan0.in"' in muted and '"wan"' in muted)

    def sizes(self):
        """Packets of any size, both ways"""
        for size in SIZES:
            for namespace, to in ((self.peer, OWN), (self.namespace, PEER)):
                done = namespace.run("ping", "-c", 3, "-i", 0.2, "-W", 2, "-M", "do", "-s", size, to, check=False)
                self.check(f"{namespace.name} has a ping of {size + 28} octets answered", done.returncode == 0, done.stdout.splitlines()[-2:])

    def _fetch(self, namespace, url):
        started = time.monotonic()
        namespace.run("curl", "-sS", "--fail", "--max-time", 120, "-o", self.lab.folder / "fetched", url)
        return traffic.checksum(self.lab.folder / "fetched"), time.monotonic() - started

    def files(self):
        """Long ones, both ways"""
        original = traffic.checksum(self.documents / "large")
        capture = traffic.Capture(self.lab, self.namespace, "wan0", "wan0", "tcp")
        for namespace, url in ((self.peer, f"http://{OWN}:{PAGES}/large"), (self.namespace, f"http://{PEER}/large")):
            got, seconds = self._fetch(namespace, url)
            self.check(f"{namespace.name} fetches {MEGABYTES} MB whole", got == original, f"{seconds:.1f} s")
        sizes = [int(line.rsplit(" ", 1)[1]) for line in capture.text().splitlines() if line.rsplit(" ", 1)[-1].isdigit()]
        self.check("in segments as large as the MTU allows, and no larger", max(sizes, default=0) in range(MTU - 100, MTU - 39),
                   f"the largest has {max(sizes, default=0)} octets")

    def balanced(self):
        """A VIP whose real server the host is"""
        original = traffic.checksum(self.documents / "large")
        got, seconds = self._fetch(self.peer, f"http://{VIP}/large")
        self.check(f"peer fetches {MEGABYTES} MB whole", got == original, f"{seconds:.1f} s")

    def cable(self):
        """A cable that is out"""
        def carrier(wanted):
            deadline = time.monotonic() + 3
            while ("LOWER_UP" in self.links(self.namespace, "wan0")["flags"]) != wanted:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)
            return True

        self.peer.ip("link", "set", "eth0", "down")
        self.check("the host sees its twin without a carrier", carrier(False))
        self.peer.ip("link", "set", "eth0", "up")
        self.check("and with one when the cable is back", carrier(True))
        code = self.peer.run("ping", "-c", 3, "-i", 0.3, "-W", 2, OWN, check=False).returncode
        self.check("and answers", code == 0)

    def lives_on(self):
        """A session of the host's while the director is restarted, and killed"""
        session = self.lab.start(self.peer, "session", *self.lab.program("session.py"), "talk", OWN, SESSION)
        time.sleep(1)
        self.check("the director ends well", self.director.stop() == 0)
        self.check("and the twin shows no carrier", "LOWER_UP" not in self.links(self.namespace, "wan0")["flags"])
        self._again("after a restart")
        os.kill(self.director.process.pid, signal.SIGKILL)
        self.director.process.handle.wait()
        self._again("after kill -9")
        session.stop(patience=40)
        told = json.loads(session.output().splitlines()[-1])
        self.check("the session lost nothing", told["sent"] == told["back"] > 50 and not told["error"],
                   f"{told['back']} of {told['sent']} lines back, the longest silence {told['longest_silence']:.1f} s {told['error']}")

    def _again(self, when):
        self.check(f"{when} the address is there", f"{OWN}/24" in self.namespace.addresses("wan0"))
        self.start()
        other = self.lab.folder / "other.toml"
        other.write_text(self.director.file.read_text().replace(str(self.director.socket), str(self.lab.folder / "other.sock")))
        again = self.namespace.run(self.director.program, "run", "-c", other, check=False, timeout=20)
        self.check(f"{when} a second director is refused", again.returncode == 1 and "another program holds it" in again.stderr,
                   again.stderr.strip().splitlines()[-1:])
        code = self.peer.run("ping", "-c", 1, "-W", 2, "-s", SIZES[-1], "-M", "do", OWN, check=False).returncode
        self.check(f"{when} a large ping is answered", code == 0)
        time.sleep(1)

    def accounts(self):
        """The accounts"""
        stats = self.director.settled()
        received = sum(worker["received"] for worker in stats["workers"])
        waiting = sum(worker["waiting"] for worker in stats["workers"])
        ended = outcomes(stats)
        self.check("frames received = sum of outcomes", received == sum(ended.values()) + waiting, f"{received} frames")
        self.lab.report.row("How frames ended", **{name: count for name, count in ended.items() if count})

    def stopped(self):
        """Without millrace nothing of this works"""
        self.director.stop()
        self.peer.ip("neigh", "flush", "dev", "eth0")
        code = self.peer.run("ping", "-c", 1, "-W", 1, OWN, check=False).returncode
        self.check("with millrace stopped, a ping is not answered", code != 0, f"exit {code}")
