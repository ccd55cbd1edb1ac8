//! What a director says about itself: the JSON of `GET /v1/stats`.
//!
//! All counts are since the start; those of services and real servers since they were set to zero, if they were. Octets of ports
//! are Ethernet's without the frame check sequence; octets of services and real servers are IP's, as ipvsadm counts them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ctrl::change::Refused;
use crate::ctrl::health::observe::Reading;

/// The state of a director at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The program's version.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// Seconds since the start.
    pub uptime_seconds: f64,
    /// Counts what was published: configurations, the first of which is 1, and the steps of slow starts.
    pub generation: u64,
    /// The connection table.
    pub connections: ConnectionsReport,
    /// Ports, in the order of the configuration; then those that have a twin again, as `wan:twin`: what the host was given counts
    /// as sent, what it sent as received, and the device is the kernel's interface.
    pub ports: Vec<PortReport>,
    /// Workers.
    pub workers: Vec<WorkerReport>,
    /// Virtual services.
    pub services: Vec<ServiceReport>,
    /// How received frames ended, over all workers: every outcome by name, those that never happened included.
    pub outcomes: BTreeMap<String, OutcomeReport>,
    /// Neighbours.
    pub neighbors: Vec<NeighborReport>,
    /// What routers are told, if the configuration has `[announce]`.
    #[serde(default)]
    pub announced: Option<Announced>,
}

/// What routers are told of the VIPs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Announced {
    /// Whether all VIPs are kept from them.
    pub draining: bool,
    /// The VIPs that the host has a route to, for a routing daemon.
    pub vips: Vec<IpAddr>,
}

/// The connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionsReport {
    /// Connections in an established state.
    pub active: u64,
    /// All others.
    pub inactive: u64,
    /// The tables that they and the persistence templates are in.
    pub tables: Vec<TableReport>,
}

/// A table's fill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableReport {
    /// `connections`, `wide_connections` (to services of every port) or `templates`.
    pub name: String,
    /// What it is sized for: `director.max_` and its name in the configuration.
    pub max: u64,
    /// What it holds. A NAT connection whose real server several services share takes another place for its link.
    pub used: u64,
    /// How many of its entries found no place in their own lines.
    pub stashed: u64,
}

/// One port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortReport {
    /// Its name in the configuration.
    pub name: String,
    /// Its device in the configuration.
    pub device: String,
    /// Its Ethernet address.
    pub mac: String,
    /// Whether there is carrier.
    pub link_up: bool,
    /// The largest IP packet sent from it, in octets.
    pub mtu: u16,
    /// Frames that workers received.
    pub rx_frames: u64,
    /// Octets that workers received.
    pub rx_octets: u64,
    /// Frames that its transmit queues took.
    pub tx_frames: u64,
    /// Octets that its transmit queues took.
    pub tx_octets: u64,
    /// What the device itself counts.
    pub device_counters: DeviceReport,
}

/// What a port's device counts of frames that no worker saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceReport {
    /// Frames dropped because the receive queue was full.
    pub rx_missed: u64,
    /// Frames received with an error.
    pub rx_errors: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Frames dropped because no buffer was free.
    pub no_mbuf: u64,
}

/// One worker. At rest, `received` is the sum of `outcomes` and `waiting`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerReport {
    /// Its number, from 0.
    pub id: usize,
    /// The CPU core it polls on.
    pub core: usize,
    /// Frames received.
    pub received: u64,
    /// Polls that brought at least one frame.
    pub bursts: u64,
    /// Polls that brought none.
    pub empty_polls: u64,
    /// Frames that wait for a neighbour's address, or for the first fragment of their datagram, now.
    pub waiting: u64,
    /// Connections that never came to life and gave way to new ones, because the table was full.
    pub evicted: u64,
    /// Persistence templates of connections that never came to life, which gave way to new ones because their table was full.
    #[serde(default)]
    pub evicted_templates: u64,
    /// Connections of persistent services for whose templates there was no room.
    pub without_template: u64,
    /// Packets forwarded by the scheduler's hash, of connections that could not be stored.
    #[serde(default)]
    pub stateless: u64,
    /// How its frames ended, by outcome.
    pub outcomes: BTreeMap<String, u64>,
}

/// Connections, packets and octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficReport {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Octets from clients.
    pub in_octets: u64,
    /// Packets to clients; 0 by tunnel and direct routing, where they do not pass the director.
    pub out_packets: u64,
    /// Octets to clients.
    pub out_octets: u64,
}

/// One virtual service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceReport {
    /// What it is for, as the configuration has it: VIP and port (`203.0.113.10:80`), a range of either
    /// (`203.0.113.0/28:8000-8999`), a match (`from 198.51.100.0/24 to 203.0.113.10:0 in wan`) or a mark (`7`, `7 IPv6`).
    pub address: String,
    /// `tcp`, `udp`, `sctp` or `icmp`; `ip` for a match of any of these, `fwm` for a mark.
    pub protocol: String,
    /// The scheduler's name.
    pub scheduler: String,
    /// Whether each packet is scheduled for itself.
    #[serde(default)]
    pub ops: bool,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: TrafficReport,
    /// Its traffic a second, by IPVS's estimate.
    #[serde(default)]
    pub rates: TrafficReport,
    /// Its real servers.
    pub reals: Vec<RealReport>,
    /// What takes its new connections while none of those does.
    #[serde(default)]
    pub sorry_server: Option<RealReport>,
}

/// One real server of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RealReport {
    /// RIP and port.
    pub address: SocketAddr,
    /// `nat`, `tunnel`, `direct` or `local`.
    pub forwarding: String,
    /// Its weight.
    pub weight: u16,
    /// How much of that counts so far, in percent, while it starts slowly.
    #[serde(default)]
    pub slow_start_percent: Option<u8>,
    /// Its connections in an established state.
    pub active: u64,
    /// Its other connections.
    pub inactive: u64,
    /// Persistence templates that name it.
    pub persistent: u64,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: TrafficReport,
    /// Its traffic a second, by IPVS's estimate.
    #[serde(default)]
    pub rates: TrafficReport,
    /// What became of the openings of its TCP connections; null where the director does not see its answers.
    #[serde(default)]
    pub openings: Option<OpeningsReport>,
}

/// What became of the openings of a real server's TCP connections, and of open ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpeningsReport {
    /// It answered.
    pub answered: u64,
    /// It answered with a reset.
    pub refused: u64,
    /// It did not answer before the client asked again, or never.
    pub unanswered: u64,
    /// Open connections that it reset.
    pub reset: u64,
}

impl From<Reading> for OpeningsReport {
    fn from(reading: Reading) -> Self {
        let Reading { answered, refused, unanswered, reset } = reading;
        Self { answered, refused, unanswered, reset }
    }
}

/// How often an outcome happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeReport {
    /// Frames.
    pub count: u64,
    /// What it means, in one line.
    pub text: String,
}

/// One neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NeighborReport {
    /// Its IP address.
    pub address: IpAddr,
    /// Its Ethernet address, if it is known.
    pub mac: Option<String>,
    /// The port it is on.
    pub port: String,
    /// `incomplete`, `static`, `reachable` or `stale`.
    pub state: String,
    /// Whole seconds since it was last confirmed; none for a static or unknown one.
    pub age_seconds: Option<u64>,
}

/// What `POST /v1/reload` and `POST /v1/changes` answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The version of the desired state that runs now.
    pub version: u64,
    /// What changed, one line each; empty if nothing did.
    pub changed: Vec<String>,
    /// The changes that were left out because they were refused, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// What `GET /v1/version` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// The program's version.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
}
