//! What is written is read again as what it was: for random models, as TOML, as JSON, short and in full.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arrayvec::ArrayString;
use fastrand::Rng;
use ipnet::{IpNet, Ipv4Net};

use super::*;
use crate::ctrl::config::model::localhost;
use crate::dataplane::address::{Address, Family};
use crate::dataplane::conn::timeouts::LONGEST;
use crate::dataplane::new_flows;
use crate::dataplane::sched::MH_SIZES;
use crate::dataplane::selector::{Addresses, Ingress, Ports};
use crate::dataplane::service::{MssClamp, NoServer, Persistence, PortId};
use document::Table;
use write::Detail;

mod health;

/// The default half of the time, else something else.
fn or<T>(rng: &mut Rng, default: T, other: impl FnOnce(&mut Rng) -> T) -> T {
    if rng.bool() { default } else { other(rng) }
}

fn some<T>(rng: &mut Rng, value: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    rng.bool().then(|| value(rng))
}

fn several<T>(rng: &mut Rng, most: usize, mut one: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    (0..rng.usize(0..=most)).map(|_| one(rng)).collect()
}

fn family(rng: &mut Rng) -> Family {
    *rng.choice(&[Family::V4, Family::V6]).unwrap()
}

fn v4(rng: &mut Rng) -> Ipv4Addr {
    let first = *rng.choice(&[1, 10, 126, 128, 192, 203, 223]).unwrap();
    Ipv4Addr::new(first, rng.u8(..), rng.u8(..), rng.u8(..))
}

/// An address that a host may have.
fn host(rng: &mut Rng, family: Family) -> IpAddr {
    let first = *rng.choice(&[0x2001u128, 0x3ffe, 0xfd00]).unwrap();
    match family {
        Family::V4 => v4(rng).into(),
        // Some are written with a long run of zeros.
        Family::V6 => {
            Ipv6Addr::from_bits(first << 112 | or(rng, 0, |rng| rng.u128(..) >> 16) | rng.u128(1..999)).into()
        }
    }
}

/// Any address but an IPv4 one mapped into IPv6.
fn any(rng: &mut Rng, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(rng.u32(..)).into(),
        Family::V6 => Ipv6Addr::from_bits(rng.u128(1 << 64..)).into(),
    }
}

fn addresses(rng: &mut Rng, family: Family, one: impl Fn(&mut Rng, Family) -> IpAddr) -> Addresses {
    let [a, b] = [one(rng, family), one(rng, family)];
    match rng.u8(..4) {
        0 => Addresses::single(a),
        1 => IpNet::new(a, family.bits() - 8).unwrap().into(),
        _ => Addresses { first: a.min(b), last: a.max(b) },
    }
}

fn ports(rng: &mut Rng) -> Ports {
    let [a, b] = [rng.u16(1..), rng.u16(1..)];
    match rng.u8(..3) {
        0 => Ports::EVERY,
        1 => Ports::single(a),
        _ => match (a.min(b), a.max(b)) {
            (1, u16::MAX) => Ports::EVERY,
            (first, last) => Ports { first, last },
        },
    }
}

fn mac(rng: &mut Rng) -> [u8; 6] {
    [2, rng.u8(..), rng.u8(..), rng.u8(..), rng.u8(..), rng.u8(..)]
}

fn text(rng: &mut Rng, letters: &str, most: usize) -> String {
    let letters: Vec<_> = letters.chars().collect();
    (0..rng.usize(1..=most)).map(|_| *rng.choice(&letters).unwrap()).collect()
}

const TRANSPORTS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

fn pattern(rng: &mut Rng, known: &[Port]) -> Pattern {
    let ingress = |rng: &mut Rng| {
        let place = rng.usize(..known.len());
        Ingress { port: PortId(place as u8), name: ArrayString::from(&known[place].name).unwrap() }
    };
    let family = family(rng);
    let every = Addresses::every(family);
    Pattern {
        protocol: some(rng, |rng| *rng.choice(&TRANSPORTS).unwrap()),
        from: or(rng, every, |rng| addresses(rng, family, any)),
        to: or(rng, every, |rng| addresses(rng, family, any)),
        ports: ports(rng),
        ingress: some(rng, ingress),
    }
}

fn selector(rng: &mut Rng, known: &[Port]) -> Selector {
    let (protocol, family) = (*rng.choice(&TRANSPORTS).unwrap(), family(rng));
    match rng.u8(..5) {
        0 => Selector::Socket((host(rng, family), rng.u16(..)).into(), protocol),
        1 => Selector::Socket((host(rng, family), 0).into(), Protocol::Icmp),
        2 => Selector::Mark(rng.u32(1..), family),
        3 => Selector::Match(pattern(rng, known)),
        _ => loop {
            let (to, ports) = (addresses(rng, family, host), ports(rng));
            if to.count() > 1 || (ports.one().is_none() && ports != Ports::EVERY) {
                break Selector::Range(Pattern { protocol: Some(protocol), to, ports, ..Pattern::every(family) });
            }
        },
    }
}

fn vips(rng: &mut Rng, selector: &Selector) -> Vec<IpAddr> {
    let own = selector.addresses();
    if let Some(one) = own.one().filter(|_| !matches!(selector, Selector::Match(_))) {
        return vec![one];
    }
    let [first, last] = [own.first, own.last].map(|end| Address::from(end).to_bits());
    let run = |rng: &mut Rng| {
        let first = rng.u128(first..=last);
        first..=last.min(first.saturating_add(rng.u128(..9)))
    };
    let all = several(rng, 3, run).into_iter().flatten().map(|bits| Address::from_bits(bits).to_ip());
    let is_host = |vip: &IpAddr| match vip {
        IpAddr::V4(vip) => (1..=126).contains(&vip.octets()[0]) || (128..=223).contains(&vip.octets()[0]),
        IpAddr::V6(vip) => (0x2000..=0xfdff).contains(&vip.segments()[0]),
    };
    all.filter(is_host).collect()
}

fn scheduler(rng: &mut Rng) -> Scheduler {
    let flags = HashFlags { fallback: rng.bool(), port: rng.bool() };
    match *rng.choice(Scheduler::ALL).unwrap() {
        Scheduler::Sh(_) => Scheduler::Sh(flags),
        Scheduler::Mh { .. } => Scheduler::Mh { flags, size: *rng.choice(&MH_SIZES).unwrap() },
        other => other,
    }
}

fn forwarding(rng: &mut Rng) -> Forwarding {
    *rng.choice(&[Forwarding::Nat, Forwarding::FullNat, Forwarding::Tunnel, Forwarding::Direct, Forwarding::Local])
        .unwrap()
}

/// A real server with all defaults.
fn station(rng: &mut Rng, selector: &Selector) -> Real {
    let (forwarding, usual) = (forwarding(rng), selector.ports().one().unwrap_or(0));
    let keeps = selector.socket().is_some_and(|socket| socket.port() == 0);
    let port = if forwarding.answers_here() && !keeps { or(rng, usual, |rng| rng.u16(1..)) } else { usual };
    let of = match forwarding {
        Forwarding::Local => localhost(selector.family()),
        Forwarding::Tunnel => {
            let family = family(rng);
            host(rng, family)
        }
        Forwarding::Nat | Forwarding::FullNat | Forwarding::Direct => host(rng, selector.family()),
    };
    let address = (of, port).into();
    Real { address, weight: 1, forwarding, thresholds: Thresholds::default(), slow_start: 0, check: None }
}

fn real(rng: &mut Rng, service: &Service) -> Real {
    let (upper, station) = (rng.u32(..), station(rng, &service.selector));
    let seen = station.forwarding.answers_here() && service.selector.protocols().contains(&Protocol::Tcp);
    let own = |rng: &mut Rng| some(rng, |rng| Arc::new(health::check(rng, false, seen)));
    Real {
        weight: or(rng, 1, |rng| rng.u16(..)),
        thresholds: or(rng, Thresholds::default(), |rng| Thresholds { upper, lower: rng.u32(..=upper) }),
        slow_start: or(rng, service.slow_start, |rng| rng.u32(..=LONGEST)),
        check: or(rng, service.health.check.clone(), own),
        ..station
    }
}

fn service(rng: &mut Rng, known: &[Port]) -> Service {
    let selector = selector(rng, known);
    let may_ops = selector.protocols() == [Protocol::Udp] || selector.mark().is_some();
    let longest = selector.family().bits();
    let persistence = |rng: &mut Rng| Persistence { timeout: rng.u32(1..=LONGEST), prefix: rng.u8(1..=longest) };
    let mut service = Service {
        selector,
        vips: vips(rng, &selector),
        scheduler: scheduler(rng),
        forwarding: forwarding(rng),
        timeout: some(rng, |rng| rng.u32(1..=LONGEST)),
        persistence: some(rng, persistence),
        max_new_per_second: or(rng, 0, |rng| rng.u32(..=new_flows::HIGHEST)),
        slow_start: or(rng, 0, |rng| rng.u32(..=LONGEST)),
        one_packet: may_ops && rng.bool(),
        mss_clamp: *rng.choice(&[MssClamp::Auto, MssClamp::Off, MssClamp::At(88), MssClamp::At(65_495)]).unwrap(),
        sorry_server: some(rng, |rng| station(rng, &selector)),
        no_server: *rng.choice(&[NoServer::Unreachable, NoServer::Reset, NoServer::Drop]).unwrap(),
        health: health::health(rng, selector.ports().one().unwrap_or(0) != 0),
        reals: Vec::new(),
    };
    service.reals = several(rng, 4, |rng| real(rng, &service));
    service
}

fn port(rng: &mut Rng) -> Port {
    let interface = |rng: &mut Rng| match family(rng) {
        Family::V4 => IpNet::new(Ipv4Addr::new(10, rng.u8(..), rng.u8(..), 77).into(), 24).unwrap(),
        // No real server's: that would be the host, which is Local by whatever method.
        Family::V6 => IpNet::new(Ipv6Addr::from_bits(0x2a00 << 112 | rng.u128(1..999)).into(), 64).unwrap(),
    };
    Port {
        name: text(rng, "aZ09-_.", 32),
        device: (*rng.choice(&["0000:03:00.0", "net_ring0", "net_af_packet0,iface=veth0"]).unwrap()).to_owned(),
        addresses: several(rng, 3, interface),
        mac: some(rng, mac),
        mtu: or(rng, DEFAULT_MTU, |rng| rng.u16(68..=9216)),
        queues: Queues::PerWorker,
        twin: some(rng, |rng| format!("w{}", text(rng, "aZ09-_.", 14))),
    }
}

fn director(rng: &mut Rng, ports: &[Port]) -> Director {
    let max_connections = or(rng, DEFAULT_MAX_CONNECTIONS, |rng| rng.usize(64..=4_000_000_000));
    let size = |rng: &mut Rng| rng.usize(64..=1_600_000_000);
    Director {
        workers: several(rng, 3, |rng| rng.usize(..=1023)),
        max_connections,
        max_wide_connections: or(rng, max_connections / 10, size),
        max_templates: or(rng, max_connections / 10, size),
        poll: or(rng, Poll::Busy, |_| Poll::Adaptive),
        dpdk_args: several(rng, 3, |rng| format!("--{}", text(rng, "x=\"'\\ é\t", 9))),
        transit: or(rng, Config::default_transit(ports), |rng| *rng.choice(&[Transit::Route, Transit::Drop]).unwrap()),
        watch: rng.bool(),
    }
}

fn listen(rng: &mut Rng) -> Listen {
    let file = |rng: &mut Rng| text(rng, "/a \"é", 40).into();
    let tls = |rng: &mut Rng| Tls { certificate: file(rng), key: file(rng), client_ca: some(rng, file) };
    Listen {
        address: SocketAddr::from((v4(rng), rng.u16(1..))),
        token_file: some(rng, file),
        tls: some(rng, tls),
        public_reads: true,
    }
}

fn notify(rng: &mut Rng, known: &[Port]) -> Notify {
    let file = |rng: &mut Rng| text(rng, "/a \"é", 40).into();
    let event = |rng: &mut Rng| rng.choice(Event::ALL).unwrap().1;
    Notify {
        receiver: match rng.bool() {
            true => Receiver::Command(vec![format!("/{}", text(rng, "a \"", 9)), text(rng, "-é'", 9)]),
            false => Receiver::Webhook {
                url: format!("https://{}:{}/a?b=c", v4(rng), rng.u16(1..)),
                token_file: some(rng, file),
                ca: some(rng, file),
            },
        },
        events: several(rng, 3, event),
        services: several(rng, 3, |rng| selector(rng, known)),
        timeout: or(rng, 10, |rng| rng.u32(1..=600)),
    }
}

fn config(rng: &mut Rng) -> Config {
    let mut ports = several(rng, 3, port);
    ports.push(port(rng));
    // A port is found by its name.
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    ports.dedup_by(|a, b| a.name == b.name);
    let route = |rng: &mut Rng| {
        let family = family(rng);
        Route {
            to: IpNet::new(host(rng, family), rng.u8(..=family.bits())).unwrap().trunc(),
            via: (0..rng.usize(1..4)).map(|_| host(rng, family)).collect(),
        }
    };
    let neighbor = |rng: &mut Rng| {
        let family = family(rng);
        Neighbor { address: host(rng, family), mac: mac(rng) }
    };
    Config {
        director: director(rng, &ports),
        api: Api {
            socket: or(rng, DEFAULT_SOCKET.into(), |rng| text(rng, "/a \"é", 40).into()),
            listen: some(rng, listen),
        },
        announce: some(rng, |rng| Announce { protocol: rng.u8(19..), table: or(rng, 254, |rng| rng.u32(256..)) }),
        checks: or(rng, Checks::default(), |rng| Checks {
            stand_ins: Ipv4Net::new_assert(v4(rng), rng.u8(8..=29)).trunc(),
        }),
        mirror: some(rng, |rng| Mirror {
            table: or(rng, 254, |rng| rng.u32(1..)),
            protocols: several(rng, 3, |rng| rng.u8(1..)),
            neighbors: rng.bool(),
        }),
        timeouts: Timeouts {
            tcp: or(rng, 900, |rng| rng.u32(1..=LONGEST)),
            tcp_fin: or(rng, 120, |rng| rng.u32(1..=LONGEST)),
            udp: rng.u32(1..=LONGEST),
        },
        rules: Rules {
            sloppy_tcp: rng.bool(),
            sloppy_sctp: rng.bool(),
            conn_reuse_mode: rng.u8(..4),
            expire_nodest_conn: rng.bool(),
            expire_quiescent_template: rng.bool(),
            schedule_icmp: rng.bool(),
        },
        routes: several(rng, 3, route),
        neighbors: several(rng, 3, neighbor),
        local_pools: several(rng, 3, |rng| {
            let family = family(rng);
            LocalPool { addresses: (0..rng.usize(1..4)).map(|_| Addresses::single(host(rng, family))).collect() }
        }),
        marks: several(rng, 3, |rng| Mark { mark: rng.u32(1..), pattern: pattern(rng, &ports) }),
        notify: several(rng, 3, |rng| notify(rng, &ports)),
        services: several(rng, 4, |rng| Arc::new(service(rng, &ports))),
        ports,
    }
}

#[test]
fn a_configuration_is_read_as_it_was_written() {
    for seed in 0..500 {
        let config = config(&mut Rng::with_seed(seed));
        let document = write::config(&config);
        assert_eq!(parts::config(&document).unwrap(), config, "seed {seed}");
        let json: Table = serde_json::from_str(&serde_json::to_string(&document).unwrap()).unwrap();
        assert_eq!(json, document, "seed {seed}");
        let toml = document.to_toml();
        let read: Table = DeTable::parse(&toml).unwrap_or_else(|error| panic!("{error}\n{toml}")).into_inner().into();
        assert_eq!(parts::config(&read).unwrap(), config, "seed {seed}:\n{toml}");
        assert_eq!(read.to_toml(), toml, "seed {seed}");
    }
}

#[test]
fn services_and_their_keys_are_read_as_they_were_written() {
    for seed in 0..500 {
        let config = config(&mut Rng::with_seed(seed));
        for service in &config.services {
            let full = write::service_with_reals(service, Detail::Full);
            assert_eq!(parts::service(&full, "", &config.ports).unwrap(), **service, "seed {seed}");
            let key = write::key(&service.selector);
            assert_eq!(parts::key(&key, "", &config.ports).unwrap(), service.selector, "seed {seed}");
            for (place, real) in service.reals.iter().enumerate() {
                let found = parts::find_real(service, &write::real_address(real), "").unwrap();
                let twice = service.reals[..place].iter().any(|other| other.address == real.address);
                assert!(twice || found == Some(place), "seed {seed}: {real:?}");
            }
        }
    }
}

#[test]
fn a_file_is_written_with_what_is_not_default() {
    let text = "\
[director]
workers = [1, 2]

[timeouts]
udp = \"1m 30s\"

[ipvs]
sloppy_tcp = 1

[[port]]
name = \"wan\"
device = \"net_ring0\"
addresses = [\"192.0.2.2/24\"]

[[port]]
name = \"lan\"
device = \"net_ring1\"
addresses = [\"10.0.0.1/24\"]
mtu = 9000

[[route]]
to = \"0.0.0.0/0\"
via = \"192.0.2.1\"

[[route]]
to = \"10.9.0.0/16\"
via = [\"10.0.0.253\", \"10.0.0.254\"]

[[mark]]
mark = 7
match = { protocol = \"tcp\", to = \"203.0.113.0/28\", port = \"8000-8999\", ingress = \"wan\" }

[[service]]
mark = 7
vips = [\"203.0.113.1-203.0.113.2\"]
persistence = { timeout = 300, mask = 24 }

[[service]]
address = \"203.0.113.10:80\"
protocol = \"tcp\"
scheduler = \"mh\"
scheduler_flags = [\"mh-port\"]
slow_start = \"30s\"
sorry_server = { address = \"10.0.0.99:80\" }

  [[service.real]]
  address = \"10.0.0.11:8080\"
  weight = 3

  [[service.real]]
  address = \"10.0.0.12:80\"
  forwarding = \"direct\"
  upper = 100
  slow_start = \"0s\"
";
    assert_eq!(write::config(&accept(text)).to_toml(), text);
}
