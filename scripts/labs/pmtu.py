"""Paths that carry less than the director's links: clients and real servers find out, and large transfers complete.

    client .10 ── .1 router ── wan ── .2 DIRECTOR .1 ── lan ── .200 narrow ══ 1,280 octets ══ beyond ── .21 far
                        └───────────────── .254 ─────── lan

far is the real server, by tunnel in all four combinations of families, and by NAT. All links but one carry 1,500 octets, and far
says so when a connection opens. What the client sends is too big twice: for the director's own link once the outer header is
on it, which the director says itself; and for the narrow link, where a router tells the *director*, whose address the outer header has, and
the director tells the client (RFC 2003 section 4). What far sends is too big for the narrow link, too; there a router tells the
VIP, and the director passes it on to far. By NAT the first of these is translated, and for the second far is told itself.

An IPv6 host need not send less than 1,280 octets (RFC 8200 section 5), so with IPv6 the narrow link carries 1,400.
"""

from .kit import traffic
from .kit.director import Director, Port, outcomes
from .kit.servers import RealServer, make_documents
from .kit.stage import HTTP, LAN_MAC, NAT_PORTS, V4, V6, WAN_MAC

MEGABYTES = 50
NARROW, NARROW_SIX = 1280, 1400
# By family: of narrow on the lan, both ends of the narrow link, beyond, far, far's network.
PLACES = {4: ("10.0.0.200", "10.8.0.1", "10.8.0.2", "10.9.0.1", "10.9.0.21", "10.9.0.0/24"),
          6: ("fd00::200", "fd00:8::1", "fd00:8::2", "fd00:9::1", "fd00:9::21", "fd00:9::/64")}
MUTE = """table inet mute {
chain out {
type filter hook output priority 0
icmp type destination-unreachable drop
}
}
"""
CASES = (("4in4", "tunnel", V4, V4), ("6in6", "tunnel", V6, V6), ("6in4", "tunnel", V6, V4), ("4in6", "tunnel", V4, V6),
         ("nat", "nat", V4, V4), ("nat6", "nat", V6, V6))


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--cases", default=",".join(name for name, *_ in CASES), help="which of them (default: all)")
    parser.add_argument("--megabytes", type=int, default=MEGABYTES, help=f"size of the download and the upload (default: {MEGABYTES})")


def run(lab, options):
    """Runs the lab."""
    place = Place(lab, options.megabytes)
    for name, method, service, real in CASES:
        if name in options.cases.split(","):
            print(f"\n{name}")
            Case(lab, place, name, method, service, real).run()


class Place:
    """The namespaces and what leads where."""

    def __init__(self, lab, megabytes):
        network = lab.network
        names = ("client", "router", "switch", "director", "narrow", "beyond", "far")
        self.client, self.router, self.switch, self.director_namespace, self.narrow, self.beyond, far = map(network.namespace, names)
        for namespace in (self.client, self.router, self.narrow, self.beyond, far):
            namespace.enable_ipv6()
        for namespace in (self.router, self.narrow, self.beyond):
            namespace.sysctl("net.ipv4.ip_forward", 1)
            namespace.sysctl("net.ipv6.conf.all.forwarding", 1)
        # Each error counts: none may be held back.
        for namespace in (self.narrow, self.beyond):
            namespace.sysctl("net.ipv4.icmp_ratelimit", 0)
            namespace.sysctl("net.ipv6.icmp.ratelimit", 0)
        self._cables(network, far)
        for plan in (V4, V6):
            self._addresses(plan, far)
        self.documents = make_documents(lab.folder, megabytes)
        self.server = RealServer(lab, far, PLACES[4][4], self.documents)
        self.server.start_nginx([HTTP, NAT_PORTS[HTTP]], ipv6=True)
        self.director = Director(lab, self.director_namespace,
                                 [Port("wan", WAN_MAC, *(f"{p.director_wan}/{p.length}" for p in (V4, V6))),
                                  Port("lan", LAN_MAC, *(f"{p.gateway}/{p.length}" for p in (V4, V6)))],
                                 [("0.0.0.0/0", V4.router_wan), ("::/0", V6.router_wan),
                                  *((places[5], places[0]) for places in PLACES.values())], [1], "adaptive")
        self.director.prepare()

    def _cables(self, network, far):
        self.switch.bridge("brwan")
        self.switch.bridge("brlan")
        for namespace, device, bridge in ((self.director_namespace, "wan", "brwan"), (self.director_namespace, "lan", "brlan"),
                                          (self.router, "wan", "brwan"), (self.router, "lan", "brlan"), (self.narrow, "lan", "brlan")):
            network.cable(namespace, device, self.switch, f"{namespace.name}-{device}", master=bridge)
        network.cable(self.client, "eth0", self.router, "client")
        network.cable(self.narrow, "thin", self.beyond, "thin")
        network.cable(self.beyond, "far", far, "eth0")

    def _addresses(self, plan, far):
        on_lan, near_end, far_end, gateway, server, network = PLACES[plan.family]
        for namespace, device, address in ((self.client, "eth0", plan.client), (self.router, "client", plan.client_gateway),
                                           (self.router, "wan", plan.router_wan), (self.router, "lan", plan.router_lan),
                                           (self.narrow, "lan", on_lan), (self.narrow, "thin", near_end), (self.beyond, "thin", far_end),
                                           (self.beyond, "far", gateway), (far, "eth0", server)):
            namespace.add_address(f"{address}/{plan.length}", device)
        for namespace, to, via in ((self.client, "default", plan.client_gateway), (self.router, plan.vip, plan.director_wan),
                                   (self.router, network, on_lan), (self.narrow, network, far_end), (self.beyond, "default", near_end),
                                   (far, "default", gateway)):
            namespace.ip("route", "add", to, "via", via)

    def narrow_to(self, octets):
        """Sets what the narrow link carries, and has everybody forget what they knew."""
        for namespace in (self.narrow, self.beyond):
            namespace.ip("link", "set", "thin", "mtu", octets)
        for namespace in (self.client, self.narrow, self.beyond, self.server.namespace):
            for family in ("-4", "-6"):
                namespace.ip(family, "route", "flush", "cache")

    def lead_out(self, plan, via):
        """Sets where what comes from far goes on the lan."""
        self.narrow.ip("-6" if plan is V6 else "-4", "route", "replace", "default", "via", via)


class Case:
    """One method, and families."""

    def __init__(self, lab, place, name, method, service, real):
        self.lab, self.place, self.name, self.method, self.plan, self.real = lab, place, name, method, service, real
        self.figures = {"case": name}

    def check(self, what, held, detail=""):
        """Notes whether something held."""
        return self.lab.report.check(f"{self.name}: {what}", held, detail)

    def run(self):
        """Sets the real server up, starts the director, and moves files."""
        place, plan, director = self.place, self.plan, self.place.director
        # By NAT answers come back through the director; by tunnel they go to the client by the router.
        for each in (V4, V6):
            place.lead_out(each, each.gateway if self.method == "nat" else each.router_lan)
        setup = [] if self.method == "nat" else ["tunnel", plan.vip, "--director", self.real.gateway]
        if setup:
            place.server.setup(*setup)
        port = NAT_PORTS[HTTP] if self.method == "nat" else HTTP
        director.configure([(plan.socket(plan.vip, HTTP), "tcp", self.method, [(self.real.socket(PLACES[self.real.family][4], port), 1)])])
        try:
            director.start()
            self.transfers(NARROW if (plan, self.real) == (V4, V4) else NARROW_SIX)
            if self.name == "4in4":
                self.silenced()
            self.stopped()
        finally:
            code = director.stop()
            if setup:
                place.server.setup(*setup, "--undo")
        self.check("millrace ends cleanly when asked", code == 0, f"exit {code}")
        self.lab.report.row("Transfers", **self.figures)

    def transfers(self, octets):
        """A large file down and up, whole; and it was the errors that did it."""
        place, plan, megabytes = self.place, self.plan, (self.place.documents / "large").stat().st_size >> 20
        place.narrow_to(octets)
        wires = [traffic.Capture(self.lab, place.switch, f"director-{link}", f"{self.name}-{link}", "icmp or icmp6", octets=0) for link in ("wan", "lan")]
        large = place.documents / "large"
        wanted, copy = traffic.checksum(large), self.lab.folder / "copy"
        before = outcomes(place.director.stats())
        found, seconds = traffic.download(place.client, plan.vip, copy)
        copy.unlink()
        down = outcomes(place.director.settled())
        self.check(f"a {megabytes} MB download through a link of {octets} octets is whole", found == wanted, f"{found[:16]}, {seconds:.1f} s")
        self.figures["down MB/s"] = megabytes / seconds
        place.narrow_to(octets)
        seconds = traffic.upload(place.client, plan.vip, large, self.name)
        sent = place.documents / "upload" / self.name
        found = traffic.checksum(sent)
        sent.unlink()
        up = outcomes(place.director.settled())
        self.check(f"a {megabytes} MB upload is whole", found == wanted, f"{found[:16]}, {seconds:.1f} s")
        self.figures["up MB/s"] = megabytes / seconds
        new = {name: (down[name] - before[name], up[name] - down[name]) for name in up if "error" in name or name == "answered_too_big"}
        said = ", ".join(f"{name} {one} and {two}" for name, (one, two) in new.items() if one or two)
        # By NAT its packets have its own address, and the router tells it without the director.
        if self.method == "tunnel":
            self.check("the real server is told by the director that its packets are too big", new["forwarded_icmp_error"][0] > 0, said)
        from_router = "forwarded_icmp_error" if self.method == "nat" else "forwarded_tunnel_error"
        self.check("and the client is", new[from_router][1] > 0 and (self.method == "nat" or new["answered_too_big"][1] > 0), said)
        bad = [line for wire in wires for line in wire.bad(f"eth.src == {WAN_MAC} || eth.src == {LAN_MAC}")]
        self.check("tshark finds nothing wrong with the errors that the director sent", not bad, "; ".join(bad[:3]))

    def silenced(self):
        """Without the routers' errors nothing large gets through: it is they that the director passes on."""
        place, small = self.place, self.lab.folder / "small"
        with open(place.documents / "large", "rb") as large:
            small.write_bytes(large.read(1 << 20))
        place.narrow_to(NARROW)
        place.narrow.run("nft", "-f", "-", input=MUTE)
        done = place.client.run("curl", "-sS", "--max-time", 4, "-T", small, "-o", "/dev/null", traffic.url(self.plan.vip, "upload/small"), check=False)
        place.narrow.run("nft", "delete", "table", "inet", "mute")
        self.check("an upload stands still while the narrow link's router says nothing", done.returncode == 28, f"curl: exit {done.returncode}")

    def stopped(self):
        """Without millrace nothing is answered."""
        self.place.director.pause()
        outcome = traffic.requests(self.place.client, self.plan.vip, 5, 5, patience=2)
        self.place.director.resume()
        self.check("with millrace stopped nothing is answered", outcome.answered == 0, outcome.summary())
