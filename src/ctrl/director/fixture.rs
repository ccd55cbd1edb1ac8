//! A director for tests: it runs, but that it has no workers, and its real servers are checked by nobody.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::super::api::DeviceReport;
use super::super::apply::Applier;
use super::super::config;
use super::{Checked, DeviceCounters, Running};
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{Table, Templates};
use crate::dataplane::shared::Shared;

/// A director of the configuration in `text`.
pub(in crate::ctrl) fn unmanned(text: &str) -> Running {
    let config = config::parse(Path::new("x.toml"), text).unwrap().config;
    let templates = Templates::new(64, [1; 4]).unwrap();
    let tables = (Table::new(64, [1; 4]).unwrap(), Table::new(64, [1; 4]).unwrap(), templates);
    let (ports, workers) = (config.ports.len(), config.director.workers.len());
    let shared = Arc::new(Shared::new(tables, workers, config.lanes(), 1024, 1024).unwrap());
    let macs = (1..=ports as u8).map(|last| [2, 0, 0, 0, 0, last]).collect();
    let applier = Applier::start(Arc::clone(&shared), &config, macs, Now::default()).unwrap();
    let (counters, checked): (DeviceCounters, _) = (Box::new(|_| DeviceReport::default()), Checked::nobody(&config));
    Running::new(shared, applier, config, PathBuf::from("x.toml"), Instant::now(), counters, checked)
}
