//! Looking into the connection table while packets go through it: listing, counting and removing connections.
//!
//! A [`Scan`] walks the table in pieces of a few thousand lines, each between two other tasks of the control thread, and
//! holds nothing that a worker could wait for. It sees every connection that was there throughout, and each once,
//! since entries never move; one that came or went meanwhile it may or may not see.

mod filter;
mod scan;

pub use filter::{Filter, Site, SiteError};
pub use scan::{Names, Scan};

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionReport {
    /// `TCP`, `UDP`, `SCTP` or `ICMP`; of a template of several protocols, `IP`.
    pub protocol: String,
    /// Its state, by IPVS's name.
    pub state: String,
    /// Whole seconds until it is removed, if no packet comes.
    pub expires_seconds: u32,
    /// The client.
    pub client: SocketAddr,
    /// The VIP and port that the client talks to; of a template, its service's: where that has several, the first address and
    /// no port, and of a mark the mark as an address, as ipvsadm shows it.
    pub service: SocketAddr,
    /// The mark, if its service has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// The real server, also one that was removed; none if nobody remembers it.
    pub real: Option<SocketAddr>,
    /// Whether the real server's answers pass the director.
    pub answers_seen: bool,
}

/// How many connections a filter finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionCount {
    /// In all.
    pub connections: u64,
    /// By protocol and state: `TCP ESTABLISHED`.
    pub states: BTreeMap<String, u64>,
}

impl ConnectionCount {
    /// Counts one more.
    pub fn add(&mut self, connection: &ConnectionReport) {
        self.connections += 1;
        *self.states.entry(format!("{} {}", connection.protocol, connection.state)).or_default() += 1;
    }
}

/// What a flush removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flushed {
    /// Connections removed.
    pub removed: u64,
    /// Connections that a packet changed at that very moment, and that stay.
    pub kept: u64,
}
