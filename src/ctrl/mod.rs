//! What runs on the control thread: the configuration, the API, signals. It fills the data plane's plain types;
//! the data plane never imports it.

pub mod api;
pub mod apply;
pub mod config;
pub mod diff;
pub mod director;
pub mod ids;
pub mod link;
pub mod listing;
pub mod signals;
pub mod survey;
