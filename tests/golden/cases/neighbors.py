"""ARP and neighbour discovery: announcing, answering, learning, asking, and packets that wait for an answer (RFC 826, RFC 5227, RFC 4861)."""

from network import BROADCAST, CLIENT, GATEWAY, LAN, ON_LINK, REAL1, Real, Socket, STRANGER, VIP, VIP_ON_LINK, WAN, here
from packets import announcement, arp_reply, arp_request, host_is_at, is_at, pattern, udp, who_has
from scenario import both, cases

SERVICE = Socket(VIP, 80)
SERVER = REAL1.at(8080)
OLD_MAC = "02:00:00:00:0b:99"

QUEUE = 64
"""Frames that may wait for one next hop, per worker."""
QUEUES = "each worker has wait queues of its own"


def services(lab, protocol="udp"):
    """A service outside every prefix and one in the WAN's, over one real server."""
    lab.service(SERVICE, protocol, "nat", [Real(SERVER)])
    lab.service(Socket(VIP_ON_LINK, 80), protocol, "nat", [Real(REAL1.at(8081))])


def unknown_server(lab):
    """The same, and the real server's MAC must be asked for."""
    services(lab)
    lab.config.neighbors.remove(REAL1)


def asks(lab, port=LAN, target=REAL1.address):
    """The port must ask for that address."""
    lab.leaves_frame(port, who_has(port.mac, port.address, target))


def request_frame(lab, number, outcome, delivered=False):
    """A client's datagram; with `delivered`, it goes on at once."""
    lab.arrives(WAN, GATEWAY, datagram(number).between(CLIENT, SERVICE), outcome)
    if delivered:
        delivery(lab, number)


def delivery(lab, number):
    lab.leaves(LAN, REAL1, datagram(number).between(CLIENT, SERVER, 63))


def datagram(number):
    return udp(pattern(10 + number, number))


def outcome(lab, what):
    """Returns the counter's name, ARP's or neighbour discovery's."""
    before, _, after = what.partition("-")
    return f"{before}_{'arp' if lab.family == 4 else 'nd'}" + f"_{after}" * bool(after)


def known_by_asking(lab, station, mac=None):
    """The station asks for the LAN port's address, and is answered."""
    mac = mac or station.mac
    lab.arrives_frame(LAN, who_has(mac, station.address, LAN.address), outcome(lab, "answered"))
    lab.leaves_frame(LAN, is_at(LAN.mac, LAN.address, mac, station.address))


def told(lab, station=REAL1):
    """The station answers what the LAN port has asked."""
    lab.arrives_frame(LAN, host_is_at(station.mac, station.address, LAN.mac, LAN.address), outcome(lab, "learned"))


@both("neighbors/answers/{target}-on-{side}", target=["own", "vip", "vip-on-link", "own-of-another-port"], side=["wan", "lan"])
def answers(lab, target, side):
    """Requests for any of the director's addresses, on any port, are answered with that port's MAC."""
    services(lab)
    port, station, other = (WAN, ON_LINK, LAN) if side == "wan" else (LAN, REAL1, WAN)
    targets = {"own": port.address, "vip": VIP, "vip-on-link": VIP_ON_LINK, "own-of-another-port": other.address}
    address = targets[target]
    lab.arrives_frame(port, who_has(station.mac, station.address, address), outcome(lab, "answered"))
    lab.leaves_frame(port, is_at(port.mac, address, station.mac, station.address))


@cases("neighbors/arp/{kind}", kind=["unicast", "padded", "probe", "target-mac-set"])
def answers_kinds(lab, kind):
    """Unicast requests, padded ones, probes without a sender address and requests with a guess are answered alike."""
    services(lab)
    sender = "0.0.0.0" if kind == "probe" else ON_LINK.address
    question = arp_request(
        ON_LINK.mac,
        sender,
        VIP_ON_LINK,
        target_mac=BROADCAST if kind == "target-mac-set" else "00:00:00:00:00:00",
        ether_target=WAN.mac if kind == "unicast" else BROADCAST,
    )
    lab.arrives_frame(WAN, question.ljust(60, b"\0") if kind == "padded" else question, "answered_arp")
    lab.leaves_frame(WAN, arp_reply(WAN.mac, VIP_ON_LINK, ON_LINK.mac, sender))


@both("neighbors/not-ours")
def not_ours(lab):
    """Requests for others, and others' announcements, get no answer."""
    services(lab)
    for question in (
        who_has(ON_LINK.mac, ON_LINK.address, "192.0.2.78"),
        who_has(STRANGER.mac, STRANGER.address, STRANGER.address),
        announcement(STRANGER.mac, here(STRANGER.address)),
    ):
        lab.arrives_frame(WAN, question, outcome(lab, "drop-not_ours"))


@both("neighbors/conflict/{kind}", kind=["announcement", "reply", "request"])
def conflict(lab, kind):
    """A station that claims an address of ours is counted, and not answered."""
    services(lab)
    for address in (WAN.address, VIP_ON_LINK, VIP):
        claim = {
            "announcement": announcement(STRANGER.mac, here(address)),
            "reply": host_is_at(STRANGER.mac, address, WAN.mac, WAN.address),
            "request": who_has(STRANGER.mac, address, ON_LINK.address),
        }[kind]
        lab.arrives_frame(WAN, claim, outcome(lab, "drop-conflict"))


@both("neighbors/resolves")
def resolves(lab):
    """An unknown next hop is asked for once; the packets wait, and leave in their order when it answers."""
    unknown_server(lab)
    for number in range(3):
        request_frame(lab, number, "forwarded_nat_in")
    asks(lab)
    told(lab)
    for number in range(3):
        delivery(lab, number)
    request_frame(lab, 3, "forwarded_nat_in", delivered=True)


@both("neighbors/resolves-gateway")
def resolves_gateway(lab):
    """A gateway is asked for as a real server is, from the address in its prefix."""
    services(lab)
    lab.config.neighbors.remove(GATEWAY)
    lab.config.change_port(WAN, addresses=("198.18.0.1/24", "192.0.2.1/24"))
    request_frame(lab, 0, "forwarded_nat_in", delivered=True)
    lab.arrives(LAN, REAL1, udp(b"answer").between(SERVER, CLIENT), "forwarded_nat_out")
    asks(lab, WAN, GATEWAY.address)
    lab.arrives_frame(WAN, host_is_at(GATEWAY.mac, GATEWAY.address, WAN.mac, WAN.address), outcome(lab, "learned"))
    lab.leaves(WAN, GATEWAY, udp(b"answer").between(SERVICE, CLIENT, 63))


@both("neighbors/request-teaches")
def request_teaches(lab):
    """A station that asks for us is known from then on: no request of ours is needed."""
    unknown_server(lab)
    known_by_asking(lab, REAL1)
    request_frame(lab, 0, "forwarded_nat_in", delivered=True)


@both("neighbors/request-releases-waiting")
def request_releases(lab):
    """The next hop's own request, instead of a reply, also lets the waiting packets go."""
    unknown_server(lab)
    request_frame(lab, 0, "forwarded_nat_in")
    asks(lab)
    known_by_asking(lab, REAL1)
    delivery(lab, 0)


@both("neighbors/queue-is-bounded")
def bounded(lab):
    """More packets than may wait for one next hop are dropped and counted; those that wait are sent."""
    unknown_server(lab)
    lab.single_worker = QUEUES
    for number in range(QUEUE):
        request_frame(lab, number, "forwarded_nat_in")
    for number in range(3):
        request_frame(lab, QUEUE + number, "drop_neighbor_queue_full")
    asks(lab)
    told(lab)
    for number in range(QUEUE):
        delivery(lab, number)


@both("neighbors/unanswered")
def unanswered(lab):
    """Three requests, a second apart; then the packets that waited are dropped and counted."""
    unknown_server(lab)
    for number in range(2):
        request_frame(lab, number, "drop_neighbor_unresolved")
    for seconds in (1.1, 1.1, 1.1, 1.1):
        lab.tick(seconds)
    for _ in range(3):
        asks(lab)


@both("neighbors/answered-at-last")
def answered_at_last(lab):
    """The third request is answered: the packets leave."""
    unknown_server(lab)
    request_frame(lab, 0, "forwarded_nat_in")
    for seconds in (1.3, 1.3):
        lab.tick(seconds)
    for _ in range(3):
        asks(lab)
    told(lab)
    delivery(lab, 0)


@both("neighbors/static-stays")
def static_stays(lab):
    """An address set by hand is not changed by what somebody says."""
    services(lab)
    known_by_asking(lab, REAL1, OLD_MAC)
    request_frame(lab, 0, "forwarded_nat_in", delivered=True)


@both("neighbors/moves")
def moves(lab):
    """A neighbour that was learned and shows up with another MAC is followed."""
    unknown_server(lab)
    known_by_asking(lab, REAL1, OLD_MAC)
    known_by_asking(lab, REAL1)
    request_frame(lab, 0, "forwarded_nat_in", delivered=True)


@both("neighbors/refreshes")
def refreshes(lab):
    """A neighbour that is in use is asked again after 30 s, and believed meanwhile."""
    unknown_server(lab)
    known_by_asking(lab, REAL1)
    for number in range(2):
        lab.wait(14)
        request_frame(lab, number, "forwarded_nat_in", delivered=True)
    lab.tick(2.3)
    asks(lab)
    request_frame(lab, 2, "forwarded_nat_in", delivered=True)
    told(lab)
    request_frame(lab, 3, "forwarded_nat_in", delivered=True)
    lab.wait(20)
    request_frame(lab, 4, "forwarded_nat_in", delivered=True)


@both("neighbors/goes-away")
def goes_away(lab):
    """A neighbour in use that answers no more is forgotten after three requests; then packets wait for it again."""
    unknown_server(lab)
    known_by_asking(lab, REAL1)
    lab.wait(25)
    request_frame(lab, 0, "forwarded_nat_in", delivered=True)
    for seconds in (5.3, 1.1, 1.1):
        lab.tick(seconds)
        asks(lab)
    lab.tick(1.1)
    lab.wait(1.5)
    request_frame(lab, 1, "forwarded_nat_in")
    asks(lab)
    told(lab)
    delivery(lab, 1)


@both("neighbors/announcements")
def announcements(lab):
    """At start each port announces its own addresses and the VIPs of its own prefixes, once each."""
    lab.service(Socket(VIP_ON_LINK, 80), "tcp", "nat", [Real(SERVER)])
    lab.service(Socket(VIP_ON_LINK, 81), "tcp", "nat", [Real(REAL1.at(8081))])
    lab.service(Socket("10.0.0.100", 80), "tcp", "nat", [Real(REAL1.at(8082))])
    lab.service(Socket(VIP, 80), "tcp", "nat", [Real(REAL1.at(8083))])
    lab.config.change_port(WAN, addresses=("192.0.2.1/24", "198.18.0.1/30"))
    lab.tick(0)
