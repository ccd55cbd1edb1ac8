//! One-packet scheduling: each datagram for itself, and no connection kept.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::conn::Table;
use millrace::dataplane::service::RealId;
use millrace::dataplane::stats::Outcome;
use support::*;

type Socket = (Ipv4Addr, u16);

const CLIENT: Socket = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const VIP: Socket = (Ipv4Addr::new(203, 0, 113, 10), 53);
const OTHER_VIP: Socket = (Ipv4Addr::new(203, 0, 113, 20), 53);
const FIRST: Socket = (Ipv4Addr::new(10, 0, 0, 11), 5353);
const SECOND: Socket = (Ipv4Addr::new(10, 0, 0, 12), 5353);

fn service(vip: Socket, keys: &str) -> String {
    format!(
        "[[service]]\naddress = '{}:53'\nprotocol = 'udp'\nscheduler = 'rr'\n{keys}\n\
         real = [{{ address = '10.0.0.11:5353' }}, {{ address = '10.0.0.12:5353' }}]\n",
        vip.0
    )
}

fn ask(director: &mut Director, worker: usize) -> Socket {
    sockets(&director.through(worker, WAN, &udp(CLIENT, VIP, WAN_MAC, b"?"), LAN)).1
}

fn answer(director: &mut Director, worker: usize, from: Socket) -> Socket {
    sockets(&director.through(worker, LAN, &udp(from, CLIENT, LAN_MAC, b"!"), WAN)).0
}

fn stored(director: &Director) -> usize {
    let mut stored = 0;
    director.shared.table.each(0..director.shared.table.lines(), |_, _, _| stored += 1);
    stored
}

#[test]
fn datagrams_are_dealt_one_by_one_and_answers_come_from_the_vip() {
    let mut director = Director::new(&service(VIP, "ops = true"), 2);
    for round in 0..10 {
        assert_eq!([ask(&mut director, 0), ask(&mut director, 0)], [FIRST, SECOND], "round {round}");
        assert_eq!([answer(&mut director, 1, SECOND), answer(&mut director, 0, FIRST)], [VIP; 2]);
    }
    assert_eq!(stored(&director), 0);
    assert!((1..3).all(|real| director.shared.counts.connections(RealId(real)) == Default::default()));
    let made: u64 = (1..3).map(|real| director.shared.workers[0].reals[real].connections.get()).sum();
    assert_eq!(made, 20, "each counts as a connection, as in IPVS");
    director.balanced();
}

#[test]
fn connections_from_before_go_on_until_they_end() {
    let mut director = Director::new(&service(VIP, ""), 1);
    assert_eq!([ask(&mut director, 0), ask(&mut director, 0)], [FIRST; 2]);
    director.reload(&service(VIP, "ops = true"));
    assert_eq!([ask(&mut director, 0), ask(&mut director, 0)], [FIRST; 2]);
    director.pass(310_000);
    director.quiet();
    assert_eq!([ask(&mut director, 0), ask(&mut director, 0)], [SECOND, FIRST]);
    director.reload(&service(VIP, ""));
    assert_eq!([ask(&mut director, 0), ask(&mut director, 0)], [SECOND; 2]);
    assert_eq!(stored(&director), 1);
}

#[test]
fn an_answer_of_a_shared_server_belongs_to_its_connection_if_it_has_one() {
    let both = service(VIP, "ops = true") + &service(OTHER_VIP, "");
    let mut director = Director::new(&both, 1);
    let other = (CLIENT.0, 50_000);
    let sent = director.through(0, WAN, &udp(other, OTHER_VIP, WAN_MAC, b"?"), LAN);
    let server = sockets(&sent).1;
    let reply = director.through(0, LAN, &udp(server, other, LAN_MAC, b"!"), WAN);
    assert_eq!(sockets(&reply).0, OTHER_VIP);
    assert_eq!(ask(&mut director, 0), FIRST);
    assert_eq!(answer(&mut director, 0, FIRST), VIP);
}

#[test]
fn what_a_real_server_sends_to_the_director_is_no_clients() {
    let twin = text(&service(VIP, "ops = true")).replace("name = \"lan\"\n", "name = \"lan\"\ntwin = \"lan0\"\n");
    let mut director = Director::with_config(&parse(&twin), 1, Table::new(65_536, [3, 5, 7, 9]).unwrap());
    let answer = udp(FIRST, (Ipv4Addr::new(10, 0, 0, 1), 40_000), LAN_MAC, b"!");
    assert_eq!(director.give(0, LAN, &answer), [(2, answer)], "to the host, which has asked");
}

#[test]
fn of_what_bears_a_mark_datagrams_are_dealt_one_by_one() {
    let mut director = Director::new(
        "[[mark]]\nmark = 7\nmatch = { to = '203.0.113.0/28' }\n\
         [[service]]\nmark = 7\nscheduler = 'rr'\nforwarding = 'direct'\nops = true\n\
         real = [{ address = '10.0.0.11' }, { address = '10.0.0.12' }]\n",
        1,
    );
    let station = |director: &mut Director, frame: &[u8]| director.through(0, WAN, frame, LAN)[5];
    let datagram = udp(CLIENT, VIP, WAN_MAC, b"?");
    let servers: Vec<u8> = (0..4).map(|_| station(&mut director, &datagram)).collect();
    assert_eq!(servers, [0x0b, 0x0c, 0x0b, 0x0c]);
    let first = station(&mut director, &tcp(CLIENT, VIP, WAN_MAC, "S", b""));
    assert_eq!(first, 0x0b);
    assert!(
        (0..3).all(|_| station(&mut director, &tcp(CLIENT, VIP, WAN_MAC, "A", b"")) == first),
        "TCP keeps its server"
    );
}

#[test]
fn limits_and_sorry_servers_hold() {
    let keys = "ops = true\nmax_new_per_second = 10\nsorry_server = { address = '10.0.0.12:99' }";
    let alone = |weight: u16| {
        format!(
            "[[service]]\naddress = '203.0.113.10:53'\nprotocol = 'udp'\n{keys}\n\
             real = [{{ address = '10.0.0.11:5353', weight = {weight} }}]\n"
        )
    };
    let mut director = Director::new(&alone(0), 1);
    assert_eq!(ask(&mut director, 0), (SECOND.0, 99));
    assert_eq!(answer(&mut director, 0, (SECOND.0, 99)), VIP);
    for _ in 0..20 {
        director.give(0, WAN, &udp(CLIENT, VIP, WAN_MAC, b"?"));
    }
    assert_eq!(director.count(Outcome::DropNewFlowLimit), 20);
    director.balanced();
}

#[test]
fn persistence_holds_and_its_templates_end() {
    let mut director = Director::new(&service(VIP, "ops = true\npersistence = { timeout = 60 }"), 1);
    let server = ask(&mut director, 0);
    for _ in 0..20 {
        director.pass(50_000);
        director.quiet();
        assert_eq!([ask(&mut director, 0), ask(&mut director, 0)], [server; 2], "each datagram renews it");
    }
    assert_eq!(stored(&director), 0);
    director.pass(70_000);
    let templates = |real| director.shared.counts.connections(RealId(real)).persistent;
    assert_eq!(templates(1) + templates(2), 0);
}
