//! millrace's table, used as the packet path uses it.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU16;

use anyhow::Context;
use millrace::dataplane::conn::{
    Hash, Insert, Key, Level, Outlet, Slice, Slot, Spot, State, Table, Tick, Timeouts, Value,
};
use millrace::dataplane::port::BURST;
use millrace::dataplane::service::{EndpointId, RealId};

use super::population::Word;
use super::store::{NOW, Store, Walk};
use crate::pages;

/// The slices of a sweep that are timed.
const SLICE: u32 = 65_536;

/// The table.
pub struct Own {
    pub table: Table,
    timeouts: Timeouts,
}

/// As [`millrace::dataplane::classify::Way`].
#[derive(Clone, Copy)]
struct Way {
    key: Key,
    hash: Hash,
    spot: Spot,
}

/// The key of a word.
pub fn key(word: Word) -> Key {
    let endpoint = NonZeroU16::new(word as u16).unwrap_or(NonZeroU16::MIN);
    Key::new((word >> 32) as u32, (word >> 16) as u16, EndpointId(endpoint))
}

/// An empty table that is rated for so many connections.
pub fn table(connections: u32) -> anyhow::Result<Table> {
    let secret = std::array::from_fn(|n| RandomState::new().hash_one(n));
    Table::new(connections as usize, secret).context("the connection table")
}

impl Own {
    pub fn new(connections: u32) -> anyhow::Result<Self> {
        Ok(Self { table: table(connections)?, timeouts: Timeouts::default() })
    }

    /// The first two loops of the pipeline.
    #[inline(always)]
    fn stage(&self, words: &[Word], ways: &mut [Way; BURST]) {
        for (way, word) in ways.iter_mut().zip(words) {
            let key = key(*word);
            let hash = self.table.hash(key);
            self.table.prefetch(Level::First, hash);
            *way = Way { key, hash, spot: Spot::ELSEWHERE };
        }
        let (mut elsewhere, mut count) = ([0u8; BURST], 0);
        for (n, way) in ways.iter_mut().enumerate().take(words.len()) {
            way.spot = self.table.spot(way.key, way.hash);
            elsewhere[count] = n as u8;
            count += usize::from(way.spot == Spot::ELSEWHERE);
        }
        for &n in &elsewhere[..count] {
            let way = &mut ways[usize::from(n)];
            way.spot = self.table.spot_second(way.key, way.hash);
        }
    }

    /// Passes through `words` in bursts, as the pipeline does, and counts for how many `handle` says yes.
    #[inline(always)]
    fn pass(&self, words: &[Word], handle: impl Fn(&Table, &Way, Option<(Slot, Value)>) -> bool) -> usize {
        let mut ways = [Way { key: key(words[0]), hash: self.table.hash(key(words[0])), spot: Spot::ELSEWHERE }; BURST];
        let mut count = 0;
        for burst in words.chunks(BURST) {
            self.stage(burst, &mut ways);
            for way in &ways[..burst.len()] {
                let found = self.table.lookup_at(way.spot, way.key, way.hash);
                count += usize::from(handle(&self.table, way, found));
            }
        }
        count
    }

    /// How many of these connections are in their first line.
    pub fn in_first_line(&self, words: &[Word]) -> usize {
        let first = |word: &&Word| self.table.spot(key(**word), self.table.hash(key(**word))) != Spot::ELSEWHERE;
        words.iter().filter(first).count()
    }
}

/// Nobody shares real servers here.
pub fn no_sockets(_: RealId) -> Option<Outlet> {
    None
}

impl Store for Own {
    fn name(&self) -> &'static str {
        "millrace"
    }

    fn pages(&self) -> &'static str {
        pages::name(self.table.backing())
    }

    fn find(&mut self, words: &[Word]) -> usize {
        self.pass(words, |_, _, found| found.is_some_and(|(_, value)| value.real() == RealId(1)))
    }

    fn insert(&mut self, words: &[Word], seen: Tick) -> usize {
        let content = Value::new(State::TCP_ESTABLISHED, seen, RealId(1));
        self.pass(words, |table, way, found| {
            found.is_none() && matches!(table.insert(way.key, way.hash, content), Insert::Inserted(..))
        })
    }

    /// Nobody else looks at the table, so that an entry's age does not matter ([`Table::flush`]).
    fn remove(&mut self, words: &[Word]) -> usize {
        self.pass(words, |table, _, found| found.is_some_and(|(slot, value)| table.flush(slot, value, NOW, no_sockets)))
    }

    fn expire(&mut self, now: Tick) -> Vec<Walk> {
        let lines = self.table.lines();
        let walk = |first: u32| {
            let slice = Slice { lines: first..lines.min(first + SLICE), links: false };
            let mut removed = 0;
            // Four places in a line.
            Walk::timed(slice.lines.len() as u64 * 4, || {
                self.table.sweep(&slice, now, &self.timeouts, no_sockets, |_, _| removed += 1);
                removed
            })
        };
        (0..lines).step_by(SLICE as usize).map(walk).collect()
    }
}
