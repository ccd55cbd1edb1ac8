"""What a client is answered whose service has no real server that takes new connections."""

from scapy.layers.inet import ICMP, TCP
from scapy.layers.inet6 import ICMPv6DestUnreach

from network import CLIENT, GATEWAY, REAL1, Real, Socket, VIP, WAN
from packets import error, ip_header, opener, pattern, tcp
from scenario import both

SERVICE = Socket(VIP, 80)
PROTOCOLS = ["tcp", "udp", "sctp"]


def nobody(lab, protocol, answer):
    """A service whose only real server has weight 0."""
    lab.service(SERVICE, protocol, "nat", [Real(REAL1.at(8080), weight=0)], keys="" if answer == "default" else f'no_server = "{answer}"')


@both("no-server/{protocol}/{answer}", protocol=PROTOCOLS, answer=["default", "unreachable", "reset"])
def unreachable(lab, protocol, answer):
    """ICMP port unreachable, unless TCP's clients are to get a reset."""
    if (protocol, answer) == ("tcp", "reset"):
        return reset(lab)
    nobody(lab, protocol, answer)
    opened = opener(protocol).between(CLIENT, SERVICE)
    lab.arrives(WAN, GATEWAY, opened, "answered_unreachable")
    lab.leaves(WAN, GATEWAY, error(WAN.address, opened, ICMP(type=3, code=3), ICMPv6DestUnreach(code=4)), free_id=True)


def reset(lab):
    """A reset that acknowledges the SYN and what came with it."""
    nobody(lab, "tcp", "reset")
    for early in (b"", pattern(9)):
        lab.arrives(WAN, GATEWAY, tcp("S", early).between(CLIENT, SERVICE), "answered_reset")
        acknowledged = 0x01020304 + 1 + len(early)
        told = TCP(sport=SERVICE.port, dport=CLIENT.port, flags="RA", seq=0, ack=acknowledged, window=0)
        fields = {"flags": "DF", "id": 0}
        lab.leaves(WAN, GATEWAY, ip_header(VIP, CLIENT.address, **fields) / told, free_id=True)


@both("no-server/{protocol}/drop", protocol=PROTOCOLS)
def dropped(lab, protocol):
    """Nothing, where that is wanted."""
    nobody(lab, protocol, "drop")
    lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, SERVICE), "drop_no_real_server")
