//! Changes of the desired state: what is asked of a running director, as data.
//!
//! A [`Transaction`] is a list of changes that apply in their order, each to what those before it have made, all or none.
//! What comes out is a whole configuration, checked as a file is, and differs from the running one in what the changes name:
//! every other service is the same value in memory. A service that is added comes behind all others, which matters to ranges
//! and matches: the first that fits a packet has it.

mod draft;
mod read;
mod refused;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::config::document::Table;
use super::config::{Config, ConfigError};
use draft::Draft;
pub use refused::{Kind, Refused};

/// Changes that apply together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Transaction {
    /// The version of the desired state that they are for; none for whatever runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Whether it is only said what would change.
    pub dry_run: bool,
    /// The changes, in their order.
    pub changes: Vec<Change>,
}

/// One change. Services and real servers have the keys and values of the configuration file; a service is named by those
/// that say what it is for (`address` and `protocol`, `match` or `mark`), a real server by its address and port.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Change {
    /// Adds a service, behind all others.
    AddService {
        /// Its keys, `real` included.
        service: Table,
    },
    /// Replaces keys of a service; those that are null go back to their defaults.
    SetService {
        /// Which service.
        service: Table,
        /// Any keys but those that say which service it is, and `real`.
        set: Table,
    },
    /// Removes a service and its real servers.
    RemoveService {
        /// Which service.
        service: Table,
    },
    /// Removes all services.
    Clear,
    /// Adds a real server.
    AddReal {
        /// To which service.
        service: Table,
        /// Its keys.
        real: Table,
    },
    /// Replaces keys of a real server; those that are null go back to their defaults.
    SetReal {
        /// Of which service.
        service: Table,
        /// Which real server.
        real: String,
        /// Any keys but `address`.
        set: Table,
    },
    /// Removes a real server.
    RemoveReal {
        /// Of which service.
        service: Table,
        /// Which real server.
        real: String,
    },
    /// Replaces keys of `[timeouts]`.
    SetTimeouts {
        /// Times as in the file, or seconds; null for the default.
        set: Table,
    },
}

impl Transaction {
    /// Changes for whatever runs.
    pub fn new(changes: impl IntoIterator<Item = Change>) -> Self {
        Self { changes: changes.into_iter().collect(), ..Self::default() }
    }

    /// Returns what `running` becomes; `check` says whether that is right as a whole, as [`check`](super::config::check) does.
    ///
    /// # Errors
    /// The first change that cannot be made, or what the whole would have wrong with it.
    pub fn apply(
        &self,
        running: &Config,
        check: impl FnOnce(&Config) -> Result<(), ConfigError>,
    ) -> Result<Config, Refused> {
        let mut draft = Draft::new(running);
        for (place, change) in self.changes.iter().enumerate() {
            draft.make(place, change).map_err(|refused| refused.at(place))?;
        }
        draft.finish(check).map_err(|refused| match self.changes.len() {
            1 => refused.at(0),
            _ => refused,
        })
    }
}
