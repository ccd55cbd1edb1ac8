//! What is built by and by is what would be built at once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use super::super::config::{Changed, parse};
use super::super::routing::learned::{Change, News, Side};
use super::super::routing::{Candidate, Leg, Origin};
use super::*;
use crate::dataplane::address::{Address, TransportAddress};
use crate::dataplane::conn::{State, Table, Templates, Tick, Value};
use crate::dataplane::neigh::CAPACITY;
use crate::dataplane::sched::Plan;
use crate::dataplane::service::{Forwarding, Local};
use crate::dataplane::snapshot::Endpoints;
use crate::dataplane::worker::ENDPOINT_IDS;

const HEAD: &str = "\
[[port]]
name = 'lan'
device = 'net_ring0'
addresses = ['10.0.0.1/24']
[[port]]
name = 'wan'
device = 'net_ring1'
addresses = ['198.51.100.1/24']
[[neighbor]]
address = '10.0.0.13'
mac = '02:00:00:00:00:13'
[[mark]]
mark = 7
match = { to = '192.0.2.64/28', port = 80 }
";

/// The ways to the real servers that are not on the link.
const GATEWAYS: [&str; 4] = [
    "[[route]]\nto = '172.16.0.0/16'\nvia = '10.0.0.254'\n",
    "[[route]]\nto = '172.16.0.0/16'\nvia = '10.0.0.253'\n[[neighbor]]\naddress = '10.0.0.11'\nmac = '02:00:00:00:00:11'\n",
    "[[route]]\nto = '172.16.0.0/16'\nvia = ['10.0.0.254', '198.51.100.254']\n[[neighbor]]\naddress = '10.0.0.11'\nmac = '02:00:00:00:01:11'\n",
    "[[route]]\nto = '172.16.0.0/16'\nvia = ['198.51.100.253', '10.0.0.254']\n[[route]]\nto = '0.0.0.0/0'\nvia = '198.51.100.254'\n",
];

const SELECTORS: [&str; 9] = [
    "address = '192.0.2.1:80'",
    "address = '192.0.2.2:80'",
    "address = '192.0.2.3:80'",
    "address = '192.0.2.4:53'\nprotocol = 'udp'",
    "address = '192.0.2.5:53'\nprotocol = 'udp'\nops = true",
    "address = '192.0.2.6:0'",
    "address = '192.0.2.16/30:80-90'",
    "mark = 7",
    "match = { to = '192.0.2.32/28', protocol = 'tcp' }\nvips = ['192.0.2.33']",
];

const SCHEDULERS: [&str; 15] =
    ["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "twos", "dh", "sh", "mh", "lblc", "lblcr", "wrr"];

/// What is drawn at random.
struct Random(fastrand::Rng);

impl Random {
    /// What the host's kernel says.
    fn news(&mut self) -> Vec<News> {
        let to = self.one(&["172.16.0.0/24", "172.16.0.0/16", "10.0.0.16/28", "0.0.0.0/0"]).parse().unwrap();
        let mut leg = || {
            let (port, last) = (self.below(2), 250 + self.below(3) as u8);
            let via = if port == 0 { Ipv4Addr::new(10, 0, 0, last) } else { Ipv4Addr::new(198, 51, 100, last) };
            Leg { port: PortId(port as u8), via: Some(via.into()), weight: 1 + self.below(3) as u16 }
        };
        let legs = [leg(), leg()];
        let origin = Origin::Kernel { protocol: 12, metric: self.below(2) as u32 };
        let candidate = Candidate { origin, legs: legs[..self.below(3)].to_vec() };
        let station = (PortId(0), Ipv4Addr::new(10, 0, 0, 10 + self.below(5) as u8).into());
        match self.below(4) {
            0 => vec![News::Neighbor(station, (self.below(2) == 0).then_some([2, 0, 0, 0, 0, 7]))],
            1 => vec![News::All(vec![(to, candidate)], Vec::new())],
            2 => vec![News::Route(to, Change::Removed(candidate))],
            _ => vec![News::Route(to, Change::Added(candidate, Side::Before))],
        }
    }

    fn below(&mut self, n: usize) -> usize {
        self.0.usize(..n)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn service(&mut self, selector: usize) -> String {
        // Answers of services of several ports come from other addresses.
        let net = if selector < 5 { "10.0.0.1" } else { "10.0.0.2" };
        let mut reals = BTreeMap::new();
        for _ in 0..self.below(5) {
            let host = if self.below(6) == 0 { "172.16.0.9".to_owned() } else { format!("{net}{}", self.below(5)) };
            let port = if selector < 3 { self.one(&["", ":80", ":8080"]) } else { "" };
            let forwarding = self.one(&["nat", "nat", "tunnel"]);
            let (weight, slow) = (self.below(4), self.one(&["0s", "0s", "9s"]));
            let upper = self.one(&["0", "0", "9"]);
            let keys =
                format!("forwarding = '{forwarding}', weight = {weight}, slow_start = '{slow}', upper = {upper}");
            reals.insert(host.clone(), format!("{{ address = '{host}{port}', {keys} }}"));
        }
        let reals: Vec<_> = reals.into_values().collect();
        let keys = [
            self.one(&["", "", "persistence = { timeout = 60 }\n", "persistence = { timeout = 90, mask = 24 }\n"]),
            self.one(&["", "", "timeout = '70s'\n"]),
            self.one(&["", "", "", "sorry_server = { address = '172.16.0.99' }\n"]),
        ];
        let (selector, scheduler) = (SELECTORS[selector], self.one(&SCHEDULERS));
        let (keys, reals) = (keys.concat(), reals.join(", "));
        format!("[[service]]\n{selector}\nscheduler = '{scheduler}'\n{keys}real = [{reals}]\n")
    }
}

fn applier(config: &Config) -> Applier {
    applier_of(config, 4096)
}

/// With room for the counters of so many real servers.
fn applier_of(config: &Config, reals: usize) -> Applier {
    let secret = [3, 5, 7, 9];
    let tables = (Table::new(0, secret).unwrap(), Table::new(0, secret).unwrap(), Templates::new(0, secret).unwrap());
    let shared = Arc::new(Shared::new(tables, 2, 2, ENDPOINT_IDS, reals).unwrap());
    Applier::start(shared, config, vec![[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]], Now::from_millis(0)).unwrap()
}

/// Applies a configuration as if nothing were known of the services.
fn apply_whole(applier: &mut Applier, config: &Config, now: Now) {
    let places = |services: usize| (0..services).collect();
    let before = places(applier.running.as_ref().map_or(0, |running| running.services.len()));
    let changed = Changed { before, after: places(config.services.len()), reordered: true, in_place: false };
    let agenda = Agenda { changed, whole: true, ways: true, selectors: true, locals: true };
    applier.carry_out(config, now, &agenda, true).unwrap();
}

fn endpoints(endpoints: &Endpoints) -> BTreeMap<(TransportAddress, u8), String> {
    endpoints.iter().map(|(end, protocol, endpoint)| ((end, protocol), format!("{endpoint:?}"))).collect()
}

fn service(service: &Service) -> String {
    let plan = match &service.plan {
        Plan::Slots(slots) => format!("{:?}", slots.table()),
        Plan::Turns(heights) => format!("{heights:?}"),
        Plan::Rounds(weights, heights) => format!("{weights:?} {heights:?}"),
        Plan::Best(_) => "best".to_owned(),
        Plan::Twos(_) => "twos".to_owned(),
        Plan::Local(_) => "local".to_owned(),
    };
    let Service { id, selector, address, scheduler, version, persistence, .. } = service;
    let Service { max_new_per_second, one_packet, no_server, mss_clamp, sorry, weight_factor, reals, .. } = service;
    format!(
        "{id:?} {selector:?} {address} {scheduler:?} {version} {persistence:?} {max_new_per_second} {one_packet} \
         {no_server:?} {mss_clamp:?} {sorry:?} {weight_factor} {reals:?} {plan}"
    )
}

fn ids<T, U>(column: &[Option<T>], of: impl Fn(&T) -> U) -> BTreeMap<usize, U> {
    column.iter().enumerate().filter_map(|(id, value)| Some((id, of(value.as_ref()?)))).collect()
}

fn assert_alike(one: &Snapshot, other: &Snapshot) {
    assert_eq!(one.generation, other.generation);
    for (one, other) in [
        (&one.endpoints, &other.endpoints),
        (&one.wildcards, &other.wildcards),
        (&one.one_packet, &other.one_packet),
        (&one.former.endpoints, &other.former.endpoints),
        (&one.former.wildcards, &other.former.wildcards),
    ] {
        assert_eq!(endpoints(one), endpoints(other));
    }
    assert_eq!(format!("{:?}", one.selectors), format!("{:?}", other.selectors));
    assert_eq!(one.wide, other.wide);
    let locals = |snapshot: &Snapshot| -> BTreeMap<Address, Local> { snapshot.locals.iter().collect() };
    assert_eq!(format!("{:?}", locals(one)), format!("{:?}", locals(other)));
    assert_eq!(ids(&one.services, |one| service(one)), ids(&other.services, |other| service(other)));
    assert_eq!(ids(&one.addresses, |address| *address), ids(&other.addresses, |address| *address));
    assert_eq!(ids(&one.reals, |real| *real), ids(&other.reals, |real| *real));
    assert_eq!(ids(&one.sockets, |outlet| *outlet), ids(&other.sockets, |outlet| *outlet));
    assert_eq!(ids(&one.persistence, |latest| *latest), ids(&other.persistence, |latest| *latest));
    assert_eq!(format!("{:?}", one.routes), format!("{:?}", other.routes));
    for state in [State::TCP_ESTABLISHED, State::UDP, State::TEMPLATE_ASSURED, State::TCP_CLOSE] {
        for id in 0..4096 {
            let entry = Value::new(state, Tick::default(), RealId(id));
            assert_eq!(one.timeouts.of(entry), other.timeouts.of(entry), "{state:?}, real server {id}");
        }
    }
}

/// Which stations' addresses are fixed, and how.
fn assert_fixed(one: &Applier, other: &Applier) {
    let known = |applier: &Applier| -> BTreeMap<_, _> {
        let listed = applier.shared.neighbors.list(Now::default()).into_iter();
        listed.map(|known| ((known.port, known.address), (known.mac, known.state.name()))).collect()
    };
    assert_eq!(known(one), known(other));
    for ((port, address), mac) in &*one.ways.fixed {
        assert_eq!(known(one)[&(*port, address.to_ip())], (Some(*mac), "static"));
    }
}

/// What is kept of real servers, also of those that are gone, follows from who has an id.
fn assert_kept(applier: &Applier) {
    let snapshot = applier.publisher.current();
    for (owner, id) in applier.reals.owners() {
        let shared = applier.endpoints.get(&EndpointOwner::SharedSocket(owner.socket));
        let outlet = shared.filter(|_| owner.forwarding == Forwarding::Nat).map(endpoint_id);
        assert_eq!(snapshot.socket(RealId(id)).map(|outlet| outlet.endpoint), outlet, "{owner:?}");
        let latest = snapshot.latest_persistence(owner.service);
        let seconds = latest.map_or(300, |latest| latest.persistence.timeout);
        let template = Value::new(State::TEMPLATE_ASSURED, Tick::default(), RealId(id));
        assert_eq!(snapshot.timeouts.of(template), seconds, "{owner:?}");
    }
    let known = |id: usize| snapshot.addresses.get(id).copied().flatten();
    assert_eq!(ids(&snapshot.services, |service| service.address).len(), ids(&snapshot.addresses, |_| ()).len());
    for (id, service) in snapshot.services.iter().enumerate() {
        assert_eq!(service.as_ref().map(|service| service.address), known(id));
    }
    let named: HashMap<NeighborId, u32> = HashMap::new();
    let hops = applier.parts.values().flat_map(|part| &part.stations).filter_map(|station| station.hop);
    let pins = hops.map(|hop| hop.neighbor).chain(applier.ways.pinned.iter().copied());
    let pins = pins.fold(named, |mut pins, neighbor| {
        *pins.entry(neighbor).or_default() += 1;
        pins
    });
    assert_eq!(applier.pins, pins);
    assert!(applier.unpin.iter().all(|(_, id)| !pins.contains_key(id)));
}

/// Connections come to both directors' real servers, and go.
fn visit(both: [&Applier; 2], busy: &mut Vec<RealId>, random: &mut Random) {
    let reals = ids(&both[0].publisher.current().reals, |real| real.id);
    let reals: Vec<RealId> = reals.into_values().collect();
    let entry = |real| Value::new(State::TCP_ESTABLISHED, Tick::default(), real);
    if !reals.is_empty() && random.below(3) > 0 {
        let real = reals[random.below(reals.len())];
        both.iter().for_each(|applier| applier.shared.counts.worker(0).inserted(entry(real)));
        busy.push(real);
    } else if !busy.is_empty() {
        let real = busy.swap_remove(random.below(busy.len()));
        both.iter().for_each(|applier| applier.shared.counts.worker(0).removed(entry(real)));
    }
}

#[test]
fn changes_come_to_what_a_whole_build_does() {
    for seed in 1..=6 {
        follow(Random(fastrand::Rng::with_seed(seed)));
    }
}

/// Two directors are given the same changes: one builds what changed, the other everything.
fn follow(mut random: Random) {
    let mut services: Vec<(usize, String)> = Vec::new();
    let mut running = parse(Path::new("x.toml"), HEAD).unwrap().config;
    let (mut one, mut other) = (applier(&running), applier(&running));
    let (mut now, mut busy, mut gateway, mut changes) = (0, Vec::new(), 0, 0);
    while changes < 300 {
        let mut next = services.clone();
        for _ in 0..=random.below(2) {
            let place = random.below(next.len() + 1);
            match random.below(5) {
                0 if place < next.len() => drop(next.remove(place)),
                1 | 2 if place < next.len() => next[place].1 = random.service(next[place].0),
                3 if next.len() > 1 => next.rotate_left(1),
                _ => {
                    let selector = random.below(SELECTORS.len());
                    next.insert(place, (selector, random.service(selector)));
                }
            }
        }
        if random.below(10) == 0 {
            gateway = random.below(GATEWAYS.len());
        }
        let text: String = next.iter().map(|(_, service)| service.as_str()).collect();
        let route = GATEWAYS[gateway];
        let Ok(mut loaded) = parse(Path::new("x.toml"), &format!("{HEAD}{route}{text}")) else { continue };
        if random.below(4) > 0 {
            // As a change does, not a file.
            for service in &mut loaded.config.services {
                if let Some(same) = running.services.iter().find(|known| *known == service) {
                    *service = Arc::clone(same);
                }
            }
        }
        let at = Now::from_millis(now);
        one.apply(&loaded.config, at).unwrap();
        apply_whole(&mut other, &loaded.config, at);
        assert_alike(&one.publisher.current(), &other.publisher.current());
        assert_kept(&one);
        assert_kept(&other);
        assert_fixed(&one, &other);
        if random.below(5) == 0 {
            let (port, up) = (PortId(random.below(2) as u8), random.below(2) == 0);
            let changes = one.shared.carrier(port) != up;
            for applier in [&one, &other] {
                applier.shared.set_carrier(port, up);
            }
            let news = random.news();
            one.learn(news.clone());
            other.learn(news);
            let changes = changes || one.news;
            one.reroute(&loaded.config, at).unwrap();
            if changes {
                apply_whole(&mut other, &loaded.config, at);
            }
            assert_alike(&one.publisher.current(), &other.publisher.current());
            assert_kept(&one);
        }
        visit([&one, &other], &mut busy, &mut random);
        for _ in 0..random.below(20) {
            now += 1000;
            one.tend(Now::from_millis(now));
            other.tend(Now::from_millis(now));
        }
        (running, services) = (loaded.config, next);
        changes += 1;
    }
    // In the end nothing is left of anything.
    let empty = parse(Path::new("x.toml"), HEAD).unwrap().config;
    one.shared.set_carrier(PortId(0), true);
    one.learn(vec![News::All(Vec::new(), Vec::new())]);
    one.reroute(&running, Now::from_millis(now)).unwrap();
    one.apply(&empty, Now::from_millis(now)).unwrap();
    for real in busy {
        one.shared.counts.worker(0).removed(Value::new(State::TCP_ESTABLISHED, Tick::default(), real));
    }
    for _ in 0..130 {
        now += 1000;
        one.tend(Now::from_millis(now));
    }
    one.apply(&empty, Now::from_millis(now)).unwrap();
    assert_eq!((one.reals.owners().count(), one.endpoints.owners().count()), (0, 0));
    assert!(one.references.iter().all(|count| *count == 0));
    assert!(one.restless.is_empty() && one.parts.is_empty());
    assert_eq!(one.pins.len(), 1, "the static neighbour");
}

#[test]
fn what_a_change_does_not_concern_is_the_very_same() {
    let text = |weight: u16, more: &str| {
        let real = |host: u8| format!("{{ address = '10.0.0.1{host}', weight = {weight} }}");
        format!(
            "{HEAD}[[service]]\naddress = '192.0.2.1:80'\nreal = [{}]\n\
             [[service]]\naddress = '192.0.2.2:81'\nscheduler = 'mh'\nreal = [{{ address = '10.0.0.13' }}]\n{more}",
            [1, 2].map(real).join(", ")
        )
    };
    let config = |text: &str| parse(Path::new("x.toml"), text).unwrap().config;
    let mut applier = applier(&config(&text(1, "")));
    let by_vip = |snapshot: &Snapshot, last: u8| {
        let vip = TransportAddress::new(Ipv4Addr::new(192, 0, 2, last).into(), 79 + u16::from(last));
        snapshot.services.iter().flatten().find(|service| service.address == vip).cloned().unwrap()
    };
    let before = applier.publisher.current();
    applier.apply(&config(&text(7, "")), Now::from_millis(1000)).unwrap();
    let after = applier.publisher.current();
    assert!(!Arc::ptr_eq(&by_vip(&before, 1), &by_vip(&after, 1)));
    assert!(Arc::ptr_eq(&by_vip(&before, 2), &by_vip(&after, 2)), "its table, too");
    assert!(Arc::ptr_eq(&before.addresses, &after.addresses) && Arc::ptr_eq(&before.sockets, &after.sockets));
    // A second service that names a socket concerns the first.
    let shared = "[[service]]\naddress = '192.0.2.4:83'\nreal = [{ address = '10.0.0.13:81' }]\n";
    applier.apply(&config(&text(7, shared)), Now::from_millis(2000)).unwrap();
    let last = applier.publisher.current();
    assert!(Arc::ptr_eq(&by_vip(&after, 1), &by_vip(&last, 1)));
    assert!(!Arc::ptr_eq(&by_vip(&after, 2), &by_vip(&last, 2)));
    assert!(last.reals.iter().flatten().filter(|real| real.address.port == 81).all(|real| real.shared.is_some()));
}

#[test]
fn what_a_build_that_fails_has_given_out_is_taken_back() {
    let head = HEAD.replace("10.0.0.1/24", "10.0.0.1/16");
    // Two services of the same real servers: their sockets are shared, and have ids, too.
    let config = |net: usize, reals: usize| {
        let real = |n: usize| format!("{{ address = '10.0.{}.{}', weight = 3 }}", net + n / 250, n % 250 + 2);
        let reals: Vec<_> = (0..reals).map(real).chain(["{ address = '10.0.15.13' }".to_owned()]).collect();
        let service = |vip: u8| {
            format!("[[service]]\naddress = '192.0.2.{vip}:80'\nscheduler = 'wrr'\nreal = [{}]\n", reals.join(", "))
        };
        parse(Path::new("x.toml"), &format!("{head}{}{}", service(1), service(2))).unwrap().config
    };
    let mut one = applier_of(&config(0, 0), 1 << 16);
    let before = one.publisher.current();
    let mut now = 0;
    for round in 1..6 {
        // More than there are neighbours.
        let refused = one.apply(&config(16 * round, 4_000), Now::from_millis(now)).unwrap_err();
        assert!(matches!(refused, ApplyError::Neighbors(_)), "{refused}");
        assert!(Arc::ptr_eq(&one.publisher.current(), &before));
        for _ in 0..130 {
            now += 1000;
            one.tend(Now::from_millis(now));
        }
        one.shared.neighbors.maintain(0..CAPACITY, Now::from_millis(now), |_, _| {});
        // Two services, the socket they share; two real servers.
        assert_eq!((one.endpoints.owners().count(), one.reals.owners().count()), (3, 2));
        assert_eq!(one.shared.neighbors.list(Now::from_millis(now)).len(), 2, "the static one, the real server");
    }
    assert_kept(&one);
    one.apply(&config(0, 500), Now::from_millis(now)).unwrap();
    assert_kept(&one);
}
