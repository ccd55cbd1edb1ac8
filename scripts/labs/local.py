"""The host as a real server, with a sorry page on 127.0.0.1 while no other is left; and as a client of its own VIPs.

The network is that of the lab `twin`. On the host, nginx listens on every address, and so does an echo of datagrams; the host's
answers come back by its default route, which leads over the port's twin.
"""

import os

from .kit import traffic
from .kit.director import outcomes
from .kit.network import command
from .kit.servers import RealServer
from .kit.stage import CLIENT, ECHO, HTTP, NAT_PORTS, NEAR, NEAR_VIP, SERVERS, VIP, Stage

OWN, OWN_LAN = "192.0.2.2", "10.0.0.1"
SORRY = NAT_PORTS[HTTP]
LOCAL = 81  # of the VIP: the host is its real server
REQUESTS = 60
MEGABYTES = 8
DATAGRAMS = 300


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--workers", default="0,1", help="the director's workers, as CPU cores (default: 0,1)")


def run(lab, options):
    """Runs the lab."""
    stage = Stage(lab, [int(core) for core in options.workers.split(",")], "adaptive", MEGABYTES, twins=True)
    stage.setup_servers("nat")
    local = Local(lab, stage)
    local.set_up()
    for step in (local.none_left, local.file, local.back, local.real, local.client, local.accounts, local.stopped):
        print(f"\n{step.__doc__.splitlines()[0]}")
        step()


class Local:
    """The director's machine and its services."""

    def __init__(self, lab, stage):
        self.lab = lab
        self.stage = stage
        self.director = stage.director
        self.namespace = stage.director_namespace
        self.check = lab.report.check

    def services(self, weight):
        """Two with a sorry server, by different methods and one persistent; the host as one's real server, by its addresses."""
        reals = {port: [(f"{address}:{port}", weight) for address in SERVERS.values()] for port in (NAT_PORTS[HTTP], HTTP)}
        sorry = f'sorry_server = {{ address = "127.0.0.1:{SORRY}" }}'
        lasting = "persistence = { timeout = 60 }"
        return [
            (f"{VIP}:{HTTP}", "tcp", "nat", reals[NAT_PORTS[HTTP]], sorry),
            (f"{NEAR_VIP}:{HTTP}", "tcp", "direct", reals[HTTP] if weight else [], lasting, sorry),
            (f"{VIP}:{LOCAL}", "tcp", "direct", [(f"{OWN}:{SORRY}", 1), (f"{OWN_LAN}:{SORRY}", 1)]),
            (f"{VIP}:{ECHO}", "udp", "nat", [(f"127.0.0.1:{NAT_PORTS[ECHO]}", 1)]),
        ]

    def set_up(self):
        """Starts what the host serves, and the director without a real server that has a weight."""
        host = RealServer(self.lab, self.namespace, OWN, self.stage.documents)
        host.start_nginx([SORRY])
        self.director.api = ["", "[timeouts]", 'tcp_fin = "2s"']
        self.director.configure(self.services(0))
        self.director.start()
        self.namespace.ip("route", "add", "default", "via", "192.0.2.1", "dev", "wan0")
        host.start_echo([(OWN, NAT_PORTS[ECHO])])

    def counted(self, name):
        """Returns how often an outcome was, so far."""
        return outcomes(self.director.settled())[name]

    def _asked(self, what, servers):
        for namespace, vip in ((self.stage.client, VIP), (self.stage.near, NEAR_VIP)):
            outcome = traffic.requests(namespace, vip, REQUESTS, 10)
            self.check(f"{what}, requests to {vip} are answered by {', '.join(servers)}",
                       outcome.complete() and set(outcome.shares) == set(servers), outcome.summary())

    def none_left(self):
        """No real server is left"""
        capture = traffic.Capture(self.lab, self.stage.near, "eth0", "near", f"tcp and host {NEAR}")
        self._asked("with no real server", ["director"])
        _, seen = capture.addresses()
        self.check("clients see the VIP alone", seen == {NEAR, NEAR_VIP}, ", ".join(sorted(seen)))
        told = {service["address"]: service["sorry_server"] for service in self.director.stats()["services"]}
        for vip in (VIP, NEAR_VIP):
            given = told[f"{vip}:{HTTP}"]["connections"]
            self.check(f"the sorry server of {vip} is counted once for each", given == REQUESTS, given)

    def file(self):
        """What is long, both ways"""
        original = traffic.checksum(self.stage.documents / "large")
        fetched, seconds = traffic.download(self.stage.client, VIP, self.lab.folder / "fetched")
        self.check(f"a download of {MEGABYTES} MB arrives whole", fetched == original, f"{seconds:.1f} s")
        seconds = traffic.upload(self.stage.near, NEAR_VIP, self.lab.folder / "fetched", "sent")
        sent = traffic.checksum(self.stage.documents / "upload" / "sent")
        self.check("and an upload", sent == original, f"{seconds:.1f} s")

    def back(self):
        """Real servers come back"""
        self.director.configure(self.services(1))
        self.stage.setup_servers("nat")
        self.director.reload()
        outcome = traffic.requests(self.stage.client, VIP, REQUESTS, 10)
        self.check("new connections are theirs alone", outcome.complete() and set(outcome.shares) == set(SERVERS), outcome.summary())

    def real(self):
        """The host among the real servers"""
        outcome = traffic.requests(self.stage.client, f"{VIP}:{LOCAL}", REQUESTS, 10)
        self.check("requests to it are answered", outcome.complete() and set(outcome.shares) == {"director"}, outcome.summary())
        echoed = traffic.udp_echo(self.lab, self.stage.client, VIP, ECHO, DATAGRAMS)
        self.check("and datagrams", echoed["answered"] == echoed["sent"] == DATAGRAMS, echoed)
        listed = command(self.director.program, "ipvsadm", "-Ln", env={**os.environ, "MILLRACE_SOCKET": str(self.director.socket)}).stdout
        rows = [line.split()[1:3] for line in listed.splitlines() if " Local " in line]
        wanted = [f"{OWN_LAN}:{SORRY}", f"{OWN}:{SORRY}", f"127.0.0.1:{NAT_PORTS[ECHO]}"]
        self.check("ipvsadm lists it as Local", sorted(rows) == sorted([address, "Local"] for address in wanted), rows)
        known = {(each["client"].rsplit(":", 1)[0], each["real"]) for each in self.director.listed()}
        self.check("its connections are listed", {(CLIENT, address) for address in wanted} <= known, len(known))
        page = self.namespace.run("curl", "-sS", "--max-time", 5, f"http://{CLIENT}:{SORRY}/", check=False)
        self.check("what the host does on its own is its own", page.returncode == 7, page.stderr.strip())

    def client(self):
        """The host as a client"""
        self.stage.setup_servers("direct")
        for vip, how in ((VIP, "its default route, by NAT"), (NEAR_VIP, "the link, by direct routing")):
            outcome = traffic.requests(self.namespace, vip, REQUESTS, 10)
            self.check(f"the host reaches {vip} over {how}", outcome.complete() and set(outcome.shares) <= set(SERVERS), outcome.summary())
            code = self.namespace.run("ping", "-c", 1, "-W", 2, vip, check=False).returncode
            self.check(f"and {vip} answers its ping", code == 0)
        original = traffic.checksum(self.stage.documents / "large")
        fetched, seconds = traffic.download(self.namespace, VIP, self.lab.folder / "own")
        self.check(f"a download of {MEGABYTES} MB arrives whole", fetched == original, f"{seconds:.1f} s")

    def accounts(self):
        """The accounts"""
        stats = self.director.settled()
        reals = [real for service in stats["services"] for real in [*service["reals"], service["sorry_server"]] if real]
        hosts = [real for real in reals if real["forwarding"] == "local"]
        self.check("no connection of the host's is active", not any(real["active"] for real in hosts),
                   [(real["address"], real["active"], real["inactive"]) for real in hosts])
        ended = outcomes(stats)
        for way, packets in (("in", "in_packets"), ("out", "out_packets")):
            counted, sent = sum(real[packets] for real in hosts), ended[f"forwarded_local_{way}"]
            self.check(f"what went {way} is counted once", counted == sent > 0, f"{counted} packets, {sent} frames")
        received = sum(worker["received"] for worker in stats["workers"])
        waiting = sum(worker["waiting"] for worker in stats["workers"])
        self.check("frames received = sum of outcomes", received == sum(ended.values()) + waiting, f"{received} frames")
        self.lab.report.row("How frames ended", **{name: count for name, count in ended.items() if count})

    def stopped(self):
        """Without millrace nothing of this works"""
        self.director.stop()
        for vip in (f"{VIP}:{LOCAL}", VIP):
            code = self.stage.client.run("curl", "-s", "--max-time", 1, f"http://{vip}/", check=False).returncode
            self.check(f"with millrace stopped, a request to {vip} is not answered", code != 0, f"exit {code}")
