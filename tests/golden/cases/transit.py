"""Transit: what is neither the director's nor a service's, routed by it as by any router (RFC 1812 §5)."""

from scapy.layers.inet import IP, IPOption
from scapy.layers.l2 import GRE

from network import BROADCAST, CLIENT, FAR_REAL, GATEWAY, LAN, ON_LINK, REAL1, REAL2, ROUTER, Real, Socket, VIP, WAN
from packets import echo, follower, frame, net_unreachable, opener, pattern, tcp, time_exceeded, too_big_message, udp
from scenario import cases

PROTOCOLS = ["tcp", "udp", "sctp"]
SERVICE = Socket(VIP, 80)
SERVER = REAL1.at(8080)
OWN = REAL1.at(50001)
"""A socket that the real server has for itself."""
OUTSIDE = Socket("198.51.100.99", 443)


def routing(lab):
    """A NAT service, and a director that routes what is not its."""
    lab.config.transit = "route"
    for protocol in PROTOCOLS:
        lab.service(SERVICE, protocol, "nat", [Real(SERVER)])


def out(lab, packet, onward, **how):
    """What the real server sends to the world, and what leaves."""
    lab.arrives(LAN, REAL1, packet, "forwarded_transit", how.pop("pad", False))
    lab.leaves(WAN, GATEWAY, onward, **how)


def back(lab, packet, onward, station=REAL1):
    """What comes from the world for a host behind the director."""
    lab.arrives(WAN, GATEWAY, packet, "forwarded_transit")
    lab.leaves(LAN, station, onward)


@cases("transit/{protocol}", protocol=PROTOCOLS)
def both_ways(lab, protocol):
    """What a NAT real server sends on its own by {protocol}, and what comes back, passes with a hop less and nothing else changed."""
    routing(lab)
    for source in (OWN, SERVER):
        for ttl in (2, 64, 255):
            out(lab, opener(protocol).between(source, OUTSIDE, ttl), opener(protocol).between(source, OUTSIDE, ttl - 1))
            answer = follower(protocol, pattern(99))
            back(lab, answer.between(OUTSIDE, source, ttl), answer.between(OUTSIDE, source, ttl - 1))


@cases("transit/{protocol}/beside-a-service", protocol=PROTOCOLS)
def beside_a_service(lab, protocol):
    """A connection to the VIP is translated as ever, also from the socket that sends something of its own."""
    routing(lab)
    opened, answer = opener(protocol), follower(protocol, b"answer")
    lab.arrives(WAN, GATEWAY, opened.between(CLIENT, SERVICE), "forwarded_nat_in")
    lab.leaves(LAN, REAL1, opened.between(CLIENT, SERVER, 63))
    out(lab, answer.between(SERVER, OUTSIDE), answer.between(SERVER, OUTSIDE, 63))
    lab.arrives(LAN, REAL1, answer.between(SERVER, CLIENT), "forwarded_nat_out")
    lab.leaves(WAN, GATEWAY, answer.between(SERVICE, CLIENT, 63))


def gre(ttl):
    """Returns a tunnel's packet from the real server."""
    inner = udp(pattern(40)).between(Socket("172.16.0.1", 9), Socket("172.16.1.1", 9))
    return IP(src=OWN.address, dst=OUTSIDE.address, ttl=ttl, id=7) / GRE(proto=0x0800) / inner


@cases("transit/gre")
def other_protocol(lab):
    """A protocol that is not balanced."""
    routing(lab)
    out(lab, gre(64), gre(63))


@cases("transit/esp-padded")
def padded(lab):
    """Of a short packet Ethernet's padding is left behind."""
    routing(lab)
    short = {ttl: IP(src=OWN.address, dst=OUTSIDE.address, ttl=ttl, proto=50) / pattern(16) for ttl in (64, 63)}
    out(lab, short[64], short[63], pad=True)
    out(lab, udp(b"x").between(OWN, OUTSIDE), udp(b"x").between(OWN, OUTSIDE, 63), pad=True)


@cases("transit/ping")
def ping(lab):
    """An echo request and its reply."""
    routing(lab)
    out(lab, echo(OWN.address, OUTSIDE.address, pattern(56)), echo(OWN.address, OUTSIDE.address, pattern(56), ttl=63))
    back(lab, echo(OUTSIDE.address, OWN.address, pattern(56), kind=0), echo(OUTSIDE.address, OWN.address, pattern(56), kind=0, ttl=63))


@cases("transit/icmp-error")
def icmp_error(lab):
    """What a router outside says about what the real server has sent."""
    routing(lab)
    sent = udp(b"hello").between(OWN, OUTSIDE, 5)
    told = time_exceeded("198.51.100.1", sent)
    onward = told.copy()
    onward.ttl = 63
    back(lab, told, onward)


FRAGMENTS = {"first": ("MF", 0), "middle": ("MF", 185), "last": (0, 370)}


@cases("transit/{protocol}/fragment-{which}", protocol=PROTOCOLS, which=list(FRAGMENTS))
def fragment(lab, protocol, which):
    """A fragment passes as it is, behind the first of its datagram."""
    routing(lab)
    whole = follower(protocol, pattern(192 - {"tcp": 20, "udp": 8, "sctp": 28}[protocol]))
    for flags, offset in dict.fromkeys((FRAGMENTS["first"], FRAGMENTS[which])):
        part = whole.with_header(flags=flags, frag=offset)
        out(lab, part.between(OWN, OUTSIDE), part.between(OWN, OUTSIDE, 63))
        back(lab, part.between(OUTSIDE, OWN), part.between(OUTSIDE, OWN, 63))


@cases("transit/fragment-without-first")
def fragment_without_first(lab):
    """A fragment whose first does not come might be a service's: it passes once that is not to be expected any more."""
    routing(lab)
    part = udp(pattern(80)).with_header(flags=0, frag=185)
    out(lab, part.between(OWN, OUTSIDE), part.between(OWN, OUTSIDE, 63))
    lab.wait(1.25)
    out(lab, tcp("S").between(OWN, OUTSIDE), tcp("S").between(OWN, OUTSIDE, 63))


@cases("transit/options")
def options(lab):
    """IPv4 options stay as they are."""
    routing(lab)
    alert = IPOption(b"\x94\x04\x00\x00")
    out(lab, udp(b"hello").between(OWN, OUTSIDE, options=alert), udp(b"hello").between(OWN, OUTSIDE, 63, options=alert))


@cases("transit/wrong-transport-checksum")
def wrong_checksum(lab):
    """A wrong UDP checksum is the end's to find, and none stays none."""
    routing(lab)
    for sum_ in (0x1234, 0):
        datagram = udp(b"hello", chksum=sum_)
        out(lab, datagram.between(OWN, OUTSIDE), datagram.between(OWN, OUTSIDE, 63), broken_sum=sum_ != 0)


@cases("transit/by-a-router")
def by_a_router(lab):
    """The route table says by whom."""
    routing(lab)
    far = Socket(FAR_REAL, 80)
    back(lab, tcp("S").between(CLIENT, far), tcp("S").between(CLIENT, far, 63), ROUTER)


@cases("transit/same-port")
def same_port(lab):
    """It may leave by the port that it came in by, without a redirect."""
    routing(lab)
    far = Socket(FAR_REAL, 80)
    lab.arrives(LAN, REAL1, tcp("S").between(OWN, far), "forwarded_transit")
    lab.leaves(LAN, ROUTER, tcp("S").between(OWN, far, 63))
    lab.arrives(LAN, REAL1, udp(b"hello").between(OWN, REAL2.at(53)), "forwarded_transit")
    lab.leaves(LAN, REAL2, udp(b"hello").between(OWN, REAL2.at(53), 63))


@cases("transit/direct-answer")
def direct_answer(lab):
    """Real servers of direct routing may have the director for their gateway, too: they answer from the VIP."""
    lab.config.transit = "route"
    lab.service(SERVICE, "tcp", "direct", [Real(REAL1.at(80))])
    lab.arrives(WAN, GATEWAY, tcp("S").between(CLIENT, SERVICE), "forwarded_direct")
    lab.leaves(LAN, REAL1, tcp("S").between(CLIENT, SERVICE, 63))
    out(lab, tcp("SA").between(SERVICE, CLIENT), tcp("SA").between(SERVICE, CLIENT, 63))


@cases("transit/ttl-{ttl}", ttl=[0, 1])
def ttl_ran_out(lab, ttl):
    """Who sent a packet whose TTL ends here is told, whatever it carries; but not about a later fragment."""
    routing(lab)
    late = udp(pattern(80))
    for packet in (tcp("S").between(OWN, OUTSIDE, ttl), late.between(OWN, OUTSIDE, ttl), gre(ttl), echo(OWN.address, OUTSIDE.address, ttl=ttl)):
        lab.arrives(LAN, REAL1, packet, "answered_time_exceeded")
        lab.leaves(LAN, REAL1, time_exceeded(LAN.address, packet), free_id=True)
    first = late.between(OWN, OUTSIDE, ttl, flags="MF", id=7)
    lab.arrives(LAN, REAL1, first, "answered_time_exceeded")
    lab.leaves(LAN, REAL1, time_exceeded(LAN.address, first), free_id=True)
    lab.arrives(LAN, REAL1, late.between(OWN, OUTSIDE, ttl, flags=0, frag=185, id=7), "drop_ttl")


@cases("transit/too-big")
def too_big(lab):
    """With DF the sender is told the next link's MTU; without, the packet is dropped: nothing is fragmented by this version."""
    routing(lab)
    lab.config.change_port(WAN, mtu=1300)
    fits, more = tcp("A", pattern(1260)), tcp("A", pattern(1261))
    out(lab, fits.between(OWN, OUTSIDE), fits.between(OWN, OUTSIDE, 63))
    packet = more.between(OWN, OUTSIDE)
    lab.arrives(LAN, REAL1, packet, "answered_too_big")
    lab.leaves(LAN, REAL1, too_big_message(LAN.address, packet, 1300), free_id=True)
    lab.arrives(LAN, REAL1, more.between(OWN, OUTSIDE, flags=0), "drop_too_big")
    lab.arrives(LAN, REAL1, more.between(OWN, OUTSIDE, flags="MF"), "drop_too_big")


@cases("transit/no-route")
def no_route(lab):
    """Who sends to where no route leads is told, but not about an ICMP error or a later fragment."""
    routing(lab)
    lab.config.routes = [("198.51.100.0/24", GATEWAY.address)]
    nowhere = Socket("100.64.0.1", 80)
    for packet in (tcp("S").between(OWN, nowhere), udp(pattern(70)).between(OWN, nowhere)):
        lab.arrives(LAN, REAL1, packet, "answered_unreachable")
        lab.leaves(LAN, REAL1, net_unreachable(LAN.address, packet), free_id=True)
    about = udp(b"hello").between(nowhere, OWN)
    lab.arrives(LAN, REAL1, time_exceeded(OWN.address, about), "drop_no_route")
    first = udp(pattern(72)).between(OWN, nowhere, flags="MF", id=7)
    lab.arrives(LAN, REAL1, first, "answered_unreachable")
    lab.leaves(LAN, REAL1, net_unreachable(LAN.address, first), free_id=True)
    lab.arrives(LAN, REAL1, udp(pattern(70)).between(OWN, nowhere, flags=0, frag=185, id=7), "drop_no_route")
    out(lab, tcp("S").between(OWN, OUTSIDE), tcp("S").between(OWN, OUTSIDE, 63))


NOT_ELSEWHERE = {"own": WAN.address, "own-of-another-port": LAN.address, "vip": VIP}


@cases("transit/to-{kind}", kind=list(NOT_ELSEWHERE))
def to_the_director(lab, kind):
    """What is for the director or a VIP is not in transit: without a service and a twin it ends here."""
    routing(lab)
    address = NOT_ELSEWHERE[kind]
    for datagram in (tcp("S"), udp(b"hello")):
        lab.arrives(LAN, REAL1, datagram.between(OWN, Socket(address, 99)), "drop_no_service")
    for part in ({"flags": "MF"}, {"flags": 0, "frag": 11}):
        lab.arrives(LAN, REAL1, udp(pattern(80)).between(OWN, Socket(address, 99), **part), "drop_no_service")
    lab.arrives(LAN, REAL1, IP(src=OWN.address, dst=address, proto=50) / pattern(40), "drop_protocol")


@cases("transit/to-many")
def to_many(lab):
    """Groups and broadcasts stay on their link (RFC 2644)."""
    routing(lab)
    for address in ("224.0.0.5", "239.1.2.3", "255.255.255.255", "127.0.0.1"):
        lab.arrives(LAN, REAL1, udp(b"hello").between(OWN, Socket(address, 99)), "drop_ip_group")
    for address in ("192.0.2.255", "10.0.0.255"):
        lab.arrives(LAN, REAL1, udp(b"hello").between(OWN, Socket(address, 99)), "drop_not_for_us")
    lab.arrives_frame(LAN, frame(REAL1.mac, BROADCAST, udp(b"hello").between(OWN, OUTSIDE)), "drop_ip_group")
    lab.arrives_frame(LAN, frame(REAL1.mac, ON_LINK.mac, udp(b"hello").between(OWN, OUTSIDE)), "drop_other_station")


SOURCES = ["127.0.0.1", "0.0.0.0", "224.0.0.1", WAN.address, LAN.address, "10.0.0.255"]


@cases("transit/martian-source")
def martian_source(lab):
    """Sources that no packet on a link may have, the director's own among them."""
    routing(lab)
    for source in SOURCES:
        lab.arrives(LAN, REAL1, udp(b"hello").between(Socket(source, 99), OUTSIDE), "drop_ip_source")


@cases("transit/with-twins")
def with_twins(lab):
    """Where ports have twins the host gets its own, and no more; what it sends leaves as it is."""
    routing(lab)
    lab.twin(WAN)
    twin = lab.twin(LAN)
    out(lab, tcp("S").between(OWN, OUTSIDE), tcp("S").between(OWN, OUTSIDE, 63))
    ssh = tcp("S").between(OWN, Socket(LAN.address, 22))
    lab.arrives(LAN, REAL1, ssh, "punted")
    lab.host_gets(twin, REAL1, ssh)
    answer = tcp("SA").between(Socket(LAN.address, 22), OWN, 1)
    lab.host_sends(twin, REAL1, answer, "from_host")
    lab.leaves(LAN, REAL1, answer)


@cases("transit/{transit}", transit=["drop", "unsaid"])
def not_asked_for(lab, transit):
    """Unless it is told to, the director routes nothing."""
    routing(lab)
    lab.config.transit = "" if transit == "unsaid" else transit
    lab.arrives(LAN, REAL1, tcp("S").between(OWN, OUTSIDE), "drop_not_for_us")
    lab.arrives(LAN, REAL1, tcp("A").between(SERVER, OUTSIDE), "drop_no_connection_reply")
    lab.arrives(LAN, REAL1, gre(64), "drop_protocol")
    lab.arrives(LAN, REAL1, udp(pattern(80)).between(OWN, OUTSIDE, flags="MF"), "drop_not_for_us")
