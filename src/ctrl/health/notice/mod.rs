//! Telling of changes: a command that is run, a webhook that is called, when a real server or a service goes down or comes back.
//!
//! Control hands a [`Notice`] to the [`Notifier`] and goes on at once. A receiver is an entry of `[[notify]]`, or the hooks of
//! one service (`quorum_up`, `quorum_down`). Each has a queue of its own and is told one notice after the other, in their order, so that one that hangs
//! delays nobody else:
//!
//! ```text
//!   control ─► Notifier ─┬─► lane of the first [[notify]]  ─► its command ─┐ at most a few
//!                        ├─► lane of a service's hooks     ─► its command ─┘ at once
//!                        └─► lane of another [[notify]]    ─► its webhook, until it has answered
//! ```
//!
//! Queues are bounded: where too much waits the oldest is lost, which is counted, and the receiver is told how many it missed.
//! A webhook that does not answer is called again, less and less often; a command is run once, and killed if it takes too long.
//! What waits when the director ends is told for as long as the caller of [`Notifier::finish`] has patience.
//!
//! What receivers get is written down in `docs/notify.md`. Left out: e-mail and SNMP, for which there are commands.

mod command;
mod event;
mod form;
mod lanes;
mod notifier;
#[cfg(test)]
mod tests;
mod webhook;

use std::net::SocketAddr;
use std::time::SystemTime;

pub use event::Event;
pub use notifier::Notifier;

use crate::dataplane::selector::Selector;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When.
    pub at: SystemTime,
    /// What.
    pub event: Event,
    /// The service it is about; none if it is about the director.
    pub service: Option<Selector>,
    /// The real server it is about; none if it is about the service as a whole.
    pub real: Option<SocketAddr>,
    /// Why, in words; empty if the event says it all. What a server has said may be part of it.
    pub reason: String,
    /// How the service's real servers are, after it.
    pub pool: Option<Pool>,
}

/// How the real servers of a service are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// How many take new connections.
    pub up: usize,
    /// How many there are.
    pub servers: usize,
    /// The weights of those that take new connections, added up.
    pub weight: u64,
    /// How much weight is needed.
    pub quorum: u64,
}

impl Notice {
    /// One about the director itself, of now.
    pub fn of_director(event: Event) -> Self {
        Self { at: SystemTime::now(), event, service: None, real: None, reason: String::new(), pool: None }
    }
}
