//! Full NAT over the whole data plane: both ends are rewritten, answers find their connection on any worker, and no local port is
//! two connections' towards one real server.

mod support;

use std::collections::HashMap;
use std::net::Ipv4Addr;

use millrace::dataplane::conn::Table;
use millrace::dataplane::stats::Outcome;
use support::*;

type Socket = (Ipv4Addr, u16);

const CLIENT: Socket = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const VIP: Socket = (Ipv4Addr::new(203, 0, 113, 10), 80);
const OTHER_VIP: Socket = (Ipv4Addr::new(203, 0, 113, 20), 80);
const FIRST: Socket = (Ipv4Addr::new(10, 0, 0, 11), 8080);
const SECOND: Socket = (Ipv4Addr::new(10, 0, 0, 12), 8080);
const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 200);

const POOL: &str = "[[local_pool]]\naddresses = ['10.0.0.200']\n";

fn service(vip: Socket, protocol: &str, forwarding: &str, reals: &[Socket]) -> String {
    let reals: Vec<_> = reals.iter().map(|(ip, port)| format!("{{ address = '{ip}:{port}' }}")).collect();
    format!(
        "[[service]]\naddress = '{}:{}'\nprotocol = '{protocol}'\nscheduler = 'rr'\nforwarding = '{forwarding}'\nreal = [{}]\n",
        vip.0,
        vip.1,
        reals.join(", ")
    )
}

/// The nth client.
fn client(n: u32) -> Socket {
    (Ipv4Addr::from_bits(0xc633_6400 + n / 50_000), 10_000 + (n % 50_000) as u16)
}

fn big(services: &str, workers: usize) -> Director {
    Director::with_table(services, workers, Table::new(400_000, [3, 5, 7, 9]).unwrap())
}

/// Has clients open connections, many in a burst, and returns whose were sent on, from which local sockets and to which real servers.
fn open_many(director: &mut Director, worker: usize, clients: impl IntoIterator<Item = u32>) -> Vec<(Socket, Socket)> {
    let clients: Vec<_> = clients.into_iter().collect();
    let mut opened = Vec::new();
    for burst in clients.chunks(32) {
        for n in burst {
            director.wires[worker][WAN].inject(&tcp(client(*n), VIP, WAN_MAC, "S", b"")).unwrap();
        }
        director.poll();
        opened.extend(director.sent().iter().map(|(_, frame)| sockets(frame)));
    }
    opened
}

/// Opens a connection and returns the local socket that it has, and the real server's.
fn open(director: &mut Director, worker: usize, client: Socket, vip: Socket) -> (Socket, Socket) {
    sockets(&director.through(worker, WAN, &tcp(client, vip, WAN_MAC, "S", b""), LAN))
}

#[test]
fn both_ends_are_rewritten_in_both_directions_on_any_worker() {
    for (protocol, workers) in [("tcp", 1), ("tcp", 2), ("udp", 2)] {
        let mut director = Director::new(&(POOL.to_owned() + &service(VIP, protocol, "fullnat", &[FIRST])), workers);
        let frame = |from, to, mac, flags| match protocol {
            "tcp" => tcp(from, to, mac, flags, b""),
            _ => udp(from, to, mac, b"hello"),
        };
        let first = director.through(0, WAN, &frame(CLIENT, VIP, WAN_MAC, "S"), LAN);
        let (local, real) = sockets(&first);
        assert_eq!((local.0, real), (LOCAL, FIRST));
        assert!(local.1 >= 1024);
        assert_eq!((&first[..6], &first[6..12], ttl(&first)), (&[2, 0, 0, 0, 1, 0xb][..], &LAN_MAC[..], 63));
        for worker in 0..workers {
            let answer = director.through(worker, LAN, &frame(FIRST, local, LAN_MAC, "SA"), WAN);
            assert_eq!((sockets(&answer), ttl(&answer)), ((VIP, CLIENT), 63));
            assert_eq!((&answer[..6], &answer[6..12]), (&CLIENT_MAC[..], &WAN_MAC[..]));
            let data = director.through(worker, WAN, &frame(CLIENT, VIP, WAN_MAC, "A"), LAN);
            assert_eq!(sockets(&data), (local, FIRST));
        }
        let (n, counted) = (workers as u64, |outcome| director.count(outcome));
        assert_eq!(counted(Outcome::ForwardedFullNatIn), n + 1);
        assert_eq!(counted(Outcome::ForwardedFullNatOut), n);
        // Nobody else's answer, and no other address's, belongs to it.
        for (from, to) in [(SECOND, local), ((FIRST.0, 8081), local), (FIRST, (local.0, local.1 ^ 1)), (FIRST, CLIENT)]
        {
            assert_eq!(director.give(0, LAN, &frame(from, to, LAN_MAC, "SA")), [], "{from:?} to {to:?}");
        }
        director.balanced();
    }
}

#[test]
fn sctp_goes_from_a_local_port_too() {
    let mut director = Director::new(&(POOL.to_owned() + &service(VIP, "sctp", "fullnat", &[FIRST])), 1);
    let port = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let init = director.through(0, WAN, &sctp(CLIENT, VIP, WAN_MAC, &[(1, 16)]), LAN);
    assert_eq!((&init[26..30], &init[30..34], port(&init, 36)), (&LOCAL.octets()[..], &FIRST.0.octets()[..], FIRST.1));
    let local = (LOCAL, port(&init, 34));
    let answer = director.through(0, LAN, &sctp(FIRST, local, LAN_MAC, &[(2, 24)]), WAN);
    assert_eq!((&answer[26..30], &answer[30..34]), (&VIP.0.octets()[..], &CLIENT.0.octets()[..]));
    assert_eq!((port(&answer, 34), port(&answer, 36)), (VIP.1, CLIENT.1));
}

#[test]
fn the_director_answers_for_its_local_addresses() {
    let mut director = Director::new(&(POOL.to_owned() + &service(VIP, "tcp", "fullnat", &[FIRST])), 1);
    let mut request = [[0xff; 6], CLIENT_MAC].concat();
    request.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    request.extend([&CLIENT_MAC[..], &FIRST.0.octets(), &[0; 6], &LOCAL.octets()].concat());
    let mut sent = director.give(0, LAN, &request);
    let (port, reply) = sent.pop().unwrap();
    assert_eq!(
        (port, &reply[20..22], &reply[22..28], &reply[28..32]),
        (LAN, &[0, 2][..], &LAN_MAC[..], &LOCAL.octets()[..])
    );
    let echo = director.through(0, LAN, &echo(FIRST.0, LOCAL, LAN_MAC, b"hello"), LAN);
    assert_eq!((&echo[26..30], &echo[30..34]), (&LOCAL.octets()[..], &FIRST.0.octets()[..]));
    assert_eq!(director.count(Outcome::AnsweredArp), 1);
    // What is sent to one and answers nothing ends here.
    assert_eq!(director.give(0, LAN, &tcp(SECOND, (LOCAL, 2000), LAN_MAC, "S", b"")), []);
    assert_eq!(director.count(Outcome::DropNoService), 1);
}

#[test]
fn sixty_thousand_connections_have_a_port_each_towards_each_real_server() {
    const EACH: u32 = 60_000;
    let mut director = big(&(POOL.to_owned() + &service(VIP, "tcp", "fullnat", &[FIRST, SECOND])), 2);
    let mut owners = HashMap::new();
    for start in (0..2 * EACH).step_by(2000) {
        let clients = start..start + 2000;
        let opened = open_many(&mut director, (start / 2000 % 2) as usize, clients.clone());
        assert_eq!(opened.len(), 2000);
        for (n, tuple) in clients.zip(opened) {
            assert_eq!(owners.insert(tuple, client(n)), None, "{tuple:?} is another's");
        }
    }
    for real in [FIRST, SECOND] {
        assert!(owners.keys().filter(|(_, to)| *to == real).count() >= EACH as usize - 1, "each had its turns");
    }
    // Each answer finds its own, on either worker.
    for (n, ((local, real), client)) in owners.iter().enumerate().filter(|(n, _)| n % 97 == 0) {
        let answer = director.through(n % 2, LAN, &tcp(*real, *local, LAN_MAC, "SA", b""), WAN);
        assert_eq!(sockets(&answer), (VIP, *client));
    }
    assert_eq!(director.count(Outcome::DropNoLocalPort), 0);
    director.balanced();
}

#[test]
fn ports_are_given_back_when_connections_end() {
    let mut director = big(&(POOL.to_owned() + &service(VIP, "tcp", "fullnat", &[FIRST])), 1);
    for round in 0..2 {
        // More than there are; the last find none.
        let before = director.count(Outcome::DropNoLocalPort);
        let had = open_many(&mut director, 0, 0..66_000).len() as u64;
        let none = director.count(Outcome::DropNoLocalPort) - before;
        assert_eq!((had + none, had > 64_000, had <= 64_512), (66_000, true, true), "round {round}: {had}");
        // A SYN that nobody answers is forgotten after a minute.
        director.pass(70_000);
        let (table, mut left) = (&director.shared.table, 0);
        table.each(0..table.lines(), |_, _, _| left += 1);
        assert_eq!(left, 0, "connections and links");
    }
    director.balanced();
}

#[test]
fn where_one_real_server_has_no_port_left_another_takes_the_connection() {
    let mut director = big(&(POOL.to_owned() + &service(VIP, "tcp", "fullnat", &[FIRST])), 1);
    open_many(&mut director, 0, 0..66_000);
    let none = director.count(Outcome::DropNoLocalPort);
    assert!(none > 1000, "{none}");
    director.reload(&(POOL.to_owned() + &service(VIP, "tcp", "fullnat", &[FIRST, SECOND])));
    let taken = open_many(&mut director, 0, 70_000..70_100);
    assert_eq!(taken.len(), 100);
    assert!(taken.iter().filter(|(_, real)| *real == SECOND).count() > 90, "{taken:?}");
    director.balanced();
}

#[test]
fn a_pool_has_as_many_times_the_ports() {
    let pool = "[[local_pool]]\naddresses = ['10.0.0.200-10.0.0.202']\n";
    let mut director = big(&(pool.to_owned() + &service(VIP, "tcp", "fullnat", &[FIRST])), 1);
    let mut by_address: HashMap<Ipv4Addr, u32> = HashMap::new();
    for ((address, _), _) in open_many(&mut director, 0, 0..3_000) {
        *by_address.entry(address).or_default() += 1;
    }
    assert_eq!(by_address.len(), 3);
    assert!(by_address.values().all(|share| (800..1200).contains(share)), "{by_address:?}");
}

#[test]
fn a_client_that_comes_again_starts_over() {
    let mut director = Director::new(&(POOL.to_owned() + &service(VIP, "tcp", "fullnat", &[FIRST, SECOND])), 1);
    let (local, real) = open(&mut director, 0, CLIENT, VIP);
    assert_eq!(real, FIRST);
    for (port, from, to, mac, flags) in [
        (LAN, FIRST, local, LAN_MAC, "SA"),
        (WAN, CLIENT, VIP, WAN_MAC, "A"),
        (WAN, CLIENT, VIP, WAN_MAC, "FA"),
        (LAN, FIRST, local, LAN_MAC, "FA"),
        (WAN, CLIENT, VIP, WAN_MAC, "A"),
    ] {
        director.through(0, port, &tcp(from, to, mac, flags, b""), WAN + LAN - port);
    }
    // Too young to be removed: it goes on where it was.
    assert_eq!(open(&mut director, 0, CLIENT, VIP), (local, FIRST));
    director.through(0, LAN, &tcp(FIRST, local, LAN_MAC, "RA", b""), WAN);
    director.pass(1000);
    let (again, real) = open(&mut director, 0, CLIENT, VIP);
    assert_eq!(real, SECOND, "it is scheduled anew");
    let answer = director.through(0, LAN, &tcp(SECOND, again, LAN_MAC, "SA", b""), WAN);
    assert_eq!(sockets(&answer), (VIP, CLIENT));
    assert_eq!(director.give(0, LAN, &tcp(FIRST, local, LAN_MAC, "A", b"")), [], "of the old one nothing is left");
    director.balanced();
}

#[test]
fn services_by_nat_and_full_nat_share_a_real_server() {
    let (nat, full) = (service(VIP, "tcp", "nat", &[FIRST]), service(OTHER_VIP, "tcp", "fullnat", &[FIRST]));
    let both = format!("{POOL}{nat}{full}");
    // Whichever was there first: the connections that it has go on.
    for before in [both.clone(), format!("{POOL}{nat}"), format!("{POOL}{full}")] {
        let mut director = Director::new(&before, 1);
        let mut tuples = Vec::new();
        let asks = |director: &mut Director, tuples: &mut Vec<_>, client: Socket| {
            for (vip, text) in [(VIP, "nat"), (OTHER_VIP, "fullnat")] {
                let sent = director.give(0, WAN, &tcp(client, vip, WAN_MAC, "S", b""));
                if let Some((_, frame)) = sent.first() {
                    let (source, real) = sockets(frame);
                    assert_eq!((real, source == client), (FIRST, text == "nat"));
                    tuples.push((source, vip, client));
                }
            }
        };
        asks(&mut director, &mut tuples, CLIENT);
        director.reload(&both);
        asks(&mut director, &mut tuples, (CLIENT.0, 40_001));
        assert!(tuples.len() >= 3);
        for (source, vip, client) in tuples {
            let answer = director.through(0, LAN, &tcp(FIRST, source, LAN_MAC, "SA", b""), WAN);
            assert_eq!(sockets(&answer), (vip, client), "before: {before}");
        }
        director.balanced();
    }
}

#[test]
fn connections_keep_the_method_that_they_began_with() {
    for (one, other) in [("nat", "fullnat"), ("fullnat", "nat")] {
        let text = |forwarding| POOL.to_owned() + &service(VIP, "tcp", forwarding, &[FIRST]);
        let mut director = Director::new(&text(one), 1);
        let (before, _) = open(&mut director, 0, CLIENT, VIP);
        director.reload(&text(other));
        let (after, _) = open(&mut director, 0, (CLIENT.0, 40_001), VIP);
        for (source, client) in [(before, CLIENT), (after, (CLIENT.0, 40_001))] {
            assert_eq!(source == client, (source == before) == (one == "nat"));
            let answer = director.through(0, LAN, &tcp(FIRST, source, LAN_MAC, "SA", b""), WAN);
            assert_eq!(sockets(&answer), (VIP, client));
            let sent = director.through(0, WAN, &tcp(client, VIP, WAN_MAC, "A", b""), LAN);
            assert_eq!(sockets(&sent), (source, FIRST));
        }
        director.balanced();
    }
}

#[test]
fn a_service_of_every_port_keeps_the_port_of_the_real_server() {
    let services = format!(
        "{POOL}[[service]]\naddress = '203.0.113.10:0'\nscheduler = 'rr'\nforwarding = 'fullnat'\n\
         persistence = {{ timeout = 60 }}\nreal = [{{ address = '10.0.0.11' }}, {{ address = '10.0.0.12' }}]\n"
    );
    let mut director = Director::new(&services, 2);
    let mut first = None;
    for port in [80, 443, 8080] {
        let vip = (VIP.0, port);
        let (local, real) = open(&mut director, 0, CLIENT, vip);
        assert_eq!(real, (*first.get_or_insert(real.0), port), "persistent, and the port is kept");
        let answer = director.through(1, LAN, &tcp(real, local, LAN_MAC, "SA", b""), WAN);
        assert_eq!(sockets(&answer), (vip, CLIENT));
    }
    director.balanced();
}

#[test]
fn an_error_quotes_what_the_real_server_sent() {
    let mut director = Director::new(&(POOL.to_owned() + &service(VIP, "tcp", "fullnat", &[FIRST])), 1);
    let (local, _) = open(&mut director, 0, CLIENT, VIP);
    let mut answer = tcp(FIRST, local, LAN_MAC, "SA", b"");
    let old = u32::from(u16::from_be_bytes([answer[24], answer[25]]));
    answer[22] = 1;
    // 63 less in the upper octet of a word.
    let sum = old + (63 << 8);
    answer[24..26].copy_from_slice(&(((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    let error = director.through(0, LAN, &answer, LAN);
    assert_eq!((error[34], error[35]), (11, 0), "time exceeded");
    assert_eq!(error[42 + 12..42 + 20], [FIRST.0.octets(), LOCAL.octets()].concat());
    assert_eq!(error[42 + 22..42 + 24], local.1.to_be_bytes());
}

/// An ICMP error, its sums right, from `from` about the packet in a frame.
fn error(from: Ipv4Addr, to_mac: [u8; 6], about: &[u8]) -> Vec<u8> {
    let quoted = &about[14..14 + 28];
    let to = Ipv4Addr::from([quoted[12], quoted[13], quoted[14], quoted[15]]);
    let builder = etherparse::PacketBuilder::ethernet2(CLIENT_MAC, to_mac)
        .ipv4(from.octets(), to.octets(), 64)
        .icmpv4(etherparse::Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Port));
    let mut bytes = Vec::new();
    builder.write(&mut bytes, quoted).unwrap();
    bytes
}

#[test]
fn an_icmp_error_reaches_whom_it_is_for_and_quotes_what_that_one_sent() {
    let mut director = Director::new(&(POOL.to_owned() + &service(VIP, "udp", "fullnat", &[FIRST])), 1);
    let asked = director.through(0, WAN, &udp(CLIENT, VIP, WAN_MAC, b"hello"), LAN);
    let (local, _) = sockets(&asked);
    let ends = |packet: &[u8]| {
        let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
        ((address(12), port(20)), (address(16), port(22)))
    };
    let refused = director.through(0, LAN, &error(FIRST.0, LAN_MAC, &asked), WAN);
    assert_eq!((&refused[26..30], &refused[30..34]), (&VIP.0.octets()[..], &CLIENT.0.octets()[..]));
    assert_eq!(ends(&refused[42..]), (CLIENT, VIP));
    let answer = director.through(0, LAN, &udp(FIRST, local, LAN_MAC, b"hello"), WAN);
    let refused = director.through(0, WAN, &error(CLIENT.0, WAN_MAC, &answer), LAN);
    assert_eq!(&refused[30..34], &FIRST.0.octets()[..]);
    assert_eq!(ends(&refused[42..]), (FIRST, local));
    assert_eq!(director.count(Outcome::ForwardedIcmpError), 2);
    director.balanced();
}

#[test]
fn local_addresses_that_go_stay_with_their_connections() {
    let text = |pool: &str| pool.to_owned() + &service(VIP, "tcp", "fullnat", &[FIRST]);
    let mut director = Director::new(&text(POOL), 1);
    let (local, _) = open(&mut director, 0, CLIENT, VIP);
    director.reload(&text("[[local_pool]]\naddresses = ['10.0.0.201']\n"));
    let (other, _) = open(&mut director, 0, (CLIENT.0, 40_001), VIP);
    assert_eq!((local.0, other.0), (LOCAL, Ipv4Addr::new(10, 0, 0, 201)));
    for (source, client) in [(local, CLIENT), (other, (CLIENT.0, 40_001))] {
        let answer = director.through(0, LAN, &tcp(FIRST, source, LAN_MAC, "SA", b""), WAN);
        assert_eq!(sockets(&answer), (VIP, client));
    }
}
