"""The stage of most labs: clients, a router, a director, three real servers on two segments (drawn in forward.py)."""

from dataclasses import dataclass

from .director import Director, Port
from .servers import RealServer, make_documents


@dataclass(frozen=True)
class Plan:
    """Who is who, by one family."""

    family: int
    length: int  # prefix length of each segment
    client: str
    client_gateway: str
    near: str
    router_wan: str
    router_lan: str
    director_wan: str
    gateway: str  # the director, for NAT real servers
    vip: str  # behind the director, by the router's route
    near_vip: str  # on the clients' side segment, found by ARP or neighbour discovery
    servers: dict  # by name
    traffic: str  # what of a capture is not about neighbours, in tcpdump's words

    def socket(self, address, port):
        """Returns an address and a port as they are written together."""
        return f"[{address}]:{port}" if self.family == 6 else f"{address}:{port}"


V4 = Plan(4, 24, "198.51.100.10", "198.51.100.1", "192.0.2.20", "192.0.2.1", "10.0.0.254", "192.0.2.2", "10.0.0.1", "203.0.113.10",
          "192.0.2.80", {"r1": "10.0.0.11", "r2": "10.0.0.12", "r3": "10.0.0.13"}, "ip")
V6 = Plan(6, 64, "2001:db8:51::10", "2001:db8:51::1", "2001:db8:2::20", "2001:db8:2::1", "fd00::254", "2001:db8:2::2", "fd00::1",
          "2001:db8:113::10", "2001:db8:2::80", {"r1": "fd00::11", "r2": "fd00::12", "r3": "fd00::13"},
          "ip6 and not (icmp6 and ip6[40] >= 133 and ip6[40] <= 137) and ip6[6] != 0")

CLIENT, NEAR, VIP, NEAR_VIP, GATEWAY, SERVERS = V4.client, V4.near, V4.vip, V4.near_vip, V4.gateway, V4.servers

WAN_MAC, LAN_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"

HTTP, IPERF, ECHO = 80, 5201, 7
# NAT can change ports, so there it does.
NAT_PORTS = {HTTP: 8080, IPERF: 5201, ECHO: 7007}


class Stage:
    """The namespaces, their cables, and the programs of the real servers."""

    def __init__(self, lab, workers, poll, large_megabytes, twins=False, plans=(V4,)):
        self.lab = lab
        self.plans = plans
        network = lab.network
        self.client = network.namespace("client")
        self.near = network.namespace("near")
        self.router = network.namespace("router")
        self.switch = network.namespace("switch")
        self.director_namespace = network.namespace("director")
        if V6 in plans:
            for namespace in (self.client, self.near, self.router):
                namespace.enable_ipv6()
        self._segments(network)
        self._clients(network)
        documents = make_documents(lab.folder, large_megabytes)
        self.servers = [self._server(network, name, documents) for name in SERVERS]
        self.documents = documents
        self.director = Director(lab, self.director_namespace,
                                 [Port("wan", WAN_MAC, *(f"{p.director_wan}/{p.length}" for p in plans), twin="wan0" if twins else None),
                                  Port("lan", LAN_MAC, *(f"{p.gateway}/{p.length}" for p in plans), twin="lan0" if twins else None)],
                                 [("::/0" if p is V6 else "0.0.0.0/0", p.router_wan) for p in plans], workers, poll)
        self.director.prepare()
        self._count()

    def _segments(self, network):
        self.switch.bridge("brwan")
        self.switch.bridge("brlan")
        network.cable(self.director_namespace, "wan", self.switch, "director-wan", master="brwan")
        network.cable(self.director_namespace, "lan", self.switch, "director-lan", master="brlan")
        network.cable(self.router, "wan", self.switch, "router-wan", master="brwan")
        network.cable(self.router, "lan", self.switch, "router-lan", master="brlan")
        for plan in self.plans:
            self.router.add_address(f"{plan.router_wan}/{plan.length}", "wan")
            self.router.add_address(f"{plan.router_lan}/{plan.length}", "lan")
            self.router.sysctl("net.ipv6.conf.all.forwarding" if plan is V6 else "net.ipv4.ip_forward", 1)

    def _clients(self, network):
        network.cable(self.client, "eth0", self.router, "client")
        network.cable(self.near, "eth0", self.switch, "near", master="brwan")
        for plan in self.plans:
            self.client.add_address(f"{plan.client}/{plan.length}", "eth0")
            self.router.add_address(f"{plan.client_gateway}/{plan.length}", "client")
            self.client.ip("route", "add", "default", "via", plan.client_gateway)
            self.router.ip("route", "add", plan.vip, "via", plan.director_wan)
            self.near.add_address(f"{plan.near}/{plan.length}", "eth0")

    def _server(self, network, name, documents):
        namespace = network.namespace(name)
        if V6 in self.plans:
            namespace.enable_ipv6()
        network.cable(namespace, "eth0", self.switch, name, master="brlan")
        for plan in self.plans:
            namespace.add_address(f"{plan.servers[name]}/{plan.length}", "eth0")
            namespace.ip("route", "add", "default", "via", plan.router_lan)
        # What many distributions set; real-server-setup has to make tunnels work in spite of it.
        namespace.sysctl("net.ipv4.conf.all.rp_filter", 1)
        server = RealServer(self.lab, namespace, SERVERS[name], documents)
        server.start_nginx([HTTP, NAT_PORTS[HTTP]], ipv6=V6 in self.plans)
        server.start_iperf3(IPERF)
        server.start_echo([(address, port) for plan in self.plans for address, port in
                           ((plan.vip, ECHO), (plan.near_vip, ECHO), (plan.servers[name], NAT_PORTS[ECHO]))])
        return server

    def _count(self):
        # What comes from the director, told by the kernels that receive it; not what it says of neighbours.
        neighbours = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
        told = f"ether saddr {LAN_MAC} meta protocol {{ ip, ip6 }}", f"ether saddr {WAN_MAC} meta protocol {{ ip, ip6 }}"
        for server in self.servers:
            server.namespace.count("eth0", "servers", neighbours, to_servers=told[0])
        self.router.count("wan", "router", neighbours, to_clients=told[1])
        self.near.count("eth0", "near", neighbours, to_clients=told[1])

    def counted(self):
        """Returns what the kernels around the director have received from it, and what they sent to it."""
        heard = self.director_namespace.counted()
        return {
            "to_servers": sum(server.namespace.counted()["to_servers"] for server in self.servers),
            "to_clients": self.router.counted()["to_clients"] + self.near.counted()["to_clients"],
            "heard": heard["wan"] + heard["lan"],
        }

    def services(self, method, weights=None, iperf_on="r2", service=V4, real=V4):
        """Returns the services of a configuration: HTTP and echo on both VIPs, iperf3 on one real server only, since it
        needs both of its connections on the same one. A tunnel's real servers may be of another family."""
        weights = weights or dict.fromkeys(SERVERS, 1)
        ports = NAT_PORTS if method in ("nat", "fullnat") else {HTTP: HTTP, IPERF: IPERF, ECHO: ECHO}

        def pool(port):
            return [(real.socket(real.servers[name], ports[port]), weight) for name, weight in weights.items()]

        listed = [(service.socket(vip, port), protocol, method, pool(port))
                  for vip in (service.vip, service.near_vip) for port, protocol in ((HTTP, "tcp"), (ECHO, "udp"))]
        return listed + [(service.socket(service.vip, IPERF), "tcp", method, [(real.socket(real.servers[iperf_on], ports[IPERF]), 1)])]

    @staticmethod
    def nat_port(method, port):
        """Returns the real servers' port for a port of the VIP."""
        return NAT_PORTS[port] if method in ("nat", "fullnat") else port

    def setup_servers(self, method, *action, service=V4, real=V4):
        """Runs scripts/real-server-setup on every real server; returns the completed commands."""
        targets = [real.gateway] if method == "nat" else [service.vip, service.near_vip]
        director = ["--director", real.gateway] if method == "tunnel" else []
        return [server.setup(method, target, *director, *action, check=not action) for server in self.servers for target in targets]
