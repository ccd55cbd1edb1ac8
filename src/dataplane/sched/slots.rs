//! A table of real servers that a hash points into: what dh, sh and mh have in common.
//!
//! Control fills the table when it builds a snapshot, and takes it over from the former one while nothing that it was
//! made of has changed. Workers only look into it, so they all choose the same, and so does every director with the same
//! configuration: the order is the canonical one (address, port), whoever was added first.

use std::sync::Arc;

use super::scheduler::HashFlags;
use super::{Candidate, Flow, Loads, dh, mh, sh};

/// What the hash is of, and where the table came from.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Dh,
    Sh(HashFlags),
    Mh(HashFlags),
}

/// A hash and its table of places; empty if there is no real server to put in.
#[derive(Clone, Debug)]
pub struct Slots {
    kind: Kind,
    table: Arc<[u32]>,
}

impl Slots {
    pub(super) fn dh(table: Arc<[u32]>) -> Self {
        Self { kind: Kind::Dh, table }
    }

    pub(super) fn sh(flags: HashFlags, table: Arc<[u32]>) -> Self {
        Self { kind: Kind::Sh(flags), table }
    }

    pub(super) fn mh(flags: HashFlags, table: Arc<[u32]>) -> Self {
        Self { kind: Kind::Mh(flags), table }
    }

    /// The place of each slot's real server.
    pub fn table(&self) -> &Arc<[u32]> {
        &self.table
    }

    /// Returns the place of the real server that a packet's hash points to, or falls back on.
    #[inline]
    pub(super) fn choose(&self, flow: Flow, candidates: &[Candidate], loads: Loads<'_>) -> Option<u32> {
        let Self { kind, table } = self;
        let size = table.len() as u32;
        match *kind {
            Kind::Dh => self.find(candidates, loads, false, |_| dh::slot(flow)),
            Kind::Sh(flags) => self.find(candidates, loads, flags.fallback, |offset| sh::slot(flow, flags, offset)),
            Kind::Mh(flags) => {
                self.find(candidates, loads, flags.fallback, |offset| mh::slot(flow, flags, offset, size))
            }
        }
    }

    /// The first choice is at offset 0. If it takes no connection, a fallback goes once round the offsets, beginning at
    /// the first choice's slot, as IPVS does.
    #[inline]
    fn find(
        &self,
        candidates: &[Candidate],
        loads: Loads<'_>,
        fallback: bool,
        slot: impl Fn(u32) -> u32,
    ) -> Option<u32> {
        let takes = |place: &u32| candidates.get(*place as usize).is_some_and(|real| real.weight_now(loads) > 0);
        let usable = |slot: u32| self.table.get(slot as usize).copied().filter(takes);
        let first = slot(0);
        if let Some(place) = usable(first) {
            return Some(place);
        }
        // Most often this ends the search sooner than all slots would.
        if !fallback || !candidates.iter().any(|real| real.weight_now(loads) > 0) {
            return None;
        }
        let size = self.table.len() as u32;
        (0..size).find_map(|step| usable(slot((step + first) % size)))
    }
}

/// The kernel's `hash_32`: the upper `bits` of a product.
#[inline]
pub(super) const fn hash_32(number: u32, bits: u32) -> u32 {
    number.wrapping_mul(0x61c8_8647) >> (32 - bits)
}
