"""TTL that runs out and packets that are too big: the answers of the director's own (RFC 792, RFC 1191, RFC 1812, RFC 4443)."""

from scapy.layers.inet import IPOption

from network import CLIENT, FAR_REAL, GATEWAY, LAN, REAL1, ROUTER, Real, Socket, VIP, VIP_ON_LINK, WAN
from packets import follower, opener, pattern, payload, tcp, time_exceeded, too_big_message, tunnelled, udp
from scenario import both, cases, six

METHODS = ["nat", "tunnel", "direct"]
PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)
SERVER = REAL1.at(8080)


def one_server(lab, protocol, method):
    server = SERVER if method == "nat" else REAL1.at(80)
    lab.service(SERVICE, protocol, method, [Real(server)])


def room_by(lab, method, mtu):
    """Returns the largest packet that fits a link with that MTU by a forwarding method: a tunnel's header takes its own."""
    return mtu - {4: 20, 6: 40}[lab.family] if method == "tunnel" else mtu


def request(lab, method, datagram, ttl=64):
    """A client's packet, and what leaves for the real server by that method."""
    lab.arrives(WAN, GATEWAY, datagram.between(CLIENT, SERVICE, ttl), f"forwarded_{method}" + "_in" * (method == "nat"))
    onward = datagram.between(CLIENT, SERVER if method == "nat" else SERVICE, ttl - 1)
    if method == "tunnel":
        onward = tunnelled(LAN.address, REAL1.address, onward)
    lab.leaves(LAN, REAL1, onward, free_id=method == "tunnel")


def refused(lab, packet, outcome, answer, port=WAN, station=GATEWAY):
    """A packet that cannot go on, and the ICMP error that its sender must get."""
    lab.arrives(port, station, packet, outcome)
    lab.leaves(port, station, answer, free_id=True)


def expired(lab, packet, **where):
    port = where.get("port", WAN)
    refused(lab, packet, "answered_time_exceeded", time_exceeded(port.address, packet), **where)


def too_big(lab, packet, mtu, **where):
    port = where.get("port", WAN)
    refused(lab, packet, "answered_too_big", too_big_message(port.address, packet, mtu), **where)


@both("ttl/{method}/{protocol}/{ttl}", method=METHODS, protocol=PROTOCOLS, ttl=[0, 1])
def ttl_ran_out(lab, method, protocol, ttl):
    """A client's packet whose TTL ends here is answered with time exceeded from the port it came in by."""
    one_server(lab, protocol, method)
    request(lab, method, opener(protocol))
    expired(lab, follower(protocol, b"late").between(CLIENT, SERVICE, ttl))


@both("ttl/{method}/{protocol}/opener", method=METHODS, protocol=PROTOCOLS)
def opener_ran_out(lab, method, protocol):
    """The first packet of a connection is answered likewise."""
    one_server(lab, protocol, method)
    expired(lab, opener(protocol).between(CLIENT, SERVICE, 1))


@both("ttl/nat/{protocol}/reply", protocol=PROTOCOLS)
def reply_ran_out(lab, protocol):
    """A real server's answer whose TTL ends here: the server is told, from the address it has for its gateway."""
    one_server(lab, protocol, "nat")
    request(lab, "nat", opener(protocol))
    expired(lab, follower(protocol, b"late").between(SERVER, CLIENT, 1), port=LAN, station=REAL1)


@both("ttl/long-quote")
def long_quote(lab):
    """The message quotes as much as fits into 576 octets (RFC 1812 §4.3.2.3), over IPv6 into 1,280 (RFC 4443 §3.3)."""
    one_server(lab, "tcp", "nat")
    request(lab, "nat", tcp("S"))
    for octets in (507, 508, 509, 1460) if lab.family == 4 else (1171, 1172, 1173, 1440):
        expired(lab, tcp("A", pattern(octets)).between(CLIENT, SERVICE, 1))


@both("ttl/quote-without-padding")
def quote_without_padding(lab):
    """Ethernet padding is not quoted."""
    one_server(lab, "udp", "nat")
    packet = udp(b"x").between(CLIENT, SERVICE, 1)
    lab.arrives(WAN, GATEWAY, packet, "answered_time_exceeded", pad=True)
    lab.leaves(WAN, GATEWAY, time_exceeded(WAN.address, packet), free_id=True)


@both("ttl/port-without-address")
def port_without_address(lab):
    """A port that has no address answers with the director's first one, to where the packet came from."""
    one_server(lab, "udp", "nat")
    wan = lab.config.change_port(WAN, addresses=())
    lab.config.routes[0] = ("0.0.0.0/0", ROUTER.address)
    lab.config.neighbors = [REAL1, ROUTER]
    packet = udp(b"late").between(CLIENT, SERVICE, 1)
    lab.arrives(wan, GATEWAY, packet, "answered_time_exceeded")
    lab.leaves(wan, GATEWAY, time_exceeded(LAN.address, packet), free_id=True)


@cases("ttl/quoted-options")
def quoted_options(lab):
    """The quote holds the packet's IPv4 options, too."""
    one_server(lab, "udp", "nat")
    options = IPOption(b"\x5e\x24" + pattern(34))
    expired(lab, udp(b"late").between(CLIENT, SERVICE, 1, options=options))


AT_ONCE = 50
"""ICMP errors that a worker sends at once before its limit of 1,000 a second holds."""


@both("ttl/rate-limit")
def rate_limit(lab):
    """A flood of such packets is answered up to a limit (RFC 1812 §4.3.2.8); the rest is dropped and counted."""
    one_server(lab, "udp", "nat")
    lab.single_worker = "each worker has a limit of its own"
    lab.step = 0
    for number in range(AT_ONCE + 20):
        packet = udp(b"flood").between(CLIENT, SERVICE, 1, id=number)
        if number < AT_ONCE:
            expired(lab, packet)
        else:
            lab.arrives(WAN, GATEWAY, packet, "drop_ttl")
    lab.wait(1)
    expired(lab, udp(b"calm").between(CLIENT, SERVICE, 1))


def packet_of(protocol, octets):
    """Returns a later packet of a connection, of `octets` IP octets in all; by SCTP, of the next multiple of 4."""
    return follower(protocol, payload(protocol, "most", octets))


@both("mtu/{method}/{protocol}/df", method=METHODS, protocol=PROTOCOLS)
def too_big_with_df(lab, method, protocol):
    """One octet too many with DF set, or over IPv6: fragmentation needed, or packet too big, with the MTU that is left for the client's packet."""
    one_server(lab, protocol, method)
    lab.config.change_port(LAN, mtu=1400)
    room = room_by(lab, method, 1400)
    request(lab, method, opener(protocol))
    request(lab, method, packet_of(protocol, room))
    too_big(lab, packet_of(protocol, room + 1).between(CLIENT, SERVICE), room)


@cases("mtu/{method}/{protocol}/no-df", method=METHODS, protocol=PROTOCOLS)
def too_big_without_df(lab, method, protocol):
    """One octet too many without DF: dropped and counted, since this version does not fragment."""
    one_server(lab, protocol, method)
    lab.config.change_port(LAN, mtu=1400)
    room = room_by(lab, method, 1400)
    request(lab, method, opener(protocol))
    request(lab, method, packet_of(protocol, room).with_header(flags=0))
    packet = packet_of(protocol, room + 1).with_header(flags=0).between(CLIENT, SERVICE)
    lab.arrives(WAN, GATEWAY, packet, "drop_too_big")


@both("mtu/tunnel/{protocol}/full-frame", protocol=PROTOCOLS)
def full_frame_into_a_tunnel(lab, protocol):
    """With equal MTUs a full-sized packet does not fit the tunnel: the client learns what does."""
    one_server(lab, protocol, "tunnel")
    request(lab, "tunnel", opener(protocol))
    too_big(lab, packet_of(protocol, 1500).between(CLIENT, SERVICE), room_by(lab, "tunnel", 1500))


@both("mtu/nat/{protocol}/reply", protocol=PROTOCOLS)
def reply_too_big(lab, protocol):
    """A real server's answer that the client's side cannot carry: the server learns the MTU."""
    one_server(lab, protocol, "nat")
    lab.config.change_port(WAN, mtu=1300)
    request(lab, "nat", opener(protocol))
    lab.arrives(LAN, REAL1, packet_of(protocol, 1300).between(SERVER, CLIENT), "forwarded_nat_out")
    lab.leaves(WAN, GATEWAY, packet_of(protocol, 1300).between(SERVICE, CLIENT, 63))
    too_big(lab, packet_of(protocol, 1301).between(SERVER, CLIENT), 1300, port=LAN, station=REAL1)
    if lab.family == 4:
        lab.arrives(LAN, REAL1, packet_of(protocol, 1301).with_header(flags=0).between(SERVER, CLIENT), "drop_too_big")


@both("mtu/ttl-comes-first")
def ttl_before_size(lab):
    """A packet that is too big and whose TTL ends here gets one answer: time exceeded."""
    one_server(lab, "tcp", "nat")
    lab.config.change_port(LAN, mtu=1400)
    request(lab, "nat", tcp("S"))
    expired(lab, packet_of("tcp", 1450).between(CLIENT, SERVICE, 1))


@six("mtu/{method}/no-less-than-1280", method=["nat", "direct"])
def no_less(lab, method):
    """Who sends no more than every IPv6 link takes (RFC 8200 §5) fits every link there may be."""
    one_server(lab, "udp", method)
    lab.config.change_port(LAN, mtu=1280)
    request(lab, method, packet_of("udp", 1280))
    too_big(lab, packet_of("udp", 1281).between(CLIENT, SERVICE), 1280)


@cases("mtu/routed-tunnel-server")
def routed_tunnel_server(lab):
    """The MTU that counts is that of the port towards the real server's router."""
    lab.service(SERVICE, "tcp", "tunnel", [Real(Socket(FAR_REAL, 80))])
    lab.config.change_port(LAN, mtu=1200)
    too_big(lab, tcp("S", pattern(1200)).between(CLIENT, SERVICE), 1180)


@cases("mtu/on-link-vip")
def answered_from_own_address(lab):
    """The error comes from the port's own address, not from the VIP, also where both lie in one prefix."""
    service = Socket(VIP_ON_LINK, 80)
    lab.service(service, "tcp", "nat", [Real(SERVER)])
    lab.config.change_port(LAN, mtu=600)
    too_big(lab, tcp("S", pattern(600)).between(CLIENT, service), 600)
