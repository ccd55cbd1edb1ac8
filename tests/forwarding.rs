//! The data plane on memory ports: each method, both directions, two workers, neighbours, and the accounts.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::service::RealId;
use millrace::dataplane::stats::Outcome;
use millrace::dataplane::waiting::PER_HOP;
use support::*;

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);
const OTHER_VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 20), 80);
const FIRST: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 11), 8080);
const SECOND: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 12), 8080);

fn service(vip: (Ipv4Addr, u16), protocol: &str, forwarding: &str) -> String {
    let port = if forwarding == "nat" { 8080 } else { vip.1 };
    format!(
        "[[service]]\naddress = \"{}:{}\"\nprotocol = \"{protocol}\"\nscheduler = \"rr\"\nforwarding = \"{forwarding}\"\n\
         [[service.real]]\naddress = \"10.0.0.11:{port}\"\n[[service.real]]\naddress = \"10.0.0.12:{port}\"\n",
        vip.0, vip.1
    )
}

#[test]
fn nat_rewrites_both_directions_on_any_worker() {
    for workers in [1, 2] {
        let mut director = Director::new(&service(VIP, "tcp", "nat"), workers);
        let syn = director.through(0, WAN, &tcp(CLIENT, VIP, WAN_MAC, "S", b""), LAN);
        assert_eq!(sockets(&syn), (CLIENT, FIRST));
        assert_eq!((&syn[..6], &syn[6..12]), (&[2, 0, 0, 0, 1, 0xb][..], &LAN_MAC[..]));
        assert_eq!(ttl(&syn), 63);
        let answer = director.through(workers - 1, LAN, &tcp(FIRST, CLIENT, LAN_MAC, "SA", b""), WAN);
        assert_eq!(sockets(&answer), (VIP, CLIENT));
        assert_eq!((&answer[..6], &answer[6..12]), (&CLIENT_MAC[..], &WAN_MAC[..]));
        let data = director.through(workers - 1, WAN, &tcp(CLIENT, VIP, WAN_MAC, "AP", b"hello"), LAN);
        assert_eq!(sockets(&data), (CLIENT, FIRST), "the same server on any worker");
        let next = director.through(0, WAN, &tcp((CLIENT.0, 40_001), VIP, WAN_MAC, "S", b""), LAN);
        assert_eq!(sockets(&next).1, SECOND, "round robin");
        assert_eq!(director.count(Outcome::ForwardedNatIn), 3);
        assert_eq!(director.count(Outcome::ForwardedNatOut), 1);
        director.balanced();
    }
}

#[test]
fn direct_routing_changes_addresses_of_the_link_only() {
    let mut director = Director::new(&service(VIP, "udp", "direct"), 1);
    let sent = udp(CLIENT, VIP, WAN_MAC, b"ping");
    let got = director.through(0, WAN, &sent, LAN);
    assert_eq!(sockets(&got), (CLIENT, VIP));
    assert_eq!(&got[..12], &[2, 0, 0, 0, 1, 0xb, 2, 0, 0, 0, 0, 2]);
    assert_eq!(ttl(&got), 63);
    assert_eq!(got[26..], sent[26..], "nothing behind the header's sum changes");
    assert_eq!(director.count(Outcome::ForwardedDirect), 1);
}

#[test]
fn a_tunnel_wraps_the_packet_whole() {
    let mut director = Director::new(&service(VIP, "tcp", "tunnel"), 1);
    let sent = tcp(CLIENT, VIP, WAN_MAC, "S", b"");
    let got = director.through(0, WAN, &sent, LAN);
    assert_eq!(got.len(), sent.len() + 20);
    assert_eq!(got[23], 4, "RFC 2003");
    assert_eq!(got[26..34], [10, 0, 0, 1, 10, 0, 0, 11], "from the director to the real server");
    assert_eq!(got[46..], sent[26..]);
    assert_eq!(director.count(Outcome::ForwardedTunnel), 1);
}

#[test]
fn two_services_on_the_same_servers_answer_from_their_own_vip() {
    for workers in [1, 2] {
        let services = service(VIP, "tcp", "nat") + &service(OTHER_VIP, "tcp", "nat");
        let mut director = Director::new(&services, workers);
        for vip in [VIP, OTHER_VIP] {
            let syn = director.through(0, WAN, &tcp(CLIENT, vip, WAN_MAC, "S", b""), LAN);
            let server = sockets(&syn).1;
            for worker in 0..workers {
                let answer = director.through(worker, LAN, &tcp(server, CLIENT, LAN_MAC, "SA", b""), WAN);
                assert_eq!(sockets(&answer), (vip, CLIENT));
            }
        }
        // Both servers are taken by this client port: a third connection could not be told apart.
        let services = services + &service((Ipv4Addr::new(203, 0, 113, 30), 80), "tcp", "nat");
        director.applier.apply(&config(&services), director.now).unwrap();
        let third = tcp(CLIENT, (Ipv4Addr::new(203, 0, 113, 30), 80), WAN_MAC, "S", b"");
        assert!(director.give(0, WAN, &third).is_empty());
        assert_eq!(director.count(Outcome::DropAmbiguous), 1);
        director.balanced();
    }
}

#[test]
fn a_socket_that_becomes_shared_keeps_its_connections() {
    let mut director = Director::new(&service(VIP, "tcp", "nat"), 1);
    let syn = director.through(0, WAN, &tcp(CLIENT, VIP, WAN_MAC, "S", b""), LAN);
    assert_eq!(sockets(&syn).1, FIRST);
    let both = service(VIP, "tcp", "nat") + &service(OTHER_VIP, "tcp", "nat");
    director.applier.apply(&config(&both), director.now).unwrap();
    let answer = director.through(0, LAN, &tcp(FIRST, CLIENT, LAN_MAC, "SA", b""), WAN);
    assert_eq!(sockets(&answer), (VIP, CLIENT), "found without a link");
    let other = director.through(0, WAN, &tcp(CLIENT, OTHER_VIP, WAN_MAC, "S", b""), LAN);
    assert_eq!(sockets(&other).1, SECOND, "the first server's answers could not be told apart");
}

#[test]
fn a_removed_server_drops_and_a_quiesced_one_keeps_its_connections() {
    let mut director = Director::new(&service(VIP, "tcp", "nat"), 1);
    director.through(0, WAN, &tcp(CLIENT, VIP, WAN_MAC, "S", b""), LAN);
    let quiesced = service(VIP, "tcp", "nat").replacen("8080\"\n", "8080\"\nweight = 0\n", 1);
    director.applier.apply(&config(&quiesced), director.now).unwrap();
    let data = director.through(0, WAN, &tcp(CLIENT, VIP, WAN_MAC, "A", b"x"), LAN);
    assert_eq!(sockets(&data).1, FIRST);
    for port in 50_000..50_004 {
        let syn = director.through(0, WAN, &tcp((CLIENT.0, port), VIP, WAN_MAC, "S", b""), LAN);
        assert_eq!(sockets(&syn).1, SECOND);
    }
    let removed = service(VIP, "tcp", "nat").replacen("[[service.real]]\naddress = \"10.0.0.11:8080\"\n", "", 1);
    director.applier.apply(&config(&removed), director.now).unwrap();
    assert!(director.give(0, WAN, &tcp(CLIENT, VIP, WAN_MAC, "A", b"x")).is_empty());
    assert_eq!(director.count(Outcome::DropRealServerRemoved), 1);
    director.applier.apply(&config(&service(VIP, "tcp", "nat")), director.now).unwrap();
    let back = director.through(0, WAN, &tcp(CLIENT, VIP, WAN_MAC, "A", b"x"), LAN);
    assert_eq!(sockets(&back).1, FIRST, "it came back and finds its connection");
}

#[test]
fn packets_wait_for_their_next_hop() {
    // A client on the director's own link, whom nobody has heard of.
    let client = (Ipv4Addr::new(192, 0, 2, 77), 4000);
    let mut director = Director::new(&service(VIP, "tcp", "nat"), 2);
    director.through(0, WAN, &tcp(client, VIP, WAN_MAC, "S", b""), LAN);
    let sent = director.give(1, LAN, &tcp(FIRST, client, LAN_MAC, "SA", b""));
    assert_eq!(sent.len(), 1, "a request instead of the answer");
    let (port, request) = &sent[0];
    assert_eq!((*port, request.len(), &request[..6]), (WAN, 42, &[0xff; 6][..]));
    assert_eq!(request[28..32], [192, 0, 2, 2]);
    assert_eq!(request[38..42], [192, 0, 2, 77]);
    assert_eq!(director.shared.workers[1].waiting.get(), 1);
    director.balanced();
    let mut reply = request.clone();
    reply[..6].copy_from_slice(&WAN_MAC);
    reply[6..12].copy_from_slice(&CLIENT_MAC);
    reply[21] = 2;
    reply[22..28].copy_from_slice(&CLIENT_MAC);
    reply[28..32].copy_from_slice(&[192, 0, 2, 77]);
    reply[32..38].copy_from_slice(&WAN_MAC);
    reply[38..42].copy_from_slice(&[192, 0, 2, 2]);
    // It arrives at the other worker; the one with the packet sends it.
    let sent = director.give(0, WAN, &reply);
    assert_eq!(sent.len(), 1);
    verify(&sent[0].1);
    assert_eq!(sockets(&sent[0].1), (VIP, client));
    assert_eq!(sent[0].1[..6], CLIENT_MAC);
    assert_eq!(director.shared.workers[1].waiting.get(), 0);
    director.balanced();
}

#[test]
fn a_silent_next_hop_costs_its_own_packets_only() {
    let client = (Ipv4Addr::new(192, 0, 2, 78), 4000);
    let mut director = Director::new(&service(VIP, "tcp", "nat"), 1);
    director.through(0, WAN, &tcp(client, VIP, WAN_MAC, "S", b""), LAN);
    for _ in 0..PER_HOP + 2 {
        director.give(0, LAN, &tcp(FIRST, client, LAN_MAC, "SA", b""));
    }
    assert_eq!(director.count(Outcome::DropNeighborQueueFull), 2);
    director.pass(5000);
    assert_eq!(director.sent().len(), 2, "two more requests");
    assert_eq!(director.count(Outcome::DropNeighborUnresolved), PER_HOP as u64);
    director.balanced();
}

#[test]
fn arp_and_echo_are_answered_for_own_addresses_and_vips() {
    let mut director = Director::new(&service((Ipv4Addr::new(192, 0, 2, 10), 80), "tcp", "nat"), 1);
    for address in [[192, 0, 2, 2], [192, 0, 2, 10]] {
        let mut request = vec![0xff; 6];
        request.extend(CLIENT_MAC);
        request.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        request.extend(CLIENT_MAC);
        request.extend([192, 0, 2, 77, 0, 0, 0, 0, 0, 0]);
        request.extend(address);
        let sent = director.give(0, WAN, &request);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].1[20..28], [0, 2, 2, 0, 0, 0, 0, 1]);
        assert_eq!(sent[0].1[28..32], address);
        let answer = director.through(0, WAN, &echo(CLIENT.0, address.into(), WAN_MAC, b"abcdefg"), WAN);
        assert_eq!((answer[34], &answer[42..]), (0, &b"abcdefg"[..]));
    }
    assert_eq!(director.count(Outcome::AnsweredArp), 2);
    assert_eq!(director.count(Outcome::AnsweredEcho), 2);
    assert!(director.give(0, WAN, &echo(CLIENT.0, Ipv4Addr::new(192, 0, 2, 99), WAN_MAC, b"")).is_empty());
    director.balanced();
}

#[test]
fn ended_connections_expire_and_are_counted_out() {
    let mut director = Director::new(&service(VIP, "tcp", "nat"), 2);
    for port in 0..100 {
        director.through(0, WAN, &tcp((CLIENT.0, 1000 + port), VIP, WAN_MAC, "S", b""), LAN);
    }
    let live = |director: &Director| {
        let connections = director.shared.counts.connections(RealId(1));
        connections.active + connections.inactive
    };
    assert_eq!(live(&director), 50);
    director.pass(59_000);
    assert_eq!(live(&director), 50, "SYN_RECV lasts a minute");
    director.pass(4_000);
    assert_eq!(live(&director), 0);
    let expired: u64 = director.shared.workers.iter().map(|worker| worker.expired.get()).sum();
    assert_eq!(expired, 100);
    assert!(director.give(0, WAN, &tcp((CLIENT.0, 1000), VIP, WAN_MAC, "A", b"")).is_empty());
    assert_eq!(director.count(Outcome::DropNoConnection), 1);
}

#[test]
fn a_service_may_have_a_timeout_of_its_own_also_from_now_on() {
    let own = |timeout: &str| {
        let own = format!("protocol = \"udp\"\ntimeout = \"{timeout}\"");
        service(VIP, "udp", "nat").replace("protocol = \"udp\"", &own) + &service(OTHER_VIP, "udp", "direct")
    };
    let mut director = Director::new(&own("10s"), 2);
    let live = |director: &Director| -> Vec<u32> {
        (1..=4).map(|real| director.shared.counts.connections(RealId(real)).inactive).collect()
    };
    for port in 0..20 {
        director.through(0, WAN, &udp((CLIENT.0, 1000 + port), VIP, WAN_MAC, b"?"), LAN);
        director.through(1, WAN, &udp((CLIENT.0, 1000 + port), OTHER_VIP, WAN_MAC, b"?"), LAN);
    }
    director.pass(9_500);
    assert_eq!(live(&director), [10, 10, 10, 10]);
    director.pass(3_000);
    assert_eq!(live(&director), [0, 0, 10, 10]);
    director.applier.apply(&config(&(own("1h") + "[timeouts]\nudp = \"20s\"\n")), director.now).unwrap();
    director.through(0, WAN, &udp((CLIENT.0, 1000), VIP, WAN_MAC, b"?"), LAN);
    director.pass(10_000);
    assert_eq!(live(&director).iter().sum::<u32>(), 1, "the running connections too: 20 s are over");
    director.pass(3_500_000);
    assert_eq!(live(&director).iter().sum::<u32>(), 1);
    director.pass(110_000);
    assert_eq!(live(&director), [0; 4]);
    director.balanced();
}

#[test]
fn too_big_and_dying_packets_are_answered() {
    let mut director = Director::new(&service(VIP, "udp", "tunnel"), 1);
    let mut big = udp(CLIENT, VIP, WAN_MAC, &[7; 1460]);
    let answer = director.through(0, WAN, &big, WAN);
    assert_eq!((answer[34], answer[35]), (3, 4));
    assert_eq!(u16::from_be_bytes([answer[40], answer[41]]), 1480);
    assert_eq!(answer[26..34], [192, 0, 2, 2, 198, 51, 100, 7]);
    big[20] = 0;
    assert!(director.give(0, WAN, &big).is_empty(), "the sum is now wrong: not even an answer");
    let mut dying = udp(CLIENT, VIP, WAN_MAC, b"x");
    let sum = u16::from_be_bytes([dying[24], dying[25]]);
    dying[22] = 1;
    let mut next = u32::from(sum) + 0x3f00;
    next = (next & 0xffff) + (next >> 16);
    dying[24..26].copy_from_slice(&(next as u16).to_be_bytes());
    let answer = director.through(0, WAN, &dying, WAN);
    assert_eq!((answer[34], answer[35]), (11, 0));
    assert_eq!(director.count(Outcome::AnsweredTooBig), 1);
    assert_eq!(director.count(Outcome::AnsweredTimeExceeded), 1);
    director.balanced();
}

#[test]
fn noise_never_panics_leaks_or_goes_uncounted() {
    let services = service(VIP, "tcp", "nat") + &service(OTHER_VIP, "udp", "tunnel");
    let mut director = Director::new(&services, 2);
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize
    };
    let good = [
        tcp(CLIENT, VIP, WAN_MAC, "S", b"abc"),
        udp(CLIENT, OTHER_VIP, WAN_MAC, b"abcdef"),
        tcp(FIRST, CLIENT, LAN_MAC, "SA", b""),
        echo(CLIENT.0, VIP.0, WAN_MAC, b"ping"),
    ];
    for round in 0..20_000 {
        let mut frame = good[random() % good.len()].clone();
        for _ in 0..random() % 4 {
            let at = random() % frame.len();
            frame[at] = random() as u8;
        }
        let cut = (random() % 8).saturating_sub(4) * (random() % frame.len()) / 4;
        frame.truncate(frame.len() - cut);
        if round % 7 == 0 {
            frame.resize(60.max(frame.len()), 0);
        }
        for (_, bytes) in director.give(random() % 2, random() % 2, &frame) {
            assert!(bytes.len() >= 42);
        }
        if round % 100 == 0 {
            director.pass(250);
        }
    }
    director.balanced();
    director.pass(10_000);
    for worker in &mut director.workers {
        worker.abandon();
    }
    director.quiet();
    for wire in director.wires.iter().flatten() {
        assert_eq!(wire.in_use(), 0, "every buffer is back in its pool");
    }
}
