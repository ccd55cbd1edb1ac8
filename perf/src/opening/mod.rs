//! New connections: how many a second one worker opens, for a while, as others expire.
//!
//! Time is real: a connection is removed as long after its last packet as it would be in production. So the table fills
//! up to the rate times a connection's life, and stays there.

pub mod opener;

use std::time::{Duration, Instant};

use anyhow::Context;
use millrace::dataplane::port::dpdk::Pool;
use millrace::dataplane::stats::Outcome;

use crate::forward::director::{Director, Setup};
use crate::forward::traffic::Segment;
use crate::pages;
use crate::record::Record;
use crate::sampling::Samples;
use opener::Opener;

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
pub const CONNECTIONS: u32 = 16_000_000;

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

impl Plan {
    /// With each of these schedulers; else one that goes round, and one that hashes.
    pub fn new(quick: bool, schedulers: &[String]) -> Self {
        let (warm_up, seconds) = if quick { (2, 2) } else { (4, 30) };
        let schedulers =
            if schedulers.is_empty() { ["rr", "mh"].map(str::to_owned).to_vec() } else { schedulers.to_vec() };
        Self { schedulers, warm_up: Duration::from_secs(warm_up), seconds }
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

/// How long a sample is.
const SAMPLE: Duration = Duration::from_millis(100);

impl Plan {
    fn sustained(&self, scheduler: &str, kind: &Kind, pool: &Pool) -> anyhow::Result<Record> {
        let Kind { protocol, packets, timeouts } = *kind;
        let setup = Setup { connections: CONNECTIONS, protocol, scheduler, method: "direct", timeouts, six: false };
        let mut opener = Opener::new(Director::start(setup, pool)?, packets, Outcome::ForwardedDirect);
        opener.sample(self.warm_up);
        let (first, memory) = (opener.counted(), pages::resident()?);

        let started = Instant::now();
        let mut samples = Samples::default();
        let mut most = 0;
        while started.elapsed() < Duration::from_secs(u64::from(self.seconds)) {
            samples.push(opener.sample(SAMPLE));
            most = most.max(opener.counted().opened - opener.counted().expired);
        }
        let last = opener.counted();
        let opened = last.opened - first.opened;
        let by_the_clock = opened as f64 / started.elapsed().as_micros() as f64;
        opener.check().with_context(|| format!("{scheduler}, {protocol}"))?;
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
            .count("expired", last.expired - first.expired)
            .count("live_most", most)
            .number("memory_mib_before", memory)
            .number("memory_mib_after", pages::resident()?))
    }
}
