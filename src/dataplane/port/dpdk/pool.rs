//! Mbufs in stock.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int};
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys::rte_mempool;

use super::eal::Runtime;
use super::mbuf::{self, Mbuf};
use super::{Eal, Errno};
use crate::dataplane::port::{BURST, Burst, HEADROOM};

const _: () = assert!(dpdk_sys::DPDK_PKTMBUF_HEADROOM as usize >= HEADROOM);

/// Mbufs that each lcore keeps at hand; with the cache's overshoot of half, it holds 1.5 times as many.
const CACHE: u32 = 256;

/// Returns the octets of a frame with an IP packet of `mtu` octets: an Ethernet header and two VLAN tags more.
pub(super) fn frame_octets(mtu: u16) -> u16 {
    mtu.saturating_add(14 + 2 * 4)
}

/// What a pool is made of.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// How many mbufs; see [`PoolConfig::frames_for`]. A power of two less one wastes least.
    pub frames: u32,
    /// The largest frame in octets, beside [`HEADROOM`]; see [`PoolConfig::room_for`]. With af_xdp a buffer must fit in
    /// a page, so this is at most 3,000 or so.
    pub room: u16,
    /// The NUMA node; `None` for any.
    pub socket: Option<u32>,
    /// Whether this stays the EAL's only pool. Ports may then give sent mbufs back without looking at them.
    pub sole: bool,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { frames: 16_383, room: 2048, socket: None, sole: false }
    }
}

impl PoolConfig {
    /// Returns how many mbufs suffice for `queue_pairs` queue pairs in all with this many descriptors, all full at
    /// once, and `workers` workers with full caches and bursts in hand.
    pub fn frames_for(queue_pairs: u32, rx_descriptors: u16, tx_descriptors: u16, workers: u32) -> u32 {
        let queued = queue_pairs * (u32::from(rx_descriptors) + u32::from(tx_descriptors));
        let in_hand = (workers + 1) * (CACHE * 3 / 2 + 4 * BURST as u32);
        (queued + in_hand + 1).next_power_of_two() - 1
    }

    /// Returns the room for a frame of an IP packet of `mtu` octets with two VLAN tags; at least DPDK's usual 2,048.
    pub fn room_for(mtu: u16) -> u16 {
        frame_octets(mtu).max(2048)
    }

    /// Returns the memory that such a pool needs, in MiB, rounded up and with some to spare.
    pub fn memory_mib(&self) -> u64 {
        // The mbuf itself, its mempool header and trailer.
        const OVERHEAD: u64 = 128 + 64 + 64;
        let octets = u64::from(self.frames) * (OVERHEAD + u64::from(self.room) + HEADROOM as u64);
        octets.div_ceil(1 << 20) * 9 / 8 + 16
    }
}

/// A pool of mbufs. Clones are the same pool; its memory is the EAL's until that stops.
#[derive(Clone, Debug)]
pub struct Pool {
    region: Region,
    room: u16,
    sole: bool,
    pub(super) runtime: Arc<Runtime>,
}

/// A mempool of the EAL's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region(NonNull<rte_mempool>);

// SAFETY: mempools are made for several threads: gets and puts go to the calling lcore's own cache, or to the shared
// ring by atomic steps, and the rest of the structure is not written after its creation.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

/// Why there is no pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Another pool exists, or would.
    #[error("one pool was to be the only one")]
    NotSole,
    /// The EAL refuses.
    #[error("no pool of {frames} mbufs of {room} octets: {cause}")]
    Refused {
        /// How many were asked for.
        frames: u32,
        /// The largest frame asked for.
        room: u16,
        /// The EAL's word.
        cause: Errno,
    },
}

impl Pool {
    /// Makes a pool.
    ///
    /// # Errors
    /// If the memory does not suffice, or there are two pools and one was to be the only one.
    pub fn new(eal: &Eal, config: PoolConfig) -> Result<Pool, PoolError> {
        let mut books = eal.runtime.books();
        if books.sole_pool || (config.sole && !books.pools.is_empty()) {
            return Err(PoolError::NotSole);
        }
        let PoolConfig { frames, room, .. } = config;
        let region = create(books.pools.len(), config).map_err(|cause| PoolError::Refused { frames, room, cause })?;
        books.pools.push(region);
        books.sole_pool = config.sole;
        drop(books);
        Ok(Pool { region, room, sole: config.sole, runtime: Arc::clone(&eal.runtime) })
    }

    /// Adds `count` empty mbufs, or as many as `into` has places for, to `into`; all or none, and tells which.
    pub fn allocate_burst(&self, count: usize, into: &mut Burst<Mbuf>) -> bool {
        let count = count.min(into.remaining_capacity());
        let len = into.len();
        // SAFETY: `len` is at most the capacity, so this is at most one past the array's end.
        let places = unsafe { mbuf::as_raw(into).add(len) };
        // SAFETY: the pool lives, since `runtime` keeps the EAL up; `places` has room for `count` pointers.
        let ret = unsafe { dpdk_sys::rte_pktmbuf_alloc_bulk(self.region.0.as_ptr(), places, count as u32) };
        if ret != 0 {
            return false;
        }
        // SAFETY: the call above wrote `count` pointers to fresh mbufs, each ours alone, into the first free places.
        unsafe { into.set_len(len + count) };
        mbuf::count_in_hand(count as i64);
        true
    }

    /// Returns an empty mbuf; `None` if the pool is exhausted. For bursts there is [`Pool::allocate_burst`].
    pub fn allocate(&self) -> Option<Mbuf> {
        let mut fresh: *mut dpdk_sys::rte_mbuf = std::ptr::null_mut();
        // SAFETY: the pool lives, since `runtime` keeps the EAL up; there is room for one pointer.
        let ret = unsafe { dpdk_sys::rte_pktmbuf_alloc_bulk(self.region.0.as_ptr(), &raw mut fresh, 1) };
        if ret != 0 {
            return None;
        }
        mbuf::count_in_hand(1);
        // SAFETY: the call wrote a pointer to a fresh mbuf that is ours alone.
        unsafe { Mbuf::from_raw(fresh) }
    }

    /// Returns how many mbufs are out of the pool, in anybody's hands; a device's receive queues hold some.
    pub fn in_use(&self) -> u32 {
        self.region.in_use()
    }

    /// Returns the largest frame that fits one mbuf, in octets.
    pub fn room(&self) -> u16 {
        self.room
    }

    pub(super) fn as_ptr(&self) -> *mut rte_mempool {
        self.region.0.as_ptr()
    }

    /// Tells whether every mbuf of this EAL comes from this pool, now and later.
    pub(super) fn is_sole(&self) -> bool {
        self.sole
    }
}

impl Region {
    fn in_use(self) -> u32 {
        // SAFETY: pools live as long as the EAL, and whoever asks holds the EAL up; counts, and changes nothing.
        unsafe { dpdk_sys::rte_mempool_in_use_count(self.0.as_ptr()) }
    }
}

/// Counts the mbufs that are out of their pools.
pub(super) fn mbufs_in_use(pools: &[Region]) -> u32 {
    pools.iter().map(|pool| pool.in_use()).sum()
}

fn create(number: usize, config: PoolConfig) -> Result<Region, Errno> {
    let name = CString::new(format!("millrace-{number}")).expect("digits and letters hold no NUL");
    let cache = CACHE.min(config.frames * 2 / 3);
    let socket = config.socket.map_or(dpdk_sys::DPDK_SOCKET_ID_ANY, |socket| socket as c_int);
    let data_room = config.room.saturating_add(dpdk_sys::DPDK_PKTMBUF_HEADROOM);
    // SAFETY: the EAL runs, since the caller holds it; the name is copied. The numbers may be anything: they are checked.
    let pool = unsafe { dpdk_sys::rte_pktmbuf_pool_create(name.as_ptr(), config.frames, cache, 0, data_room, socket) };
    NonNull::new(pool).map(Region).ok_or_else(Errno::last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_covers_full_queues_and_hands() {
        assert_eq!(PoolConfig::frames_for(2, 1024, 1024, 1), 8191);
        assert_eq!(PoolConfig::frames_for(16, 1024, 1024, 8), 65_535);
        assert_eq!((PoolConfig::room_for(1500), PoolConfig::room_for(9000)), (2048, 9022));
        let memory = PoolConfig { frames: 16_383, ..PoolConfig::default() }.memory_mib();
        assert!((40..80).contains(&memory), "{memory}");
    }
}
