//! The running director as control sees it: what it is asked for, what it is told, and what it looks after.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use log::{info, warn};

use super::api::{self, DeviceReport, Report};
use super::apply::Applier;
use super::config::{self, Config};
use super::connections::{Filter, Scan};
use super::diff;
use super::survey::Survey;
use crate::dataplane::clock::Now;
use crate::dataplane::service::PortId;
use crate::dataplane::shared::{Event, Shared};
use crate::dataplane::snapshot::Viewer;

/// How often a conflict about one address is logged, whoever claims it: a station that keeps claiming it, under one Ethernet
/// address or many, would fill the log.
const CONFLICT_PAUSE: Duration = Duration::from_secs(10);

/// Tells what the driver of a port counts, by the port's place.
pub type DeviceCounters = Box<dyn Fn(usize) -> DeviceReport + Send + Sync>;

/// A running director.
pub struct Running {
    shared: Arc<Shared>,
    viewer: Viewer,
    file: PathBuf,
    origin: Instant,
    config: ArcSwap<Config>,
    applier: Mutex<Applier>,
    device: DeviceCounters,
    conflicts: Mutex<HashMap<Ipv4Addr, Instant>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Running {
    /// A director that runs `config`, read from `file`; `origin` is the moment its time counts from.
    pub fn new(
        shared: Arc<Shared>,
        applier: Applier,
        config: Config,
        file: PathBuf,
        origin: Instant,
        device: DeviceCounters,
    ) -> Self {
        Self {
            shared,
            viewer: applier.viewer(),
            file,
            origin,
            config: ArcSwap::from_pointee(config),
            applier: Mutex::new(applier),
            device,
            conflicts: Mutex::new(HashMap::new()),
        }
    }

    fn now(&self) -> Now {
        now(self.origin)
    }

    fn applier(&self) -> MutexGuard<'_, Applier> {
        // Whoever panicked with it held, panicked before the snapshot was published.
        self.applier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is due once a second.
    pub fn tend(&self) {
        self.applier().tend(self.now());
    }

    /// Notes whether a port has a carrier. A change is logged, and a link that came back hears who is on it.
    pub fn carrier(&self, port: PortId, up: bool) {
        if self.shared.carrier(port) == up {
            return;
        }
        let config = self.config.load();
        let name = config.ports.get(port.index()).map(|port| port.name.as_str()).unwrap_or_default();
        if up {
            info!("port {name}: link up")
        } else {
            warn!("port {name}: link down")
        }
        self.shared.set_carrier(port, up);
        if up {
            self.applier().announce_again(port, &config);
        }
    }

    /// Logs what the workers saw.
    pub fn log_events(&self) {
        while let Some(event) = self.shared.events.pop() {
            let Event::AddressConflict { address, mac, port } = event;
            let mut conflicts = self.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
            conflicts.retain(|_, logged| logged.elapsed() < CONFLICT_PAUSE);
            if !conflicts.contains_key(&address) {
                conflicts.insert(address, Instant::now());
                let name = self.config.load().ports.get(port.index()).map(|port| port.name.clone()).unwrap_or_default();
                warn!("address conflict: {} claims our address {address} on port {name}", diff::mac(&mac));
            }
        }
    }
}

/// The director's time: nanoseconds since `origin`.
pub fn now(origin: Instant) -> Now {
    Now::from_nanos(origin.elapsed().as_nanos() as u64)
}

impl api::Director for Running {
    fn report(&self) -> Report {
        let config = self.config.load();
        let snapshot = self.viewer.current();
        Survey { shared: &self.shared, snapshot: &snapshot, config: &config, now: self.now() }.report(&self.device)
    }

    fn scan(&self, filter: Filter) -> Scan {
        Scan::new(Arc::clone(&self.shared), self.viewer.clone(), self.applier().names(), filter, self.now())
    }

    fn reload(&self) -> Result<Vec<String>, String> {
        let mut applier = self.applier();
        let next = config::load(&self.file).map_err(|error| error.to_string())?.config;
        let changes = diff::changes(&self.config.load(), &next).map_err(|error| error.to_string())?;
        if !changes.is_empty() {
            applier.apply(&next, self.now()).map_err(|error| error.to_string())?;
            self.config.store(Arc::new(next));
        }
        for change in &changes {
            info!("reload: {change}");
        }
        info!("reload: {} changes, generation {}", changes.len(), self.viewer.current().generation);
        Ok(changes)
    }
}
