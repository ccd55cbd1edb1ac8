//! How many slots change when real servers leave, averaged over sets of them drawn at random.

use fastrand::Rng;

use super::paper::{self, Permutation};
use super::{SERVERS, Servers};
use crate::record::Record;

/// How many leave at once.
const LEAVING: [u32; 8] = [1, 2, 5, 10, 20, 30, 40, 50];

/// Our table, and the paper's.
pub fn measure(size: u32, sets: u32) -> anyhow::Result<Vec<Record>> {
    let mut dice = Rng::with_seed(u64::from(size));
    let servers = Servers::new((0..SERVERS).map(|_| 1));
    let before = servers.table(size)?;
    let permutations = paper::permutations(SERVERS, size, &mut dice);
    let papers_before = papers_table(&permutations, size, &[]);
    let mut records = Vec::new();
    for leaving in LEAVING {
        let (mut own, mut papers) = (Changes::default(), Changes::default());
        for _ in 0..sets {
            let gone = dice.choose_multiple(1..=SERVERS, leaving as usize);
            let after = servers.without(|place| !gone.contains(&(place as u32 + 1))).table(size)?;
            own.add(&before, &after, &gone);
            papers.add(&papers_before, &papers_table(&permutations, size, &gone), &gone);
        }
        let percent = |slots: u64| slots as f64 * 100.0 / (f64::from(sets) * f64::from(size));
        records.push(
            Record::default()
                .text("case", "maglev-resilience")
                .count("slots", size.into())
                .count("reals", SERVERS.into())
                .count("leaving", leaving.into())
                .count("sets", sets.into())
                .number("changed_percent", percent(own.all))
                .number("paper_algorithm_percent", percent(papers.all))
                .number("moved_without_need_percent", percent(own.needless))
                .number("paper_algorithm_needless_percent", percent(papers.needless)),
        );
    }
    Ok(records)
}

fn papers_table(permutations: &[Permutation], size: u32, gone: &[u32]) -> Vec<u32> {
    let all = (1..).zip(permutations.iter().copied());
    let left: Vec<_> = all.filter(|(id, _)| !gone.contains(id)).collect();
    paper::populate(&left, size)
}

/// Slots that changed.
#[derive(Clone, Copy, Debug, Default)]
struct Changes {
    all: u64,
    /// Those whose real server is still there.
    needless: u64,
}

impl Changes {
    fn add(&mut self, before: &[u32], after: &[u32], gone: &[u32]) {
        let changed = || before.iter().zip(after).filter(|(before, after)| before != after);
        self.all += changed().count() as u64;
        self.needless += changed().filter(|(before, _)| !gone.contains(before)).count() as u64;
    }
}
