"""NAT: the destination is rewritten on the way in, the source on the way out, and the sums follow."""

from scapy.layers.inet import IP, TCP, IPOption

from network import CLIENT, FAR_REAL, GATEWAY, LAN, ON_LINK, REAL1, ROUTER, Real, Socket, VIP, VIP_ON_LINK, WAN
from packets import LENGTHS, follower, ones_complement_sum, opener, pattern, payload, payload_for, tcp, transport_checksum, udp
from scenario import both, cases

PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)
SERVER = REAL1.at(8080)

TIMESTAMP = ("Timestamp", (0x11223344, 0x55667788))
SYN_OPTIONS = [("MSS", 1460), ("SAckOK", b""), TIMESTAMP, ("NOP", None), ("WScale", 7)]


def one_server(lab, protocol, server=SERVER, service=SERVICE):
    lab.service(service, protocol, "nat", [Real(server)])


def request(lab, datagram, ttl=64, pad=False, server=SERVER, station=REAL1, client=CLIENT, **leaving):
    """A client's packet, and what the real server must see of it."""
    packet = datagram.between(client, SERVICE, ttl)
    lab.arrives(WAN, GATEWAY, packet, "forwarded_nat_in", pad)
    lab.leaves(LAN, station, datagram.between(client, server, ttl - 1), **leaving)


def reply(lab, datagram, ttl=64, pad=False, server=SERVER, station=REAL1, client=CLIENT, **leaving):
    """A real server's answer, and what the client must see of it."""
    lab.arrives(LAN, station, datagram.between(server, client, ttl), "forwarded_nat_out", pad)
    lab.leaves(WAN, GATEWAY, datagram.between(SERVICE, client, ttl - 1), **leaving)


def opened(lab, protocol):
    """A service with one server, and a client's connection to it."""
    one_server(lab, protocol)
    request(lab, opener(protocol))


@both("nat/{protocol}/lengths", protocol=["tcp", "udp"])
def all_lengths(lab, protocol):
    """A client's packets of every kind of length reach the real server's socket, and its answers leave with the VIP as their source."""
    opened(lab, protocol)
    for octets in LENGTHS:
        request(lab, follower(protocol, payload(protocol, octets)))
        reply(lab, follower(protocol, payload(protocol, octets, salt=3)))


@both("nat/tcp/session")
def whole_session(lab):
    """A whole TCP connection, from SYN to the last ACK, crosses in both directions."""
    one_server(lab, "tcp")
    request(lab, tcp("S", seq=100, options=SYN_OPTIONS))
    reply(lab, tcp("SA", seq=9000, ack=101, options=SYN_OPTIONS))
    request(lab, tcp("A", seq=101, ack=9001, options=[TIMESTAMP]))
    request(lab, tcp("PA", b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", seq=101, ack=9001))
    reply(lab, tcp("PA", pattern(1400), seq=9001, ack=134, window=501))
    request(lab, tcp("A", seq=134, ack=10401))
    reply(lab, tcp("FA", seq=10401, ack=134))
    request(lab, tcp("FA", seq=134, ack=10402))
    reply(lab, tcp("A", seq=10402, ack=135))


@both("nat/tcp/reset-by-{side}", side=["client", "server"])
def reset(lab, side):
    """A reset crosses like any other segment of its connection."""
    opened(lab, "tcp")
    reply(lab, tcp("SA"))
    (request if side == "client" else reply)(lab, tcp("RA"))


@both("nat/{protocol}/same-port", protocol=PROTOCOLS)
def same_port(lab, protocol):
    """A real server that listens on the service's own port: only the address changes."""
    server = REAL1.at(80)
    one_server(lab, protocol, server)
    request(lab, opener(protocol), server=server)
    reply(lab, follower(protocol, b"odd"), server=server)


OPTIONS = {
    "router-alert": IPOption(b"\x94\x04\x00\x00"),
    "nops": IPOption(b"\x01" * 8),
    "unknown-36-octets": IPOption(b"\x5e\x24" + pattern(34)),
    "longest": [IPOption(b"\x01" * 4), IPOption(b"\x5e\x24" + pattern(34))],
}


@cases("nat/{protocol}/ip-options-{kind}", protocol=PROTOCOLS, kind=list(OPTIONS))
def ip_options(lab, protocol, kind):
    """IPv4 options pass unchanged in both directions (RFC 1812 §4.2.2.1), and the ports are found behind them."""
    one_server(lab, protocol)
    request(lab, opener(protocol).with_header(options=OPTIONS[kind]))
    reply(lab, follower(protocol, b"seven!!").with_header(options=OPTIONS[kind]))


@both("nat/tcp/options-{words}-words", words=[1, 3, 10])
def tcp_options(lab, words):
    """TCP options pass unchanged, up to the longest header."""
    opened(lab, "tcp")
    request(lab, tcp("A", pattern(5), options=[("NOP", None)] * (4 * words)))
    reply(lab, tcp("A", pattern(6), options=[("NOP", None)] * (4 * words)))


@both("nat/tcp/every-flag-and-field")
def tcp_fields(lab):
    """Sequence numbers, window, urgent pointer, reserved bits and ECN flags are the ends' own affair."""
    opened(lab, "tcp")
    odd = tcp("PAUEC", pattern(9), seq=0xFFFFFFFE, window=1, urgptr=7, reserved=5)
    request(lab, odd)
    reply(lab, odd)


@both("nat/tcp/opener-{flags}", flags=["SEC", "SP", "SU"])
def unusual_opener(lab, flags):
    """A SYN opens a connection with ECN negotiation (RFC 3168 §6.1.1), PSH or URG set, too."""
    one_server(lab, "tcp")
    request(lab, tcp(flags, ack=0))
    reply(lab, tcp("SAE"))


@both("nat/tcp/fast-open")
def fast_open(lab):
    """A SYN that carries data (RFC 7413) opens a connection and keeps its data."""
    one_server(lab, "tcp")
    request(lab, tcp("S", pattern(333), options=[("MSS", 1460), (34, b"cookie88")]))


@both("nat/udp/no-checksum")
def udp_without_checksum(lab):
    """A UDP datagram sent without a checksum stays without one (RFC 768). Over IPv6 its end is to judge (RFC 6936 §5)."""
    one_server(lab, "udp")
    request(lab, udp(b"question", chksum=0), broken_sum=lab.family == 6)
    reply(lab, udp(b"answers", chksum=0), broken_sum=lab.family == 6)


@both("nat/udp/checksum-becomes-ffff")
def udp_sum_of_zero(lab):
    """A UDP checksum that comes out as 0 is sent as 0xffff (RFC 768), in both directions."""
    one_server(lab, "udp")
    question = payload_for(udp, CLIENT, SERVER, 0xFFFF)
    assert transport_checksum(udp(question).between(CLIENT, SERVER)) == 0xFFFF
    request(lab, udp(question))
    answer = payload_for(udp, SERVICE, CLIENT, 0xFFFF)
    assert transport_checksum(udp(answer).between(SERVICE, CLIENT)) == 0xFFFF
    reply(lab, udp(answer))


@both("nat/udp/checksum-was-ffff")
def udp_sum_was_ffff(lab):
    """A UDP checksum that arrives as 0xffff is an ordinary sum."""
    one_server(lab, "udp")
    question = payload_for(udp, CLIENT, SERVICE, 0xFFFF)
    assert transport_checksum(udp(question).between(CLIENT, SERVICE)) == 0xFFFF
    request(lab, udp(question))
    answer = payload_for(udp, SERVER, CLIENT, 0xFFFF)
    assert transport_checksum(udp(answer).between(SERVER, CLIENT)) == 0xFFFF
    reply(lab, udp(answer))


@both("nat/tcp/checksum-{when}-zero", when=["becomes", "was"])
def tcp_sum_of_zero(lab, when):
    """A TCP checksum of 0 is a sum like any other: it neither becomes 0xffff nor is taken for none (RFC 1624 §3)."""
    opened(lab, "tcp")

    def segment(payload):
        return tcp("A", payload)

    def crafted(before, after):
        source, target = after if when == "becomes" else before
        payload = payload_for(segment, source, target, 0)
        assert transport_checksum(segment(payload).between(source, target)) == 0
        return segment(payload)

    request(lab, crafted((CLIENT, SERVICE), (CLIENT, SERVER)))
    reply(lab, crafted((SERVER, CLIENT), (SERVICE, CLIENT)))


@both("nat/tcp/every-low-checksum")
def tcp_sums_around_zero(lab):
    """Sums next to the ends of one's complement arithmetic: 0, 1, 2, 0xfffd and 0xfffe, before and after."""
    opened(lab, "tcp")
    for checksum in (0, 1, 2, 0xFFFD, 0xFFFE):
        for target in (SERVICE, SERVER):
            payload = payload_for(lambda p: tcp("A", p), CLIENT, target, checksum)
            request(lab, tcp("A", payload))


@cases("nat/ip-checksum-around-zero")
def ip_sums_around_zero(lab):
    """Header sums next to the ends of one's complement arithmetic, before and after the rewrite."""
    opened(lab, "tcp")
    for checksum in (0, 1, 2, 0xFF, 0x100, 0xFFFD, 0xFFFE):
        for target, ttl in ((SERVICE, 64), (SERVER, 63)):
            without_id = bytes(tcp("A").between(CLIENT, target, ttl, id=0, chksum=0))[:20]
            wanted = ~checksum & 0xFFFF
            identification = (wanted - ones_complement_sum(without_id)) % 0xFFFF
            built = IP(bytes(tcp("A").between(CLIENT, target, ttl, id=identification)))
            assert built.chksum == checksum, (built.chksum, checksum)
            request(lab, tcp("A").with_header(id=identification))


@both("nat/tcp/wrong-checksum-stays-wrong")
def wrong_sum(lab):
    """A segment damaged before it came is not made to look whole: the sum is off by as much as it was."""
    opened(lab, "tcp")
    for damage in (1, 0x8000):
        for sender, before, after in (
            ((WAN, GATEWAY), (CLIENT, SERVICE), (CLIENT, SERVER)),
            ((LAN, REAL1), (SERVER, CLIENT), (SERVICE, CLIENT)),
        ):
            hurt, leaving = (damaged(tcp("A", b"data"), ends, damage, ttl) for ends, ttl in ((before, 64), (after, 63)))
            inbound = sender[0] is WAN
            lab.arrives(*sender, hurt, "forwarded_nat_in" if inbound else "forwarded_nat_out")
            lab.leaves(*((LAN, REAL1) if inbound else (WAN, GATEWAY)), leaving, broken_sum=True)


def damaged(datagram, ends, damage, ttl):
    """Returns the packet with its TCP checksum off by `damage`, in one's complement."""
    packet = datagram.between(*ends, ttl=ttl)
    packet[TCP].chksum = (transport_checksum(packet) + damage - 1) % 0xFFFF + 1
    return packet


@both("nat/{protocol}/padded", protocol=PROTOCOLS)
def padded(lab, protocol):
    """Ethernet padding is not part of the packet: what leaves ends where the IP header says."""
    one_server(lab, protocol)
    request(lab, opener(protocol, b"x"), pad=True)
    reply(lab, follower(protocol, b"y"), pad=True)


@both("nat/{protocol}/ttl-{ttl}", protocol=PROTOCOLS, ttl=[2, 255])
def ttl(lab, protocol, ttl):
    """The TTL, or hop limit, is one less on the other side, both ways."""
    one_server(lab, protocol)
    request(lab, opener(protocol), ttl)
    reply(lab, follower(protocol, b"z"), ttl)


@both("nat/{protocol}/tos", protocol=PROTOCOLS)
def type_of_service(lab, protocol):
    """DSCP and ECN pass unchanged."""
    one_server(lab, protocol)
    for tos in (0xB8, 0x01, 0x03, 0xFF):
        request(lab, opener(protocol).with_header(tos=tos))
        reply(lab, follower(protocol, b"q").with_header(tos=tos))


@cases("nat/{protocol}/flags-{flags}-id-{identification}", protocol=PROTOCOLS, flags=["", "DF", "evil"], identification=[0, 65535])
def identification(lab, protocol, flags, identification):
    """Identification, DF and the reserved flag pass unchanged."""
    one_server(lab, protocol)
    header = {"flags": flags or 0, "id": identification}
    request(lab, opener(protocol).with_header(**header))
    reply(lab, follower(protocol, b"q").with_header(**header))


@both("nat/{protocol}/routed-server", protocol=PROTOCOLS)
def routed_server(lab, protocol):
    """A real server behind a router: the frame goes to the router's MAC, the packet to the server."""
    server = Socket(FAR_REAL, 8080)
    one_server(lab, protocol, server)
    request(lab, opener(protocol), server=server, station=ROUTER)
    reply(lab, follower(protocol, b"far"), server=server, station=ROUTER)


@both("nat/{protocol}/on-link-client", protocol=PROTOCOLS)
def on_link_client(lab, protocol):
    """A client in the director's own subnet is answered directly, not through the gateway."""
    service, client = Socket(VIP_ON_LINK, 80), ON_LINK.at(50123)
    one_server(lab, protocol, service=service)
    first, second = opener(protocol), follower(protocol, b"near")
    lab.arrives(WAN, ON_LINK, first.between(client, service), "forwarded_nat_in")
    lab.leaves(LAN, REAL1, first.between(client, SERVER, 63))
    lab.arrives(LAN, REAL1, second.between(SERVER, client), "forwarded_nat_out")
    lab.leaves(WAN, ON_LINK, second.between(service, client, 63))


@both("nat/{protocol}/one-arm", protocol=PROTOCOLS)
def one_arm(lab, protocol):
    """Client and server behind the same port: the packet leaves by the port on which it came."""
    client = Socket("10.9.0.5", 50123)
    one_server(lab, protocol)
    first, second = opener(protocol), follower(protocol, b"arm")
    lab.arrives(LAN, ROUTER, first.between(client, SERVICE), "forwarded_nat_in")
    lab.leaves(LAN, REAL1, first.between(client, SERVER, 63))
    lab.arrives(LAN, REAL1, second.between(SERVER, client), "forwarded_nat_out")
    lab.leaves(LAN, ROUTER, second.between(SERVICE, client, 63))


@both("nat/{protocol}/highest-ports", protocol=PROTOCOLS)
def highest_ports(lab, protocol):
    """Port numbers at both ends of the range."""
    server = REAL1.at(65535)
    service, client = Socket(VIP, 1), Socket("203.0.114.255", 65535)
    one_server(lab, protocol, server, service)
    first, second = opener(protocol), follower(protocol, b"high")
    lab.arrives(WAN, GATEWAY, first.between(client, service), "forwarded_nat_in")
    lab.leaves(LAN, REAL1, first.between(client, server, 63))
    lab.arrives(LAN, REAL1, second.between(server, client), "forwarded_nat_out")
    lab.leaves(WAN, GATEWAY, second.between(service, client, 63))
