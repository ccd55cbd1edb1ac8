//! What runs on the control thread: the configuration, the API, signals. It fills the data plane's plain types;
//! the data plane never imports it.

pub mod accounts;
pub mod announce;
pub mod api;
pub mod apply;
pub mod change;
pub mod config;
pub mod connections;
#[cfg(feature = "dpdk")]
mod crew;
pub mod desired;
pub mod diff;
pub mod director;
pub mod drain;
pub mod health;
pub mod ids;
pub mod link;
pub mod listing;
#[cfg(feature = "dpdk")]
pub mod mute;
#[cfg(feature = "dpdk")]
mod notify;
#[cfg(feature = "dpdk")]
pub mod ports;
#[cfg(feature = "dpdk")]
pub mod replay;
pub mod routing;
#[cfg(feature = "dpdk")]
pub mod run;
pub mod signals;
#[cfg(feature = "dpdk")]
pub mod start;
pub mod survey;
#[cfg(feature = "dpdk")]
pub mod twin;
#[cfg(feature = "dpdk")]
mod watch;
#[cfg(feature = "dpdk")]
mod watchdog;
