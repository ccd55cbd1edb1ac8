"""What belongs to a connection, and what happens to packets that belong to none."""

from network import CLIENT, GATEWAY, LAN, REAL1, REAL2, REAL3, REALS, Real, Socket, VIP, VIP2, WAN, clients
from packets import follower, opener, pattern, tcp, udp
from scenario import both

PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)
OTHER = Socket(VIP2, 80)
SERVER = REAL1.at(8080)

CURSORS = "each worker has a cursor of its own"


def inbound(lab, datagram, client, service, station, port=8080):
    lab.arrives(WAN, GATEWAY, datagram.between(client, service), "forwarded_nat_in")
    lab.leaves(LAN, station, datagram.between(client, station.at(port), 63))


def outbound(lab, datagram, client, service, station, port=8080):
    lab.arrives(LAN, station, datagram.between(station.at(port), client), "forwarded_nat_out")
    lab.leaves(WAN, GATEWAY, datagram.between(service, client, 63))


def pool(lab, service, protocol):
    lab.service(service, protocol, "nat", [Real(station.at(8080)) for station in REALS])


def three_servers(lab, service, protocol):
    """A pool whose servers' answers arrive, so that the test must know which server was chosen."""
    pool(lab, service, protocol)
    lab.single_worker = CURSORS


def to_any(lab, datagram, client, service, number):
    """A client's packet to the server of that number, or, with several workers, to any one of the three."""
    lab.arrives(WAN, GATEWAY, datagram.between(client, service), "forwarded_nat_in")
    onward = {n: (station, datagram.between(client, station.at(8080), 63)) for n, station in enumerate(REALS)}
    lab.leaves_to_one_of(LAN, (client, service), onward, number)


@both("connection/{protocol}/sticks", protocol=PROTOCOLS)
def sticks(lab, protocol):
    """Every packet of one five-tuple goes to the server that the first one was given to, a repeated opener included."""
    three_servers(lab, SERVICE, protocol)
    people = clients(3)
    for client, station in zip(people, REALS):
        inbound(lab, opener(protocol), client, SERVICE, station)
    for round_number in range(3):
        for client, station in zip(people, REALS):
            inbound(lab, follower(protocol, pattern(20, round_number)), client, SERVICE, station)
            outbound(lab, follower(protocol, pattern(21, round_number)), client, SERVICE, station)
    for client, station in zip(people, REALS):
        inbound(lab, opener(protocol), client, SERVICE, station)


@both("connection/{protocol}/port-makes-another", protocol=PROTOCOLS)
def client_port(lab, protocol):
    """Another client port, of the same address, is another connection."""
    pool(lab, SERVICE, protocol)
    for datagram in (opener(protocol), follower(protocol, b"again")):
        for port, number in zip((1, 1024, 65535), range(3)):
            to_any(lab, datagram, Socket(CLIENT.address, port), SERVICE, number)


@both("connection/{protocol}/two-services-one-pool", protocol=PROTOCOLS)
def two_services(lab, protocol):
    """Two services over the same servers, one client socket towards both: each answer comes from the right VIP.

    The second connection may not go to the first one's server, where the answers could not be told apart.
    """
    three_servers(lab, SERVICE, protocol)
    three_servers(lab, OTHER, protocol)
    inbound(lab, opener(protocol), CLIENT, SERVICE, REAL1)
    inbound(lab, opener(protocol), CLIENT, OTHER, REAL2)
    for _ in range(2):
        outbound(lab, follower(protocol, b"from the first"), CLIENT, SERVICE, REAL1)
        outbound(lab, follower(protocol, b"from the second"), CLIENT, OTHER, REAL2)
        inbound(lab, follower(protocol, b"to the first"), CLIENT, SERVICE, REAL1)
        inbound(lab, follower(protocol, b"to the second"), CLIENT, OTHER, REAL2)


@both("connection/{protocol}/two-services-any-server", protocol=PROTOCOLS)
def two_services_any_server(lab, protocol):
    """The same with every server answering: whichever two were chosen, each VIP answers once and the third is nobody's."""
    pool(lab, SERVICE, protocol)
    pool(lab, OTHER, protocol)
    turns = [(client, turn % 3, (turn + 1) % 3) for turn, client in enumerate(clients(5))]
    for client, first, second in turns:
        to_any(lab, opener(protocol).with_header(id=1, label=1), client, SERVICE, first)
        to_any(lab, opener(protocol).with_header(id=2, label=2), client, OTHER, second)
    answer = follower(protocol, b"from whom?")
    for client, first, second in turns:
        services = {first: SERVICE, second: OTHER}
        for number, station in enumerate(REALS):
            outcome = "forwarded_nat_out" if number in services else "drop_no_connection_reply"
            lab.arrives(LAN, station, answer.between(station.at(8080), client), outcome)
            if number in services:
                lab.leaves(WAN, GATEWAY, answer.between(services[number], client, 63))


@both("connection/{protocol}/two-services-many-clients", protocol=PROTOCOLS)
def two_services_many_clients(lab, protocol):
    """Clients of their own sockets share the servers of both services, and each answer finds its VIP."""
    lab.service(SERVICE, protocol, "nat", [Real(SERVER)])
    lab.service(OTHER, protocol, "nat", [Real(SERVER)])
    people = clients(8)
    for number, client in enumerate(people):
        inbound(lab, opener(protocol), client, (SERVICE, OTHER)[number % 2], REAL1)
    for number, client in enumerate(people):
        outbound(lab, follower(protocol, pattern(number)), client, (SERVICE, OTHER)[number % 2], REAL1)


@both("connection/{protocol}/ambiguous", protocol=PROTOCOLS)
def ambiguous(lab, protocol):
    """With no server left whose answers could be told apart, the second connection is refused, not mixed up."""
    lab.service(SERVICE, protocol, "nat", [Real(SERVER)])
    lab.service(OTHER, protocol, "nat", [Real(SERVER)])
    inbound(lab, opener(protocol), CLIENT, SERVICE, REAL1)
    lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, OTHER), "drop_ambiguous")
    outbound(lab, follower(protocol, b"still the first"), CLIENT, SERVICE, REAL1)


@both("connection/tcp-and-udp-apart")
def protocols_apart(lab):
    """TCP and UDP services of one address and port are two services, with connections of their own."""
    lab.service(SERVICE, "tcp", "nat", [Real(REAL1.at(8080))])
    lab.service(SERVICE, "udp", "nat", [Real(REAL2.at(8080))])
    inbound(lab, tcp("S"), CLIENT, SERVICE, REAL1)
    inbound(lab, udp(b"hello"), CLIENT, SERVICE, REAL2)
    outbound(lab, tcp("SA"), CLIENT, SERVICE, REAL1)
    outbound(lab, udp(b"answer"), CLIENT, SERVICE, REAL2)
    wrong = udp(b"never asked").between(REAL1.at(8080), CLIENT)
    lab.arrives(LAN, REAL1, wrong, "drop_not_for_us")


@both("connection/ports-of-one-vip")
def ports_of_one_vip(lab):
    """Services on two ports of a VIP do not mix, nor do their servers' ports on one machine."""
    web, mail = SERVICE, Socket(VIP, 25)
    lab.service(web, "tcp", "nat", [Real(REAL1.at(8080))])
    lab.service(mail, "tcp", "nat", [Real(REAL1.at(2525))])
    inbound(lab, tcp("S"), CLIENT, web, REAL1, 8080)
    inbound(lab, tcp("S"), CLIENT, mail, REAL1, 2525)
    outbound(lab, tcp("SA"), CLIENT, web, REAL1, 8080)
    outbound(lab, tcp("SA"), CLIENT, mail, REAL1, 2525)


@both("connection/mid-stream/{flags}", flags=["A", "PA", "FA", "R", "RA", "SA", "none"])
def mid_stream(lab, flags):
    """A TCP packet that does not open a connection and belongs to none is dropped and counted."""
    lab.service(SERVICE, "tcp", "nat", [Real(SERVER)])
    segment = tcp("" if flags == "none" else flags, b"lost")
    lab.arrives(WAN, GATEWAY, segment.between(CLIENT, SERVICE), "drop_no_connection")


@both("connection/no-service/{protocol}", protocol=PROTOCOLS)
def no_service(lab, protocol):
    """A packet to a VIP, or to an own address, on a port without a service is dropped and counted."""
    lab.service(SERVICE, protocol, "nat", [Real(SERVER)])
    for target in (Socket(VIP, 81), Socket(WAN.address, 80), Socket(LAN.address, 80)):
        lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, target), "drop_no_service")
    other = "udp" if protocol == "tcp" else "tcp"
    lab.arrives(WAN, GATEWAY, opener(other).between(CLIENT, SERVICE), "drop_no_service")


@both("connection/reply-of-none/{protocol}", protocol=PROTOCOLS)
def reply_of_none(lab, protocol):
    """A packet from a NAT server's socket that answers nobody is dropped and counted."""
    lab.service(SERVICE, protocol, "nat", [Real(SERVER)])
    inbound(lab, opener(protocol), CLIENT, SERVICE, REAL1)
    for client in (Socket(CLIENT.address, CLIENT.port + 1), Socket("198.51.100.8", CLIENT.port)):
        answer = follower(protocol, b"who?").between(SERVER, client)
        lab.arrives(LAN, REAL1, answer, "drop_no_connection_reply")


@both("connection/reply-of-another-server/{protocol}", protocol=PROTOCOLS)
def reply_of_another(lab, protocol):
    """Only the connection's own server can answer in it."""
    three_servers(lab, SERVICE, protocol)
    inbound(lab, opener(protocol), CLIENT, SERVICE, REAL1)
    for station in (REAL2, REAL3):
        answer = follower(protocol, b"me too").between(station.at(8080), CLIENT)
        lab.arrives(LAN, station, answer, "drop_no_connection_reply")
    outbound(lab, follower(protocol, b"mine"), CLIENT, SERVICE, REAL1)


@both("connection/not-for-us/{protocol}", protocol=PROTOCOLS)
def not_for_us(lab, protocol):
    """Packets to and from other people are no router's work here."""
    lab.service(SERVICE, protocol, "nat", [Real(SERVER)])
    stranger = Socket("203.0.113.99", 80)
    lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, stranger), "drop_not_for_us")
    lab.arrives(WAN, GATEWAY, opener(protocol).between(CLIENT, SERVER), "drop_not_for_us")
    lab.arrives(LAN, REAL1, opener(protocol).between(REAL1.at(22), CLIENT), "drop_not_for_us")


@both("connection/no-route")
def no_route(lab):
    """An answer to a client whom no route leads to is dropped and counted."""
    lab.config.routes.pop(0)
    lab.service(SERVICE, "udp", "nat", [Real(SERVER)])
    inbound(lab, udp(b"hello"), CLIENT, SERVICE, REAL1)
    lab.arrives(LAN, REAL1, udp(b"answer").between(SERVER, CLIENT), "drop_no_route")
