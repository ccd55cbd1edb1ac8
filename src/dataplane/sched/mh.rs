//! Maglev hashing: the same client, the same real server, and few clients move when a real server comes or goes.
//!
//! As `ip_vs_mh.c`, after Eisenbud et al., *Maglev: A Fast and Reliable Software Network Load Balancer* (NSDI 2016) §3.4.
//! Each real server has its own order of the table's slots, which follows from its address and port; they take turns, as
//! many in a row as their weights say, each taking the next slot in its order that is free. The hash is the kernel's,
//! SipHash-1-3 with fixed keys, so that the same set gives the same table here, there, and in every director.
//!
//! - **Weight 0 leaves the table as it is**: what counts is the last weight that was not 0. A real server that is
//!   drained keeps its slots; its clients' new connections are refused, or with mh-fallback go to another.
//! - With the flag mh-port the client's port counts too.

use crate::dataplane::address::TransportAddress;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::Flow;
use super::scheduler::HashFlags;

const KEY_1: u64 = 2_654_435_761;
const KEY_2: u64 = 2_654_446_892;

/// The kernel's `hsiphash_1u32` where words have 64 bits.
#[inline]
fn hash(number: u32, key: u64) -> u32 {
    SipHasher13::new_with_keys(key, key).hash(&number.to_le_bytes()) as u32
}

#[inline]
pub(super) fn slot(flow: Flow, flags: HashFlags, offset: u32, size: u32) -> u32 {
    hash(offset.wrapping_add(flow.source(flags)), KEY_1).checked_rem(size).unwrap_or(0)
}

/// One real server's way through the table.
struct Walk {
    place: u32,
    slot: u32,
    skip: u32,
    turns: u32,
}

/// Fills a table of `size` slots, a prime, for real servers with their last weights; the places are theirs.
pub(super) fn fill(reals: impl Iterator<Item = (TransportAddress, u16)> + Clone, size: u32) -> Arc<[u32]> {
    let (turns, weights) = (turns(reals.clone().map(|(_, weight)| weight), size), reals.clone());
    let with_turns = weights.zip(0u32..).filter(|((_, weight), _)| *weight > 0);
    let mut walks: Vec<Walk> = with_turns
        .map(|((address, weight), place)| {
            let number = u32::from(address.port).wrapping_add(address.address.folded());
            let (slot, skip) = (hash(number, KEY_1) % size, hash(number, KEY_2) % (size - 1) + 1);
            Walk { place, slot, skip, turns: turns(weight) }
        })
        .collect();
    if walks.is_empty() {
        return Arc::default();
    }
    let mut table = vec![0; size as usize];
    let mut taken = Taken::new(size);
    let mut left = size;
    loop {
        for walk in &mut walks {
            for _ in 0..walk.turns {
                while !taken.take(walk.slot) {
                    walk.slot += walk.skip;
                    if walk.slot >= size {
                        walk.slot -= size;
                    }
                }
                table[walk.slot as usize] = walk.place;
                left -= 1;
                if left == 0 {
                    return table.into();
                }
            }
        }
    }
}

/// Which slots are taken. The walks ask that a dozen times for each slot that there is: of bits, which stay in the nearest
/// cache.
struct Taken(Vec<u64>);

impl Taken {
    fn new(size: u32) -> Self {
        Self(vec![0; size.div_ceil(64) as usize])
    }

    /// Takes a slot; false if it was taken before.
    #[inline]
    fn take(&mut self, slot: u32) -> bool {
        let (word, bit) = (&mut self.0[(slot / 64) as usize], 1 << (slot % 64));
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        true
    }
}

/// How many turns a weight, not 0, is worth in each round. Where the largest is much larger than their common divisor, as many bits are
/// cut off as leave half as many as the table's size has, and one turn at least.
fn turns(weights: impl Iterator<Item = u16>, size: u32) -> impl Fn(u16) -> u32 {
    let super::wrr::Weights { max, gcd } = weights.collect();
    let bits = |number: u32| u32::BITS - number.leading_zeros();
    let gcd = u32::from(gcd.max(1));
    let shift = bits(u32::from(max) / gcd).saturating_sub(bits(size) / 2);
    move |weight| ((u32::from(weight) / gcd) >> shift).max(1)
}
