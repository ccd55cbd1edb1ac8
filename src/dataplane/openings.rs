//! What becomes of TCP connections' openings where the director sees the answers: by NAT, and to the host itself.
//!
//! A real server that is gone leaves SYNs without an answer, one whose program is gone refuses them; clients notice before any
//! check does. Each opening counts once, for its real server:
//!
//! | what came | counts as |
//! |---|---|
//! | the real server's first segment, but RST | answered |
//! | RST in answer to SYN | refused |
//! | the client's SYN again, half a second or more later, and still no answer | unanswered |
//! | none of these until the connection expired or gave way to another | unanswered |
//! | later, RST from the real server while the connection is open | reset |
//!
//! One that is answered late counts as both. The connection's word knows whether an answer is awaited
//! ([`Value::unanswered`]); the first answer changes the word, and only what changes it is looked at: the packets of open
//! connections cost nothing. SYN floods from addresses that never acknowledge are answered, and look well.

use super::conn::{State, Updated, Value};
use super::connect::Connector;
use super::parse::{Kind, Parsed};
use super::stats::WorkerStats;
use super::wire::tcp::Flags;

/// The entry of a new TCP connection: an answer is awaited where it would pass here, if this is an opening.
pub(super) fn begun(entry: Value) -> Value {
    entry.with_unanswered(!entry.no_output() && entry.state() == State::TCP_SYN_RECV)
}

/// What an entry that was `old` before a packet is after it, where that is `next` but for what is noted here.
pub(super) fn noted(old: Value, next: Value, reply: bool, packet: &Parsed) -> Value {
    match (old.unanswered(), reply) {
        (true, true) => next.uncounted(),
        (true, false) if is_syn(packet) => next.counted(),
        _ => next,
    }
}

fn is_syn(packet: &Parsed) -> bool {
    packet.kind == Kind::Tcp && packet.tcp_flags.contains(Flags::SYN) && !packet.tcp_flags.contains(Flags::ACK)
}

impl Connector<'_> {
    /// Counts what a change of a connection's word tells of its opening.
    pub(super) fn watch(&self, updated: Updated, reply: bool, packet: &Parsed) {
        let Updated { old, new } = updated;
        if packet.kind != Kind::Tcp {
            return;
        }
        let reset = packet.tcp_flags.contains(Flags::RST);
        let openings = &self.stats.openings[new.real().index()];
        match reply {
            true if old.unanswered() && reset => openings.refused.add(1),
            true if old.unanswered() => openings.answered.add(1),
            true if reset && old.state() == State::TCP_ESTABLISHED => openings.reset.add(1),
            false if old.unanswered() && old.packets() == 0 && new.packets() > 0 => openings.unanswered.add(1),
            _ => {}
        }
    }
}

impl WorkerStats {
    /// Counts the opening of a connection that has come to its end.
    pub fn given_up(&self, connection: Value) {
        if connection.unanswered() && connection.packets() == 0 && connection.state() == State::TCP_SYN_RECV {
            self.openings[connection.real().index()].unanswered.add(1);
        }
    }
}
