"""Full NAT: real servers whose gateway is not the director, and 100,000 connections held at once.

The network is that of the lab `forward`, with an IPv6 address on each link. The real servers' default route leads to the router, by
which answers to a client would go past the director; nothing is set up on them. So what comes back does because the director's
local addresses, 10.0.0.200 to .203 and fd00::200 to ::203, are on their own network.

By each family: HTTP, datagrams and a download through the VIP; what the real servers see, and what clients see; then many connections from six
client addresses, all open at the same time, a token of its own asked for and answered on each, twice. No two of them may come to a real server from
one address and port. When they are closed, all are gone from the table, and the same number is opened again.
"""

import json
import time
from collections import Counter
from dataclasses import dataclass, field

from .kit import traffic
from .kit.director import outcomes
from .kit.stage import ECHO, HTTP, LAN_MAC, SERVERS, V4, V6, WAN_MAC, Stage

HOLD, HOLD_REAL = 9000, 9001
POOLS = {4: "10.0.0.200-10.0.0.203", 6: "fd00::200-fd00::203"}
# By family: whoever holds many connections has an address of its own.
HOLDERS = {4: [f"198.51.100.{n}" for n in range(10, 16)], 6: [f"2001:db8:51::{n}" for n in range(10, 16)]}


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--workers", default="0,1", help="the director's workers, as CPU cores (default: 0,1)")
    parser.add_argument("--requests", type=int, default=600, help="requests by each family (default: 600)")
    parser.add_argument("--connections", type=int, default=100_000, help="connections held at once, by IPv4 (default: 100000); by IPv6 a fifth")
    parser.add_argument("--megabytes", type=int, default=50, help="size of the download (default: 50)")
    parser.add_argument("--held", default="4,6", help="of which families connections are held (default: 4,6)")
    parser.add_argument("--quick", action="store_true", help="few of all, in less than a minute")


def run(lab, options):
    """Runs the lab."""
    if options.quick:
        options.requests, options.connections, options.megabytes = 99, 5000, 5
    stage = Stage(lab, [int(core) for core in options.workers.split(",")], "adaptive", options.megabytes, plans=(V4, V6))
    FullNat(lab, stage, options).run()


class FullNat:
    """The director and what is asked of it."""

    def __init__(self, lab, stage, options):
        self.lab = lab
        self.stage = stage
        self.director = stage.director
        self.options = options
        self.check = lab.report.check

    def run(self):
        """Takes every step by each family."""
        self.set_up()
        for plan in (V4, V6):
            print(f"\nIPv{plan.family}")
            self.gateways(plan)
            self.seen(plan)
            self.traffic(plan)
        held = [(V4, self.options.connections), (V6, self.options.connections // 5)]
        for plan, count in (each for each in held if str(each[0].family) in self.options.held.split(",")):
            print(f"\n{count} connections of IPv{plan.family}")
            before = outcomes(self.director.settled())
            for turn in ("first",) if self.options.quick and plan is V6 else ("first", "again"):
                self.hold(plan, count, turn)
            after = outcomes(self.director.settled())
            self.check("no connection went without a local port", after["drop_no_local_port"] == before["drop_no_local_port"])
        print()
        code = self.director.stop()
        self.check("millrace ends cleanly when asked, its books in order", code == 0, f"exit {code}")

    def set_up(self):
        """Starts the director, and on the real servers what holds connections."""
        for plan in (V4, V6):
            for address in HOLDERS[plan.family][1:]:
                # Not one that a program gets which does not ask for it.
                self.stage.client.ip("addr", "add", f"{address}/{plan.length}", "dev", "eth0", "preferred_lft", 0, *(["nodad"] if plan is V6 else []))
        for server in self.stage.servers:
            server.namespace.sysctl("net.core.somaxconn", 4096)
            self.lab.start(server.namespace, f"{server.name}-holding", *self.lab.program("holding.py"), "serve", HOLD_REAL, server.name)
        services = [service for plan in (V4, V6) for service in self.stage.services("fullnat", service=plan, real=plan)]
        services += [(plan.socket(plan.vip, HOLD), "tcp", "fullnat", [(plan.socket(address, HOLD_REAL), 1) for address in plan.servers.values()])
                     for plan in (V4, V6)]
        self.director.local_pools = list(POOLS.values())
        self.director.configure(services, max_connections=500_000)
        self.director.start()

    def gateways(self, plan):
        """No real server has the director for its gateway, nor a way back to it for clients."""
        options = ["-6"] if plan is V6 else []
        for server in self.stage.servers:
            way = server.namespace.ip(*options, "route", "get", plan.client).stdout
            self.check(f"{server.name}'s answer to a client would go to the router", f"via {plan.router_lan} " in way, way.split(" uid")[0].strip())

    def seen(self, plan):
        """Requests, and what both sides see of them."""
        sides = [("client", self.stage.client, plan.traffic), ("r1", self.stage.servers[0].namespace, f"({plan.traffic}) and tcp")]
        captures = {name: traffic.Capture(self.lab, namespace, "eth0", f"{name}-{plan.family}", what) for name, namespace, what in sides}
        wires = [traffic.Capture(self.lab, self.stage.switch, f"director-{link}", f"{link}-{plan.family}", "", octets=0) for link in ("wan", "lan")]
        outcome = traffic.requests(self.stage.client, plan.vip, self.options.requests, 10)
        self.check("every request is answered, by every real server in its turn",
                   outcome.complete() and all(abs(share - self.options.requests // 3) <= 2 for share in outcome.shares.values()), outcome.summary())
        near = traffic.requests(self.stage.near, plan.near_vip, 30, 10)
        self.check("and those of a client on the director's own segment", near.complete(), near.summary())
        _, addresses = captures["client"].addresses()
        self.check("the client sees the VIP alone", addresses == {plan.client, plan.vip}, ", ".join(sorted(addresses)))
        _, addresses = captures["r1"].addresses()
        own, pool = plan.servers["r1"], set(members(POOLS[plan.family]))
        self.check("the real server sees local addresses, and no client's", own in addresses and addresses - {own} and addresses <= {own} | pool,
                   ", ".join(sorted(addresses)))
        bad = [line for wire in wires for line in wire.bad(f"eth.src == {WAN_MAC} || eth.src == {LAN_MAC}")]
        self.check("tshark finds nothing malformed and no wrong checksum in what the director sent", not bad, "; ".join(bad[:3]))
        self.lab.report.row("Requests", family=f"IPv{plan.family}", requests=outcome.sent, answered=outcome.answered, slow=outcome.slow,
                            **{name: outcome.shares[name] for name in SERVERS})

    def traffic(self, plan):
        """Datagrams, and a file."""
        echoed = traffic.udp_echo(self.lab, self.stage.client, plan.vip, ECHO, 600)
        self.check("datagrams of every size are echoed", echoed["answered"] == echoed["sent"] == 600, echoed)
        original = traffic.checksum(self.stage.documents / "large")
        fetched, seconds = traffic.download(self.stage.client, plan.vip, self.lab.folder / "fetched")
        self.check(f"a download of {self.options.megabytes} MB arrives whole", fetched == original, f"{seconds:.1f} s")

    def hold(self, plan, count, turn):
        """Connections that are all there at once."""
        addresses = HOLDERS[plan.family]
        each = -(-count // len(addresses))
        holders = [self.lab.start(self.stage.client, f"hold-{address.replace(':', '-')}-{turn}", *self.lab.program("holding.py"), "hold", plan.vip,
                                  HOLD, each, address) for address in addresses]
        rounds = self.rounds(holders)
        count = each * len(addresses)
        for found in rounds:
            self.check(f"{turn}: {count} are open, and each has its own answer", found.opened == len(found.right) == count,
                       f"{found.opened} open, {len(found.right)} right; errors {dict(found.errors)}")
            self.check("no two of them came to a real server from one address and port", len(set(found.right)) == len(found.right))
        told = {service["address"]: service for service in self.director.settled()["services"]}[plan.socket(plan.vip, HOLD)]
        active = sum(real["active"] for real in told["reals"])
        self.check("so many are active", active == count, active)
        found = rounds[-1]
        servers, locals_ = Counter(name for name, _ in found.right), Counter(peer.split("#")[0].removeprefix("::ffff:") for _, peer in found.right)
        self.check("all local addresses have their share", set(locals_) == set(members(POOLS[plan.family])) and even(locals_), dict(locals_))
        self.lab.report.row("Connections held at once", family=f"IPv{plan.family}", turn=turn, open=found.opened, right=len(found.right),
                            sources=len(set(found.right)), **{name: servers[name] for name in SERVERS}, seconds=found.seconds)
        for holder in holders:
            holder.handle.terminate()
        for holder in holders:
            holder.handle.wait(300)
        self.gone()

    def rounds(self, holders):
        """Waits for both rounds of questions of all holders, and returns what came of each."""
        deadline = time.monotonic() + 2700
        rounds = [Round(), Round()]
        for holder in holders:
            while len(told := [json.loads(line) for line in holder.output().splitlines(True) if line.startswith("{") and line.endswith("\n")]) < 2:
                if not holder.alive() or time.monotonic() > deadline:
                    raise RuntimeError(f"the connections are not held: {holder.output()[-1000:]}")
                time.sleep(0.5)
            for found, its in zip(rounds, told):
                found.opened += its["opened"]
                found.right += [tuple(pair) for pair in its["right"]]
                found.errors.update(its["errors"])
                found.seconds = max(found.seconds, its["seconds"])
        return rounds

    def gone(self):
        """What was closed is forgotten, and so its ports are free."""
        deadline = time.monotonic() + 60
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(1)
        self.check("when they are closed nothing of them is left", left == 0, left or "")

    def left(self):
        """Returns how many connections there still are of what is held."""
        services = [plan.socket(plan.vip, HOLD) for plan in (V4, V6)]
        told = [service for service in self.director.stats()["services"] if service["address"] in services]
        return sum(real["active"] + real["inactive"] for service in told for real in service["reals"])


@dataclass
class Round:
    """What came of one question on each connection."""

    opened: int = 0
    right: list = field(default_factory=list)
    errors: Counter = field(default_factory=Counter)
    seconds: float = 0.0


def members(pool):
    """Returns the addresses of a range that differs in its last figures only."""
    first, last = pool.split("-")
    mark = ":" if ":" in first else "."
    head, start = first.rsplit(mark, 1)
    return [f"{head}{mark}{n}" for n in range(int(start), int(last.rsplit(mark, 1)[1]) + 1)]


def even(shares):
    """Tells whether no share is far from the mean."""
    mean = sum(shares.values()) / len(shares)
    return all(abs(share - mean) < mean / 4 for share in shares.values())
