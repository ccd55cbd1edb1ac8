//! The connection table: what finding, missing, inserting and expiring cost, beside the memory limit and two other
//! tables that hold the same connections.
//!
//! All of one number of connections are sampled in turn, over and over, so that each sees the core as the others do.

mod expiry;
mod hashmap;
mod large;
mod limit;
mod lookups;
mod own;
mod population;
mod rte_hash;
mod store;
mod sweep;
mod turnover;
mod worker;

use anyhow::ensure;
use millrace::dataplane::port::dpdk::Pool;

use crate::pages;
use crate::record::Record;
use crate::sampling::Samples;
use hashmap::Hashbrown;
use limit::MemoryLimit;
use own::Own;
use population::Population;
use rte_hash::RteHash;
use store::Store;
use turnover::{Fit, fill, first_line_share, turn};

/// What to measure, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    flows: Vec<u32>,
    /// How often the cheap things are sampled.
    rounds: usize,
    /// How often the whole table is walked through.
    walks: usize,
    /// How many connections the worker has in what is measured through the whole of it.
    worker_flows: u32,
}

/// Turnovers before anything is timed, and in all.
const TURNOVERS: u32 = 3;
const ALL_TURNOVERS: u32 = 10;

/// The sizes at which the issue wants to know how late the sweep is.
const LATENESS: [u32; 2] = [1_000_000, 100_000_000];

impl Plan {
    /// All numbers of connections, or only those given, for which there is memory.
    pub fn new(quick: bool, flows: &[u32]) -> anyhow::Result<Self> {
        let all = [1000, 100_000, 1_000_000, 10_000_000, 100_000_000];
        let all = if quick { &all[..3] } else { &all };
        let mut flows = if flows.is_empty() { all.to_vec() } else { flows.to_vec() };
        ensure!(flows.iter().all(|flows| *flows <= 100_000_000), "up to 100 million flows");
        let available = pages::available()?;
        flows.retain(|&flows| {
            if flows < 1000 {
                eprintln!("perf/run: {flows} flows are left out of the table's measurements: fewer than 1,000");
                return false;
            }
            let needed = memory_mib(flows);
            if needed > available {
                eprintln!("perf/run: {flows} flows are left out: they need {needed} MiB of {available} available");
            }
            needed <= available
        });
        Ok(Self {
            flows,
            rounds: if quick { 15 } else { 100 },
            walks: if quick { 2 } else { 4 },
            worker_flows: if quick { 1_000_000 } else { 10_000_000 },
        })
    }

    /// What it takes of the EAL's memory, in MiB.
    pub fn memory_mib(&self) -> u64 {
        self.flows.iter().map(|flows| rte_hash::memory_mib(*flows)).max().unwrap_or_default()
    }
}

/// What all stores take for so many connections, in MiB: the table and the memory limit 32 octets each, hashbrown 17 a
/// place, of which there are up to 2.3 each, and what keeps the books of who is there; with some to spare.
fn memory_mib(flows: u32) -> u64 {
    rte_hash::memory_mib(flows) + ((u64::from(flows) * 112) >> 20) + 512
}

/// Runs the plan on the calling thread. `kind` is that of the EAL's pages.
pub fn measure(plan: &Plan, core: usize, pool: &Pool, kind: &'static str) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for &flows in &plan.flows {
        records.extend(at(plan, flows, pool, kind)?);
        if LATENESS.contains(&flows) {
            let late = sweep::lateness(flows)?;
            let record = Record::new("table-lateness", flows);
            records.push(record.number("earliest_s", late.least).number("latest_s", late.most));
        }
    }
    records.extend(worker::measure(plan.worker_flows, core, pool, plan.rounds)?);
    Ok(records)
}

fn at(plan: &Plan, flows: u32, pool: &Pool, kind: &'static str) -> anyhow::Result<Vec<Record>> {
    let mut population = Population::new(flows);
    // First, since the EAL's memory is not made up for by other pages.
    let mut rte = RteHash::new(flows, pool, kind)?;
    let mut own = Own::new(flows)?;
    let limit = MemoryLimit::new(own.table.lines())?;
    let mut hashbrown = Hashbrown::new(flows);

    let mut fit = Fit { failed: fill(&mut own, &population), ..Fit::default() };
    let filled = first_line_share(&own, &population);
    turn(&mut own, &mut population, TURNOVERS, &mut fit);
    let turned = first_line_share(&own, &population);
    let refused = [fill(&mut hashbrown, &population), fill(&mut rte, &population)];
    ensure!(refused == [0, 0], "hashbrown and rte_hash refused {refused:?} of {flows} connections");

    let mut stores: [&mut dyn Store; 3] = [&mut own, &mut hashbrown, &mut rte];
    let samples = lookups::sample(plan.rounds, &mut population, &limit, &mut stores)?;
    let mut records = samples.records(flows, &limit, &stores);
    records.extend(expiry::measure(plan.walks, &mut population, &mut stores)?);
    drop((rte, hashbrown));

    records.extend([1, 2].map(|workers| {
        let shares = Samples::from(sweep::shares(&own, workers, plan.rounds));
        let record = Record::new("table-sweep", flows).count("share_of_workers", workers as u64);
        record.number("share", shares.best()).number("share_median", shares.median())
    }));
    turn(&mut own, &mut population, ALL_TURNOVERS - TURNOVERS, &mut fit);
    ensure!(fit.failed == 0, "{} inserts found no place among {flows}", fit.failed);
    let octets = f64::from(own.table.lines()) * 64.0 / f64::from(flows);
    records.push(
        Record::new("table-fit", flows)
            .count("turnovers", u64::from(ALL_TURNOVERS))
            .count("failed", fit.failed)
            .count("stash_most", fit.stash_most)
            .number("first_line_filled", filled)
            .number("first_line_turned_3", turned)
            .number("first_line_turned_10", first_line_share(&own, &population))
            .number("octets_a_connection", octets),
    );
    Ok(records)
}
