"""Checks through VIPs: each real server is asked as clients' packets reach it, by its stand-in address.

The network is that of the lab `forward`; both ports have twins. Each service's real servers are checked through its VIP, so each has
a stand-in, by which the director's host can ask it too:

    host ── wan0 ── director ── lan ── rN ── its answer, from the VIP, by the router ── wan ── director ── wan0 ── host

A real server whose VIP is not set up is found out, though it answers by its own address.
"""

import json
import time

from .kit import traffic
from .kit.network import command
from .kit.director import connections, outcomes
from .kit.stage import ECHO, HTTP, NAT_PORTS, SERVERS, VIP, Stage

PREFIX = "198.18.0.0/15"  # the default of [health] stand_ins
PROTOCOL = 110
OWN_LAN = "10.0.0.1"
CLOSED = 9

# In the order of the configuration, from the third address on.
STAND_INS = {port: {name: f"198.18.0.{2 + 3 * service + number}" for number, name in enumerate(SERVERS)}
             for service, port in enumerate((HTTP, ECHO))}

ASK = """\
import socket, sys
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.bind((sys.argv[3], 0))
asked.connect((sys.argv[1], int(sys.argv[2])))
asked.settimeout(3)
asked.send(b"hello")
try:
    print(asked.recv(100).decode())
except OSError as error:
    print(type(error).__name__)
"""


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--methods", default="nat,tunnel,direct", help="which forwarding methods (default: all three)")
    parser.add_argument("--workers", default="0,1", help="the director's workers, as CPU cores (default: 0,1)")


def run(lab, options):
    """Runs the lab."""
    stage = Stage(lab, [int(core) for core in options.workers.split(",")], "adaptive", 0, twins=True)
    for method in options.methods.split(","):
        print(f"\n{method}")
        Method(lab, stage, method).run()


class Method:
    """All steps through one forwarding method."""

    def __init__(self, lab, stage, method):
        self.lab = lab
        self.stage = stage
        self.method = method
        self.host = stage.director_namespace

    def check(self, what, held, detail=""):
        """Notes whether something held."""
        return self.lab.report.check(f"{self.method}: {what}", held, detail)

    def services(self, through=True):
        """Returns HTTP and an echo on the VIP, their real servers checked through it."""
        ports = {port: NAT_PORTS[port] if self.method == "nat" else port for port in (HTTP, ECHO)}
        often = 'interval = "1s", rise = 1, fall = 2'
        check = {HTTP: f'check = {{ type = "http", through = "vip", {often} }}', ECHO: 'check = { type = "udp", send = "?", through = "vip" }'}
        return [(f"{VIP}:{port}", protocol, self.method, [(f"{address}:{ports[port]}", 1) for address in SERVERS.values()],
                 *([check[port]] if through else []))
                for port, protocol in ((HTTP, "tcp"), (ECHO, "udp"))]

    def run(self):
        """Sets the real servers up, starts the director, takes every step, and takes it all back."""
        director = self.stage.director
        for server in self.stage.servers:
            server.setup(self.method, "10.0.0.1" if self.method == "nat" else VIP)
        director.configure(self.services())
        try:
            director.start()
            self.route_comes(True)
            self.check("the host has a route to the stand-ins", self.route_comes(True), self.route())
            for step in (self.each, self.others, self.clients, self.missing, self.closed, self.kept, self.cable, self.accounts, self.gone):
                step()
        finally:
            code = director.stop()
            for server in self.stage.servers:
                server.setup(self.method, "10.0.0.1" if self.method == "nat" else VIP, "--undo", check=False)
        self.check("millrace ends cleanly, and takes its route with it", code == 0 and not self.route(), f"exit {code} {self.route()}")

    def route(self):
        """Returns the host's routes to stand-ins."""
        return self.host.ip("route", "show", "proto", PROTOCOL).stdout.strip()

    def route_comes(self, wanted, twin=""):
        """Waits until there is such a route, over a twin, or is not."""
        deadline = time.monotonic() + 5
        while (f"{PREFIX} via" in self.route() and twin in self.route()) != wanted:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def states(self):
        """Returns the states of the HTTP service's real servers, as their checks have found them."""
        director = self.stage.director
        found = command(director.program, "health", "list", "--service", f"{VIP}:{HTTP}", "--json", "--socket", director.socket).stdout
        return [server["state"] for server in json.loads(found)["servers"] if server["right"] + server["wrong"]]

    def becomes(self, *wanted):
        """Waits until the real servers are in these states; returns whether it came to that."""
        deadline = time.monotonic() + 15
        while self.states() != list(wanted):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def curl(self, address, *more):
        """Asks for a page; returns who answered, empty if nobody did."""
        done = self.host.run("curl", "-sS", "--max-time", 3, "-o", "/dev/null", "-w", "%header{x-real-server}", f"http://{address}/", *more,
                             check=False)
        return done.stdout

    def ask(self, address, port, from_address=OWN_LAN):
        """Sends a datagram; returns what came back."""
        return self.host.run("python3", "-c", ASK, address, port, from_address).stdout.strip()

    def each(self):
        """Each stand-in leads to its real server"""
        self.check("the checks of all are answered", self.becomes("up", "up", "up"), ", ".join(self.states()))
        for more in ((), ("--interface", OWN_LAN)):
            found = [self.curl(address, *more) for _ in range(3) for address in STAND_INS[HTTP].values()]
            self.check(f"each stand-in leads to its real server {'from lan0' if more else 'from wan0'}", found == list(SERVERS) * 3,
                       ", ".join(found))

    def others(self):
        """Datagrams and pings go there too"""
        found = [self.ask(address, ECHO) for address in STAND_INS[ECHO].values()]
        self.check("datagrams are answered", found == ["hello"] * 3, ", ".join(found))
        codes = [self.host.run("ping", "-c", 1, "-W", 3, address, check=False).returncode for address in STAND_INS[HTTP].values()]
        self.check("pings are answered", codes == [0] * 3)
        refused = self.ask(STAND_INS[ECHO]["r1"], CLOSED)
        self.check("a refusal by ICMP reaches who asked", refused == "ConnectionRefusedError", refused)

    def clients(self):
        """Clients notice nothing"""
        given = connections(self.stage.director.stats(), f"{VIP}:{HTTP}", "tcp")
        self.check("nothing of that counts as a connection", not any(given.values()), given)
        outcome = traffic.requests(self.stage.client, VIP, 30, 5)
        self.check("clients' requests are answered, shared by all", outcome.complete() and len(outcome.shares) == 3, outcome.summary())

    def missing(self):
        """A real server whose VIP is not set up"""
        if self.method == "nat":
            return
        server = self.stage.servers[1]
        device = next(line.split()[1] for line in server.namespace.ip("-o", "addr", "show").stdout.splitlines() if f" {VIP}/32" in line)
        server.namespace.ip("addr", "del", f"{VIP}/32", "dev", device)
        found = [self.curl(address) for address in STAND_INS[HTTP].values()]
        self.check("one whose VIP is missing does not answer, the others do", found == ["r1", "", "r3"], ", ".join(found))
        self.check("though it answers by its own address", self.curl(server.address) == "r2")
        self.check("its checks find that out", self.becomes("up", "down", "up"), ", ".join(self.states()))
        outcome = traffic.requests(self.stage.client, VIP, 30, 5)
        self.check("and clients go to the others", outcome.complete() and set(outcome.shares) == {"r1", "r3"}, outcome.summary())
        server.namespace.ip("addr", "add", f"{VIP}/32", "dev", device)
        self.check("it answers when the VIP is there", self.curl(STAND_INS[HTTP]["r2"]) == "r2")
        self.check("and is back", self.becomes("up", "up", "up"), ", ".join(self.states()))

    def closed(self):
        """A service whose port nobody listens on"""
        server = self.stage.servers[2]
        port = NAT_PORTS[HTTP] if self.method == "nat" else HTTP
        rule = f"table inet closed {{\nchain in {{\ntype filter hook input priority 0;\ntcp dport {port} reject with tcp reset\n}}\n}}\n"
        server.namespace.run("nft", "-f", "-", input=rule)
        started = time.monotonic()
        done = self.host.run("curl", "-sS", "--max-time", 5, f"http://{STAND_INS[HTTP]['r3']}/", check=False)
        self.check("the checks find a port that nobody listens on", self.becomes("up", "up", "down"), ", ".join(self.states()))
        self.check("a reset reaches who asked, at once", done.returncode == 7 and time.monotonic() - started < 3, done.stderr.strip())
        server.namespace.run("nft", "delete", "table", "inet", "closed")
        self.check("and that it is back", self.becomes("up", "up", "up"), ", ".join(self.states()))

    def kept(self):
        """The route is kept"""
        self.host.ip("route", "del", PREFIX, "proto", PROTOCOL)
        self.check("the route is put back when somebody takes it away", self.route_comes(True), self.route())

    def cable(self):
        """A cable that is out"""
        before = self.route()
        self.stage.switch.ip("link", "set", "director-wan", "down")
        moved = self.route_comes(True, "dev lan0")
        found = [self.curl(address) for address in STAND_INS[HTTP].values()]
        self.check("when the port that it goes over has no carrier it goes over the other", "dev wan0" in before and moved, self.route())
        # By NAT the answers come by the other port whatever they are for.
        self.check("and leads to the real servers", found == list(SERVERS), ", ".join(found))
        self.stage.switch.ip("link", "set", "director-wan", "up")
        time.sleep(0.5)

    def accounts(self):
        """The accounts"""
        stats = self.stage.director.settled()
        received = sum(worker["received"] for worker in stats["workers"])
        waiting = sum(worker["waiting"] for worker in stats["workers"])
        ended = outcomes(stats)
        self.check("frames received = sum of outcomes", received == sum(ended.values()) + waiting, f"{received} frames")
        self.lab.report.row("How frames ended", method=self.method, **{name: ended[name] for name in ("check_sent", "check_answered")})

    def gone(self):
        """Nobody is asked any more"""
        self.stage.director.configure(self.services(through=False))
        self.stage.director.reload()
        self.check("without checks through VIPs there is no route", self.route_comes(False), self.route())
        neighbors = self.host.ip("neigh", "show", "nud", "permanent").stdout
        self.check("and no neighbour", "198.18.0.1" not in neighbors, neighbors.strip())
