//! What runs on the worker cores. Nothing in here allocates, locks, logs or calls the kernel once a worker polls.

pub mod clock;
pub mod conn;
pub mod port;
pub mod sched;
pub mod service;
pub mod stats;
pub(crate) mod sync;
