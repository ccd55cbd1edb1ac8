//! What ipvsadm prints, to the column: blanks at the ends of lines included, since scripts cut by columns.

mod connections;
mod listing;
mod numbers;
mod order;
mod save;
#[cfg(test)]
mod tests;

pub use connections::{head as connections_head, line as connection_line, row as connection_row};
pub use listing::listing;
pub use order::sort;
pub use save::save;

use std::net::SocketAddr;

use super::command::{Key, Mask};
use super::names::Names;
use crate::ctrl::api::TrafficReport;
use crate::dataplane::service::{Forwarding, Protocol};

/// The version of the kernel interface whose tool this is.
const IPVS_VERSION: &str = "1.2.1";
/// Room for one address and port.
const LONGEST_SOCKET: usize = 59;

/// What a director has, as a listing shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What the connection table is sized for.
    pub size: u64,
    /// Virtual services.
    pub services: Vec<ShownService>,
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownService {
    /// What it is for.
    pub what: What,
    /// The scheduler's name.
    pub scheduler: String,
    /// The names of the scheduler's flags.
    pub flags: Vec<String>,
    /// For how many seconds which clients keep to their real servers.
    pub persistent: Option<(u32, Mask)>,
    /// One-packet scheduling.
    pub one_packet: bool,
    /// Its traffic.
    pub traffic: TrafficReport,
    /// Its traffic, a second.
    pub rates: TrafficReport,
    /// Its real servers.
    pub servers: Vec<ShownServer>,
}

/// What a service is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// What ipvsadm has words for.
    Key(Key),
    /// A service of several addresses or ports, by match, or for echo requests: it can be listed, and not be named on the
    /// command line.
    Other {
        /// Its protocol.
        protocol: String,
        /// As the configuration has it.
        text: String,
    },
}

/// A real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownServer {
    /// RIP and port.
    pub address: SocketAddr,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Its weight.
    pub weight: u16,
    /// Upper threshold, 0 for none.
    pub upper: u32,
    /// Lower threshold, 0 for none.
    pub lower: u32,
    /// Connections in an established state.
    pub active: u64,
    /// Other connections.
    pub inactive: u64,
    /// Persistence templates.
    pub persistent: u64,
    /// Its traffic.
    pub traffic: TrafficReport,
    /// Its traffic, a second.
    pub rates: TrafficReport,
}

/// How addresses and ports are written.
#[derive(Clone, Copy)]
pub enum Spoken<'a> {
    /// `-n`: by number.
    Numbers,
    /// By name, where there is one.
    Names(&'a dyn Names),
}

impl Spoken<'_> {
    /// Writes an address and port.
    pub fn socket(&self, socket: SocketAddr, protocol: Option<Protocol>) -> String {
        let Self::Names(names) = self else { return socket.to_string() };
        let (address, port) = (socket.ip(), socket.port());
        let host = names.host_at(address).unwrap_or_else(|| address.to_string());
        let service = protocol.and_then(|protocol| names.service_at(port, protocol));
        let service = service.unwrap_or_else(|| port.to_string());
        let text = if address.is_ipv6() { format!("[{host}]:{service}") } else { format!("{host}:{service}") };
        cut(&text, LONGEST_SOCKET)
    }
}

/// The first so many characters.
fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

/// The protocol of a service, for the names of ports.
fn protocol(what: &What) -> Option<Protocol> {
    match what {
        What::Key(Key::Socket(protocol, _)) => Some(*protocol),
        What::Key(Key::Mark { .. }) | What::Other { .. } => None,
    }
}
