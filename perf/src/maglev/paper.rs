//! The paper's §3.4, with dice in place of its two hash functions.

use fastrand::Rng;

/// A backend's permutation of the slots: where it begins, and how far it goes each time.
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    offset: u32,
    skip: u32,
}

/// Draws a permutation for each backend.
pub fn permutations(backends: u32, size: u32, dice: &mut Rng) -> Vec<Permutation> {
    (0..backends).map(|_| Permutation { offset: dice.u32(0..size), skip: dice.u32(1..size) }).collect()
}

/// Populates a table: the backend of each slot.
pub fn populate(backends: &[(u32, Permutation)], size: u32) -> Vec<u32> {
    let mut table = vec![None; size as usize];
    let mut next: Vec<u64> = backends.iter().map(|(_, permutation)| permutation.offset.into()).collect();
    for (filled, turn) in (0..backends.len()).cycle().enumerate() {
        if filled == table.len() {
            break;
        }
        let (backend, permutation) = backends[turn];
        while table[next[turn] as usize].is_some() {
            next[turn] = (next[turn] + u64::from(permutation.skip)) % u64::from(size);
        }
        table[next[turn] as usize] = Some(backend);
    }
    table.into_iter().flatten().collect()
}
