"""Fragments: datagrams of 8,000 octets and DNS answers over 1,500, by every method, over IPv4 and IPv6.

The network is that of the lab `ipv6`, but the director's ports are net_pcap ports: on net_af_packet ports the kernel puts IPv4
fragments together before the director gets them. Every link has an MTU of 1,500.

    nat, nat6         both directions pass through the director in fragments
    direct, direct6   the client's fragments do
    4in4, 6in6        and are put into a tunnel each

An echo answers datagrams of 7,900 to 8,000 octets, each whole or it does not count; iperf3 sends 8,000 at a time, both ways by NAT; dig asks
NSD what needs 3,000 octets to be answered. A capture on both of the director's links is given to tshark: nothing that the director sends
may be malformed or have a wrong checksum, with the datagrams put together by tshark.
"""

import json
import time

from .kit import traffic
from .kit.director import outcomes
from .kit.stage import LAN_MAC, V4, V6, WAN_MAC, Stage

# By name: the method, the family.
CASES = {"nat": ("nat", V4), "direct": ("direct", V4), "4in4": ("tunnel", V4), "nat6": ("nat", V6), "direct6": ("direct", V6), "6in6": ("tunnel", V6)}
# The others need millrace-decap.
DEFAULT = ["nat", "direct", "nat6", "direct6"]
FORWARDED = {"nat": "forwarded_nat_in", "tunnel": "forwarded_tunnel", "direct": "forwarded_direct"}
ECHO, IPERF, DNS = 7, 5202, 53
NAT_PORTS = {ECHO: 7007, IPERF: 5201, DNS: 5300}
SMALLEST, LARGEST = 7900, 8000
FRAGMENTS = 6
"""Of such a datagram, at least."""

NSD = """
server:
    {listen}
    ip-freebind: yes
    username: root
    zonesdir: "{folder}"
    pidfile: "{folder}/nsd.pid"
    xfrdfile: "{folder}/xfrd.state"
    xfrdir: "{folder}"
    zonelistfile: "{folder}/zone.list"
    database: ""
    server-count: 1
    ipv4-edns-size: 4096
    ipv6-edns-size: 4096
remote-control:
    control-enable: no
zone:
    name: "millrace.test"
    zonefile: "{folder}/zone"
"""
TEXT = 255
TEXTS = 12
ZONE = f"""$ORIGIN millrace.test.
$TTL 60
@ SOA ns admin 1 60 60 60 60
@ NS ns
ns A 192.0.2.1
large TXT ({" ".join('"' + chr(97 + n) * TEXT + '"' for n in range(TEXTS))})
"""


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--cases", default=",".join(DEFAULT), help=f"which of {', '.join(CASES)} (default: {', '.join(DEFAULT)})")
    parser.add_argument("--poll", default="adaptive", choices=("adaptive", "busy"), help="what an idle worker does")
    parser.add_argument("--datagrams", type=int, default=300, help="datagrams to the echo for each case (default: 300)")


def run(lab, options):
    """Runs the lab."""
    cases = options.cases.split(",")
    if unknown := set(cases) - set(CASES):
        raise ValueError(f"unknown case: {', '.join(sorted(unknown))}")
    # A pcap port has one queue.
    stage = Stage(lab, [1], options.poll, 0, plans=(V4, V6))
    stage.director.device = "net_pcap{number},rx_iface_in={name},tx_iface={name}"
    stage.director.names_macs = True
    for server in stage.servers:
        start_dns(lab, server)
    for name in cases:
        print(f"\n{name}")
        Case(lab, stage, name, options).run()


def start_dns(lab, server):
    """Answers questions on the VIP and on the server's own addresses."""
    sockets = [(address, port) for plan in (V4, V6) for address, port in ((plan.vip, DNS), (plan.servers[server.name], NAT_PORTS[DNS]))]
    (server.folder / "zone").write_text(ZONE)
    conf = server.folder / "nsd.conf"
    conf.write_text(NSD.format(folder=server.folder, listen="\n    ".join(f"ip-address: {address}@{port}" for address, port in sockets)))
    lab.start(server.namespace, f"{server.name}-nsd", "nsd", "-d", "-c", conf)


class Case:
    """All steps by one method, over one family."""

    def __init__(self, lab, stage, name, options):
        self.lab, self.stage, self.name, self.options = lab, stage, name, options
        self.method, self.plan = CASES[name]

    def check(self, what, held, detail=""):
        """Notes whether something held."""
        return self.lab.report.check(f"{self.name}: {what}", held, detail)

    def services(self):
        """The echo and DNS by all real servers, iperf3 by one: its control connection and its datagrams go to the same."""
        ports = NAT_PORTS if self.method == "nat" else {port: port for port in NAT_PORTS}

        def service(port, protocol, names):
            return (self.plan.socket(self.plan.vip, port), protocol, self.method,
                    [(self.plan.socket(self.plan.servers[name], ports[port]), 1) for name in names])

        everybody = list(self.plan.servers)
        return [service(ECHO, "udp", everybody), service(DNS, "udp", everybody), service(IPERF, "tcp", ["r2"]), service(IPERF, "udp", ["r2"])]

    def run(self):
        """Sets the real servers up, starts the director, takes every step, and takes it all back."""
        families = {"service": self.plan, "real": self.plan}
        director = self.stage.director
        # What paths carry is to be learnt anew.
        for namespace in [self.stage.client, *(server.namespace for server in self.stage.servers)]:
            namespace.ip(f"-{self.plan.family}", "route", "flush", "cache")
        self.stage.setup_servers(self.method, **families)
        # A fragment without DF that does not fit the tunnel is dropped: the client is to send smaller ones.
        mtu = 1480 if self.name == "4in4" else 1500
        self.stage.client.ip("route", "change", "default", "via", V4.client_gateway, "mtu", mtu)
        director.configure(self.services())
        iperf3 = None
        if self.method != "nat":
            # One that answers from the VIP, which it must have by now.
            (server,) = (server for server in self.stage.servers if server.name == "r2")
            iperf3 = self.lab.start(server.namespace, f"{self.name}-iperf3", "iperf3", "-s", "-B", self.plan.vip, "-p", IPERF)
        try:
            director.start()
            self.steps()
        finally:
            code = director.stop()
            if iperf3:
                iperf3.stop()
            self.stage.setup_servers(self.method, "--undo", **families)
        self.check("millrace ends cleanly when asked", code == 0, f"exit {code}")

    def steps(self):
        """Takes every step."""
        director, client, vip = self.stage.director, self.stage.client, self.plan.vip
        wires = [traffic.Capture(self.lab, self.stage.switch, f"director-{link}", f"{self.name}-{link}", "", octets=0) for link in ("wan", "lan")]
        if self.name == "6in6":
            # The client hears that the path carries 1,460 octets: of one datagram.
            traffic.udp_echo(self.lab, client, vip, ECHO, 3, LARGEST, 3, SMALLEST)
        before = outcomes(director.settled())
        found = traffic.udp_echo(self.lab, client, vip, ECHO, self.options.datagrams, LARGEST, 4, SMALLEST)
        self.check(f"{found['sent']} datagrams of {SMALLEST} to {LARGEST} octets are echoed", found["answered"] == found["sent"] > 0, found)
        after = outcomes(director.settled())
        forwarded = after[FORWARDED[self.method]] - before[FORWARDED[self.method]]
        self.check("they came to the director in fragments", forwarded >= FRAGMENTS * found["sent"], f"{forwarded} packets forwarded")
        self.dns(client, vip)
        self.iperf(client, vip)
        if self.method == "nat":
            self.iperf(client, vip, "-R")
        self.watched(wires)
        stats = director.settled()
        counts = {name: count for name, count in outcomes(stats).items() if count}
        received, waiting = (sum(worker[key] for worker in stats["workers"]) for key in ("received", "waiting"))
        self.check("frames received = sum of outcomes", received == sum(counts.values()) + waiting, f"{received} frames")
        lost = {name: count for name, count in counts.items() if name.startswith(("drop_fragment", "drop_too_big", "drop_no_conn"))}
        self.check("no fragment was dropped", not lost, lost)
        self.lab.report.row("How frames ended", case=self.name, **counts)

    def dns(self, client, vip):
        """DNS answers of 3,000 octets, by UDP."""
        good, said = 0, ""
        for _ in range(9):
            done = client.run("dig", f"@{vip}", "large.millrace.test", "TXT", "+bufsize=4096", "+notcp", "+ignore", "+norecurse", "+tries=1", "+time=3",
                              check=False)
            answered = done.stdout.count("aaaa") and chr(96 + TEXTS) * TEXT in done.stdout and " tc" not in done.stdout
            good += bool(answered) and f"SERVER: {vip}#53" in done.stdout
            said = said if answered else done.stdout[-300:]
        self.check("DNS answers of over 3,000 octets come whole", good == 9, f"{good} of 9 {said}")

    def iperf(self, client, vip, *options):
        """iperf3, 8,000 octets at a time: nothing is lost, at the latest when the machine lets its server run for three seconds."""
        result = {}
        for _ in range(5):
            done = client.run("iperf3", "-c", vip, "-p", IPERF, "-u", "-l", LARGEST, "-b", "5M", "-t", 3, "-J", *options, check=False, timeout=30)
            result = json.loads(done.stdout)
            end = result.get("end", {}).get("sum", {})
            if end.get("lost_packets") == 0:
                break
            time.sleep(0.5)
        self.check(f"iperf3 {' '.join(options)} of {LARGEST} octets loses nothing".replace("  ", " "), end.get("packets", 0) > 150 and end.get("lost_packets") == 0,
                   result.get("error") or f"{end.get('lost_packets')} of {end.get('packets')} lost, {end.get('bits_per_second', 0) / 1e6:.1f} Mb/s")

    def watched(self, wires):
        """Nothing that the director has sent is malformed or has a wrong checksum."""
        bad = [line for wire in wires for line in wire.bad(f"eth.src == {WAN_MAC} || eth.src == {LAN_MAC}")]
        sent = sum(wire.packets(f"ether src {WAN_MAC} or ether src {LAN_MAC}") for wire in wires)
        self.check("tshark finds nothing malformed and no wrong checksum in what the director sent", not bad and sent > 1000,
                   "; ".join(bad[:3]) or f"{sent} packets")
