//! The memory of the table and of its counts, and their only `unsafe`: seeing a fresh mapping as what lies in it, and
//! asking for a line early.
#![allow(unsafe_code)]

use std::ops::Deref;
use std::{fmt, io};

use super::counts::Numbers;
use super::key::NarrowLine;
use super::wide::WideLine;
use crate::dataplane::stats::Openings;
use crate::dataplane::sync::AtomicU64;

/// What kind of pages the table lies in. Random lines of a large table miss the TLB on 4 KiB pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// 2 MiB pages, reserved (`vm.nr_hugepages`).
    HugePages,
    /// Ordinary pages that the kernel was asked to join into 2 MiB ones (`MADV_HUGEPAGE`).
    Transparent,
    /// Ordinary pages.
    Pages,
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HugePages => "in 2 MiB pages",
            Self::Transparent => "in ordinary pages that the kernel may join",
            Self::Pages => "in ordinary pages",
        })
    }
}

/// A type that may lie in fresh memory.
///
/// # Safety
/// All octets 0 is a valid value, it may be shared between threads, and its alignment is a page's at most.
pub unsafe trait Zeroed: Sync + Default {}

// SAFETY: atomic integers, of which 0 is one.
unsafe impl Zeroed for NarrowLine {}
// SAFETY: as above.
unsafe impl Zeroed for WideLine {}
// SAFETY: as above.
unsafe impl Zeroed for Numbers {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU64 {}
// SAFETY: as above.
unsafe impl Zeroed for Openings {}

#[cfg(not(any(millrace_loom, miri)))]
pub(in crate::dataplane) use mapped::Memory;

#[cfg(not(any(millrace_loom, miri)))]
mod mapped {
    use super::*;
    use memmap2::{Advice, MmapMut, MmapOptions};
    use std::marker::PhantomData;
    use std::slice;

    /// Zeroed items in anonymous memory of their own.
    pub struct Memory<T> {
        map: MmapMut,
        items: usize,
        backing: Backing,
        holds: PhantomData<[T]>,
    }

    const HUGE_PAGE: usize = 2 << 20;
    const PAGE: usize = 4096;

    impl<T: Zeroed> Memory<T> {
        /// Maps memory for `items`, in 2 MiB pages if there are any, and touches it, so that no worker meets a page
        /// fault later.
        pub fn touched(items: usize) -> io::Result<Self> {
            let octets = Self::octets(items)?;
            let (mut map, backing) = match MmapOptions::new().len(octets).huge(Some(21)).map_anon() {
                Ok(map) => (map, Backing::HugePages),
                Err(_) => {
                    let map = MmapOptions::new().len(octets).map_anon()?;
                    let joined = map.advise(Advice::HugePage).is_ok();
                    (map, if joined { Backing::Transparent } else { Backing::Pages })
                }
            };
            map.iter_mut().step_by(PAGE).for_each(|octet| *octet = 0);
            Ok(Self { map, items, backing, holds: PhantomData })
        }

        /// Maps address space for `items`, of which only the pages that are written will take memory.
        pub fn untouched(items: usize) -> io::Result<Self> {
            let map = MmapOptions::new().len(Self::octets(items)?).map_anon()?;
            Ok(Self { map, items, backing: Backing::Pages, holds: PhantomData })
        }

        fn octets(items: usize) -> io::Result<usize> {
            let octets =
                items.checked_mul(size_of::<T>()).and_then(|octets| octets.checked_next_multiple_of(HUGE_PAGE));
            octets.ok_or_else(|| io::ErrorKind::OutOfMemory.into())
        }
    }

    impl<T> Memory<T> {
        /// What kind of pages it got.
        pub fn backing(&self) -> Backing {
            self.backing
        }
    }

    impl<T: Zeroed> Deref for Memory<T> {
        type Target = [T];

        #[inline(always)]
        fn deref(&self) -> &[T] {
            // SAFETY: the map is at least `items` items long, readable and writable, and lives as long as the borrow of
            // `self`. It begins at a page boundary, which aligns a `Zeroed`, and was zero before the first item was
            // written, which makes it valid. After construction nobody but this function reaches the map, so every
            // access is through `&T`.
            unsafe { slice::from_raw_parts(self.map.as_ptr().cast::<T>(), self.items) }
        }
    }
}

#[cfg(any(millrace_loom, miri))]
pub(in crate::dataplane) use heap::Memory;

#[cfg(any(millrace_loom, miri))]
mod heap {
    use super::*;

    #[cfg(millrace_loom)]
    fn zeroed<T: Zeroed>(items: usize) -> Box<[T]> {
        (0..items).map(|_| T::default()).collect()
    }

    #[cfg(miri)]
    fn zeroed<T: Zeroed>(items: usize) -> Box<[T]> {
        // SAFETY: a `Zeroed` whose octets are all 0 is a valid one.
        unsafe { Box::new_zeroed_slice(items).assume_init() }
    }

    /// loom's atomics are no plain words, and Miri maps no memory: what these use lies on the heap.
    pub struct Memory<T>(Box<[T]>);

    impl<T: Zeroed> Memory<T> {
        pub fn touched(items: usize) -> io::Result<Self> {
            Ok(Self(zeroed(items)))
        }

        pub fn untouched(items: usize) -> io::Result<Self> {
            Self::touched(items)
        }

        pub fn backing(&self) -> Backing {
            Backing::Pages
        }
    }

    impl<T> Deref for Memory<T> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            &self.0
        }
    }
}

/// Asks the CPU to load the cache line in which `place` begins.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address has no effect that the program could see; SSE is part of x86_64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}
