//! One frame in an mbuf.
//!
//! ```text
//!   buf_addr        + data_off                    + data_len        buf_len
//!      │  headroom     │          octets              │   tailroom     │
//! ```
//! Fields are read and written here, in Rust: a call of C's for each would cost more than the work (dpdk-sys).
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, Ordering};

use dpdk_sys::rte_mbuf;

use super::timestamp;
use crate::dataplane::port::{Burst, Frame, RxChecksum};

/// An mbuf, owned: nobody else reads or writes it or its octets. Freed on drop; many at once by
/// [`Mbuf::free_burst`].
///
/// A frame in several segments arrives as its first segment, which owns the rest.
///
/// ```compile_fail,E0382
/// fn twice(mbuf: millrace::dataplane::port::dpdk::Mbuf) {
///     drop(mbuf);
///     drop(mbuf); // freed above: does not compile
/// }
/// ```
#[repr(transparent)]
pub struct Mbuf(NonNull<rte_mbuf>);

// SAFETY: an mbuf belongs to no thread: it may be freed to its pool, the one thing that others share, by any.
unsafe impl Send for Mbuf {}
// SAFETY: through a shared reference an mbuf is only read.
unsafe impl Sync for Mbuf {}

/// How many `Mbuf`s there are, less what each queue has in its own balance until it is dropped.
static IN_HAND: AtomicI64 = AtomicI64::new(0);

/// Counts mbufs that came into our hands, or with a negative number left them, by another way than `Drop`.
pub(super) fn count_in_hand(mbufs: i64) {
    IN_HAND.fetch_add(mbufs, Ordering::Relaxed);
}

/// Returns how many `Mbuf`s there are, once no queue is left. If it is 0, no thread touches one any more.
pub(super) fn in_hand() -> i64 {
    IN_HAND.load(Ordering::Acquire)
}

/// A field of `struct rte_mbuf`, by its offset in octets.
struct Field<T>(usize, PhantomData<T>);

impl<T> Field<T> {
    /// # Safety
    /// `struct rte_mbuf` has a `T` at this offset.
    const unsafe fn at(offset: usize) -> Self {
        Self(offset, PhantomData)
    }
}

mod field {
    use super::Field;

    macro_rules! fields {
        ($($name:ident: $type:ty = $offset:ident;)*) => {
            // SAFETY: dpdk-sys takes the offsets from the headers, and its shim.h asserts the sizes.
            $(pub(super) const $name: Field<$type> = unsafe { Field::at(dpdk_sys::$offset) };)*
        };
    }

    fields! {
        BUF_ADDR: *mut u8 = DPDK_MBUF_BUF_ADDR;
        DATA_OFF: u16 = DPDK_MBUF_DATA_OFF;
        NB_SEGS: u16 = DPDK_MBUF_NB_SEGS;
        OL_FLAGS: u64 = DPDK_MBUF_OL_FLAGS;
        PKT_LEN: u32 = DPDK_MBUF_PKT_LEN;
        DATA_LEN: u16 = DPDK_MBUF_DATA_LEN;
        BUF_LEN: u16 = DPDK_MBUF_BUF_LEN;
    }
}

impl Mbuf {
    /// Takes ownership; `None` if `pointer` is null. The caller counts it.
    ///
    /// # Safety
    /// A pointer that is not null must point to an mbuf that is the caller's alone.
    pub(super) unsafe fn from_raw(pointer: *mut rte_mbuf) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    #[inline]
    fn get<T: Copy>(&self, field: Field<T>) -> T {
        // SAFETY: the mbuf is alive and ours, and has a `T` there: Field's promise. Mbufs are aligned to a cache line.
        unsafe { self.0.as_ptr().byte_add(field.0).cast::<T>().read() }
    }

    #[inline]
    fn set<T: Copy>(&mut self, field: Field<T>, value: T) {
        // SAFETY: as in `get`; `&mut` makes us the only ones to look.
        unsafe { self.0.as_ptr().byte_add(field.0).cast::<T>().write(value) }
    }

    /// Returns the number in a dynamic field.
    ///
    /// # Safety
    /// `offset` must be that of a dynamic field of 8 octets, as registered with DPDK.
    pub(super) unsafe fn dynamic_field(&self, offset: usize) -> u64 {
        // SAFETY: the caller's promise; DPDK aligns the field.
        self.get(unsafe { Field::<u64>::at(offset) })
    }

    /// Returns the offload flags, as the driver set them.
    pub(super) fn flags(&self) -> u64 {
        self.get(field::OL_FLAGS)
    }

    fn len(&self) -> usize {
        usize::from(self.get(field::DATA_LEN))
    }

    fn data(&self) -> *mut u8 {
        // SAFETY: DPDK and the setters below keep data_off within the buffer.
        unsafe { self.get(field::BUF_ADDR).add(usize::from(self.get(field::DATA_OFF))) }
    }

    /// Frees all of `frames` by one call. A queue does it by its own `free`.
    pub fn free_burst(frames: &mut Burst<Mbuf>) {
        let count = frames.len() as i64;
        free_burst(frames);
        // Release: as in `drop`.
        IN_HAND.fetch_sub(count, Ordering::Release);
    }

    /// Returns when the frame was captured, in nanoseconds since 1970; only net_pcap tells.
    pub fn timestamp(&self) -> Option<u64> {
        timestamp::of(self)
    }
}

impl Frame for Mbuf {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: data_len octets from data_off lie within the buffer, whose memory is mapped and ours while we own the
        // mbuf: DPDK says so of what it hands out, and the setters below keep it. Mapped memory is initialised.
        unsafe { std::slice::from_raw_parts(self.data(), self.len()) }
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; nobody else refers to the octets, since the mbuf is ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.data(), self.len()) }
    }

    #[inline]
    fn is_contiguous(&self) -> bool {
        self.get(field::NB_SEGS) == 1
    }

    #[inline]
    fn prepend(&mut self, octets: usize) -> Option<&mut [u8]> {
        let by = u16::try_from(octets).ok()?;
        let start = self.get(field::DATA_OFF).checked_sub(by)?;
        let len = self.get(field::DATA_LEN).checked_add(by)?;
        self.set(field::DATA_OFF, start);
        self.set(field::DATA_LEN, len);
        self.set(field::PKT_LEN, self.get(field::PKT_LEN).wrapping_add(u32::from(by)));
        Some(self.bytes_mut())
    }

    #[inline]
    fn trim_front(&mut self, octets: usize) -> Option<&mut [u8]> {
        let by = u16::try_from(octets).ok()?;
        let len = self.get(field::DATA_LEN).checked_sub(by)?;
        self.set(field::DATA_LEN, len);
        self.set(field::DATA_OFF, self.get(field::DATA_OFF) + by);
        self.set(field::PKT_LEN, self.get(field::PKT_LEN).wrapping_sub(u32::from(by)));
        Some(self.bytes_mut())
    }

    /// `None` also for a frame in several segments, whose end is not here.
    #[inline]
    fn set_len(&mut self, octets: usize) -> Option<&mut [u8]> {
        let len = u16::try_from(octets).ok()?;
        let room = self.get(field::BUF_LEN).saturating_sub(self.get(field::DATA_OFF));
        if len > room || !self.is_contiguous() {
            return None;
        }
        self.set(field::DATA_LEN, len);
        self.set(field::PKT_LEN, u32::from(len));
        Some(self.bytes_mut())
    }

    #[inline]
    fn truncate(&mut self, octets: usize) {
        debug_assert!(self.is_contiguous());
        if octets < self.len() {
            self.set(field::DATA_LEN, octets as u16);
            self.set(field::PKT_LEN, octets as u32);
        }
    }

    #[inline]
    fn rx_checksum(&self) -> RxChecksum {
        match self.flags() & dpdk_sys::DPDK_RX_IP_CKSUM_MASK {
            dpdk_sys::DPDK_RX_IP_CKSUM_GOOD => RxChecksum::Good,
            dpdk_sys::DPDK_RX_IP_CKSUM_BAD => RxChecksum::Bad,
            _ => RxChecksum::Unknown,
        }
    }

    #[inline]
    fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint to the cache; it touches no memory that the program can tell.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.data().cast()) };
        }
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: the mbuf is ours, and nobody uses it after: this is drop. The EAL is up, since it does not stop while
        // there is an `Mbuf`.
        unsafe { dpdk_sys::rte_pktmbuf_free_bulk(&raw mut pointer, 1) };
        // Release: whoever stops the EAL sees that the call above is over.
        IN_HAND.fetch_sub(1, Ordering::Release);
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf").field("len", &self.len()).field("contiguous", &self.is_contiguous()).finish()
    }
}

/// Returns the first place of a burst as C sees it: an array of mbuf pointers.
pub(super) fn as_raw(frames: &mut Burst<Mbuf>) -> *mut *mut rte_mbuf {
    // `Mbuf` is transparent over a non-null pointer, so a place for one is a place for the other.
    frames.as_mut_ptr().cast()
}

/// Frees all of `frames` by one call; the caller counts them.
pub(super) fn free_burst(frames: &mut Burst<Mbuf>) {
    let count = frames.len();
    let first = as_raw(frames);
    // SAFETY: 0 is within the capacity. The mbufs are freed below, not dropped.
    unsafe { frames.set_len(0) };
    // SAFETY: `count` mbufs that were the burst's own, which no longer claims them. The EAL is up, since it does not
    // stop while there is an `Mbuf`.
    unsafe { dpdk_sys::rte_pktmbuf_free_bulk(first, count as u32) };
}

/// Removes the first `count` mbufs, which somebody else owns now, without freeing them.
///
/// # Safety
/// The burst has that many, and they were given away.
pub(super) unsafe fn forget_front(frames: &mut Burst<Mbuf>, count: usize) {
    let left = frames.len() - count;
    let first = frames.as_mut_ptr();
    // SAFETY: moves the `left` mbufs that are still ours to the front, bit by bit, within the array; those before were
    // given away, and the length in between is 0, so that none has two owners and none is dropped.
    unsafe {
        frames.set_len(0);
        std::ptr::copy(first.add(count), first, left);
        frames.set_len(left);
    }
}
