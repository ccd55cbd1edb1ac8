"""Tunnel: the client's packet travels untouched, but for its TTL, inside another IPv4 packet (RFC 2003)."""

from scapy.layers.inet import IPOption

from network import CLIENT, FAR_REAL, GATEWAY, LAN, REAL1, ROUTER, Real, Socket, VIP, WAN
from packets import follower, opener, pattern, tunnelled, udp
from scenario import cases

PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)


def one_server(lab, protocol, server=REAL1.address):
    lab.service(SERVICE, protocol, "tunnel", [Real(Socket(server, 80))])


def request(lab, datagram, ttl=64, pad=False, server=REAL1.address, station=REAL1, port=WAN, via=GATEWAY):
    """A client's packet, and the tunnel packet that must carry it."""
    lab.arrives(port, via, datagram.between(CLIENT, SERVICE, ttl), "forwarded_tunnel", pad)
    inner = datagram.between(CLIENT, SERVICE, ttl - 1)
    lab.leaves(LAN, station, tunnelled(LAN.address, server, inner), free_id=True)


@cases("tunnel/{protocol}/request-{octets}-octets", protocol=["tcp", "udp"], octets=[0, 1, 2, 7, 535, 1439, 1440])
def request_of_length(lab, protocol, octets):
    """A client's packet of every kind of length reaches the server whole, behind an outer header of 20 octets."""
    one_server(lab, protocol)
    request(lab, opener(protocol))
    request(lab, follower(protocol, pattern(octets)))


@cases("tunnel/{protocol}/tos-{tos:#04x}", protocol=PROTOCOLS, tos=[0xB8, 0x01, 0x02, 0x03, 0xFF])
def type_of_service(lab, protocol, tos):
    """The outer header carries the inner one's TOS octet, ECN included."""
    one_server(lab, protocol)
    request(lab, opener(protocol).with_header(tos=tos))


@cases("tunnel/{protocol}/df-{flags}", protocol=PROTOCOLS, flags=["clear", "set"])
def dont_fragment(lab, protocol, flags):
    """The outer header's DF is the inner one's."""
    one_server(lab, protocol)
    request(lab, opener(protocol).with_header(flags="DF" if flags == "set" else 0))


@cases("tunnel/{protocol}/ttl-{ttl}", protocol=PROTOCOLS, ttl=[2, 64, 255])
def ttl(lab, protocol, ttl):
    """The inner TTL goes down by one, and the outer header starts with what is left."""
    one_server(lab, protocol)
    request(lab, opener(protocol), ttl)


@cases("tunnel/{protocol}/ip-options", protocol=PROTOCOLS)
def ip_options(lab, protocol):
    """Options stay in the inner header; the outer one has none."""
    one_server(lab, protocol)
    request(lab, opener(protocol).with_header(options=IPOption(b"\x94\x04\x00\x00")))
    request(lab, opener(protocol).with_header(options=IPOption(b"\x5e\x28" + pattern(38))))


@cases("tunnel/{protocol}/padded", protocol=PROTOCOLS)
def padded(lab, protocol):
    """Ethernet padding is not put into the tunnel."""
    one_server(lab, protocol)
    request(lab, opener(protocol, b"x"), pad=True)


@cases("tunnel/udp/no-checksum")
def udp_without_checksum(lab):
    """Nothing behind the inner IPv4 header is touched: no checksum stays none."""
    one_server(lab, "udp")
    request(lab, udp(b"question", chksum=0))


@cases("tunnel/{protocol}/routed-server", protocol=PROTOCOLS)
def routed_server(lab, protocol):
    """A real server behind a router, which tunnelling is for."""
    one_server(lab, protocol, FAR_REAL)
    request(lab, opener(protocol), server=FAR_REAL, station=ROUTER)
    request(lab, follower(protocol, b"far"), server=FAR_REAL, station=ROUTER)


@cases("tunnel/{protocol}/one-arm", protocol=PROTOCOLS)
def one_arm(lab, protocol):
    """Client and server behind the same port."""
    one_server(lab, protocol)
    request(lab, opener(protocol), port=LAN, via=ROUTER)


@cases("tunnel/{protocol}/ids-differ", protocol=PROTOCOLS)
def distinct_identifications(lab, protocol):
    """A hundred tunnel packets to one server have a hundred identifications, with DF clear as well."""
    one_server(lab, protocol)
    for number in range(100):
        request(lab, opener(protocol).with_header(id=7, flags="DF" if number % 2 else 0))
