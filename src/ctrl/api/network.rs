//! Answers what the director knows of its links: ports, the stations on them, and where packets go.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::{NeighborReport, PortReport};
use super::server::Director;

/// What a director knows of its links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Its ports, in the order of the configuration; then twins.
    pub ports: Vec<PortState>,
    /// Stations on its links, by port and address.
    pub neighbors: Vec<NeighborReport>,
    /// Where packets go, by destination.
    pub routes: Vec<RouteReport>,
}

/// What `GET /v1/ports` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ports {
    /// Ports, in the order of the configuration; then the twins of those that have one.
    pub ports: Vec<PortState>,
}

/// A port, and what is configured of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortState {
    /// What it is and what is counted of it, as in `GET /v1/stats`.
    #[serde(flatten)]
    pub report: PortReport,
    /// Its own addresses, each with the length of the network's prefix: `192.0.2.2/24`. None for a twin: its are the host's.
    pub addresses: Vec<String>,
}

/// What `GET /v1/neighbors` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbors {
    /// Stations on the director's links, by port and address.
    pub neighbors: Vec<NeighborReport>,
}

/// What `GET /v1/routes` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Routes {
    /// The routes, by destination; the longest prefix that a packet fits is the one it takes.
    pub routes: Vec<RouteReport>,
}

/// Where packets to a prefix go: to the stations of a port's own network, or to a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteReport {
    /// The prefix: `0.0.0.0/0`.
    pub to: String,
    /// The port they leave by.
    pub port: String,
    /// The gateway; none for a port's own network.
    pub via: Option<IpAddr>,
    /// What the gateway is as a neighbour; none for a port's own network.
    pub via_state: Option<String>,
}

pub(super) async fn ports<D: Director>(State(director): State<Arc<D>>) -> Json<Ports> {
    Json(Ports { ports: director.network().ports })
}

pub(super) async fn neighbors<D: Director>(State(director): State<Arc<D>>) -> Json<Neighbors> {
    Json(Neighbors { neighbors: director.network().neighbors })
}

pub(super) async fn routes<D: Director>(State(director): State<Arc<D>>) -> Json<Routes> {
    Json(Routes { routes: director.network().routes })
}
