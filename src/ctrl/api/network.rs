//! Answers what the director knows of its links: ports, the stations on them, and where packets go.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
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
    /// The routes, by destination, those to the same prefix in the order in which they are preferred. Of those that are active,
    /// a packet takes the one with the longest prefix that it fits.
    pub routes: Vec<RouteReport>,
}

/// A route: where packets to a prefix go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteReport {
    /// The prefix: `0.0.0.0/0`.
    pub to: String,
    /// Who says so: `connected` for a port's own network, `config` for the configuration, `kernel` for the host.
    pub origin: String,
    /// Of one of the host's: the routing protocol that set it, by its name or number.
    pub protocol: Option<String>,
    /// Of one of the host's: its metric. Of several to the same prefix the lowest counts.
    pub metric: Option<u32>,
    /// `active`: packets take it. `standby`: another to the same prefix is preferred. `down`: no port of its next hops has a link,
    /// and other routes are taken, be it by a shorter prefix.
    pub state: String,
    /// Its next hops. Of several each flow takes one of those that are usable; without any, packets go nowhere.
    pub hops: Vec<HopReport>,
}

/// A next hop of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HopReport {
    /// The port that packets leave by.
    pub port: String,
    /// The gateway; none where destinations are on the port's link.
    pub via: Option<IpAddr>,
    /// What the gateway is as a neighbour.
    pub via_state: Option<String>,
    /// Its share of the flows, in proportion to the others'.
    pub weight: u16,
    /// Whether its port has a link.
    pub usable: bool,
}

pub(super) async fn ports<D: Director>(State(director): State<Arc<D>>) -> Json<Ports> {
    Json(Ports { ports: director.network().ports })
}

pub(super) async fn neighbors<D: Director>(State(director): State<Arc<D>>) -> Json<Neighbors> {
    Json(Neighbors { neighbors: director.network().neighbors })
}

/// There may be very many: they are collected where nobody waits.
pub(super) async fn routes<D: Director>(State(director): State<Arc<D>>) -> Response {
    match tokio::task::spawn_blocking(move || director.routes()).await {
        Ok(routes) => Json(Routes { routes }).into_response(),
        Err(failed) => (StatusCode::INTERNAL_SERVER_ERROR, failed.to_string()).into_response(),
    }
}
