//! mh's table beside what the Maglev paper says of its own: how even it is, how much of it changes when real servers leave,
//! and how long it takes to build.
//!
//! The paper is Eisenbud et al., *Maglev: A Fast and Reliable Software Network Load Balancer*, NSDI 2016. Its §5.3 has 1,000
//! real servers and tables of 65,537 and 655,373 slots. The text gives numbers for evenness and build time; what changes is in
//! its figure 12 only, so the paper's algorithm (§3.4) is run beside ours, with dice for hash functions.

mod build;
mod evenness;
mod paper;
mod resilience;

use anyhow::bail;
use millrace::dataplane::address::{Address, TransportAddress};
use millrace::dataplane::sched::{Candidate, Former, HashFlags, Plan as Choice, Roster, Scheduler};
use millrace::dataplane::service::{RealId, Thresholds};

use crate::record::Record;

/// Real servers.
const SERVERS: u32 = 1000;

/// Slots.
const SIZES: [u32; 2] = [65_537, 655_373];

/// How often things are repeated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Sets of real servers that leave.
    departures: u32,
    /// Tables of each kind whose building is timed.
    builds: usize,
}

impl Plan {
    /// As often as in the paper, or less.
    pub fn new(quick: bool) -> Self {
        if quick { Self { departures: 10, builds: 20 } } else { Self { departures: 200, builds: 200 } }
    }
}

/// Runs the plan.
pub fn measure(plan: Plan) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for size in SIZES {
        records.extend(evenness::measure(size)?);
    }
    for size in SIZES {
        records.extend(resilience::measure(size, plan.departures)?);
    }
    for size in SIZES {
        records.extend(build::measure(size, plan.builds)?);
    }
    Ok(records)
}

/// A service's real servers, as control has them when it builds a table.
#[derive(Clone, Debug)]
struct Servers {
    candidates: Vec<Candidate>,
    addresses: Vec<TransportAddress>,
}

impl Servers {
    /// Real servers with these weights, at addresses one after the other.
    fn new(weights: impl IntoIterator<Item = u16>) -> Self {
        let candidate = |(place, weight)| Candidate {
            id: RealId(place),
            weight,
            last_weight: weight,
            thresholds: Thresholds::default(),
        };
        let candidates: Vec<_> = (1..).zip(weights).map(candidate).collect();
        let address = |real: &Candidate| TransportAddress::new(Address::v4(0x0a01_0000 + real.id.0), 80);
        Self { addresses: candidates.iter().map(address).collect(), candidates }
    }

    /// Those at places that `stays` accepts.
    fn without(&self, stays: impl Fn(usize) -> bool) -> Self {
        let left = || (0..self.candidates.len()).filter(|place| stays(*place));
        Self {
            candidates: left().map(|place| self.candidates[place]).collect(),
            addresses: left().map(|place| self.addresses[place]).collect(),
        }
    }

    /// Prepares the scheduler, as control does when it builds a snapshot.
    fn choice(&self, size: u32, former: Option<(&Self, &Choice)>) -> Choice {
        let scheduler = Scheduler::Mh { flags: HashFlags::default(), size };
        let roster =
            Roster { scheduler, reals: &self.candidates, addresses: &self.addresses, destinations: 1, workers: 1 };
        Choice::new(&roster, former.map(|(servers, plan)| Former { scheduler, reals: &servers.candidates, plan }))
    }

    /// The id of each slot's real server.
    fn table(&self, size: u32) -> anyhow::Result<Vec<u32>> {
        let Choice::Slots(slots) = self.choice(size, None) else { bail!("mh has a table") };
        Ok(slots.table().iter().map(|place| self.candidates[*place as usize].id.0).collect())
    }
}
