//! Insert-if-absent: at most one live entry for a key, whoever inserts it at the same time.
//!
//! ```text
//!          claim              no rival left
//!  free ----------> pending ----------------> live
//!   ^                  |  withdrawn, or         |  swept
//!   |                  |  killed by a rival     |
//!   +----- dead <------+------------------------+
//! ```
//! Of two workers that insert a key into different slots, each stores its key, fences, and then looks at all the
//! key's places; so at least one of the two sees the other. The one whose slot comes later in the order of places
//! gives way: it withdraws when it sees the other, or finds its pending slot dead when it wants to go live.

use super::entry::{Phase, Value};
use super::hash::Hash;
use super::identity::{Identity, Line};
use super::table::{Slot, Table};
use crate::dataplane::sync::{Fault, Ordering, commits, fence};

/// What became of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// The entry is live: here it is, and the caller accounts for it.
    Inserted(Slot, Value),
    /// The connection has one already.
    Exists(Slot, Value),
    /// Another worker is inserting the same key this moment, with this content: forward the packet by it, and store
    /// nothing.
    Busy(Value),
    /// None of the key's places is free.
    Full,
}

/// A slot that is claimed for a key and about to go live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub slot: Slot,
    /// The slot's word, pending.
    pub word: Value,
}

/// Why there is no claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Exists(Slot, Value),
    Busy(Value),
    Full,
}

impl From<Refused> for Insert {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Exists(slot, value) => Self::Exists(slot, value),
            Refused::Busy(value) => Self::Busy(value),
            Refused::Full => Self::Full,
        }
    }
}

impl<K: Identity> Table<K> {
    /// Inserts an entry unless its key has one. To be called after a lookup missed.
    pub fn insert(&self, key: K, hash: Hash, content: Value) -> Insert {
        loop {
            let claim = match self.claim(key, hash, content) {
                Ok(claim) => claim,
                Err(refused) => return refused.into(),
            };
            match self.publish(claim) {
                Some(live) => return Insert::Inserted(claim.slot, live),
                None => self.release(claim.slot, claim.word),
            }
            if let Some((slot, value)) = self.lookup(key, hash) {
                return Insert::Exists(slot, value);
            }
        }
    }

    /// Claims a slot for `key` that no rival disputes so far: pending, with the key in it.
    pub(super) fn claim(&self, key: K, hash: Hash, content: Value) -> Result<Claim, Refused> {
        let lines = self.candidates(hash);
        let Some(claim) = self.claim_free(&lines, content) else {
            return Err(self.holder(key, &lines));
        };
        self.store_key(claim.slot, key);
        if !commits(Fault::NoFence) {
            fence(Ordering::SeqCst);
        }
        let rival = self.rival(key, &lines, claim.slot);
        if commits(Fault::StashCountedLate) && self.is_stash(claim.slot) {
            self.stash_counter().fetch_add(1, Ordering::Relaxed);
        }
        match rival {
            None => Ok(claim),
            Some(refused) => {
                self.withdraw(claim);
                Err(refused)
            }
        }
    }

    /// Makes a claim live. `None` if a rival has killed it: the slot is to be released.
    pub(super) fn publish(&self, claim: Claim) -> Option<Value> {
        if commits(Fault::NoPending) {
            return Some(claim.word);
        }
        let live = claim.word.in_phase(Phase::Live);
        self.exchange(claim.slot, claim.word, live).is_ok().then_some(live)
    }

    /// Gives a claim up.
    pub(super) fn withdraw(&self, claim: Claim) {
        // A rival may have been quicker to make it dead; the slot is released by its owner either way.
        let _ = self.exchange(claim.slot, claim.word, claim.word.in_phase(Phase::Dead));
        self.release(claim.slot, claim.word);
    }

    /// Claims the first free slot of `lines`, else of the stash.
    fn claim_free(&self, lines: &[u32], content: Value) -> Option<Claim> {
        let main = lines.iter().copied().flat_map(Self::slots_of).find_map(|slot| self.claim_slot(slot, content));
        main.or_else(|| self.claim_stash(content))
    }

    fn claim_slot(&self, slot: Slot, content: Value) -> Option<Claim> {
        let free = self.value(slot);
        if free.phase() != Phase::Free {
            return None;
        }
        let phase = if commits(Fault::NoPending) { Phase::Live } else { Phase::Pending };
        let word = content.claiming(free, phase);
        self.exchange(slot, free, word).is_ok().then_some(Claim { slot, word })
    }

    /// The counter rises before the claim, so that whoever looks after our fence looks into the stash.
    #[cold]
    fn claim_stash(&self, content: Value) -> Option<Claim> {
        let stash = self.stash();
        if self.stashed() >= (K::Line::SLOTS * stash.len()) as u64 {
            return None;
        }
        if !commits(Fault::StashCountedLate) {
            self.stash_counter().fetch_add(1, Ordering::Relaxed);
        }
        let claim = stash.flat_map(Self::slots_of).find_map(|slot| self.claim_slot(slot, content));
        if claim.is_none() && !commits(Fault::StashCountedLate) {
            self.stash_counter().fetch_sub(1, Ordering::Release);
        }
        claim
    }

    /// Says who has or is about to have the entry of `key`, for which there is no free place.
    #[cold]
    fn holder(&self, key: K, lines: &[u32]) -> Refused {
        let mut places = self.all_lines(lines).flat_map(Self::slots_of);
        let holder = places.find_map(|slot| self.held_by(slot, key).map(|value| (slot, value)));
        match holder {
            None => Refused::Full,
            Some((slot, value)) if value.is_live() => Refused::Exists(slot, value),
            Some((_, value)) => Refused::Busy(value),
        }
    }

    /// The lines of a key with these candidate lines, in the order of its places.
    fn all_lines(&self, lines: &[u32]) -> impl Iterator<Item = u32> {
        let stash = if self.stashed() == 0 { 0..0 } else { self.stash() };
        lines.iter().copied().chain(stash)
    }

    /// The places of `lines` that hold `key` just now.
    fn places_of(&self, key: K, lines: impl Iterator<Item = u32>) -> impl Iterator<Item = Slot> {
        lines.flat_map(move |line| {
            let mut matches = self.line(line).matches(key);
            std::iter::from_fn(move || {
                let slot = (matches != 0).then(|| Slot::first_of(line, matches));
                matches &= matches.wrapping_sub(1);
                slot
            })
        })
    }

    /// Looks for `key` in all its places but `own`. A pending rival in a later place is killed; a live one, or one in
    /// an earlier place, is to be given way to.
    fn rival(&self, key: K, lines: &[u32], own: Slot) -> Option<Refused> {
        let mut earlier = true;
        for slot in self.places_of(key, self.all_lines(lines)) {
            if slot == own {
                earlier = false;
                continue;
            }
            while let Some(value) = self.held_by(slot, key) {
                if value.is_live() {
                    return Some(Refused::Exists(slot, value));
                }
                if earlier || commits(Fault::EveryoneYields) {
                    return Some(Refused::Busy(value));
                }
                if self.exchange(slot, value, value.in_phase(Phase::Dead)).is_ok() {
                    break;
                }
            }
        }
        None
    }
}
