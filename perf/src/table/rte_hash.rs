//! DPDK's `rte_hash`, with the hash function it takes by itself (CRC32), its lookups in bulk. Without any of its flags
//! for several threads: as quick as it can be.
//!
//! This file is the fence around its C interface; what it exports cannot be misused from safe code.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use anyhow::Context;
use dpdk_sys::{
    DPDK_SOCKET_ID_ANY, rte_hash, rte_hash_add_key_data, rte_hash_create, rte_hash_del_key, rte_hash_free,
    rte_hash_iterate, rte_hash_lookup_bulk_data, rte_hash_parameters,
};
use millrace::dataplane::conn::Tick;
use millrace::dataplane::port::BURST;
use millrace::dataplane::port::dpdk::Pool;

use super::population::Word;
use super::store::{LIFE, Store, Walk};

const _: () = assert!(BURST as u32 <= dpdk_sys::RTE_HASH_LOOKUP_BULK_MAX, "a burst is looked up in one call");

/// The table. There is one at a time, since it has a name.
pub struct RteHash<'eal> {
    table: NonNull<rte_hash>,
    pages: &'static str,
    count: u64,
    /// Its memory is the EAL's, which stays up as long as there is a pool.
    eal: PhantomData<&'eal Pool>,
}

/// The memory that a table for so many connections takes of the EAL, in MiB, with some to spare: 16 octets a key and
/// its data, 64 for each 8 places, whose number is a power of two, and 4 a place for the list of free ones.
pub const fn memory_mib(connections: u32) -> u64 {
    let entries = entries(connections) as u64;
    (entries * 16 + entries.next_power_of_two() * 12) / (1 << 20) + 32
}

/// It is made for an eighth more, since one that is a power of two full may refuse keys.
const fn entries(connections: u32) -> u32 {
    connections + connections / 7
}

impl<'eal> RteHash<'eal> {
    /// An empty table; `pool` shows that the EAL runs.
    pub fn new(connections: u32, pool: &'eal Pool, pages: &'static str) -> anyhow::Result<Self> {
        let parameters = rte_hash_parameters {
            name: c"millrace-perf".as_ptr(),
            entries: entries(connections),
            key_len: size_of::<Word>() as u32,
            socket_id: DPDK_SOCKET_ID_ANY,
            ..rte_hash_parameters::default()
        };
        let _ = pool;
        // SAFETY: the EAL runs, for as long as `pool` is borrowed. The parameters and the name are whole, and copied.
        let table = unsafe { rte_hash_create(&raw const parameters) };
        let table = NonNull::new(table).context("no memory of the EAL for an rte_hash (scripts/setup gives more)")?;
        Ok(Self { table, pages, count: 0, eal: PhantomData })
    }
}

impl Drop for RteHash<'_> {
    fn drop(&mut self) {
        // SAFETY: it came from rte_hash_create and is not used again.
        unsafe { rte_hash_free(self.table.as_ptr()) }
    }
}

/// What is stored is a tick, in a pointer's place.
fn data(seen: Tick) -> *mut c_void {
    ptr::without_provenance_mut(seen.number() as usize)
}

fn address(word: &Word) -> *const c_void {
    ptr::from_ref(word).cast()
}

impl Store for RteHash<'_> {
    fn name(&self) -> &'static str {
        "rte_hash"
    }

    fn pages(&self) -> &'static str {
        self.pages
    }

    fn find(&mut self, words: &[Word]) -> usize {
        let mut count = 0;
        let mut keys = [ptr::null(); BURST];
        let mut found = [ptr::null_mut(); BURST];
        for burst in words.chunks(BURST) {
            for (key, word) in keys.iter_mut().zip(burst) {
                *key = address(word);
            }
            let mut hits = 0;
            // SAFETY: the table is ours. The first `burst.len()` of `keys`, at most 64, point to keys of 8 octets; `hits`
            // and `found` have room for as many answers.
            unsafe {
                rte_hash_lookup_bulk_data(
                    self.table.as_ptr(),
                    keys.as_mut_ptr(),
                    burst.len() as u32,
                    &raw mut hits,
                    found.as_mut_ptr(),
                );
            }
            let read = |(n, data): (usize, &*mut c_void)| hits >> n & 1 == 1 && !data.is_null();
            count += found[..burst.len()].iter().enumerate().filter(|found| read(*found)).count();
        }
        count
    }

    /// It replaces what is there; nothing is here.
    fn insert(&mut self, words: &[Word], seen: Tick) -> usize {
        let inserted = |word: &&Word| {
            // SAFETY: the table is ours; the key has 8 octets and is copied; the data is only a number.
            unsafe { rte_hash_add_key_data(self.table.as_ptr(), address(word), data(seen)) == 0 }
        };
        let count = words.iter().filter(inserted).count();
        self.count += count as u64;
        count
    }

    fn remove(&mut self, words: &[Word]) -> usize {
        // SAFETY: the table is ours; the key has 8 octets.
        let removed = |word: &&Word| unsafe { rte_hash_del_key(self.table.as_ptr(), address(word)) >= 0 };
        let count = words.iter().filter(removed).count();
        self.count -= count as u64;
        count
    }

    fn expire(&mut self, now: Tick) -> Vec<Walk> {
        let places = self.count;
        let walk = Walk::timed(places, || {
            let (mut removed, mut next) = (0, 0);
            let (mut key, mut seen) = (ptr::null(), ptr::null_mut());
            // SAFETY: the table is ours, and nothing but this loop changes it; the iterator is a place in it, not a pointer.
            while unsafe { rte_hash_iterate(self.table.as_ptr(), &raw mut key, &raw mut seen, &raw mut next) } >= 0 {
                if now.since(Tick::from_number(seen.addr() as u32)) >= LIFE {
                    // SAFETY: as above; `key` points to the key of 8 octets that was just come by, which the removal
                    // reads before it frees its place.
                    removed += u64::from(unsafe { rte_hash_del_key(self.table.as_ptr(), key) } >= 0);
                }
            }
            removed
        });
        self.count -= walk.removed;
        vec![walk]
    }
}
