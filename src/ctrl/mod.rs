//! What runs on the control thread: the configuration, the API, signals. It fills the data plane's plain types;
//! the data plane never imports it.

pub mod api;
pub mod config;
pub mod diff;
pub mod listing;
pub mod signals;
