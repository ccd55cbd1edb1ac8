//! The desired state: what the director is to do, and how often that has changed.

use super::config::Config;

/// The desired state at one moment. There is one at a time; it is replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// 1 at the start; each reload and each request that changes something adds 1.
    pub version: u64,
    /// What is to be done.
    pub config: Config,
}

impl Desired {
    /// What the director starts with.
    pub fn first(config: Config) -> Self {
        Self { version: 1, config }
    }

    /// The next one.
    pub fn next(&self, config: Config) -> Self {
        Self { version: self.version + 1, config }
    }
}
