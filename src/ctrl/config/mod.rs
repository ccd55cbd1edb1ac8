//! The configuration: TOML in, a checked [`Config`] out. A wrong file is refused here and nowhere later.
//!
//! [`load`] reads and checks a file without looking at the machine, so that any machine can check it;
//! [`Machine::check`] then compares it with the machine it is to run on. Every refusal is one line that names
//! file, line and key.
//!
//! TOML and JSON are read alike: both become a [`document`]. Inside, `section` knows types, `read` knows each table, `check`
//! knows what must hold between them. [`write`](mod@write) makes a document of a configuration again, and [`parts`] reads what
//! comes alone in a request: a service, a real server, keys to replace.

mod announce;
mod answers;
mod api;
mod bag;
mod changed;
mod check;
mod device;
pub mod document;
mod families;
mod health;
mod index;
mod keys;
mod known;
mod local_pool;
mod machine;
mod mirror;
mod model;
pub mod name;
mod notify;
pub mod parts;
mod reach;
mod read;
mod scheduler;
pub(super) mod schema;
mod section;
mod selector;
mod source;
mod summary;
#[cfg(test)]
mod tests;
mod through;
mod value;
pub mod write;

use std::fs;
use std::path::Path;

use toml::de::DeTable;

pub use changed::Changed;
pub use check::{MAX_ENDPOINTS, MAX_REALS};
pub use device::Device;
pub use health::check_type;
pub use index::Index;
pub(super) use keys::Keys;
pub use machine::Machine;
pub use mirror::protocol_name;
pub use model::{
    Addresses, Announce, Api, Check, Checks, Config, Director, Forwarding, Health, Listen, LocalPool, Mark, Mirror,
    Neighbor, Notify, OnFailure, Pattern, Poll, Port, Protocol, Queues, Quorum, Real, Receiver, Route, Rules,
    Scheduler, Selector, Service, Thresholds, Timeouts, Tls, Transit,
};
pub use notify::DEFAULT_NOTIFY_TIMEOUT;
pub use reach::Reach;
pub use read::{DEFAULT_MAX_CONNECTIONS, DEFAULT_MTU, DEFAULT_SOCKET};
pub(super) use section::Section;
pub use source::{ConfigError, Source};

/// A configuration and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What the file says, checked.
    pub config: Config,
    /// Where it says so, for errors that are found out later.
    pub source: Source,
}

/// Checks what must hold between the parts of a configuration that is in no file.
///
/// # Errors
/// The first mistake in it; its key is the place in the configuration as a document.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    check::whole(config, &Source::none())
}

/// Reads and checks the file at `path`.
///
/// # Errors
/// The first mistake in it.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let text = fs::read_to_string(path).map_err(|cause| ConfigError::unreadable(path, &cause))?;
    parse(path, &text)
}

/// Checks `text`, which messages will say was read from `file`.
///
/// # Errors
/// The first mistake in it.
pub fn parse(file: &Path, text: &str) -> Result<Loaded, ConfigError> {
    let root = DeTable::parse(text).map_err(|cause| ConfigError::syntax(file, text, &cause))?;
    let source = Source::of_file(file, text, root.get_ref());
    let config = read::file(&source, &root.into_inner().into())?;
    check::whole(&config, &source)?;
    Ok(Loaded { config, source })
}
