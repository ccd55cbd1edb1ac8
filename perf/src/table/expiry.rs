//! Expiring: what the walk costs for what it leaves, and what each connection that it removes adds.

use anyhow::ensure;

use super::population::{Change, Population};
use super::store::{EARLIER, LONG_AGO, NOW, Store, Walk};
use crate::record::Record;
use crate::sampling::Samples;

/// One connection in so many has expired.
const EXPIRED: usize = 16;

/// What was seen of one store.
#[derive(Clone, Default)]
struct Seen {
    /// Nanoseconds of a walk that removes nothing, for each connection in the store.
    walks: Vec<f64>,
    /// What each part of a walk takes longer for each connection that it removes.
    removals: Vec<f64>,
}

/// Samples all stores in turn. `population` is in all of them, before and after.
pub fn measure(
    rounds: usize,
    population: &mut Population,
    stores: &mut [&mut dyn Store],
) -> anyhow::Result<Vec<Record>> {
    let connections = population.len();
    let count = connections / EXPIRED;
    // More often where it is over in no time.
    let rounds = rounds * (10_000_000 / connections).clamp(1, 25);
    let mut seen = vec![Seen::default(); stores.len()];
    for _ in 0..rounds {
        let Change { ended, begun } = population.change(count);
        for (store, seen) in stores.iter_mut().zip(&mut seen) {
            store.remove(&ended);
            store.insert(&begun, LONG_AGO);
            // Untimed, so that both that follow find the caches alike.
            store.expire(EARLIER);
            let idle = store.expire(EARLIER);
            let busy = store.expire(NOW);
            let removed: u64 = busy.iter().map(|walk| walk.removed).sum();
            ensure!(removed == count as u64, "{}: {removed} of {count} have expired", store.name());
            ensure!(idle.iter().all(|walk| walk.removed == 0), "{}: some expired early", store.name());
            store.insert(&begun, NOW);
            seen.add(connections, &idle, &busy);
        }
    }
    let seen = stores.iter().zip(seen);
    Ok(seen.map(|(store, seen)| seen.record(connections as u32, store.name())).collect())
}

impl Seen {
    fn add(&mut self, connections: usize, idle: &[Walk], busy: &[Walk]) {
        let nanos: u128 = idle.iter().map(|walk| walk.time.as_nanos()).sum();
        self.walks.push(nanos as f64 / connections as f64);
        // A short part at the end is a matter of luck.
        let longest = busy.iter().map(|walk| walk.places).max().unwrap_or_default();
        let pairs = idle.iter().zip(busy).filter(|(_, busy)| busy.places > longest / 2 && busy.removed > 0);
        let more = |(idle, busy): (&Walk, &Walk)| {
            (busy.time.as_nanos() as f64 - idle.time.as_nanos() as f64) / busy.removed as f64
        };
        self.removals.extend(pairs.map(more));
    }

    /// A difference is not smallest where it was disturbed least: its median is what counts.
    fn record(self, flows: u32, name: &'static str) -> Record {
        let (walks, removals) = (Samples::from(self.walks), Samples::from(self.removals));
        Record::new("table-expire", flows)
            .text("table", name)
            .number("ns_per_packet", removals.median())
            .number("walk_ns_a_connection", walks.best())
            .number("walk_ns_a_connection_median", walks.median())
            .count("samples", removals.len() as u64)
    }
}
