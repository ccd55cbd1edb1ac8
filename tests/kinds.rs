//! Services of several ports or addresses, by match and by mark: who has which packet, and whose answers are whose.

mod support;

use std::net::Ipv4Addr;

use millrace::ctrl::accounts::Accounts;
use millrace::ctrl::api::DeviceReport;
use millrace::ctrl::connections::{ConnectionReport, Filter, Scan};
use millrace::ctrl::diff;
use millrace::ctrl::health::book::Book;
use millrace::ctrl::survey::Survey;
use millrace::dataplane::service::RealId;
use millrace::dataplane::stats::Outcome;
use support::*;

type Socket = (Ipv4Addr, u16);

const CLIENT: Socket = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 12);

fn vip(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, host)
}

/// A service of whatever `what` says, with these real servers.
fn service(what: &str, forwarding: &str, reals: &[&str]) -> String {
    let reals: Vec<String> = reals.iter().map(|real| format!("{{ address = '{real}' }}")).collect();
    format!("[[service]]\n{what}\nforwarding = '{forwarding}'\nscheduler = 'rr'\nreal = [{}]\n", reals.join(", "))
}

fn at(address: &str, forwarding: &str, reals: &[&str]) -> String {
    service(&format!("address = '{address}'"), forwarding, reals)
}

/// Opens a connection by NAT; returns the real server's socket.
fn open(director: &mut Director, client: Socket, to: Socket) -> Socket {
    let syn = director.through(0, WAN, &tcp(client, to, WAN_MAC, "S", b""), LAN);
    let (from, server) = sockets(&syn);
    assert_eq!(from, client);
    server
}

/// A real server answers a client; returns whom the client hears.
fn answer(director: &mut Director, worker: usize, server: Socket, client: Socket) -> Socket {
    let answer = director.through(worker, LAN, &tcp(server, client, LAN_MAC, "SA", b""), WAN);
    let (from, to) = sockets(&answer);
    assert_eq!(to, client);
    from
}

/// Sends a SYN by direct routing or tunnel; returns the last octet of the real server's address, which its Ethernet address
/// has too.
fn sent_to(director: &mut Director, client: Socket, to: Socket, flags: &str) -> u8 {
    director.through(0, WAN, &tcp(client, to, WAN_MAC, flags, b""), LAN)[5]
}

fn refused(director: &mut Director, client: Socket, to: Socket, outcome: Outcome) {
    let before = director.count(outcome);
    let sent = director.give(0, WAN, &tcp(client, to, WAN_MAC, "S", b""));
    assert!(sent.is_empty(), "{sent:02x?}");
    assert_eq!(director.count(outcome), before + 1, "{:?}", director.outcomes());
}

#[test]
fn each_vip_of_a_prefix_answers_for_itself() {
    for workers in [1, 2] {
        let mut director = Director::new(&at("203.0.113.0/28:80", "nat", &["10.0.0.11:8080", "10.0.0.12"]), workers);
        let connections: Vec<_> = (0..16)
            .map(|host| {
                let client = (CLIENT.0, 40_000 + u16::from(host));
                (client, (vip(host), 80), open(&mut director, client, (vip(host), 80)))
            })
            .collect();
        for (client, vip, server) in &connections {
            assert!([(FIRST, 8080), (SECOND, 80)].contains(server), "{server:?}");
            for worker in 0..workers {
                assert_eq!(answer(&mut director, worker, *server, *client), *vip);
                let data = tcp(*client, *vip, WAN_MAC, "PA", b"x");
                assert_eq!(sockets(&director.through(worker, WAN, &data, LAN)).1, *server);
            }
        }
        let stranger = tcp((FIRST, 8081), connections[0].0, LAN_MAC, "A", b"");
        assert!(director.give(0, LAN, &stranger).is_empty(), "not the port of that server");
        refused(&mut director, CLIENT, (vip(16), 80), Outcome::DropNotForUs);
        refused(&mut director, CLIENT, (vip(1), 81), Outcome::DropNotForUs);
        director.balanced();
    }
}

#[test]
fn one_client_port_has_connections_to_several_vips_while_they_can_be_told_apart() {
    let mut director = Director::new(&at("203.0.113.0/28:80", "nat", &["10.0.0.11:8080", "10.0.0.12:8080"]), 2);
    let servers = [1, 2].map(|host| open(&mut director, CLIENT, (vip(host), 80)));
    assert_ne!(servers[0], servers[1], "the other real server");
    refused(&mut director, CLIENT, (vip(3), 80), Outcome::DropAmbiguous);
    for (host, server) in [1, 2].into_iter().zip(servers) {
        assert_eq!(answer(&mut director, 1, server, CLIENT), (vip(host), 80));
    }
    // Two services may share a server: one keeps the port that the client chose, the other does not.
    let shared =
        at("203.0.113.0/28:80", "nat", &["10.0.0.11:8080"]) + &at("203.0.113.16/28:8000-8099", "nat", &["10.0.0.11"]);
    let mut director = Director::new(&shared, 1);
    assert_eq!(open(&mut director, CLIENT, (vip(1), 80)), (FIRST, 8080));
    refused(&mut director, CLIENT, (vip(17), 8080), Outcome::DropAmbiguous);
    assert_eq!(open(&mut director, CLIENT, (vip(17), 8081)), (FIRST, 8081));
    assert_eq!(answer(&mut director, 0, (FIRST, 8080), CLIENT), (vip(1), 80));
    assert_eq!(answer(&mut director, 0, (FIRST, 8081), CLIENT), (vip(17), 8081));
    director.balanced();
}

#[test]
fn a_range_ends_where_it_says() {
    for (range, inside, outside) in [
        ("203.0.113.10:8000-8009", [(10, 8000), (10, 8009)], [(10, 7999), (10, 8010), (11, 8000)]),
        ("203.0.113.10-203.0.113.13:80", [(10, 80), (13, 80)], [(9, 80), (14, 80), (10, 81)]),
        ("203.0.113.8/30:0", [(8, 1), (11, 65_535)], [(7, 1), (12, 65_535), (255, 1)]),
    ] {
        for (forwarding, outcome) in [("direct", Outcome::ForwardedDirect), ("tunnel", Outcome::ForwardedTunnel)] {
            let mut director = Director::new(&at(range, forwarding, &["10.0.0.11"]), 1);
            for (host, port) in inside {
                let sent = tcp(CLIENT, (vip(host), port), WAN_MAC, "S", b"");
                let got = director.through(0, WAN, &sent, LAN);
                assert_eq!(got[got.len() - 20..], sent[34..], "{range}: the TCP header is untouched");
            }
            for (host, port) in outside {
                director.give(0, WAN, &tcp(CLIENT, (vip(host), port), WAN_MAC, "S", b""));
            }
            assert_eq!((director.count(outcome), director.shared.workers[0].ended()), (2, 5), "{range}");
        }
        let mut director = Director::new(&at(range, "nat", &["10.0.0.11"]), 1);
        for (host, port) in inside {
            let client = (CLIENT.0, 40_000 + u16::from(host));
            let server = open(&mut director, client, (vip(host), port));
            assert_eq!(server, (FIRST, port), "{range}: the port stays");
            assert_eq!(answer(&mut director, 0, server, client), (vip(host), port));
        }
        director.balanced();
    }
}

/// Real servers 1 to 6 in the order in which their services are looked up, each beside what makes its service.
const ORDER: [&str; 6] = [
    "mark = 7",
    "match = { from = '198.51.100.0/24', to = '203.0.113.0/24' }",
    "address = '203.0.113.10:80'",
    "address = '203.0.113.0/24:80-81'",
    "address = '203.0.113.10:0'",
    "address = '203.0.113.0/25:0'",
];

fn in_order(wanted: &[usize]) -> String {
    let mut text = "[[mark]]\nmark = 7\nmatch = { protocol = 'tcp', to = '203.0.113.10', port = 80 }\n".to_owned();
    for nth in 0..6 {
        let host = 11 + nth;
        if host > 12 {
            text += &format!("[[neighbor]]\naddress = '10.0.0.{host}'\nmac = '02:00:00:00:01:{host:02x}'\n");
        }
    }
    // The file's order is the other way round.
    for nth in wanted.iter().rev() {
        text += &service(ORDER[*nth], "direct", &[&format!("10.0.0.{}", 11 + nth)]);
    }
    text
}

#[test]
fn marks_come_before_addresses_and_every_port_comes_last() {
    let to = (vip(10), 80);
    let mut director = Director::new(&in_order(&[]), 1);
    for (first, what) in ORDER.into_iter().enumerate() {
        director.reload(&in_order(&(first..6).collect::<Vec<_>>()));
        let client = (CLIENT.0, 1000 + first as u16);
        assert_eq!(sent_to(&mut director, client, to, "S"), 11 + first as u8, "{what}");
    }
    director.reload(&in_order(&[]));
    refused(&mut director, CLIENT, to, Outcome::DropNotForUs);
}

#[test]
fn a_connection_stays_where_it_began_when_a_service_comes_before_its_own() {
    let to = (vip(10), 80);
    let mut director = Director::new("", 1);
    for last in (0..6).rev() {
        director.reload(&in_order(&(last..6).collect::<Vec<_>>()));
        let client = |nth: usize| (CLIENT.0, 1000 + nth as u16);
        assert_eq!(sent_to(&mut director, client(last), to, "S"), 11 + last as u8);
        for before in last..6 {
            assert_eq!(sent_to(&mut director, client(before), to, "A"), 11 + before as u8, "{last}");
        }
    }
    let connections: u64 = director.shared.workers[0].services.iter().map(|service| service.connections.get()).sum();
    assert_eq!(connections, 6);
}

#[test]
fn the_first_rule_that_fits_gives_the_mark() {
    let rules = "[[mark]]\nmark = 1\nmatch = { to = '203.0.113.1', port = 22 }\n\
                 [[mark]]\nmark = 2\nmatch = { to = '203.0.113.0/28', protocol = 'tcp' }\n\
                 [[mark]]\nmark = 3\nmatch = { to = '203.0.113.0/28' }\n";
    let services = service("mark = 2", "direct", &["10.0.0.11"]) + &service("mark = 3", "direct", &["10.0.0.12"]);
    let mut director = Director::new(&(rules.to_owned() + &services), 1);
    assert_eq!(sent_to(&mut director, CLIENT, (vip(1), 80), "S"), 0x0b);
    assert_eq!(director.through(0, WAN, &udp(CLIENT, (vip(1), 80), WAN_MAC, b"?"), LAN)[5], 0x0c);
    refused(&mut director, CLIENT, (vip(1), 22), Outcome::DropNotForUs);
    refused(&mut director, CLIENT, (vip(16), 80), Outcome::DropNotForUs);
}

#[test]
fn a_match_looks_at_source_and_port_of_arrival() {
    let text = service("match = { from = '198.51.100.0/25', to = '203.0.113.1' }", "direct", &["10.0.0.11"])
        + &service("match = { ingress = 'wan', to = '203.0.113.1', port = '80-89' }", "direct", &["10.0.0.12"]);
    let mut director = Director::new(&text, 1);
    let (near, far) = (CLIENT, (Ipv4Addr::new(198, 51, 100, 200), 40_000));
    assert_eq!(sent_to(&mut director, near, (vip(1), 80), "S"), 0x0b);
    assert_eq!(sent_to(&mut director, far, (vip(1), 80), "S"), 0x0c);
    refused(&mut director, far, (vip(1), 90), Outcome::DropNotForUs);
    let inside = tcp((far.0, 50_000), (vip(1), 80), LAN_MAC, "S", b"");
    assert!(director.give(0, LAN, &inside).is_empty(), "not from the LAN");
}

#[test]
fn one_mark_is_one_server_for_all_that_bears_it() {
    let rules = "[[mark]]\nmark = 9\nmatch = { protocol = 'tcp', to = '203.0.113.10', port = 80 }\n\
                 [[mark]]\nmark = 9\nmatch = { protocol = 'tcp', to = '203.0.113.10', port = 443 }\n\
                 [[mark]]\nmark = 9\nmatch = { protocol = 'udp', to = '203.0.113.11', port = 443 }\n";
    for forwarding in ["nat", "direct", "tunnel"] {
        let web = service("mark = 9\npersistence = { timeout = 100 }", forwarding, &["10.0.0.11", "10.0.0.12"]);
        let mut director = Director::new(&(rules.to_owned() + &web), 2);
        let mut servers = Vec::new();
        for host in 1..9 {
            let client = |port| (Ipv4Addr::new(198, 51, 100, host), port);
            let mut one = Vec::new();
            for (worker, port) in [(0, 80), (1, 443), (1, 80), (0, 443)] {
                let syn = tcp(client(1000 + port + worker as u16), (vip(10), port), WAN_MAC, "S", b"");
                one.push(director.through(worker, WAN, &syn, LAN)[5]);
            }
            one.push(director.through(0, WAN, &udp(client(9), (vip(11), 443), WAN_MAC, b"?"), LAN)[5]);
            assert!(one.iter().all(|server| *server == one[0]), "{forwarding}: {one:?}");
            servers.push(one[0]);
        }
        assert!(servers.contains(&0x0b) && servers.contains(&0x0c), "{servers:?}");
        let templates: u32 = (1..3).map(|real| director.shared.counts.connections(RealId(real)).persistent).sum();
        assert_eq!(templates, 8, "one for each client");
        director.balanced();
    }
}

#[test]
fn tcp_and_udp_of_one_mark_do_not_meet() {
    let rule = "[[mark]]\nmark = 9\nmatch = { to = '203.0.113.0/24', port = 53 }\n";
    let mut director = Director::new(&(rule.to_owned() + &service("mark = 9", "nat", &["10.0.0.11:5353"])), 1);
    let (one, other) = ((vip(1), 53), (vip(2), 53));
    assert_eq!(open(&mut director, CLIENT, one), (FIRST, 5353));
    assert_eq!(sockets(&director.through(0, WAN, &udp(CLIENT, other, WAN_MAC, b"?"), LAN)).1, (FIRST, 5353));
    assert_eq!(answer(&mut director, 0, (FIRST, 5353), CLIENT), one);
    let heard = director.through(0, LAN, &udp((FIRST, 5353), CLIENT, LAN_MAC, b"!"), WAN);
    assert_eq!(sockets(&heard), (other, CLIENT));
    director.balanced();
}

#[test]
fn answers_that_a_match_fits_are_answers() {
    // The client's own network is what the match is for, so answers to it fit as well.
    let web = at("203.0.113.10:80", "nat", &["10.0.0.12"]);
    let all = service("match = { to = '0.0.0.0/0', protocol = 'tcp', port = '1024-65535' }", "nat", &["10.0.0.11"]);
    let mut director = Director::new(&(web + &all), 1);
    let server = open(&mut director, CLIENT, (vip(10), 80));
    assert_eq!(server, (SECOND, 80));
    assert_eq!(answer(&mut director, 0, server, CLIENT), (vip(10), 80));
    let other = open(&mut director, CLIENT, (vip(99), 2000));
    assert_eq!(other, (FIRST, 2000));
    assert_eq!(answer(&mut director, 0, other, CLIENT), (vip(99), 2000));
    // Something of its own to a client is balanced, since the match says so.
    let own = tcp((SECOND, 81), CLIENT, LAN_MAC, "S", b"");
    assert_eq!(sockets(&director.through(0, LAN, &own, LAN)).1, (FIRST, CLIENT.1));
    director.balanced();
}

#[test]
fn a_real_server_may_be_a_client_from_a_port_that_it_serves() {
    let served = at("203.0.113.10:80", "nat", &["10.0.0.11:8080"]);
    for other in ["203.0.113.20:0", "203.0.113.16/28:80", "203.0.113.20:80-89"] {
        let mut director = Director::new(&(served.clone() + &at(other, "nat", &["10.0.0.12"])), 1);
        let syn = tcp((FIRST, 8080), (vip(20), 80), LAN_MAC, "S", b"");
        let got = director.through(0, LAN, &syn, LAN);
        assert_eq!(sockets(&got), ((FIRST, 8080), (SECOND, 80)), "{other}");
        let answer = tcp((SECOND, 80), (FIRST, 8080), LAN_MAC, "SA", b"");
        assert_eq!(sockets(&director.through(0, LAN, &answer, LAN)), ((vip(20), 80), (FIRST, 8080)), "{other}");
        let stray = tcp((FIRST, 8080), CLIENT, LAN_MAC, "A", b"");
        assert!(director.give(0, LAN, &stray).is_empty());
        assert_eq!(director.count(Outcome::DropNoConnectionReply), 1);
        director.balanced();
    }
}

#[test]
fn connections_of_removed_servers_are_not_mixed_up_with_those_of_another_kind() {
    let single = at("203.0.113.20:80", "nat", &["10.0.0.11"]);
    let wide = at("203.0.113.0/28:80", "nat", &["10.0.0.11"]);
    for (before, after, old, new) in
        [(&single, &wide, (vip(20), 80), (vip(1), 80)), (&wide, &single, (vip(1), 80), (vip(20), 80))]
    {
        let mut director = Director::new(before, 2);
        assert_eq!(open(&mut director, CLIENT, old), (FIRST, 80));
        director.reload("");
        director.reload(after);
        refused(&mut director, CLIENT, new, Outcome::DropAmbiguous);
        let other = (CLIENT.0, 50_000);
        assert_eq!(open(&mut director, other, new), (FIRST, 80), "another port of the client can be told apart");
        assert_eq!(answer(&mut director, 1, (FIRST, 80), other), new);
        director.balanced();
    }
}

#[test]
fn arp_is_answered_for_what_is_named() {
    let prefix = "address = '203.0.113.0/28:80'\nvips = ['203.0.113.1', '203.0.113.4-203.0.113.5']";
    let text = service(prefix, "direct", &["10.0.0.11"]) + &at("203.0.113.20:80-89", "direct", &["10.0.0.11"]);
    let mut director = Director::new(&text, 1);
    for (host, answered) in [(1, true), (2, false), (4, true), (5, true), (6, false), (20, true), (21, false)] {
        let ping = echo(CLIENT.0, vip(host), WAN_MAC, b"ping");
        assert_eq!(director.give(0, WAN, &ping).len(), usize::from(answered), "{host}");
    }
    assert_eq!(director.count(Outcome::AnsweredEcho), 4);
}

#[test]
fn an_icmp_error_or_ping_bears_no_mark() {
    let text = "[[mark]]\nmark = 1\nmatch = { to = '0.0.0.0/0' }\n".to_owned()
        + &service("mark = 1", "direct", &["10.0.0.11"]);
    let mut director = Director::new(&text, 1);
    assert!(director.give(0, WAN, &echo(CLIENT.0, vip(1), WAN_MAC, b"ping")).is_empty());
    assert_eq!(director.count(Outcome::DropNotForUs), 1);
}

#[test]
fn listings_say_what_a_service_is_for() {
    let rule = "[[mark]]\nmark = 9\nmatch = { to = '203.0.113.10', port = 80 }\n";
    let text = rule.to_owned()
        + &service("mark = 9\npersistence = {}", "direct", &["10.0.0.11"])
        + &at("203.0.113.0/28:8000-8099", "direct", &["10.0.0.11"])
        + &service(
            "match = { from = '192.0.2.0/24', to = '203.0.113.0/28', ingress = 'lan' }",
            "direct",
            &["10.0.0.11"],
        );
    let mut director = Director::new(&text, 1);
    sent_to(&mut director, CLIENT, (vip(10), 80), "S");
    sent_to(&mut director, CLIENT, (vip(11), 8080), "S");
    let scan = |query: &str| -> Vec<String> {
        let filter = serde_urlencoded::from_str::<Filter>(query).unwrap();
        let (viewer, names) = (director.applier.viewer(), director.applier.names());
        let scan = Scan::new(director.shared.clone(), viewer, names, filter, director.now);
        let line = |found: ConnectionReport| {
            let ConnectionReport { protocol, client, service, mark, real, .. } = found;
            format!("{protocol} {client} {service} {} mark {mark:?}", real.unwrap())
        };
        scan.flatten().map(line).collect()
    };
    let marked = "TCP 198.51.100.7:40000 203.0.113.10:80 10.0.0.11:80 mark Some(9)";
    let template = "IP 198.51.100.7:0 0.0.0.9:0 10.0.0.11:0 mark Some(9)";
    let ranged = "TCP 198.51.100.7:40000 203.0.113.11:8080 10.0.0.11:8080 mark None";
    assert_eq!(scan("mark=9"), [marked, template]);
    assert_eq!(scan("service=203.0.113.0/28:8080"), [ranged]);
    assert_eq!(scan("").len(), 3);

    let snapshot = director.applier.viewer().current();
    let (shared, now) = (&director.shared, director.now);
    let (config, accounts) = (config(&text), Accounts::default());
    let survey =
        Survey { shared, snapshot: &snapshot, config: &config, accounts: &accounts, health: &Book::default(), now };
    let report = survey.report(|_| DeviceReport::default());
    let services: Vec<_> = report.services.iter().map(|service| (&*service.protocol, &*service.address)).collect();
    let expected =
        [("tcp", "203.0.113.0/28:8000-8099"), ("ip", "from 192.0.2.0/24 to 203.0.113.0/28:0 in lan"), ("fwm", "9")];
    assert_eq!(services, expected);
    assert_eq!(report.services[2].traffic.connections, 1);
}

#[test]
fn a_reload_says_what_became_of_rules_and_ranges() {
    let rule =
        |mark: u32, port: u16| format!("[[mark]]\nmark = {mark}\nmatch = {{ to = '203.0.113.10', port = {port} }}\n");
    let (one, two) = (at("203.0.113.0/28:80", "direct", &[]), at("203.0.113.0/24:80", "direct", &[]));
    let changes = |old: &str, new: &str| diff::changes(&config(old), &config(new)).unwrap();
    for (old, new, expected) in [
        (
            rule(1, 80),
            rule(2, 80),
            vec!["mark 1 for to 203.0.113.10:80: removed", "mark 2 for to 203.0.113.10:80: added"],
        ),
        (rule(1, 80) + &rule(1, 81), rule(1, 81) + &rule(1, 80), vec!["the mark rules are in another order"]),
        (one.clone() + &two, two.clone() + &one, vec!["the services are in another order"]),
        (one.clone(), one.clone() + &two, vec!["service TCP 203.0.113.0/24:80, rr, []: added"]),
        (
            one.clone(),
            one.replace(":80'\n", ":80'\nvips = ['203.0.113.1']\n"),
            vec!["service TCP 203.0.113.0/28:80: vips [] -> [203.0.113.1]"],
        ),
        (
            service("mark = 1", "nat", &[]),
            service("mark = 1", "direct", &[]),
            vec!["service FWM 1: forwarding nat -> direct"],
        ),
    ] {
        assert_eq!(changes(&old, &new), expected);
    }
}
