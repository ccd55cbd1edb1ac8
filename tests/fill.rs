//! What the director says about the fill of its tables.

mod support;

use std::net::Ipv4Addr;

use millrace::ctrl::accounts::Accounts;
use millrace::ctrl::api::DeviceReport;
use millrace::ctrl::health::book::Book;
use millrace::ctrl::survey::Survey;
use support::*;

const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);
const EVERY_PORT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);

const SERVICES: &str = "\
[[service]]
address = '203.0.113.10:80'
persistence = { timeout = 60 }
real = [{ address = '10.0.0.11' }]
[[service]]
address = '203.0.113.20:0'
forwarding = 'direct'
real = [{ address = '10.0.0.12' }]
";

/// What each table holds: connections, those to services of every port, templates.
fn used(director: &Director) -> [u64; 3] {
    let (snapshot, config) = (director.applier.viewer().current(), config(SERVICES));
    let (shared, accounts) = (&director.shared, Accounts::default());
    let survey = Survey {
        shared,
        snapshot: &snapshot,
        config: &config,
        accounts: &accounts,
        health: &Book::default(),
        now: director.now,
    };
    let connections = survey.report(|_| DeviceReport::default()).connections;
    let used = connections.tables.iter().map(|table| table.used).collect::<Vec<_>>();
    assert_eq!(connections.active + connections.inactive, used[0] + used[1]);
    assert_eq!(connections.tables.iter().map(|table| table.max).collect::<Vec<_>>(), [1_000_000, 100_000, 100_000]);
    used.try_into().unwrap()
}

#[test]
fn each_table_is_told_apart() {
    let mut director = Director::new(SERVICES, 2);
    assert_eq!(used(&director), [0; 3]);
    let client = |port| (Ipv4Addr::new(198, 51, 100, 7), port);
    for port in 1000..1005 {
        director.give(usize::from(port % 2), WAN, &tcp(client(port), VIP, WAN_MAC, "S", b""));
    }
    for port in 1000..1007 {
        director.give(usize::from(port % 2), WAN, &tcp(client(port), (EVERY_PORT, 5000 + port), WAN_MAC, "S", b""));
    }
    assert_eq!(used(&director), [5, 7, 1]);
    director.pass(300_000);
    assert_eq!(used(&director), [0; 3]);
}
