//! An allocator of large pages, so that hashbrown's map does not lose to the table by its pages.
//!
//! Its `unsafe` is what the trait asks for: giving out a pointer into a mapping of its own, and taking it back.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};
use std::rc::Rc;

use allocator_api2::alloc::{AllocError, Allocator};
use memmap2::MmapMut;
use millrace::dataplane::conn::Backing;

use crate::pages;

/// The most that a page's beginning is aligned for.
const PAGE: usize = 4096;

/// Each block is a mapping of its own.
#[derive(Clone, Default)]
pub struct Large(Rc<Blocks>);

#[derive(Default)]
struct Blocks {
    held: RefCell<Vec<MmapMut>>,
    backing: Cell<Option<Backing>>,
}

impl Large {
    /// What pages the last block lies in.
    pub fn pages(&self) -> &'static str {
        self.0.backing.get().map_or("-", pages::name)
    }
}

// SAFETY: a block is a mapping that starts at a page's beginning, is as long as asked for or longer, overlaps nothing
// else and stays where it is until it is given back, since the list of blocks only moves handles. Clones share the list,
// so that any may give back what another gave out, and the blocks live as long as any of them.
unsafe impl Allocator for Large {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.align() > PAGE {
            return Err(AllocError);
        }
        let (mut memory, backing) = pages::map(layout.size()).map_err(|_| AllocError)?;
        let block = NonNull::new(memory.as_mut_ptr()).ok_or(AllocError)?;
        self.0.backing.set(Some(backing));
        self.0.held.borrow_mut().push(memory);
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    // SAFETY: what the trait asks of the caller, that `block` was given out here, is not even needed: another is not
    // found.
    unsafe fn deallocate(&self, block: NonNull<u8>, _: Layout) {
        self.0.held.borrow_mut().retain(|held| !ptr::eq(held.as_ptr(), block.as_ptr()));
    }
}
