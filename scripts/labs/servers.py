"""scripts/real-server-setup: sets up, names each thing that can be wrong, and takes everything back.

    server eth0 .11 ────┬──── .1  director      10.0.0.0/24 and fd00::/64 (bridge); nobody forwards here: what is looked
                        ├──── .254 router       at is what the script says about the server, who hears of the VIP, and
                        └──── .50 a client      what comes out of tunnels
"""

import time
from dataclasses import dataclass, field

from .kit.lab import ROOT


@dataclass(frozen=True)
class Plan:
    """Who is who, by one family; and what is broken, by which commands on the server, and what --check must then say."""

    family: int
    whole: int  # prefix length of one address
    length: int  # of the segment's
    vip: str
    server: str
    gateway: str
    neighbour: str
    router: str
    client: str
    silent: list = field(repr=False)
    tunnel: list = field(repr=False)
    nat: list = field(repr=False)

    def vip_faults(self):
        """What can be wrong with a VIP."""
        take = "ip addr del {vip}/{whole} dev {device}"
        return [
            ("the VIP is missing", [take], "no device has the VIP"),
            ("the VIP has a short prefix", [take, "ip addr add {vip}/{length} dev {device}"], f"prefix length {self.length}"),
            ("the VIP is on a device that answers for it", [take, "ip addr add {vip}/{whole} dev eth0"], "which answers for it"),
            ("answers go through the director", [f"ip -{self.family} route replace default via {self.gateway}"],
             "answers to clients go to the director"),
            *self.silent,
        ]

    def tunnel_faults(self):
        """What can be wrong with a tunnel."""
        return [
            *self.tunnel,
            ("the tunnel is down", ["ip link set {tunnel} down"], "{tunnel} is down"),
            ("nothing takes packets out of the tunnel", ["ip link del {tunnel}"], "nothing here takes packets out"),
        ]

    def nat_faults(self):
        """What can be wrong with a gateway."""
        route = f"ip -{self.family} route"
        return [
            ("there is no default route", [f"{route} del default"], "no default route"),
            ("another gateway", [f"{route} replace default via {self.router}"], "not the director"),
            ("the director does not answer", [f"ip neigh replace {self.gateway} lladdr 02:00:00:00:00:99 dev eth0"], "does not answer"),
            ("a client in the servers' own subnet", [f"{route} del {self.neighbour}"], "is answered directly, from the wrong address"),
            *self.nat,
        ]


PLANS = (
    Plan(4, 32, 24, "203.0.113.10", "10.0.0.11", "10.0.0.1", "10.0.0.50", "10.0.0.254", "198.51.100.10", silent=[
        ("arp_ignore is 0", ["sysctl -qw net.ipv4.conf.all.arp_ignore=0"], "answers ARP for the VIP"),
        ("arp_announce is 0", ["sysctl -qw net.ipv4.conf.all.arp_announce=0"], "as sender of ARP requests"),
    ], tunnel=[
        ("rp_filter is strict", ["sysctl -qw net.ipv4.conf.{tunnel}.rp_filter=0"], "rp_filter of {tunnel} is strict"),
        ("rp_filter is loose without an address", ["ip addr del {vip}/32 dev {tunnel}", "ip addr add {vip}/32 dev lo"],
         "loose, but the device has no address"),
    ], nat=[]),
    Plan(6, 128, 64, "2001:db8:113::10", "fd00::11", "fd00::1", "fd00::50", "fd00::254", "2001:db8:51::10", silent=[
        ("the VIP is on the segment's device too", ["ip addr add {vip}/128 dev eth0 nodad"], "answers neighbour solicitations for the VIP"),
    ], tunnel=[
        ("IPv6 is disabled on the tunnel", ["sysctl -qw net.ipv6.conf.{tunnel}.disable_ipv6=1"], "IPv6 is disabled on {tunnel}"),
    ], nat=[
        ("redirects are accepted", ["sysctl -qw net.ipv6.conf.eth0.accept_redirects=1"], "accepts redirects"),
        ("routers are listened to", ["sysctl -qw net.ipv6.conf.eth0.accept_ra_defrtr=1"], "learns default routes"),
    ]),
)


def arguments(parser):
    """Adds this lab's options: none."""


def run(lab, _options):
    """Runs the lab."""
    segment = Segment(lab)
    for plan in PLANS:
        case = Case(lab, segment, plan)
        case.method("direct", plan.vip, ["--client", plan.client, "--director", plan.gateway], plan.vip_faults())
        case.method("tunnel", plan.vip, ["--client", plan.client, "--director", plan.gateway], plan.vip_faults() + plan.tunnel_faults())
        case.method("nat", plan.gateway, ["--client", plan.neighbour], plan.nat_faults())
        for outer in PLANS:
            case.tunnelled(outer)


class Segment:
    """The server, and the others on its segment."""

    def __init__(self, lab):
        network = lab.network
        switch = network.namespace("switch")
        switch.bridge("br0")
        self.server, self.director, self.router, self.client = (network.namespace(n) for n in ("server", "director", "router", "client"))
        for namespace, name in ((self.server, "server"), (self.director, "gateway"), (self.router, "router"), (self.client, "neighbour")):
            namespace.enable_ipv6()
            network.cable(namespace, "eth0", switch, name, master="br0")
            for plan in PLANS:
                namespace.add_address(f"{getattr(plan, name)}/{plan.length}", "eth0")
        for plan in PLANS:
            self.server.ip("route", "add", "default", "via", plan.router)
            self.client.ip("route", "add", f"{plan.vip}/{plan.whole}", "dev", "eth0")
        self.server.sysctl("net.ipv4.conf.all.rp_filter", 1)
        self.server.sysctl("net.ipv6.conf.eth0.accept_ra", 1)
        self.router.count("eth0", "answers", v4=f"ip saddr {PLANS[0].vip} icmp type echo-reply",
                          v6=f"ip6 saddr {PLANS[1].vip} icmpv6 type echo-reply")


class Case:
    """The script on one server, by one family."""

    def __init__(self, lab, segment, plan):
        self.lab = lab
        self.segment = segment
        self.server = segment.server
        self.plan = plan

    def check(self, what, held, detail=""):
        """Notes whether something held."""
        return self.lab.report.check(f"IPv{self.plan.family}, {what}", held, detail)

    def script(self, *arguments):
        """Runs the script."""
        return self.server.run(ROOT / "scripts" / "real-server-setup", *arguments, "--state", self.lab.folder / "state", check=False)

    def state(self):
        """Returns what the script may change."""
        settings = self.server.run("sh", "-c", "cd /proc/sys/net && grep . ipv4/conf/*/arp_ignore ipv4/conf/*/arp_announce"
                                   " ipv4/conf/*/rp_filter ipv6/conf/*/accept_r* ipv6/conf/*/disable_ipv6").stdout
        addresses = self.server.ip("-o", "addr").stdout
        return addresses + self.server.ip("route").stdout + self.server.ip("-6", "route").stdout + settings

    def method(self, method, target, options, faults):
        """Sets up twice, checks, breaks each thing in turn, takes back."""
        before = self.state()
        applied = self.script(method, target, *options)
        tunnel = self.tunnel_device()
        device = tunnel if (method, self.plan.family) == ("tunnel", 4) else "eth0" if method == "nat" else "lo"
        names = {"vip": target, "device": device, "tunnel": tunnel, "whole": self.plan.whole, "length": self.plan.length}
        first = self.state()
        again = self.script(method, target, *options)
        self.check(f"{method}: setting up twice is setting up once", applied.returncode == again.returncode == 0 and self.state() == first,
                   (applied.stderr + again.stderr).strip())
        looked = self.script(method, target, *options, "--check")
        self.check(f"{method}: --check is content", looked.returncode == 0 and "WRONG" not in looked.stdout,
                   "; ".join(line for line in looked.stdout.splitlines() if line.startswith("WRONG")))
        if method != "nat":
            self.silent(method)
        for name, commands, said in faults:
            for command in commands:
                self.server.run("sh", "-c", command.format(**names))
            looked = self.script(method, target, *options, "--check")
            wrong = [line for line in looked.stdout.splitlines() if line.startswith("WRONG")]
            self.check(f"{method}: --check sees that {name}",
                       looked.returncode == 1 and any(said.format(**names) in line for line in wrong),
                       wrong[0] if len(wrong) == 1 else f"{len(wrong)} wrong")
            self.script(method, target, *options, "--undo")
            self.server.ip("neigh", "flush", "all", "nud", "all")
            if self.state() != before:
                self.restore(device, target)
            self.script(method, target, *options)
        undone = self.script(method, target, *options, "--undo")
        self.check(f"{method}: --undo takes everything back", undone.returncode == 0 and self.state() == before, undone.stderr.strip())

    def silent(self, method):
        """Nobody on the segment finds the server by the VIP."""
        client = self.segment.client
        pinged = client.run("ping", "-c", 1, "-W", 1, self.plan.vip, check=False).returncode
        found = client.ip("neigh", "show", self.plan.vip).stdout.strip()
        client.ip("neigh", "flush", "all")
        self.check(f"{method}: the server is silent for the VIP", pinged != 0 and found and "lladdr" not in found, found)

    def tunnelled(self, outer):
        """What a director sends inside a header of either family is answered, by the server's own route."""
        plan, name = self.plan, f"v{self.plan.family}"
        self.script("tunnel", plan.vip, "--director", outer.gateway)
        before = self.segment.router.counted()[name]
        self.segment.director.run(*self.lab.program("tunnelled.py"), outer.gateway, outer.server, plan.client, plan.vip, 5)
        # Another machine than the director the script was told of.
        self.segment.client.run(*self.lab.program("tunnelled.py"), outer.neighbour, outer.server, plan.client, plan.vip, 5)
        time.sleep(0.5)
        answers = self.segment.router.counted()[name] - before
        self.check(f"tunnel: what comes out of IPv{outer.family} is answered, if the director sent it", answers == 5, f"{answers} of 5")
        self.script("tunnel", plan.vip, "--undo")

    def tunnel_device(self):
        """Returns the device that the script chose."""
        kernel = "sit0" if self.plan.family == 6 else "tunl0"
        return kernel if self.server.ip("link", "show", kernel, check=False).returncode == 0 else "mr0"

    def restore(self, device, target):
        """Repairs what was broken behind the script's back."""
        for where in {device, "eth0", "lo"}:
            for length in (self.plan.length, self.plan.whole):
                self.server.ip("addr", "del", f"{target}/{length}", "dev", where, check=False)
        self.server.ip("route", "replace", "default", "via", self.plan.router)
