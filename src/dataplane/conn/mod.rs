//! The connection table: which real server a client's packets go to, one cache line away.
//!
//! A connection is two words, a [`Key`] and a [`Value`]. Four of each fill a cache line; a key may lie in two lines
//! of the main level, in two of a small overflow level, and in a stash that is normally empty. Entries never
//! move, so a [`Slot`] names a connection for its whole life and no lookup misses one that was there throughout.
//!
//! All workers share the table, and any of them may meet either direction of a connection. There is no lock: the
//! value's phase is the authority over its slot, and every change of it is a compare-and-swap. Lookups are wait-free.
//! When none of a newcomer's places is free it may take that of a connection that never came to life ([`evict`]); where
//! there is none of those either the table is full for it ([`Insert::Full`]).
//!
//! Read [`entry`] for the words, [`insert`] for the protocol, [`link`] for replies from shared real servers,
//! `local.rs` for full NAT, [`sweep`] for expiry, [`evict`] for floods. The protocol's models are in `models`; `scripts/test models` runs them.

mod counts;
pub mod datagram_state;
pub mod entry;
pub mod evict;
mod hash;
mod identity;
pub mod insert;
mod key;
pub mod link;
mod local;
mod marks;
mod memory;
pub mod sctp_state;
mod state;
pub mod sweep;
mod table;
pub mod tcp_state;
mod template;
mod tick;
pub mod timeouts;
mod wide;

pub use counts::{Connections, Counts, WorkerCounts};
pub use entry::{Era, MAX_REAL_ID, Phase, SHORTEST_LIFE, Value};
pub use hash::Hash;
pub(super) use hash::{Secret, at};
pub use identity::Identity;
pub use insert::Insert;
pub use key::Key;
pub use link::{LinkedInsert, Outlet, Socket, Unlinked};
pub use local::{Allotment, LOCAL_PORTS, LocalAddresses, LocalId};
pub(super) use memory::Memory;
pub use memory::{Backing, prefetch};
pub use sctp_state::SctpEvent;
pub use state::{Class, State};
pub use sweep::{Kept, Slice, Sweeper};
pub use table::{Gone, Level, Slot, Spot, Table, Updated};
pub use tcp_state::{Direction, TcpEvent};
pub use template::{Made, Template, TemplateKey, Templates};
pub use tick::Tick;
pub use timeouts::Timeouts;
pub use wide::WideKey;

#[cfg(all(test, millrace_loom))]
mod models;
#[cfg(all(test, not(millrace_loom)))]
mod tests;
