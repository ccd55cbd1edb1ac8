//! Eviction: who gives way when a newcomer's places are all taken.
//!
//! A flood fills the table with connections that never come to life. What it must not do is push out those that did,
//! nor keep everybody else outside. So a newcomer without a free place may take one from its own candidate lines, 16
//! slots (12 where keys are wide), by this order:
//!
//! 1. *embryonic*: TCP whose client has not yet acknowledged anything (NONE, SYN_SENT, SYN_RECV, SYNACK), SCTP before
//!    the client returned its cookie; in their own table, persistence templates that brought about no open connection;
//! 2. *one-way*: UDP that was never answered.
//!
//! Of one kind, the one that was quiet for longest. Never
//! - one that is open or closing, whoever asks;
//! - one that had a packet less than [`SHORTEST_LIFE`] ticks ago: a real handshake gets its round trip, and readers can
//!   tell a slot's owners apart;
//! - a link by itself: it goes with its connection;
//! - anybody while the newcomer has a free place, or one in the stash; nor where the newcomer would still lack a place
//!   for its link.
//!
//! Where none of these may go the table is full for the newcomer ([`Insert::Full`](super::Insert::Full)).
//!
//! By tunnel and direct routing the director sees no answers, so there a datagram's connection is a conversation from
//! the start and is not evicted: what helps against a flood of those is a limit on new connections.
//!
//! An eviction is the sweep's removal of another entry: one compare-and-swap of the whole word from live to dead, which
//! a packet of that connection makes fail. Whoever wins it accounts for it, unlinks it and frees the slot.

use super::entry::{SHORTEST_LIFE, Value};
use super::hash::Hash;
use super::identity::Identity;
use super::link::Outlet;
use super::state::State;
use super::table::{Slot, Table};
use super::tick::Tick;
use crate::dataplane::service::RealId;

/// How often a victim may come to life, or a free slot be lost to another worker, before the newcomer gives up.
const TRIES: usize = 4;

/// A place for a newcomer.
#[derive(Clone, Copy)]
enum Room {
    /// There is one.
    Free,
    /// There would be one if this went.
    Taken(Slot, Value),
}

/// The turn in which an entry of this state is evicted; `None` for never.
const fn turn(state: State) -> Option<u8> {
    match state {
        State::TCP_NONE | State::TCP_SYN_SENT | State::TCP_SYN_RECV | State::TCP_SYNACK => Some(0),
        State::SCTP_NONE | State::SCTP_INIT1 | State::SCTP_INIT | State::SCTP_COOKIE_SENT => Some(0),
        State::TEMPLATE_NONE => Some(0),
        State::UDP_ONE_WAY => Some(1),
        _ => None,
    }
}

impl<K: Identity> Table<K> {
    /// Makes room for the keys of `hashes`, a connection's and its link's, whose insert found none; tells `evicted` of
    /// each connection that has to go, for the caller to account for. Tells whether there was room for all a moment ago.
    #[cold]
    pub fn make_room(
        &self,
        hashes: &[Hash],
        now: Tick,
        sockets: impl Fn(RealId) -> Option<Outlet>,
        mut evicted: impl FnMut(K, Value),
    ) -> bool {
        let possible = hashes.iter().all(|hash| self.room(*hash, now).is_some());
        possible && hashes.iter().all(|hash| self.clear(*hash, now, &sockets, &mut evicted))
    }

    fn clear(
        &self,
        hash: Hash,
        now: Tick,
        sockets: &impl Fn(RealId) -> Option<Outlet>,
        evicted: &mut impl FnMut(K, Value),
    ) -> bool {
        (0..TRIES).map_while(|_| self.room(hash, now)).any(|room| match room {
            Room::Free => true,
            Room::Taken(slot, seen) => self.retire(slot, seen, now, sockets, &mut *evicted),
        })
    }

    /// The best place among a key's candidate slots.
    fn room(&self, hash: Hash, now: Tick) -> Option<Room> {
        let mut best: Option<((u8, u32), Slot, Value)> = None;
        for slot in self.candidates(hash).into_iter().flat_map(Self::slots_of) {
            let value = self.value(slot);
            if value.is_free() {
                return Some(Room::Free);
            }
            let age = now.since(value.seen());
            if let Some(turn) = turn(value.state())
                && value.is_live()
                && age >= SHORTEST_LIFE
                && best.is_none_or(|(least, ..)| (turn, u32::MAX - age) < least)
            {
                best = Some(((turn, u32::MAX - age), slot, value));
            }
        }
        best.map(|(_, slot, value)| Room::Taken(slot, value))
    }
}
