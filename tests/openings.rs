//! What becomes of the openings of TCP connections, counted for their real servers where answers pass.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::service::RealId;
use support::*;

type Socket = (Ipv4Addr, u16);

const VIP: Socket = (Ipv4Addr::new(203, 0, 113, 10), 80);
const SERVER: Socket = (Ipv4Addr::new(10, 0, 0, 11), 8080);

fn service(keys: &str) -> String {
    format!("[[service]]\naddress = '203.0.113.10:80'\n{keys}\nreal = [{{ address = '10.0.0.11:8080' }}]\n")
}

fn client(port: u16) -> Socket {
    (Ipv4Addr::new(198, 51, 100, 7), port)
}

/// A frame of a client's, whatever becomes of it.
fn says(director: &mut Director, worker: usize, port: u16, flags: &str) {
    director.give(worker, WAN, &tcp(client(port), VIP, WAN_MAC, flags, b""));
}

/// One of the real server's.
fn answers(director: &mut Director, worker: usize, port: u16, flags: &str) {
    director.give(worker, LAN, &tcp(SERVER, client(port), LAN_MAC, flags, b""));
}

/// Answered, refused, unanswered, reset.
fn counted(director: &Director) -> [u64; 4] {
    let mut sum = [0; 4];
    for id in 1..8 {
        let openings = director.shared.workers.iter().map(|worker| &worker.openings[RealId(id).index()]);
        for one in openings {
            for (sum, counter) in sum.iter_mut().zip([&one.answered, &one.refused, &one.unanswered, &one.reset]) {
                *sum += counter.get();
            }
        }
    }
    sum
}

#[test]
fn each_opening_counts_once() {
    for workers in [1, 2] {
        // The answer may come to another worker.
        let (mut director, other) = (Director::new(&service(""), workers), workers - 1);
        says(&mut director, 0, 1, "S");
        assert_eq!(counted(&director), [0; 4]);
        answers(&mut director, other, 1, "SA");
        assert_eq!(counted(&director), [1, 0, 0, 0]);
        answers(&mut director, other, 1, "SA");
        says(&mut director, 0, 1, "A");
        answers(&mut director, other, 1, "AP");
        says(&mut director, 0, 1, "FA");
        answers(&mut director, other, 1, "FA");
        director.pass(200_000);
        assert_eq!(counted(&director), [1, 0, 0, 0]);

        says(&mut director, 0, 2, "S");
        answers(&mut director, other, 2, "RA");
        director.pass(200_000);
        assert_eq!(counted(&director), [1, 1, 0, 0]);
    }
}

#[test]
fn a_syn_that_comes_again_was_not_answered() {
    let mut director = Director::new(&service(""), 2);
    says(&mut director, 0, 1, "S");
    says(&mut director, 0, 1, "S");
    assert_eq!(counted(&director), [0; 4], "twice at once");
    for (seconds, worker) in [(1, 0), (2, 1), (4, 0)] {
        director.pass(seconds * 1000);
        says(&mut director, worker, 1, "S");
        assert_eq!(counted(&director), [0, 0, 1, 0]);
    }
    director.pass(200_000);
    assert_eq!(counted(&director), [0, 0, 1, 0], "and once for all");

    says(&mut director, 0, 2, "S");
    director.pass(1000);
    says(&mut director, 0, 2, "S");
    answers(&mut director, 0, 2, "SA");
    assert_eq!(counted(&director), [1, 0, 2, 0], "late");
}

#[test]
fn one_that_ends_without_an_answer_was_not_answered() {
    let mut director = Director::new(&service(""), 1);
    for port in 1..=5 {
        says(&mut director, 0, port, "S");
    }
    director.pass(59_000);
    assert_eq!(counted(&director), [0; 4]);
    director.pass(3_000);
    assert_eq!(counted(&director), [0, 0, 5, 0]);
}

#[test]
fn clients_that_do_not_acknowledge_say_nothing_of_the_server() {
    let mut director = Director::new(&service(""), 1);
    for port in 1..=5 {
        says(&mut director, 0, port, "S");
        answers(&mut director, 0, port, "SA");
        director.pass(1000);
        // Sent again, since nobody acknowledged.
        answers(&mut director, 0, port, "SA");
    }
    director.pass(100_000);
    assert_eq!(counted(&director), [5, 0, 0, 0]);
}

#[test]
fn resets_of_open_connections_are_counted_apart() {
    let mut director = Director::new(&service(""), 1);
    for port in 1..=3 {
        says(&mut director, 0, port, "S");
        answers(&mut director, 0, port, "SA");
        says(&mut director, 0, port, "A");
    }
    answers(&mut director, 0, 1, "R");
    answers(&mut director, 0, 1, "R");
    says(&mut director, 0, 2, "R");
    assert_eq!(counted(&director), [3, 0, 0, 1], "a client's own reset is none");
    says(&mut director, 0, 3, "FA");
    answers(&mut director, 0, 3, "R");
    assert_eq!(counted(&director), [3, 0, 0, 1], "nor one in answer to its good-bye");
}

#[test]
fn what_starts_over_is_looked_at_anew() {
    let mut director = Director::new(&service(""), 1);
    for round in 1..=3 {
        says(&mut director, 0, 1, "S");
        answers(&mut director, 0, 1, "RA");
        assert_eq!(counted(&director), [0, round, 0, 0]);
    }
    says(&mut director, 0, 1, "S");
    answers(&mut director, 0, 1, "SA");
    assert_eq!(counted(&director), [1, 3, 0, 0]);
}

#[test]
fn what_is_no_opening_does_not_count() {
    let mut director = Director::new(&service(""), 1);
    let mut sloppy = config(&service(""));
    sloppy.rules.sloppy_tcp = true;
    director.applier.apply(&sloppy, director.now).unwrap();
    says(&mut director, 0, 1, "A");
    answers(&mut director, 0, 1, "R");
    director.pass(10_000);
    assert_eq!(counted(&director), [0, 0, 0, 1], "a stream that was open before");
    director.give(0, WAN, &udp(client(1), VIP, WAN_MAC, b""));
    assert_eq!(counted(&director), [0, 0, 0, 1]);
}

#[test]
fn where_answers_do_not_pass_nothing_is_known() {
    for forwarding in ["tunnel", "direct"] {
        let mut director = Director::new(&service(&format!("forwarding = '{forwarding}'")), 1);
        says(&mut director, 0, 1, "S");
        director.pass(1000);
        says(&mut director, 0, 1, "S");
        director.pass(100_000);
        assert_eq!(counted(&director), [0; 4], "{forwarding}");
    }
}

#[test]
fn services_that_share_a_server_and_those_of_every_port_count_too() {
    let two = service("") + &service("").replace("203.0.113.10:80", "203.0.113.10:81");
    let every = service("").replace(":80'", ":0'").replace(":8080", "");
    for (services, from) in [(two, SERVER), (every, (SERVER.0, 80))] {
        let mut director = Director::new(&services, 1);
        says(&mut director, 0, 1, "S");
        director.give(0, LAN, &tcp(from, client(1), LAN_MAC, "RA", b""));
        says(&mut director, 0, 2, "S");
        director.pass(1000);
        says(&mut director, 0, 2, "S");
        assert_eq!(counted(&director), [0, 1, 1, 0]);
    }
}

#[test]
fn one_that_gives_way_was_not_answered() {
    // The table of wide connections is the smallest: 64 KiB.
    let mut director = Director::new(&service("").replace(":80'", ":0'").replace(":8080", ""), 1);
    for round in 0..4 {
        (1..=400).for_each(|port| says(&mut director, 0, round * 400 + port, "S"));
        director.pass(1000);
    }
    let evicted = director.shared.workers[0].evicted.get();
    assert!(evicted > 100, "{evicted}");
    assert_eq!(counted(&director), [0, 0, evicted, 0]);
}
