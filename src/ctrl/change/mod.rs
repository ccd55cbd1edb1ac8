//! Changes of the desired state: what is asked of a running director, as data.
//!
//! A [`Transaction`] is a list of changes that apply in their order, each to what those before it have made: all or none, unless it
//! asks for those to be left out that are refused. Either way they take effect together.
//! What comes out is a whole configuration, checked as a file is, and differs from the running one in what the changes name:
//! every other service is the same value in memory. A service that is added comes behind all others, which matters to ranges
//! and matches: the first that fits a packet has it.

mod draft;
mod each;
mod read;
mod refused;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Serialize;

use super::config::document::Table;
use super::config::schema::{self, Set, Written};
use super::config::{Config, ConfigError};
use draft::Draft;
pub use refused::{Kind, Refused};

/// The most changes of one transaction.
pub const MOST: usize = 100_000;

/// Changes that apply together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Transaction {
    /// The version of the desired state that they are for; none for whatever runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", default)]
    pub version: Option<u64>,
    /// Whether it is only said what would change.
    #[schemars(default)]
    pub dry_run: bool,
    /// Whether a change that is refused is left out, and the others are made.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub skip_refused: bool,
    /// The changes, in their order.
    #[schemars(length(max = MOST))]
    pub changes: Vec<Change>,
}

/// One change. Services and real servers have the keys and values of the configuration file; a service is named by those
/// that say what it is for (`address` and `protocol`, `match` or `mark`), a real server by its address and port.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Change {
    /// Adds a service, behind all others.
    AddService {
        /// Its keys, `real` included.
        #[schemars(with = "Written<schema::Service>")]
        service: Table,
    },
    /// Replaces keys of a service; those that are null go back to their defaults.
    SetService {
        /// Which service.
        #[schemars(with = "Written<schema::Key>")]
        service: Table,
        /// Any keys but those that say which service it is, and `real`.
        #[schemars(with = "Set<schema::Service>")]
        set: Table,
    },
    /// Removes a service and its real servers.
    RemoveService {
        /// Which service.
        #[schemars(with = "Written<schema::Key>")]
        service: Table,
    },
    /// Removes all services.
    Clear,
    /// Adds a real server.
    AddReal {
        /// To which service.
        #[schemars(with = "Written<schema::Key>")]
        service: Table,
        /// Its keys.
        #[schemars(with = "Written<schema::Real>")]
        real: Table,
    },
    /// Replaces keys of a real server; those that are null go back to their defaults.
    SetReal {
        /// Of which service.
        #[schemars(with = "Written<schema::Key>")]
        service: Table,
        /// Which real server.
        real: String,
        /// Any keys but `address`.
        #[schemars(with = "Set<schema::Real>")]
        set: Table,
    },
    /// Removes a real server.
    RemoveReal {
        /// Of which service.
        #[schemars(with = "Written<schema::Key>")]
        service: Table,
        /// Which real server.
        real: String,
    },
    /// Replaces keys of `[timeouts]`.
    SetTimeouts {
        /// Times as in the file, or seconds; null for the default.
        #[schemars(with = "Set<schema::Timeouts>")]
        set: Table,
    },
}

impl Transaction {
    /// Changes for whatever runs.
    pub fn new(changes: impl IntoIterator<Item = Change>) -> Self {
        Self { changes: changes.into_iter().collect(), ..Self::default() }
    }

    /// Returns what `running` becomes. `check` says whether it may go over from one configuration to another, which it then has;
    /// what it says of the other has to be what [`check`](super::config::check) says.
    ///
    /// # Errors
    /// The first change that cannot be made, or what the whole would have wrong with it; never if what is refused is left out.
    pub fn apply(
        &self,
        running: &Config,
        mut check: impl FnMut(&Config, &Config) -> Result<(), ConfigError>,
    ) -> Result<Made, Refused> {
        if self.skip_refused {
            return Ok(self.apply_each(running, check));
        }
        let mut draft = Draft::new(running);
        for (place, change) in self.changes.iter().enumerate() {
            draft.make(place, change).map_err(|refused| refused.at(place))?;
        }
        let config = draft.finish(|next| check(running, next)).map_err(|refused| match self.changes.len() {
            1 => refused.at(0),
            _ => refused,
        })?;
        Ok(Made { config, refused: Vec::new() })
    }

    fn apply_each(&self, running: &Config, mut check: impl FnMut(&Config, &Config) -> Result<(), ConfigError>) -> Made {
        let (mut config, mut left_out) = (running.clone(), Vec::new());
        let mut refused = each::each(self.changes.len(), |places| {
            let (mut draft, mut without) = (Draft::new(&config), Vec::new());
            for (place, change) in places.clone().zip(&self.changes[places]) {
                without.extend(draft.make(place, change).err().map(|refused| refused.at(place)));
            }
            let next = draft.finish(|next| check(&config, next))?;
            config = next;
            left_out.append(&mut without);
            Ok(())
        });
        refused.append(&mut left_out);
        refused.sort_by_key(|refused| refused.change);
        Made { config, refused }
    }
}

/// What changes have made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The configuration with them.
    pub config: Config,
    /// Those that were left out, in their order.
    pub refused: Vec<Refused>,
}
