//! Fragments over the whole data plane: both families, every method, every order, on whichever worker.

mod support;

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;
use millrace::dataplane::conn::Table;
use millrace::dataplane::fragments::held::{LOOKS, PATIENCE, PER_DATAGRAM};
use millrace::dataplane::stats::Outcome;
use support::*;

const REAL_MAC: [u8; 6] = [2, 0, 0, 0, 1, 0x0b];
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];

/// One family's addresses.
#[derive(Clone, Copy)]
struct Plan {
    six: bool,
    client: &'static str,
    vip: &'static str,
    real: &'static str,
}

const V4: Plan = Plan { six: false, client: "198.51.100.7", vip: "203.0.113.10", real: "10.0.0.11" };
const V6: Plan = Plan { six: true, client: "2001:db8:c::7", vip: "2001:db8:f::10", real: "fd00::11" };
const PLANS: [Plan; 2] = [V4, V6];

impl Plan {
    fn socket(&self, address: &str, port: u16) -> String {
        if self.six { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
    }

    fn service(&self, protocol: &str, forwarding: &str, keys: &str) -> String {
        let port = if matches!(forwarding, "nat" | "fullnat") { 5353 } else { 53 };
        let pool = "[[local_pool]]\naddresses = ['10.0.0.200', 'fd00::200']\n";
        let pool = if forwarding == "fullnat" { pool } else { "" };
        format!(
            "[[service]]\naddress = '{}'\nprotocol = '{protocol}'\nforwarding = '{forwarding}'\nscheduler = 'rr'\n{keys}\n\
             real = [{{ address = '{}' }}]\n{pool}",
            self.socket(self.vip, 53),
            self.socket(self.real, port),
        )
    }

    /// A frame of this protocol, its checksum right.
    fn frame(&self, protocol: &str, from: (&str, u16), to: (&str, u16), mac: [u8; 6], payload: &[u8]) -> Vec<u8> {
        let start = PacketBuilder::ethernet2(CLIENT_MAC, mac);
        let start = if self.six {
            let [from, to] = [from.0, to.0].map(|text| text.parse::<Ipv6Addr>().unwrap().octets());
            start.ipv6(from, to, 64)
        } else {
            let [from, to] = [from.0, to.0].map(|text| text.parse::<Ipv4Addr>().unwrap().octets());
            start.ipv4(from, to, 64)
        };
        let mut bytes = Vec::new();
        match protocol {
            "udp" => start.udp(from.1, to.1).write(&mut bytes, payload).unwrap(),
            "tcp" => start.tcp(from.1, to.1, 1000, 4096).syn().write(&mut bytes, payload).unwrap(),
            "icmp" if self.six => start.icmpv6_echo_request(from.1, 1).write(&mut bytes, payload).unwrap(),
            "icmp" => start.icmpv4_echo_request(from.1, 1).write(&mut bytes, payload).unwrap(),
            other => panic!("{other}"),
        }
        bytes
    }

    fn asked(&self, protocol: &str) -> Vec<u8> {
        self.frame(protocol, (self.client, 4000), (self.vip, 53), WAN_MAC, &payload())
    }
}

/// No two octets next to each other are the same.
fn payload() -> Vec<u8> {
    (0..200u8).collect()
}

fn director(services: &str, workers: usize) -> Director {
    let text = text(services)
        .replace("\"192.0.2.2/24\"", "\"192.0.2.2/24\", \"2001:db8:a::2/64\"")
        .replace("\"10.0.0.1/24\"", "\"10.0.0.1/24\", \"fd00::1/64\"");
    let six = "[[route]]\nto = '::/0'\nvia = '2001:db8:a::1'\n\
               [[neighbor]]\naddress = '2001:db8:a::1'\nmac = '02:00:00:00:01:01'\n\
               [[neighbor]]\naddress = 'fd00::11'\nmac = '02:00:00:00:01:0b'\n";
    Director::with_config(&parse(&format!("{text}\n{six}")), workers, Table::new(65_536, [3, 5, 7, 9]).unwrap())
}

fn fix_header_sum(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let sum = packet[..20].chunks(2).fold(0u32, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
}

/// One fragment of a frame: what lies from `from` to `to` in its data.
fn piece(frame: &[u8], identification: u32, from: usize, to: usize) -> Vec<u8> {
    let six = frame[12..14] == [0x86, 0xdd];
    let head = if six { 54 } else { 34 };
    let data = &frame[head..];
    let (data, more) = (&data[from..to.min(data.len())], to < data.len());
    let mut piece = frame[..head].to_vec();
    if six {
        let word = from as u16 | u16::from(more);
        piece[18..20].copy_from_slice(&(8 + data.len() as u16).to_be_bytes());
        let next = std::mem::replace(&mut piece[20], 44);
        piece.extend([next, 0]);
        piece.extend(word.to_be_bytes());
        piece.extend(identification.to_be_bytes());
    } else {
        let word = (from >> 3) as u16 | u16::from(more) << 13;
        piece[16..18].copy_from_slice(&(20 + data.len() as u16).to_be_bytes());
        piece[18..20].copy_from_slice(&(identification as u16).to_be_bytes());
        piece[20..22].copy_from_slice(&word.to_be_bytes());
        fix_header_sum(&mut piece[14..]);
    }
    piece.extend(data);
    piece
}

/// All fragments of a frame, of `octets` of data each.
fn pieces(frame: &[u8], identification: u32, octets: usize) -> Vec<Vec<u8>> {
    let data = frame.len() - if frame[12..14] == [0x86, 0xdd] { 54 } else { 34 };
    (0..data).step_by(octets).map(|from| piece(frame, identification, from, from + octets)).collect()
}

/// A packet put together from the frames of its fragments, with the fields that only fragments have as `whole` has them; header sums
/// are verified.
fn together(frames: &[Vec<u8>], whole: &[u8]) -> Vec<u8> {
    let six = whole[12..14] == [0x86, 0xdd];
    let (head, skip) = if six { (54, 8) } else { (34, 0) };
    let mut packet = vec![0xee; whole.len()];
    let mut filled = head;
    for frame in frames {
        let offset = if six {
            assert_eq!(usize::from(u16::from_be_bytes([frame[18], frame[19]])), frame.len() - 54, "payload length");
            usize::from(u16::from_be_bytes([frame[56], frame[57]]) & !7)
        } else {
            assert_eq!(usize::from(u16::from_be_bytes([frame[16], frame[17]])), frame.len() - 14, "total length");
            let mut fixed = frame[14..34].to_vec();
            fix_header_sum(&mut fixed);
            assert_eq!(fixed, frame[14..34], "header sum");
            usize::from(u16::from_be_bytes([frame[20], frame[21]]) & 0x1fff) * 8
        };
        let data = &frame[head + skip..];
        packet[head + offset..head + offset + data.len()].copy_from_slice(data);
        filled += data.len();
        packet[..head].copy_from_slice(&frame[..head]);
    }
    assert_eq!(filled, whole.len(), "all of it, and nothing twice");
    if six {
        packet[18..20].copy_from_slice(&whole[18..20]);
        packet[20] = whole[20];
    } else {
        packet[16..22].copy_from_slice(&whole[16..22]);
        fix_header_sum(&mut packet[14..]);
    }
    packet
}

/// The frame without its outer header.
fn inner(frame: &[u8]) -> Vec<u8> {
    let (outer, protocol) = if frame[12..14] == [0x86, 0xdd] { (40, frame[20]) } else { (20, frame[23]) };
    let ethertype = match protocol {
        4 => [8, 0],
        41 => [0x86, 0xdd],
        other => panic!("no tunnel: {other}"),
    };
    [&frame[..12], &ethertype, &frame[14 + outer..]].concat()
}

/// The orders in which four fragments come.
const ORDERS: [[usize; 4]; 5] = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 3, 0], [2, 0, 3, 1], [0, 3, 2, 1]];

#[test]
fn fragments_of_every_order_are_the_packet_that_is_forwarded_whole() {
    for plan in PLANS {
        for method in ["nat", "fullnat", "tunnel", "direct"] {
            for protocol in ["udp", "tcp"] {
                let mut director = director(&plan.service(protocol, method, ""), 2);
                let asked = plan.asked(protocol);
                let whole = director.through(0, WAN, &asked, LAN);
                for (n, (way, order)) in ["one", "turns", "first apart"].into_iter().flat_map(by_each_order).enumerate()
                {
                    let all = pieces(&asked, 77 + n as u32, 56);
                    let mut sent = Vec::new();
                    for (turn, index) in order.into_iter().enumerate() {
                        let worker = match way {
                            "one" => 0,
                            "turns" => turn % 2,
                            _ => usize::from(index == 0),
                        };
                        sent.extend(director.give(worker, WAN, &all[index]));
                    }
                    director.poll();
                    sent.extend(director.sent());
                    let what = format!("{method} {protocol} {way} {order:?} {:?}", director.outcomes());
                    assert!(sent.iter().all(|(port, frame)| *port == LAN && frame[..6] == REAL_MAC), "{what}");
                    let frames: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
                    let (frames, whole) = match method {
                        "tunnel" => (frames.iter().map(|frame| inner(frame)).collect(), inner(&whole)),
                        _ => (frames, whole.clone()),
                    };
                    assert_eq!(frames.len(), all.len(), "{what}");
                    assert_eq!(together(&frames, &whole), whole, "{what}");
                }
                director.balanced();
                assert_eq!(director.shared.workers.iter().map(|worker| worker.waiting.get()).sum::<u64>(), 0);
                assert_eq!(director.outcomes().len(), 1, "{:?}", director.outcomes());
            }
        }
    }
}

fn by_each_order(way: &'static str) -> impl Iterator<Item = (&'static str, [usize; 4])> {
    ORDERS.into_iter().map(move |order| (way, order))
}

#[test]
fn a_nat_real_servers_answer_comes_from_the_vip_in_fragments_too() {
    for plan in PLANS {
        for (method, asked, answered) in [
            ("nat", "forwarded_nat_in", "forwarded_nat_out"),
            ("fullnat", "forwarded_fullnat_in", "forwarded_fullnat_out"),
        ] {
            let mut director = director(&plan.service("udp", method, ""), 2);
            let sent = director.through(0, WAN, &plan.asked("udp"), LAN);
            let (address, at) = if plan.six { (22..38, 54) } else { (26..30, 34) };
            let asker = match plan.six {
                true => Ipv6Addr::from(<[u8; 16]>::try_from(&sent[address]).unwrap()).to_string(),
                false => Ipv4Addr::from(<[u8; 4]>::try_from(&sent[address]).unwrap()).to_string(),
            };
            let port = u16::from_be_bytes([sent[at], sent[at + 1]]);
            assert_eq!((asker.as_str(), port) == (plan.client, 4000), method == "nat");
            let answer = plan.frame("udp", (plan.real, 5353), (&asker, port), LAN_MAC, &payload());
            let whole = director.through(0, LAN, &answer, WAN);
            for (n, order) in ORDERS.into_iter().enumerate() {
                let all = pieces(&answer, n as u32, 56);
                let mut frames = Vec::new();
                for index in order {
                    for (port, frame) in director.give(index % 2, LAN, &all[index]) {
                        assert_eq!((port, &frame[..6]), (WAN, &GATEWAY_MAC[..]));
                        frames.push(frame);
                    }
                }
                director.poll();
                frames.extend(director.sent().into_iter().map(|(_, frame)| frame));
                assert_eq!(together(&frames, &whole), whole, "{method} {order:?}");
            }
            assert_eq!(director.outcomes(), [(asked, 1), (answered, 1 + 4 * ORDERS.len() as u64)]);
            director.balanced();
        }
    }
}

#[test]
fn fragments_make_one_connection_and_count_as_packets() {
    for plan in PLANS {
        let mut director = director(&plan.service("udp", "nat", ""), 1);
        for (n, frame) in pieces(&plan.asked("udp"), 9, 56).iter().enumerate() {
            assert_eq!(director.give(0, WAN, frame).len(), 1, "{n}");
        }
        let stats = &director.shared.workers[0].services;
        let (packets, connections): (u64, u64) =
            stats.iter().fold((0, 0), |(a, b), flow| (a + flow.in_packets.get(), b + flow.connections.get()));
        assert_eq!((packets, connections), (4, 1));
        director.balanced();
    }
}

#[test]
fn a_fragment_whose_first_does_not_come_is_dropped_after_a_while() {
    for plan in PLANS {
        let mut director = director(&plan.service("udp", "nat", ""), 2);
        for frame in &pieces(&plan.asked("udp"), 9, 56)[1..] {
            assert_eq!(director.give(1, WAN, frame), []);
        }
        assert_eq!(director.shared.workers[1].waiting.get(), 3);
        director.balanced();
        director.pass(PATIENCE - 250);
        assert_eq!((director.outcomes(), director.sent()), (vec![], vec![]));
        director.pass(500);
        assert_eq!(director.outcomes(), [("drop_fragment_no_first", 3)]);
        assert_eq!(director.shared.workers[1].waiting.get(), 0);
        // Nor does what is still held when a worker stops get lost unseen.
        director.give(0, WAN, &pieces(&plan.asked("udp"), 10, 56)[1]);
        director.workers[0].abandon();
        assert_eq!(director.outcomes(), [("drop_fragment_no_first", 4)]);
        director.balanced();
    }
}

#[test]
fn few_fragments_of_one_datagram_are_held() {
    for plan in PLANS {
        let mut director = director(&plan.service("udp", "nat", ""), 1);
        let asked = plan.frame("udp", (plan.client, 4000), (plan.vip, 53), WAN_MAC, &[7; 1200]);
        let all = pieces(&asked, 9, 16);
        assert!(all.len() > PER_DATAGRAM + 5);
        for frame in &all[1..PER_DATAGRAM + 4] {
            director.give(0, WAN, frame);
        }
        assert_eq!(director.outcomes(), [("drop_fragment_queue_full", 3)]);
        // Another datagram has places of its own, and the first lets all go that wait.
        director.give(0, WAN, &pieces(&plan.asked("udp"), 10, 56)[1]);
        assert_eq!(director.count(Outcome::DropFragmentQueueFull), 3);
        // The looks of this millisecond are used up.
        director.pass(1);
        let mut sent = director.give(0, WAN, &all[0]);
        assert!(sent.len() <= 1 + LOOKS, "not all of them at once");
        for _ in 0..2 {
            director.poll();
            sent.extend(director.sent());
        }
        assert_eq!(sent.len(), 1 + PER_DATAGRAM);
        director.balanced();
    }
}

#[test]
fn a_first_fragment_without_the_whole_header_and_one_that_reaches_into_it_are_dropped() {
    for plan in PLANS {
        let mut director = director(&plan.service("tcp", "nat", ""), 1);
        let asked = plan.asked("tcp");
        let dropped = |director: &mut Director, identification, from, to| {
            let before = director.count(Outcome::DropFragmentTiny);
            let sent = director.give(0, WAN, &piece(&asked, identification, from, to));
            (sent.len(), director.count(Outcome::DropFragmentTiny) - before)
        };
        // Ports, but neither flags (RFC 1858 §3.1) nor all of the header; and the rest of such datagrams.
        assert_eq!(dropped(&mut director, 1, 0, 8), (0, 1));
        assert_eq!(dropped(&mut director, 2, 0, 16), (0, 1));
        assert_eq!(dropped(&mut director, 2, 24, 64), (0, 1));
        // Overwrites flags (RFC 1858 §4.1, RFC 3128), whether the first has come or not.
        assert_eq!(dropped(&mut director, 3, 8, 48), (0, 1));
        assert_eq!(dropped(&mut director, 4, 0, 64), (1, 0));
        assert_eq!(dropped(&mut director, 4, 8, 48), (0, 1));
        assert_eq!(dropped(&mut director, 4, 16, 48), (0, 1));
        // What overlaps with no header is the real server's affair.
        assert_eq!(dropped(&mut director, 4, 24, 128), (1, 0));
        assert_eq!(dropped(&mut director, 4, 56, 300), (1, 0));
        director.balanced();
    }
}

#[test]
fn what_is_no_fragment_of_any_datagram_is_dropped() {
    for plan in PLANS {
        let asked = plan.asked("udp");
        let mut odd = piece(&asked, 1, 56, 112);
        let mut beyond = piece(&asked, 2, 56, 112);
        let empty = piece(&asked, 3, 112, 112);
        if plan.six {
            odd.truncate(odd.len() - 3);
            let octets = odd.len() as u16 - 54;
            odd[18..20].copy_from_slice(&octets.to_be_bytes());
            beyond[56..58].copy_from_slice(&0xfff9u16.to_be_bytes());
        } else {
            odd.truncate(odd.len() - 3);
            let octets = odd.len() as u16 - 14;
            odd[16..18].copy_from_slice(&octets.to_be_bytes());
            beyond[20..22].copy_from_slice(&0x3fffu16.to_be_bytes());
            fix_header_sum(&mut odd[14..]);
            fix_header_sum(&mut beyond[14..]);
        }
        for frame in [odd, beyond, empty] {
            let mut director = director(&plan.service("udp", "nat", ""), 1);
            assert_eq!(director.give(0, WAN, &frame), []);
            assert_eq!(director.outcomes(), [("drop_fragment_malformed", 1)]);
        }
    }
}

#[test]
fn where_the_first_is_dropped_the_others_are() {
    for plan in PLANS {
        let mut director = director(&plan.service("udp", "nat", ""), 2);
        let asked = plan.frame("udp", (plan.client, 4000), (plan.vip, 54), WAN_MAC, &payload());
        for (n, frame) in pieces(&asked, 9, 56).iter().rev().enumerate() {
            assert_eq!(director.give(n % 2, WAN, frame), []);
        }
        director.poll();
        assert_eq!(director.outcomes(), [("drop_no_service", 4)]);
        // The same datagram again, to where there is one: the latest first counts.
        for frame in pieces(&plan.asked("udp"), 9, 56) {
            assert_eq!(director.give(0, WAN, &frame).len(), 1);
        }
        director.balanced();
    }
}

#[test]
fn who_sends_fragments_to_a_service_without_a_real_server_is_told_once() {
    for plan in PLANS {
        let service = plan.service("udp", "nat", "");
        let none: Vec<_> = service.lines().filter(|line| !line.starts_with("real")).collect();
        let mut director = director(&none.join("\n"), 2);
        let sent: Vec<_> = [1, 0, 2, 3]
            .into_iter()
            .flat_map(|n| director.give(n % 2, WAN, &pieces(&plan.asked("udp"), 9, 56)[n]))
            .collect();
        director.poll();
        assert_eq!((sent.len(), sent[0].0), (1, WAN));
        assert_eq!(director.outcomes(), [("answered_unreachable", 1), ("drop_no_real_server", 3)]);
        director.balanced();
    }
}

#[test]
fn by_one_packet_scheduling_fragments_go_where_their_first_went() {
    for plan in PLANS {
        let other = if plan.six { "fd00::12" } else { "10.0.0.12" };
        let service = plan
            .service("udp", "direct", "ops = true")
            .replace("real = [", &format!("real = [{{ address = '{}' }}, ", plan.socket(other, 53)));
        let service = service + "[[neighbor]]\naddress = 'fd00::12'\nmac = '02:00:00:00:01:0c'\n";
        let mut director = director(&service, 2);
        let mut stations = std::collections::BTreeSet::new();
        for identification in 0..8 {
            let all = pieces(&plan.asked("udp"), identification, 56);
            let to: Vec<_> = all
                .iter()
                .enumerate()
                .flat_map(|(n, frame)| director.give(n % 2, WAN, frame))
                .map(|(_, frame)| frame[5])
                .collect();
            assert_eq!(to, [to[0]; 4]);
            stations.insert(to[0]);
        }
        assert_eq!(stations.len(), 2);
    }
}

#[test]
fn a_real_server_that_is_removed_gets_no_further_fragment() {
    for plan in PLANS {
        let mut director = director(&plan.service("udp", "nat", ""), 1);
        let all = pieces(&plan.asked("udp"), 9, 56);
        assert_eq!(director.give(0, WAN, &all[0]).len(), 1);
        let service = plan.service("udp", "nat", "");
        let none: Vec<_> = service.lines().filter(|line| !line.starts_with("real")).collect();
        let text = text(&none.join("\n"))
            .replace("\"192.0.2.2/24\"", "\"192.0.2.2/24\", \"2001:db8:a::2/64\"")
            .replace("\"10.0.0.1/24\"", "\"10.0.0.1/24\", \"fd00::1/64\"");
        director.applier.apply(&parse(&text), director.now).unwrap();
        assert_eq!(director.give(0, WAN, &all[1]), []);
        assert_eq!(director.count(Outcome::DropRealServerRemoved), 1);
        director.balanced();
    }
}

#[test]
fn an_echo_request_that_is_balanced_may_come_in_fragments() {
    for plan in PLANS {
        let service = format!(
            "[[service]]\naddress = '{}'\nprotocol = 'icmp'\nforwarding = 'nat'\nscheduler = 'rr'\nreal = [{{ address = '{}' }}]\n",
            plan.socket(plan.vip, 0),
            plan.socket(plan.real, 0)
        );
        let mut director = director(&service, 1);
        let asked = plan.asked("icmp");
        let whole = director.through(0, WAN, &asked, LAN);
        let frames: Vec<_> =
            [3, 1, 0, 2].iter().flat_map(|n| director.give(0, WAN, &pieces(&asked, 9, 56)[*n])).collect();
        let frames: Vec<_> = frames.into_iter().map(|(_, frame)| frame).collect();
        assert_eq!(together(&frames, &whole), whole);
        assert_eq!(director.outcomes(), [("forwarded_nat_in", 5)]);
    }
    // Of what the director answers itself nothing is put together.
    for plan in PLANS {
        let mut director = director(&plan.service("udp", "nat", ""), 1);
        for frame in pieces(&plan.asked("icmp"), 9, 56) {
            assert_eq!(director.give(0, WAN, &frame), []);
        }
        assert_eq!(director.outcomes(), [("drop_fragment", 4)]);
    }
}

#[test]
fn sctp_in_fragments_keeps_its_port_or_is_dropped() {
    for (real_port, outcome) in [(53, ("forwarded_nat_in", 4)), (5353, ("drop_fragment_sctp", 4))] {
        let service = V4.service("sctp", "nat", "").replace(":5353", &format!(":{real_port}"));
        let mut director = director(&service, 1);
        let [client, vip] = [V4.client, V4.vip].map(|text| text.parse::<Ipv4Addr>().unwrap());
        for frame in pieces(&sctp((client, 4000), (vip, 53), WAN_MAC, &[(1, 196)]), 9, 56) {
            director.give(0, WAN, &frame);
        }
        assert_eq!(director.outcomes(), [outcome]);
    }
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let mut director = director(&V6.service("udp", "nat", ""), 1);
    let asked = V6.asked("udp");
    let whole = director.through(0, WAN, &asked, LAN);
    let sent = director.give(0, WAN, &piece(&asked, 9, 0, 1000));
    assert_eq!((sent.len(), sent[0].1[20]), (1, 44), "the extension header stays");
    assert_eq!(together(&[sent[0].1.clone()], &whole), whole);
    // And no first of others.
    assert_eq!(director.give(0, WAN, &piece(&asked, 9, 56, 112)), []);
    director.balanced();
}
