//! What finding a packet's service costs with few and with many: a whole worker, direct routing, established flows that are
//! spread over all services.
//!
//! Each service is one VIP (or one prefix of sixteen) and one real server of its own, so that its counters are its own too.

mod port;
mod scrape;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use millrace::ctrl::apply::{Applier, MAX_REALS};
use millrace::ctrl::config::{self, Config};
use millrace::dataplane::clock::Now;
use millrace::dataplane::conn::{Table, Templates};
use millrace::dataplane::port::dpdk::Pool;
use millrace::dataplane::sched::Share;
use millrace::dataplane::shared::Shared;
use millrace::dataplane::stats::Outcome;
use millrace::dataplane::worker::{ENDPOINT_IDS, Worker};

use crate::forward::port::Order;
use crate::forward::traffic::{self, DIRECTOR, DIRECTOR_MAC, REALS, Segment};
use crate::record::Record;
use crate::sampling::{Sample, Samples, sample};
use port::{SpreadPort, first_vip};

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    services: Vec<u32>,
    flows: u32,
    rounds: u32,
    length: Duration,
    scrape: scrape::Plan,
}

impl Plan {
    /// With 10, 1,000 and 10,000 services.
    pub fn new(quick: bool) -> Self {
        let (rounds, length) = if quick { (30, 10) } else { (100, 25) };
        let (length, scrape) = (Duration::from_millis(length), scrape::Plan::new(quick));
        Self { services: vec![10, 1000, 10_000], flows: 100_000, rounds, length, scrape }
    }
}

/// How a service says which packets are its.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One address and port, nothing else configured.
    Address,
    /// The same, while a service of another kind is configured, which no packet is for.
    AddressBesideMark,
    /// A prefix of sixteen addresses, and a port.
    Prefix,
    /// A range of ports.
    Ports,
    /// A mark, by a rule of its own: a prefix of sixteen addresses, and a port.
    Mark,
}

const KINDS: [Kind; 5] = [Kind::Address, Kind::AddressBesideMark, Kind::Prefix, Kind::Ports, Kind::Mark];

/// VIPs lie so far apart that each is in a prefix of its own.
const APART: u32 = 16;

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::AddressBesideMark => "address, a mark beside",
            Self::Prefix => "prefix",
            Self::Ports => "ports",
            Self::Mark => "mark",
        }
    }

    const fn is_wide(self) -> bool {
        !matches!(self, Self::Address | Self::AddressBesideMark)
    }

    /// What comes before all services.
    fn head(self) -> String {
        match self {
            Self::AddressBesideMark => {
                "[[mark]]\nmark = 1\nmatch = { to = \"240.0.0.1\" }\n[[service]]\nmark = 1\n".to_owned()
            }
            _ => String::new(),
        }
    }

    /// The service with this number.
    fn service(self, number: u32) -> String {
        let vip = Ipv4Addr::from_bits(first_vip() + number * APART);
        let port = traffic::VIP.port();
        let mark = number + 1;
        match self {
            Self::Address | Self::AddressBesideMark => format!("[[service]]\naddress = \"{vip}:{port}\"\n"),
            Self::Prefix => format!("[[service]]\naddress = \"{vip}/28:{port}\"\n"),
            Self::Ports => format!("[[service]]\naddress = \"{vip}:{port}-{}\"\n", port + 9),
            Self::Mark => format!(
                "[[mark]]\nmark = {mark}\nmatch = {{ to = \"{vip}/28\", port = {port} }}\n[[service]]\nmark = {mark}\n"
            ),
        }
    }
}

/// A director with many services, and its established flows.
struct Rig {
    forwarder: Forwarder,
    /// Control's end stays open.
    applier: Applier,
}

/// What of it forwards.
struct Forwarder {
    shared: Arc<Shared>,
    worker: Worker<SpreadPort>,
    clock: Duration,
    flows: u32,
}

impl Rig {
    fn new(kind: Kind, services: u32, flows: u32, pool: &Pool) -> anyhow::Result<Self> {
        Self::of(kind, &configured(kind, services, 1)?, services, flows, pool)
    }

    fn of(kind: Kind, config: &Config, services: u32, flows: u32, pool: &Pool) -> anyhow::Result<Self> {
        let secret = [3, 5, 7, 9];
        let rated = |wide| if kind.is_wide() == wide { flows as usize } else { 0 };
        let table = Table::new(rated(false), secret).context("the connection table")?;
        let wide = Table::new(rated(true), secret).context("the table of wide connections")?;
        let templates = Templates::new(0, secret).context("the table of templates")?;
        let shared = Arc::new(Shared::new((table, wide, templates), 1, 1, ENDPOINT_IDS, MAX_REALS as usize + 1)?);
        let clock = Duration::from_secs(1);
        let applier = Applier::start(Arc::clone(&shared), config, vec![DIRECTOR_MAC], at(clock))?;
        let port = SpreadPort::new(pool, services, APART)?;
        let share = Share { worker: 0, workers: 1 };
        let worker = Worker::new(share, vec![port], applier.reader(), Arc::clone(&shared), at(clock));
        let mut rig = Self { forwarder: Forwarder { shared, worker, clock, flows }, applier };
        for segment in [Segment::Syn, Segment::Ack] {
            rig.forwarder.worker.ports_mut()[0].arm(segment, Order::Sequence(0, flows));
            while rig.forwarder.pass(Duration::ZERO)?.packets > 0 {}
        }
        let stats = &rig.forwarder.shared.workers[0];
        let opened: u64 = stats.services.iter().map(|service| service.connections.get()).sum();
        let used = stats.services.iter().filter(|service| service.connections.get() > 0).count();
        ensure!(opened == u64::from(flows), "{opened} connections were opened instead of {flows}");
        ensure!(used == services as usize, "{used} services were used instead of {services}");
        rig.forwarder.worker.ports_mut()[0].arm(Segment::Ack, Order::Random(flows));
        Ok(rig)
    }
}

impl Forwarder {
    /// Polls for about `length`, once at least; all that came must have been forwarded.
    fn pass(&mut self, length: Duration) -> anyhow::Result<Sample> {
        let forwarded = |rig: &Self| rig.shared.workers[0].outcome(Outcome::ForwardedDirect);
        let before = forwarded(self);
        let mut sample = sample(length, |time| self.worker.poll(at(self.clock + time)));
        if length.is_zero() {
            sample.packets = self.worker.poll(at(self.clock)) as u64;
        }
        self.clock += sample.time;
        let done = forwarded(self) - before;
        ensure!(done == sample.packets, "{done} of {} packets were forwarded, {} flows", sample.packets, self.flows);
        Ok(sample)
    }
}

fn at(clock: Duration) -> Now {
    Now::from_nanos(clock.as_nanos() as u64)
}

fn configured(kind: Kind, services: u32, reals: u32) -> anyhow::Result<Config> {
    let text = configuration(kind, services, reals);
    Ok(config::parse(Path::new("perf"), &text).map_err(|error| anyhow!("{error}"))?.config)
}

/// One port towards clients and real servers, whose Ethernet addresses need no asking; so many real servers for each service.
fn configuration(kind: Kind, services: u32, reals: u32) -> String {
    let mac = |octets: [u8; 6]| octets.map(|octet| format!("{octet:02x}")).join(":");
    let mut text = format!(
        "[[port]]\nname = \"lan\"\ndevice = \"net_null0\"\naddresses = [\"{DIRECTOR}/24\"]\nmac = \"{}\"\n",
        mac(DIRECTOR_MAC)
    );
    for real in 0..REALS {
        let (address, mac) = (traffic::real_address(real), mac(traffic::real_mac(real)));
        text += &format!("[[neighbor]]\naddress = \"{address}\"\nmac = \"{mac}\"\n");
    }
    text += &kind.head();
    for number in 0..services {
        text += &kind.service(number);
        let real = |nth| format!("{{ address = \"{}\" }}", traffic::real_address((number + nth) % REALS));
        let reals: Vec<_> = (0..reals).map(real).collect();
        text += &format!("forwarding = \"direct\"\nscheduler = \"rr\"\nreal = [{}]\n", reals.join(", "));
    }
    text
}

/// Before each sample, untimed: the caches are another case's.
const WARM_UP: Duration = Duration::from_millis(2);

/// Runs the plan on the calling thread: all kinds of one number of services in turn, over and over; then scrapes beside it.
pub fn measure(plan: &Plan, core: usize, pool: &Pool) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for &services in &plan.services {
        let mut rigs = Vec::new();
        for kind in KINDS {
            let rig = Rig::new(kind, services, plan.flows, pool);
            rigs.push((
                kind,
                rig.with_context(|| format!("{services} services, {}", kind.name()))?,
                Samples::default(),
            ));
        }
        for _ in 0..plan.rounds {
            for (_, rig, samples) in &mut rigs {
                rig.forwarder.pass(WARM_UP)?;
                samples.push(rig.forwarder.pass(plan.length)?);
            }
        }
        for (kind, _, samples) in &rigs {
            let record = Record::new("services", plan.flows).text("kind", kind.name());
            records.push(record.count("services", services.into()).samples(samples));
        }
    }
    records.extend(scrape::measure(plan.scrape, plan.flows, core, pool)?);
    Ok(records)
}
