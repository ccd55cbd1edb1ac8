"""Direct routing: only the Ethernet addresses and the TTL change."""

from scapy.layers.inet import IPOption

from network import CLIENT, GATEWAY, LAN, REAL1, ROUTER, Real, Socket, VIP, WAN
from packets import LENGTHS, follower, opener, pattern, payload, udp
from scenario import both, cases

PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)


def one_server(lab, protocol):
    lab.service(SERVICE, protocol, "direct", [Real(REAL1.at(80))])


def request(lab, datagram, ttl=64, pad=False, port=WAN, via=GATEWAY, **leaving):
    """A client's packet, and the same packet to the real server's MAC."""
    lab.arrives(port, via, datagram.between(CLIENT, SERVICE, ttl), "forwarded_direct", pad)
    lab.leaves(LAN, REAL1, datagram.between(CLIENT, SERVICE, ttl - 1), **leaving)


@both("direct/{protocol}/lengths", protocol=["tcp", "udp"])
def all_lengths(lab, protocol):
    """A client's packets of every kind of length reach the server with the VIP as their destination."""
    one_server(lab, protocol)
    request(lab, opener(protocol))
    for octets in LENGTHS:
        request(lab, follower(protocol, payload(protocol, octets)))


@cases("direct/{protocol}/header-{name}", protocol=PROTOCOLS, name=["id", "no-df", "options"])
def header_fields(lab, protocol, name):
    """Identification, flags and options pass unchanged."""
    one_server(lab, protocol)
    fields = {"id": {"id": 0xFFFF}, "no-df": {"flags": 0}, "options": {"options": IPOption(b"\x5e\x28" + pattern(38))}}
    request(lab, opener(protocol).with_header(**fields[name]))


@both("direct/{protocol}/tos", protocol=PROTOCOLS)
def type_of_service(lab, protocol):
    """DSCP and ECN pass unchanged."""
    one_server(lab, protocol)
    request(lab, opener(protocol).with_header(tos=0xBB))


@both("direct/{protocol}/ttl-{ttl}", protocol=PROTOCOLS, ttl=[2, 255])
def ttl(lab, protocol, ttl):
    """The TTL goes down by one, and IPv4's header checksum follows."""
    one_server(lab, protocol)
    request(lab, opener(protocol), ttl)


@both("direct/{protocol}/padded", protocol=PROTOCOLS)
def padded(lab, protocol):
    """Ethernet padding is not part of the packet."""
    one_server(lab, protocol)
    request(lab, opener(protocol, b"x"), pad=True)


@both("direct/udp/no-checksum")
def udp_without_checksum(lab):
    """Nothing behind the IP header is touched: no checksum stays none."""
    one_server(lab, "udp")
    request(lab, udp(b"question", chksum=0), broken_sum=lab.family == 6)


@both("direct/{protocol}/one-arm", protocol=PROTOCOLS)
def one_arm(lab, protocol):
    """Router and server on the same segment as the director: the classic set-up with one port."""
    one_server(lab, protocol)
    request(lab, opener(protocol), port=LAN, via=ROUTER)
    request(lab, follower(protocol, b"arm"), port=LAN, via=ROUTER)


@both("{method}/{protocol}/answer-that-crosses", method=["direct", "tunnel"], protocol=PROTOCOLS)
def answer_that_crosses(lab, method, protocol):
    """The server answers the client itself; an answer that is sent to the director all the same goes no further."""
    lab.service(SERVICE, protocol, method, [Real(REAL1.at(80))])
    answer = follower(protocol, b"by mistake").between(SERVICE, CLIENT)
    lab.arrives(LAN, REAL1, answer, "drop_not_for_us")
