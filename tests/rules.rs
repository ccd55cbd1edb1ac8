//! Which packets open a connection and which let one start over, row by row of the table in `dataplane::rules`.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::stats::Outcome;
use support::*;

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);

/// A service of two real servers, the first of which has this weight; none: it is not there.
fn file(rules: &str, protocol: &str, forwarding: &str, first: Option<u16>) -> String {
    let first = first.map_or_else(String::new, |weight| format!("{{ address = '10.0.0.11', weight = {weight} }}, "));
    format!(
        "[ipvs]\n{rules}\n[[service]]\naddress = '203.0.113.10:80'\nprotocol = '{protocol}'\nscheduler = 'rr'\n\
         forwarding = '{forwarding}'\nreal = [{first}{{ address = '10.0.0.12' }}]\n"
    )
}

fn apply(director: &mut Director, file: &str) {
    director.applier.apply(&config(file), director.now).unwrap();
}

/// Which of the two real servers a client's TCP segment is sent to, by its Ethernet address; or how it ended.
fn to(director: &mut Director, flags: &str) -> Result<u8, &'static str> {
    send(director, &tcp(CLIENT, VIP, WAN_MAC, flags, b""))
}

fn send(director: &mut Director, frame: &[u8]) -> Result<u8, &'static str> {
    let before = director.outcomes();
    let sent = director.give(0, WAN, frame);
    let ended = director.outcomes().into_iter().find(|now| !before.contains(now)).map(|(name, _)| name).unwrap();
    match &sent[..] {
        [(LAN, bytes)] => Ok(bytes[5]),
        [] => Err(ended),
        other => panic!("{other:02x?}"),
    }
}

const FIRST: u8 = 0x0b;
const SECOND: u8 = 0x0c;

#[test]
fn what_opens_a_connection() {
    for (rules, flags, opens) in [
        ("", "S", true),
        ("", "SA", false),
        ("", "A", false),
        ("", "FA", false),
        ("", "R", false),
        ("sloppy_tcp = 1", "S", true),
        ("sloppy_tcp = 1", "A", true),
        ("sloppy_tcp = 1", "PA", true),
        ("sloppy_tcp = 1", "FA", true),
        ("sloppy_tcp = 1", "RA", false),
    ] {
        let mut director = Director::new(&file(rules, "tcp", "nat", Some(1)), 1);
        let expected = if opens { Ok(FIRST) } else { Err("drop_no_connection") };
        assert_eq!(to(&mut director, flags), expected, "{rules}: {flags}");
    }
}

#[test]
fn a_stream_taken_up_in_the_middle_goes_on_as_established() {
    let mut director = Director::new(&file("sloppy_tcp = 1", "tcp", "direct", Some(1)), 1);
    assert_eq!(to(&mut director, "A"), Ok(FIRST));
    director.pass(880_000);
    assert_eq!(to(&mut director, "A"), Ok(FIRST), "15 minutes, not the 2 s of a connection without a state");
}

/// Brings a connection to the first real server into a state.
fn bring(director: &mut Director, flags: &[&str]) {
    for each in flags {
        assert_eq!(to(director, each), Ok(FIRST), "{each}");
    }
}

#[test]
fn a_syn_on_a_connection_that_ended() {
    for (rules, forwarding, flags, expected) in [
        ("", "nat", &["S", "A", "R"][..], SECOND),
        ("", "direct", &["S", "A", "R"], SECOND),
        ("conn_reuse_mode = 0", "nat", &["S", "A", "R"], FIRST),
        ("conn_reuse_mode = 2", "nat", &["S", "A", "R"], SECOND),
        ("conn_reuse_mode = 1", "direct", &["S", "A", "FA"], FIRST),
        ("conn_reuse_mode = 2", "direct", &["S", "A", "FA"], SECOND),
        ("conn_reuse_mode = 3", "direct", &["S", "A", "FA"], SECOND),
        ("conn_reuse_mode = 3", "nat", &["S", "A", "FA"], FIRST),
        ("", "nat", &["S", "A"], FIRST),
        ("", "nat", &["S"], FIRST),
    ] {
        let mut director = Director::new(&file(rules, "tcp", forwarding, Some(1)), 1);
        bring(&mut director, flags);
        assert_eq!(to(&mut director, "S"), Ok(expected), "{rules}, {forwarding}: SYN after {flags:?}");
        director.balanced();
    }
}

#[test]
fn a_syn_to_a_drained_server() {
    for (rules, expected) in [("", FIRST), ("expire_nodest_conn = 1", SECOND)] {
        let mut director = Director::new(&file(rules, "tcp", "nat", Some(1)), 1);
        bring(&mut director, &["S", "A"]);
        apply(&mut director, &file(rules, "tcp", "nat", Some(0)));
        assert_eq!(to(&mut director, "A"), Ok(FIRST), "what is open goes on");
        assert_eq!(to(&mut director, "S"), Ok(expected), "{rules}");
    }
}

#[test]
fn connections_of_a_removed_server_wait_for_it_or_end() {
    for (rules, back) in [("", Ok(FIRST)), ("expire_nodest_conn = 1", Err("drop_no_connection"))] {
        let mut director = Director::new(&file(rules, "tcp", "nat", Some(1)), 1);
        bring(&mut director, &["S", "A"]);
        director.pass(1000);
        apply(&mut director, &file(rules, "tcp", "nat", None));
        assert_eq!(to(&mut director, "A"), Err("drop_real_server_removed"));
        apply(&mut director, &file(rules, "tcp", "nat", Some(1)));
        assert_eq!(to(&mut director, "A"), back, "{rules}");
        let held: u32 = (1..9)
            .map(|real| director.shared.counts.connections(millrace::dataplane::service::RealId(real)).active)
            .sum();
        assert_eq!(held, u32::from(back.is_ok()), "{rules}");
    }
    let mut director = Director::new(&file("", "tcp", "nat", Some(1)), 1);
    bring(&mut director, &["S", "A"]);
    apply(&mut director, &file("", "tcp", "nat", None));
    assert_eq!(to(&mut director, "S"), Ok(SECOND), "a client that begins anew is served");
}

#[test]
fn datagrams_of_a_removed_server() {
    for (rules, expected) in [("", Err("drop_real_server_removed")), ("expire_nodest_conn = 1", Ok(SECOND))] {
        let mut director = Director::new(&file(rules, "udp", "nat", Some(1)), 1);
        let datagram = udp(CLIENT, VIP, WAN_MAC, b"?");
        assert_eq!(send(&mut director, &datagram), Ok(FIRST));
        apply(&mut director, &file(rules, "udp", "nat", None));
        assert_eq!(send(&mut director, &datagram), expected, "{rules}");
        assert_eq!(director.count(Outcome::DropNoRealServer), 0);
    }
}
