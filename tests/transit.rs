//! Transit on memory ports: what is neither the director's nor a service's it routes, if it is told to.

mod support;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use millrace::dataplane::conn::Table;
use millrace::dataplane::fragments::held::PATIENCE;
use millrace::dataplane::service::PortId;
use millrace::dataplane::stats::Outcome;
use support::*;

const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 11), 8080);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 12);
const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const OUTSIDE: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 99), 443);
const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OWN_LAN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 0x0b];

const ROUTE: &str = "[director]\ntransit = 'route'\n";
const SERVICE: &str =
    "[[service]]\naddress = '203.0.113.10:80'\nscheduler = 'rr'\nreal = [{ address = '10.0.0.11:8080' }]\n";

fn with_text(text: &str, workers: usize) -> Director {
    Director::with_config(&parse(text), workers, Table::new(65_536, [3, 5, 7, 9]).unwrap())
}

/// A director that routes, with the service and whatever is changed in its text.
fn director(workers: usize, change: impl Fn(String) -> String) -> Director {
    with_text(&change(text(SERVICE) + ROUTE), workers)
}

fn with_twins(text: String) -> String {
    ["wan", "lan"].iter().fold(text, |text, name| {
        let line = format!("name = \"{name}\"\n");
        text.replacen(&line, &format!("{line}twin = \"{name}0\"\n"), 1)
    })
}

fn without_default(text: String) -> String {
    text.replacen("to = \"0.0.0.0/0\"", "to = \"198.51.100.0/24\"", 1)
}

/// What a frame must be when it has been routed: other stations, a hop less, and the same octets else.
fn routed(frame: &[u8], to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
    let mut frame = with_ttl(frame, frame[22] - 1);
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
    frame
}

fn with_ttl(frame: &[u8], ttl: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[22] = ttl;
    frame[24..26].fill(0);
    let sum: u32 = frame[14..34].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// ICMP's type and code in a frame that came back by `port` to the station that sent the offending one.
fn error_of(sent: &[(usize, Vec<u8>)], port: usize, from: Ipv4Addr) -> (u8, u8) {
    assert_eq!(sent.len(), 1, "{sent:02x?}");
    let (out, frame) = &sent[0];
    assert_eq!((*out, &frame[..6], &frame[26..30]), (port, &CLIENT_MAC[..], &from.octets()[..]));
    verify(frame);
    (frame[34], frame[35])
}

/// What comes in on "lan" and leaves by "wan".
fn outgoing() -> Vec<(&'static str, Vec<u8>)> {
    let own = (SERVER.0, 50_001);
    let datagram = udp(own, OUTSIDE, LAN_MAC, &[7; 64]);
    vec![
        ("SYN", tcp(own, OUTSIDE, LAN_MAC, "S", b"")),
        ("segment in mid-stream", tcp(own, OUTSIDE, LAN_MAC, "AP", b"hi")),
        ("from a service's socket, of no connection", tcp(SERVER, OUTSIDE, LAN_MAC, "S", b"")),
        ("datagram", datagram.clone()),
        ("SCTP", sctp(own, OUTSIDE, LAN_MAC, &[(1, 16)])),
        ("ping", echo(SERVER.0, OUTSIDE.0, LAN_MAC, b"hi")),
        ("GRE", with_ttl(&packet(SERVER.0, OUTSIDE.0, LAN_MAC, 47), 64)),
        ("first fragment", fragment(datagram.clone(), 0x2000)),
        ("later fragment", fragment(datagram.clone(), 0x2010)),
        ("last fragment", fragment(datagram, 0x0020)),
        ("its last hop but one", with_ttl(&tcp(own, OUTSIDE, LAN_MAC, "S", b""), 2)),
        ("a tunnel real server's answer", tcp((VIP, 80), CLIENT, LAN_MAC, "SA", b"")),
    ]
}

#[test]
fn what_a_real_server_sends_on_its_own_leaves_as_it_is_with_a_hop_less() {
    for (workers, twins) in [(1, false), (2, false), (1, true)] {
        let mut director = director(workers, |text| if twins { with_twins(text) } else { text });
        let frames = outgoing();
        for (what, frame) in &frames {
            let sent = director.give(workers - 1, LAN, frame);
            assert_eq!(sent, [(WAN, routed(frame, GATEWAY_MAC, WAN_MAC))], "{what}: {:?}", director.outcomes());
        }
        assert_eq!(director.outcomes(), [("forwarded_transit", frames.len() as u64)]);
        director.balanced();
    }
}

#[test]
fn what_comes_back_reaches_the_real_server() {
    let mut director = director(1, |text| text);
    for frame in [tcp(OUTSIDE, (SERVER.0, 50_001), WAN_MAC, "SA", b""), echo(OUTSIDE.0, OTHER, WAN_MAC, b"hi")] {
        let mac = [2, 0, 0, 0, 1, frame[33]];
        assert_eq!(director.give(0, WAN, &frame), [(LAN, routed(&frame, mac, LAN_MAC))]);
    }
    // Back to the station that it came from: nobody is redirected.
    let turned = tcp((OTHER, 9), SERVER, LAN_MAC, "S", b"");
    assert_eq!(director.give(0, LAN, &turned), [(LAN, routed(&turned, SERVER_MAC, LAN_MAC))]);
    assert_eq!(director.outcomes(), [("forwarded_transit", 3)]);
    director.balanced();
}

#[test]
fn services_and_their_answers_go_on_as_ever() {
    let mut director = director(1, |text| text);
    director.through(0, WAN, &tcp(CLIENT, (VIP, 80), WAN_MAC, "S", b""), LAN);
    director.through(0, LAN, &tcp(SERVER, CLIENT, LAN_MAC, "SA", b""), WAN);
    assert_eq!(director.give(0, WAN, &tcp((CLIENT.0, 9), (VIP, 80), WAN_MAC, "A", b"")), []);
    let names: Vec<_> = director.outcomes().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["forwarded_nat_in", "forwarded_nat_out", "drop_no_connection"]);
}

#[test]
fn what_is_the_directors_or_nobodys_ends_as_ever() {
    use Outcome::*;
    let datagram = |to| udp(CLIENT, (to, 9), WAN_MAC, b"hi");
    let from = |from| udp((from, 9), OUTSIDE, LAN_MAC, b"hi");
    let mut to_all = datagram(OTHER);
    to_all[..6].fill(0xff);
    let mut wrong = datagram(OTHER);
    wrong[24] ^= 1;
    for (what, port, frame, outcome) in [
        ("to an own address", WAN, datagram(OWN), DropNoService),
        ("to the other port's", WAN, datagram(OWN_LAN), DropNoService),
        ("to a VIP", WAN, datagram(VIP), DropNoService),
        ("fragment to a VIP", WAN, fragment(datagram(VIP), 0x0010), DropFragmentNoFirst),
        ("GRE to a VIP", WAN, packet(CLIENT.0, VIP, WAN_MAC, 47), DropProtocol),
        ("to a group", WAN, datagram(Ipv4Addr::new(224, 0, 0, 5)), DropIpGroup),
        ("to loopback", WAN, datagram(Ipv4Addr::LOCALHOST), DropIpGroup),
        ("to broadcast", WAN, datagram(Ipv4Addr::BROADCAST), DropIpGroup),
        ("to all on the other link", WAN, datagram(Ipv4Addr::new(10, 0, 0, 255)), DropNotForUs),
        ("in a frame for all", WAN, to_all, DropIpGroup),
        ("to another station", WAN, tcp(CLIENT, SERVER, [2, 9, 9, 9, 9, 9], "S", b""), DropOtherStation),
        ("from an own address", LAN, from(OWN_LAN), DropIpSource),
        ("from all on a link", LAN, from(Ipv4Addr::new(10, 0, 0, 255)), DropIpSource),
        ("from loopback", LAN, from(Ipv4Addr::LOCALHOST), DropIpSource),
        ("a wrong header checksum", WAN, wrong, DropIpChecksum),
        ("cut short", WAN, datagram(OTHER)[..40].to_vec(), DropIpTotalLength),
    ] {
        let mut director = director(1, |text| text);
        assert_eq!(director.give(0, port, &frame), [], "{what}");
        if outcome == DropFragmentNoFirst {
            director.pass(PATIENCE);
        }
        assert_eq!(director.outcomes(), [(outcome.name(), 1)], "{what}");
        director.balanced();
    }
}

#[test]
fn unless_it_is_told_to_nothing_is_routed() {
    for transit in ["", "[director]\ntransit = 'drop'\n"] {
        let mut director = with_text(&(text(SERVICE) + transit), 1);
        for (what, frame) in outgoing() {
            assert_eq!(director.give(0, LAN, &frame), [], "{what}");
        }
        assert_eq!(director.count(Outcome::ForwardedTransit), 0);
        director.balanced();
    }
}

#[test]
fn who_sends_what_cannot_go_on_is_told() {
    let mut director = director(1, without_default);
    let own = (SERVER.0, 50_001);
    for ttl in [0, 1] {
        let late = with_ttl(&udp(own, OUTSIDE, LAN_MAC, b"hi"), ttl);
        assert_eq!(error_of(&director.give(0, LAN, &late), LAN, OWN_LAN), (11, 0));
    }
    let nowhere = (Ipv4Addr::new(100, 64, 0, 1), 443);
    let lost = udp(own, nowhere, LAN_MAC, b"hi");
    assert_eq!(error_of(&director.give(0, LAN, &lost), LAN, OWN_LAN), (3, 0));
    let first = fragment(lost.clone(), 0x2000);
    assert_eq!(error_of(&director.give(0, LAN, &first), LAN, OWN_LAN), (3, 0), "a first fragment");
    assert_eq!(director.outcomes(), [("answered_time_exceeded", 2), ("answered_unreachable", 2)]);
    for _ in 0..100 {
        director.give(0, LAN, &udp(own, nowhere, LAN_MAC, b"hi"));
    }
    assert_eq!(director.count(Outcome::AnsweredUnreachable), 50 - 2, "no more at once, time exceeded included");
    let dropped = director.count(Outcome::DropNoRoute);
    assert_eq!(director.give(0, LAN, &fragment(lost, 0x0010)), [], "a later one");
    director.pass(PATIENCE);
    assert_eq!(director.sent(), [], "nor when its first is not waited for any more");
    assert_eq!(director.count(Outcome::DropNoRoute), dropped + 1);
    director.balanced();
}

#[test]
fn a_packet_that_is_too_big_is_answered_with_df_and_dropped_without() {
    let narrow = |text: String| text.replacen("name = \"wan\"\n", "name = \"wan\"\nmtu = 600\n", 1);
    let mut director = director(1, narrow);
    let own = (SERVER.0, 50_001);
    let datagram =
        |octets: usize, df| fragment(udp(own, OUTSIDE, LAN_MAC, &vec![7; octets - 28]), if df { 0x4000 } else { 0 });
    assert_eq!(director.give(0, LAN, &datagram(600, true)).len(), 1);
    let answer = director.give(0, LAN, &datagram(601, true));
    assert_eq!(error_of(&answer, LAN, OWN_LAN), (3, 4));
    assert_eq!(answer[0].1[40..42], 600u16.to_be_bytes());
    assert_eq!(director.give(0, LAN, &datagram(601, false)), []);
    assert_eq!(director.outcomes(), [("forwarded_transit", 1), ("answered_too_big", 1), ("drop_too_big", 1)]);
    director.balanced();
}

#[test]
fn ipv6_is_not_routed_yet() {
    let head = [0x60, 0, 0, 0, 0, 8, 17, 64];
    let addresses = [[0x20; 16], [0x21; 16]].concat();
    let datagram = [0x9c, 0x40, 0, 53, 0, 8, 0x12, 0x34];
    let frame = [&LAN_MAC[..], &CLIENT_MAC, &[0x86, 0xdd], &head, &addresses, &datagram].concat();
    let mut director = director(1, |text| text);
    assert_eq!(director.give(0, LAN, &frame), []);
    assert_eq!(director.count(Outcome::ForwardedTransit), 0);
    director.balanced();
}

#[test]
fn padding_stays_behind() {
    let mut director = director(1, |text| text);
    for frame in [packet(SERVER.0, OUTSIDE.0, LAN_MAC, 47), udp(SERVER, OUTSIDE, LAN_MAC, b"x")] {
        let frame = with_ttl(&frame, 64);
        let mut padded = frame.clone();
        padded.resize(60, 0xee);
        assert_eq!(director.give(0, LAN, &padded), [(WAN, routed(&frame, GATEWAY_MAC, WAN_MAC))]);
    }
}

#[test]
fn what_is_for_a_station_that_is_not_known_waits_for_it() {
    let mut director = director(1, |text| text);
    let near = (Ipv4Addr::new(192, 0, 2, 77), 9);
    let frame = udp(SERVER, near, LAN_MAC, b"hi");
    let asked = director.give(0, LAN, &frame);
    assert_eq!((asked.len(), asked[0].0, &asked[0].1[12..14]), (1, WAN, &[8, 6][..]), "who has it?");
    director.balanced();
    assert_eq!(director.outcomes(), []);
    let mut reply = [&WAN_MAC[..], &CLIENT_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &CLIENT_MAC].concat();
    reply.extend([&near.0.octets()[..], &WAN_MAC, &OWN.octets()].concat());
    assert_eq!(director.give(0, WAN, &reply), [(WAN, routed(&frame, CLIENT_MAC, WAN_MAC))]);
    // Nobody is there.
    director.give(0, LAN, &udp(SERVER, (Ipv4Addr::new(192, 0, 2, 78), 9), LAN_MAC, b"hi"));
    director.pass(4000);
    let ended = [("forwarded_transit", 1), ("learned_arp", 1), ("drop_neighbor_unresolved", 1)];
    assert_eq!(director.outcomes(), ended);
    director.balanced();
}

#[test]
fn a_port_without_a_link_is_a_reason_of_its_own() {
    let mut director = director(1, |text| text);
    director.shared.set_carrier(PortId(WAN as u8), false);
    assert_eq!(director.give(0, LAN, &udp(SERVER, OUTSIDE, LAN_MAC, b"hi")), []);
    assert_eq!(director.outcomes(), [("drop_link_down", 1)]);
}

#[test]
fn of_several_next_hops_each_flow_has_one_and_so_has_each_datagram() {
    let several = |text: String| {
        let text = text.replacen("via = \"192.0.2.1\"", "via = [\"192.0.2.1\", \"192.0.2.3\"]", 1);
        text + "[[neighbor]]\naddress = '192.0.2.3'\nmac = '02:00:00:00:01:03'\n"
    };
    let mut director = director(1, several);
    let mut shares = BTreeMap::new();
    for port in 20_000..20_400 {
        let frame = udp((SERVER.0, port), OUTSIDE, LAN_MAC, b"hi");
        let way = director.through(0, LAN, &frame, WAN)[5];
        assert_eq!(director.through(0, LAN, &frame, WAN)[5], way);
        *shares.entry(way).or_insert(0) += 1;
    }
    assert!(shares.len() == 2 && shares.values().all(|share| *share > 150), "{shares:?}");
    // The ports are in the first fragment only.
    let mut shares = BTreeMap::new();
    for host in 1..200 {
        let datagram = udp(SERVER, (Ipv4Addr::new(198, 51, 100, host), 9), LAN_MAC, &[7; 64]);
        let ways =
            [0x2000, 0x2003, 0x0006].map(|word| director.give(0, LAN, &fragment(datagram.clone(), word))[0].1[5]);
        assert!(ways.iter().all(|way| *way == ways[0]), "{ways:?}");
        *shares.entry(ways[0]).or_insert(0) += 1;
    }
    assert!(shares.len() == 2 && shares.values().all(|share| *share > 60), "{shares:?}");
}

#[test]
fn with_twins_own_addresses_are_the_hosts_and_what_it_sends_leaves_as_it_is() {
    let mut director = director(1, with_twins);
    let (wan_twin, lan_twin) = (2, 3);
    let datagram = udp(CLIENT, (OWN_LAN, 9), WAN_MAC, &[7; 16]);
    let syn = tcp(CLIENT, (OWN, 22), WAN_MAC, "S", b"");
    for frame in [syn, fragment(datagram.clone(), 0x2000), fragment(datagram, 0x0010)] {
        assert_eq!(director.give(0, WAN, &frame), [(wan_twin, frame)]);
    }
    let sent = with_ttl(&tcp((OWN_LAN, 22), SERVER, SERVER_MAC, "SA", b""), 1);
    assert_eq!(director.give(0, lan_twin, &sent), [(LAN, sent)]);
    assert_eq!(director.outcomes(), [("punted", 3), ("from_host", 1)]);
    director.balanced();
}

#[test]
fn a_first_fragment_for_a_service_is_not_in_transit() {
    let matched =
        "[[service]]\nmatch = { protocol = 'udp', to = '10.0.0.0/24', port = 9 }\nreal = [{ address = '10.0.0.11' }]\n";
    let mut director = with_text(&(text(matched) + ROUTE), 1);
    let datagram = |port| udp(CLIENT, (OTHER, port), WAN_MAC, &[7; 64]);
    // Nor are those behind it, whatever came before: each datagram of this network has the same identification.
    for (port, mac) in [(9, SERVER_MAC[5]), (10, 0x0c)] {
        for word in [0x2000, 0x2009, 0x0012] {
            let sent = director.give(0, WAN, &fragment(datagram(port), word));
            assert_eq!((sent.len(), sent[0].1[5]), (1, mac), "port {port}, {word:#06x}");
        }
    }
    assert_eq!(director.outcomes(), [("forwarded_nat_in", 3), ("forwarded_transit", 3)]);
}
