//! Finding, missing and inserting.

use std::time::Instant;

use anyhow::ensure;

use super::limit::MemoryLimit;
use super::population::{Change, Population, Word};
use super::store::{NOW, Store};
use crate::record::Record;
use crate::sampling::{Sample, Samples};

/// Lookups in a sample, and before it, untimed: the caches are another store's.
const LOOKUPS: usize = 65_536;
const WARM_UP: usize = LOOKUPS / 4;

/// Inserts in a sample at the most.
const INSERTS: usize = 16_384;

/// What was seen, of each store in their order.
pub struct Sampled {
    limit: Samples,
    hits: Vec<Samples>,
    misses: Vec<Samples>,
    inserts: Vec<Samples>,
}

/// Samples all stores in turn. `population` is in all of them.
pub fn sample(
    rounds: usize,
    population: &mut Population,
    limit: &MemoryLimit,
    stores: &mut [&mut dyn Store],
) -> anyhow::Result<Sampled> {
    let none = || vec![Samples::default(); stores.len()];
    let mut sampled = Sampled { limit: Samples::default(), hits: none(), misses: none(), inserts: none() };
    for _ in 0..rounds {
        let (words, warm) = (population.present(LOOKUPS), population.present(WARM_UP));
        limit.read(&warm);
        sampled.limit.push(timed(&words, LOOKUPS, |words| limit.read(words))?);
        for (store, samples) in stores.iter_mut().zip(&mut sampled.hits) {
            store.find(&warm);
            samples.push(timed(&words, LOOKUPS, |words| store.find(words))?);
        }
        let (words, warm) = (population.absent(LOOKUPS), population.absent(WARM_UP));
        for (store, samples) in stores.iter_mut().zip(&mut sampled.misses) {
            store.find(&warm);
            samples.push(timed(&words, 0, |words| store.find(words))?);
        }
        let Change { ended, begun } = population.change(INSERTS.min(population.len() / 8));
        for (store, samples) in stores.iter_mut().zip(&mut sampled.inserts) {
            let removed = store.remove(&ended);
            ensure!(removed == ended.len(), "{} removed {removed} of {}", store.name(), ended.len());
            samples.push(timed(&begun, begun.len(), |words| store.insert(words, NOW))?);
        }
    }
    Ok(sampled)
}

/// Times what `run` does with `words`; it must say yes to so many of them.
fn timed(words: &[Word], expected: usize, run: impl FnOnce(&[Word]) -> usize) -> anyhow::Result<Sample> {
    let start = Instant::now();
    let count = run(words);
    let time = start.elapsed();
    ensure!(count == expected, "{count} instead of {expected} of {}", words.len());
    Ok(Sample { packets: words.len() as u64, time })
}

impl Sampled {
    /// The results.
    pub fn records(&self, flows: u32, limit: &MemoryLimit, stores: &[&mut dyn Store]) -> Vec<Record> {
        let record = |case| Record::new(case, flows);
        let mut records = vec![record("memory-limit").samples(&self.limit).text("pages", limit.pages())];
        for (case, all) in [("table-hit", &self.hits), ("table-miss", &self.misses), ("table-insert", &self.inserts)] {
            for (store, samples) in stores.iter().zip(all) {
                let record = record(case).text("table", store.name()).samples(samples);
                let record = record.number("vs_memory_limit", self.limit.best() / samples.best());
                let record = record.number("ns_over_memory_limit", samples.best() - self.limit.best());
                records.push(record.text("pages", store.pages()));
            }
            for (store, samples) in stores.iter().zip(all).skip(1) {
                let record = record(case).text("table", stores[0].name()).text("versus", store.name());
                let names = ["times_as_fast", "least", "median", "most"];
                records.push(record.versus(names, &all[0], samples));
            }
        }
        records
    }
}
