//! Ports, neighbours and routes, as a director that runs tells them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::*;
use crate::ctrl::config::Reach;

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
via = '192.0.2.1'
[[neighbor]]
address = '10.0.0.9'
mac = '02:00:00:00:00:09'
";

#[test]
fn ports_have_their_configured_addresses_and_twins_are_there() {
    let ports = running(TEXT).network().ports;
    let all: Vec<_> =
        ports.iter().map(|port| (&*port.report.name, port.report.mtu, port.addresses.join(" "))).collect();
    let expected = [("lan", 1500, "10.0.0.1/24 10.0.1.1/25"), ("wan", 1400, "192.0.2.2/24"), ("wan:twin", 1400, "")];
    assert_eq!(all, expected.map(|(name, mtu, addresses)| (name, mtu, addresses.to_owned())));
}

#[test]
fn routes_are_those_that_packets_take() {
    let director = running(TEXT);
    let routes = director.network().routes;
    let gateway = |address: &str| Some(address.parse::<IpAddr>().unwrap());
    let all: Vec<_> = routes.iter().map(|it| (&*it.to, &*it.port, it.via, it.via_state.as_deref())).collect();
    let expected = [
        ("0.0.0.0/0", "wan", gateway("192.0.2.1"), Some("incomplete")),
        // Not by 192.0.2.9: a port's own network comes before a route of the same length.
        ("10.0.0.0/24", "lan", None, None),
        ("10.0.1.0/24", "lan", gateway("10.0.0.9"), Some("static")),
        ("10.0.1.0/25", "lan", None, None),
        ("192.0.2.0/24", "wan", None, None),
    ];
    assert_eq!(all, expected);

    let desired = director.desired();
    for address in ["8.8.8.8", "10.0.0.9", "10.0.1.127", "10.0.1.128", "192.0.2.1"] {
        let address: IpAddr = address.parse().unwrap();
        let prefix = |route: &&RouteReport| route.to.parse::<IpNet>().unwrap();
        let fitting = routes.iter().filter(|route| prefix(route).contains(&address));
        let taken = fitting.max_by_key(|route| prefix(route).prefix_len()).unwrap();
        match desired.config.reach(address).unwrap() {
            Reach::OnLink(port) => assert_eq!((taken.via, &taken.port), (None, &desired.config.ports[port].name)),
            Reach::Gateway(route) => assert_eq!(taken.via, Some(route.via), "{address}"),
        }
    }
}
