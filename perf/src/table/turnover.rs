//! A table at its rated number of connections: filled, and after its connections have been replaced several times over.

use super::own::Own;
use super::population::{Change, Population, Word};
use super::store::{NOW, Store};

/// Connections that are replaced at a time.
const BATCH: usize = 8192;

/// The sum of what was seen so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fit {
    /// Inserts that found no place.
    pub failed: u64,
    /// The most entries that the stash ever held after a batch.
    pub stash_most: u64,
}

/// Fills a store with a population, and returns how many found no place.
pub fn fill(store: &mut impl Store, population: &Population) -> u64 {
    let mut words: Vec<Word> = Vec::with_capacity(BATCH);
    let mut failed = 0;
    for first in (0..population.len()).step_by(BATCH) {
        words.clear();
        words.extend(population.words(first..population.len().min(first + BATCH)));
        failed += words.len() - store.insert(&words, NOW);
    }
    failed as u64
}

/// Replaces connections, drawn at random, until as many have been replaced as there are, `turnovers` times over.
pub fn turn(own: &mut Own, population: &mut Population, turnovers: u32, fit: &mut Fit) {
    let mut left = u64::from(turnovers) * population.len() as u64;
    while left > 0 {
        let count = BATCH.min(population.len() / 4).min(left as usize);
        let Change { ended, begun } = population.change(count);
        // One that found no place is not there to be removed.
        own.remove(&ended);
        fit.failed += (begun.len() - own.insert(&begun, NOW)) as u64;
        fit.stash_most = fit.stash_most.max(own.table.stashed());
        left -= count as u64;
    }
}

/// The share of connections that are in their first line.
pub fn first_line_share(own: &Own, population: &Population) -> f64 {
    let mut first = 0;
    for start in (0..population.len()).step_by(BATCH) {
        let words: Vec<Word> = population.words(start..population.len().min(start + BATCH)).collect();
        first += own.in_first_line(&words);
    }
    first as f64 / population.len() as f64
}
