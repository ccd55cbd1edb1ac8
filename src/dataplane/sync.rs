//! The atomics of the connection table and of the fragment map: the standard library's, or loom's where its models run.
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
    /// A hit does not compare the generations of the two values it read.
    NoGeneration,
    /// An insert stores its key without release.
    RelaxedKey,
    /// The words of a wide key are stored from the first on.
    FirstWordFirst,
    /// A spot is trusted: what lies there is taken for the key's.
    SpotUnconfirmed,
    /// A change that came too late goes to whoever has the slot by then.
    NoOwnerCheck,
    /// Of two inserters of a key, each gives way to the other.
    EveryoneYields,
    /// A slot is free before its key is cleared.
    FreedFirst,
    /// The stash's counter rises after the look for rivals.
    StashCountedLate,
    /// A removal takes whatever the slot holds by then.
    RemovesRefreshed,
    /// A link's check refuses a forward entry that is still pending.
    LinkRefusesPending,
    /// A link is taken for an orphan however young it is.
    YoungOrphans,
    /// A link leads to whoever has the slot by now.
    LinkAnyLife,
    /// A link leads to a connection that was moved to another real server.
    LinkAnySocket,
    /// A link's target is read without having acquired the link.
    NoLinkFence,
    /// What is read of a fragmented datagram is taken for whole.
    NoVersionAgain,
    /// What is known of a fragmented datagram is written without a fence behind the mark that it is being written.
    NoMarkFence,
    /// Two write at once what is known of two fragmented datagrams.
    NoMark,
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
