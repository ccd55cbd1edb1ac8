//! Every scheduler through a whole worker: new connections a second with few, many and very many real servers, beside
//! round robin with few.
//!
//! One scheduler's directors and the reference are sampled in turn, so that each sees the core as the others do.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context;
use millrace::dataplane::port::dpdk::Pool;
use millrace::dataplane::sched::Scheduler;
use millrace::dataplane::stats::Outcome;

use crate::forward::director::{Director, network};
use crate::forward::traffic::{Segment, VIP};
use crate::opening::CONNECTIONS;
use crate::opening::opener::{APART, Opener};
use crate::record::Record;
use crate::sampling::Samples;

/// Numbers of real servers; the first is the reference's.
const REALS: [u32; 3] = [10, 1000, 10_000];

/// How weights are spread.
#[derive(Clone, Copy, Debug)]
enum Weights {
    /// From one to four times a unit, of which there are three for each connection that is active at a time.
    Mixed,
    /// All 1, but for one of 1,000: wrr has 999 rounds in which only that takes part.
    OneLarge,
    /// Nine in ten are drained.
    MostZero,
}

/// What is sampled side by side: one scheduler with all numbers of real servers.
#[derive(Clone, Copy, Debug)]
struct Case {
    scheduler: Scheduler,
    weights: Weights,
    /// What a connection is made of: a segment that opens it at once ([`configuration`]); and one that closes it soon, where
    /// the choice is to hang on how many are active for each one of weight.
    packets: &'static [Segment],
}

const OPEN: &[Segment] = &[Segment::Ack];
const OPEN_AND_CLOSE: &[Segment] = &[Segment::Ack, Segment::Fin];

/// What to measure, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    cases: Vec<Case>,
    /// Before anything is measured: as long as it takes until as many connections expire as open.
    warm_up: Duration,
    rounds: usize,
    length: Duration,
}

/// Before each sample, untimed: the caches are another director's.
const REFRESH: Duration = Duration::from_millis(5);

impl Plan {
    /// All schedulers, or only those with these names; those that walk along the weights also with awkward ones.
    pub fn new(quick: bool, names: &[String]) -> anyhow::Result<Self> {
        let named = |name: &String| {
            let found = Scheduler::ALL.iter().copied().find(|scheduler| scheduler.name() == *name);
            found.with_context(|| format!("{name} is no scheduler"))
        };
        let schedulers: Vec<_> = names.iter().map(named).collect::<anyhow::Result<_>>()?;
        let schedulers = if names.is_empty() { Scheduler::ALL.to_vec() } else { schedulers };
        let (warm_up, rounds, length) = if quick { (2, 10, 25) } else { (4, 40, 50) };
        Ok(Self {
            cases: schedulers.into_iter().flat_map(cases).collect(),
            warm_up: Duration::from_secs(warm_up),
            rounds,
            length: Duration::from_millis(length),
        })
    }
}

fn cases(scheduler: Scheduler) -> Vec<Case> {
    let case = |weights, packets| Case { scheduler, weights, packets };
    let usual = case(Weights::Mixed, OPEN);
    let closing = case(Weights::Mixed, OPEN_AND_CLOSE);
    match scheduler {
        Scheduler::Rr => vec![usual, case(Weights::MostZero, OPEN)],
        Scheduler::Wrr => vec![usual, case(Weights::OneLarge, OPEN)],
        Scheduler::Lblc | Scheduler::Lblcr => vec![usual, closing],
        // It would take no more than there is weight.
        Scheduler::Ovf => vec![closing],
        _ => vec![usual],
    }
}

/// Runs the plan on the calling thread.
pub fn measure(plan: &Plan, pool: &Pool) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for &case in &plan.cases {
        records.extend(plan.compare(case, pool).with_context(|| case.scheduler.to_string())?);
    }
    Ok(records)
}

impl Plan {
    fn compare(&self, case: Case, pool: &Pool) -> anyhow::Result<Vec<Record>> {
        let reference = Case { scheduler: Scheduler::Rr, weights: Weights::Mixed, ..case };
        let mut reference = opener(reference, REALS[0], pool)?;
        let own = REALS.map(|reals| opener(case, reals, pool));
        let mut own: Vec<Opener> = own.into_iter().collect::<anyhow::Result<_>>()?;
        let mut all: Vec<&mut Opener> = std::iter::once(&mut reference).chain(&mut own).collect();
        for opener in &mut all {
            opener.sample(self.warm_up);
        }
        let mut samples = vec![Samples::default(); all.len()];
        for _ in 0..self.rounds {
            for (opener, samples) in all.iter_mut().zip(&mut samples) {
                opener.sample(REFRESH);
                samples.push(opener.sample(self.length));
            }
        }
        for (opener, reals) in all.iter().zip(REALS[..1].iter().chain(&REALS)) {
            opener.check().with_context(|| format!("{reals} real servers"))?;
        }
        let [rr, own @ ..] = &samples[..] else { return Ok(Vec::new()) };
        let few = own.first().unwrap_or(rr);
        let record = |(samples, reals): (&Samples, u32)| {
            let [over_rr, over_few] = [rr, few].map(|other| samples.best() / other.best());
            Record::new("scheduler", CONNECTIONS)
                .text("scheduler", case.scheduler.name())
                .text("weights", case.weights.name())
                .count("reals", reals.into())
                .count("packets_each", case.packets.len() as u64)
                .number("million_a_second", 1000.0 / samples.median())
                .number("least", 1000.0 / samples.worst())
                .number("most", 1000.0 / samples.best())
                .number("ns", samples.best())
                .number("rr_ns", rr.best())
                .number("times_rr", over_rr)
                .number("times_rr_median", samples.over(rr).median())
                .number("times_ten_reals", over_few)
                .count("samples", samples.len() as u64)
        };
        Ok(own.iter().zip(REALS).map(record).collect())
    }
}

fn opener(case: Case, reals: u32, pool: &Pool) -> anyhow::Result<Opener> {
    let director = Director::of(&configuration(case, reals), CONNECTIONS, pool)?;
    Ok(Opener::new(director, case.packets, Outcome::ForwardedTunnel))
}

impl Weights {
    const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::OneLarge => "one large",
            Self::MostZero => "most 0",
        }
    }

    /// The weight of the real server in this place.
    fn at(self, place: u32, reals: u32) -> u32 {
        match self {
            Self::Mixed => (APART * 6 / 5 / reals).max(1) * (1 + place % 4),
            Self::OneLarge => {
                if place == 0 {
                    1000
                } else {
                    1
                }
            }
            Self::MostZero => u32::from(place.is_multiple_of(10)),
        }
    }
}

/// mh's table: the paper's sizes, and a hundred slots for each real server if there are so many.
fn table_size(reals: u32) -> u32 {
    if reals <= 1000 { 65_537 } else { 655_373 }
}

/// A service whose real servers are all behind one gateway, so that no Ethernet addresses need to be looked up. A connection
/// opens by its first segment, whatever it is, and ends a second after its last.
fn configuration(case: Case, reals: u32) -> String {
    let Case { scheduler, weights, .. } = case;
    let mut text = network();
    text += "[timeouts]\ntcp = \"1s\"\ntcp_fin = \"1s\"\n[ipvs]\nsloppy_tcp = 1\n[[service]]\n";
    let name = scheduler.name();
    let mut line = |line: std::fmt::Arguments<'_>| text.write_fmt(line).expect("a string takes every character");
    line(format_args!("address = \"{VIP}\"\nprotocol = \"tcp\"\nscheduler = \"{name}\"\nforwarding = \"tunnel\"\n"));
    if scheduler.mh_size().is_some() {
        line(format_args!("mh_table_size = {}\n", table_size(reals)));
    }
    for place in 0..reals {
        let address = Ipv4Addr::from_bits(FIRST_REAL.to_bits() + place);
        let weight = weights.at(place, reals);
        line(format_args!("[[service.real]]\naddress = \"{address}\"\nweight = {weight}\n"));
    }
    text
}

const FIRST_REAL: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
