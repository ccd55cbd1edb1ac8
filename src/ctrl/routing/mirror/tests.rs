//! What messages mean.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteProtocol, RouteType,
};

use super::super::learned::{Change, Side};
use super::super::{Candidate, Leg, Origin};
use super::*;
use crate::ctrl::config::parse;
use crate::dataplane::service::PortId;

const TEXT: &str = "\
[announce]
[[port]]
name = 'wan'
device = 'net_ring0'
addresses = ['192.0.2.2/24']
twin = 'wan0'
[[port]]
name = 'lan'
device = 'net_ring1'
addresses = ['10.0.0.1/24']
[[port]]
name = 'far'
device = 'net_ring2'
twin = 'far0'
";

const WAN: u32 = 7;
const FAR: u32 = 8;
/// No twin.
const ETH: u32 = 9;

fn link(index: u32, name: &str, up: bool) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

fn reader(mirror: &str) -> Reader {
    reader_of(parse(Path::new("x.toml"), &format!("[mirror]\n{mirror}\n{TEXT}")).unwrap().config)
}

/// Of a director whose first port has an IPv6 address too.
fn reader_of_both() -> Reader {
    let mut config = parse(Path::new("x.toml"), &format!("[mirror]\n{TEXT}")).unwrap().config;
    config.ports[0].addresses.push("2001:db8:a::2/64".parse().unwrap());
    reader_of(config)
}

fn reader_of(config: Config) -> Reader {
    let mut reader = Reader::new(&config, config.mirror.clone().unwrap());
    for (index, name) in [(WAN, "wan0"), (FAR, "far0"), (ETH, "eth0")] {
        assert_eq!(reader.link(&link(index, name, true), false), index != ETH);
    }
    reader
}

fn address(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn told(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn gateway(last: u8) -> RouteAttribute {
    RouteAttribute::Gateway(told(address(last)))
}

fn by(address: &str) -> RouteAttribute {
    RouteAttribute::Gateway(told(address.parse().unwrap()))
}

fn route(to: &str, attributes: &[RouteAttribute]) -> RouteMessage {
    let to: IpNet = to.parse().unwrap();
    let mut message = RouteMessage::default();
    message.header.address_family = if to.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.destination_prefix_length = to.prefix_len();
    message.header.table = 254;
    message.header.protocol = RouteProtocol::Bird;
    message.header.kind = RouteType::Unicast;
    if to.prefix_len() > 0 {
        message.attributes.push(RouteAttribute::Destination(told(to.addr())));
    }
    message.attributes.extend(attributes.iter().cloned());
    message
}

fn by_wan(to: &str) -> RouteMessage {
    route(to, &[RouteAttribute::Oif(WAN), gateway(1)])
}

fn leg(port: u8, via: Option<u8>, weight: u16) -> Leg {
    Leg { port: PortId(port), via: via.map(address), weight }
}

fn candidate(metric: u32, legs: &[Leg]) -> Candidate {
    Candidate { origin: Origin::Kernel { protocol: 12, metric }, legs: legs.to_vec() }
}

fn legs(reader: &Reader, message: &RouteMessage) -> Option<Vec<Leg>> {
    reader.listed(message).map(|(_, candidate)| candidate.legs)
}

#[test]
fn a_route_by_a_twin_is_read() {
    let reader = reader("");
    let net = |text: &str| text.parse::<IpNet>().unwrap();
    let wan = leg(0, Some(1), 1);
    assert_eq!(reader.listed(&by_wan("10.9.0.0/16")), Some((net("10.9.0.0/16"), candidate(0, &[wan]))));
    let metric = [RouteAttribute::Priority(32), RouteAttribute::Oif(WAN), gateway(1), RouteAttribute::Table(254)];
    assert_eq!(reader.listed(&route("0.0.0.0/0", &metric)), Some((net("0.0.0.0/0"), candidate(32, &[wan]))));
    let on_link = route("198.51.100.0/24", &[RouteAttribute::Oif(FAR)]);
    assert_eq!(legs(&reader, &on_link), Some(vec![leg(2, None, 1)]));
}

#[test]
fn of_several_next_hops_those_by_twins_that_live_are() {
    let reader = reader("");
    let hop = |index, last, weight: u8, flags| {
        let mut hop = RouteNextHop::default();
        hop.interface_index = index;
        hop.hops = weight - 1;
        hop.flags = flags;
        hop.attributes = vec![gateway(last)];
        hop
    };
    let none = RouteNextHopFlags::empty();
    let several = |hops: &[RouteNextHop]| route("0.0.0.0/0", &[RouteAttribute::MultiPath(hops.to_vec())]);
    let two = [hop(WAN, 1, 1, none), hop(FAR, 9, 200, RouteNextHopFlags::Linkdown), hop(ETH, 3, 1, none)];
    assert_eq!(legs(&reader, &several(&two)), Some(vec![leg(0, Some(1), 1), leg(2, Some(9), 200)]));
    let dead = [hop(WAN, 1, 1, RouteNextHopFlags::Dead), hop(FAR, 9, 2, none)];
    assert_eq!(legs(&reader, &several(&dead)), Some(vec![leg(2, Some(9), 2)]));
    assert_eq!(legs(&reader, &several(&dead[..1])), None);
    let mut bare = hop(WAN, 1, 1, none);
    bare.attributes.clear();
    assert_eq!(legs(&reader, &several(&[bare, hop(FAR, 9, 1, none)])), Some(vec![leg(2, Some(9), 1)]));
}

#[test]
fn what_is_not_the_directors_is_left_alone() {
    let reader = reader("");
    let mut others = vec![
        ("by another interface", route("10.9.0.0/16", &[RouteAttribute::Oif(ETH), gateway(1)])),
        ("a port's own network", route("192.0.2.0/24", &[RouteAttribute::Oif(WAN)])),
        ("by the director itself", route("10.9.0.0/16", &[RouteAttribute::Oif(WAN), gateway(2)])),
        ("by IPv6", route("10.9.0.0/16", &[RouteAttribute::Oif(WAN), by("2001:db8:a::1")])),
        (
            "of another table",
            route("10.9.0.0/16", &[RouteAttribute::Oif(WAN), gateway(1), RouteAttribute::Table(1000)]),
        ),
        ("to stand-ins", by_wan("198.18.0.0/15")),
        ("by a next hop object alone", route("10.9.0.0/16", &[RouteAttribute::NhId(7)])),
    ];
    let changed = |change: fn(&mut RouteMessage)| {
        let mut message = by_wan("10.9.0.0/16");
        change(&mut message);
        message
    };
    others.push(("mixed", changed(|message| message.header.address_family = AddressFamily::Inet6)));
    others.push(("IPv6", route("2001:db8:9::/48", &[RouteAttribute::Oif(WAN), by("2001:db8:a::1")])));
    others.push(("by type of service", changed(|message| message.header.tos = 4)));
    others.push(("a cached one", changed(|message| message.header.flags = RouteFlags::Cloned)));
    others.push(("the host's own", changed(|message| message.header.kind = RouteType::Local)));
    others.push(("throw", changed(|message| message.header.kind = RouteType::Throw)));
    for (what, message) in &others {
        assert_eq!(reader.listed(message), None, "{what}");
    }
    assert!(reader.listed(&by_wan("10.9.0.0/16")).is_some());
}

#[test]
fn where_the_host_sends_nothing_nothing_goes_but_announced_vips_are_no_such_place() {
    let reader = reader("");
    for kind in [RouteType::BlackHole, RouteType::Unreachable, RouteType::Prohibit] {
        let mut message = route("10.9.0.0/16", &[]);
        message.header.kind = kind;
        assert_eq!(legs(&reader, &message), Some(Vec::new()), "{kind:?}");
        message.header.protocol = RouteProtocol::from(109);
        let announced = kind == RouteType::BlackHole;
        assert_eq!(legs(&reader, &message), (!announced).then(Vec::new), "{kind:?}");
    }
}

#[test]
fn only_routes_of_the_wanted_protocols_and_table() {
    let reader = reader("protocols = ['static', 12]\ntable = 1000");
    let of = |protocol: u8, table: u32| {
        let mut message = by_wan("10.9.0.0/16");
        message.header.protocol = RouteProtocol::from(protocol);
        message.header.table = 252;
        message.attributes.push(RouteAttribute::Table(table));
        reader.listed(&message).is_some()
    };
    assert_eq!([of(12, 1000), of(4, 1000), of(3, 1000), of(12, 254)], [true, true, false, false]);
}

#[test]
fn what_came_and_what_went() {
    let reader = reader("protocols = ['bird']");
    let of_boot = {
        let mut message = by_wan("10.9.0.0/16");
        message.header.protocol = RouteProtocol::Boot;
        message
    };
    let change = |news: Option<News>| match news {
        Some(News::Route(_, change)) => Some(change),
        None => None,
        other => panic!("{other:?}"),
    };
    let bird = || candidate(0, &[leg(0, Some(1), 1)]);
    let (came, create) = (by_wan("10.9.0.0/16"), NLM_F_CREATE);
    for (message, flags, expected) in [
        (&came, create | NLM_F_EXCL, Some(Change::Added(bird(), Side::Before))),
        (&came, create, Some(Change::Added(bird(), Side::Before))),
        (&came, create | NLM_F_APPEND, Some(Change::Added(bird(), Side::Behind))),
        (&came, NLM_F_REPLACE, Some(Change::Replaced(0, Some(bird())))),
        // What it took the place of may have been mirrored.
        (&of_boot, NLM_F_REPLACE, Some(Change::Replaced(0, None))),
        (&of_boot, create, None),
    ] {
        assert_eq!(change(reader.came(message, flags)), expected, "{flags:#x}");
    }
    assert_eq!(change(reader.went(&came)), Some(Change::Removed(bird())));
    assert_eq!(change(reader.went(&of_boot)), None);
}

#[test]
fn twins_come_and_go_under_other_numbers() {
    let mut reader = reader("");
    let by = |reader: &Reader, index| {
        legs(reader, &route("10.9.0.0/16", &[RouteAttribute::Oif(index), gateway(1)])).is_some()
    };
    assert!(!reader.link(&link(WAN, "wan0", true), false), "as before");
    assert!(reader.link(&link(WAN, "wan0", false), false), "set down");
    assert!(reader.link(&link(WAN, "wan0", true), true), "gone");
    assert!(!by(&reader, WAN));
    assert!(reader.link(&link(20, "wan0", true), false));
    assert!(by(&reader, 20) && reader.is_twin(20) && !reader.is_twin(WAN));
    assert!(reader.link(&link(20, "other", true), false), "renamed");
    assert!(!by(&reader, 20));
    reader.link(&link(20, "wan0", true), false);
    reader.forget_links();
    assert!(!by(&reader, 20) && !by(&reader, FAR));
}

#[test]
fn permanent_neighbours_of_twins_are_static() {
    let mac = [2, 0, 0, 0, 0, 9];
    let neighbor = |index, last, state, mac: &[u8]| {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = index;
        message.header.state = state;
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet([192, 0, 2, last].into())),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
        ];
        message
    };
    use NeighbourState::{Noarp, Permanent, Reachable};
    let read = reader("");
    let station = |last| (PortId(0), address(last));
    for (message, expected) in [
        (neighbor(WAN, 9, Permanent, &mac), Some((station(9), Some(mac)))),
        (neighbor(WAN, 9, Reachable, &mac), Some((station(9), None))),
        (neighbor(WAN, 9, Noarp, &mac), Some((station(9), None))),
        (neighbor(ETH, 9, Permanent, &mac), None),
        (neighbor(WAN, 2, Permanent, &mac), Some((station(2), None))),
        (neighbor(WAN, 9, Permanent, &[1, 0, 0, 0, 0, 9]), Some((station(9), None))),
        (neighbor(WAN, 9, Permanent, &[0; 6]), Some((station(9), None))),
        (neighbor(WAN, 9, Permanent, &mac[..4]), Some((station(9), None))),
    ] {
        assert_eq!(read.neighbor(&message), expected, "{message:?}");
    }
    let mut stand_in = neighbor(WAN, 9, Permanent, &mac);
    let gateway = Ipv4Addr::new(198, 18, 0, 1);
    stand_in.attributes[0] = NeighbourAttribute::Destination(NeighbourAddress::Inet(gateway));
    assert_eq!(read.neighbor(&stand_in), Some(((PortId(0), gateway.into()), None)));
    assert_eq!(reader("neighbors = false").neighbor(&neighbor(WAN, 9, Permanent, &mac)), None);
}

#[test]
fn ipv6_is_mirrored_where_a_port_has_an_address_of_it() {
    assert!(!reader("").has_ipv6());
    let reader = reader_of_both();
    assert!(reader.has_ipv6());
    let one = |to: &str, attributes: &[RouteAttribute]| legs(&reader, &route(to, attributes));
    let via = |text: &str| Leg { port: PortId(0), via: Some(text.parse().unwrap()), weight: 1 };
    let wan = RouteAttribute::Oif(WAN);
    assert_eq!(one("::/0", &[wan.clone(), by("2001:db8:a::1")]), Some(vec![via("2001:db8:a::1")]));
    assert_eq!(one("2001:db8:9::/48", &[wan.clone(), by("fe80::1")]), Some(vec![via("fe80::1")]), "the link is known");
    assert_eq!(one("10.9.0.0/16", &[wan.clone(), gateway(1)]), Some(vec![leg(0, Some(1), 1)]));
    let mut hop = RouteNextHop::default();
    (hop.interface_index, hop.attributes) = (WAN, vec![by("2001:db8:a::1")]);
    let mut other = hop.clone();
    other.attributes = vec![by("2001:db8:a::3")];
    let several = [RouteAttribute::MultiPath(vec![hop, other])];
    assert_eq!(one("::/0", &several), Some(vec![via("2001:db8:a::1"), via("2001:db8:a::3")]));
    for (what, to, attributes) in [
        ("a port's own network", "2001:db8:a::/64", vec![wan.clone()]),
        ("by the director itself", "2001:db8:9::/48", vec![wan.clone(), by("2001:db8:a::2")]),
        ("by another interface", "2001:db8:9::/48", vec![RouteAttribute::Oif(ETH), by("2001:db8:a::1")]),
        ("by IPv4", "2001:db8:9::/48", vec![wan.clone(), gateway(1)]),
        ("link-local", "fe80::/64", vec![wan.clone()]),
        ("multicast", "ff00::/8", vec![wan.clone()]),
    ] {
        assert_eq!(one(to, &attributes), None, "{what}");
    }
    let mac = [2, 0, 0, 0, 0, 9];
    let mut neighbor = NeighbourMessage::default();
    neighbor.header.family = AddressFamily::Inet6;
    neighbor.header.ifindex = WAN;
    neighbor.header.state = NeighbourState::Permanent;
    neighbor.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet6("2001:db8:a::9".parse().unwrap())),
        NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
    ];
    let station = (PortId(0), "2001:db8:a::9".parse().unwrap());
    assert_eq!(reader.neighbor(&neighbor), Some((station, Some(mac))));
    assert_eq!(self::reader("").neighbor(&neighbor), None);
}

#[test]
fn of_ipv6_a_next_hop_more_or_less_is_looked_at() {
    let six = route("::/0", &[RouteAttribute::Oif(WAN), by("2001:db8:a::1")]);
    let four = by_wan("10.9.0.0/16");
    for (flags, gone, expected) in [
        (NLM_F_CREATE | NLM_F_EXCL, false, false),
        (NLM_F_REPLACE, false, false),
        (NLM_F_CREATE, false, true),
        (NLM_F_CREATE | NLM_F_APPEND, false, true),
        (0, true, true),
    ] {
        assert_eq!(Reader::is_part(&six, flags, gone), expected, "{flags:#x}");
        assert!(!Reader::is_part(&four, flags, gone));
    }
}
