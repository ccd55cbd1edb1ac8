//! Why a change is not made.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ctrl::config::ConfigError;

/// Why no change was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// Why, in one line.
    pub error: String,
    /// The same for programs.
    pub kind: Kind,
    /// The change that is to blame, counted from 0; none if it is not one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<usize>,
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RefusalKind")]
pub enum Kind {
    /// The service is there already.
    ServiceExists,
    /// There is no such service.
    NoSuchService,
    /// The service has this real server already.
    RealExists,
    /// The service has no such real server.
    NoSuchReal,
    /// The desired state has changed since the version that the changes are for.
    Version,
    /// A key or value is wrong, or what would come out is.
    Invalid,
    /// The file changes what only a start reads.
    Restart,
}

impl Refused {
    /// A refusal that blames no change yet.
    pub fn new(kind: Kind, error: impl Into<String>) -> Self {
        Self { error: error.into(), kind, change: None }
    }

    /// Blames the change at `place`.
    pub(super) fn at(self, place: usize) -> Self {
        Self { change: Some(place), ..self }
    }
}

impl From<ConfigError> for Refused {
    fn from(error: ConfigError) -> Self {
        Self::new(Kind::Invalid, error.to_string())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl std::error::Error for Refused {}
