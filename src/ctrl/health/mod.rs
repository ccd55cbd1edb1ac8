//! Health checks: real servers that fail leave the pool, and come back when they have recovered.
//!
//! ```text
//!   desired ──► book ── orders ──► checker: a thread, a task for each real server
//!                ▲                     │  schedule: when    probe: what is asked    tracker: what that makes of it
//!                ├────── verdicts ─────┘  only another state is told
//!                ├────── observe: what became of clients' own connections, once a second, where a check asks for it
//!                │
//!                └──► effective: desired, less who is out ──► apply ──► one snapshot; services that nothing happened to are the same
//! ```
//! Checks go from the host, over the ports' twins, by the kernel's routes; those through VIPs to stand-ins ([`stand_ins`]).

pub mod book;
pub mod check;
pub mod checker;
pub mod host_route;
pub mod live;
pub mod notice;
pub mod observe;
pub mod probe;
pub mod schedule;
pub mod stand_ins;
pub mod tracker;
