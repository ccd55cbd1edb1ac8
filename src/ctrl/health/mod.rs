//! Health checks: real servers that fail leave the pool, and come back when they have recovered.

pub mod check;
pub mod probe;
