//! Ports, neighbours and routes, as a director that runs tells them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::*;
use crate::ctrl::config::Reach;
use crate::dataplane::service::PortId;

const TEXT: &str = "\
[[port]]
name = 'lan'
device = 'net_ring0'
addresses = ['10.0.0.1/24', '10.0.1.1/25']
[[port]]
name = 'wan'
device = 'net_ring1'
addresses = ['192.0.2.2/24']
mtu = 1400
twin = 'wan0'
[[route]]
to = '10.0.1.0/24'
via = '10.0.0.9'
[[route]]
to = '10.0.0.0/24'
via = '192.0.2.9'
[[route]]
to = '0.0.0.0/0'
via = ['192.0.2.1', '10.0.0.9']
[[neighbor]]
address = '10.0.0.9'
mac = '02:00:00:00:00:09'
";

#[test]
fn ports_have_their_configured_addresses_and_twins_are_there() {
    let ports = unmanned(TEXT).network().ports;
    let all: Vec<_> =
        ports.iter().map(|port| (&*port.report.name, port.report.mtu, port.addresses.join(" "))).collect();
    let expected = [("lan", 1500, "10.0.0.1/24 10.0.1.1/25"), ("wan", 1400, "192.0.2.2/24"), ("wan:twin", 1400, "")];
    assert_eq!(all, expected.map(|(name, mtu, addresses)| (name, mtu, addresses.to_owned())));
}

#[test]
fn routes_are_those_that_packets_take() {
    let director = unmanned(TEXT);
    let routes = director.routes();
    let gateway = |address: &str| Some(address.parse::<IpAddr>().unwrap());
    let hop = |it: &HopReport| (it.port.clone(), it.via, it.via_state.clone(), it.usable);
    let all = |routes: &[RouteReport]| -> Vec<_> {
        let hops = |it: &RouteReport| it.hops.iter().map(hop).collect::<Vec<_>>();
        routes.iter().map(|it| (it.to.clone(), it.origin.clone(), it.state.clone(), hops(it))).collect()
    };
    let on = |port: &str, usable| (port.to_owned(), None, None, usable);
    let via = |port: &str, via, state: &str, usable| (port.to_owned(), gateway(via), Some(state.to_owned()), usable);
    let route = |to: &str, origin: &str, state: &str, hops| (to.to_owned(), origin.to_owned(), state.to_owned(), hops);
    let expected = |down: &str, wan: bool| {
        let both = vec![via("wan", "192.0.2.1", "incomplete", wan), via("lan", "10.0.0.9", "static", true)];
        vec![
            route("0.0.0.0/0", "config", "active", both),
            // Not by 192.0.2.9: a port's own network comes before a route of the same length.
            route("10.0.0.0/24", "connected", "active", vec![on("lan", true)]),
            route(
                "10.0.0.0/24",
                "config",
                if wan { "standby" } else { down },
                vec![via("wan", "192.0.2.9", "incomplete", wan)],
            ),
            route("10.0.1.0/24", "config", "active", vec![via("lan", "10.0.0.9", "static", true)]),
            route("10.0.1.0/25", "connected", "active", vec![on("lan", true)]),
            route("192.0.2.0/24", "connected", if wan { "active" } else { down }, vec![on("wan", wan)]),
        ]
    };
    assert_eq!(all(&routes), expected("", true));

    let desired = director.desired();
    for address in ["8.8.8.8", "10.0.0.9", "10.0.1.127", "10.0.1.128", "192.0.2.1"] {
        let address: IpAddr = address.parse().unwrap();
        let prefix = |route: &&RouteReport| route.to.parse::<IpNet>().unwrap();
        let active = routes.iter().filter(|route| route.state == "active");
        let fitting = active.filter(|route| prefix(route).contains(&address));
        let taken = fitting.max_by_key(|route| prefix(route).prefix_len()).unwrap();
        let gateways: Vec<_> = taken.hops.iter().filter_map(|hop| hop.via).collect();
        match desired.config.reach(address).unwrap() {
            Reach::OnLink(port) => {
                assert_eq!((&gateways[..], &taken.hops[0].port), (&[][..], &desired.config.ports[port].name));
            }
            Reach::Gateway(route) => assert_eq!(gateways, route.via, "{address}"),
        }
    }
    director.carrier(PortId(1), false);
    director.reroute();
    assert_eq!(all(&director.routes()), expected("down", false));
    director.carrier(PortId(1), true);
    director.reroute();
    assert_eq!(director.routes(), routes);
}
