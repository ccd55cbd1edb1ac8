//! A connection that starts over and finds no place: it is counted as what it is.

mod support;

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use millrace::dataplane::conn::{Insert, Key, State, Table, Tick, Value};
use millrace::dataplane::service::{EndpointId, RealId};
use millrace::dataplane::stats::Outcome;
use support::*;

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);

/// Two services that share all their real servers, so that each connection has a link.
fn services(keys: &str, reals: &str) -> String {
    let service = |vip: u8, keys: &str, reals: &str| {
        format!("[[service]]\naddress = '203.0.113.{vip}:80'\nscheduler = 'rr'\n{keys}\nreal = [{reals}]\n")
    };
    let both = "{ address = '10.0.0.11' }, { address = '10.0.0.12' }";
    service(10, keys, reals) + &service(20, "", both)
}

/// Fills the table with open connections, which never give way.
fn fill(director: &Director) {
    let (table, now) = (&director.shared.table, Tick::at(director.now));
    let nobody = EndpointId(NonZeroU16::new(60_000).unwrap());
    let mut full = 0;
    for client in 0.. {
        let key = Key::new(client, 1, nobody);
        let open = Value::new(State::TCP_ESTABLISHED, now, RealId(9));
        full += u32::from(matches!(table.insert(key, table.hash(key), open), Insert::Full));
        if full == 300_000 {
            return;
        }
    }
}

#[test]
fn a_link_without_a_place_is_a_full_table() {
    for keys in ["", "persistence = { timeout = 60 }"] {
        let first = services(keys, "{ address = '10.0.0.11' }");
        let mut director = Director::with_table(&first, 1, Table::new(0, [3, 5, 7, 9]).unwrap());
        let syn = tcp(CLIENT, VIP, WAN_MAC, "S", b"");
        director.through(0, WAN, &syn, LAN);
        director.pass(1000);
        fill(&director);
        director.reload(&services(keys, "{ address = '10.0.0.12' }"));
        assert!(
            director.give(0, WAN, &syn).is_empty(),
            "its real server is gone, and its link to another has no place"
        );
        assert_eq!((director.count(Outcome::DropTableFull), director.count(Outcome::DropAmbiguous)), (1, 0), "{keys}");
        director.balanced();
    }
}
