//! Control in a replay: what the control thread of a running director does, by the captures' clock.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::ReplayError;
use crate::cli::TimedFile;
use crate::ctrl::apply::Applier;
use crate::ctrl::config::{self, Config};
use crate::ctrl::diff;
use crate::ctrl::health::stand_ins::Directory;
use crate::ctrl::start::StartError;
use crate::dataplane::clock::Now;

/// The configurations to come, in the order of their time.
pub(super) struct Reloads(VecDeque<Reload>);

struct Reload {
    at: Now,
    file: PathBuf,
    config: Config,
}

impl Reloads {
    /// Reads and checks them, each as the next of the one before; `first` is what runs until then.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn read(first: &Config, files: &[TimedFile]) -> Result<Self, ReplayError> {
        let mut files: Vec<&TimedFile> = files.iter().collect();
        files.sort_by_key(|timed| timed.after);
        let mut reloads = VecDeque::<Reload>::new();
        for TimedFile { after, file } in files {
            let config = config::load(file)?.config;
            let before = reloads.back().map_or(first, |reload| &reload.config);
            diff::changes(before, &config).map_err(|refused| ReplayError::Reload(file.clone(), refused))?;
            let at = Now::from_nanos(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
            reloads.push_back(Reload { at, file: file.clone(), config });
        }
        Ok(Self(reloads))
    }
}

/// What publishes configurations, and when it is to.
pub(super) struct Control {
    /// The publisher.
    pub applier: Applier,
    /// What runs.
    pub config: Config,
    reloads: Reloads,
    directory: Directory,
}

impl Control {
    /// Goes on from `config`, which `applier` has applied.
    pub fn new(applier: Applier, config: Config, reloads: Reloads) -> Self {
        Self { applier, config, reloads, directory: Directory::default() }
    }

    /// Makes known by which stand-ins the first configuration's real servers are asked.
    ///
    /// # Errors
    /// If there is no memory for that.
    pub fn begin(&mut self) -> Result<(), ReplayError> {
        self.stand_in(self.directory.follow(None, &self.config))
    }

    fn stand_in(&mut self, next: Option<Directory>) -> Result<(), ReplayError> {
        let Some(next) = next else { return Ok(()) };
        self.applier.stand_in(next.stand_ins()).map_err(StartError::Apply)?;
        self.directory = next;
        Ok(())
    }

    /// When the next reload is due.
    pub fn next(&self) -> Option<Now> {
        self.reloads.0.front().map(|reload| reload.at)
    }

    /// Goes over to the next configuration.
    ///
    /// # Errors
    /// If it cannot be applied.
    pub fn reload(&mut self, now: Now) -> Result<(), ReplayError> {
        if let Some(Reload { config, .. }) = self.reloads.0.pop_front() {
            self.applier.apply(&config, now).map_err(StartError::Apply)?;
            self.stand_in(self.directory.follow(Some(&self.config), &config))?;
            self.config = config;
        }
        Ok(())
    }

    /// Checks, at the end, that every configuration had its time.
    ///
    /// # Errors
    /// The first that had not.
    pub fn finished(&self) -> Result<(), ReplayError> {
        self.reloads.0.front().map_or(Ok(()), |reload| Err(ReplayError::Unreached(reload.file.clone())))
    }
}
