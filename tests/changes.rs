//! Changes while a worker forwards: two hundred a second, of services and real servers, beside services that no change names.
//!
//! Of those no packet is lost, changed or sent elsewhere. Of the others none goes to a real server that was removed, from the moment
//! on that the change was acknowledged, and no new connection to one that was drained: a change is acknowledged when every worker
//! has moved on. It takes 4 seconds; as a soak, as many of changes as `MILLRACE_SOAK_SECONDS` says, and as many without, and then
//! the forwarding rates of both are compared, too.

mod support;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use millrace::ctrl::config::{Config, Real, Scheduler, Service};
use millrace::dataplane::clock::Now;
use millrace::dataplane::conn::Table;
use millrace::dataplane::port::memory::MemoryWire;
use millrace::dataplane::worker::Worker;
use support::*;

type Socket = (Ipv4Addr, u16);

/// Services that no change names.
const STEADY: usize = 20;
/// Services that changes name.
const LIVELY: usize = 30;
/// Real servers that a lively service may have.
const SERVERS: usize = 6;
/// Connections to steady services.
const FLOWS: usize = 2000;
/// Changes a second.
const RATE: u64 = 200;

fn steady_vip(service: usize) -> Socket {
    (Ipv4Addr::new(203, 0, 113, service as u8 + 1), 80)
}

fn lively_vip(service: usize) -> Socket {
    (Ipv4Addr::new(203, 0, 113, service as u8 + 101), 80)
}

/// Every third steady service is reached by direct routing.
fn is_nat(steady: usize) -> bool {
    steady % 3 != 2
}

/// The real servers of a lively service. The last one of some is a steady service's too: its socket is shared at times.
fn server(service: usize, number: usize) -> Socket {
    if number + 1 == SERVERS && service < STEADY && is_nat(service) {
        return (Ipv4Addr::new(10, 0, 0, 11), 8000 + service as u16);
    }
    (Ipv4Addr::new(10, 0, 0, 20 + number as u8), 9000 + service as u16)
}

/// All services with all real servers, the steady ones first.
fn all() -> Config {
    let mut text = String::new();
    for host in 20..20 + SERVERS {
        text += &format!("[[neighbor]]\naddress = '10.0.0.{host}'\nmac = '02:00:00:00:01:{host:02x}'\n");
    }
    for service in 0..STEADY {
        let ((vip, port), method) = (steady_vip(service), if is_nat(service) { "nat" } else { "direct" });
        let reals = [11, 12].map(|host| format!("{{ address = '10.0.0.{host}:{}' }}", 8000 + service));
        let reals = reals.join(", ");
        text += &format!("[[service]]\naddress = '{vip}:{port}'\nforwarding = '{method}'\nreal = [{reals}]\n");
    }
    for service in 0..LIVELY {
        let (vip, port) = lively_vip(service);
        let reals = (0..SERVERS).map(|number| server(service, number));
        let reals: Vec<_> = reals.map(|(address, port)| format!("{{ address = '{address}:{port}' }}")).collect();
        // Clients of one that has none left at the moment are not answered: what leaves is what was forwarded.
        let silent = "no_server = 'drop'";
        text += &format!("[[service]]\naddress = '{vip}:{port}'\n{silent}\nreal = [{}]\n", reals.join(", "));
    }
    config(&text)
}

/// What the worker's side knows of the changes: of each lively service's real servers a number that is odd from the moment on
/// that it is acknowledged that it is gone, or takes no new connections, until it is asked for again.
struct Known {
    gone: [[AtomicU32; SERVERS]; LIVELY],
    closed: [[AtomicU32; SERVERS]; LIVELY],
}

impl Known {
    fn new() -> Self {
        let none = || std::array::from_fn(|_| std::array::from_fn(|_| AtomicU32::new(0)));
        Self { gone: none(), closed: none() }
    }

    fn weight(config: &Config, service: usize, number: usize) -> Option<u16> {
        let (vip, port) = lively_vip(service);
        let is_it = |known: &&Arc<Service>| known.selector.socket() == Some((vip, port).into());
        let known = config.services.iter().find(is_it)?;
        let address = server(service, number).into();
        known.reals.iter().find(|real| real.address == address).map(|real| real.weight)
    }

    /// Before a change: who comes is not gone any more. After it was acknowledged: who went is.
    fn note(&self, service: usize, config: &Config, acknowledged: bool) {
        for number in 0..SERVERS {
            let weight = Self::weight(config, service, number);
            for (mark, set) in [(&self.gone, weight.is_none()), (&self.closed, weight.unwrap_or(0) == 0)] {
                let mark = &mark[service][number];
                let odd = mark.load(Ordering::Relaxed) % 2 == 1;
                if set == acknowledged && set != odd {
                    mark.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

/// One random change of one lively service, which is returned.
fn change(config: &mut Config, all: &Config, random: &mut Rng) -> usize {
    let service = random.usize(..LIVELY);
    let full = &all.services[STEADY + service];
    let Some(place) = config.services.iter().position(|known| known.selector == full.selector) else {
        let place = random.usize(..config.services.len() + 1);
        let mut added = Service::clone(full);
        added.reals.truncate(1 + random.usize(..SERVERS));
        config.services.insert(place, Arc::new(added));
        return service;
    };
    let number = random.usize(..SERVERS);
    let real: Real = full.reals[number].clone();
    let known = config.services[place].reals.iter().position(|known| known.address == real.address);
    let edited = Arc::make_mut(&mut config.services[place]);
    match (random.usize(..8), known) {
        (0, _) => drop(config.services.remove(place)),
        (1, _) => edited.scheduler = [Scheduler::Rr, Scheduler::Wrr, Scheduler::Wlc, Scheduler::Dh][random.usize(..4)],
        (2 | 3, Some(known)) => drop(edited.reals.remove(known)),
        (4, Some(known)) => edited.reals[known].weight = 0,
        (_, Some(known)) => edited.reals[known].weight = 1 + random.usize(..9) as u16,
        (_, None) => edited.reals.push(real),
    }
    service
}

/// A frame to a port, and what must come out of the other.
struct Exchange {
    port: usize,
    frame: Vec<u8>,
    expected: Vec<u8>,
}

fn client(flow: usize) -> Socket {
    (Ipv4Addr::new(198, 51, 100, (flow / 1000) as u8), 1000 + (flow % 1000) as u16)
}

/// Connects all flows, and sees what becomes of one packet more of each, in both directions by NAT.
fn connect(director: &mut Director) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for flow in 0..FLOWS {
        let (client, service) = (client(flow), flow % STEADY);
        let vip = steady_vip(service);
        let there = |flags, data: &[u8]| tcp(client, vip, WAN_MAC, flags, data);
        let first = director.through(0, WAN, &there("S", b""), LAN);
        if is_nat(service) {
            let server = sockets(&first).1;
            director.through(0, LAN, &tcp(server, client, LAN_MAC, "SA", b""), WAN);
            let frame = tcp(server, client, LAN_MAC, "AP", b"back");
            let expected = director.through(0, LAN, &frame, WAN);
            assert_eq!(sockets(&expected), (vip, client));
            exchanges.push(Exchange { port: LAN, frame, expected });
        }
        director.through(0, WAN, &there("A", b""), LAN);
        let frame = there("AP", b"there");
        let expected = director.through(0, WAN, &frame, LAN);
        assert_eq!((&expected[..6], sockets(&expected)), (&first[..6], sockets(&first)), "the same real server");
        exchanges.push(Exchange { port: WAN, frame, expected });
    }
    exchanges
}

/// The worker's thread: what it is given, and what must come of it.
struct Drive<'a> {
    worker: &'a mut Worker<millrace::dataplane::port::memory::MemoryPort>,
    wires: &'a [MemoryWire],
    exchanges: &'a [Exchange],
    known: &'a Known,
    clock: &'a Clock,
    next: usize,
    newcomers: u32,
}

/// The director's time is the world's.
struct Clock {
    start: Instant,
    first: Now,
}

impl Clock {
    fn now(&self) -> Now {
        Now::from_nanos(self.first.nanos() + self.start.elapsed().as_nanos() as u64)
    }
}

/// Packets of steady services in a burst, and new connections to lively ones.
const BURST: usize = 56;
const NEW: usize = 4;
/// So many new connections later each is reset; their services are the same.
const LATER: u32 = 13 * LIVELY as u32;

/// A packet of a client of a lively service.
fn lively(n: u32, flags: &str) -> Vec<u8> {
    let service = n as usize % LIVELY;
    tcp((Ipv4Addr::from_bits(0x0b00_0000 + n), 2000), lively_vip(service), WAN_MAC, flags, b"")
}

impl Drive<'_> {
    /// One burst; returns the packets that were forwarded.
    fn burst(&mut self) -> usize {
        let some: Vec<usize> = (0..BURST).map(|n| (self.next + n * 7) % self.exchanges.len()).collect();
        self.next = (self.next + BURST * 7) % self.exchanges.len();
        let first = self.newcomers;
        self.newcomers += NEW as u32;
        let services = (first..self.newcomers).map(|n| n as usize % LIVELY);
        let read = |marks: &[[AtomicU32; SERVERS]; LIVELY]| -> Vec<[u32; SERVERS]> {
            services.clone().map(|s| std::array::from_fn(|k| marks[s][k].load(Ordering::SeqCst))).collect()
        };
        let before = [read(&self.known.gone), read(&self.known.closed)];
        for exchange in some.iter().map(|place| &self.exchanges[*place]) {
            self.wires[exchange.port].inject(&exchange.frame).unwrap();
        }
        for n in first..self.newcomers {
            self.wires[WAN].inject(&lively(n, "S")).unwrap();
            if let Some(earlier) = n.checked_sub(LATER) {
                self.wires[WAN].inject(&lively(earlier, "R")).unwrap();
            }
        }
        self.worker.poll(self.clock.now());
        let mut sent = [self.wires[WAN].collect(), self.wires[LAN].collect()];
        let after = [read(&self.known.gone), read(&self.known.closed)];
        // Those of lively services are told by their clients' network.
        let (new, old): (Vec<_>, Vec<_>) = sent[LAN].drain(..).partition(|frame| frame[26] == 0x0b);
        sent[LAN] = old;
        let mut expected = [Vec::new(), Vec::new()];
        for exchange in some.iter().map(|place| &self.exchanges[*place]) {
            expected[1 - exchange.port].push(&exchange.expected);
        }
        for (sent, expected) in sent.iter().zip(&expected) {
            assert!(sent.iter().eq(expected.iter().copied()), "a packet of a service that no change named");
        }
        for frame in &new {
            verify(frame);
            let (from, to) = sockets(frame);
            let n = from.0.to_bits() - 0x0b00_0000;
            let number = (0..SERVERS).find(|number| server(n as usize % LIVELY, *number) == to);
            let number = number.unwrap_or_else(|| panic!("{from:?} was sent to {to:?}"));
            let (opens, place) = if n < first { (false, n + LATER - first) } else { (true, n - first) };
            let marked = |what: usize| {
                let [before, after] = [&before, &after].map(|marks| marks[what][place as usize][number]);
                before == after && before % 2 == 1
            };
            assert!(!marked(0), "{to:?} was removed");
            assert!(!(opens && marked(1)), "a new connection to {to:?}, which takes none");
        }
        some.len() + new.len()
    }
}

/// Stops the thread, also where the one that would tell it panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

#[test]
fn changes_concern_only_what_they_name() {
    let soak = std::env::var("MILLRACE_SOAK_SECONDS").ok();
    let seconds: u64 = soak.as_ref().map_or(2, |text| text.parse().expect("a number of seconds"));
    let all = all();
    let mut director = Director::with_config(&all, 1, Table::new(1_000_000, [3, 5, 7, 9]).unwrap());
    let exchanges = connect(&mut director);
    let clock = Clock { start: Instant::now(), first: director.now };
    let (known, stop, packets) = (Known::new(), AtomicBool::new(false), AtomicU64::new(0));
    let (mut running, mut random) = (all.clone(), Rng::with_seed(5));
    let (mut quiet, mut busy, mut times) = (Vec::new(), Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let (worker, wires) = (&mut director.workers[0], &director.wires[0]);
        let (known, stop, packets, clock) = (&known, &stop, &packets, &clock);
        let mut drive = Drive { worker, wires, exchanges: &exchanges, known, clock, next: 0, newcomers: 0 };
        let thread = scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let forwarded = drive.burst();
                packets.fetch_add(forwarded as u64, Ordering::Relaxed);
            }
        });
        let at_work = Stop(stop);
        for second in 0..2 * seconds {
            let (start, before) = (Instant::now(), packets.load(Ordering::Relaxed));
            for n in 0..RATE {
                if second % 2 == 1 {
                    let mut next = running.clone();
                    let service = change(&mut next, &all, &mut random);
                    let asked = Instant::now();
                    known.note(service, &next, false);
                    director.applier.apply(&next, clock.now()).unwrap();
                    while !director.applier.is_settled() && !thread.is_finished() {
                        std::thread::yield_now();
                    }
                    known.note(service, &next, true);
                    times.push(asked.elapsed());
                    running = next;
                }
                let due = start + Duration::from_secs(1) * (n as u32 + 1) / RATE as u32;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let rate = (packets.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
            if second % 2 == 1 { &mut busy } else { &mut quiet }.push(rate);
            director.applier.tend(clock.now());
            if thread.is_finished() {
                break;
            }
        }
        drop(at_work);
        thread.join().unwrap();
    });
    times.sort();
    let (quiet, busy) = (median(&mut quiet), median(&mut busy));
    let (middle, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{} changes, {middle:?} each, {most:?} at most; {:.0} packets a second with them, {quiet:.0} without: {:.3}",
        times.len(),
        busy,
        busy / quiet
    );
    assert_eq!(times.len() as u64, seconds * RATE);
    assert!(soak.is_none() || busy >= 0.95 * quiet, "{busy:.0} packets a second, and {quiet:.0} without changes");
    director.balanced();
}
