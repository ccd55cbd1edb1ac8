//! SCTP through the whole data plane: the ways of an association, which packets open one, which let one start over, and
//! how long each state lasts.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::service::RealId;
use support::*;

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 3868);

const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;

const FIRST: u8 = 0x0b;
const SECOND: u8 = 0x0c;

/// A service of two real servers, the first of which has this weight; none: it is not there.
fn file(rules: &str, forwarding: &str, first: Option<u16>) -> String {
    let port = if forwarding == "nat" { ":2905" } else { "" };
    let first =
        first.map_or_else(String::new, |weight| format!("{{ address = '10.0.0.11{port}', weight = {weight} }}, "));
    format!(
        "[ipvs]\n{rules}\n[[service]]\naddress = '203.0.113.10:3868'\nprotocol = 'sctp'\nscheduler = 'rr'\n\
         forwarding = '{forwarding}'\nreal = [{first}{{ address = '10.0.0.12{port}' }}]\n"
    )
}

fn apply(director: &mut Director, file: &str) {
    director.applier.apply(&config(file), director.now).unwrap();
}

/// Which of the two real servers a client's packet is sent to, by its Ethernet address; or how it ended.
fn to(director: &mut Director, chunk: u8) -> Result<u8, &'static str> {
    send(director, &sctp(CLIENT, VIP, WAN_MAC, &[(chunk, 16)]))
}

fn send(director: &mut Director, frame: &[u8]) -> Result<u8, &'static str> {
    let before = director.outcomes();
    let sent = director.give(0, WAN, frame);
    let ended = director.outcomes().into_iter().find(|now| !before.contains(now)).map(|(name, _)| name).unwrap();
    match &sent[..] {
        [(LAN, bytes)] => {
            verify(bytes);
            Ok(bytes[5])
        }
        [] => Err(ended),
        other => panic!("{other:02x?}"),
    }
}

/// The first real server's packet to the client comes out as the service's.
fn answer(director: &mut Director, chunk: u8) {
    let from = (Ipv4Addr::new(10, 0, 0, 11), 2905);
    let sent = director.through(0, LAN, &sctp(from, CLIENT, LAN_MAC, &[(chunk, 5)]), WAN);
    assert_eq!(sent[34..], sctp(VIP, CLIENT, LAN_MAC, &[(chunk, 5)])[34..]);
    assert_eq!(sent[26..34], [203, 0, 113, 10, 198, 51, 100, 7]);
}

/// How many active and inactive connections the first real server that has any has.
fn counts(director: &Director) -> (u32, u32) {
    let of = |id| director.shared.counts.connections(RealId(id));
    (1..9).map(of).map(|held| (held.active, held.inactive)).find(|held| *held != (0, 0)).unwrap_or_default()
}

fn bring(director: &mut Director, chunks: &[u8]) {
    for chunk in chunks {
        assert_eq!(to(director, *chunk), Ok(FIRST), "{chunk}");
    }
}

#[test]
fn an_association_by_nat_from_init_to_shutdown_complete() {
    let mut director = Director::new(&file("", "nat", Some(1)), 1);
    assert_eq!(to(&mut director, INIT), Ok(FIRST));
    answer(&mut director, INIT_ACK);
    bring(&mut director, &[COOKIE_ECHO]);
    assert_eq!(counts(&director), (0, 1));
    answer(&mut director, COOKIE_ACK);
    bring(&mut director, &[DATA]);
    answer(&mut director, DATA);
    assert_eq!(counts(&director), (1, 0), "only ESTABLISHED is active");
    bring(&mut director, &[SHUTDOWN]);
    answer(&mut director, SHUTDOWN_ACK);
    bring(&mut director, &[SHUTDOWN_COMPLETE]);
    assert_eq!(counts(&director), (0, 1));
    director.pass(62_500);
    assert_eq!(counts(&director), (0, 0), "61 s in CLOSED");
    director.balanced();
}

#[test]
fn the_director_leaves_a_packet_it_does_not_translate_alone() {
    for forwarding in ["direct", "tunnel"] {
        let mut director = Director::new(&file("", forwarding, Some(1)), 1);
        if forwarding == "tunnel" {
            director.quiet();
        }
        let init = sctp(CLIENT, VIP, WAN_MAC, &[(INIT, 16)]);
        let sent = director.through(0, WAN, &init, LAN);
        assert!(sent.ends_with(&init[34..]), "{forwarding}");
        bring(&mut director, &[COOKIE_ECHO]);
        assert_eq!(counts(&director), (1, 0), "{forwarding}: established by the client's cookie");
    }
}

#[test]
fn what_opens_a_connection() {
    for chunk in 0..=16 {
        for (rules, opens) in [("", chunk == INIT), ("sloppy_sctp = 1", chunk != ABORT)] {
            let mut director = Director::new(&file(rules, "nat", Some(1)), 1);
            let expected = if opens { Ok(FIRST) } else { Err("drop_no_connection") };
            assert_eq!(to(&mut director, chunk), expected, "{rules}: {chunk}");
        }
    }
    let mut director = Director::new(&file("sloppy_sctp = 1", "nat", Some(1)), 1);
    let refused = sctp(CLIENT, VIP, WAN_MAC, &[(COOKIE_ECHO, 7), (ABORT, 0)]);
    assert_eq!(send(&mut director, &refused), Err("drop_no_connection"));
}

#[test]
fn an_association_taken_up_in_the_middle_goes_on_as_established() {
    let mut director = Director::new(&file("sloppy_sctp = 1", "nat", Some(1)), 1);
    bring(&mut director, &[DATA]);
    assert_eq!(counts(&director), (1, 0));
    director.pass(880_000);
    bring(&mut director, &[DATA]);
}

#[test]
fn an_init_on_an_association_that_ended() {
    for (rules, forwarding, chunks, expected) in [
        ("", "nat", &[INIT, ABORT][..], SECOND),
        ("", "direct", &[INIT, COOKIE_ECHO, ABORT], SECOND),
        ("conn_reuse_mode = 0", "nat", &[INIT, ABORT], FIRST),
        ("", "nat", &[INIT, COOKIE_ECHO], FIRST),
        ("", "direct", &[INIT, COOKIE_ECHO, SHUTDOWN], FIRST),
        ("", "nat", &[INIT], FIRST),
    ] {
        let mut director = Director::new(&file(rules, forwarding, Some(1)), 1);
        bring(&mut director, chunks);
        assert_eq!(to(&mut director, INIT), Ok(expected), "{rules}, {forwarding}: INIT after {chunks:?}");
        director.balanced();
    }
}

#[test]
fn an_init_that_was_rejected_is_tried_again_at_the_same_server() {
    let mut director = Director::new(&file("", "nat", Some(1)), 1);
    bring(&mut director, &[INIT]);
    answer(&mut director, ABORT);
    bring(&mut director, &[INIT]);
}

#[test]
fn an_init_to_a_drained_server() {
    for (rules, expected) in [("", FIRST), ("expire_nodest_conn = 1", SECOND)] {
        let mut director = Director::new(&file(rules, "nat", Some(1)), 1);
        bring(&mut director, &[INIT, COOKIE_ECHO]);
        apply(&mut director, &file(rules, "nat", Some(0)));
        assert_eq!(to(&mut director, DATA), Ok(FIRST), "what is open goes on");
        assert_eq!(to(&mut director, INIT), Ok(expected), "{rules}");
    }
}

#[test]
fn associations_of_a_removed_server_wait_for_it_or_end() {
    for (rules, back) in [("", Ok(FIRST)), ("expire_nodest_conn = 1", Err("drop_no_connection"))] {
        let mut director = Director::new(&file(rules, "nat", Some(1)), 1);
        bring(&mut director, &[INIT, COOKIE_ECHO]);
        director.pass(1000);
        apply(&mut director, &file(rules, "nat", None));
        assert_eq!(to(&mut director, DATA), Err("drop_real_server_removed"));
        apply(&mut director, &file(rules, "nat", Some(1)));
        assert_eq!(to(&mut director, DATA), back, "{rules}");
    }
    let mut director = Director::new(&file("", "nat", Some(1)), 1);
    bring(&mut director, &[INIT, COOKIE_ECHO]);
    apply(&mut director, &file("", "nat", None));
    assert_eq!(to(&mut director, INIT), Ok(SECOND), "a client that begins anew is served");
}

#[test]
fn every_state_lasts_as_long_as_ipvs_has_it() {
    for (forwarding, chunks, seconds) in [
        ("nat", &[INIT][..], 4),
        ("nat", &[INIT, INIT], 61),
        ("nat", &[INIT, ABORT], 61),
        ("direct", &[INIT, COOKIE_ECHO], 900),
        ("direct", &[INIT, COOKIE_ECHO, SHUTDOWN], 61),
    ] {
        let mut director = Director::new(&file("", forwarding, Some(1)), 1);
        bring(&mut director, chunks);
        director.pass(seconds * 1000);
        assert_ne!(counts(&director), (0, 0), "{forwarding} {chunks:?}");
        director.pass(1500);
        assert_eq!(counts(&director), (0, 0), "{forwarding} {chunks:?}");
    }
    let mut director = Director::new(&file("", "nat", Some(1)), 1);
    bring(&mut director, &[INIT]);
    answer(&mut director, ABORT);
    director.pass(5500);
    assert_eq!(counts(&director), (0, 0), "REJECTED");
}
