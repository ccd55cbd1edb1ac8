//! Slow start: a real server that returns gets its share of new connections little by little.
//!
//! Its weight grows in a straight line from next to nothing to what it is configured to be, in as many seconds as
//! `slow_start` says. The control thread publishes what has changed once a second ([`Applier::tend`](super::Applier::tend)).
//! A real server returns when its weight rises from 0, and when a reload adds it to a service that runs. At the start, and in a
//! new service, all begin alike, and none slowly.
//!
//! A weight of 1 has no parts. So while one of its real servers starts slowly, all weights of a service are multiplied by so
//! much that the smallest share is one in a hundred of what it is to become; schedulers that hold one weight against another
//! see no other difference. What each makes of it:
//!
//! | scheduler | with slow start |
//! |---|---|
//! | wrr, wlc, sed, twos | new connections by the weight that it has so far |
//! | nq | the same, but while it has no active connection it comes first, as an idle server does |
//! | fo | takes over when its weight so far is the largest |
//! | ovf | as many connections as its weight so far, in whole numbers, before the next takes over |
//! | lblc, lblcr | new destinations by the weight that it has so far, in whole numbers: weights are loads here too |
//! | rr, lc | nothing: they ask only whether a weight is 0 |
//! | dh, sh, mh | nothing: with each step clients would move, and directors would disagree about where |

use hashbrown::HashMap;

use crate::dataplane::address::TransportAddress;
use crate::dataplane::clock::Now;
use crate::dataplane::sched::{Candidate, Scheduler};
use crate::dataplane::service::EndpointId;

/// The smallest share of its weight that a real server can have, where weights can be multiplied, is one in so many.
const PARTS: u32 = 100;

/// Who starts slowly.
#[derive(Clone, Debug, Default)]
pub(super) struct SlowStarts(HashMap<(EndpointId, TransportAddress), Ramp>);

/// A weight on its way up.
#[derive(Clone, Copy, Debug)]
struct Ramp {
    since: Now,
    seconds: u32,
}

impl Ramp {
    /// How many milliseconds of how many have passed.
    fn passed(self, now: Now) -> (u64, u64) {
        let all = u64::from(self.seconds) * 1000;
        (now.millis().saturating_sub(self.since.millis()).min(all), all)
    }
}

/// How weights matter to a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Not, or not so that they could grow.
    None,
    /// Each held against the others.
    Relative,
    /// As numbers of connections.
    Absolute,
}

const fn use_of(scheduler: Scheduler) -> Use {
    match scheduler {
        Scheduler::Rr | Scheduler::Lc | Scheduler::Dh | Scheduler::Sh(_) | Scheduler::Mh { .. } => Use::None,
        Scheduler::Wrr | Scheduler::Wlc | Scheduler::Sed | Scheduler::Nq | Scheduler::Fo | Scheduler::Twos => {
            Use::Relative
        }
        Scheduler::Ovf | Scheduler::Lblc | Scheduler::Lblcr => Use::Absolute,
    }
}

impl SlowStarts {
    /// A real server of a service returned: from now on its weight grows, for so many seconds.
    pub fn begin(&mut self, service: EndpointId, real: TransportAddress, seconds: u32, now: Now) {
        if seconds > 0 {
            self.0.insert((service, real), Ramp { since: now, seconds });
        }
    }

    /// Another time applies to a real server, if it is on its way; with none, it is there.
    pub fn change(&mut self, service: EndpointId, real: TransportAddress, seconds: u32) {
        match self.0.get_mut(&(service, real)) {
            Some(ramp) if seconds > 0 => ramp.seconds = seconds,
            _ => self.end(service, real),
        }
    }

    /// A real server takes no new connections any more.
    pub fn end(&mut self, service: EndpointId, real: TransportAddress) {
        self.0.remove(&(service, real));
    }

    /// Forgets who has arrived, and who is not one of a service's real servers any more.
    pub fn tidy(&mut self, now: Now, known: impl Fn(EndpointId, TransportAddress) -> bool) {
        self.0.retain(|(service, real), ramp| {
            let (passed, all) = ramp.passed(now);
            passed < all && known(*service, *real)
        });
    }

    /// The services with real servers on their way, each once.
    pub fn services(&self) -> Vec<EndpointId> {
        let mut services: Vec<EndpointId> = self.0.keys().map(|(service, _)| *service).collect();
        services.sort_unstable();
        services.dedup();
        services
    }

    /// Gives a service's real servers the weights that they have now, out of the configured ones, and returns what all were
    /// multiplied by.
    pub fn weigh(
        &self,
        service: EndpointId,
        scheduler: Scheduler,
        reals: &mut [Candidate],
        addresses: &[TransportAddress],
        now: Now,
    ) -> u16 {
        let ramp = |address: &TransportAddress| {
            let passed = self.0.get(&(service, *address))?.passed(now);
            (passed.0 < passed.1).then_some(passed)
        };
        let ramps: Vec<_> = addresses.iter().map(ramp).collect();
        let growing = reals.iter().zip(&ramps).filter(|(real, ramp)| real.weight > 0 && ramp.is_some());
        let (Some(smallest), usage) = (growing.map(|(real, _)| real.weight).min(), use_of(scheduler)) else { return 1 };
        let largest = reals.iter().map(|real| real.weight).max().unwrap_or(smallest);
        let factor = match usage {
            Use::None => return 1,
            Use::Relative => PARTS.div_ceil(smallest.into()).min(u32::from(u16::MAX / largest)) as u16,
            Use::Absolute => 1,
        };
        for (real, ramp) in reals.iter_mut().zip(ramps).filter(|(real, _)| real.weight > 0) {
            let full = real.weight * factor;
            real.weight = match ramp {
                // At most `full`, which fits.
                Some((passed, all)) => (u64::from(full) * passed / all).max(1) as u16,
                None => full,
            };
        }
        factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::address::Address;
    use crate::dataplane::service::{RealId, Thresholds};
    use std::num::NonZeroU16;

    const SERVICE: EndpointId = EndpointId(NonZeroU16::MIN);

    fn address(number: u32) -> TransportAddress {
        TransportAddress::new(Address::v4(number), 80)
    }

    /// The weights of a service whose last real server started slowly, for ten seconds, and what they are multiplied by.
    fn weights(scheduler: Scheduler, configured: &[u16], millis: u64) -> (Vec<u16>, u16) {
        let addresses: Vec<_> = (1..=configured.len() as u32).map(address).collect();
        let candidate = |(id, weight): (usize, &u16)| Candidate {
            id: RealId(id as u32),
            weight: *weight,
            last_weight: *weight,
            thresholds: Thresholds::default(),
        };
        let mut reals: Vec<_> = configured.iter().enumerate().map(candidate).collect();
        let mut starts = SlowStarts::default();
        starts.begin(SERVICE, addresses[configured.len() - 1], 10, Now::from_millis(5000));
        let factor = starts.weigh(SERVICE, scheduler, &mut reals, &addresses, Now::from_millis(5000 + millis));
        (reals.iter().map(|real| real.weight).collect(), factor)
    }

    #[test]
    fn weights_grow_in_a_straight_line() {
        for (millis, expected) in
            [(0, [200, 0, 1]), (1000, [200, 0, 10]), (5000, [200, 0, 50]), (9999, [200, 0, 99]), (10_000, [2, 0, 1])]
        {
            let factor = if millis < 10_000 { 100 } else { 1 };
            assert_eq!(weights(Scheduler::Wlc, &[2, 0, 1], millis), (expected.to_vec(), factor), "{millis}");
        }
    }

    #[test]
    fn large_weights_are_multiplied_as_far_as_they_go() {
        assert_eq!(weights(Scheduler::Wrr, &[1000, 500], 5000), (vec![1000, 250], 1));
        assert_eq!(weights(Scheduler::Wrr, &[30_000, 1], 5000), (vec![60_000, 1], 2));
        assert_eq!(weights(Scheduler::Wrr, &[65_535, 1], 0), (vec![65_535, 1], 1));
        assert_eq!(weights(Scheduler::Wrr, &[7, 33], 5000), (vec![28, 66], 4));
    }

    #[test]
    fn weights_that_are_numbers_of_connections_are_not_multiplied() {
        for scheduler in [Scheduler::Ovf, Scheduler::Lblc, Scheduler::Lblcr] {
            assert_eq!(weights(scheduler, &[100, 40], 2500), (vec![100, 10], 1));
            assert_eq!(weights(scheduler, &[100, 1], 2500), (vec![100, 1], 1));
        }
    }

    #[test]
    fn who_ignores_weights_or_must_not_move_clients_sees_none() {
        for scheduler in Scheduler::ALL.iter().filter(|scheduler| use_of(**scheduler) == Use::None) {
            assert_eq!(weights(*scheduler, &[3, 3], 0), (vec![3, 3], 1));
        }
    }

    #[test]
    fn a_drained_server_is_not_on_its_way() {
        assert_eq!(weights(Scheduler::Wlc, &[3, 0], 1000), (vec![3, 0], 1));
    }

    #[test]
    fn another_time_applies_at_once() {
        let mut starts = SlowStarts::default();
        let (one, two) = (address(1), address(2));
        starts.begin(SERVICE, one, 10, Now::from_millis(0));
        starts.begin(SERVICE, two, 0, Now::from_millis(0));
        assert_eq!(starts.services(), [SERVICE]);
        starts.change(SERVICE, one, 20);
        starts.change(SERVICE, two, 20);
        starts.tidy(Now::from_millis(19_999), |_, _| true);
        assert_eq!(starts.0.len(), 1, "two never was on its way");
        starts.change(SERVICE, one, 0);
        assert!(starts.services().is_empty());
        starts.begin(SERVICE, one, 10, Now::from_millis(0));
        starts.tidy(Now::from_millis(1), |_, real| real == two);
        assert!(starts.services().is_empty(), "removed");
    }
}
