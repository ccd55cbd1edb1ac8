"""The stage of most labs: clients, a router, a director, three real servers on two segments (drawn in forward.py)."""

from .director import Director, Port
from .servers import RealServer, make_documents

CLIENT = "198.51.100.10"
NEAR = "192.0.2.20"
VIP = "203.0.113.10"  # behind the director, by the router's route
NEAR_VIP = "192.0.2.80"  # on the clients' side segment, found by ARP
GATEWAY = "10.0.0.1"  # the director, for NAT real servers
ROUTER_LAN = "10.0.0.254"
SERVERS = {"r1": "10.0.0.11", "r2": "10.0.0.12", "r3": "10.0.0.13"}

WAN_MAC, LAN_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"

HTTP, IPERF, ECHO = 80, 5201, 7
# NAT can change ports, so there it does.
NAT_PORTS = {HTTP: 8080, IPERF: 5201, ECHO: 7007}


class Stage:
    """The namespaces, their cables, and the programs of the real servers."""

    def __init__(self, lab, workers, poll, large_megabytes, twins=False):
        self.lab = lab
        network = lab.network
        self.client = network.namespace("client")
        self.near = network.namespace("near")
        self.router = network.namespace("router")
        self.switch = network.namespace("switch")
        self.director_namespace = network.namespace("director")
        self._segments(network)
        self._clients(network)
        documents = make_documents(lab.folder, large_megabytes)
        self.servers = [self._server(network, name, address, documents) for name, address in SERVERS.items()]
        self.documents = documents
        self.director = Director(lab, self.director_namespace,
                                 [Port("wan", WAN_MAC, "192.0.2.2/24", twin="wan0" if twins else None),
                                  Port("lan", LAN_MAC, f"{GATEWAY}/24", twin="lan0" if twins else None)],
                                 [("0.0.0.0/0", "192.0.2.1")], workers, poll)
        self.director.prepare()
        self._count()

    def _segments(self, network):
        self.switch.bridge("brwan")
        self.switch.bridge("brlan")
        network.cable(self.director_namespace, "wan", self.switch, "director-wan", master="brwan")
        network.cable(self.director_namespace, "lan", self.switch, "director-lan", master="brlan")
        network.cable(self.router, "wan", self.switch, "router-wan", "192.0.2.1/24", "brwan")
        network.cable(self.router, "lan", self.switch, "router-lan", f"{ROUTER_LAN}/24", "brlan")
        self.router.sysctl("net.ipv4.ip_forward", 1)

    def _clients(self, network):
        network.cable(self.client, "eth0", self.router, "client", f"{CLIENT}/24")
        self.router.ip("addr", "add", "198.51.100.1/24", "dev", "client")
        self.client.ip("route", "add", "default", "via", "198.51.100.1")
        self.router.ip("route", "add", f"{VIP}/32", "via", "192.0.2.2")
        network.cable(self.near, "eth0", self.switch, "near", f"{NEAR}/24", "brwan")

    def _server(self, network, name, address, documents):
        namespace = network.namespace(name)
        network.cable(namespace, "eth0", self.switch, name, f"{address}/24", "brlan")
        namespace.ip("route", "add", "default", "via", ROUTER_LAN)
        # What many distributions set; real-server-setup has to make tunnels work in spite of it.
        namespace.sysctl("net.ipv4.conf.all.rp_filter", 1)
        server = RealServer(self.lab, namespace, address, documents)
        server.start_nginx([HTTP, NAT_PORTS[HTTP]])
        server.start_iperf3(IPERF)
        server.start_echo([(VIP, ECHO), (NEAR_VIP, ECHO), (address, NAT_PORTS[ECHO])])
        return server

    def _count(self):
        # What comes from the director, told by the kernels that receive it.
        for server in self.servers:
            server.namespace.count("eth0", "servers", to_servers=f"ether saddr {LAN_MAC} meta protocol ip")
        self.router.count("wan", "router", to_clients=f"ether saddr {WAN_MAC} meta protocol ip")
        self.near.count("eth0", "near", to_clients=f"ether saddr {WAN_MAC} meta protocol ip")

    def counted(self):
        """Returns what the kernels around the director have received from it, and what they sent to it."""
        heard = self.director_namespace.counted()
        return {
            "to_servers": sum(server.namespace.counted()["to_servers"] for server in self.servers),
            "to_clients": self.router.counted()["to_clients"] + self.near.counted()["to_clients"],
            "heard": heard["wan"] + heard["lan"],
        }

    def services(self, method, weights=None, iperf_on="r2"):
        """Returns the services of a configuration: HTTP and echo on both VIPs, iperf3 on one real server only, since it
        needs both of its connections on the same one."""
        weights = weights or dict.fromkeys(SERVERS, 1)
        ports = NAT_PORTS if method == "nat" else {HTTP: HTTP, IPERF: IPERF, ECHO: ECHO}

        def pool(port):
            return [(f"{SERVERS[name]}:{ports[port]}", weight) for name, weight in weights.items()]

        listed = [(f"{vip}:{port}", protocol, method, pool(port))
                  for vip in (VIP, NEAR_VIP) for port, protocol in ((HTTP, "tcp"), (ECHO, "udp"))]
        return listed + [(f"{VIP}:{IPERF}", "tcp", method, [(f"{SERVERS[iperf_on]}:{ports[IPERF]}", 1)])]

    @staticmethod
    def nat_port(method, port):
        """Returns the real servers' port for a port of the VIP."""
        return NAT_PORTS[port] if method == "nat" else port

    def setup_servers(self, method, *action):
        """Runs scripts/real-server-setup on every real server; returns the completed commands."""
        targets = [GATEWAY] if method == "nat" else [VIP, NEAR_VIP]
        return [server.setup(method, target, *action, check=not action) for server in self.servers for target in targets]
