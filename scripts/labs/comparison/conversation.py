"""A client's conversation with a service: what comes, by which port, when. And how conversations of every kind are drawn.

Each has a client of its own, by whose address all that comes of it is known again. The kinds are in mixture.py.
"""

import random
import struct
from dataclasses import dataclass, field

from .crafted import NUMBERS, framed, ip, sctp, tcp, udp
from .frames import GATEWAY, LAN, REAL1, VIP, WAN, Socket, in_family

FAMILIES = (4, 6)
PROTOCOLS = ("tcp", "udp", "sctp")
METHODS = ("nat", "direct", "tunnel", "tunnel-other")
"""Forwarding methods; by the last one the tunnel is of the other family."""
MTU = {"wan": 1300, "lan": 1400}
"""The largest packets that leave by the director's ports."""

ROUTER_IN = "10.0.0.254"
"""A router between the director and the real servers."""

SYN, ACK, PSH, FIN, RST = 0x02, 0x10, 0x08, 0x01, 0x04


def client_address(number, family):
    """Returns the address of the conversation of that number."""
    if family == 6:
        return f"2001:db8:c::{number + 1:x}"
    return f"198.18.{number // 250}.{number % 250 + 1}"


@dataclass
class Conversation:
    """What one client, and whoever answers it, send."""

    number: int
    group: int
    """Those of one group come at the same time, group after group, so that none waits for longer than an SCTP INIT is remembered."""
    family: int
    method: str
    protocol: str
    kind: str
    frames: list = field(default_factory=list)
    """Of each the phase, the port and the octets. Phases: openers, the real servers' answers, what the client sends then, what comes
    from the real server's side then."""

    @property
    def client(self):
        """The client's socket."""
        return Socket(client_address(self.number, self.family), 20_000 + self.number % 40_000)

    @property
    def martian_port(self):
        """The source port of what comes from an address that is not the client's."""
        return 62_000 + self.number % 3_000

    @property
    def vip(self):
        """The VIP's address."""
        return in_family(VIP, self.family)

    @property
    def service(self):
        """The virtual service that it is about."""
        return Socket(self.vip, service_port(self.method, self.protocol))

    @property
    def server(self):
        """The real server's socket as the real server's own side has it."""
        return Socket(in_family(REAL1.address, self.family), server_port(self.method, self.protocol))

    def __str__(self):
        return f"IPv{self.family} {self.protocol} by {self.method}: {self.kind}"

    def comes(self, phase, packet, port="wan", **link):
        """A packet comes by a port, in the frame that `link` may say more about."""
        station, own = (GATEWAY, WAN) if port == "wan" else (REAL1, LAN)
        stations = {"source_mac": station.mac, "target_mac": own.mac, **link}
        self.frames.append((phase, port, framed(packet=packet, **stations)))

    def ask(self, body, **header):
        """Returns the client's packet to the service with this transport packet."""
        return ip(self.client.address, self.service.address, NUMBERS[self.protocol], body, **header)

    def answer(self, body, **header):
        """Returns the real server's packet to the client with this transport packet."""
        return ip(self.server.address, self.client.address, NUMBERS[self.protocol], body, **header)

    def opener(self, payload=b"hello"):
        """Returns what opens a connection."""
        ends = (self.client, self.service)
        return {"tcp": lambda: tcp(*ends), "udp": lambda: udp(*ends, payload), "sctp": lambda: sctp(*ends)}[self.protocol]()

    def more(self, payload=b"", ends=None, **fields):
        """Returns a later transport packet between two sockets, the client's and the service's unless it is said."""
        source, target = ends or (self.client, self.service)
        if self.protocol == "tcp":
            return tcp(source, target, **{"flags": ACK | PSH * bool(payload), "ack": 0x0A0B0C0D, **fields}, payload=payload)
        if self.protocol == "udp":
            return udp(source, target, payload, **fields)
        return sctp(source, target, 0, struct.pack("!IHHI", 77, 1, 0, 0) + (payload or b"x"), **fields)

    def back(self, payload=b"", **fields):
        """Returns the same from the real server."""
        return self.more(payload, (self.server, self.client), **fields)

    def opens(self):
        """The client opens its connection, and by NAT the real server answers."""
        self.comes(0, self.ask(self.opener()))
        if self.method == "nat":
            ends = (self.server, self.client)
            first = {
                "tcp": lambda: tcp(*ends, SYN | ACK, ack=0x01020305),
                "udp": lambda: udp(*ends, b"answer"),
                "sctp": lambda: sctp(*ends, 2, bytes(16)),
            }
            self.comes(1, self.answer(first[self.protocol]()), "lan")
        return self


def service_port(method, protocol):
    """Returns a service's port."""
    return 1_000 + 10 * METHODS.index(method) + PROTOCOLS.index(protocol)


def server_port(method, protocol):
    """Returns its real server's: NAT translates it, but of half the protocols."""
    return service_port(method, protocol) + 10_000 * (method == "nat")


KINDS = []


def kind(name, times=1, families=FAMILIES, protocols=PROTOCOLS, methods=METHODS):
    """Registers a function that makes a conversation of this kind, or several by what it yields, for each combination."""

    def register(make):
        KINDS.append((name, make, times, families, protocols, methods))
        return make

    return register


def draw(seed):
    """Returns all conversations; the same seed gives the same ones."""
    chance = random.Random(seed)
    conversations = []
    for group, (name, make, times, families, protocols, methods) in enumerate(KINDS):
        for family in families:
            for method in methods:
                for protocol in protocols:
                    for turn in range(times):
                        one = Conversation(len(conversations), group, family, method, protocol, name)
                        make(one, chance, turn)
                        conversations.append(one)
    return conversations
