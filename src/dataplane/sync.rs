//! The atomics of the connection table: the standard library's, or loom's where its models run.
//!
//! loom (<https://docs.rs/loom>) replaces them to try every order that the memory model allows. The models are built
//! by `RUSTFLAGS="--cfg millrace_loom"`; the name is our own because tokio and others already react to `--cfg loom`.

#[cfg(not(millrace_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(millrace_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};

/// A step of the table's protocol that a model leaves out, to prove that it would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An insert does not fence between storing its key and looking for rivals.
    NoFence,
    /// An insert goes live at once.
    NoPending,
    /// A hit does not read the key again.
    NoKeyAgain,
    /// A hit is confirmed by key, value, key.
    KeyValueKey,
    /// A link's check refuses a forward entry that is still pending.
    LinkRefusesPending,
    /// A link is taken for an orphan however young it is.
    YoungOrphans,
}

/// Tells whether `fault` is to be committed. Always false, and compiled out, in everything but a model.
#[cfg(not(millrace_loom))]
#[inline(always)]
pub(crate) const fn commits(_fault: Fault) -> bool {
    false
}

#[cfg(millrace_loom)]
pub(crate) use faults::commits;

/// Faults as the model that runs on this thread asked for them; loom's threads all run on the model's own.
#[cfg(millrace_loom)]
pub(crate) mod faults {
    use super::Fault;
    use std::cell::Cell;

    std::thread_local! {
        static COMMITTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    pub(crate) fn commits(fault: Fault) -> bool {
        COMMITTED.get() == Some(fault)
    }

    /// Commits `fault` in every model this thread runs from now on.
    #[cfg(test)]
    pub(crate) fn commit(fault: Option<Fault>) {
        COMMITTED.set(fault);
    }
}
