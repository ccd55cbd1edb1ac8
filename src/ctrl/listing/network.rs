//! Ports, neighbours and routes as tables.

use super::columns::Columns;
use super::{duration, lines};
use crate::ctrl::api::{NeighborReport, PortReport, PortState, RouteReport};

/// What is counted of a port.
const COUNTERS: [&str; 8] =
    ["RX FRAMES", "RX OCTETS", "TX FRAMES", "TX OCTETS", "MISSED", "RX ERRORS", "TX ERRORS", "NO BUFFER"];

/// Lays ports out as text, one to a line, in their order.
pub fn ports(ports: &[PortState]) -> String {
    let mut table = Columns::new(&["PORT", "DEVICE", "MAC", "ADDRESSES", "LINK"], &["MTU", "RX FRAMES", "TX FRAMES"]);
    for PortState { report, addresses } in ports {
        let numbers = [u64::from(report.mtu), report.rx_frames, report.tx_frames].map(|number| number.to_string());
        let mut row = vec![report.name.clone(), report.device.clone(), report.mac.clone(), some(addresses)];
        row.push(link(report).to_owned());
        row.extend(numbers);
        table.row(row);
    }
    lines(table, "no ports")
}

/// Lays all that is known of one port out as text, a line for each thing.
pub fn port(PortState { report, addresses }: &PortState) -> String {
    let mut table = Columns::new(&["PORT", report.name.as_str()], &[]);
    for (what, value) in [
        ("DEVICE", report.device.clone()),
        ("MAC", report.mac.clone()),
        ("ADDRESSES", some(addresses)),
        ("LINK", link(report).to_owned()),
        ("MTU", report.mtu.to_string()),
    ] {
        table.row(vec![what.to_owned(), value]);
    }
    for (what, count) in COUNTERS.iter().zip(counters(report)) {
        table.row(vec![(*what).to_owned(), count.to_string()]);
    }
    lines(table, "")
}

/// Lays neighbours out as text, one to a line, in their order.
pub fn neighbors(neighbors: &[NeighborReport]) -> String {
    lines(neighbor_table(neighbors), "no neighbours")
}

/// Lays routes out as text, a line for each next hop, in their order.
pub fn routes(routes: &[RouteReport]) -> String {
    let mut table = Columns::new(&["DESTINATION", "GATEWAY", "PORT", "ORIGIN", "STATE", "NEIGHBOUR"], &[]);
    for route in routes {
        let origin = match &route.protocol {
            Some(protocol) => format!("{}/{protocol}", route.origin),
            None => route.origin.clone(),
        };
        if route.hops.is_empty() {
            table.row([&*route.to, "nowhere", "-", &*origin, &*route.state, "-"].map(str::to_owned).into());
        }
        for hop in &route.hops {
            let gateway = hop.via.map_or_else(|| "-".to_owned(), |via| via.to_string());
            // Of a route that is taken, a next hop without a link is not.
            let state = if hop.usable { &*route.state } else { "down" };
            let neighbor = hop.via_state.as_deref().unwrap_or("-");
            let row = [&*route.to, &*gateway, &*hop.port, &*origin, state, neighbor];
            table.row(row.map(str::to_owned).into());
        }
    }
    lines(table, "no routes")
}

/// Ports with all that is counted of them.
pub(super) fn port_table(ports: &[PortReport]) -> Columns {
    let mut table = Columns::new(&["PORT", "DEVICE", "MAC", "LINK"], &[&["MTU"][..], &COUNTERS].concat());
    for port in ports {
        let mut row = vec![port.name.clone(), port.device.clone(), port.mac.clone(), link(port).to_owned()];
        row.push(port.mtu.to_string());
        row.extend(counters(port).map(|count| count.to_string()));
        table.row(row);
    }
    table
}

/// Neighbours.
pub(super) fn neighbor_table(neighbors: &[NeighborReport]) -> Columns {
    let mut table = Columns::new(&["NEIGHBOUR", "MAC", "PORT", "STATE"], &["CONFIRMED"]);
    for neighbor in neighbors {
        let mac = neighbor.mac.clone().unwrap_or_else(|| "-".to_owned());
        let age = neighbor.age_seconds.map_or_else(|| "-".to_owned(), |age| format!("{} ago", duration(age)));
        table.row(vec![neighbor.address.to_string(), mac, neighbor.port.clone(), neighbor.state.clone(), age]);
    }
    table
}

fn counters(port: &PortReport) -> [u64; 8] {
    let lost = &port.device_counters;
    let frames = [port.rx_frames, port.rx_octets, port.tx_frames, port.tx_octets];
    let [rx_frames, rx_octets, tx_frames, tx_octets] = frames;
    [rx_frames, rx_octets, tx_frames, tx_octets, lost.rx_missed, lost.rx_errors, lost.tx_errors, lost.no_mbuf]
}

fn link(port: &PortReport) -> &'static str {
    if port.link_up { "up" } else { "DOWN" }
}

fn some(addresses: &[String]) -> String {
    if addresses.is_empty() { "-".to_owned() } else { addresses.join(" ") }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::ctrl::api::HopReport;

    fn lan() -> PortState {
        let report = PortReport {
            name: "lan".to_owned(),
            device: "net_ring0".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            link_up: true,
            mtu: 1500,
            rx_frames: 70,
            tx_octets: 4000,
            ..PortReport::default()
        };
        PortState { report, addresses: vec!["10.0.0.1/24".to_owned(), "10.0.1.1/24".to_owned()] }
    }

    #[test]
    fn a_line_for_each_port() {
        let none = PortState { report: PortReport { name: "x".to_owned(), ..PortReport::default() }, ..lan() };
        let expected = "\
PORT  DEVICE     MAC                ADDRESSES                LINK   MTU  RX FRAMES  TX FRAMES
lan   net_ring0  02:00:00:00:00:01  10.0.0.1/24 10.0.1.1/24  up    1500         70          0
x                                   -                        DOWN     0          0          0
";
        assert_eq!(ports(&[lan(), PortState { addresses: Vec::new(), ..none }]), expected);
        assert_eq!(ports(&[]), "no ports\n");
    }

    #[test]
    fn a_line_for_each_thing_known_of_one_port() {
        let expected = "\
PORT       lan
DEVICE     net_ring0
MAC        02:00:00:00:00:01
ADDRESSES  10.0.0.1/24 10.0.1.1/24
LINK       up
MTU        1500
RX FRAMES  70
RX OCTETS  0
TX FRAMES  0
TX OCTETS  4000
MISSED     0
RX ERRORS  0
TX ERRORS  0
NO BUFFER  0
";
        assert_eq!(port(&lan()), expected);
    }

    #[test]
    fn a_line_for_each_neighbour_and_for_each_route() {
        let neighbor = NeighborReport {
            address: "10.0.0.2".parse().unwrap(),
            mac: Some("02:00:00:00:00:02".to_owned()),
            port: "lan".to_owned(),
            state: "reachable".to_owned(),
            age_seconds: Some(61),
        };
        let expected = "\
NEIGHBOUR  MAC                PORT  STATE      CONFIRMED
10.0.0.2   02:00:00:00:00:02  lan   reachable  1m 1s ago
";
        assert_eq!(neighbors(&[neighbor]), expected);
        let hop = |port: &str, via: Option<&str>, state: Option<&str>| HopReport {
            port: port.to_owned(),
            via: via.map(|via| via.parse().unwrap()),
            via_state: state.map(str::to_owned),
            weight: 1,
            usable: port != "wan",
        };
        let route = |to: &str, origin: &str, state: &str, hops: &[HopReport]| RouteReport {
            to: to.to_owned(),
            origin: origin.to_owned(),
            protocol: (origin == "kernel").then(|| "bird".to_owned()),
            metric: (origin == "kernel").then_some(32),
            state: state.to_owned(),
            hops: hops.to_vec(),
        };
        let (near, far) = (hop("lan", Some("10.0.0.9"), Some("stale")), hop("wan", Some("192.0.2.1"), None));
        let all = [
            route("0.0.0.0/0", "config", "active", &[near.clone(), far.clone()]),
            route("10.0.0.0/24", "connected", "active", &[hop("lan", None, None)]),
            route("10.0.0.0/24", "config", "standby", slice::from_ref(&near)),
            route("10.9.0.0/16", "config", "down", &[far]),
            route("172.16.0.0/12", "kernel", "active", &[]),
            route("172.16.9.0/24", "kernel", "active", &[near]),
        ];
        let expected = "\
DESTINATION    GATEWAY    PORT  ORIGIN       STATE    NEIGHBOUR
0.0.0.0/0      10.0.0.9   lan   config       active   stale
0.0.0.0/0      192.0.2.1  wan   config       down     -
10.0.0.0/24    -          lan   connected    active   -
10.0.0.0/24    10.0.0.9   lan   config       standby  stale
10.9.0.0/16    192.0.2.1  wan   config       down     -
172.16.0.0/12  nowhere    -     kernel/bird  active   -
172.16.9.0/24  10.0.0.9   lan   kernel/bird  active   stale
";
        assert_eq!(routes(&all), expected);
        assert_eq!((neighbors(&[]), routes(&[])), ("no neighbours\n".to_owned(), "no routes\n".to_owned()));
    }
}
