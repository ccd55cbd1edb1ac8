"""Two directors behind an ECMP router: one is killed, drained, restarted, and downloads go on by the other.

    198.51.100.0/24                     192.0.2.0/24  (bridge)
    client .10 ──── .1 router .1 ──┬───────┬───────┬───────┬───────┐
                       BIRD        │       │       │       │       │
                        ▲        .2 d1   .3 d2  r1 .11  r2 .12  r3 .13
                        │          BIRD    BIRD
                        └── BGP, BFD ┴───────┘      VIP: 203.0.113.10, a blackhole route of d1's and d2's host

    client ─► router ─► d1 or d2 ─► rN ─► router ─► client    (direct routing)

The router's kernel chooses by a hash of addresses and ports. A director that goes leaves its connections to the other, which chooses
the same real server for them (mh) and takes them up in mid-stream (sloppy_tcp).
"""

import json
import os
import re
import signal
import time

from .kit import bird, frr, traffic
from .kit.director import Director, Port, connections
from .kit.lab import ROOT
from .kit.routing import RouteWatch
from .kit.servers import RealServer, make_documents

VIP, HTTP = "203.0.113.10", 80
VIPS = "203.0.113.0/24"
CLIENT, ROUTER = "198.51.100.10", "192.0.2.1"
SERVERS = {"r1": "192.0.2.11", "r2": "192.0.2.12", "r3": "192.0.2.13"}
D1, D2 = "192.0.2.2", "192.0.2.3"
DOWNLOADS = 500
SECONDS = {"killed": 20, "drained": 22}  # of a download, at nginx's 20 kB/s
REQUESTS = 120


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--downloads", type=int, default=DOWNLOADS, help=f"how many go on at once (default: {DOWNLOADS})")
    parser.add_argument("--daemon", choices=("bird", "frr"), default="bird", help="what speaks BGP, on both sides (default: bird)")


def run(lab, options):
    """Runs the lab."""
    pair = Pair(lab, options.downloads, {"bird": bird, "frr": frr}[options.daemon])
    pair.start()
    for step in (pair.announced, pair.shared, pair.killed, pair.drained, pair.stopped):
        print(f"\n{step.__doc__.splitlines()[0]}")
        step()


class Pair:
    """Both directors, the router before them, and the real servers behind them."""

    def __init__(self, lab, downloads, daemon):
        self.lab = lab
        self.check = lab.report.check
        self.downloads = downloads
        self.daemon = daemon
        network = lab.network
        self.client, self.router, self.switch = (network.namespace(name) for name in ("client", "router", "switch"))
        self.switch.bridge("brwan")
        network.cable(self.client, "eth0", self.router, "client", f"{CLIENT}/24")
        self.router.ip("addr", "add", "198.51.100.1/24", "dev", "client")
        self.client.ip("route", "add", "default", "via", "198.51.100.1")
        network.cable(self.router, "lan", self.switch, "router", f"{ROUTER}/24", "brwan")
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.router.sysctl("net.ipv4.fib_multipath_hash_policy", 1)
        documents = make_documents(lab.folder, 0)
        for name, seconds in SECONDS.items():
            (documents / name).write_bytes(os.urandom(seconds * 20480))
        self.checksums = {name: traffic.checksum(documents / name) for name in SECONDS}
        for name, address in SERVERS.items():
            self._server(network, name, address, documents)
        self.directors = {address: self._director(network, number, address) for number, address in enumerate((D1, D2))}
        self.daemons = {}

    def _server(self, network, name, address, documents):
        namespace = network.namespace(name)
        network.cable(namespace, "eth0", self.switch, name, f"{address}/24", "brwan")
        namespace.ip("route", "add", "default", "via", ROUTER)
        server = RealServer(self.lab, namespace, address, documents)
        server.setup("direct", VIP)
        server.start_nginx([HTTP])

    def _director(self, network, number, address):
        name = f"d{number + 1}"
        namespace = network.namespace(name)
        network.cable(namespace, "wan", self.switch, name, master="brwan")
        port = Port("wan", f"02:00:00:00:00:0{number + 1}", f"{address}/24", twin="wan0")
        director = Director(self.lab, namespace, [port], [("0.0.0.0/0", ROUTER)], [number], "adaptive", name)
        director.prepare()
        director.scheduler = "mh"
        director.api = ["", "[announce]", "", "[ipvs]", "sloppy_tcp = 1"]
        return director

    def start(self):
        """Starts the directors, the routing daemons, and what watches the router's route."""
        reals = [(f"{address}:{HTTP}", 1) for address in SERVERS.values()]
        for address, director in self.directors.items():
            director.configure([(f"{VIP}:{HTTP}", "tcp", "direct", reals, 'scheduler_flags = ["mh-port"]')])
            director.start()
            self.daemons[address] = self.daemon.beside_director(self.lab, director.namespace, "wan0", address, ROUTER)
        self.watch = RouteWatch(self.lab, self.router, VIP)
        self.began = time.time()
        self.daemons[ROUTER] = self.daemon.on_router(self.lab, self.router, "lan", ROUTER, self.directors, VIPS)

    def given(self, director):
        """Returns how many connections a director has given to real servers."""
        return sum(connections(self.directors[director].stats(), f"{VIP}:{HTTP}", "tcp").values())

    def turned(self, what, hops, since, within):
        """Waits for the router's route to have these next hops; returns the seconds."""
        seconds = self.watch.changed(hops, since)
        self.check(f"{what}, the router sends to {' and '.join(hops) or 'nobody'}", seconds is not None and seconds < within,
                   f"after {seconds:.2f} s" if seconds is not None else f"it sends to {', '.join(sorted(self.watch.now())) or 'nobody'}")
        return seconds

    def announced(self):
        """Both announce the VIP"""
        if self.turned("once BGP is up", [D1, D2], self.began, 20) is None:
            raise RuntimeError("without both there is nothing to try")
        # A session begins once BGP is up, with a packet a second.
        deadline = time.monotonic() + 15
        while (watched := self.daemons[ROUTER].paths_up())[0] != len(self.directors) and time.monotonic() < deadline:
            time.sleep(0.2)
        up, told = watched
        self.check("BFD watches both", up == len(self.directors), "" if up == len(self.directors) else told)

    def shared(self):
        """New connections, by both"""
        outcome = traffic.requests(self.client, VIP, REQUESTS, 20)
        self.check("requests are answered, by all real servers", outcome.complete() and len(outcome.shares) == len(SERVERS), outcome.summary())
        given = [self.given(director) for director in self.directors]
        self.check("each director took its share", sum(given) == REQUESTS and min(given) > REQUESTS / 5, given)

    def _begin(self, kind):
        """Begins the downloads and the probes; returns both once every download has begun to arrive."""
        before = {director: self.given(director) for director in self.directors}
        probe = self.lab.start(self.client, f"{kind}-probe", *self.lab.program("fetches.py"), "probe", VIP, HTTP, "/index.html")
        fetches = self.lab.start(self.client, f"{kind}-downloads", *self.lab.program("fetches.py"), "long", VIP, HTTP, f"/slow/{kind}",
                                 self.downloads, self.checksums[kind])
        deadline = time.monotonic() + 20
        while "begun" not in fetches.output() and time.monotonic() < deadline and fetches.alive():
            time.sleep(0.05)
        shares = [self.given(director) - earlier for director, earlier in before.items()]
        self.check(f"{self.downloads} downloads go on, by both directors",
                   fetches.alive() and min(shares) > self.downloads / 5, f"{shares[0]} and {shares[1]} connections")
        return fetches, probe

    def _end(self, fetches, probe):
        """Waits for the downloads, ends the probes; returns what came of both."""
        still = fetches.alive()
        fetches.handle.wait(120)
        probe.stop(patience=10)
        return still, json.loads(fetches.output().splitlines()[-1]), json.loads(probe.output().splitlines()[-1])

    def killed(self):
        """One is killed, and comes back"""
        fetches, probe = self._begin("killed")
        victim = self.directors[D2]
        killed = time.time()
        os.kill(victim.process.pid, signal.SIGKILL)
        gone = self.turned("when one is killed", [D1], killed, 5)
        victim.process.handle.wait()
        time.sleep(2)
        link = victim.namespace.ip("-br", "link", "show", "wan0").stdout
        self.check("its host sees no carrier", "NO-CARRIER" in link, link.strip())
        returned = time.time()
        victim.start()
        back = self.turned("when it is back", [D1, D2], returned, 20)
        time.sleep(2)
        taken = self.given(D2)
        self.check("it takes its share again, downloads that had begun too", taken > self.downloads / 5, f"{taken} connections")
        still, outcome, probes = self._end(fetches, probe)
        self.check("the downloads were still going on", still)
        self._downloads("killed", outcome, 0.99)
        self._row("killed", gone, outcome, probes, killed, returned)
        self._row("and back", back, outcome, probes, returned, time.time())

    def drained(self):
        """One is drained; then restarted, as the service manager would"""
        fetches, probe = self._begin("drained")
        director = self.directors[D2]
        drained = time.time()
        said = director.tell("drain").stdout
        self.check("it withdraws the VIP", "no VIP is announced" in said, said.strip())
        gone = self.turned("when one drains", [D1], drained, 5)
        time.sleep(0.2)
        before = self.given(D2)
        waited = time.time()
        done = director.tell("drain", "--wait", "--quiet", "2s", "--timeout", "30s", check=False)
        self.check("it notices that no packets come", done.returncode == 0, f"{done.stdout.splitlines()[-1]}, {time.time() - waited:.1f} s")
        given = self.given(D2) - before
        self.check("the drained one gets no new connections", given == 0, f"{given} after the router had turned")
        undone = time.time()
        director.tell("drain", "--off")
        on = self.turned("when it drains no more", [D1, D2], undone, 5)
        outcome = traffic.requests(self.client, VIP, REQUESTS, 20)
        given = self.given(D2) - before
        self.check("and it gets new connections", outcome.complete() and given > REQUESTS / 5, f"{given} of {REQUESTS}")
        restarted = time.time()
        waited, code = director.tell(*self._before_a_stop(), check=False), director.stop()
        self.check("drained, it ends well", (waited.returncode, code) == (0, 0), waited.stdout.splitlines()[-1])
        director.start()
        back = self.turned("when it is started again", [D1, D2], restarted, 20)
        time.sleep(1)
        still, outcome, probes = self._end(fetches, probe)
        self.check("the downloads were still going on", still)
        self._downloads("drained and restarted", outcome, 1)
        failed = [each for each in probes if each["failed"]]
        self.check("and not one request fails", probes and not failed, f"{len(failed)} of {len(probes)} failed")
        self._row("drained", gone, outcome, probes, drained, undone)
        self._row("and back", on, outcome, probes, undone, restarted)
        self._row("restarted", back, outcome, probes, restarted, time.time())

    @staticmethod
    def _before_a_stop():
        """Returns what the unit has the director told before it is stopped."""
        unit = (ROOT / "packaging" / "millrace.service").read_text()
        return re.search(r"^ExecStop=-/usr/sbin/millrace (.*)$", unit, re.MULTILINE)[1].split()

    def _downloads(self, when, outcome, share):
        finished, failed = outcome["finished"], ", ".join(f"{count} {why}" for why, count in outcome["failed"].items())
        self.check(f"one {when}: {share:.0%} of the downloads finish, whole", finished >= share * outcome["begun"] > 0,
                   f"{finished} of {outcome['begun']} in {outcome['seconds']:.0f} s {failed}".strip())

    def _row(self, event, turned, outcome, probes, since, until):
        probes = [each for each in probes if since - 1 <= each["began"] < until]
        hit = [each["began"] for each in probes if each["failed"] or each["slow"]]
        self.lab.report.row("A director goes", event=event, downloads=outcome["begun"],
                            finished=outcome["finished"], silence=outcome["silence"], router_turned=turned,
                            requests=len(probes), failed=sum(bool(each["failed"]) for each in probes), slow=len(hit),
                            outage=max(hit) - min(hit) if hit else 0.0)

    def stopped(self):
        """Without millrace nothing is answered"""
        stopped = time.time()
        codes = [director.stop() for director in self.directors.values()]
        self.check("both end well", codes == [0, 0], codes)
        self.turned("when both have stopped", [], stopped, 5)
        outcome = traffic.requests(self.client, VIP, 10, 10, patience=2)
        self.check("with millrace stopped nothing is answered", outcome.answered == 0, outcome.summary())
