"""Full NAT: both ends are rewritten, in both directions, and the sums follow; the source is a local address, and a port of its own.

Which port a connection tries first its hash decides, and the tables' secret is fixed in a replay. It is computed here once more
(conn/hash.rs, conn/key.rs, conn/wide.rs, conn/local.rs).
"""

from ipaddress import ip_address

from network import CLIENT, FAMILY, GATEWAY, LAN, REAL1, REAL2, Real, Socket, VIP, WAN, here
from packets import LENGTHS, follower, opener, payload, tcp, udp
from scenario import both, cases

PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)
SERVER = REAL1.at(8080)
LOCAL = "10.0.0.200"
FIRST_PORT = 1024
PORTS = 65536 - FIRST_PORT

WORD = 2**64 - 1


def mixed(word, n):
    word = (word + 0x9E3779B97F4A7C15 * n) & WORD
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB & WORD
    return word ^ word >> 31


SECRET = [mixed(1, 1), mixed(2, 2) | 1, mixed(3, 3), mixed(4, 4) | 1]
"""As of a replay, whose numbers are 1 to 4."""


def folded(one, other):
    product = one * other
    return (product & WORD) ^ product >> 64


def hashed(words):
    s0, s1, s2, s3 = SECRET
    known = folded(words[0] ^ s0, s1)
    for word in words[1:]:
        known = folded(known ^ word, s1)
    return folded(known ^ s2, s3)


def key(client, endpoint):
    """The words by which a connection to a service of one address and port is found."""
    address = int(ip_address(here(client.address)))
    tail = client.port << 16 | endpoint
    return [address << 32 | tail] if FAMILY.get() == 4 else [1 << 56 | tail, address >> 64, address & WORD]


def local(client=CLIENT, tries=0, endpoint=1):
    """The local socket that a connection gets, of one local address, if those that it tried before are taken."""
    value = hashed(key(client, endpoint))
    start, step = ((value * factor & WORD) >> 32 for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F))
    start, step = start * PORTS >> 32, step * PORTS >> 32 | 1
    return Socket(LOCAL, FIRST_PORT + (start + tries * step) % PORTS)


def one_server(lab, protocol, server=SERVER, reals=()):
    lab.config.local_pools = [LOCAL]
    lab.service(SERVICE, protocol, "fullnat", list(reals) or [Real(server)])


def request(lab, datagram, ttl=64, server=SERVER, station=REAL1, client=CLIENT, source=None):
    """A client's packet, and what the real server must see of it."""
    lab.arrives(WAN, GATEWAY, datagram.between(client, SERVICE, ttl), "forwarded_fullnat_in")
    lab.leaves(LAN, station, datagram.between(source or local(client), server, ttl - 1))


def reply(lab, datagram, ttl=64, server=SERVER, station=REAL1, client=CLIENT, source=None):
    """A real server's answer, and what the client must see of it."""
    lab.arrives(LAN, station, datagram.between(server, source or local(client), ttl), "forwarded_fullnat_out")
    lab.leaves(WAN, GATEWAY, datagram.between(SERVICE, client, ttl - 1))


@both("fullnat/{protocol}/lengths", protocol=["tcp", "udp"])
def lengths(lab, protocol):
    """Packets of every kind of length cross in both directions, both ends of them rewritten."""
    one_server(lab, protocol)
    request(lab, opener(protocol))
    for octets in LENGTHS:
        request(lab, follower(protocol, payload(protocol, octets)))
        reply(lab, follower(protocol, payload(protocol, octets, salt=3)))


@both("fullnat/{protocol}/ttl-{ttl}", protocol=PROTOCOLS, ttl=[2, 255])
def ttl(lab, protocol, ttl):
    """The TTL is one less on the other side, though both ends are rewritten."""
    one_server(lab, protocol)
    request(lab, opener(protocol), ttl)
    reply(lab, follower(protocol, b"odd"), ttl)


@both("fullnat/{protocol}/two-clients", protocol=PROTOCOLS)
def two_clients(lab, protocol):
    """Two clients have a port each, and each its own answers; on the service's own port too."""
    server = REAL1.at(80)
    one_server(lab, protocol, server)
    clients = [CLIENT, Socket(CLIENT.address, CLIENT.port + 1)]
    for client in clients:
        request(lab, opener(protocol), server=server, client=client)
    for client in clients:
        reply(lab, follower(protocol, b"yours"), server=server, client=client)


@both("fullnat/tcp/session")
def session(lab):
    """A whole TCP connection, from SYN to the last ACK, crosses in both directions."""
    one_server(lab, "tcp")
    request(lab, tcp("S", seq=100))
    reply(lab, tcp("SA", seq=9000, ack=101))
    request(lab, tcp("A", seq=101, ack=9001))
    request(lab, tcp("PA", b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", seq=101, ack=9001))
    reply(lab, tcp("PA", b"HTTP/1.1 204 No Content\r\n\r\n", seq=9001, ack=134, window=501))
    reply(lab, tcp("FA", seq=9028, ack=134))
    request(lab, tcp("FA", seq=134, ack=9029))
    reply(lab, tcp("A", seq=9029, ack=135))


@cases("fullnat/udp/no-checksum")
def udp_without_checksum(lab):
    """A UDP datagram sent without a checksum stays without one (RFC 768)."""
    one_server(lab, "udp")
    request(lab, udp(b"question", chksum=0))
    reply(lab, udp(b"answers", chksum=0))


@both("fullnat/{protocol}/nobody-elses", protocol=PROTOCOLS)
def nobody_elses(lab, protocol):
    """What comes from another socket, or to another local port, answers nothing."""
    one_server(lab, protocol)
    request(lab, opener(protocol))
    other = Socket(LOCAL, local().port ^ 1)
    lab.arrives(LAN, REAL1, follower(protocol).between(SERVER, other), "drop_no_connection_reply")
    lab.arrives(LAN, REAL1, follower(protocol).between(REAL1.at(8081), local()), "drop_no_service")
    lab.arrives(LAN, REAL2, follower(protocol).between(REAL2.at(8080), local()), "drop_no_service")
    reply(lab, follower(protocol, b"its own"))
