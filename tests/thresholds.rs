//! A real server with as many connections as it may have takes no new ones, whoever schedules them.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::service::RealId;
use support::*;

const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);

fn client(port: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(198, 51, 100, 7), port)
}

fn file(first: &str, second: &str) -> String {
    format!(
        "[[service]]\naddress = '203.0.113.10:80'\nscheduler = 'rr'\n\
         real = [{{ address = '10.0.0.11', {first} }}, {{ address = '10.0.0.12', {second} }}]\n"
    )
}

fn connections(director: &Director) -> [u32; 2] {
    [1, 2].map(|real| {
        let connections = director.shared.counts.connections(RealId(real));
        connections.active + connections.inactive
    })
}

#[test]
fn connections_go_elsewhere_and_come_back() {
    let mut director = Director::new(&file("upper = 10, lower = 5", "upper = 30"), 2);
    for port in 0..60 {
        director.give(usize::from(port) % 2, WAN, &tcp(client(1000 + port), VIP, WAN_MAC, "S", b""));
    }
    assert_eq!(connections(&director), [10, 30]);
    assert_eq!(
        director.outcomes().iter().find(|(name, _)| *name == "answered_unreachable"),
        Some(&("answered_unreachable", 20))
    );

    // Four are reset: those end after 10 s, the others after a minute or more.
    let to_first: Vec<u16> = (0..60).filter(|port| port % 2 == 0 || *port < 20).map(|port| 1000 + port).collect();
    let mut reset = 0;
    for port in to_first {
        director.give(0, WAN, &tcp(client(port), VIP, WAN_MAC, "A", b""));
        let sent = director.give(0, WAN, &tcp(client(port), VIP, WAN_MAC, "RA", b""));
        reset += u32::from(sent.first().is_some_and(|(_, frame)| frame[5] == 0x0b));
        if reset == 4 {
            break;
        }
    }
    director.pass(15_000);
    let held = connections(&director);
    assert_eq!(held[0], 6);
    director.give(0, WAN, &tcp(client(5000), VIP, WAN_MAC, "S", b""));
    assert_eq!(connections(&director)[0], 6, "6 is not below the lower threshold");

    director.pass(60_000);
    assert_eq!(connections(&director)[0], 0);
    for port in 0..10 {
        director.give(0, WAN, &tcp(client(6000 + port), VIP, WAN_MAC, "S", b""));
    }
    assert_eq!(connections(&director)[0], 5, "it takes its turns again");
    director.balanced();
}

#[test]
fn a_threshold_may_come_and_go_with_the_file() {
    let mut director = Director::new(&file("weight = 1", "weight = 0"), 1);
    let mut port = 1000;
    let mut open = |director: &mut Director, count: u16| {
        for _ in 0..count {
            port += 1;
            director.give(0, WAN, &tcp(client(port), VIP, WAN_MAC, "S", b""));
        }
        connections(director)[0]
    };
    assert_eq!(open(&mut director, 20), 20);
    director.applier.apply(&config(&file("upper = 20", "weight = 0")), director.now).unwrap();
    assert_eq!(open(&mut director, 5), 20);
    director.applier.apply(&config(&file("upper = 26", "weight = 0")), director.now).unwrap();
    assert_eq!(open(&mut director, 5), 20, "three quarters of the new one are less than it has");
    director.applier.apply(&config(&file("upper = 27", "weight = 0")), director.now).unwrap();
    assert_eq!(open(&mut director, 10), 27, "and of this one more");
    director.applier.apply(&config(&file("upper = 23", "weight = 0")), director.now).unwrap();
    assert_eq!(open(&mut director, 5), 27);
    director.applier.apply(&config(&file("weight = 1", "weight = 0")), director.now).unwrap();
    assert_eq!(open(&mut director, 5), 32);
    director.applier.apply(&config(&file("upper = 40", "weight = 0")), director.now).unwrap();
    assert_eq!(open(&mut director, 5), 37, "what was without one is not overloaded");
    director.balanced();
}
