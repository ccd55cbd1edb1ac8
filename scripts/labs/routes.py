"""Which way packets take: several next hops, links that are cut, and what the host's kernel says.

Two routers lead to the clients, each on a segment of its own with the director, and both to the real servers' segment as well.

    client ──┬── north ── brnorth ── north0 ─┐               ┌── r1   by NAT
             │     └────────────────────┐    director ── brlan ── r2   by tunnel, answers by the router north
             └── south ── brsouth ── south0 ─┘               │
                   └──────────────────────┴──────────────────┘

What arrives at a router from the director is counted by the router's kernel. At first the director has routes of its own; then
only what the kernel of its host has by the twins (north0, south0, lan0): by `ip route`, a hundred thousand at once, by BIRD.
"""

import re
import time

from .kit import traffic
from .kit.bird import Bird
from .kit.director import Director, Port, outcomes
from .kit.network import command
from .kit.servers import RealServer, make_documents

CLIENT = "198.51.100.10"
VIP = "203.0.113.10"
HTTP, TUNNELLED = 80, 81
MACS = {"north": "02:00:00:00:00:01", "south": "02:00:00:00:00:02", "lan": "02:00:00:00:00:03"}
ADDRESSES = {"north": "192.0.2.2/24", "south": "192.0.3.2/24", "lan": "10.0.0.1/24"}
NETWORKS = {"north": "192.0.2.0/24", "south": "192.0.3.0/24", "lan": "10.0.0.0/24"}
ROUTERS = {"north": "192.0.2.1", "south": "192.0.3.1"}
ON_LAN = {"north": "10.0.0.254", "south": "10.0.0.253"}
SERVERS = {"r1": "10.0.0.11", "r2": "10.0.0.12"}
# An address of r2's that only a route leads to.
FAR = "10.9.0.12"
ELSEWHERE = 82
REQUESTS = 80
MEGABYTES = 16
# Until the director knows of a link, or of a route.
PATIENCE = 3
TABLE = 100_000
TABLE_PATIENCE = 60
BIRD = """
protocol device {{ scan time 1; }}
router id {own};
template bgp peer {{ connect delay time 1; connect retry time 2; error wait time 1, 2; error forget time 2; }}
"""
ON_ROUTER = """
protocol static {{ ipv4; route 0.0.0.0/0 blackhole; }}
protocol bgp from peer {{ local {own} as 65000; neighbor {director} as 65001; ipv4 {{ import none; export all; }}; }}
"""


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--workers", default="0,1", help="the director's workers, as CPU cores (default: 0,1)")


def run(lab, options):
    """Runs the lab."""
    ways = Ways(lab, [int(core) for core in options.workers.split(",")])
    for step in (ways.shared, ways.cut, ways.around, ways.kernel, ways.servers, ways.full_table, ways.learned, ways.accounts):
        print(f"\n{step.__doc__.splitlines()[0]}")
        step()


class Ways:
    """The network, and what is tried on it."""

    def __init__(self, lab, workers):
        self.lab = lab
        self.check = lab.report.check
        network = lab.network
        self.client, self.switch = network.namespace("client"), network.namespace("switch")
        self.routers = {name: network.namespace(name) for name in ROUTERS}
        self.namespace = network.namespace("director")
        self._cables(network)
        self.documents = make_documents(lab.folder, MEGABYTES)
        self.birds = {}
        self.servers_by_name = {name: self._server(network, name, address) for name, address in SERVERS.items()}
        self.director = Director(lab, self.namespace, [Port(name, MACS[name], ADDRESSES[name], twin=f"{name}0") for name in MACS],
                                 [("0.0.0.0/0", list(ROUTERS.values()))], workers, "adaptive")
        self.director.prepare()
        for name, router in self.routers.items():
            router.count("wan", "router", to_client=f"ether saddr {MACS[name]} ip daddr {CLIENT}", tunnelled="ip protocol 4")
        self.servers_by_name["r1"].setup("nat", "10.0.0.1")
        self.servers_by_name["r2"].setup("tunnel", VIP)
        self.director.configure(self.services())
        self.director.start()

    def _cables(self, network):
        for bridge in ("brclients", "brlan", *(f"br{name}" for name in ROUTERS)):
            self.switch.bridge(bridge)
        network.cable(self.client, "eth0", self.switch, "client", f"{CLIENT}/24", "brclients")
        for number, (name, router) in enumerate(self.routers.items(), 1):
            network.cable(router, "clients", self.switch, f"{name}-clients", f"198.51.100.{number}/24", "brclients")
            network.cable(router, "wan", self.switch, f"{name}-wan", f"{ROUTERS[name]}/24", f"br{name}")
            network.cable(router, "lan", self.switch, f"{name}-lan", f"{ON_LAN[name]}/24", "brlan")
            network.cable(self.namespace, name, self.switch, f"director-{name}", master=f"br{name}")
            router.sysctl("net.ipv4.ip_forward", 1)
            router.ip("route", "add", VIP, "via", ADDRESSES[name].split("/")[0])
        network.cable(self.namespace, "lan", self.switch, "director-lan", master="brlan")
        self.client.ip("route", "add", VIP, "via", "198.51.100.1")

    def _server(self, network, name, address):
        namespace = network.namespace(name)
        network.cable(namespace, "eth0", self.switch, name, f"{address}/24", "brlan")
        namespace.ip("route", "add", "default", "via", ON_LAN["north"])
        server = RealServer(self.lab, namespace, address, self.documents)
        server.start_nginx([HTTP, TUNNELLED, ELSEWHERE])
        return server

    @staticmethod
    def services(elsewhere=False):
        """Returns the services: one by NAT, whose answers pass by the director, one by tunnel, and one to where a route must lead."""
        far = [(f"{VIP}:{ELSEWHERE}", "tcp", "tunnel", [(f"{FAR}:{ELSEWHERE}", 1)])]
        return [(f"{VIP}:{HTTP}", "tcp", "nat", [(f"{SERVERS['r1']}:{HTTP}", 1)]),
                (f"{VIP}:{TUNNELLED}", "tcp", "tunnel", [(f"{SERVERS['r2']}:{TUNNELLED}", 1)])] + (far if elsewhere else [])

    # ---- What is looked at ----------------------------------------------------------------------------------

    def counted(self, what="to_client"):
        """Returns what each router has had from the director, by the router."""
        return {name: router.counted()[what] for name, router in self.routers.items()}

    def answered(self, what, port=HTTP, count=REQUESTS):
        """Has the client ask, and checks that all of it is answered; returns what came by each router meanwhile."""
        kind = "to_client" if port == HTTP else "tunnelled"
        before = self.counted(kind)
        outcome = traffic.requests(self.client, f"{VIP}:{port}", count, 10)
        self.check(what, outcome.complete(), outcome.summary())
        return {name: packets - before[name] for name, packets in self.counted(kind).items()}

    def refused(self, what, port=HTTP):
        """Checks that nobody answers."""
        outcome = traffic.requests(self.client, f"{VIP}:{port}", 2, 2, patience=2)
        self.check(what, outcome.answered == 0, outcome.summary())

    def cable(self, name, plugged):
        """Plugs one of the director's cables in or out, and waits until it knows."""
        self.switch.ip("link", "set", f"director-{name}", "up" if plugged else "down")
        return self.wait_for(lambda: self.listed(NETWORKS[name])[0]["hops"][0]["usable"] == plugged)

    @staticmethod
    def wait_for(held, patience=PATIENCE):
        """Waits until something holds; returns whether it came to that."""
        deadline = time.monotonic() + patience
        while not held():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def routes(self, *arguments):
        """Returns what `millrace route` prints."""
        return command(self.director.program, "route", *arguments, "--socket", self.director.socket).stdout

    def listed(self, to):
        """Returns the routes to a prefix, as the API tells them."""
        return [route for route in self.director.ask("route", "list")["routes"] if route["to"] == to]

    # ---- Steps ----------------------------------------------------------------------------------------------

    def shared(self):
        """Several next hops"""
        captures = {name: traffic.Capture(self.lab, router, "wan", name, f"src host {VIP}") for name, router in self.routers.items()}
        came = self.answered("requests are answered")
        ports = {name: set(re.findall(rf"{re.escape(CLIENT)}\.(\d+):", capture.text())) for name, capture in captures.items()}
        self.check("by both routers", all(packets > REQUESTS for packets in came.values()), came)
        flows = {name: len(each) for name, each in ports.items()}
        self.check("each connection by one of them", sum(flows.values()) == REQUESTS and not ports["north"] & ports["south"], flows)
        self.check("about half by each", all(each >= REQUESTS // 4 for each in flows.values()), flows)
        self.lab.report.row("Answers by router (packets)", step="two next hops", **came)

    def cut(self):
        """A link that is cut"""
        copy = self.lab.folder / "cut"
        wanted = traffic.checksum(self.documents / "large")
        loads = [self.lab.start(self.client, f"load-{n}", "curl", "-sS", "--fail", "--max-time", 60, "--limit-rate", "4M", "-o", f"{copy}-{n}",
                                f"http://{VIP}/large") for n in range(6)]
        time.sleep(1)
        self.check("the director knows", self.cable("south", False))
        came = self.answered("requests are answered while one of the routers is cut off")
        self.check("all by the other", came["north"] > REQUESTS and came["south"] == 0, came)
        self.lab.report.row("Answers by router (packets)", step="south cut", **came)
        text = self.routes("show", "198.51.100.10")
        lines = [line.split() for line in text.splitlines()]
        states = {line[1]: line[4] for line in lines[1:]}
        self.check("millrace route show says so", states == {ROUTERS["north"]: "active", ROUTERS["south"]: "down"}, states)
        connected = self.listed(NETWORKS["south"])[0]
        self.check("its network is withdrawn", connected["state"] == "down", connected["state"])
        self.check("the director knows when the cable is back", self.cable("south", True))
        codes = [load.handle.wait(60) for load in loads]
        whole = [traffic.checksum(f"{copy}-{n}") == wanted for n in range(len(loads))]
        self.check("downloads that were under way come to their end, whole", not any(codes) and all(whole), f"curl {codes}")
        came = self.answered("requests are answered when it is back")
        self.check("by both routers again", all(packets > REQUESTS // 2 for packets in came.values()), came)

    def around(self):
        """A real server whose link is cut"""
        came = self.answered("requests are answered through the tunnel", TUNNELLED)
        self.check("on the director's own link", not any(came.values()), came)
        self.check("the director knows", self.cable("lan", False))
        came = self.answered("requests are answered, the tunnel goes by the default route", TUNNELLED)
        self.check("by one of its next hops", sorted(packets > REQUESTS for packets in came.values()) == [False, True], came)
        self.lab.report.row("Packets in the tunnel by router", step="lan cut", **came)
        self.check("the director knows when the cable is back", self.cable("lan", True))
        came = self.answered("requests are answered then", TUNNELLED)
        self.check("on the director's own link", not any(came.values()), came)
        self.answered("those by NAT, too")

    def host(self, *route):
        """Changes a route of the host's, and waits until the director has looked at it."""
        self.namespace.ip("route", *route)
        time.sleep(0.3)

    def kernel(self):
        """The host's routes"""
        self.director.stop()
        self.director.routes, self.director.api = [], ["", "[mirror]"]
        self.director.configure(self.services(elsewhere=True))
        self.director.start()
        self.refused("without a route nobody is answered")
        for what, route, both in (("one by a twin", ["via", ROUTERS["north"], "dev", "north0"], False),
                                  ("one of several next hops", [word for name, router in ROUTERS.items()
                                                                for word in ("nexthop", "via", router, "dev", f"{name}0")], True)):
            self.host("replace", "default", *route)
            came = self.answered(f"with {what} requests are answered")
            self.check("by both routers" if both else "by that router", came["north"] > REQUESTS and (came["south"] > REQUESTS) == both, came)
            self.lab.report.row("Answers by router (packets)", step=what, **came)
        text = self.routes("show", CLIENT)
        self.check("millrace route show says whose it is", text.count("kernel/boot") == 2, text.splitlines()[-1])
        self.check("the director knows that the cable is out", self.cable("south", False))
        came = self.answered("requests are answered while one of the routers is cut off")
        self.check("all by the other", came["north"] > REQUESTS and came["south"] == 0, came)
        self.check("the director knows that it is back", self.cable("south", True))
        self.host("add", "blackhole", "198.51.100.0/24")
        self.refused("where the host sends nothing, nothing goes")
        self.host("del", "blackhole", "198.51.100.0/24")
        came = self.answered("until it does again")
        self.check("by both routers", all(packets > REQUESTS // 2 for packets in came.values()), came)
        self.namespace.ip("neigh", "replace", ROUTERS["north"], "lladdr", "02:00:00:00:99:99", "dev", "north0", "nud", "permanent")
        self.host("replace", "default", "via", ROUTERS["north"], "dev", "north0")
        self.refused("a wrong permanent neighbour of the host's is the director's, too")
        self.namespace.ip("neigh", "del", ROUTERS["north"], "dev", "north0")
        self.answered("until it is gone")

    def servers(self):
        """A real server where only the host knows the way"""
        server = self.servers_by_name["r2"]
        server.namespace.ip("addr", "add", f"{FAR}/32", "dev", "lo")
        self.refused("without a route it is not reached", ELSEWHERE)
        self.host("add", "10.9.0.0/24", "via", SERVERS["r2"], "dev", "lan0")
        self.answered("with one it is", ELSEWHERE)
        self.host("del", "10.9.0.0/24")
        self.refused("until it is gone", ELSEWHERE)

    def full_table(self):
        """A full table at once"""
        loop = traffic.Loop(self.client, VIP)
        before, began = self.director.stats()["generation"], time.monotonic()
        nets = [f"{11 + n // 65536}.{n // 256 % 256}.{n % 256}.0/24" for n in range(TABLE - 1)] + [f"{CLIENT}/32"]
        batch = "".join(f"route add {net} via {ROUTERS['south']} dev south0 proto 200\n" for net in nets)
        self.namespace.run("ip", "-batch", "-", input=batch)
        added = time.monotonic() - began
        there = self.wait_for(lambda: "kernel/200" in self.routes("show", CLIENT) and self.known() == TABLE, TABLE_PATIENCE)
        seconds, snapshots = time.monotonic() - began, self.director.stats()["generation"] - before
        self.check(f"{TABLE} routes are there", there, f"{self.known()} after {seconds:.1f} s; `ip` took {added:.1f} s")
        self.check("by few changes of the director's", snapshots < 100, f"{snapshots} snapshots")
        came = self.answered("requests are answered")
        self.check("by the last of these routes", came["south"] > REQUESTS and came["north"] == 0, came)
        one = time.monotonic()
        self.namespace.ip("route", "del", f"{CLIENT}/32", "proto", "200")
        gone = self.wait_for(lambda: "kernel/200" not in self.routes("show", CLIENT))
        single = time.monotonic() - one
        self.check("one that goes is gone soon", gone, f"{single:.2f} s, a look at all routes included")
        began = time.monotonic()
        self.namespace.ip("route", "flush", "proto", "200")
        gone = self.wait_for(lambda: self.known() == 0, TABLE_PATIENCE)
        flushed = time.monotonic() - began
        self.check("and so are all", gone, f"{self.known()} left after {flushed:.1f} s")
        answers = loop.stop()
        slowest = max(answer.came - answer.asked for answer in answers)
        self.check("every request meanwhile was answered", all(answer.status == "200" for answer in answers), f"{len(answers)} requests")
        self.lab.report.row("A full table", routes=TABLE, ip=added, there=seconds, snapshots=snapshots, one_gone=single, all_gone=flushed,
                            slowest_request=slowest)

    def known(self):
        """Returns how many of the many routes the director has."""
        return sum(route["protocol"] == "200" for route in self.director.ask("route", "list")["routes"])

    def learned(self):
        """BIRD on the host, and on both routers"""
        self.namespace.ip("route", "del", "default")
        gone = self.wait_for(lambda: not self.listed("0.0.0.0/0"), TABLE_PATIENCE)
        self.check("without a default route the director has none", gone)
        peers = "".join(f"protocol bgp from peer {{ local {ADDRESSES[name].split('/')[0]} as 65001; neighbor {router} as 65000; "
                        "ipv4 { import all; export none; }; }\n" for name, router in ROUTERS.items())
        kernel = "protocol kernel { merge paths on; ipv4 { import none; export where source = RTS_BGP; }; }\n"
        Bird(self.lab, self.namespace, BIRD.format(own=ADDRESSES["north"].split("/")[0]) + kernel + peers)
        for name, router in self.routers.items():
            rest = ON_ROUTER.format(own=ROUTERS[name], director=ADDRESSES[name].split("/")[0])
            self.birds[name] = Bird(self.lab, router, BIRD.format(own=ROUTERS[name]) + rest)

        def hops():
            return [hop["via"] for route in self.listed("0.0.0.0/0") for hop in route["hops"]]

        self.check("the default route that both announce is the director's", self.wait_for(lambda: len(hops()) == 2, 30), hops())
        came = self.answered("requests are answered")
        self.check("by both routers", all(packets > REQUESTS // 2 for packets in came.values()), came)
        self.birds["south"].process.stop()
        self.check("one that does not any more is left out", self.wait_for(lambda: hops() == [ROUTERS["north"]], 30), hops())
        came = self.answered("requests are answered")
        self.check("by the other", came["north"] > REQUESTS and came["south"] == 0, came)

    def accounts(self):
        """The accounts"""
        stats = self.director.settled()
        received = sum(worker["received"] for worker in stats["workers"])
        waiting = sum(worker["waiting"] for worker in stats["workers"])
        ended = outcomes(stats)
        self.check("frames received = sum of outcomes", received == sum(ended.values()) + waiting, f"{received} frames")
        code = self.director.stop()
        self.check("the director ends well", code == 0, f"exit {code}")
        self.refused("with millrace stopped, nobody answers")
