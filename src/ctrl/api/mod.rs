//! How a director is asked and told while it runs: HTTP with JSON on a Unix socket, and on TCP where `[api] listen` says so.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/stats` | a [`Report`] |
//! | `GET /v1/services` | [`Services`]: the virtual services, as they are configured, and what is counted of them |
//! | `GET /v1/ports` | [`Ports`]: the ports, and what is counted of them |
//! | `GET /v1/neighbors` | [`Neighbors`]: stations on the links |
//! | `GET /v1/routes` | [`Routes`]: where packets go |
//! | `GET /v1/health` | a [`HealthReport`]: real servers that are checked or in maintenance |
//! | `POST /v1/maintenance` | a [`Maintained`]: a real server is taken out, or put back |
//! | `GET /v1/config` | a [`Configuration`]: what runs, with the keys of the file |
//! | `GET /v1/diff` | a [`Difference`]: what the file has that does not run; 422 if the file has a mistake |
//! | `POST /v1/changes` | a [`Changed`]; 409 or 422 if a change was refused, and none was made |
//! | `POST /v1/zero` | a [`Zeroed`]: counters of one service (`{"service": {"mark": 7}}`) or of all (`{}`) begin anew |
//! | `GET /v1/drain` | [`Draining`]: whether VIPs are kept from the routers, and what is left |
//! | `POST /v1/drain` | the same; `{"draining": true}` withdraws the VIPs, `false` announces them again; 422 without `[announce]` |
//! | `POST /v1/reload` | a [`Changed`]; 422 if the file was refused, and nothing changed |
//! | `GET /v1/connections` | connections, a [`ConnectionReport`] each line, as they are found |
//! | `GET /v1/connections/count` | a [`ConnectionCount`] |
//! | `DELETE /v1/connections` | a [`Flushed`]: the connections are removed |
//! | `GET /v1/version` | a [`Version`] |
//! | `GET /v1/openapi.json` | this API, described for programs: OpenAPI 3.1 |
//! | `GET /metrics` | the report as Prometheus metrics: names and labels in `metrics.rs` |
//!
//! `GET /v1/services?service={"address":"203.0.113.10:80"}`, percent-encoded, asks for one service. `POST
//! /v1/reload?dry_run=true` says what a reload would change.
//!
//! `POST /v1/changes` takes a [`Transaction`]: `{"changes": [{"op": "set-real", "service": {"address": "203.0.113.10:80"},
//! "real": "10.0.0.11:8080", "set": {"weight": 3}}]}`. With a `version` it is refused unless that version runs; with
//! `"dry_run": true` the answer says what would change, and nothing does.
//!
//! Requests about connections take the fields of a [`Filter`] as a query: `?service=203.0.113.10:80&state=ESTABLISHED`.
//! Without any, all connections are meant.
//!
//! Whatever is refused is answered by a status of 400 or more and a [`Refusal`]. Who may do what is in
//! `access.rs`, what a client can cost at most in `connection.rs`. Who may write to the Unix socket may control the director: it is
//! open to its owner and group.
//!
//! [`Transaction`]: super::change::Transaction
//! [`ConnectionReport`]: super::connections::ConnectionReport
//! [`ConnectionCount`]: super::connections::ConnectionCount
//! [`Flushed`]: super::connections::Flushed
//! [`Filter`]: super::connections::Filter

mod access;
mod calls;
mod client;
mod complaints;
mod connection;
mod connections;
mod desired;
mod drain;
mod health;
mod listen;
mod metrics;
mod network;
mod openapi;
mod refusal;
mod report;
mod server;
#[cfg(test)]
mod tests;
mod zero;

pub use client::{Client, ClientError};
pub use desired::{Configuration, Difference, RealState, RealStats, ServiceState, Services};
pub use drain::Draining;
pub use health::{HealthReport, LastCheck, Maintained, Maintenance, ServerHealth, Turned};
pub use listen::{ListenError, Listener};
pub use metrics::exposition;
pub use network::{HopReport, Neighbors, Network, PortState, Ports, RouteReport, Routes};
pub use refusal::Refusal;
pub use report::{
    Announced, Changed, ConnectionsReport, DeviceReport, NeighborReport, OpeningsReport, OutcomeReport, PortReport,
    RealReport, Report, ServiceReport, TableReport, TrafficReport, Version, WorkerReport,
};
pub use server::{BindError, Director, Socket, serve};
pub use zero::Zeroed;
