//! How much more than its share a real server may get: by so much all would have to be over-provisioned.

use super::{SERVERS, Servers};
use crate::record::Record;

/// What §5.3 says that other methods need, in percent: Karger's consistent hashing and rendezvous hashing.
const fn others(size: u32) -> [f64; 2] {
    if size == 65_537 { [29.7, 49.5] } else { [10.3, 12.3] }
}

/// Equal weights, as in the paper, and weights from 1 to 4.
pub fn measure(size: u32) -> anyhow::Result<Vec<Record>> {
    let mixed = (0..SERVERS).map(|place| 1 + (place % 4) as u16).collect::<Vec<_>>();
    Ok(vec![record("equal", &[1; SERVERS as usize], size)?, record("1 to 4", &mixed, size)?])
}

fn record(name: &str, weights: &[u16], size: u32) -> anyhow::Result<Record> {
    let (least, most) = extremes(weights, &Servers::new(weights.iter().copied()).table(size)?);
    let [karger, rendezvous] = others(size);
    Ok(Record::default()
        .text("case", "maglev-evenness")
        .count("slots", size.into())
        .count("reals", SERVERS.into())
        .text("weights", name)
        .number("least_of_share", least)
        .number("most_of_share", most)
        .number("over_provisioning_percent", (most - 1.0) * 100.0)
        .number("paper_karger_percent", karger)
        .number("paper_rendezvous_percent", rendezvous))
}

/// The least and the most of what a real server got over what its weight says.
fn extremes(weights: &[u16], table: &[u32]) -> (f64, f64) {
    let mut slots = vec![0u32; weights.len()];
    table.iter().for_each(|id| slots[*id as usize - 1] += 1);
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let of_share =
        |(slots, weight): (&u32, &u16)| f64::from(*slots) / (table.len() as f64 * f64::from(*weight) / total);
    let shares = || slots.iter().zip(weights).map(of_share);
    (shares().fold(f64::INFINITY, f64::min), shares().fold(0.0, f64::max))
}
