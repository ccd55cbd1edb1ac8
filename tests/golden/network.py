"""Who is who in the golden tests' small network, and the director's configuration for it.

    clients ─── gateway ───┐                       ┌─── real servers 10.0.0.11, .12, .13
    198.51.100.0/24        ├── wan  director  lan ─┤
    on-link client ────────┘   192.0.2.1  10.0.0.1 └─── router 10.0.0.254 ─── 10.9.0.0/24

Nothing here is read from the director: a test says what the director should do with this network.
"""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface


@dataclass(frozen=True)
class Socket:
    """An address and a TCP, UDP or SCTP port."""

    address: str
    port: int

    def __str__(self):
        return f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Station:
    """Something with an Ethernet address: a host, or a router in front of hosts."""

    address: str
    mac: str

    def at(self, port):
        """Returns this station's socket on `port`."""
        return Socket(self.address, port)


@dataclass(frozen=True)
class Port:
    """One port of the director."""

    name: str
    mac: str
    addresses: tuple = ()
    mtu: int = 1500
    twin: str = ""
    """The host's interface for this port, if it has one."""

    @property
    def address(self):
        """The first IPv4 address, which the port's own ARP and ICMP messages carry."""
        return self.ipv4()[0]

    def ipv4(self):
        """Returns the IPv4 addresses, without their prefix lengths."""
        return [a.split("/")[0] for a in self.addresses if ":" not in a]

    def on_link(self, address):
        """Tells whether `address` lies in one of this port's own prefixes."""
        prefixes = (IPv4Interface(a).network for a in self.addresses if ":" not in a)
        return any(IPv4Address(address) in prefix for prefix in prefixes)


@dataclass(frozen=True)
class Real:
    """A real server of one service."""

    socket: Socket
    weight: int = 1
    forwarding: str = ""


@dataclass(frozen=True)
class Range:
    """Several addresses or ports, as the configuration has them."""

    text: str

    def toml(self, protocol):
        return [f'address = "{self.text}"', f'protocol = "{protocol}"']


@dataclass(frozen=True)
class Match:
    """A description of packets; of their protocol too."""

    text: str

    def toml(self, protocol):
        return [f'match = {self.text[:-1]}, protocol = "{protocol}" }}']


@dataclass(frozen=True)
class Mark:
    """What marked packets bear, of whatever protocol."""

    mark: int

    def toml(self, _):
        return [f"mark = {self.mark}"]


@dataclass
class Service:
    """A virtual service."""

    address: Socket | Range | Match | Mark
    protocol: str
    forwarding: str
    reals: list
    scheduler: str = "rr"
    keys: str = ""
    """More of its table, as it stands in the file."""

    def toml(self):
        single = isinstance(self.address, Socket)
        lines = [
            "[[service]]",
            *(Range(str(self.address)) if single else self.address).toml(self.protocol),
            f'scheduler = "{self.scheduler}"',
            f'forwarding = "{self.forwarding}"',
            self.keys,
        ]
        for real in self.reals:
            lines += ["[[service.real]]", f'address = "{real.socket}"', f"weight = {real.weight}"]
            if real.forwarding:
                lines.append(f'forwarding = "{real.forwarding}"')
        return "\n".join(lines) + "\n"


WAN = Port("wan", "02:00:00:00:00:01", ("192.0.2.1/24",))
LAN = Port("lan", "02:00:00:00:00:02", ("10.0.0.1/24",))

GATEWAY = Station("192.0.2.254", "02:00:00:00:0a:fe")
ON_LINK = Station("192.0.2.77", "02:00:00:00:0a:4d")
REAL1 = Station("10.0.0.11", "02:00:00:00:0b:0b")
REAL2 = Station("10.0.0.12", "02:00:00:00:0b:0c")
REAL3 = Station("10.0.0.13", "02:00:00:00:0b:0d")
ROUTER = Station("10.0.0.254", "02:00:00:00:0b:fe")
STRANGER = Station("192.0.2.99", "02:00:00:00:0a:63")

REALS = (REAL1, REAL2, REAL3)

CLIENT = Socket("198.51.100.7", 40001)
VIP = "203.0.113.10"
VIP2 = "203.0.113.20"
VIP_ON_LINK = "192.0.2.10"
FAR_REAL = "10.9.0.21"

BROADCAST = "ff:ff:ff:ff:ff:ff"


def clients(count, port=40001):
    """Returns `count` client sockets of different addresses."""
    return [Socket(f"198.51.100.{host}", port) for host in range(1, count + 1)]


@dataclass
class Config:
    """The director's configuration: two ports, their neighbours and routes, and a case's services."""

    ports: dict = field(default_factory=lambda: {"wan": WAN, "lan": LAN})
    neighbors: list = field(default_factory=lambda: [GATEWAY, ON_LINK, *REALS, ROUTER])
    routes: list = field(
        default_factory=lambda: [("0.0.0.0/0", GATEWAY.address), ("10.9.0.0/24", ROUTER.address)]
    )
    services: list = field(default_factory=list)
    marks: list = field(default_factory=list)
    transit: str = ""
    """What becomes of packets for others; empty for what the director does unless it is told."""

    def change_port(self, port, **changes):
        """Gives the port of that name other settings, and returns it."""
        self.ports[port.name] = replace(self.ports[port.name], **changes)
        return self.ports[port.name]

    def lanes(self):
        """Returns the names of the ports, and of the host's end of each port that has a twin."""
        return [*self.ports, *(f"{port.name}:twin" for port in self.ports.values() if port.twin)]

    def vips(self):
        """Returns the addresses of services that have one, each once."""
        single = [service.address for service in self.services if isinstance(service.address, Socket)]
        return sorted({address.address for address in single})

    def toml(self):
        """Returns the configuration file's text."""
        parts = ["[director]\nworkers = [0]\nmax_connections = 10000\n"]
        if self.transit:
            parts[0] += f'transit = "{self.transit}"\n'
        for port in self.ports.values():
            addresses = ", ".join(f'"{a}"' for a in port.addresses)
            parts.append(
                f'[[port]]\nname = "{port.name}"\ndevice = "net_null{len(parts)}"\n'
                f'addresses = [{addresses}]\nmac = "{port.mac}"\nmtu = {port.mtu}\n'
                + (f'twin = "{port.twin}"\n' if port.twin else "")
            )
        for to, via in self.routes:
            parts.append(f'[[route]]\nto = "{to}"\nvia = "{via}"\n')
        for station in self.neighbors:
            parts.append(f'[[neighbor]]\naddress = "{station.address}"\nmac = "{station.mac}"\n')
        for mark, match in self.marks:
            parts.append(f"[[mark]]\nmark = {mark}\nmatch = {match}\n")
        return "\n".join(parts + [service.toml() for service in self.services])
