"""The place: a client, a router, the director with twins on both ports, three real servers, a sorry server, a farm.

All three methods at once, each by a VIP of its own, and the same three real servers behind each: by their default route NAT's answers
go to the director, and by a rule those from the two VIPs that they have themselves go to the router.
"""

import http.client
import json
import os
import signal
import socket
import time
from datetime import datetime

from ..kit.director import Director, Port
from ..kit.servers import make_documents
from .certificates import make_certificates
from .packets import OPENINGS
from .server import Server

CLIENT, GATEWAY, ROUTER_LAN, SORRY, FARM = "198.51.100.10", "10.0.0.1", "10.0.0.254", "10.0.0.98", "10.0.0.99"
WAN_MAC, LAN_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
VIPS = {"nat": "203.0.113.10", "tunnel": "203.0.113.11", "direct": "203.0.113.12"}
SERVERS = {"r1": "10.0.0.11", "r2": "10.0.0.12", "r3": "10.0.0.13"}
HTTP, NAT_HTTP, HTTPS = 80, 8080, 443
FARM_NET = "10.64.0.0/16"  # every address of it is the farm's
FAR_TABLE = 100

INTERVAL, TIMEOUT, FALL, RISE, JITTER = 0.5, 0.3, 3, 2, 5
TIMES = f'interval = "{INTERVAL * 1000:.0f}ms", timeout = "{TIMEOUT * 1000:.0f}ms", fall = {FALL}, rise = {RISE}, jitter = {JITTER}'
CHECK = f'type = "http", path = "/health", host = "lab", status = [200], body = "^well", {TIMES}'


def check_line(check=CHECK, damping="0s"):
    """Returns the line of a service that checks its real servers."""
    return f'check = {{ {check}, damping = "{damping}" }}'


class Place:
    """The namespaces and who is in them."""

    def __init__(self, lab, workers):
        self.lab = lab
        self.network = network = lab.network
        names = ("client", "router", "switch", "director", "sorry", "farm")
        self.client, self.router, self.switch, self.host, self.sorry, self.farm = map(network.namespace, names)
        self.documents = make_documents(lab.folder, 0)
        (self.documents / "long").write_bytes(os.urandom(4 << 20))
        make_certificates(lab.folder)
        self._segments()
        self.servers = {name: self._server(name, address) for name, address in SERVERS.items()}
        self._sorry()
        ports = [Port("wan", WAN_MAC, "192.0.2.2/24", twin="wan0"), Port("lan", LAN_MAC, f"{GATEWAY}/24", twin="lan0")]
        routes = [("0.0.0.0/0", "192.0.2.1"), (FARM_NET, FARM)]
        self.director = Director(lab, self.host, ports, routes, workers, "adaptive")
        self.director.prepare()
        self.capture = None

    def _segments(self):
        network, switch = self.network, self.switch
        switch.bridge("brwan")
        switch.bridge("brlan")
        network.cable(self.host, "wan", switch, "director-wan", master="brwan")
        network.cable(self.host, "lan", switch, "director-lan", master="brlan")
        network.cable(self.router, "wan", switch, "router-wan", "192.0.2.1/24", "brwan")
        network.cable(self.router, "lan", switch, "router-lan", f"{ROUTER_LAN}/24", "brlan")
        network.cable(self.client, "eth0", self.router, "client", f"{CLIENT}/24")
        network.cable(self.sorry, "eth0", switch, "sorry", f"{SORRY}/24", "brlan")
        network.cable(self.farm, "eth0", switch, "farm", f"{FARM}/24", "brlan")
        self.router.ip("addr", "add", "198.51.100.1/24", "dev", "client")
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.client.ip("route", "add", "default", "via", "198.51.100.1")
        for vip in VIPS.values():
            self.router.ip("route", "add", f"{vip}/32", "via", "192.0.2.2")
        self.sorry.ip("route", "add", "default", "via", GATEWAY)
        self.farm.ip("route", "add", "local", FARM_NET, "dev", "lo")

    def _server(self, name, address):
        server = Server(self, name, address)
        namespace = server.namespace
        self.network.cable(namespace, "eth0", self.switch, name, f"{address}/24", "brlan")
        for method, vip in VIPS.items():
            server.setup(method, GATEWAY if method == "nat" else vip)
            if method != "nat":
                namespace.ip("rule", "add", "from", vip, "lookup", FAR_TABLE)
        namespace.ip("route", "add", "10.0.0.0/24", "dev", "eth0", "table", FAR_TABLE)
        namespace.ip("route", "add", "default", "via", ROUTER_LAN, "table", FAR_TABLE)
        server.start()
        return server

    def _sorry(self):
        folder = self.lab.folder / "sorry"
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            "daemon off; user root; worker_processes 1; error_log stderr warn; "
            f"pid {folder}/nginx.pid; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; "
            f"fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n"
            f"server {{ listen {NAT_HTTP}; add_header X-Real-Server sorry always; location / {{ root {self.documents}; }} }} }}\n")
        self.lab.start(self.sorry, "sorry-nginx", "nginx", "-e", "stderr", "-c", folder / "nginx.conf")

    def services(self, *lines, check=None, port=HTTP):
        """Returns the service of each method, with further lines."""
        def service(method, vip):
            theirs = NAT_HTTP + port - HTTP if method == "nat" else port
            reals = [(f"{address}:{theirs}", 1) for address in SERVERS.values()]
            return (f"{vip}:{port}", "tcp", method, reals, check or check_line(), *lines)

        return [service(method, vip) for method, vip in VIPS.items()]

    def run(self, services):
        """Has the director run these services."""
        self.director.configure(services)
        if self.director.process and self.director.process.alive():
            self.tell("POST", "/v1/reload")
        else:
            self.director.start()
            self.host.ip("route", "add", "default", "via", "192.0.2.1", "dev", "wan0")
            self.host.ip("route", "add", FARM_NET, "via", FARM, "dev", "lan0")

    def tell(self, method, path, body=None):
        """Asks the director through its socket, or tells it something; returns the answer."""
        connection = UnixConnection(self.director.socket)
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status}: {text.decode()}")
        return json.loads(text)

    def health(self):
        """Returns what the director knows of its real servers."""
        return self.tell("GET", "/v1/health")

    def of(self, name):
        """Returns what is known of one real server, by method."""
        methods = {f"{vip}:{HTTP}": method for method, vip in VIPS.items()}
        return {methods[each["service"]]: each for each in self.health()["servers"]
                if each["service"] in methods and each["real"].startswith(SERVERS[name] + ":")}

    def states(self, name):
        """Returns the states that a real server has in its services."""
        return {each["state"] for each in self.health()["servers"] if each["real"].startswith(SERVERS[name] + ":")}

    def until(self, what, so, patience=15):
        """Waits until something is so; says whether it came to that."""
        deadline = time.monotonic() + patience
        while not so():
            if time.monotonic() > deadline:
                self.lab.report.check(what, False, f"not within {patience} s")
                return False
            time.sleep(0.02)
        return True

    def all_up(self, patience=20):
        """Waits until every real server is up and was checked."""
        def so():
            servers = self.health()["servers"]
            return servers and all(each["state"] == "up" and each["last"] and not each["against"] for each in servers)

        return self.until("every real server is up", so, patience)

    def start_capture(self):
        """Captures every opening of a connection that the director sends to real servers."""
        file = self.lab.folder / "openings.pcap"
        what = f"ether src {LAN_MAC} and ({OPENINGS})"
        self.capture = self.lab.start(self.switch, "capture", "tcpdump", "-Z", "root", "-i", "director-lan", "-n", "-U", "-s", 96,
                                      "-B", 16384, "--immediate-mode", "-w", file, what)
        deadline = time.monotonic() + 5
        while "listening on" not in self.capture.output() and time.monotonic() < deadline:
            time.sleep(0.02)
        return file

    def mac(self, name):
        """Returns a real server's Ethernet address."""
        return self.servers[name].namespace.run("cat", "/sys/class/net/eth0/address").stdout.strip()


class Load:
    """curl, one request after another to each VIP, whether the others have ended or not; none is tried again."""

    # A port that is used again soon may be busy still.
    first_port = 40000

    def __init__(self, place, rate, vips=None):
        vips = vips or VIPS.values()
        self.process = place.lab.start(place.client, "curls", *place.lab.program("curls.py"), rate, Load.first_port, *vips)
        self.began = len(self.process.output())

    def stop(self):
        """Ends it; returns what came of each request."""
        self.process.handle.send_signal(signal.SIGTERM)
        self.process.handle.wait(30)
        requests = json.loads(self.process.output()[self.began:].splitlines()[-1])
        Load.first_port = max([each["port"] for each in requests], default=Load.first_port)
        return requests


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("millrace", timeout=20)
        self.path = str(path)

    def connect(self):
        """Opens it."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def moment(text):
    """Returns a time of RFC 3339 in seconds since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def turn(server, up, since):
    """Returns when a real server last went up or down after a moment, and why; none if it did not."""
    turns = [each for each in server["history"] if each["up"] == up and moment(each["at"]) >= since - 0.01]
    return (moment(turns[-1]["at"]), turns[-1]["reason"]) if turns else (None, "")
