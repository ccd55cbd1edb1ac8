//! The weights of a service's real servers, to look for the next one that is large enough: in a few cache lines, be there
//! ten thousand in between that are not.
//!
//! Rows of weights: the real servers', then the largest of each 32 of the row before, and so on up to a single run. Control
//! makes it, and all workers read it.

use std::sync::Arc;

/// Weights of a row that lie in one cache line.
const RUN: usize = 32;

/// The rows, the real servers' first.
#[derive(Clone, Debug)]
pub struct Heights(Arc<[Box<[u16]>]>);

impl FromIterator<u16> for Heights {
    fn from_iter<I: IntoIterator<Item = u16>>(weights: I) -> Self {
        let mut rows: Vec<Box<[u16]>> = vec![weights.into_iter().collect()];
        while let Some(row) = rows.last().filter(|row| row.len() > RUN) {
            let largest = |run: &[u16]| run.iter().copied().max().unwrap_or(0);
            let above = row.chunks(RUN).map(largest).collect();
            rows.push(above);
        }
        Self(rows.into())
    }
}

impl Heights {
    /// The places, `first` or after, of weights that are `least` at least.
    #[inline]
    pub(super) fn places(&self, first: u32, least: u16) -> impl Iterator<Item = u32> {
        let mut from = first;
        std::iter::from_fn(move || {
            let place = self.next(from, least)?;
            from = place + 1;
            Some(place)
        })
    }

    /// Returns the first place, `from` or after, of a weight that is `least` at least.
    #[inline]
    fn next(&self, from: u32, least: u16) -> Option<u32> {
        let mut at = from as usize;
        let mut level = 0;
        // To the end of the run; then on from the run after it, seen from above.
        loop {
            let row = self.0.get(level)?;
            let rest = row.get(at..row.len().min((at / RUN + 1) * RUN)).unwrap_or_default();
            if let Some(further) = rest.iter().position(|weight| *weight >= least) {
                at += further;
                break;
            }
            at = at / RUN + 1;
            level += 1;
        }
        for row in self.0[..level].iter().rev() {
            at = at * RUN + row.get(at * RUN..)?.iter().position(|weight| *weight >= least)?;
        }
        Some(at as u32)
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    #[test]
    fn the_next_is_what_a_walk_finds() {
        let mut rng = Rng::with_seed(6);
        for count in [0usize, 1, 31, 32, 33, 1000, 1024, 1025, 40_000] {
            for most in [0, 1, 3, u16::MAX] {
                let weight = |rng: &mut Rng| if rng.u32(0..50) == 0 { rng.u16(0..=most) } else { 0 };
                let weights: Vec<u16> = (0..count).map(|_| weight(&mut rng)).collect();
                let heights: Heights = weights.iter().copied().collect();
                for _ in 0..200 {
                    let (from, least) = (rng.usize(0..=count), rng.u16(1..=most.max(1)));
                    let slow = (from..count).find(|place| weights[*place] >= least);
                    assert_eq!(heights.next(from as u32, least), slow.map(|place| place as u32), "{count}, {from}");
                }
            }
        }
    }
}
