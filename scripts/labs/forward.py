"""The main job: HTTP, TCP and UDP through a director by NAT, tunnel and direct routing.

            198.51.100.0/24                         10.0.0.0/24  lan (bridge)
    client .10 ──── .1 router ─────────────────────── .254 ──┬──────┬──────┬──────┐
                         │ .1                                │      │      │      │
      192.0.2.0/24  wan (bridge) ───── .2 DIRECTOR .1 ───────┘    r1 .11 r2 .12 r3 .13
                         │ .20
                       near                       VIPs: 203.0.113.10, which the router sends to 192.0.2.2,
                                                  and 192.0.2.80, which is found by ARP on the wan

    nat      client ─► router ─► DIRECTOR ─► rN ─► DIRECTOR ─► router ─► client
    tunnel   client ─► router ─► DIRECTOR ═► rN ─► router ─► client
    direct   client ─► router ─► DIRECTOR ─► rN ─► router ─► client

Each name is a namespace, each line a veth pair (the bridges have a namespace of their own). The director's two ends
carry net_af_packet ports; their kernel side has no address, does not forward, and drops what it hears. rN runs nginx
(one document root that all share, the server's name in a header), iperf3 and a UDP echo.
"""

import subprocess
import time

from .kit import traffic
from .kit.director import connections, outcomes
from .kit.stage import ECHO, HTTP, SERVERS, V4, Stage

FORWARDED = {"nat": "forwarded_nat_in", "tunnel": "forwarded_tunnel", "direct": "forwarded_direct"}
# What the director sends to clients: NAT's answers, and what it says itself.
TO_CLIENTS = ("forwarded_nat_out", "answered_too_big", "answered_echo", "answered_time_exceeded")


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--methods", default="nat,tunnel,direct", help="which forwarding methods (default: all three)")
    parser.add_argument("--quick", action="store_true", help="requests only, and few: what quickstart shows")
    parser.add_argument("--workers", default="1", help="the director's workers, as CPU cores (default: 1)")
    parser.add_argument("--poll", default="adaptive", choices=("adaptive", "busy"), help="what an idle worker does")
    parser.add_argument("--requests", type=int, help="requests for each method (default: 2000; quick: 99)")
    parser.add_argument("--megabytes", type=int, default=200, help="size of the download and the upload (default: 200)")


def run(lab, options):
    """Runs the lab."""
    methods = options.methods.split(",")
    if unknown := set(methods) - set(FORWARDED):
        raise ValueError(f"unknown method: {', '.join(sorted(unknown))}")
    workers = [int(core) for core in options.workers.split(",")]
    stage = Stage(lab, workers, options.poll, 0 if options.quick else options.megabytes)
    for method in methods:
        print(f"\n{method}")
        Method(lab, stage, method, options).run()


class Method:
    """All steps through one forwarding method; services and real servers are of the families of two plans."""

    def __init__(self, lab, stage, method, options, name=None, service=V4, real=V4):
        self.lab = lab
        self.stage = stage
        self.method = method
        self.name = name or method
        self.plan = service
        self.families = {"service": service, "real": real}
        self.servers = real.servers
        self.options = options
        self.count = options.requests or (99 if options.quick else 2000)
        self.figures = {"method": self.name}

    def check(self, what, held, detail=""):
        """Notes whether something held."""
        return self.lab.report.check(f"{self.name}: {what}", held, detail)

    def run(self):
        """Sets the real servers up, starts the director, takes every step, and takes it all back."""
        director = self.stage.director
        self.stage.setup_servers(self.method, **self.families)
        director.configure(self.services())
        try:
            director.start()
            self.silent_kernel()
            self.real_servers_right()  # which may ping the director
            self.at_start = director.settled(), self.stage.counted()
            for step in self.steps():
                self.take(step)
        finally:
            code = director.stop()
            self.stage.setup_servers(self.method, "--undo", **self.families)
        self.check("millrace ends cleanly when asked", code == 0, f"exit {code}")
        self.lab.report.row("Requests and transfers", **self.figures)

    def services(self, *weights, **more):
        """Returns the services of a configuration."""
        return self.stage.services(self.method, *weights, **more, **self.families)

    def steps(self):
        """Returns the steps, in their order."""
        if self.options.quick:
            return [self.requests, self.accounts]
        return [self.requests_captured, self.near_client, self.files, self.throughput, self.datagrams, self.swap,
                self.stopped, *([self.two_services] if self.method == "nat" else []), self.accounts]

    def take(self, step):
        """Takes a step; one that cannot be taken has failed, and the others still say something."""
        try:
            step()
        except (RuntimeError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            self.check(step.__doc__.splitlines()[0], False, f"{type(error).__name__}: {error}")

    def silent_kernel(self):
        """It cannot be the kernel: it does not forward, has no address, and hears nothing."""
        namespace = self.stage.director_namespace
        forward = namespace.sysctl("net.ipv4.ip_forward")
        addresses = [a for port in self.stage.director.ports for a in namespace.addresses(port.name)]
        mute = namespace.run("nft", "list", "table", "netdev", "lab").stdout.count("priority -500; policy drop;")
        self.check("the director's kernel forwards nothing", forward == "0" and not addresses and mute == 2,
                   f"ip_forward {forward}, {len(addresses)} addresses, {mute} of 2 carriers muted")

    def real_servers_right(self):
        """real-server-setup --check finds nothing wrong with what real-server-setup did."""
        found = self.stage.setup_servers(self.method, "--check", "--client", self.plan.client, **self.families)
        wrong = [line for done in found for line in done.stdout.splitlines() if line.startswith("WRONG")]
        self.check("the real servers are set up right", not wrong and all(done.returncode == 0 for done in found),
                   "; ".join(wrong) or "real-server-setup --check finds nothing")

    def requests(self, parallel=10):
        """HTTP requests, one connection each: all answered, by every real server in its turn."""
        before = self.stage.director.stats()
        outcome = traffic.requests(self.stage.client, self.plan.vip, self.count, parallel)
        after = self.stage.director.settled()
        self.figures |= {"requests": outcome.sent, "answered": outcome.answered, "slow": outcome.slow,
                         **{name: outcome.shares[name] for name in SERVERS}, "per second": outcome.answered / outcome.seconds}
        self.check("every request is answered", outcome.complete(), outcome.summary())
        self.even("requests", {name: outcome.shares[name] for name in SERVERS})
        service = (self.plan.socket(self.plan.vip, HTTP), "tcp")
        earlier, later = connections(before, *service), connections(after, *service)
        made = {name: later[address] - earlier[address] for name, address in self.servers.items()}
        self.check("millrace scheduled exactly these connections", made == {name: outcome.shares[name] for name in SERVERS},
                   ", ".join(f"{name} {count}" for name, count in made.items()))

    def even(self, what, shares):
        """Round robin: each real server has its turn. Each worker goes round by itself."""
        spread = max(shares.values()) - min(shares.values())
        self.check(f"{what} are shared evenly", min(shares.values()) > 0 and spread <= len(self.stage.director.workers),
                   ", ".join(f"{name} {count}" for name, count in shares.items()))

    def requests_captured(self):
        """The same under a capture at the client: a single system image."""
        capture = self.capture(self.stage.client, "client")
        self.requests(parallel=50)
        packets, addresses = capture.addresses()
        self.check("the client sees no address but the VIP's",
                   packets >= self.count * 8 and addresses == {self.plan.client, self.plan.vip},
                   f"{packets} packets, {', '.join(sorted(addresses))}")

    def capture(self, namespace, name):
        """Starts to capture what a client sends and receives."""
        return traffic.Capture(self.lab, namespace, "eth0", f"{self.name}-{name}", self.plan.traffic)

    def near_client(self):
        """A client on the director's own segment, and a VIP that it finds there; and the far one to that VIP."""
        near, vip = self.plan.near, self.plan.near_vip
        capture = self.capture(self.stage.near, "near")
        outcome = traffic.requests(self.stage.near, vip, 300, 20)
        packets, addresses = capture.addresses()
        self.check("a client on the director's segment is served", outcome.complete(), outcome.summary())
        self.check("it sees no address but the VIP's", packets >= 300 * 8 and addresses == {near, vip},
                   f"{packets} packets, {', '.join(sorted(addresses))}")
        outcome = traffic.requests(self.stage.client, vip, 300, 20)
        self.check("a VIP found on the segment serves far clients", outcome.complete(), outcome.summary())

    def files(self):
        """A large file down and up, whole."""
        large, megabytes = self.stage.documents / "large", self.options.megabytes
        wanted, copy = traffic.checksum(large), self.lab.folder / "copy"
        found, seconds = traffic.download(self.stage.client, self.plan.vip, copy)
        copy.unlink()
        self.check(f"a {megabytes} MB download is whole", found == wanted, f"{found[:16]}, {seconds:.1f} s")
        self.figures["down MB/s"] = megabytes / seconds
        sent = self.stage.documents / "upload" / self.name
        seconds = traffic.upload(self.stage.client, self.plan.vip, large, self.name)
        found = traffic.checksum(sent)
        sent.unlink()
        self.check(f"a {megabytes} MB upload is whole", found == wanted, f"{found[:16]}, {seconds:.1f} s")
        self.figures["up MB/s"] = megabytes / seconds

    def throughput(self):
        """TCP for 20 seconds, never at a standstill; by NAT the other way too."""
        for name, options in [("iperf3", ())] + ([("iperf3 back", ("-R",))] if self.method == "nat" else []):
            found = traffic.iperf3(self.stage.client, self.plan.vip, 20, *options)
            self.figures[f"{name} Gb/s"] = found.gigabits
            self.check(f"{name} for 20 s without a stall", found.least > 0 and found.intervals >= 19,
                       f"{found.gigabits:.2f} Gb/s, least second {found.least:.3f} Gb/s, {found.retransmissions} retransmissions")

    def datagrams(self):
        """UDP of every size: each comes back as it was sent."""
        before = self.stage.director.stats()
        found = traffic.udp_echo(self.lab, self.stage.client, self.plan.vip, ECHO, 10_000)
        after = self.stage.director.settled()
        self.figures |= {"datagrams": found["sent"], "echoed": found["answered"]}
        self.check("10,000 datagrams of 0 to 1,400 octets are echoed", found["answered"] == found["sent"] == 10_000, found)
        earlier, later = (connections(stats, self.plan.socket(self.plan.vip, ECHO), "udp") for stats in (before, after))
        self.even("UDP clients", {name: later[address] - earlier[address] for name, address in self.servers.items()})

    def swap(self):
        """A real server is swapped during a loop of requests: quiesced, then removed, and not one request fails."""
        self.change({"r1": 1, "r2": 1})
        loop = traffic.Loop(self.stage.client, self.plan.vip)
        time.sleep(2)
        quiesced = self.change({"r1": 1, "r2": 0, "r3": 1})
        time.sleep(2)
        removed = self.change({"r1": 1, "r3": 1})
        time.sleep(2)
        answers = loop.stop()
        wrong = [answer.status for answer in answers if answer.status != "200"]
        # A request that a change came in the middle of may have been scheduled before it or after.
        servers = [{a.server for a in answers if since < a.asked and a.came < until}
                   for since, until in ((0, quiesced[0]), (quiesced[1], removed[0]), (removed[1], time.monotonic()))]
        self.check("a real server is swapped without an error",
                   len(answers) > 50 and not wrong and servers == [{"r1", "r2"}, {"r1", "r3"}, {"r1", "r3"}],
                   f"{len(answers)} requests, {len(wrong)} failed; by {', then '.join('+'.join(sorted(s)) for s in servers)}")
        self.change(dict.fromkeys(SERVERS, 1))

    def change(self, weights):
        """Changes the real servers and their weights; returns when that began and when it was done."""
        began = time.monotonic()
        self.stage.director.configure(self.services(weights, iperf_on="r1"))
        self.stage.director.reload()
        return began, time.monotonic()

    def stopped(self):
        """Without millrace nothing is answered; as soon as it goes on, everything is."""
        director = self.stage.director
        director.pause()
        outcome = traffic.requests(self.stage.client, self.plan.vip, 10, 10, patience=2)
        self.check("with millrace stopped nothing is answered", outcome.answered == 0, outcome.summary())
        director.resume()
        time.sleep(0.5)
        outcome = traffic.requests(self.stage.client, self.plan.vip, 30, 10)
        self.check("it goes on where it was stopped", outcome.complete(), outcome.summary())

    def two_services(self):
        """Two services over the same three servers, one client address and port towards both."""
        rounds = 30
        found = traffic.two_vips(self.lab, self.stage.client, (self.plan.vip, self.plan.near_vip), HTTP, ECHO, rounds)
        self.check("each reply comes from the right VIP", found["tcp"] == found["udp"] == 2 * rounds and not found["wrong"], found)

    def accounts(self):
        """The workers' counters agree with what the kernels around the director have seen, to the packet."""
        (stats, seen), (earlier, seen_earlier) = (self.stage.director.settled(), self.stage.counted()), self.at_start
        counts = {name: count - outcomes(earlier)[name] for name, count in outcomes(stats).items()}
        new = {name: seen[name] - seen_earlier[name] for name in seen}
        received = _total(stats, "rx_frames") - _total(earlier, "rx_frames")
        missed = _total(stats, "rx_missed") - _total(earlier, "rx_missed")
        forwarded = counts[FORWARDED[self.method]]
        to_clients = sum(counts.get(name, 0) for name in TO_CLIENTS)
        waiting = sum(worker["waiting"] for worker in stats["workers"])
        self.check("packets forwarded = packets that reached the real servers", forwarded == new["to_servers"] > 0,
                   f"{forwarded} = {new['to_servers']}")
        self.check("packets to clients = packets that came to them from the director", to_clients == new["to_clients"],
                   f"{to_clients} = {new['to_clients']}")
        self.check("frames received = sum of outcomes", received == sum(counts.values()) + waiting,
                   f"{received} = {sum(counts.values())} + {waiting} waiting")
        self.check("frames that arrived = received + missed", new["heard"] == received + missed,
                   f"{new['heard']} = {received} + {missed}")
        if self.options.quick:
            return
        others = {name: count for name, count in sorted(counts.items()) if count and not name.startswith("forwarded")}
        self.lab.report.row("Packets", method=self.name, arrived=new["heard"], missed=missed, forwarded=forwarded,
                            answers=counts["forwarded_nat_out"], other=" ".join(f"{n}={c}" for n, c in others.items()))


def _total(stats, counter):
    """Adds up a counter of all ports."""
    return sum((port | port["device_counters"])[counter] for port in stats["ports"])
