//! By what the running director's host asks real servers through their VIPs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use log::{error, warn};

use super::super::apply::{Applier, ApplyError};
use super::super::config::Config;
use super::super::health::stand_ins::Directory;
use super::Running;

/// How long a change waits for the host to have a route to stand-ins: it comes within a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who is asked through VIPs.
#[derive(Default)]
pub(super) struct Asked {
    directory: ArcSwap<Directory>,
    /// Whether the host has a route to them, where somebody sees to one.
    route: OnceLock<Arc<AtomicBool>>,
}

impl Running {
    /// Makes it known to the workers, at the start. `route` tells whether the host has one to stand-ins, if somebody sees to it.
    ///
    /// # Errors
    /// If there is no memory for that.
    pub fn stand_in(&self, route: Option<Arc<AtomicBool>>) -> Result<(), ApplyError> {
        if let Some(route) = route {
            // Nobody else sets it.
            let _ = self.asked.route.set(route);
        }
        let Some(first) = self.through().follow(None, &self.desired.load().config) else { return Ok(()) };
        self.control().applier.stand_in(first.stand_ins())?;
        self.asked.directory.store(Arc::new(first));
        Ok(())
    }

    /// Goes over from one desired state to the next, before its checks begin. Returns what was before. May block.
    pub(super) fn ask_of(&self, applier: &mut Applier, running: &Config, next: &Config) -> Arc<Directory> {
        let before = self.through();
        if let Some(next) = before.follow(Some(running), next) {
            let first = before.is_empty() && !next.is_empty();
            self.ask_by(applier, Arc::new(next));
            if first {
                self.await_route();
            }
        }
        before
    }

    /// Waits until the host has a route to stand-ins: a check that is made before would fail.
    fn await_route(&self) {
        let Some(route) = self.asked.route.get() else { return };
        let start = Instant::now();
        while !route.load(Ordering::Relaxed) {
            if start.elapsed() >= PATIENCE {
                warn!("the host has no route to stand-ins yet: checks through VIPs may fail");
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Has the workers know real servers by these stand-ins; what they know already costs nothing.
    pub(super) fn ask_by(&self, applier: &mut Applier, directory: Arc<Directory>) {
        match applier.stand_in(directory.stand_ins()) {
            Ok(()) => self.asked.directory.store(directory),
            Err(error) => error!("no more real servers are asked through their VIPs: {error}"),
        }
    }

    /// Who has which stand-in.
    pub fn through(&self) -> Arc<Directory> {
        self.asked.directory.load_full()
    }
}
