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

/// An owner that is gone.
#[derive(Clone, Copy, Debug)]
struct Gone {
    id: u32,
    since: Now,
    /// The first snapshot without it.
    generation: u64,
    /// Whether nothing referred to it when last looked at.
    quiet: bool,
}

/// An id for an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// The id.
    pub id: u32,
    /// How it came to it.
    pub how: How,
}

/// How an owner came to its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It has had it all the time.
    Kept,
    /// It was gone, and found its id again.
    Back,
    /// It had none.
    New,
}

/// Ids from 1 up to a limit, by their owners' names.
#[derive(Debug)]
pub struct Ids<K> {
    owners: HashMap<K, u32>,
    /// Those of them that are gone.
    gone: HashMap<K, Gone>,
    /// Ids given back, the oldest first.
    free: VecDeque<u32>,
    next: u32,
    limit: u32,
}

impl<K: Hash + Eq + Copy> Ids<K> {
    /// No owners yet; ids from 1 to `limit`.
    pub fn new(limit: u32) -> Self {
        Self { owners: HashMap::new(), gone: HashMap::new(), free: VecDeque::new(), next: 1, limit }
    }

    /// Returns the owner's id: its old one if it still has it, else a new one; `None` if there is none left.
    pub fn assign(&mut self, owner: K) -> Option<Given> {
        if let Some(&id) = self.owners.get(&owner) {
            let how = if self.gone.remove(&owner).is_some() { How::Back } else { How::Kept };
            return Some(Given { id, how });
        }
        // As late as can be is an id used again: its counters go on where the former owner's ended.
        let id = if self.next <= self.limit {
            self.next += 1;
            self.next - 1
        } else {
            self.free.pop_front()?
        };
        self.owners.insert(owner, id);
        Some(Given { id, how: How::New })
    }

    /// Returns the id an owner has, gone or not.
    pub fn get(&self, owner: &K) -> Option<u32> {
        self.owners.get(owner).copied()
    }

    /// All owners that have an id, with it, the gone ones included.
    pub fn owners(&self) -> impl Iterator<Item = (&K, u32)> {
        self.owners.iter().map(|(key, id)| (key, *id))
    }

    /// The owners that are gone, and still have an id.
    pub fn gone(&self) -> impl Iterator<Item = (&K, u32)> {
        self.gone.iter().map(|(key, gone)| (key, gone.id))
    }

    /// Marks an owner as gone, from the snapshot `generation` on.
    pub fn retire(&mut self, owner: &K, now: Now, generation: u64) {
        if let Some(&id) = self.owners.get(owner) {
            self.gone.entry(*owner).or_insert(Gone { id, since: now, generation, quiet: false });
        }
    }

    /// Notes that snapshots before `generation` still have an owner that is gone.
    pub fn linger(&mut self, owner: &K, generation: u64) {
        if let Some(gone) = self.gone.get_mut(owner) {
            gone.generation = generation;
            gone.quiet = false;
        }
    }

    /// Gives back the ids of owners long gone, and returns them; `oldest` is the oldest snapshot a worker may still read,
    /// `referred` says whether anything still names an id.
    pub fn release(&mut self, now: Now, oldest: u64, referred: impl Fn(&K, u32) -> bool) -> Vec<(K, u32)> {
        let mut released = Vec::new();
        self.gone.retain(|key, gone| {
            let quiet = oldest >= gone.generation && !referred(key, gone.id);
            let long = now.millis().saturating_sub(gone.since.millis()) >= TRASH_MILLIS;
            if quiet && gone.quiet && long {
                released.push((*key, gone.id));
                return false;
            }
            gone.quiet = quiet;
            true
        });
        for (key, id) in &released {
            self.owners.remove(key);
            self.free.push_back(*id);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The id that an owner is given.
    fn assign(ids: &mut Ids<&'static str>, owner: &'static str) -> Option<u32> {
        ids.assign(owner).map(|given| given.id)
    }

    fn at(seconds: u64) -> Now {
        Now::from_millis(seconds * 1000)
    }

    #[test]
    fn an_owner_that_comes_back_finds_its_id() {
        let mut ids = Ids::new(10);
        assert_eq!(assign(&mut ids, "a"), Some(1));
        assert_eq!(assign(&mut ids, "b"), Some(2));
        ids.retire(&"a", at(0), 5);
        ids.release(at(60), 9, |_, _| false);
        ids.release(at(119), 9, |_, _| false);
        assert_eq!(ids.assign("a"), Some(Given { id: 1, how: How::Back }));
        ids.release(at(300), 9, |_, _| false);
        assert_eq!(ids.assign("a"), Some(Given { id: 1, how: How::Kept }), "it is back");
    }

    #[test]
    fn who_lingers_in_a_snapshot_keeps_its_id() {
        let mut ids = Ids::new(1);
        assign(&mut ids, "a");
        ids.retire(&"a", at(0), 5);
        ids.linger(&"a", 6);
        for second in 200..210 {
            ids.release(at(second), 5, |_, _| false);
        }
        assert_eq!(assign(&mut ids, "b"), None);
        ids.release(at(211), 6, |_, _| false);
        ids.release(at(212), 6, |_, _| false);
        assert_eq!(assign(&mut ids, "b"), Some(1));
    }

    #[test]
    fn an_id_is_reused_when_there_is_no_other_and_the_oldest_first() {
        let mut ids = Ids::new(3);
        for owner in ["a", "b"] {
            assign(&mut ids, owner);
            ids.retire(&owner, at(0), 1);
        }
        ids.release(at(200), 1, |key, _| *key == "a");
        ids.release(at(201), 1, |key, _| *key == "a");
        ids.release(at(202), 1, |_, _| false);
        ids.release(at(203), 1, |_, _| false);
        assert_eq!([assign(&mut ids, "c"), assign(&mut ids, "d"), assign(&mut ids, "e")], [Some(3), Some(2), Some(1)]);
    }

    #[test]
    fn an_id_is_reused_only_when_old_unread_and_unreferred_twice() {
        let mut ids = Ids::new(1);
        assign(&mut ids, "a");
        ids.retire(&"a", at(0), 5);
        ids.release(at(200), 4, |_, _| false);
        ids.release(at(201), 5, |_, _| true);
        ids.release(at(202), 5, |_, _| false);
        assert_eq!(assign(&mut ids, "b"), None, "quiet once");
        ids.release(at(203), 5, |_, _| false);
        assert_eq!(assign(&mut ids, "b"), Some(1));
        assert_eq!(assign(&mut ids, "c"), None);
    }
}
