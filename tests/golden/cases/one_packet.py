"""One-packet scheduling: each datagram for itself. And what never opens a connection."""

from network import CLIENT, GATEWAY, LAN, REALS, Real, Socket, VIP, WAN
from packets import opener, tunnelled, udp
from scenario import both

METHODS = ["nat", "tunnel", "direct"]
SERVICE = Socket(VIP, 53)


def onward(method, datagram, station):
    """Returns the client's datagram as that station must get it."""
    packet = datagram.between(CLIENT, station.at(5353) if method == "nat" else SERVICE, 63)
    return tunnelled(LAN.address, station.address, packet) if method == "tunnel" else packet


@both("ops/{method}", method=METHODS)
def one_packet(lab, method):
    """A client's datagrams, all from one port, go to the servers in turn; an answer by NAT has the VIP as its source."""
    reals = [Real(station.at(5353 if method == "nat" else 53)) for station in REALS]
    lab.service(SERVICE, "udp", method, reals, keys="ops = true")
    for number in range(7):
        datagram = udp(b"question %d" % number)
        lab.arrives(WAN, GATEWAY, datagram.between(CLIENT, SERVICE), f"forwarded_{method}" + "_in" * (method == "nat"))
        packets = {n: (station, onward(method, datagram, station)) for n, station in enumerate(REALS)}
        lab.leaves_to_one_of(LAN, number, packets, number % 3, free_id=method == "tunnel")
        if method == "nat":
            answer = udp(b"answer %d" % number)
            station = REALS[number % 3]
            lab.arrives(LAN, station, answer.between(station.at(5353), CLIENT), "forwarded_nat_out")
            lab.leaves(WAN, GATEWAY, answer.between(SERVICE, CLIENT, 63))


@both("ops/answers-of-nobody")
def not_its_port(lab):
    """What a NAT real server sends from another port answers nothing; by another protocol neither."""
    station = REALS[0]
    lab.service(SERVICE, "udp", "nat", [Real(station.at(5353))], keys="ops = true")
    lab.arrives(LAN, station, udp(b"answer").between(station.at(5354), CLIENT), "drop_not_for_us")
    lab.arrives(LAN, station, opener("tcp").between(station.at(5353), CLIENT), "drop_not_for_us")


@both("port-20/{method}/{protocol}", method=METHODS, protocol=["tcp", "udp", "sctp"])
def ftp_data(lab, method, protocol):
    """A packet from port 20 opens no connection: it could be active FTP's data only, which belongs to one."""
    service, station = Socket(VIP, 80), REALS[0]
    lab.service(service, protocol, method, [Real(station.at(80))])
    lab.arrives(WAN, GATEWAY, opener(protocol).between(Socket(CLIENT.address, 20), service), "drop_no_connection")
    lab.arrives(WAN, GATEWAY, opener(protocol).between(Socket(CLIENT.address, 21), service),
                f"forwarded_{method}" + "_in" * (method == "nat"))  # fmt: skip
    packet = opener(protocol).between(Socket(CLIENT.address, 21), station.at(80) if method == "nat" else service, 63)
    if method == "tunnel":
        packet = tunnelled(LAN.address, station.address, packet)
    lab.leaves(LAN, station, packet, free_id=method == "tunnel")
