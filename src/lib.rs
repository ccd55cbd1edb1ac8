//! millrace: a layer-4 load balancer that runs as a DPDK poll-mode appliance.
//!
//! # The rooms
//! - [`dataplane`] runs on the worker cores: it receives bursts, finds each packet's connection and forwards it.
//! - [`ctrl`] runs on the control thread: configuration, API, signals.
//! - [`cli`] is the grammar of the command line; [`ipvsadm`] is that of ipvsadm, and speaks to a running director.

#![deny(unsafe_code)]
#![warn(missing_docs)]

#[cfg(not(millrace_loom))]
pub mod cli;
#[cfg(not(millrace_loom))]
pub mod ctrl;
pub mod dataplane;
#[cfg(not(millrace_loom))]
pub mod ipvsadm;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit the program was built from.
pub const COMMIT: &str = env!("MILLRACE_COMMIT");

/// The version of the DPDK the program was built with; empty if it was built without.
pub const DPDK: &str = env!("MILLRACE_DPDK");
