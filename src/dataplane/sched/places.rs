//! Where destinations were sent last: what lblc and lblcr have in common.
//!
//! A table of destination addresses, each with the real servers that it is sent to, for each worker and each service. Control makes
//! it, then its worker alone uses it (relaxed stores), and it outlives changes of the service's real servers. It is
//! bounded: 1,024 buckets of 16 places, as many as IPVS keeps, or one bucket for a service of one address.
//!
//! | place | |
//! |---|---|
//! | expired, or never used | taken by a newcomer |
//! | unused for 6 minutes | taken by a newcomer that finds no other place in its bucket; the one unused for longest first |
//! | else | kept: a newcomer that finds no place is sent where it is sent, and not remembered |
//!
//! IPVS looks through its table once a minute, for entries unused for 6 minutes while there are too many, and every half hour for
//! those that expired ([`EXPIRATION`]). Here an entry is found expired when it is looked at: up to half an hour earlier.
//!
//! A set has 16 members at most. When it is full, one more is chosen but not added.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::slots::hash_32;
use crate::dataplane::clock::Now;
use crate::dataplane::service::RealId;

/// Buckets of a table, and the bits that number them: IPVS's.
const BUCKET_BITS: u32 = 10;
/// Places in a bucket.
const WAYS: usize = 16;
/// Real servers of one destination.
pub(super) const MEMBERS: usize = 16;
/// How long an entry outlives its last use, in ticks: the default of IPVS's sysctls `lblc_expiration` and
/// `lblcr_expiration`, a day.
pub(super) const EXPIRATION: u32 = 4 * 86_400;
/// Unused for so many ticks, an entry gives way to a newcomer: IPVS's `ENTRY_TIMEOUT`, 6 minutes.
const OLD: u32 = 4 * 360;

/// A real server of a destination. Ids are not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its id.
    pub real: RealId,
    /// Its place among the service's when it was noted.
    pub place: u32,
}

impl Member {
    fn word(self) -> u64 {
        u64::from(self.place) << 32 | u64::from(self.real.0)
    }

    fn of(word: u64) -> Self {
        Self { real: RealId(word as u32), place: (word >> 32) as u32 }
    }
}

/// One destination's place. A slot of a real server is 0 where there is none.
#[derive(Debug, Default)]
pub(super) struct Entry {
    destination: AtomicU32,
    /// The tick of the last use plus 1; 0 if the place was never used.
    used: AtomicU32,
    /// The tick of the set's last change.
    changed: AtomicU32,
    /// The real servers, latest first; the first 0 ends them.
    members: [AtomicU64; MEMBERS],
}

impl Entry {
    /// Its real servers, the latest first.
    pub fn members(&self) -> impl Iterator<Item = Member> + Clone {
        self.members.iter().map(|member| member.load(Relaxed)).take_while(|word| *word != 0).map(Member::of)
    }

    /// How many real servers it has.
    pub fn len(&self) -> usize {
        self.members().count()
    }

    /// Ticks since its set changed.
    pub fn unchanged(&self, now: Now) -> u32 {
        tick(now).saturating_sub(self.changed.load(Relaxed))
    }

    /// Makes `member` its only real server.
    pub fn set(&self, member: Member, now: Now) {
        for (nth, slot) in self.members.iter().enumerate() {
            slot.store(if nth == 0 { member.word() } else { 0 }, Relaxed);
        }
        self.changed.store(tick(now), Relaxed);
    }

    /// Notes that a real server has another place.
    pub fn settle(&self, nth: usize, member: Member) {
        self.members[nth].store(member.word(), Relaxed);
    }

    /// Adds a real server that it does not have yet, if there is room.
    pub fn add(&self, member: Member, now: Now) {
        let len = self.len();
        if len == MEMBERS || self.members().any(|known| known.real == member.real) {
            return;
        }
        for nth in (0..len).rev() {
            self.members[nth + 1].store(self.members[nth].load(Relaxed), Relaxed);
        }
        self.members[0].store(member.word(), Relaxed);
        self.changed.store(tick(now), Relaxed);
    }

    /// Removes a real server.
    pub fn remove(&self, real: RealId, now: Now) {
        let Some(first) = self.members().position(|member| member.real == real) else { return };
        for nth in first..MEMBERS {
            let next = self.members.get(nth + 1).map_or(0, |member| member.load(Relaxed));
            self.members[nth].store(next, Relaxed);
        }
        self.changed.store(tick(now), Relaxed);
    }
}

/// One worker's table for one service.
#[derive(Debug)]
pub(super) struct Places {
    entries: Box<[Entry]>,
    bits: u32,
}

impl Places {
    /// Makes an empty table for a service of this many addresses.
    pub fn new(addresses: u64) -> Self {
        let bits = if addresses <= WAYS as u64 { 0 } else { BUCKET_BITS };
        Self { entries: (0..WAYS << bits).map(|_| Entry::default()).collect(), bits }
    }

    fn bucket(&self, destination: u32) -> &[Entry] {
        let bucket = if self.bits == 0 { 0 } else { hash_32(destination, self.bits) as usize };
        self.entries.chunks_exact(WAYS).nth(bucket).unwrap_or_default()
    }

    /// Finds a destination's entry, and notes that it is used.
    #[inline]
    pub fn find(&self, destination: u32, now: Now) -> Option<&Entry> {
        let tick = tick(now);
        let entry = self.bucket(destination).iter().find(|entry| {
            let used = entry.used.load(Relaxed);
            entry.destination.load(Relaxed) == destination && used != 0 && tick.saturating_sub(used - 1) <= EXPIRATION
        })?;
        entry.used.store(tick + 1, Relaxed);
        Some(entry)
    }

    /// Makes an entry for a destination that has none.
    pub fn insert(&self, destination: u32, member: Member, now: Now) {
        let tick = tick(now);
        let idle = |entry: &Entry| match entry.used.load(Relaxed) {
            0 => u32::MAX,
            used => tick.saturating_sub(used - 1),
        };
        if let Some(entry) =
            self.bucket(destination).iter().max_by_key(|entry| idle(entry)).filter(|entry| idle(entry) > OLD)
        {
            entry.destination.store(destination, Relaxed);
            entry.used.store(tick + 1, Relaxed);
            entry.set(member, now);
        }
    }
}

/// The tick; 34 years fit.
fn tick(now: Now) -> u32 {
    u32::try_from(now.ticks()).map_or(u32::MAX - 1, |tick| tick.min(u32::MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Now {
        Now::from_millis(minutes * 60_000)
    }

    fn member(real: u32) -> Member {
        Member { real: RealId(real), place: real - 1 }
    }

    fn members(places: &Places, destination: u32, now: Now) -> Option<Vec<u32>> {
        places.find(destination, now).map(|entry| entry.members().map(|member| member.real.0).collect())
    }

    #[test]
    fn a_set_has_its_latest_first_and_none_twice() {
        let places = Places::new(1);
        assert_eq!(members(&places, 7, minutes(0)), None);
        places.insert(7, member(1), minutes(0));
        let entry = places.find(7, minutes(0)).unwrap();
        [2, 3, 2].iter().for_each(|real| entry.add(member(*real), minutes(1)));
        assert_eq!(members(&places, 7, minutes(1)), Some(vec![3, 2, 1]));
        entry.remove(RealId(2), minutes(2));
        entry.remove(RealId(9), minutes(3));
        assert_eq!((members(&places, 7, minutes(3)), entry.unchanged(minutes(3))), (Some(vec![3, 1]), 240));
        (4..40).for_each(|real| entry.add(member(real), minutes(4)));
        assert_eq!(entry.len(), MEMBERS);
        assert_eq!(members(&places, 7, minutes(4)).unwrap()[..2], [17, 16]);
        entry.set(member(5), minutes(5));
        assert_eq!(members(&places, 7, minutes(5)), Some(vec![5]));
    }

    #[test]
    fn an_entry_expires_a_day_after_its_last_use() {
        let places = Places::new(1);
        places.insert(7, member(1), minutes(0));
        assert!(places.find(7, minutes(1440)).is_some());
        assert!(places.find(7, minutes(2880)).is_some(), "that was a use");
        assert!(places.find(7, minutes(4321)).is_none());
        places.insert(7, member(2), minutes(4321));
        assert_eq!(members(&places, 7, minutes(4321)), Some(vec![2]));
    }

    #[test]
    fn a_full_bucket_gives_way_only_to_what_was_long_unused() {
        let places = Places::new(1);
        for n in 1..=16 {
            places.insert(n, member(n), minutes(0));
        }
        places.insert(17, member(17), minutes(6));
        assert!(places.find(17, minutes(6)).is_none());
        for n in (1..=16).filter(|n| *n != 9) {
            assert!(places.find(n, minutes(5)).is_some());
        }
        places.insert(17, member(17), minutes(7));
        assert!(places.find(17, minutes(7)).is_some());
        assert!(places.find(9, minutes(7)).is_none());
        assert_eq!((1..=16).filter(|n| places.find(*n, minutes(7)).is_some()).count(), 15);
    }

    #[test]
    fn a_large_service_remembers_sixteen_thousand_destinations() {
        let places = Places::new(1 << 16);
        for n in 0..60_000u32 {
            places.insert(n.wrapping_mul(0x9e37_79b1), member(1), minutes(0));
        }
        let kept = (0..60_000u32).filter(|n| places.find(n.wrapping_mul(0x9e37_79b1), minutes(1)).is_some()).count();
        assert!((16_000..=16_384).contains(&kept), "{kept}");
    }
}
