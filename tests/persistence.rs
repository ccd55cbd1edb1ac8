//! Persistence: a client comes back to its real server for as long as its template says.

mod support;

use std::net::Ipv4Addr;
use std::sync::Arc;

use millrace::ctrl::connections::{Filter, Flushed, Scan};
use millrace::dataplane::service::RealId;
use support::*;

const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);
const FIRST: u8 = 0x0b;
const SECOND: u8 = 0x0c;

fn client(host: u8, port: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(198, 51, 100, host), port)
}

fn file(more: &str, weights: [u16; 2]) -> String {
    let [first, second] = weights;
    format!(
        "[[service]]\naddress = '203.0.113.10:80'\nscheduler = 'rr'\n{more}\n\
         real = [{{ address = '10.0.0.11', weight = {first} }}, {{ address = '10.0.0.12', weight = {second} }}]\n"
    )
}

fn persistent(more: &str) -> Director {
    Director::new(&file(&format!("persistence = {{ {more} }}"), [1, 1]), 2)
}

/// Which real server a client's TCP segment is sent to, by its Ethernet address.
fn to(director: &mut Director, from: (Ipv4Addr, u16), flags: &str) -> u8 {
    let worker = usize::from(from.1 % 2);
    director.through(worker, WAN, &tcp(from, VIP, WAN_MAC, flags, b""), LAN)[5]
}

/// Opens and resets a connection: ten seconds later it is gone.
fn visit(director: &mut Director, from: (Ipv4Addr, u16)) -> u8 {
    let server = to(director, from, "S");
    assert_eq!((to(director, from, "A"), to(director, from, "RA")), (server, server));
    server
}

/// Flushes the templates that a connection has assured, and returns how many.
fn flush_templates(director: &Director) -> u64 {
    let (viewer, names) = (director.applier.viewer(), director.applier.names());
    let filter = Filter { state: Some("ASSURED".to_owned()), ..Filter::default() };
    let mut scan = Scan::new(Arc::clone(&director.shared), viewer, names, filter, director.now);
    let mut flushed = Flushed::default();
    while scan.flush(&mut flushed).is_some() {}
    flushed.removed
}

fn templates(director: &Director) -> u32 {
    (1..3).map(|real| director.shared.counts.connections(RealId(real)).persistent).sum()
}

#[test]
fn a_client_comes_back_to_its_server_until_the_time_is_over() {
    for forwarding in ["nat", "direct", "tunnel"] {
        let mut director =
            Director::new(&file(&format!("forwarding = '{forwarding}'\npersistence = {{ timeout = 100 }}"), [1, 1]), 2);
        let server = visit(&mut director, client(7, 1000));
        for port in 1001..1020 {
            assert_eq!(visit(&mut director, client(7, port)), server, "{forwarding}");
        }
        assert_eq!(templates(&director), 1);
        for port in 1020..1030 {
            director.pass(95_000);
            assert_eq!(visit(&mut director, client(7, port)), server, "{forwarding}: each new connection renews it");
        }
        let others: Vec<u8> = (20..30).map(|host| visit(&mut director, client(host, 1000))).collect();
        assert!(others.contains(&FIRST) && others.contains(&SECOND), "{others:?}");
        assert_eq!(templates(&director), 11);
        director.pass(105_000);
        assert_eq!(templates(&director), 0);
        director.balanced();
    }
}

#[test]
fn a_network_of_clients_may_share_a_server() {
    let mut director = persistent("mask = 24");
    let server = visit(&mut director, client(7, 1000));
    assert!((1..60).all(|host| visit(&mut director, client(host, 1001)) == server));
    assert_eq!(templates(&director), 1);
}

#[test]
fn a_template_lives_as_long_as_its_connections() {
    let mut director = persistent("timeout = 60");
    let server = to(&mut director, client(7, 1000), "S");
    to(&mut director, client(7, 1000), "A");
    // The other server is as good as the first for anybody without a template.
    for round in 0..12 {
        director.pass(100_000);
        to(&mut director, client(7, 1000), "A");
        visit(&mut director, client(100 + round, 1000));
        assert!(templates(&director) > 0);
        assert_eq!(visit(&mut director, client(7, 2000 + u16::from(round))), server);
    }
    assert_eq!(to(&mut director, client(7, 1000), "RA"), server);
    director.pass(12_000);
    director.pass(125_000);
    assert_eq!(templates(&director), 0, "at most a minute longer than the last connection");
    director.balanced();
}

#[test]
fn the_end_of_an_older_connection_is_nothing_to_a_newer_template() {
    for flushed in [false, true] {
        let with = |mask| file(&format!("persistence = {{ timeout = 60, mask = {mask} }}"), [1, 1]);
        let mut director = Director::new(&with(24), 2);
        let open =
            |director: &mut Director, port| [to(director, client(7, port), "S"), to(director, client(7, port), "A")];
        open(&mut director, 1000);
        if flushed {
            assert_eq!(flush_templates(&director), 1);
            assert_eq!(templates(&director), 0);
        } else {
            director.reload(&with(32));
        }
        let server = open(&mut director, 2000)[0];
        to(&mut director, client(7, 1000), "RA");
        director.pass(12_000);
        for _ in 0..5 {
            director.pass(100_000);
            to(&mut director, client(7, 2000), "A");
        }
        assert_eq!(templates(&director), 1, "flushed: {flushed}");
        for port in 3000..3003 {
            visit(&mut director, client(99, port));
            assert_eq!(visit(&mut director, client(7, port)), server);
        }
        to(&mut director, client(7, 2000), "RA");
        director.pass(200_000);
        assert_eq!(templates(&director), 0);
        director.balanced();
    }
}

#[test]
fn a_drained_server_keeps_its_clients_unless_told_otherwise() {
    for (quiescent, expected) in [(0, FIRST), (1, SECOND)] {
        let rules = format!("[ipvs]\nexpire_quiescent_template = {quiescent}\n");
        let with = |weights| rules.clone() + &file("persistence = { timeout = 100 }", weights);
        let mut director = Director::new(&with([1, 1]), 2);
        let mine = (1..20).find(|host| visit(&mut director, client(*host, 1000)) == FIRST).unwrap();
        director.reload(&with([0, 1]));
        assert_eq!(visit(&mut director, client(mine, 1001)), expected);
        assert_eq!(visit(&mut director, client(200, 1000)), SECOND, "a new client goes elsewhere");
        director.reload(&with([1, 1]));
        assert_eq!(visit(&mut director, client(mine, 1002)), expected, "and stays where it is");
        director.balanced();
    }
}

#[test]
fn a_removed_server_leaves_its_clients_to_the_others() {
    let mut director = persistent("");
    let mine = (1..20).find(|host| visit(&mut director, client(*host, 1000)) == FIRST).unwrap();
    let both = file("persistence = {}", [1, 1]);
    director.reload(&both.replace("{ address = '10.0.0.11', weight = 1 }, ", ""));
    assert_eq!(visit(&mut director, client(mine, 1001)), SECOND);
    director.reload(&both);
    assert_eq!(visit(&mut director, client(mine, 1002)), SECOND);
    director.pass(312_000);
    assert_eq!(templates(&director), 0);
    director.balanced();
}

#[test]
fn another_forwarding_method_keeps_the_server() {
    let by = |method: &str| file(&format!("persistence = {{}}\nforwarding = '{method}'"), [1, 1]);
    let mut director = Director::new(&by("nat"), 2);
    let servers: Vec<u8> = (1..9).map(|host| visit(&mut director, client(host, 1000))).collect();
    director.reload(&by("direct"));
    let again: Vec<u8> = (1..9).map(|host| visit(&mut director, client(host, 1001))).collect();
    assert_eq!(servers, again);
}

#[test]
fn changed_settings_take_effect_and_leave_nothing_behind() {
    let with = |settings: &str| file(&format!("persistence = {{ timeout = 100, {settings} }}"), [1, 1]);
    let mut director = Director::new(&with("mask = 24"), 2);
    for host in 1..9 {
        to(&mut director, client(host, 1000), "S");
        to(&mut director, client(host, 1000), "A");
    }
    assert_eq!(templates(&director), 1);
    director.reload(&with("mask = 32"));
    let servers: Vec<u8> = (1..9).map(|host| visit(&mut director, client(host, 1001))).collect();
    assert!(servers.contains(&FIRST) && servers.contains(&SECOND));
    assert_eq!(templates(&director), 9);
    director.pass(105_000);
    assert_eq!(templates(&director), 0, "the old template's connections live, and no longer need it");
    director.reload(&file("", [1, 1]));
    let servers: Vec<u8> = (0..4).map(|port| visit(&mut director, client(1, 2000 + port))).collect();
    assert!(servers.contains(&FIRST) && servers.contains(&SECOND), "without persistence");
    director.pass(1_000_000);
    assert!((1..3).all(|real| director.shared.counts.connections(RealId(real)) == Default::default()));
    director.balanced();
}

#[test]
fn every_port_of_a_vip_leads_to_one_server() {
    let mut director = Director::new(
        "[[service]]\naddress = '203.0.113.10:0'\nscheduler = 'rr'\nforwarding = 'direct'\npersistence = {}\n\
         real = [{ address = '10.0.0.11' }, { address = '10.0.0.12' }]\n",
        2,
    );
    for host in 1..9 {
        let servers: Vec<u8> = [21, 1024, 40_000, 50_000]
            .map(|port| director.through(0, WAN, &tcp(client(host, 1000), (VIP.0, port), WAN_MAC, "S", b""), LAN)[5])
            .into();
        assert!(servers.iter().all(|server| *server == servers[0]), "passive FTP: {servers:?}");
    }
    assert_eq!(templates(&director), 8);
}

#[test]
fn a_syn_on_a_closing_connection_stays_in_it() {
    // IPVS: what a template controls does not start over.
    let mut director = persistent("");
    let server = visit(&mut director, client(7, 1000));
    let made = |director: &Director| -> u64 {
        let workers = director.shared.workers.iter();
        workers.map(|worker| worker.reals[1].connections.get() + worker.reals[2].connections.get()).sum()
    };
    assert_eq!((made(&director), to(&mut director, client(7, 1000), "S"), made(&director)), (1, server, 1));
    director.pass(400_000);
    assert_eq!(templates(&director), 0);
}

#[test]
fn no_template_outlives_a_service_that_was_away() {
    let with = file("persistence = { timeout = 100 }", [1, 1]);
    for without in [String::new(), file("", [1, 1])] {
        let mut director = Director::new(&with, 2);
        visit(&mut director, client(7, 1000));
        director.reload(&without);
        director.pass(30_000);
        director.reload(&with);
        // Somebody else keeps the real servers busy.
        for port in 2000..2004 {
            to(&mut director, client(99, port), "S");
            to(&mut director, client(99, port), "A");
        }
        director.pass(200_000);
        assert_eq!(templates(&director), 1, "the busy one's");
    }
}

#[test]
fn the_templates_of_a_removed_server_last_as_long_as_any() {
    for (timeout, away, stays) in [(3600, 400_000, true), (10, 100_000, false)] {
        let with = file(&format!("persistence = {{ timeout = {timeout} }}"), [1, 1]);
        let mut director = Director::new(&with, 2);
        let mine: Vec<u8> = (1..9).filter(|host| visit(&mut director, client(*host, 1000)) == FIRST).collect();
        director.reload(&with.replace("{ address = '10.0.0.11', weight = 1 }, ", ""));
        director.pass(away);
        assert_eq!(templates(&director) > 0, stays);
        director.reload(&with);
        let back: Vec<u8> = mine.iter().map(|host| visit(&mut director, client(*host, 1001))).collect();
        assert_eq!(back.iter().all(|server| *server == FIRST), stays, "{back:?}");
    }
}

#[test]
fn datagrams_that_anybody_could_have_sent_do_not_hold_their_templates() {
    let mut director = Director::new(
        "[[service]]\naddress = '203.0.113.10:53'\nprotocol = 'udp'\nforwarding = 'direct'\npersistence = {}\n\
         real = [{ address = '10.0.0.11' }]\n",
        1,
    );
    for stranger in 0..40_000 {
        director.give(0, WAN, &udp((Ipv4Addr::from_bits(0x0b00_0000 + stranger), 1000), (VIP.0, 53), WAN_MAC, b"?"));
    }
    director.pass(10_000);
    let refused = director.shared.workers[0].without_template.get();
    assert!(refused > 0, "the table was full");
    for host in 1..100 {
        director.give(0, WAN, &udp(client(host, 1), (VIP.0, 53), WAN_MAC, b"?"));
    }
    assert_eq!(director.shared.workers[0].without_template.get(), refused);
}
