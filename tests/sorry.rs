//! The sorry server: it has new connections while no real server takes any, and those it has until they end.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::stats::Outcome;
use support::*;

const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);
const FIRST: u8 = 0x0b;
const SORRY: u8 = 0x0c;

fn client(port: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(198, 51, 100, 7), port)
}

fn file(keys: &str, real: &str) -> String {
    format!(
        "[[service]]\naddress = '203.0.113.10:80'\n{keys}\nsorry_server = {{ address = '10.0.0.12' }}\n\
         real = [{{ address = '10.0.0.11', {real} }}]\n"
    )
}

/// Which station a TCP segment is sent to, by its Ethernet address.
fn to(director: &mut Director, port: u16, flags: &str) -> u8 {
    director.through(usize::from(port % 2), WAN, &tcp(client(port), VIP, WAN_MAC, flags, b""), LAN)[5]
}

#[test]
fn every_scheduler_leaves_new_connections_to_it_while_all_are_drained() {
    for scheduler in ["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "twos", "dh", "sh", "mh", "lblc", "lblcr"] {
        for forwarding in ["nat", "tunnel", "direct"] {
            let with = |weight: u16| {
                file(&format!("scheduler = '{scheduler}'\nforwarding = '{forwarding}'"), &format!("weight = {weight}"))
            };
            let mut director = Director::new(&with(5), 2);
            assert_eq!([to(&mut director, 1000, "S"), to(&mut director, 1001, "S")], [FIRST; 2], "{scheduler}");
            director.reload(&with(0));
            assert_eq!([to(&mut director, 2000, "S"), to(&mut director, 2001, "S")], [SORRY; 2], "{scheduler}");
            assert_eq!(to(&mut director, 1000, "A"), FIRST, "what is open goes on");
            director.reload(&with(5));
            assert_eq!([to(&mut director, 3000, "S"), to(&mut director, 3001, "S")], [FIRST; 2], "{scheduler}");
            assert_eq!([to(&mut director, 2000, "A"), to(&mut director, 2000, "FA")], [SORRY; 2]);
            assert_eq!(director.count(Outcome::DropNoRealServer), 0);
            director.balanced();
        }
    }
}

#[test]
fn its_answers_by_nat_come_from_the_vip() {
    let mut director = Director::new(&file("", "weight = 0"), 2);
    let sent = director.through(0, WAN, &tcp(client(1000), VIP, WAN_MAC, "S", b""), LAN);
    let sorry = sockets(&sent).1;
    assert_eq!(sorry, (Ipv4Addr::new(10, 0, 0, 12), 80));
    let answer = director.through(1, LAN, &tcp(sorry, client(1000), LAN_MAC, "SA", b""), WAN);
    assert_eq!(sockets(&answer), (VIP, client(1000)));
}

#[test]
fn several_services_may_share_one() {
    let two = file("", "weight = 0") + &file("", "weight = 0").replace("113.10", "113.20");
    let mut director = Director::new(&two, 1);
    let other = (Ipv4Addr::new(203, 0, 113, 20), 80);
    let sorry = (Ipv4Addr::new(10, 0, 0, 12), 80);
    for (port, vip) in [(1000, VIP), (1001, other)] {
        director.through(0, WAN, &tcp(client(port), vip, WAN_MAC, "S", b""), LAN);
        let answer = director.through(0, LAN, &tcp(sorry, client(port), LAN_MAC, "SA", b""), WAN);
        assert_eq!(sockets(&answer).0, vip);
    }
    // The same client's port at both: the answers could not be told apart, and there is no other sorry server.
    assert!(director.give(0, WAN, &tcp(client(1000), other, WAN_MAC, "S", b"")).is_empty());
    assert_eq!(director.count(Outcome::DropAmbiguous), 1);
}

#[test]
fn it_takes_over_when_all_are_over_their_thresholds() {
    for scheduler in ["rr", "wrr", "wlc", "mh"] {
        let mut director = Director::new(&file(&format!("scheduler = '{scheduler}'"), "upper = 2, lower = 2"), 2);
        let servers: Vec<u8> = (1000..1004).map(|port| to(&mut director, port, "S")).collect();
        assert_eq!(servers, [FIRST, FIRST, SORRY, SORRY], "{scheduler}");
        assert_eq!([to(&mut director, 1000, "A"), to(&mut director, 1000, "R")], [FIRST; 2]);
        director.pass(12_000);
        director.quiet();
        assert_eq!([to(&mut director, 1004, "S"), to(&mut director, 1005, "S")], [FIRST, SORRY], "{scheduler}");
    }
}

#[test]
fn a_hash_without_fallback_refuses_as_long_as_another_server_is_up() {
    let with = |first: u16, flags: &str| {
        format!(
            "[[service]]\naddress = '203.0.113.10:80'\nscheduler = 'sh'\nforwarding = 'direct'\nno_server = 'drop'\n{flags}\n\
             sorry_server = {{ address = '10.0.0.99' }}\n[[neighbor]]\naddress = '10.0.0.99'\nmac = '02:00:00:00:01:63'\n"
        ) .replace("[[neighbor]]", &format!(
            "real = [{{ address = '10.0.0.11', weight = {first} }}, {{ address = '10.0.0.12' }}]\n[[neighbor]]"
        ))
    };
    let visit = |director: &mut Director, host: u8| -> Option<u8> {
        let from = (Ipv4Addr::new(198, 51, 100, host), 1000);
        director.give(0, WAN, &tcp(from, VIP, WAN_MAC, "S", b"")).first().map(|(_, frame)| frame[5])
    };
    let mut director = Director::new(&with(1, ""), 1);
    let mine = (1..100).find(|host| visit(&mut director, *host) == Some(FIRST)).unwrap();
    for (flags, expected) in [("", None), ("scheduler_flags = ['sh-fallback']", Some(0x0c))] {
        let mut director = Director::new(&with(0, flags), 1);
        assert_eq!(visit(&mut director, mine), expected);
        director.reload(&with(0, flags).replace("'10.0.0.12'", "'10.0.0.12', weight = 0"));
        assert_eq!(visit(&mut director, mine.wrapping_add(100)), Some(0x63), "now nobody is");
    }
}

#[test]
fn persistence_keeps_nobody_there() {
    let with = |weight: u16| file("scheduler = 'rr'\npersistence = { timeout = 3600 }", &format!("weight = {weight}"));
    let mut director = Director::new(&with(0), 2);
    assert_eq!([to(&mut director, 1000, "S"), to(&mut director, 1001, "S")], [SORRY; 2]);
    director.reload(&with(1));
    assert_eq!([to(&mut director, 1002, "S"), to(&mut director, 1000, "A")], [FIRST, SORRY]);
    // The template that the pool's connection made leads to a drained server, as ever.
    director.reload(&with(0));
    assert_eq!(to(&mut director, 1003, "S"), FIRST);
    director.balanced();
}

#[test]
fn a_real_server_may_become_it_and_the_other_way_round() {
    let pool = "[[service]]\naddress = '203.0.113.10:80'\nscheduler = 'rr'\npersistence = {}\nreal = [{ address = '10.0.0.12' }]\n";
    let mut director = Director::new(pool, 2);
    assert_eq!(to(&mut director, 1000, "S"), SORRY, "for now a real server");
    director.reload(&file("scheduler = 'rr'\npersistence = {}", "weight = 1"));
    assert_eq!([to(&mut director, 1000, "A"), to(&mut director, 1001, "S")], [SORRY, FIRST], "its template is void");
    director.reload(pool);
    assert_eq!([to(&mut director, 1000, "A"), to(&mut director, 1002, "S")], [SORRY; 2]);
    director.balanced();
}
