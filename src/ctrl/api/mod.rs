//! How a director is asked and told while it runs: HTTP with JSON on a Unix socket.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/stats` | a [`Report`] |
//! | `POST /v1/reload` | a [`Reloaded`]; 422 if the file was refused, and nothing changed |
//! | `GET /v1/connections` | connections, a [`ConnectionReport`] each line, as they are found |
//! | `GET /v1/connections/count` | a [`ConnectionCount`] |
//! | `DELETE /v1/connections` | a [`Flushed`]: the connections are removed |
//! | `GET /v1/version` | a [`Version`] |
//!
//! Requests about connections take the fields of a [`Filter`] as a query: `?service=203.0.113.10:80&state=ESTABLISHED`.
//! Without any, all connections are meant.
//!
//! Whatever is refused is answered by a status of 400 or more and a [`Refusal`]. Who may write to the socket may
//! control the director: it is open to its owner and group.
//!
//! [`ConnectionReport`]: super::connections::ConnectionReport
//! [`ConnectionCount`]: super::connections::ConnectionCount
//! [`Flushed`]: super::connections::Flushed
//! [`Filter`]: super::connections::Filter

mod client;
mod connections;
mod report;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Client, ClientError};
pub use report::{
    ConnectionsReport, DeviceReport, NeighborReport, OutcomeReport, PortReport, RealReport, Refusal, Reloaded, Report,
    ServiceReport, TableReport, TrafficReport, Version, WorkerReport,
};
pub use server::{BindError, Director, Socket, serve};
