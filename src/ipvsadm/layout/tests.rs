//! Whole outputs against the layouts of ipvsadm 1.31, octet by octet.

use super::*;
use crate::ctrl::connections::ConnectionReport;
use crate::ipvsadm::command::{Layout, Listed, Listing};
use crate::ipvsadm::names::Few;

const NUMERIC: Spoken<'static> = Spoken::Numbers;
const NAMED: Spoken<'static> = Spoken::Names(&Few);
const ALL: Listing =
    Listing { what: Listed::All, layout: Layout::Plain, numeric: true, exact: false, sorted: true, engines: false };

fn socket(protocol: Protocol, address: &str) -> What {
    What::Key(Key::Socket(protocol, address.parse().unwrap()))
}

fn service(what: What, scheduler: &str, servers: Vec<ShownServer>) -> ShownService {
    ShownService {
        what,
        scheduler: scheduler.to_owned(),
        flags: Vec::new(),
        persistent: None,
        one_packet: false,
        traffic: TrafficReport::default(),
        rates: TrafficReport::default(),
        servers,
    }
}

fn server(address: &str, forwarding: Forwarding, weight: u16, active: u64, inactive: u64) -> ShownServer {
    ShownServer {
        address: address.parse().unwrap(),
        forwarding,
        weight,
        upper: 0,
        lower: 0,
        active,
        inactive,
        persistent: 0,
        traffic: TrafficReport::default(),
        rates: TrafficReport::default(),
    }
}

fn traffic(numbers: [u64; 5]) -> TrafficReport {
    let [connections, in_packets, out_packets, in_octets, out_octets] = numbers;
    TrafficReport { connections, in_packets, out_packets, in_octets, out_octets }
}

fn shown() -> Shown {
    use Forwarding::{Direct, Nat, Tunnel};
    let web = vec![
        server("10.0.0.1:80", Nat, 1, 12, 340),
        server("10.0.0.2:80", Tunnel, 2, 0, 0),
        server("10.0.0.3:80", Direct, 1, 0, 0),
    ];
    let mask = Mask::V4([255, 255, 255, 0].into());
    let services = vec![
        ShownService { persistent: Some((360, mask)), ..service(socket(Protocol::Tcp, "192.0.2.10:80"), "wlc", web) },
        ShownService {
            flags: vec!["sh-fallback".to_owned(), "sh-port".to_owned()],
            ..service(socket(Protocol::Tcp, "192.0.2.10:443"), "sh", Vec::new())
        },
        ShownService {
            one_packet: true,
            ..service(socket(Protocol::Udp, "192.0.2.10:53"), "rr", vec![server("10.0.0.4:53", Nat, 0, 0, 7)])
        },
        ShownService {
            flags: vec!["mh-port".to_owned()],
            ..service(
                socket(Protocol::Tcp, "[2001:db8::10]:80"),
                "mh",
                vec![server("[2001:db8:1::5]:80", Direct, 3, 1, 2)],
            )
        },
        service(What::Key(Key::Mark { mark: 7, ipv6: true }), "wlc", Vec::new()),
    ];
    Shown { size: 4096, services }
}

#[test]
fn the_plain_list() {
    let expected = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.10:80 wlc persistent 360 mask 255.255.255.0
  -> 10.0.0.1:80                  Masq    1      12         340·······
  -> 10.0.0.2:80                  Tunnel  2      0          0·········
  -> 10.0.0.3:80                  Route   1      0          0·········
TCP  192.0.2.10:443 sh (sh-fallback,sh-port)
UDP  192.0.2.10:53 rr ops
  -> 10.0.0.4:53                  Masq    0      0          7·········
TCP  [2001:db8::10]:80 mh (mh-port)
  -> [2001:db8:1::5]:80           Route   3      1          2·········
FWM  7 IPv6 wlc
";
    assert_eq!(listing(&shown(), &ALL, NUMERIC), expected.replace('·', " "));
}

#[test]
fn one_service_alone_has_no_version_line() {
    let mut one = shown();
    one.services.truncate(1);
    let what = Listed::Service(Key::Socket(Protocol::Tcp, "192.0.2.10:80".parse().unwrap()));
    let text = listing(&one, &Listing { what, ..ALL }, NUMERIC);
    assert!(
        text.starts_with("Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward"),
        "{text}"
    );
}

#[test]
fn statistics() {
    let mut shown = shown();
    shown.services.truncate(1);
    shown.services[0].servers.truncate(1);
    shown.services[0].traffic = traffic([1_234_567, 98_765_432, 123_456_789, 9_876_543_210, 123_456_789_012]);
    shown.services[0].servers[0].traffic = traffic([617_283, 49_382_716, 61_728_394, 4_938_271_605, 61_728_394_506]);
    let expected = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  192.0.2.10:80                 1234567 98765432  123456K    9876M     123G
  -> 10.0.0.1:80                    617283 49382716 61728394    4938M   61728M
";
    assert_eq!(listing(&shown, &Listing { layout: Layout::Stats, ..ALL }, NUMERIC), expected);
    let exact = "TCP  192.0.2.10:80                 1234567 98765432 123456789 9876543210 123456789012\n";
    let text = listing(&shown, &Listing { layout: Layout::Stats, exact: true, ..ALL }, NUMERIC);
    assert!(text.contains(exact), "{text}");
}

#[test]
fn rates() {
    let mut shown = shown();
    shown.services.truncate(1);
    shown.services[0].servers.truncate(1);
    shown.services[0].rates = traffic([1_200, 98_000, 97_000, 8_800_000, 910_000_000]);
    shown.services[0].servers[0].rates = traffic([600, 49_000, 48_500, 4_400_000, 455_000_000]);
    let expected = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
  -> RemoteAddress:Port
TCP  192.0.2.10:80                    1200    98000    97000  8800000  910000K
  -> 10.0.0.1:80                       600    49000    48500  4400000  455000K
";
    assert_eq!(listing(&shown, &Listing { layout: Layout::Rate, ..ALL }, NUMERIC), expected);
}

#[test]
fn thresholds_persistent_connections_and_tunnels() {
    let mut shown = shown();
    shown.services.truncate(1);
    shown.services[0].persistent = None;
    let first = &mut shown.services[0].servers[0];
    (first.upper, first.lower, first.persistent) = (1000, 800, 3);
    let version = "IP Virtual Server version 1.2.1 (size=4096)\n";
    let thresholds = "\
Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn·
  -> RemoteAddress:Port
TCP  192.0.2.10:80 wlc
  -> 10.0.0.1:80                  1000       800        12         340·······
  -> 10.0.0.2:80                  0          0          0          0·········
  -> 10.0.0.3:80                  0          0          0          0·········
";
    let persistent = "\
Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn·
  -> RemoteAddress:Port
TCP  192.0.2.10:80 wlc
  -> 10.0.0.1:80                  1         3           12         340·······
  -> 10.0.0.2:80                  2         0           0          0·········
  -> 10.0.0.3:80                  1         0           0          0·········
";
    let tunnels = "\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn
TCP  192.0.2.10:80 wlc
  -> 10.0.0.1:80                  Masq    n/a           1      12         340·······
  -> 10.0.0.2:80                  Tunnel  ipip          2      0          0·········
  -> 10.0.0.3:80                  Route   n/a           1      0          0·········
";
    for (layout, expected) in
        [(Layout::Thresholds, thresholds), (Layout::Persistent, persistent), (Layout::Tunnels, tunnels)]
    {
        let text = listing(&shown, &Listing { layout, ..ALL }, NUMERIC);
        assert_eq!(text, version.to_owned() + &expected.replace('·', " "));
    }
}

#[test]
fn names_stand_for_numbers_unless_asked_for() {
    let mut shown = shown();
    shown.services.truncate(1);
    let text = listing(&shown, &Listing { numeric: false, ..ALL }, NAMED);
    assert!(text.contains("\nTCP  director.example:http wlc "), "{text}");
    assert!(text.contains("\n  -> 10.0.0.1:http                Masq "), "{text}");
}

#[test]
fn long_names_are_cut_to_their_columns() {
    struct Long;
    impl Names for Long {
        fn address_of(&self, _: &str) -> Option<std::net::Ipv4Addr> {
            None
        }
        fn port_of(&self, _: &str, _: Protocol) -> Option<u16> {
            None
        }
        fn host_at(&self, _: std::net::IpAddr) -> Option<String> {
            Some("a".repeat(70))
        }
        fn service_at(&self, _: u16, _: Protocol) -> Option<String> {
            None
        }
    }
    let mut shown = shown();
    shown.services.truncate(1);
    let spoken = Spoken::Names(&Long);
    let text = listing(&shown, &ALL, spoken);
    assert!(text.contains(&format!("\nTCP  {} wlc ", "a".repeat(28))), "{text}");
    assert!(text.contains(&format!("\n  -> {} Masq ", "a".repeat(28))), "{text}");
    assert!(save(&shown, spoken).0.starts_with(&format!("-A -t {} -s wlc", "a".repeat(59))));
}

#[test]
fn marks_are_numbers_with_a_sign() {
    let what = What::Key(Key::Mark { mark: u32::MAX, ipv6: false });
    let shown = Shown { size: 1, services: vec![service(what, "rr", Vec::new())] };
    assert!(listing(&shown, &ALL, NUMERIC).ends_with("\nFWM  -1 rr\n"));
    // To be read again, a mark must be written without one.
    assert_eq!(save(&shown, NUMERIC).0, "-A -f 4294967295 -s rr\n");
}

#[test]
fn what_ipvsadm_has_no_words_for_is_listed_and_not_saved() {
    let what = What::Other { protocol: "TCP".to_owned(), text: "203.0.113.0/28:80".to_owned() };
    let shown = Shown { size: 1, services: vec![service(what, "rr", Vec::new())] };
    assert!(listing(&shown, &ALL, NUMERIC).ends_with("\nTCP  203.0.113.0/28:80 rr\n"));
    assert_eq!(save(&shown, NUMERIC), (String::new(), vec!["TCP 203.0.113.0/28:80".to_owned()]));
}

#[test]
fn command_lines_that_make_it_anew() {
    let expected = "\
-A -t director.example:http -s wlc -p 360 -M 255.255.255.0
-a -t director.example:http -r 10.0.0.1:http -m -w 1
-a -t director.example:http -r 10.0.0.2:http -i -w 2 --tun-type ipip
-a -t director.example:http -r 10.0.0.3:http -g -w 1
-A -t director.example:443 -s sh -b sh-fallback,sh-port
-A -u director.example:domain -s rr -o
-a -u director.example:domain -r 10.0.0.4:domain -m -w 0
-A -t [2001:db8::10]:http -s mh -b mh-port
-a -t [2001:db8::10]:http -r [2001:db8:1::5]:http -g -w 3
-A -f 7 -6 -s wlc
";
    assert_eq!(save(&shown(), NAMED), (expected.to_owned(), Vec::new()));
}

#[test]
fn the_host_is_local() {
    let mut shown = shown();
    shown.services.truncate(1);
    let hosts = ["127.0.0.1:80", "192.0.2.2:8080"];
    shown.services[0].servers = hosts.map(|address| server(address, Forwarding::Local, 1, 2, 0)).into();
    let listed = "  -> 127.0.0.1:80                 Local   1      2          0·········\n  \
                  -> 192.0.2.2:8080               Local   1      2          0·········\n";
    assert!(listing(&shown, &ALL, NUMERIC).ends_with(&listed.replace('·', " ")));
    // By -g it would have the service's port.
    let saved = "-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1\n-a -t 192.0.2.10:80 -r 192.0.2.2:8080 -m -w 1\n";
    assert!(save(&shown, NUMERIC).0.ends_with(saved), "{}", save(&shown, NUMERIC).0);
}

#[test]
fn connections() {
    let connection = |protocol: &str, expires_seconds, state: &str, client: &str, service: &str, real: &str| {
        let real = real.parse().ok();
        let (client, service) = (client.parse().unwrap(), service.parse().unwrap());
        let (protocol, state) = (protocol.to_owned(), state.to_owned());
        ConnectionReport { protocol, state, expires_seconds, client, service, mark: None, real, answers_seen: true }
    };
    let rows = [
        connection("TCP", 898, "ESTABLISHED", "198.51.100.7:40112", "192.0.2.10:80", "10.0.0.1:80"),
        connection("TCP", 312, "ASSURED", "198.51.100.0:0", "192.0.2.10:80", "10.0.0.1:80"),
        connection("UDP", 299, "UDP", "198.51.100.9:5353", "192.0.2.10:53", "10.0.0.4:53"),
        connection("IP", 358, "NONE", "198.51.100.0:0", "0.0.0.9:0", "10.0.0.3:0"),
        connection("TCP", 6005, "ESTABLISHED", "198.51.100.7:1", "192.0.2.10:80", "forgotten"),
    ];
    let expected = "\
IPVS connection entries
pro expire state       source             virtual            destination
TCP 14:58  ESTABLISHED 198.51.100.7:40112 192.0.2.10:80      10.0.0.1:80
TCP 05:12  ASSURED     198.51.100.0:0     192.0.2.10:80      10.0.0.1:80
UDP 04:59  UDP         198.51.100.9:5353  192.0.2.10:53      10.0.0.4:53
IP  05:58  NONE        198.51.100.0:0     0.0.0.9:0          10.0.0.3:0
TCP 100:05 ESTABLISHED 198.51.100.7:1     192.0.2.10:80      -
";
    let text: String = rows.iter().map(|row| connection_row(row, NUMERIC)).collect();
    assert_eq!(connections_head(false) + &text, expected);
    let head = connections_head(true);
    let title =
        "pro expire state       source             virtual            destination        pe name          pe_data\n";
    assert_eq!(head, format!("IPVS connection entries\n{title}"));
}
