//! What runs on the worker cores. Nothing in here allocates, locks, logs or calls the kernel once a worker polls.

pub mod clock;
pub mod conn;
#[cfg(test)]
pub(crate) mod fixture;
pub mod forward;
pub mod parse;
pub mod port;
pub mod sched;
pub mod service;
pub mod stats;
pub(crate) mod sync;
pub mod wire;
