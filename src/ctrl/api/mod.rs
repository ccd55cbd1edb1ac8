//! How a director is asked and told while it runs: HTTP with JSON on a Unix socket.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/stats` | a [`Report`] |
//! | `POST /v1/reload` | a [`Reloaded`]; 422 if the file was refused, and nothing changed |
//! | `GET /v1/version` | a [`Version`] |
//!
//! Whatever is refused is answered by a status of 400 or more and a [`Refusal`]. Who may write to the socket may
//! control the director: it is open to its owner and group.

mod client;
mod report;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Client, ClientError};
pub use report::{
    ConnectionsReport, DeviceReport, NeighborReport, OutcomeReport, PortReport, RealReport, Refusal, Reloaded, Report,
    ServiceReport, TrafficReport, Version, WorkerReport,
};
pub use server::{BindError, Director, Socket, serve};
