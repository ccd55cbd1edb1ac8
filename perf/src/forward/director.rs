//! A director with one worker on a memory port, made as the program makes it: from a configuration.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use millrace::ctrl::apply::{Applier, MAX_REALS};
use millrace::ctrl::config;
use millrace::ctrl::connections::{Filter, Scan};
use millrace::dataplane::clock::Now;
use millrace::dataplane::conn::{Backing, Table, Templates};
use millrace::dataplane::port::dpdk::Pool;
use millrace::dataplane::sched::Share;
use millrace::dataplane::shared::Shared;
use millrace::dataplane::stats::Outcome;
use millrace::dataplane::worker::{ENDPOINT_IDS, Worker};

use super::port::{LoopPort, Order};
use super::traffic::{
    self, DIRECTOR, DIRECTOR_MAC, DIRECTOR_SIX, GATEWAY_MAC, LOCALS, REALS, Segment, Traffic, VIP, VIP_SIX,
};
use super::verify;
use super::{Case, Rig};
use crate::sampling::{Sample, sample};

/// How many frames of each step are decoded and checked before anything is timed.
const CHECKED: u32 = 100_000;

/// A director by one forwarding method, and its established flows.
pub struct Director {
    shared: Arc<Shared>,
    worker: Worker<LoopPort>,
    applier: Applier,
    /// Passes only while packets do, so that flows are as old as if nothing else ran in between.
    clock: Duration,
    flows: u32,
    six: bool,
}

/// What a director is to do.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Connections that its table is rated for.
    pub connections: u32,
    /// The service's protocol, scheduler and forwarding method, as the configuration calls them.
    pub protocol: &'a str,
    pub scheduler: &'a str,
    pub method: &'a str,
    /// The configuration's `[timeouts]`.
    pub timeouts: &'a str,
    /// Whether all of it is of IPv6.
    pub six: bool,
}

impl Director {
    /// Starts a director that forwards as `case` does, and lets `flows` clients connect.
    pub fn new(case: Case, flows: u32, pool: &Pool) -> anyhow::Result<Self> {
        let method = case.method();
        // A connection by full NAT has two entries: its own and its link.
        let connections = if case.is_full_nat() { flows.saturating_mul(2) } else { flows };
        let setup = Setup { connections, protocol: "tcp", scheduler: "rr", method, timeouts: "", six: case.is_six() };
        let mut director = Self { flows, ..Self::start(setup, pool)? };
        director.connect(case)?;
        Ok(director)
    }

    /// Starts a director without any connection.
    pub fn start(setup: Setup<'_>, pool: &Pool) -> anyhow::Result<Self> {
        Self::with_tables(&configuration(setup), setup.connections, if setup.six { setup.connections } else { 0 }, pool)
    }

    /// Starts a director of a configuration, its table rated for so many connections.
    pub fn of(configuration: &str, connections: u32, pool: &Pool) -> anyhow::Result<Self> {
        Self::with_tables(configuration, connections, 0, pool)
    }

    /// The same, with room for so many wide connections; those of IPv6 are.
    fn with_tables(configuration: &str, connections: u32, wide: u32, pool: &Pool) -> anyhow::Result<Self> {
        let six = wide > 0;
        let narrow = if six { 0 } else { connections };
        let config = config::parse(Path::new("perf"), configuration).map_err(|error| anyhow!("{error}"))?.config;
        let secret = std::array::from_fn(|n| RandomState::new().hash_one(n));
        let table = Table::new(narrow as usize, secret).context("the connection table")?;
        let wide = Table::new(wide as usize, secret).context("the table of wide connections")?;
        let templates = Templates::new(0, secret).context("the table of templates")?;
        let shared = Arc::new(Shared::new((table, wide, templates), 1, 1, ENDPOINT_IDS, MAX_REALS as usize + 1)?);
        let clock = Duration::from_secs(1);
        let applier = Applier::start(Arc::clone(&shared), &config, vec![DIRECTOR_MAC], at(clock))?;
        let port = LoopPort::new(pool, Traffic::new(Segment::Syn))?;
        let share = Share { worker: 0, workers: 1 };
        let worker = Worker::new(share, vec![port], applier.reader(), Arc::clone(&shared), at(clock));
        Ok(Self { shared, worker, applier, clock, flows: connections, six })
    }

    /// What its workers and control share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// A walk through all its connections, as `millrace conn list` makes it.
    pub fn scan(&self) -> Scan {
        let (viewer, names) = (self.applier.viewer(), self.applier.names());
        Scan::new(Arc::clone(&self.shared), viewer, names, Filter::default(), at(self.clock))
    }

    /// Polls for about `length`, and returns the packets that came.
    pub fn run(&mut self, length: Duration) -> Sample {
        let sample = sample(length, |time| self.worker.poll(at(self.clock + time)));
        self.clock += sample.time;
        sample
    }

    /// The handshakes of all flows, and then a look at what comes out of established ones.
    fn connect(&mut self, case: Case) -> anyhow::Result<()> {
        let all = self.flows;
        self.port().learns = case.is_full_nat();
        self.handshake(case, Segment::Syn, all)?;
        self.port().learns = false;
        if case.is_full_nat() {
            self.port().shuffle();
            let learnt = self.port().answered.len();
            ensure!(learnt == all as usize, "{learnt} local addresses and ports for {all} flows");
        }
        if case.is_answered() {
            self.handshake(case.answer(), Segment::ReplySyn, all)?;
        }
        self.handshake(case, Segment::Ack, all)?;
        let opened: u64 = self.shared.workers[0].services.iter().map(|service| service.connections.get()).sum();
        ensure!(opened == u64::from(all), "{opened} connections were opened instead of {all}");

        self.looked_at(case, Segment::Ack, Order::Random(all))?;
        if case.is_answered() {
            self.looked_at(case.answer(), Segment::Reply, Order::Random(all))?;
        }
        Ok(())
    }

    /// One segment of each flow, the first of them looked at.
    fn handshake(&mut self, case: Case, segment: Segment, flows: u32) -> anyhow::Result<()> {
        let first = CHECKED.min(flows);
        self.looked_at(case, segment, Order::Sequence(0, first))?;
        self.arm_for(case, segment, Order::Sequence(first, flows));
        self.counted(case, |director| director.pass(u64::from(flows - first))).map(|_| ())
    }

    /// Passes up to [`CHECKED`] segments and decodes every frame that comes out.
    fn looked_at(&mut self, case: Case, segment: Segment, order: Order) -> anyhow::Result<()> {
        let wrong = Rc::new(RefCell::new(Ok(())));
        let verdict = Rc::clone(&wrong);
        self.arm_for(case, segment, order);
        self.port().inspector = Some(Box::new(move |octets| {
            let mut verdict = verdict.borrow_mut();
            if verdict.is_ok() {
                *verdict = verify::frame(case, octets);
            }
        }));
        let passed = self.counted(case, |director| director.pass(u64::from(CHECKED)));
        self.port().inspector = None;
        wrong.replace(Ok(()))?;
        passed.map(|_| ())
    }

    /// Polls until so many packets have come, or no more do.
    fn pass(&mut self, packets: u64) -> Sample {
        let mut done = 0;
        let mut sum = sample(Duration::ZERO, |_| 0);
        while done < packets {
            let part = sample(Duration::from_millis(1), |time| self.worker.poll(at(self.clock + sum.time + time)));
            sum = Sample { packets: sum.packets + part.packets, time: sum.time + part.time };
            if part.packets == 0 {
                break;
            }
            done += part.packets;
        }
        sum
    }

    /// Runs `run`; every frame that came in then must have been forwarded as `case` does, and have gone out.
    fn counted(&mut self, case: Case, run: impl FnOnce(&mut Self) -> Sample) -> anyhow::Result<Sample> {
        let before = self.counters(case);
        let sample = run(self);
        self.clock += sample.time;
        let after = self.counters(case);
        for ((name, before), (_, after)) in before.into_iter().zip(after) {
            ensure!(
                after - before == sample.packets,
                "{}, {} flows: {name} {} of {} packets; outcomes: {:?}",
                case.name(),
                self.flows,
                after - before,
                sample.packets,
                self.outcomes(),
            );
        }
        Ok(sample)
    }

    fn counters(&mut self, case: Case) -> [(&'static str, u64); 5] {
        let port = self.port();
        let (given, taken) = (port.given, port.taken);
        let stats = &self.shared.workers[0];
        [
            ("the port gave", given),
            ("the worker received", stats.received()),
            ("it forwarded", case.outcome().map_or(0, |outcome| stats.outcome(outcome))),
            ("it sent", stats.ports[0].tx_frames.get()),
            ("the port took", taken),
        ]
    }

    /// How its frames ended.
    pub fn outcomes(&self) -> Vec<(&'static str, u64)> {
        let stats = &self.shared.workers[0];
        let all = Outcome::ALL.iter().map(|&outcome| (outcome.name(), stats.outcome(outcome)));
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// What comes in from now on, over IPv4.
    pub fn arm(&mut self, segment: Segment, order: Order) {
        let port = self.port();
        port.traffic = Traffic::new(segment);
        port.order = order;
    }

    /// The same over the case's family.
    fn arm_for(&mut self, case: Case, segment: Segment, order: Order) {
        let port = self.port();
        port.traffic = Traffic::of(segment, case.is_six());
        port.order = match (case, order) {
            (Case::FullnatOut, Order::Sequence(first, end)) => Order::Answers(u64::from(end - first)),
            (Case::FullnatOut, Order::Random(_)) => Order::Answers(u64::MAX),
            (_, order) => order,
        };
    }

    /// Its port.
    pub fn port(&mut self) -> &mut LoopPort {
        &mut self.worker.ports_mut()[0]
    }
}

impl Rig for Director {
    /// Forwards what established flows send, at random.
    fn sample(&mut self, case: Case, length: Duration) -> anyhow::Result<Sample> {
        let segment = if case.is_answer() { Segment::Reply } else { Segment::Ack };
        self.arm_for(case, segment, Order::Random(self.flows));
        self.counted(case, |director| sample(length, |time| director.worker.poll(at(director.clock + time))))
    }

    fn backing(&self) -> Option<Backing> {
        Some(if self.six { self.shared.wide.backing() } else { self.shared.table.backing() })
    }
}

fn at(clock: Duration) -> Now {
    Now::from_nanos(clock.as_nanos() as u64)
}

fn colons([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// One port towards clients and real servers, and the gateway to all that is not on its network.
pub fn network() -> String {
    let (own, gateway) = (colons(DIRECTOR_MAC), colons(GATEWAY_MAC));
    format!(
        r#"
[[port]]
name = "lan"
device = "net_null0"
addresses = ["{DIRECTOR}/24", "192.0.2.2/24", "{DIRECTOR_SIX}/64", "2001:db8:a::2/64"]
mac = "{own}"
[[route]]
to = "0.0.0.0/0"
via = "192.0.2.1"
[[neighbor]]
address = "192.0.2.1"
mac = "{gateway}"
[[route]]
to = "::/0"
via = "2001:db8:a::1"
[[neighbor]]
address = "2001:db8:a::1"
mac = "{gateway}"
"#
    )
}

/// One service, and real servers whose Ethernet addresses need no asking.
fn configuration(setup: Setup<'_>) -> String {
    let Setup { protocol, scheduler, method, timeouts, six, .. } = setup;
    let address = |real| -> IpAddr {
        let real = traffic::real_address(real);
        if six { traffic::in_six(traffic::LAN_SIX, real.to_bits()).into() } else { real.into() }
    };
    let neighbor = |real| {
        let (address, mac) = (address(real), colons(traffic::real_mac(real)));
        format!("[[neighbor]]\naddress = \"{address}\"\nmac = \"{mac}\"\n")
    };
    let server = |real| format!("[[service.real]]\naddress = \"{}\"\n", address(real));
    let vip = if six { SocketAddr::V6(VIP_SIX) } else { VIP.into() };
    let network = network();
    let neighbors: String = (0..REALS).map(neighbor).collect();
    let servers: String = (0..REALS).map(server).collect();
    let pool = if method == "fullnat" {
        format!("[[local_pool]]\naddresses = [\"{}-{}\"]\n", LOCALS.0, LOCALS.1)
    } else {
        String::new()
    };
    format!(
        r#"
[timeouts]
{timeouts}
{network}
{pool}
{neighbors}
[[service]]
address = "{vip}"
protocol = "{protocol}"
scheduler = "{scheduler}"
forwarding = "{method}"
{servers}"#
    )
}
