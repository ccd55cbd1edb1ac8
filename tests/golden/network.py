"""Who is who in the golden tests' small network, and the director's configuration for it.

    clients ─── gateway ───┐                       ┌─── real servers 10.0.0.11, .12, .13
    198.51.100.0/24        ├── wan  director  lan ─┤
    on-link client ────────┘   192.0.2.1  10.0.0.1 └─── router 10.0.0.254 ─── 10.9.0.0/24

Over IPv6 it is the same network. A case names things by their IPv4 addresses, and where it is one of IPv6 each stands for
an address that looks like it ([`six`]): 203.0.113.10 is 2001:db8:203:0:113::10, and 192.0.2.0/24 is 2001:db8:192:0:2::/80.

Nothing here is read from the director: a test says what the director should do with this network.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface

FAMILIES = (4, 6)
FAMILY = ContextVar("family", default=4)


@contextmanager
def speaking(wanted):
    """While this is entered, by this thread, the addresses of cases are of that family."""
    before = FAMILY.set(wanted)
    try:
        yield
    finally:
        FAMILY.reset(before)


def family():
    """Returns the family of the case that is being built or played."""
    return FAMILY.get()


class Four(str):
    """An IPv4 address, with a prefix length or without, that is one in a case of IPv6 too."""


NOBODYS = {"0.0.0.0": "::", "127.0.0.1": "::1"}
LENGTHS = {"0": "0", "32": "128"}
"""Prefix lengths, where an octet is not a group of 16 bits."""


def six(address):
    """Returns the IPv6 address, with a prefix length if it has one, that an IPv4 address stands for."""
    address, slash, length = address.partition("/")
    a, b, c, d = address.split(".")
    text = str(ip_address(NOBODYS.get(address) or f"2001:db8:{a}:{b}:{c}::{d}"))
    if not slash:
        return text
    return f"{text}/{LENGTHS.get(length) or 32 + 2 * int(length)}"


def here(address):
    """Returns an address as it is in the case that is being built."""
    return address if family() == 4 or ":" in address or isinstance(address, Four) else six(address)


def in_family(address, wanted):
    """Returns an address as it is in cases of that family, whichever is being built."""
    return six(address) if wanted == 6 else Four(address)


@dataclass(frozen=True)
class Socket:
    """An address and a TCP, UDP or SCTP port; none for echo."""

    address: str
    port: int | None

    def __str__(self):
        address = here(self.address)
        if self.port is None:
            return address
        return f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"


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
        """The first address, which the port's own ICMP messages, ARP's or neighbour discovery's carry."""
        return self.addresses[0].split("/")[0]

    def own(self, families):
        """Returns the addresses in each of these families, with their prefix lengths."""
        return [in_family(address, each) for address in self.addresses for each in families]

    def on_link(self, address):
        """Tells whether `address` lies in one of this port's own prefixes."""
        return any(ip_address(here(address)) in ip_interface(here(own)).network for own in self.addresses)


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
    families: tuple = field(default_factory=lambda: (family(),))
    """Those that ports, neighbours and routes have addresses of."""
    local_pools: list = field(default_factory=list)
    """Full NAT's source addresses."""
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
            addresses = ", ".join(f'"{a}"' for a in port.own(self.families))
            parts.append(
                f'[[port]]\nname = "{port.name}"\ndevice = "net_null{len(parts)}"\n'
                f'addresses = [{addresses}]\nmac = "{port.mac}"\nmtu = {port.mtu}\n'
                + (f'twin = "{port.twin}"\n' if port.twin else "")
            )
        for each in self.families:
            for to, via in self.routes:
                parts.append(f'[[route]]\nto = "{in_family(to, each)}"\nvia = "{in_family(via, each)}"\n')
            for station in self.neighbors:
                address = in_family(station.address, each)
                parts.append(f'[[neighbor]]\naddress = "{address}"\nmac = "{station.mac}"\n')
        if self.local_pools:
            parts.append(f"[[local_pool]]\naddresses = {[here(address) for address in self.local_pools]}\n")
        for mark, match in self.marks:
            parts.append(f"[[mark]]\nmark = {mark}\nmatch = {match}\n")
        return "\n".join(parts + [service.toml() for service in self.services])
