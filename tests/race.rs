//! Two workers on threads of their own, and control that keeps changing the configuration under them: connections
//! are made, moved, ended, swept and, under a flood that fills the table, evicted at once; and in the end every frame and
//! every connection is accounted for, and nothing is left over.
//!
//! It takes 4 seconds, in which more time passes for the director; as a soak, as many as `MILLRACE_SOAK_SECONDS` says.

mod support;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millrace::dataplane::clock::Now;
use millrace::dataplane::conn::{Connections, Table, Tick};
use millrace::dataplane::port::memory::{MemoryPort, MemoryWire};
use millrace::dataplane::service::RealId;
use millrace::dataplane::stats::Outcome;
use millrace::dataplane::worker::Worker;
use support::*;

type Socket = (Ipv4Addr, u16);

const VIPS: [Socket; 3] =
    [(Ipv4Addr::new(203, 0, 113, 10), 80), (Ipv4Addr::new(203, 0, 113, 20), 80), (Ipv4Addr::new(203, 0, 113, 30), 80)];
const SERVERS: [Socket; 2] = [(Ipv4Addr::new(10, 0, 0, 11), 8080), (Ipv4Addr::new(10, 0, 0, 12), 8080)];

/// Services by VIP, each with some of the servers: sockets become shared, change hands and go.
fn services(which: &[(usize, &[usize])]) -> String {
    let one = |(vip, servers): &(usize, &[usize])| {
        let (vip, port) = VIPS[*vip];
        let reals = servers.iter().map(|server| {
            let (address, port) = SERVERS[*server];
            format!("[[service.real]]\naddress = '{address}:{port}'\nweight = {}\n", server + 1)
        });
        format!("[[service]]\naddress = '{vip}:{port}'\n{}", reals.collect::<String>())
    };
    which.iter().map(one).collect::<String>() + UDP_SERVICE
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

const UDP_VIP: Socket = (Ipv4Addr::new(203, 0, 113, 10), 53);

/// The service that is always there.
const UDP_SERVICE: &str = "[[service]]\naddress = '203.0.113.10:53'\nprotocol = 'udp'\n\
     real = [{ address = '10.0.0.11:53' }, { address = '10.0.0.12:53' }]\n";

/// The first packet of somebody who does not exist.
fn forged(random: &mut Random) -> Vec<u8> {
    let client = (Ipv4Addr::from_bits(0x0b00_0000 + random.below(1 << 20) as u32), 1024 + random.below(60_000) as u16);
    match random.below(4) {
        3 => udp(client, UDP_VIP, WAN_MAC, b""),
        vip => tcp(client, VIPS[vip as usize], WAN_MAC, "S", b""),
    }
}

/// What one worker's thread does, until told to stop: packets of clients that all workers share, and conversations of
/// clients of its own, whose answers must come from the VIP that they asked.
fn drive(
    number: u64,
    worker: &mut Worker<MemoryPort>,
    wires: &[MemoryWire],
    clock: &AtomicU64,
    stop: &AtomicBool,
) -> u64 {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ number << 40);
    let mut asked: HashMap<(Socket, Socket), Socket> = HashMap::new();
    let mut answers = 0;
    let poll = |worker: &mut Worker<MemoryPort>| {
        worker.poll(Now::from_nanos(clock.fetch_add(200_000, Ordering::Relaxed)));
    };
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..random.below(8) {
            let client = (Ipv4Addr::new(198, 51, 100, 7), 1000 + random.below(200) as u16);
            let vip = VIPS[random.below(3) as usize];
            let flags = ["S", "S", "A", "R", "FA", "AP"][random.below(6) as usize];
            wires[WAN].inject(&tcp(client, vip, WAN_MAC, flags, b"")).unwrap();
            let server = SERVERS[random.below(2) as usize];
            let flags = ["SA", "A", "R", "FA"][random.below(4) as usize];
            wires[LAN].inject(&tcp(server, client, LAN_MAC, flags, b"")).unwrap();
        }
        for _ in 0..48 {
            wires[WAN].inject(&forged(&mut random)).unwrap();
        }
        if random.below(2000) == 0 {
            clock.fetch_add(10_000_000_000, Ordering::Relaxed);
        }
        poll(worker);
        wires.iter().flat_map(MemoryWire::collect).for_each(|frame| verify(&frame));

        let client = (Ipv4Addr::new(198, 51, 101, number as u8), 1000 + random.below(2000) as u16);
        let vip = VIPS[random.below(3) as usize];
        let flags = if random.below(4) == 0 { "R" } else { "S" };
        wires[WAN].inject(&tcp(client, vip, WAN_MAC, flags, b"")).unwrap();
        poll(worker);
        for frame in wires[LAN].collect() {
            let (from, server) = sockets(&frame);
            assert_eq!(from, client);
            asked.insert((client, server), vip);
            wires[LAN].inject(&tcp(server, client, LAN_MAC, "SA", b"")).unwrap();
        }
        poll(worker);
        for frame in wires[WAN].collect() {
            verify(&frame);
            let (from, to) = sockets(&frame);
            let server = SERVERS.iter().find(|server| asked.get(&(to, **server)) == Some(&from));
            assert!(server.is_some(), "{to:?} hears from {from:?}, whom it did not ask");
            answers += 1;
        }
    }
    answers
}

/// Stops the threads, also where the one that would tell them panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn workers_and_control_at_once_lose_nothing() {
    let configurations = [
        services(&[(0, &[0, 1]), (1, &[0, 1]), (2, &[1])]),
        services(&[(0, &[0, 1]), (1, &[0])]),
        services(&[(1, &[0, 1]), (2, &[0, 1])]),
        services(&[(0, &[1]), (1, &[1, 0]), (2, &[0, 1])]),
    ];
    let mut director = Director::with_table(&configurations[0], 2, Table::new(0, [3, 5, 7, 9]).unwrap());
    let seconds = std::env::var("MILLRACE_SOAK_SECONDS").map_or(4, |text| text.parse().expect("a number of seconds"));
    let clock = AtomicU64::new(director.now.nanos());
    let stop = AtomicBool::new(false);
    let answers: u64 = std::thread::scope(|scope| {
        let wires = &director.wires;
        let threads: Vec<_> = director
            .workers
            .iter_mut()
            .enumerate()
            .map(|(number, worker)| {
                let (clock, stop) = (&clock, &stop);
                scope.spawn(move || drive(number as u64, worker, &wires[number], clock, stop))
            })
            .collect();
        let at_work = Stop(&stop);
        let end = Instant::now() + Duration::from_secs(seconds);
        for round in 1.. {
            if Instant::now() > end || threads.iter().any(|thread| thread.is_finished()) {
                break;
            }
            let now = Now::from_nanos(clock.load(Ordering::Relaxed));
            director.applier.apply(&config(&configurations[round % 4]), now).unwrap();
            director.applier.tend(now);
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(at_work);
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    director.now = Now::from_nanos(clock.load(Ordering::Relaxed));
    let evicted: u64 = director.shared.workers.iter().map(|worker| worker.evicted.get()).sum();
    let passed = director.now.millis() / 1000;
    println!("{answers} answers, {evicted} evicted in {passed} s; {:?}", director.outcomes());
    assert!(evicted > 100);
    assert!(answers > 100 && director.count(Outcome::ForwardedNatIn) > 1000);
    director.balanced();
    let live = |director: &Director| {
        let mut live: HashMap<RealId, Connections> = HashMap::new();
        director.shared.table.each(0..director.shared.table.lines(), |_, _, value| {
            if !value.is_link() {
                let real = live.entry(value.real()).or_default();
                *if value.state().is_active() { &mut real.active } else { &mut real.inactive } += 1;
            }
        });
        live
    };
    let before = live(&director);
    assert!(!before.is_empty());
    for real in 1..1000 {
        let counted = director.shared.counts.connections(RealId(real));
        assert_eq!(before.get(&RealId(real)).copied().unwrap_or_default(), counted, "real server {real}");
    }
    // Everything ends, and no link is left behind.
    director.pass(1_200_000);
    let mut left = Vec::new();
    director.shared.table.each(0..director.shared.table.lines(), |_, key, value| left.push((key, value)));
    assert_eq!(left, [], "at tick {:?}", Tick::at(director.now));
    assert_eq!(director.shared.table.stashed(), 0);
    for real in 1..1000 {
        assert_eq!(director.shared.counts.connections(RealId(real)), Connections::default(), "real server {real}");
    }
    // Nor is a frame, nor, once there are no services, an id.
    director.quiet();
    assert!(director.wires.iter().flatten().all(|wire| wire.in_use() == 0));
    director.applier.apply(&config(""), director.now).unwrap();
    for _ in 0..130 {
        director.pass(1000);
        director.applier.tend(director.now);
    }
    let names = director.applier.names();
    assert!(names.services.is_empty() && names.reals.is_empty(), "{names:?}");
}
