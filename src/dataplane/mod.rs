//! What runs on the worker cores. Nothing in here allocates, locks, logs or calls the kernel once a worker polls.
//!
//! A reading order: [`pipeline`] (the stages of one burst), [`worker`] (the loop around them), [`service`] and
//! [`snapshot`] (what they look at), [`conn`] (the connection table).

pub mod address;
mod answer_error;
pub mod classify;
pub mod clock;
pub mod conn;
pub mod connect;
mod discover;
pub mod endpoints;
pub mod error_limit;
#[cfg(test)]
pub(crate) mod fixture;
mod former;
pub mod forward;
pub mod fragments;
mod from_host;
mod full_nat;
mod host;
pub mod local;
pub mod nd;
pub mod neigh;
pub mod new_flows;
mod no_server;
mod one_packet;
mod openings;
pub mod outbox;
mod own_vips;
pub mod parse;
pub mod patterns;
pub mod persist;
pub mod pipeline;
pub mod port;
pub mod punt;
mod related;
pub mod route;
pub mod rules;
pub mod sched;
pub mod selector;
pub mod selectors;
pub mod service;
pub mod shared;
pub mod snapshot;
mod sorry;
pub mod stand_in;
mod start_over;
pub mod stateless;
pub mod stats;
pub(crate) mod sync;
mod through_vip;
mod transit;
mod tunnel_error;
pub mod waiting;
pub mod wire;
pub mod worker;
