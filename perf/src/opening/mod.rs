//! New connections: how many a second one worker opens, for a while, as others expire.
//!
//! Time is real: a connection is removed as long after its last packet as it would be in production. So the table fills
//! up to the rate times a connection's life, and stays there.

use std::time::{Duration, Instant};

use anyhow::ensure;
use millrace::dataplane::port::dpdk::Pool;
use millrace::dataplane::stats::Outcome;
use rustix::time::{ClockId, clock_gettime};

use crate::forward::director::{Director, Setup};
use crate::forward::port::{Opening, Order};
use crate::forward::traffic::Segment;
use crate::pages;
use crate::record::Record;
use crate::sampling::{Sample, Samples};

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    schedulers: Vec<String>,
    /// Before anything is measured: as long as it takes until as many connections expire as open.
    warm_up: Duration,
    seconds: u32,
}

/// Rated connections of the table. The longest life below, the two ticks and the pass that the sweep adds, times five
/// million a second.
const CONNECTIONS: u32 = 16_000_000;

/// What a connection is made of.
struct Kind {
    protocol: &'static str,
    packets: &'static [Segment],
    timeouts: &'static str,
}

/// A query by UDP; and a TCP connection whose client's packets pass here: both live for a second after their last
/// packet.
const KINDS: [Kind; 2] = [
    Kind { protocol: "udp", packets: &[Segment::Datagram], timeouts: "udp = \"1s\"" },
    Kind { protocol: "tcp", packets: &[Segment::Syn, Segment::Ack, Segment::Fin], timeouts: "tcp_fin = \"1s\"" },
];

/// How many connections open between two packets of one: 10 ms at three million a second.
const APART: u32 = 30_000;

impl Plan {
    /// With each of these schedulers.
    pub fn new(quick: bool, schedulers: &[String]) -> Self {
        let (warm_up, seconds) = if quick { (2, 2) } else { (4, 30) };
        Self { schedulers: schedulers.to_vec(), warm_up: Duration::from_secs(warm_up), seconds }
    }
}

/// Runs the plan on the calling thread.
pub fn measure(plan: &Plan, pool: &Pool) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for scheduler in &plan.schedulers {
        for kind in &KINDS {
            records.push(plan.sustained(scheduler, kind, pool)?);
        }
    }
    Ok(records)
}

/// What the worker had counted at a moment.
#[derive(Clone, Copy)]
struct Counted {
    opened: u64,
    expired: u64,
}

fn counted(director: &Director) -> Counted {
    let stats = &director.shared().workers[0];
    let opened = stats.services.iter().map(|service| service.connections.get()).sum();
    Counted { opened, expired: stats.expired.get() }
}

/// How long the calling thread has had a core for itself: what others took of it in between is not the worker's.
fn core_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How long a sample is.
const SAMPLE: Duration = Duration::from_millis(100);

impl Plan {
    fn sustained(&self, scheduler: &str, kind: &Kind, pool: &Pool) -> anyhow::Result<Record> {
        let Kind { protocol, packets, timeouts } = *kind;
        let setup = Setup { connections: CONNECTIONS, protocol, scheduler, method: "direct", timeouts };
        let mut director = Director::start(setup, pool)?;
        director.port().order = Order::Opening(Opening::new(packets, APART));
        let mut passed = director.run(self.warm_up).packets;
        let (first, memory) = (counted(&director), pages::resident()?);

        let started = Instant::now();
        let mut samples = Samples::default();
        let mut most = 0;
        let mut before = first;
        while started.elapsed() < Duration::from_secs(u64::from(self.seconds)) {
            let began = core_time();
            let sample = director.run(SAMPLE);
            let now = counted(&director);
            samples.push(Sample { packets: now.opened - before.opened, time: core_time() - began });
            passed += sample.packets;
            most = most.max(now.opened - now.expired);
            before = now;
        }
        let opened = before.opened - first.opened;
        let by_the_clock = opened as f64 / started.elapsed().as_micros() as f64;
        let stats = &director.shared().workers[0];
        let forwarded = stats.outcome(Outcome::ForwardedDirect);
        ensure!(forwarded == passed, "{protocol}: {forwarded} of {passed} packets were forwarded");
        let (evicted, stateless) = (stats.evicted.get(), stats.stateless.get());
        ensure!(
            evicted + stateless == 0,
            "{protocol}: expiry does not keep pace: {evicted} evicted, {stateless} not stored"
        );
        Ok(Record::new("new-connections", CONNECTIONS)
            .text("scheduler", scheduler)
            .text("protocol", protocol)
            .count("packets_each", packets.len() as u64)
            .count("seconds", u64::from(self.seconds))
            .number("million_a_second", 1000.0 / samples.median())
            .number("least", 1000.0 / samples.worst())
            .number("most", 1000.0 / samples.best())
            .number("by_the_clock", by_the_clock)
            .count("opened", opened)
            .count("expired", before.expired - first.expired)
            .count("live_most", most)
            .number("memory_mib_before", memory)
            .number("memory_mib_after", pages::resident()?))
    }
}
