"""The kernel's interfaces for the director's ports: ping, ssh and the host's own connections, beside the balanced ones.

The network is that of the lab `forward`, by NAT; both ports have twins, and their carriers are muted by the director itself.

    near ──┐              ┌─ wan ── director ── lan ─┐
    client ── router ── brwan     wan0     lan0     brlan ── r1, r2, r3
                                   └── host ──┘  (addresses, routes, a server of its own)

A session to the host goes on while the director is restarted and while it is killed.
"""

import json
import os
import re
import signal
import time

from .kit import traffic
from .kit.director import connections, outcomes
from .kit.stage import CLIENT, HTTP, LAN_MAC, NAT_PORTS, NEAR, NEAR_VIP, SERVERS, VIP, WAN_MAC, Stage

OWN, OWN_LAN = "192.0.2.2", "10.0.0.1"
TWINS = {"wan0": f"{OWN}/24", "lan0": f"{OWN_LAN}/24"}
SESSION = 2222
PROTOCOL = 109  # the default of [announce]
PAGES = 8000
PINGS = 10
REQUESTS = 60
FLOOD = 60_000
FLOOD_FROM = "198.51.100.64/26"  # nobody


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--workers", default="0,1", help="the director's workers, as CPU cores (default: 0,1)")


def run(lab, options):
    """Runs the lab."""
    stage = Stage(lab, [int(core) for core in options.workers.split(",")], "adaptive", 0, twins=True)
    stage.setup_servers("nat")
    host = Host(lab, stage)
    host.start()
    host.set_up()
    for step in (host.echo, host.out, host.balanced, host.announced, host.transit, host.routed, host.lives_on, host.cable, host.flood, host.firewall, host.signals,
                 host.renamed, host.accounts, host.stopped):
        print(f"\n{step.__doc__.splitlines()[0]}")
        step()


class Host:
    """The director's machine, as its operator and its neighbours see it."""

    def __init__(self, lab, stage):
        self.lab = lab
        self.stage = stage
        self.director = stage.director
        self.namespace = stage.director_namespace
        self.check = lab.report.check

    def start(self):
        """Starts the director."""
        self.director.api = ["", "[announce]"]
        self.director.configure(self.stage.services("nat"))
        self.director.start()

    def set_up(self):
        """What an operator does once: a route, forwarding for the real servers, a program that listens."""
        self.namespace.ip("route", "add", "default", "via", "192.0.2.1", "dev", "wan0")
        self.namespace.sysctl("net.ipv4.ip_forward", 1)
        rules = 'table ip nat {\nchain out {\ntype nat hook postrouting priority 100;\noifname "wan0" masquerade\n}\n}\n'
        self.namespace.run("nft", "-f", "-", input=rules)
        self.lab.start(self.namespace, "session-server", *self.lab.program("session.py"), "serve", SESSION)
        page = self.lab.folder / "page"
        page.mkdir()
        (page / "index.html").write_text("from outside\n")
        self.lab.start(self.stage.client, "pages", "python3", "-m", "http.server", PAGES, "-d", page)

    def counted(self, *names):
        """Returns how often these outcomes were, so far."""
        found = outcomes(self.director.settled())
        return [found[name] for name in names]

    def muted(self):
        """Returns the twins whose carriers nftables drops what arrives on."""
        return re.findall(r"table netdev millrace-(\S+)", self.namespace.run("nft", "list", "tables").stdout)

    def echo(self):
        """One answer to each ARP request and each ping, and the host's"""
        before, (answered,) = self._echoes(), self.counted("answered_echo")
        capture = traffic.Capture(self.lab, self.stage.near, "eth0", "near", "arp or icmp")
        lost = 0
        for _ in range(PINGS):
            self.stage.near.ip("neigh", "flush", "dev", "eth0")
            lost += self.stage.near.run("ping", "-c", 1, "-W", 2, OWN, check=False).returncode != 0
        # An address is announced by a request for itself, which nobody answers.
        lines = [line for line in capture.text().splitlines() if f"tell {OWN}," not in line]

        def count(words):
            return sum(words in line for line in lines)

        asked, told = count(f"Request who-has {OWN} "), count(f"Reply {OWN} is-at {WAN_MAC}")
        self.check(f"{PINGS} pings of the director's own address are answered", lost == 0, f"{lost} lost")
        self.check("each ARP request has one answer", asked >= PINGS and told == asked, f"{told} answers to {asked}")
        requests, replies = count("echo request"), count("echo reply")
        self.check("each ping has one answer", requests == PINGS and replies == PINGS, f"{replies} answers to {requests}")
        by_host, (after,) = self._echoes() - before, self.counted("answered_echo")
        self.check("the host's kernel has answered them", by_host == PINGS and after == answered, f"{by_host} by the kernel")
        self.check("the carriers are muted", sorted(self.muted()) == sorted(TWINS), ", ".join(self.muted()))
        self.stage.near.run("ping", "-c", 1, "-W", 2, NEAR_VIP)
        self.check("a VIP's pings are still the director's to answer", self.counted("answered_echo") == [answered + 1])

    def _echoes(self):
        counters = self.namespace.run("cat", "/proc/net/snmp").stdout.splitlines()
        names, values = (line.split() for line in counters if line.startswith("Icmp: "))
        return int(values[names.index("InEchos")])

    def out(self):
        """The host's own connections"""
        asked = [self.namespace.run("curl", "-sS", "--max-time", 5, "-o", "/dev/null", "-w", "%header{x-real-server}",
                                    f"http://{address}:{NAT_PORTS[HTTP]}/", check=False).stdout for address in SERVERS.values()]
        self.check("the host reaches each real server's socket that serves the VIP", asked == list(SERVERS), ", ".join(asked))
        page = self.namespace.run("curl", "-sS", "--max-time", 5, f"http://{CLIENT}:{PAGES}/", check=False)
        self.check("and a server outside, by its own route", page.stdout == "from outside\n", page.stderr.strip())

    def balanced(self):
        """VIPs, beside that"""
        captures = {twin: traffic.Capture(self.lab, self.namespace, twin, twin, f"host {VIP} or host {NEAR_VIP}") for twin in TWINS}
        for namespace, vip in ((self.stage.client, VIP), (self.stage.near, NEAR_VIP)):
            outcome = traffic.requests(namespace, vip, REQUESTS, 10)
            self.check(f"requests to {vip} are answered, shared by all real servers",
                       outcome.complete() and len(outcome.shares) == len(SERVERS), outcome.summary())
        given = connections(self.director.stats(), f"{VIP}:{HTTP}", "tcp")
        self.check("each real server was given connections", len(given) == len(SERVERS) and all(given.values()), given)
        self.stage.near.run("curl", "-s", "--max-time", 1, f"http://{NEAR_VIP}:81/", check=False)
        for twin, capture in captures.items():
            seen = capture.text().splitlines()
            self.check(f"{twin} hears nothing of the VIPs", not seen, "; ".join(seen[:3]))

    def _announces(self, *vips):
        """Waits until the host has routes to these VIPs and no other; returns whether it came to that."""
        wanted, deadline = sorted(f"blackhole {vip}" for vip in vips), time.monotonic() + 3
        while sorted(line.strip() for line in self.namespace.ip("route", "show", "proto", PROTOCOL).stdout.splitlines()) != wanted:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def announced(self):
        """VIPs as routes of the host, for its routing daemon"""
        self.check("the host has a route to each VIP", self._announces(VIP, NEAR_VIP))
        self.namespace.ip("route", "del", "blackhole", VIP, "proto", PROTOCOL)
        self.check("one that somebody takes away is put back", self._announces(VIP, NEAR_VIP))
        # Of VIP, one service goes on: that of iperf3.
        self.director.configure(self.stage.services("nat", dict.fromkeys(SERVERS, 0)))
        self.director.reload()
        self.check("that to a VIP whose real servers have no weight is withdrawn, and no other", self._announces(VIP))
        self.director.configure(self.stage.services("nat"))
        self.director.reload()
        self.check("and is there again when they have", self._announces(VIP, NEAR_VIP))
        said = self.director.tell("drain").stdout
        self.check("a director that drains has withdrawn them", self._announces() and "no VIP" in said, said.strip())
        outcome = traffic.requests(self.stage.client, VIP, 20, 10)
        self.check("and goes on forwarding", outcome.complete(), outcome.summary())
        self.director.configure(self.stage.services("nat", dict.fromkeys(SERVERS, 2)))
        self.director.reload()
        time.sleep(1.5)
        self.check("also after a reload", self._announces() and self.director.stats()["announced"] == {"draining": True, "vips": []})
        said = self.director.tell("drain", "--off").stdout
        self.check("until it is told otherwise", self._announces(VIP, NEAR_VIP) and "2 VIPs" in said, said.strip())

    def transit(self):
        """What a real server sends on its own"""
        page = self.stage.servers[0].namespace.run("curl", "-sS", "--max-time", 5, f"http://{CLIENT}:{PAGES}/", check=False)
        self.check("r1 fetches a page from outside, which the host forwards and masquerades", page.stdout == "from outside\n",
                   page.stderr.strip())

    def routed(self):
        """The same, routed by the director itself"""
        r1 = self.stage.servers[0]
        # The host forwards no more, and the clients' router has a way back by the director.
        self.namespace.sysctl("net.ipv4.ip_forward", 0)
        self.check("r1 reaches nobody while the host does not forward", not self._fetched())
        self.stage.router.ip("route", "add", f"{r1.address}/32", "via", OWN)
        self.director.transit = "route"
        self.director.configure(self.stage.services("nat"))
        self.director.reload()
        (before,) = self.counted("forwarded_transit")
        captures = [traffic.Capture(self.lab, self.namespace, twin, f"routed-{twin}", f"host {r1.address} and host {CLIENT}") for twin in TWINS]
        from_r1 = traffic.Capture(self.lab, self.stage.client, "eth0", "from-r1", f"tcp and src host {r1.address}")
        self.check("with transit = \"route\" r1 fetches the page", self._fetched())
        self.check("by its own address", from_r1.text().splitlines())
        (after,) = self.counted("forwarded_transit")
        self.check("the director has routed both ways", after - before >= 10, f"{after - before} packets")
        done = self.stage.client.run("ping", "-c", 3, "-i", 0.2, "-W", 2, r1.address, check=False)
        self.check("a client's pings are answered by r1", done.returncode == 0 and " 3 received" in done.stdout, done.stdout.splitlines()[-2:])
        seen = [line for capture in captures for line in capture.text().splitlines()]
        self.check("the twins hear nothing of it", not seen, "; ".join(seen[:3]))
        done = self.stage.client.run("ping", "-c", 1, "-W", 2, "-t", 2, r1.address, check=False)
        self.check("one whose TTL ends at the director is told so by it", f"From {OWN}" in done.stdout and "Time to live exceeded" in done.stdout,
                   done.stdout.splitlines()[1:2])
        outcome = traffic.requests(self.stage.client, VIP, 20, 10)
        self.check("and requests to the VIP are answered as ever", outcome.complete(), outcome.summary())

    def _fetched(self):
        """Has r1 fetch the page from outside; returns whether it came."""
        page = self.stage.servers[0].namespace.run("curl", "-sS", "--max-time", 3, f"http://{CLIENT}:{PAGES}/", check=False)
        return page.stdout == "from outside\n"

    def lives_on(self):
        """A session of the host's while the director is restarted, and killed"""
        session = self.lab.start(self.stage.client, "session", *self.lab.program("session.py"), "talk", OWN, SESSION)
        time.sleep(1)
        code = self.director.stop()
        self.check("the director ends well", code == 0, f"exit {code}")
        self.check("and takes the mute off", not self.muted(), ", ".join(self.muted()))
        workers = self.director.workers
        self.director.workers = workers[-1:]
        self.check("and withdraws the VIPs", self._announces())
        self._kept(f"after a restart with {len(self.director.workers)} in place of {len(workers)} workers")
        self.director.workers = workers
        os.kill(self.director.process.pid, signal.SIGKILL)
        self.director.process.handle.wait()
        self.check("one that is killed leaves the mute", sorted(self.muted()) == sorted(TWINS), ", ".join(self.muted()))
        monitor = self.lab.start(self.namespace, "routes", "ip", "monitor", "route")
        self._kept("after kill -9")
        self.check("the VIPs that it left are taken over", self._announces(VIP, NEAR_VIP))
        monitor.stop()
        self.check("and were at no moment withdrawn", "blackhole" not in monitor.output(), monitor.output()[-500:])
        session.stop(patience=40)
        told = json.loads(session.output().splitlines()[-1])
        self.check("the session lost nothing", told["sent"] == told["back"] > 100 and not told["error"],
                   f"{told['back']} of {told['sent']} lines back, the longest silence {told['longest_silence']:.1f} s {told['error']}")
        self.lab.report.row("A session of the host's", lines=told["sent"], back=told["back"], longest_silence=told["longest_silence"])

    def _kept(self, when):
        kept = {twin: address in self.namespace.addresses(twin) for twin, address in TWINS.items()}
        route = self.namespace.ip("route", "show", "default").stdout.strip()
        self.check(f"{when} the addresses and the operator's route are there", all(kept.values()) and "via 192.0.2.1 dev wan0" in route, route)
        self.start()
        links = self.namespace.ip("-br", "link").stdout
        self.check(f"{when} the twins have their ports' Ethernet addresses and a carrier",
                   all(re.search(rf"^{twin}\s+\S+\s+{mac}.*LOWER_UP", links, re.MULTILINE)
                       for twin, mac in (("wan0", WAN_MAC), ("lan0", LAN_MAC))))
        outcome = traffic.requests(self.stage.client, VIP, 20, 10)
        self.check(f"{when} requests are answered", outcome.complete(), outcome.summary())
        time.sleep(1)

    def cable(self):
        """A cable that is out"""
        def carrier(wanted):
            deadline = time.monotonic() + 3
            while ("LOWER_UP" in self.namespace.ip("-br", "link", "show", "wan0").stdout) != wanted:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)
            return True

        self.stage.switch.ip("link", "set", "director-wan", "down")
        self.check("the host sees its twin without a carrier", carrier(False))
        self.stage.switch.ip("link", "set", "director-wan", "up")
        self.check("and with one when the cable is back", carrier(True))
        code = self.stage.near.run("ping", "-c", 1, "-W", 2, OWN, check=False).returncode
        self.check("and answers", code == 0)

    def flood(self):
        """A flood at the host's own address"""
        session = self.lab.start(self.stage.client, "flooded-session", *self.lab.program("session.py"), "talk", OWN, SESSION)
        time.sleep(0.5)
        self.stage.near.run(*self.lab.program("flood.py"), "eth0", WAN_MAC, FLOOD_FROM, OWN, 80, FLOOD, "tcp")
        outcome = traffic.requests(self.stage.client, VIP, 30, 10)
        session.stop(patience=40)
        told = json.loads(session.output().splitlines()[-1])
        held = told["sent"] == told["back"] > 10 and not told["error"] and told["longest_silence"] < 5
        self.check(f"{FLOOD} SYNs at once leave room for a session", held,
                   f"{told['back']} of {told['sent']} lines back, the longest silence {told['longest_silence']:.1f} s")
        self.check("and for the VIPs", outcome.complete(), outcome.summary())

    def firewall(self):
        """A firewall that is loaded, and empties nftables first"""
        self.namespace.run("nft", "flush", "ruleset")
        deadline = time.monotonic() + 5
        while sorted(self.muted()) != sorted(TWINS) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.check("the carriers are muted again", sorted(self.muted()) == sorted(TWINS), ", ".join(self.muted()))

    def signals(self):
        """A machine that has no signals left"""
        pid = self.director.process.pid
        self.namespace.run("prlimit", "--pid", pid, "--sigpending=0:0")
        done = self.namespace.run("ping", "-c", PINGS, "-i", 0.2, "-W", 2, NEAR, check=False)
        self.check("what the host sends is noticed all the same", done.returncode == 0 and f" {PINGS} received" in done.stdout,
                   done.stdout.splitlines()[-2:])

    def renamed(self):
        """A twin that gets another name, after kill -9"""
        os.kill(self.director.process.pid, signal.SIGKILL)
        self.director.process.handle.wait()
        self.director.ports[0].twin = "wan9"
        self.start()
        self.check("no carrier is muted in the old name", sorted(self.muted()) == ["lan0", "wan9"], ", ".join(self.muted()))
        holders = [twin for twin in ("wan0", "wan9") if f"{OWN}/24" in self.namespace.addresses(twin)]
        self.check("the address is the new one's alone", holders == ["wan9"], ", ".join(holders))
        for namespace, to in ((self.stage.near, OWN), (self.namespace, NEAR)):
            code = namespace.run("ping", "-c", 2, "-i", 0.2, "-W", 2, to, check=False).returncode
            self.check(f"{namespace.name} has its ping of {to} answered", code == 0)

    def accounts(self):
        """The accounts"""
        stats = self.director.settled()
        received = sum(worker["received"] for worker in stats["workers"])
        waiting = sum(worker["waiting"] for worker in stats["workers"])
        ended = outcomes(stats)
        self.check("frames received = sum of outcomes", received == sum(ended.values()) + waiting, f"{received} frames")
        self.lab.report.row("How frames ended", **{name: count for name, count in ended.items() if count and "drop" not in name})

    def stopped(self):
        """Without millrace nothing of this works"""
        self.check("r1 fetches the page from outside", self._fetched())
        self.director.stop()
        self.check("with millrace stopped, it does not", not self._fetched())
        self.stage.near.ip("neigh", "flush", "dev", "eth0")
        for what, line in (("ping", ("ping", "-c", 1, "-W", 1, OWN)), ("a request", ("curl", "-s", "--max-time", 1, f"http://{NEAR_VIP}/"))):
            code = self.stage.near.run(*line, check=False).returncode
            self.check(f"with millrace stopped, {what} is not answered", code != 0, f"exit {code}")
        page = self.namespace.run("curl", "-s", "--max-time", 1, f"http://{CLIENT}:{PAGES}/", check=False)
        self.check("with millrace stopped, the host reaches nobody", page.returncode != 0, f"curl {page.returncode}")
