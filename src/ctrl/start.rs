//! What `run` and `replay` start with: ports, the state that workers share, and the first snapshot.

use std::io;
use std::sync::Arc;

use super::apply::{Applier, ApplyError, MAX_ENDPOINTS, MAX_REALS};
use super::config::{self, Config};
use super::ports::{Equipment, Ports, PortsError};
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{Table, Templates};
use crate::dataplane::shared::Shared;

/// Why a director does not start; displays as one line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port does not.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// A table does not fit.
    #[error("no memory for a table of {connections} connections (director.{key}): {cause}")]
    Table {
        /// How many it was to hold.
        connections: usize,
        /// Where that is written.
        key: &'static str,
        /// The kernel's word.
        cause: io::Error,
    },
    /// The counters do not fit.
    #[error("no memory for the workers' counters: {0}")]
    Counters(io::Error),
    /// The kernel has no random numbers.
    #[error("no random numbers for the connection table: {0}")]
    Random(io::Error),
    /// The configuration is too large.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// Everything but the workers.
pub struct Start {
    /// The EAL and the devices.
    pub ports: Ports,
    /// What workers share.
    pub shared: Arc<Shared>,
    /// What publishes configurations, the first of which is published.
    pub applier: Applier,
}

impl Start {
    /// Starts the ports and makes the rest for `workers` workers, at the origin of the director's time.
    ///
    /// # Errors
    /// The first thing that fails; what had started is stopped.
    pub fn new(config: &Config, equipment: &Equipment, workers: usize, secret: [u64; 4]) -> Result<Self, StartError> {
        let ports = Ports::start(config, equipment)?;
        let shared = Arc::new(shared(config, workers, secret)?);
        let applier = Applier::start(Arc::clone(&shared), config, ports.macs().to_vec(), Now::default())?;
        Ok(Self { ports, shared, applier })
    }
}

fn shared(config: &Config, workers: usize, secret: [u64; 4]) -> Result<Shared, StartError> {
    let config::Director { max_connections: narrow, max_wide_connections: wide, max_templates: templates, .. } =
        config.director;
    let refused = |connections, key| move |cause| StartError::Table { connections, key, cause };
    let tables = (
        Table::new(narrow, secret).map_err(refused(narrow, "max_connections"))?,
        Table::new(wide, secret).map_err(refused(wide, "max_wide_connections"))?,
        Templates::new(templates, secret).map_err(refused(templates, "max_templates"))?,
    );
    // Ids run from 0 or 1 to the maximum.
    let (endpoints, reals) = (MAX_ENDPOINTS as usize + 1, MAX_REALS as usize + 1);
    Shared::new(tables, workers, config.lanes(), endpoints, reals).map_err(StartError::Counters)
}

/// Draws the secret that keeps strangers from choosing where in the table their connections lie.
///
/// # Errors
/// If the kernel has no random numbers.
pub fn random_secret() -> Result<[u64; 4], StartError> {
    let mut octets = [0u8; 32];
    let got = rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty());
    // Requests of up to 256 octets are answered whole (getrandom(2)).
    got.map_err(|cause| StartError::Random(cause.into()))?;
    let mut words = octets.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
    Ok(std::array::from_fn(|_| words.next().unwrap_or_default()))
}
