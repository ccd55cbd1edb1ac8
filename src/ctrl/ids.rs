//! Who has which id: ids stay the same while a connection may still name them.
//!
//! An id is given back only when its owner has been gone from the configuration for two minutes (as long as IPVS
//! keeps a deleted server in its trash), every worker has moved on to a snapshot without it, and nothing refers to
//! it, twice in a row. Until then the same owner coming back finds its id, and its connections, again.

use std::collections::VecDeque;
use std::hash::Hash;

use hashbrown::HashMap;

use crate::dataplane::clock::Now;

/// IPVS's `IP_VS_DEST_TRASH_PERIOD`.
const TRASH_MILLIS: u64 = 120_000;

#[derive(Debug)]
struct Gone {
    since: Now,
    /// The first snapshot without it.
    generation: u64,
    /// Whether nothing referred to it when last looked at.
    quiet: bool,
}

#[derive(Debug)]
struct Owner {
    id: u32,
    gone: Option<Gone>,
}

/// Ids from 1 up to a limit, by their owners' names.
#[derive(Debug)]
pub struct Ids<K> {
    owners: HashMap<K, Owner>,
    /// Ids given back, the oldest first.
    free: VecDeque<u32>,
    next: u32,
    limit: u32,
}

impl<K: Hash + Eq + Clone> Ids<K> {
    /// No owners yet; ids from 1 to `limit`.
    pub fn new(limit: u32) -> Self {
        Self { owners: HashMap::new(), free: VecDeque::new(), next: 1, limit }
    }

    /// Returns the owner's id: its old one if it still has it, else a new one; `None` if there is none left.
    pub fn assign(&mut self, owner: K) -> Option<u32> {
        if let Some(known) = self.owners.get_mut(&owner) {
            known.gone = None;
            return Some(known.id);
        }
        // As late as can be is an id used again: its counters go on where the former owner's ended.
        let id = if self.next <= self.limit {
            self.next += 1;
            self.next - 1
        } else {
            self.free.pop_front()?
        };
        self.owners.insert(owner, Owner { id, gone: None });
        Some(id)
    }

    /// Returns the id an owner has, gone or not.
    pub fn get(&self, owner: &K) -> Option<u32> {
        self.owners.get(owner).map(|owner| owner.id)
    }

    /// All owners that have an id, with it, the gone ones included.
    pub fn owners(&self) -> impl Iterator<Item = (&K, u32)> {
        self.owners.iter().map(|(key, owner)| (key, owner.id))
    }

    /// Marks the owners that `stays` denies as gone, from the snapshot `generation` on.
    pub fn retire(&mut self, now: Now, generation: u64, stays: impl Fn(&K) -> bool) {
        for (key, owner) in &mut self.owners {
            if owner.gone.is_none() && !stays(key) {
                owner.gone = Some(Gone { since: now, generation, quiet: false });
            }
        }
    }

    /// Notes that snapshots before `generation` still have an owner that is gone.
    pub fn linger(&mut self, owner: &K, generation: u64) {
        if let Some(gone) = self.owners.get_mut(owner).and_then(|owner| owner.gone.as_mut()) {
            gone.generation = generation;
            gone.quiet = false;
        }
    }

    /// Gives back the ids of owners long gone; `oldest` is the oldest snapshot a worker may still read, `referred`
    /// says whether anything still names an id.
    pub fn release(&mut self, now: Now, oldest: u64, referred: impl Fn(&K, u32) -> bool) {
        let free = &mut self.free;
        self.owners.retain(|key, owner| {
            let Some(gone) = &mut owner.gone else { return true };
            let quiet = oldest >= gone.generation && !referred(key, owner.id);
            let long = now.millis().saturating_sub(gone.since.millis()) >= TRASH_MILLIS;
            if quiet && gone.quiet && long {
                free.push_back(owner.id);
                return false;
            }
            gone.quiet = quiet;
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now::from_millis(seconds * 1000)
    }

    #[test]
    fn an_owner_that_comes_back_finds_its_id() {
        let mut ids = Ids::new(10);
        assert_eq!(ids.assign("a"), Some(1));
        assert_eq!(ids.assign("b"), Some(2));
        ids.retire(at(0), 5, |key| *key == "b");
        ids.release(at(60), 9, |_, _| false);
        ids.release(at(119), 9, |_, _| false);
        assert_eq!(ids.assign("a"), Some(1));
        ids.release(at(300), 9, |_, _| false);
        assert_eq!(ids.get(&"a"), Some(1), "it is back");
    }

    #[test]
    fn who_lingers_in_a_snapshot_keeps_its_id() {
        let mut ids = Ids::new(1);
        ids.assign("a");
        ids.retire(at(0), 5, |_| false);
        ids.linger(&"a", 6);
        for second in 200..210 {
            ids.release(at(second), 5, |_, _| false);
        }
        assert_eq!(ids.assign("b"), None);
        ids.release(at(211), 6, |_, _| false);
        ids.release(at(212), 6, |_, _| false);
        assert_eq!(ids.assign("b"), Some(1));
    }

    #[test]
    fn an_id_is_reused_when_there_is_no_other_and_the_oldest_first() {
        let mut ids = Ids::new(3);
        for owner in ["a", "b"] {
            ids.assign(owner);
            ids.retire(at(0), 1, |_| false);
        }
        ids.release(at(200), 1, |key, _| *key == "a");
        ids.release(at(201), 1, |key, _| *key == "a");
        ids.release(at(202), 1, |_, _| false);
        ids.release(at(203), 1, |_, _| false);
        assert_eq!([ids.assign("c"), ids.assign("d"), ids.assign("e")], [Some(3), Some(2), Some(1)]);
    }

    #[test]
    fn an_id_is_reused_only_when_old_unread_and_unreferred_twice() {
        let mut ids = Ids::new(1);
        ids.assign("a");
        ids.retire(at(0), 5, |_| false);
        ids.release(at(200), 4, |_, _| false);
        ids.release(at(201), 5, |_, _| true);
        ids.release(at(202), 5, |_, _| false);
        assert_eq!(ids.assign("b"), None, "quiet once");
        ids.release(at(203), 5, |_, _| false);
        assert_eq!(ids.assign("b"), Some(1));
        assert_eq!(ids.assign("c"), None);
    }
}
