//! How long control takes for a table: the first one, and the next after a change.

use std::hint::black_box;
use std::time::Instant;

use super::{SERVERS, Servers};
use crate::record::Record;
use crate::sampling::{Sample, Samples};

/// The paper's, in milliseconds (§5.3).
const fn papers(size: u32) -> f64 {
    if size == 65_537 { 1.8 } else { 22.9 }
}

/// Every kind of change, `builds` times each, in turn.
pub fn measure(size: u32, builds: usize) -> anyhow::Result<Vec<Record>> {
    let equal = Servers::new((0..SERVERS).map(|_| 100));
    let with_first = |weight| Servers::new((0..SERVERS).map(|place| if place == 0 { weight } else { 100 }));
    let kinds = [
        ("the first", equal.clone(), None),
        ("one weight changed", with_first(50), Some(&equal)),
        ("one weight much larger", with_first(10_000), Some(&equal)),
        ("one left", equal.without(|place| place != 0), Some(&equal)),
        ("none changed", equal.clone(), Some(&equal)),
    ];
    let former = equal.choice(size, None);
    let mut samples = vec![Samples::default(); kinds.len()];
    for _ in 0..builds {
        for ((_, servers, was), samples) in kinds.iter().zip(&mut samples) {
            let start = Instant::now();
            black_box(servers.choice(size, was.map(|was| (was, &former))));
            samples.push(Sample { packets: 1, time: start.elapsed() });
        }
    }
    let record = |((name, ..), samples): (&(&str, Servers, Option<&Servers>), &Samples)| {
        let millis = |nanos: f64| nanos / 1e6;
        Record::default()
            .text("case", "maglev-build")
            .count("slots", size.into())
            .count("reals", SERVERS.into())
            .text("table", *name)
            .number("ms", millis(samples.best()))
            .number("ms_median", millis(samples.median()))
            .number("ms_most", millis(samples.worst()))
            .number("paper_ms", papers(size))
    };
    Ok(kinds.iter().zip(&samples).map(record).collect())
}
