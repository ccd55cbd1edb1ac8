//! A flood against a full table: what was open goes on, and newcomers find a place.

mod support;

use std::collections::HashMap;
use std::net::Ipv4Addr;

use millrace::dataplane::clock::Now;
use millrace::dataplane::conn::Table;
use millrace::dataplane::service::RealId;
use millrace::dataplane::stats::Outcome;
use support::*;

type Socket = (Ipv4Addr, u16);

const TCP_VIP: Socket = (Ipv4Addr::new(203, 0, 113, 10), 80);
const UDP_VIP: Socket = (Ipv4Addr::new(203, 0, 113, 10), 53);
const SERVERS: [Socket; 2] = [(Ipv4Addr::new(10, 0, 0, 11), 8080), (Ipv4Addr::new(10, 0, 0, 12), 8080)];

/// A TCP and a UDP service of two NAT real servers each, and more services beside them.
fn services(more: &str) -> String {
    let one = |(vip, port): Socket, protocol: &str| {
        let reals = SERVERS.map(|(address, port)| format!("{{ address = '{address}:{port}' }}")).join(", ");
        format!("[[service]]\naddress = '{vip}:{port}'\nprotocol = '{protocol}'\nscheduler = 'rr'\nreal = [{reals}]\n")
    };
    one(TCP_VIP, "tcp") + &one(UDP_VIP, "udp") + more
}

/// A director with the smallest table there is: 65,536 places.
fn small(more: &str, workers: usize) -> Director {
    Director::with_table(&services(more), workers, Table::new(0, [3, 5, 7, 9]).unwrap())
}

fn honest(n: u16) -> Socket {
    (Ipv4Addr::new(198, 51, 100, 7), 10_000 + n)
}

/// The n-th of many sources that nobody answers for.
fn forged(n: u32) -> Socket {
    (Ipv4Addr::from_bits(0x0b00_0000 + n / 16), 20_000 + (n % 16) as u16)
}

/// Opens a connection, or sends a first datagram that is answered; returns the real server.
fn open(director: &mut Director, client: Socket, vip: Socket) -> Socket {
    let to = |director: &mut Director, frame: &[u8]| sockets(&director.through(0, WAN, frame, LAN)).1;
    let back = |director: &mut Director, frame: &[u8]| {
        assert_eq!(sockets(&director.through(0, LAN, frame, WAN)), (vip, client));
    };
    if vip == UDP_VIP {
        let server = to(director, &udp(client, vip, WAN_MAC, b"?"));
        back(director, &udp(server, client, LAN_MAC, b"!"));
        return server;
    }
    let server = to(director, &tcp(client, vip, WAN_MAC, "S", b""));
    back(director, &tcp(server, client, LAN_MAC, "SA", b""));
    assert_eq!(to(director, &tcp(client, vip, WAN_MAC, "A", b"")), server);
    server
}

/// One packet each way: to the same real server as ever, and back from the VIP.
fn exchange(director: &mut Director, client: Socket, vip: Socket, server: Socket) {
    let (ask, answer) = if vip == UDP_VIP {
        (udp(client, vip, WAN_MAC, b"ask"), udp(server, client, LAN_MAC, b"answer"))
    } else {
        (tcp(client, vip, WAN_MAC, "PA", b"ask"), tcp(server, client, LAN_MAC, "PA", b"answer"))
    };
    assert_eq!(sockets(&director.through(0, WAN, &ask, LAN)), (client, server));
    assert_eq!(sockets(&director.through(0, LAN, &answer, WAN)), (vip, client));
}

/// A first packet from a source of its own.
fn shot(n: u32, vip: Socket) -> Vec<u8> {
    if vip == UDP_VIP { udp(forged(n), vip, WAN_MAC, b"") } else { tcp(forged(n), vip, WAN_MAC, "S", b"") }
}

fn evicted(director: &Director) -> u64 {
    director.shared.workers.iter().map(|worker| worker.evicted.get()).sum()
}

/// The counts are what the table holds.
fn accounts(director: &Director) {
    director.balanced();
    let mut held: HashMap<u32, (u32, u32)> = HashMap::new();
    director.shared.table.each(0..director.shared.table.lines(), |_, _, value| {
        let (active, inactive) = held.entry(value.real().0).or_default();
        *if value.state().is_active() { active } else { inactive } += u32::from(!value.is_link());
    });
    for id in 1..20 {
        let counted = director.shared.counts.connections(RealId(id));
        let held = held.get(&id).copied().unwrap_or_default();
        assert_eq!((counted.active, counted.inactive), held, "real server {id}");
    }
}

/// Whatever `vip` is flooded with, what is open on both services goes on, and newcomers come in.
fn flood(vip: Socket) {
    const FLOOD: u32 = 150_000;
    let mut director = small("", 1);
    let mut open_ones: Vec<(Socket, Socket, Socket)> = Vec::new();
    for n in 0..200 {
        let vip = [TCP_VIP, UDP_VIP][usize::from(n % 2)];
        open_ones.push((honest(n), vip, open(&mut director, honest(n), vip)));
    }
    for n in 0..FLOOD {
        director.wires[0][WAN].inject(&shot(n, vip)).unwrap();
        if n % 32 == 31 {
            director.poll();
            director.quiet();
        }
        if n % 1024 == 0 {
            director.pass(20);
            director.quiet();
            let (client, vip, server) = open_ones[(n / 1024) as usize % open_ones.len()];
            exchange(&mut director, client, vip, server);
        }
    }
    director.poll();
    director.quiet();
    accounts(&director);
    let refused = director.count(Outcome::DropTableFull);
    assert!(evicted(&director) > 30_000, "{} evicted, {refused} refused", evicted(&director));
    assert!(refused < u64::from(FLOOD) / 50, "{refused} refused");
    for (client, vip, server) in &open_ones {
        exchange(&mut director, *client, *vip, *server);
    }
    // Who comes now is served too: nearly all of what is here never came to life.
    director.pass(1000);
    for n in 1000..1200 {
        let vip = [TCP_VIP, UDP_VIP][usize::from(n % 2)];
        let server = open(&mut director, honest(n), vip);
        exchange(&mut director, honest(n), vip, server);
    }
    accounts(&director);
    director.pass(1_200_000);
    director.shared.table.each(0..director.shared.table.lines(), |_, key, value| panic!("{key:?} {value:?} is left"));
    accounts(&director);
}

#[test]
fn a_syn_flood_leaves_what_is_open_and_lets_newcomers_in() {
    flood(TCP_VIP);
}

#[test]
fn a_flood_of_datagrams_leaves_what_is_open_and_lets_newcomers_in() {
    flood(UDP_VIP);
}

#[test]
fn a_flood_through_links_takes_them_along() {
    let shared = "[[service]]\naddress = '203.0.113.20:80'\nscheduler = 'rr'\n\
                  real = [{ address = '10.0.0.11:8080' }, { address = '10.0.0.12:8080' }]\n";
    let mut director = small(shared, 1);
    let other: Socket = (Ipv4Addr::new(203, 0, 113, 20), 80);
    let open_ones: Vec<_> = (0..100)
        .map(|n| {
            let vip = [TCP_VIP, other][usize::from(n % 2)];
            (honest(n), vip, open(&mut director, honest(n), vip))
        })
        .collect();
    for n in 0..60_000 {
        director.wires[0][WAN].inject(&shot(n, [TCP_VIP, other][n as usize % 2])).unwrap();
        if n % 32 == 31 {
            director.poll();
            director.quiet();
        }
        if n % 1024 == 0 {
            director.pass(30);
            director.quiet();
        }
    }
    director.poll();
    director.quiet();
    assert!(evicted(&director) > 10_000, "{} evicted: {:?}", evicted(&director), director.outcomes());
    let (mut connections, mut links) = (0u32, 0u32);
    director.shared.table.each(0..director.shared.table.lines(), |_, _, value| {
        *if value.is_link() { &mut links } else { &mut connections } += 1;
    });
    assert_eq!(connections, links, "each connection has its link, and no other link is left");
    accounts(&director);
    for (client, vip, server) in open_ones {
        exchange(&mut director, client, vip, server);
    }
}

#[test]
fn nobody_young_or_open_gives_way() {
    let mut director = small("", 1);
    // All at one moment: a full table of connections that are young.
    for n in 0..80_000 {
        director.wires[0][WAN].inject(&shot(n, TCP_VIP)).unwrap();
        if n % 32 == 31 {
            director.poll();
            director.quiet();
        }
    }
    assert_eq!(evicted(&director), 0);
    assert!(director.count(Outcome::DropTableFull) > 5000, "{:?}", director.outcomes());
    // They come to life, and half of them close: none of them ever gives way.
    director.pass(1000);
    for n in 0..80_000 {
        director.wires[0][WAN].inject(&tcp(forged(n), TCP_VIP, WAN_MAC, "A", b"")).unwrap();
        if n % 2 == 0 {
            director.wires[0][WAN].inject(&tcp(forged(n), TCP_VIP, WAN_MAC, "FA", b"")).unwrap();
        }
        if n % 16 == 15 {
            director.poll();
            director.quiet();
        }
    }
    director.pass(1000);
    for n in 80_000..90_000 {
        director.wires[0][WAN].inject(&shot(n, TCP_VIP)).unwrap();
        if n % 32 == 31 {
            director.poll();
            director.quiet();
        }
    }
    assert_eq!(evicted(&director), 0);
    accounts(&director);
}

/// A TCP service with a limit, on all workers.
fn limited(limit: &str) -> String {
    format!("[[service]]\naddress = '203.0.113.10:80'\n{limit}\nreal = [{{ address = '10.0.0.11:8080' }}]\n")
}

#[test]
fn a_services_limit_on_new_connections() {
    let mut director = Director::new(&limited("max_new_per_second = 300"), 2);
    let client = honest(1);
    let server = open(&mut director, client, TCP_VIP);
    director.pass(1000);
    let before = director.count(Outcome::ForwardedNatIn);
    let mut sent = 0;
    for _ in 0..2000 {
        for _ in 0..8 {
            director.wires[sent as usize % 2][WAN].inject(&shot(sent, TCP_VIP)).unwrap();
            sent += 1;
        }
        director.now = Now::from_nanos(director.now.nanos() + 1_000_000);
        director.poll();
        director.quiet();
        if sent % 800 == 0 {
            exchange(&mut director, client, TCP_VIP, server);
        }
    }
    let opened = director.count(Outcome::ForwardedNatIn) - before - u64::from(sent / 800);
    // Two seconds' worth, and each worker's tenth of a second in hand.
    assert!((626..=630).contains(&opened), "{opened} opened");
    assert_eq!(director.count(Outcome::DropNewFlowLimit), u64::from(sent) - opened);
    accounts(&director);

    // A SYN that lets a closed connection start over is a new connection too.
    exchange(&mut director, client, TCP_VIP, server);
    director.give(0, WAN, &tcp(client, TCP_VIP, WAN_MAC, "R", b""));
    assert_eq!(director.give(0, WAN, &tcp(client, TCP_VIP, WAN_MAC, "S", b"")), []);
    director.pass(250);
    assert_eq!(open(&mut director, client, TCP_VIP), server);

    let none = config(&limited(""));
    director.applier.apply(&none, director.now).unwrap();
    let refused = director.count(Outcome::DropNewFlowLimit);
    for n in 100_000..101_000 {
        director.through(0, WAN, &shot(n, TCP_VIP), LAN);
    }
    assert_eq!(director.count(Outcome::DropNewFlowLimit), refused);
    accounts(&director);
}
