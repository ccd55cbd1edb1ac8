"""The host, by a port's twin: what is its own, and what it does as a real server."""

from network import CLIENT, GATEWAY, LAN, REAL1, Real, Socket, VIP, WAN
from packets import follower, frame, opener, pattern, tcp, udp
from scenario import both

PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)
OWN, OWN_LAN = Socket(WAN.address, 8080), Socket(LAN.address, 8080)


def session(lab, twin, server, datagram, answer, ttl=64):
    """A client's packet and the host's answer: neither has passed a router here."""
    lab.arrives(WAN, GATEWAY, datagram.between(CLIENT, SERVICE, ttl), "forwarded_local_in")
    lab.host_gets(twin, GATEWAY, datagram.between(CLIENT, server, ttl))
    lab.host_sends(twin, GATEWAY, answer.between(server, CLIENT, ttl), "forwarded_local_out")
    lab.leaves(WAN, GATEWAY, answer.between(SERVICE, CLIENT, ttl))


@both("host/{protocol}/{address}-{forwarding}", protocol=PROTOCOLS, address=["loopback", "own", "other"],
       forwarding=["nat", "direct"])
def real_server(lab, protocol, address, forwarding):
    """As a real server of a {protocol} service by {forwarding}, the host gets packets to its own address and answers as the VIP."""
    twin = lab.twin(WAN)
    if address == "other":
        lab.twin(LAN)
    named = {"loopback": Socket("127.0.0.1", 8080), "own": OWN, "other": OWN_LAN}[address]
    lab.service(SERVICE, protocol, forwarding, [Real(named)])
    server = OWN_LAN if address == "other" else OWN
    session(lab, twin, server, opener(protocol), follower(protocol, pattern(3)))
    for octets, ttl in ((0, 1), (1, 255), (1400, 64)):
        session(lab, twin, server, follower(protocol, pattern(octets)), follower(protocol, pattern(octets, salt=7)), ttl)


@both("host/sorry-server")
def sorry_server(lab):
    """While no real server has a weight the host answers, and what it has begun it ends."""
    twin = lab.twin(WAN)
    sorry = f'sorry_server = {{ address = "{Socket("127.0.0.1", 8080)}" }}'
    lab.service(SERVICE, "tcp", "nat", [Real(REAL1.at(80), weight=0)], keys=sorry)
    session(lab, twin, OWN, tcp("S", seq=100), tcp("SA", seq=9000, ack=101))
    lab.arrives(WAN, GATEWAY, tcp("A", seq=101, ack=9001).between(CLIENT, SERVICE, 64), "forwarded_local_in")
    lab.host_gets(twin, GATEWAY, tcp("A", seq=101, ack=9001).between(CLIENT, OWN, 64))
    session(lab, twin, OWN, tcp("PA", seq=101, ack=9001, payload=b"GET /"), tcp("FPA", seq=9001, ack=106, payload=b"sorry"))


@both("host/own-affairs")
def own_affairs(lab):
    """What is the host's comes to it as it came, and leaves as it sends it, also while it is a real server."""
    twin = lab.twin(WAN)
    lab.service(SERVICE, "tcp", "nat", [Real(Socket("127.0.0.1", 8080))])
    ssh = Socket(WAN.address, 22)
    for datagram in (tcp("S"), tcp("PA", payload=b"hi"), udp(pattern(9))):
        lab.arrives(WAN, GATEWAY, datagram.between(CLIENT, ssh, 64), "punted")
        lab.host_gets(twin, GATEWAY, datagram.between(CLIENT, ssh, 64))
        for source in (ssh, OWN):
            lab.host_sends(twin, GATEWAY, datagram.between(source, CLIENT, 64), "from_host")
            lab.leaves(WAN, GATEWAY, datagram.between(source, CLIENT, 64))


@both("host/forged-answer")
def forged_answer(lab):
    """What comes from the link in the host's name is no answer of its."""
    twin = lab.twin(WAN)
    lab.service(SERVICE, "tcp", "nat", [Real(Socket("127.0.0.1", 8080))])
    lab.arrives(WAN, GATEWAY, tcp("S").between(CLIENT, SERVICE, 64), "forwarded_local_in")
    lab.host_gets(twin, GATEWAY, tcp("S").between(CLIENT, OWN, 64))
    forged = tcp("SA").between(OWN, CLIENT, 64)
    lab.arrives_frame(WAN, frame(GATEWAY.mac, WAN.mac, forged), "punted")
    lab.leaves_frame(twin, frame(GATEWAY.mac, WAN.mac, forged))
