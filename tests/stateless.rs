//! A service scheduled by a hash forwards also what it cannot store: by direct routing and tunnel, to the real server that
//! it would have stored.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::conn::Table;
use millrace::dataplane::stats::Outcome;
use support::*;

type Socket = (Ipv4Addr, u16);

const VIP: Socket = (Ipv4Addr::new(203, 0, 113, 10), 80);

fn service(keys: &str, forwarding: &str) -> String {
    format!(
        "[[service]]\naddress = '203.0.113.10:80'\nforwarding = '{forwarding}'\n{keys}\n\
         real = [{{ address = '10.0.0.11' }}, {{ address = '10.0.0.12' }}]\n"
    )
}

fn client(n: u32) -> Socket {
    (Ipv4Addr::from_bits(0x0b00_0000 + n / 16), 20_000 + (n % 16) as u16)
}

fn syn(n: u32) -> Vec<u8> {
    tcp(client(n), VIP, WAN_MAC, "S", b"")
}

fn ack(n: u32) -> Vec<u8> {
    tcp(client(n), VIP, WAN_MAC, "PA", b"more")
}

/// The real server that a frame goes to, by the last octet of its Ethernet address.
fn server(director: &mut Director, frame: &[u8]) -> Option<u8> {
    director.give(0, WAN, frame).first().map(|(port, frame)| {
        assert_eq!(*port, LAN);
        frame[5]
    })
}

fn stateless(director: &Director) -> u64 {
    director.shared.workers.iter().map(|worker| worker.stateless.get()).sum()
}

fn connections(director: &Director) -> u64 {
    let mut all = 0;
    director.shared.table.each(0..director.shared.table.lines(), |_, _, _| all += 1);
    all
}

const MH: &str = "scheduler = 'mh'\nscheduler_flags = ['mh-port']";

#[test]
fn a_full_table_stops_nothing_that_a_hash_schedules() {
    const FLOOD: u32 = 75_000;
    for forwarding in ["direct", "tunnel"] {
        let table = Table::new(0, [3, 5, 7, 9]).unwrap();
        let mut director = Director::with_table(&service(MH, forwarding), 1, table);
        assert_eq!(server(&mut director, &ack(FLOOD)), None, "nothing was ever forwarded without state");
        // All at one moment: none of them gives way to another.
        for n in 0..FLOOD {
            director.wires[0][WAN].inject(&syn(n)).unwrap();
            if n % 32 == 31 {
                director.poll();
                director.quiet();
            }
        }
        director.poll();
        director.quiet();
        let (stored, without) = (connections(&director), stateless(&director));
        assert!(without > 5000, "{without}");
        assert_eq!(stored + without, u64::from(FLOOD));
        assert_eq!(director.count(Outcome::DropTableFull), 0);
        // Every packet of one goes where its first went, stored or not.
        let mut seen = [0; 2];
        for n in FLOOD - 500..FLOOD {
            let first = server(&mut director, &syn(n)).unwrap();
            assert_eq!(server(&mut director, &ack(n)), Some(first), "{n}");
            seen[usize::from(first - 0x0b)] += 1;
        }
        assert!(seen.iter().all(|seen| *seen > 150), "{seen:?}");
        assert_eq!(connections(&director), stored);
        director.balanced();
    }
}

#[test]
fn fallback_mode_lasts_as_long_as_an_open_connection_may_be_idle() {
    let limit = "max_new_per_second = 10\ntimeout = '100s'";
    let mut director = Director::new(&service(&format!("{MH}\n{limit}"), "direct"), 2);
    let mut first = Vec::new();
    for n in 0..100 {
        let sent = director.give(n as usize % 2, WAN, &syn(n));
        first.push(sent[0].1[5]);
    }
    let (stored, without) = (connections(&director), stateless(&director));
    assert!((1..=4).contains(&stored), "a tenth of a second's worth: {stored}");
    assert_eq!(stored + without, 100);
    assert_eq!(director.count(Outcome::DropNewFlowLimit), 0);
    // Whichever worker gets what follows. The limit leaves room again, but the middle of a stream is never stored.
    for round in 0..4 {
        director.pass(90_000);
        director.quiet();
        for n in 0..100 {
            let sent = director.give((n + round) as usize % 2, WAN, &ack(n));
            assert_eq!(sent[0].1[5], first[n as usize], "round {round}, {n}");
        }
        assert!(connections(&director) <= stored);
    }
    director.pass(101_000);
    director.quiet();
    let dropped = director.count(Outcome::DropNoConnection);
    assert_eq!(server(&mut director, &ack(99)), None);
    assert_eq!(director.count(Outcome::DropNoConnection), dropped + 1);
    director.balanced();
}

#[test]
fn a_service_that_comes_back_begins_anew() {
    let keys = format!("{MH}\nmax_new_per_second = 1");
    let mut director = Director::new(&service(&keys, "direct"), 1);
    for n in 0..10 {
        assert!(server(&mut director, &syn(n)).is_some());
    }
    assert!(server(&mut director, &ack(9)).is_some());
    for file in ["", &service(&keys, "direct")] {
        director.applier.apply(&config(file), director.now).unwrap();
    }
    assert_eq!(server(&mut director, &ack(9)), None);
    director.balanced();
}

#[test]
fn nat_and_other_schedulers_drop_what_they_cannot_store() {
    for (keys, forwarding) in [(MH, "nat"), ("scheduler = 'wlc'", "direct"), ("scheduler = 'rr'", "tunnel")] {
        let mut director = Director::new(&service(&format!("{keys}\nmax_new_per_second = 10"), forwarding), 1);
        for n in 0..100 {
            director.give(0, WAN, &syn(n));
            director.give(0, WAN, &ack(n));
        }
        let stored = connections(&director);
        assert_eq!((stateless(&director), director.count(Outcome::DropNewFlowLimit)), (0, 100 - stored));
        assert_eq!(director.count(Outcome::DropNoConnection), 100 - stored);
        director.balanced();
    }
}
