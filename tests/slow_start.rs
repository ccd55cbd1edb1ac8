//! Slow start: a real server that returns gets its share little by little, and nothing else changes meanwhile.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::service::{EndpointId, RealId};
use millrace::dataplane::snapshot::Snapshot;
use support::*;

const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);
const FIRST: u8 = 0x0b;
const SECOND: u8 = 0x0c;

fn file(keys: &str, weights: &[u16]) -> String {
    let reals: Vec<_> = weights
        .iter()
        .zip(11..)
        .map(|(weight, n)| format!("{{ address = '10.0.0.{n}', weight = {weight} }}"))
        .collect();
    format!("[[service]]\naddress = '203.0.113.10:80'\nforwarding = 'direct'\n{keys}\nreal = [{}]\n", reals.join(", "))
}

/// Opens a connection and resets it, and returns its real server.
fn visit(director: &mut Director, n: u32) -> u8 {
    let from = (Ipv4Addr::from_bits(0x0b00_0000 + n / 50_000), 1024 + (n % 50_000) as u16);
    let server = director.through(0, WAN, &tcp(from, VIP, WAN_MAC, "S", b""), LAN)[5];
    director.through(0, WAN, &tcp(from, VIP, WAN_MAC, "R", b""), LAN);
    server
}

/// What part of so many new connections the second real server gets.
fn share(director: &mut Director, from: u32, count: u32) -> f64 {
    let second = (from..from + count).filter(|n| visit(director, *n) == SECOND).count();
    second as f64 / f64::from(count)
}

/// Lets time pass as control sees it.
fn pass(director: &mut Director, seconds: u64) {
    for _ in 0..seconds {
        director.pass(1000);
        director.applier.tend(director.now);
    }
    director.poll();
    director.quiet();
}

fn look<T>(director: &Director, of: impl Fn(&Snapshot) -> T) -> T {
    of(&director.applier.viewer().current())
}

fn weights(director: &Director) -> Vec<u16> {
    look(director, |snapshot| {
        let service = snapshot.services.iter().flatten().next().unwrap();
        service.reals.iter().map(|real| real.weight).collect()
    })
}

#[test]
fn a_server_that_is_added_grows_to_its_share() {
    let keys = "scheduler = 'wrr'\nslow_start = '20s'";
    let mut director = Director::new(&file(keys, &[3]), 1);
    visit(&mut director, 0);
    director.reload(&file(keys, &[3, 1]));
    assert!(share(&mut director, 1000, 300) < 0.01);
    let mut grown = 0.0;
    for step in 1..=10 {
        pass(&mut director, 2);
        let share = share(&mut director, step * 5000, 1000);
        assert!(share >= grown, "step {step}: {share} after {grown}");
        let expected = f64::from(step) / 10.0 / (3.0 + f64::from(step) / 10.0);
        assert!((share - expected).abs() < 0.02, "step {step}: {share}, not {expected}");
        grown = share;
    }
    assert_eq!(weights(&director), [3, 1], "as configured again");
    director.balanced();
}

#[test]
fn one_whose_weight_was_0_returns() {
    let keys = "scheduler = 'wlc'\nslow_start = '10s'";
    let mut director = Director::new(&file(keys, &[1, 1]), 1);
    assert_eq!(weights(&director), [1, 1], "at the start nobody returns");
    director.reload(&file(keys, &[1, 0]));
    pass(&mut director, 30);
    director.reload(&file(keys, &[1, 1]));
    assert_eq!(weights(&director), [100, 1]);
    pass(&mut director, 5);
    assert_eq!(weights(&director), [100, 50]);
    // Drained and back: from the start.
    director.reload(&file(keys, &[1, 0]));
    assert_eq!(weights(&director), [1, 0]);
    director.reload(&file(keys, &[1, 1]));
    assert_eq!(weights(&director), [100, 1]);
    // Another change of weights is no return, and another time applies at once.
    pass(&mut director, 4);
    director.reload(&file(keys, &[2, 1]));
    assert_eq!(weights(&director), [200, 40]);
    director.reload(&file("scheduler = 'wlc'\nslow_start = '40s'", &[2, 1]));
    assert_eq!(weights(&director), [200, 10]);
    director.reload(&file("scheduler = 'wlc'", &[2, 1]));
    assert_eq!(weights(&director), [2, 1]);
}

#[test]
fn a_real_server_may_have_a_time_of_its_own() {
    let keys = "scheduler = 'wlc'\nslow_start = '10s'";
    let own = |time: &str| {
        file(keys, &[1, 1]).replace("'10.0.0.12', weight = 1", &format!("'10.0.0.12', slow_start = '{time}'"))
    };
    for (time, expected) in [("0s", vec![1, 1]), ("50s", vec![100, 10])] {
        let mut director = Director::new(&file(keys, &[1]), 1);
        director.reload(&own(time));
        pass(&mut director, 5);
        assert_eq!(weights(&director), expected, "{time}");
    }
}

#[test]
fn new_services_and_other_methods_are_no_return() {
    let keys = "scheduler = 'wlc'\nslow_start = '10s'";
    let mut director = Director::new("", 1);
    director.reload(&file(keys, &[1, 1]));
    assert_eq!(weights(&director), [1, 1]);
    director.reload(&file(keys, &[1, 1]).replace("direct", "nat"));
    assert_eq!(weights(&director), [1, 1]);
}

#[test]
fn only_the_service_concerned_is_made_anew() {
    let other = |n: u8| file("scheduler = 'mh'", &[1, 2]).replace("113.10", &format!("113.{n}"));
    let with = |weights: &[u16]| file("scheduler = 'wlc'\nslow_start = '10s'", weights) + &other(11) + &other(12);
    let mut director = Director::new(&with(&[1]), 1);
    director.reload(&with(&[1, 1]));
    let seen = |director: &Director| {
        look(director, |snapshot| {
            let services = snapshot.services.iter().flatten();
            let seen = services.map(|service| (service.id, service.version, format!("{:?}", service.plan).len()));
            (snapshot.generation, seen.collect::<Vec<(EndpointId, u32, usize)>>())
        })
    };
    let (generation, before) = seen(&director);
    pass(&mut director, 5);
    let (after, now) = seen(&director);
    assert_eq!((after, &now), (generation + 5, &before), "a step a second, and no turn begins anew");
    assert_eq!(weights(&director), [100, 50]);
    pass(&mut director, 60);
    assert_eq!(seen(&director).0, generation + 10, "and none when there is nothing to publish");
}

#[test]
fn connections_stay_where_they_are() {
    let keys = "scheduler = 'wlc'\nslow_start = '30s'";
    let mut director = Director::new(&file(keys, &[1, 1]), 2);
    let clients: Vec<_> = (1..40).map(|host| (Ipv4Addr::new(198, 51, 100, host), 1000)).collect();
    let packet = |from, flags: &str| tcp(from, VIP, WAN_MAC, flags, b"");
    let first: Vec<u8> = clients.iter().map(|from| director.through(0, WAN, &packet(*from, "S"), LAN)[5]).collect();
    director.reload(&file(keys, &[1, 0]));
    director.reload(&file(keys, &[1, 5]));
    for _ in 0..35 {
        pass(&mut director, 1);
        let now: Vec<u8> = clients.iter().map(|from| director.through(1, WAN, &packet(*from, "A"), LAN)[5]).collect();
        assert_eq!(now, first);
    }
    assert!(first.contains(&FIRST) && first.contains(&SECOND));
    let held = |real| director.shared.counts.connections(RealId(real)).active;
    assert_eq!(held(1) + held(2), 39);
}
