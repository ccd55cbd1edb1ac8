"""IPv6: HTTP, UDP, ping and traceroute through a director by every method, and tunnels of each family in each.

The network is that of the lab `forward`, each link with an address of either family:

            2001:db8:51::/64                        fd00::/64  lan (bridge)
    client ::10 ─── ::1 router ────────────────────── ::254 ──┬──────┬──────┬──────┐
                         │ ::1                                │      │      │      │
      2001:db8:2::/64 wan (bridge) ─── ::2 DIRECTOR ::1 ──────┘   r1 ::11 r2 ::12 r3 ::13
                         │ ::20
                       near                      VIPs: 2001:db8:113::10, which the router sends to 2001:db8:2::2,
                                                 and 2001:db8:2::80, which is found by neighbour discovery on the wan

    nat, direct   an IPv6 service with IPv6 real servers
    6in6          the same by tunnel
    6in4          an IPv6 service, its tunnels over IPv4: to 10.0.0.11, .12, .13
    4in6          an IPv4 service (203.0.113.10, 192.0.2.80), its tunnels over IPv6

A capture on both of the director's links is given to tshark: nothing that the director sends may be malformed or have a
wrong checksum.
"""

import re
import time

from .forward import Method
from .kit import traffic
from .kit.stage import ECHO, HTTP, LAN_MAC, V4, V6, WAN_MAC, Stage

# By name: the method, the family of the service, that of the real servers.
CASES = {"nat": ("nat", V6, V6), "6in6": ("tunnel", V6, V6), "6in4": ("tunnel", V6, V4), "4in6": ("tunnel", V4, V6), "direct": ("direct", V6, V6)}
DATAGRAMS = 1500  # one more than the sizes there are


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--cases", default=",".join(CASES), help="which of the cases (default: all)")
    parser.add_argument("--workers", default="1", help="the director's workers, as CPU cores (default: 1)")
    parser.add_argument("--poll", default="adaptive", choices=("adaptive", "busy"), help="what an idle worker does")
    parser.add_argument("--requests", type=int, default=1000, help="requests for each case (default: 1000)")
    parser.add_argument("--megabytes", type=int, default=100, help="size of the download and the upload (default: 100)")


def run(lab, options):
    """Runs the lab."""
    cases = options.cases.split(",")
    if unknown := set(cases) - set(CASES):
        raise ValueError(f"unknown case: {', '.join(sorted(unknown))}")
    options.quick = False
    stage = Stage(lab, [int(core) for core in options.workers.split(",")], options.poll, options.megabytes, plans=(V4, V6))
    for name in cases:
        print(f"\n{name}")
        Case(lab, stage, name, options).run()


class Case(Method):
    """All steps through one forwarding method, one family of clients and one of real servers."""

    def __init__(self, lab, stage, name, options):
        method, service, real = CASES[name]
        super().__init__(lab, stage, method, options, name, service, real)

    def run(self):
        """Takes every step, by clients that have not learnt yet what paths carry."""
        for namespace in (self.stage.client, self.stage.near):
            for family in ("-4", "-6"):
                namespace.ip(family, "route", "flush", "cache")
        super().run()

    def steps(self):
        """Returns the steps, in their order."""
        watched = [self.watch, self.requests_captured, self.near_client, self.discovered, self.echo, self.traces, self.sizes,
                   *([self.two_services, self.defended, self.announced] if self.method == "nat" else []), self.watched]
        return [*watched, self.files, self.stopped, self.silent, self.accounts]

    def watch(self):
        """Both of the director's links are captured."""
        self.wires = [traffic.Capture(self.lab, self.stage.switch, f"director-{link}", f"{self.name}-{link}", "", octets=0)
                      for link in ("wan", "lan")]

    def watched(self):
        """Nothing that the director has sent is malformed or has a wrong checksum."""
        bad = [line for wire in self.wires for line in wire.bad(f"eth.src == {WAN_MAC} || eth.src == {LAN_MAC}")]
        sent = sum(wire.packets(f"ether src {WAN_MAC} or ether src {LAN_MAC}") for wire in self.wires)
        self.check("tshark finds nothing malformed and no wrong checksum in what the director sent", not bad and sent > self.count * 8,
                   "; ".join(bad[:3]) or f"{sent} packets")

    def discovered(self):
        """The neighbours know the director by neighbour discovery (by ARP, where clients are of IPv4)."""
        for namespace, device, address in ((self.stage.near, "eth0", self.plan.near_vip), (self.stage.router, "wan", self.plan.near_vip),
                                           (self.stage.router, "wan", self.plan.director_wan)):
            found = namespace.ip("neigh", "show", address, "dev", device).stdout.strip()
            self.check(f"{namespace.name} knows {address} as the director's", WAN_MAC in found, found)

    def defended(self):
        """A station that asks whether a VIP is free is told that it is not, and does not take it (RFC 4862)."""
        near, vip = self.stage.near, self.plan.near_vip
        near.sysctl("net.ipv6.conf.eth0.accept_dad", 1)
        near.ip("addr", "add", f"{vip}/128", "dev", "eth0")
        time.sleep(2)
        found = near.ip("-o", "addr", "show", "dev", "eth0", "to", vip).stdout
        near.ip("addr", "del", f"{vip}/128", "dev", "eth0")
        near.sysctl("net.ipv6.conf.eth0.accept_dad", 0)
        self.check("a station that would take the VIP finds it taken", "dadfailed" in found, found.strip())

    def announced(self):
        """When its link is back, the director tells of its addresses unasked."""
        switch, near = self.stage.switch, self.stage.near
        switch.ip("link", "set", "director-wan", "down")
        time.sleep(1.5)
        for address in (self.plan.near_vip, self.plan.director_wan):
            near.ip("neigh", "replace", address, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "stale")
        heard = traffic.Capture(self.lab, near, "eth0", f"{self.name}-announced", "icmp6 and ip6[40] = 136")
        switch.ip("link", "set", "director-wan", "up")
        time.sleep(2.5)
        told = heard.text()
        for address in (self.plan.near_vip, self.plan.director_wan):
            known = near.ip("neigh", "show", address, "dev", "eth0").stdout.strip()
            self.check(f"{address} is announced when the link is back, and believed",
                       f"IP6 {address} > ff02::1: ICMP6, neighbor advertisement" in told and WAN_MAC in known, known)

    def echo(self):
        """The VIPs answer pings, of each size that a link carries."""
        capture = self.capture(self.stage.client, "ping")
        for namespace, vip in ((self.stage.client, self.plan.vip), (self.stage.near, self.plan.near_vip)):
            for octets in (0, 56, 1400, 1452):
                done = namespace.run("ping", "-n", "-c", 5, "-i", 0.1, "-W", 2, "-s", octets, vip, check=False)
                self.check(f"{vip} answers the pings of {namespace.name}, of {octets} octets", " 0% packet loss" in done.stdout,
                           done.stdout.strip().splitlines()[-1])
        _, addresses = capture.addresses()
        self.check("pings are answered by the VIP", addresses == {self.plan.client, self.plan.vip}, ", ".join(sorted(addresses)))

    def traces(self):
        """traceroute leads to the VIP."""
        for how, *options in (("by ICMP", "-I"), ("by TCP", "-T", "-p", HTTP)):
            done = self.stage.client.run("traceroute", "-n", *options, "-q", 1, "-w", 2, "-m", 6, self.plan.vip, check=False)
            hops = re.findall(r"^ *\d+  (\S+)", done.stdout, re.MULTILINE)
            self.check(f"traceroute {how} leads to the VIP, by the router",
                       hops[:1] == [self.plan.client_gateway] and hops[-1:] == [self.plan.vip]
                       and set(hops[1:-1]) <= {self.plan.director_wan}, ", ".join(hops) or done.stderr.strip())

    def sizes(self):
        """UDP of every size: each comes back as it was sent."""
        found = traffic.udp_echo(self.lab, self.stage.client, self.plan.vip, ECHO, DATAGRAMS)
        self.check(f"{DATAGRAMS} datagrams of 0 to 1,400 octets are echoed", found["answered"] == found["sent"] == DATAGRAMS, found)

    def silent(self):
        """Nor is a ping answered while millrace is stopped, and nobody finds the VIP."""
        director, near, vip = self.stage.director, self.stage.near, self.plan.near_vip
        director.pause()
        near.ip("neigh", "flush", "dev", "eth0")
        codes = [namespace.run("ping", "-c", 1, "-W", 1, to, check=False).returncode
                 for namespace, to in ((self.stage.client, self.plan.vip), (near, vip))]
        found = near.ip("neigh", "show", vip).stdout.strip()
        director.resume()
        self.check("with millrace stopped no VIP is found or answers a ping", 0 not in codes and "lladdr" not in found, found)
        deadline = time.monotonic() + 5
        while near.run("ping", "-c", 1, "-W", 1, vip, check=False).returncode != 0 and time.monotonic() < deadline:
            time.sleep(0.1)
