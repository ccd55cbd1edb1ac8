"""scripts/real-server-setup: sets up, names each thing that can be wrong, and takes everything back.

    server eth0 .11 ────┬──── .1  director      10.0.0.0/24 (bridge); nobody forwards here: what is looked at
                        ├──── .254 router       is what the script says about the server
                        └──── .50 a client in the servers' own subnet
"""

from .kit.lab import ROOT

VIP, GATEWAY, NEIGHBOUR, CLIENT = "203.0.113.10", "10.0.0.1", "10.0.0.50", "198.51.100.10"

# What is broken, by which commands on the server, and what --check must then say.
VIP_FAULTS = [
    ("the VIP is missing", ["ip addr del {vip}/32 dev {device}"], "no device has the VIP"),
    ("the VIP has a short prefix", ["ip addr del {vip}/32 dev {device}", "ip addr add {vip}/24 dev {device}"], "prefix length 24"),
    ("the VIP is on a device that answers ARP", ["ip addr del {vip}/32 dev {device}", "ip addr add {vip}/32 dev eth0"],
     "which answers ARP for it"),
    ("arp_ignore is 0", ["sysctl -qw net.ipv4.conf.all.arp_ignore=0"], "answers ARP for the VIP"),
    ("arp_announce is 0", ["sysctl -qw net.ipv4.conf.all.arp_announce=0"], "as sender of ARP requests"),
    ("answers go through the director", ["ip route replace default via 10.0.0.1"], "answers to clients go to the director"),
]
TUNNEL_FAULTS = [
    ("rp_filter is strict", ["sysctl -qw net.ipv4.conf.{device}.rp_filter=0"], "rp_filter of {device} is strict"),
    ("rp_filter is loose without an address", ["ip addr del {vip}/32 dev {device}", "ip addr add {vip}/32 dev lo"],
     "loose, but the device has no address"),
    ("the tunnel is down", ["ip link set {device} down"], "{device} is down"),
    ("nothing takes packets out of the tunnel", ["ip link del {device}"], "nothing here takes packets out"),
]
NAT_FAULTS = [
    ("there is no default route", ["ip route del default"], "no default route"),
    ("another gateway", ["ip route replace default via 10.0.0.254"], "not the director"),
    ("the director does not answer", ["ip neigh replace 10.0.0.1 lladdr 02:00:00:00:00:99 dev eth0"], "does not answer"),
    ("a client in the servers' own subnet", ["ip route del 10.0.0.50"], "is answered directly, from the wrong address"),
]


def arguments(parser):
    """Adds this lab's options: none."""


def run(lab, _options):
    """Runs the lab."""
    switch = lab.network.namespace("switch")
    switch.bridge("br0")
    server = lab.network.namespace("server")
    lab.network.cable(server, "eth0", switch, "server", "10.0.0.11/24", "br0")
    for name, address in (("director", GATEWAY), ("router", "10.0.0.254"), ("client", NEIGHBOUR)):
        lab.network.cable(lab.network.namespace(name), "eth0", switch, name, f"{address}/24", "br0")
    server.sysctl("net.ipv4.conf.all.rp_filter", 1)
    server.ip("route", "add", "default", "via", "10.0.0.254")

    case = Case(lab, server)
    case.method("direct", VIP, ["--client", CLIENT, "--director", GATEWAY], VIP_FAULTS)
    case.method("tunnel", VIP, ["--client", CLIENT, "--director", GATEWAY], VIP_FAULTS + TUNNEL_FAULTS)
    case.method("nat", GATEWAY, ["--client", NEIGHBOUR], NAT_FAULTS)


class Case:
    """The script on one server."""

    def __init__(self, lab, server):
        self.lab = lab
        self.server = server

    def script(self, *arguments):
        """Runs the script."""
        return self.server.run(ROOT / "scripts" / "real-server-setup", *arguments, "--state", self.lab.folder / "state", check=False)

    def state(self):
        """Returns what the script may change."""
        settings = self.server.run("sh", "-c", "cd /proc/sys/net/ipv4/conf && grep . */arp_ignore */arp_announce */rp_filter").stdout
        return self.server.ip("-o", "-4", "addr").stdout + self.server.ip("route").stdout + settings

    def method(self, method, target, options, faults):
        """Sets up twice, checks, breaks each thing in turn, takes back."""
        check = self.lab.report.check
        before = self.state()
        applied = self.script(method, target, *options)
        device = {"direct": "lo", "nat": "eth0"}.get(method) or self.tunnel_device()
        first = self.state()
        again = self.script(method, target, *options)
        check(f"{method}: setting up twice is setting up once", applied.returncode == again.returncode == 0 and self.state() == first,
              (applied.stderr + again.stderr).strip())
        looked = self.script(method, target, *options, "--check")
        check(f"{method}: --check is content", looked.returncode == 0 and "WRONG" not in looked.stdout,
              "; ".join(line for line in looked.stdout.splitlines() if line.startswith("WRONG")))
        for name, commands, said in faults:
            for command in commands:
                self.server.run("sh", "-c", command.format(vip=target, device=device))
            looked = self.script(method, target, *options, "--check")
            wrong = [line for line in looked.stdout.splitlines() if line.startswith("WRONG")]
            check(f"{method}: --check sees that {name}", looked.returncode == 1 and any(said.format(device=device) in line for line in wrong),
                  wrong[0] if len(wrong) == 1 else f"{len(wrong)} wrong")
            self.script(method, target, *options, "--undo")
            self.server.ip("neigh", "flush", "all")
            if self.state() != before:
                self.restore(device, target)
            self.script(method, target, *options)
        undone = self.script(method, target, *options, "--undo")
        check(f"{method}: --undo takes everything back", undone.returncode == 0 and self.state() == before, undone.stderr.strip())

    def tunnel_device(self):
        """Returns the device that the script chose."""
        return "tunl0" if self.server.ip("link", "show", "tunl0", check=False).returncode == 0 else "mr0"

    def restore(self, device, target):
        """Repairs what was broken behind the script's back."""
        for where in {device, "eth0", "lo"}:
            for length in (24, 32):
                self.server.ip("addr", "del", f"{target}/{length}", "dev", where, check=False)
        self.server.ip("route", "replace", "default", "via", "10.0.0.254")
