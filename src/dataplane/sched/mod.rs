//! Which real server takes a new connection.
//!
//! A scheduler is data in the snapshot ([`Scheduler`]) and, where it needs memory, a [`Cursor`] that each worker
//! keeps for each service, so that choosing never writes what another worker reads. With N workers each runs the
//! sequence on its own share of the new connections, from a start of its own: shares are exact per worker, and so
//! differ from the ideal by at most N - 1 turns in all.
//!
//! Eligibility is decided here and nowhere else: a server of weight 0, or over its threshold ([`Loads`]), takes no new
//! connection.

mod load;
mod rr;
mod wrr;

use std::fmt;

use super::service::{RealId, RealServer, Service};

pub use load::Loads;

/// A service's scheduler, by its ipvsadm name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
        })
    }
}

/// What is known of a service's weights before the first packet comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// The largest.
    pub max: u16,
    /// Their greatest common divisor; 0 if all are 0.
    pub gcd: u16,
}

impl FromIterator<u16> for Weights {
    fn from_iter<I: IntoIterator<Item = u16>>(weights: I) -> Self {
        weights.into_iter().fold(Self::default(), |sum, w| Self { max: sum.max.max(w), gcd: gcd(sum.gcd, w) })
    }
}

const fn gcd(mut a: u16, mut b: u16) -> u16 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// What one worker remembers about one service between choices.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// The [`Service::version`] that `next` refers to; 0 before the first choice.
    version: u32,
    /// The place in [`Service::reals`] to look at first.
    next: u32,
    /// wrr: the weight that a server needs in this round.
    round: u16,
}

/// Which worker is asking, out of how many.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The worker's number, from 0.
    pub worker: u32,
    /// How many there are.
    pub workers: u32,
}

/// The real servers to choose from.
#[derive(Clone, Copy)]
pub struct Pool<'a> {
    /// All there are, by id.
    pub reals: &'a [Option<RealServer>],
    /// Their load.
    pub loads: Loads<'a>,
}

/// Chooses the real server of a new connection; `None` if none is eligible.
pub fn schedule(service: &Service, pool: Pool<'_>, cursor: &mut Cursor, share: Share) -> Option<RealId> {
    let count = service.reals.len() as u32;
    if count == 0 {
        return None;
    }
    if cursor.version == 0 {
        // Workers that all began at the first server would keep meeting there.
        cursor.next = (u64::from(share.worker) * u64::from(count) / u64::from(share.workers.max(1))) as u32;
    }
    match service.scheduler {
        Scheduler::Rr => rr::choose(service, pool, cursor),
        Scheduler::Wrr => wrr::choose(service, pool, cursor),
    }
}

/// The weight of a service's server by its place; 0 for one that may take no new connection.
#[inline]
fn weight(service: &Service, pool: Pool<'_>, place: u32) -> u16 {
    let real = service.reals.get(place as usize).and_then(|id| pool.reals.get(id.index()));
    real.and_then(Option::as_ref).filter(|real| pool.loads.accepts(real)).map_or(0, |real| real.weight)
}

#[cfg(test)]
mod tests;
