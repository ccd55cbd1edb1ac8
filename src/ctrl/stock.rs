//! What the workers share, made to a configuration's measure, and the books at the end.

use std::io;

use super::apply::{MAX_ENDPOINTS, MAX_REALS};
use super::config::Config;
use crate::dataplane::conn::Table;
use crate::dataplane::shared::Shared;
use crate::dataplane::stats::Outcome;

/// Why there is nothing to share.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// The table does not fit.
    #[error("no memory for a table of {connections} connections (director.max_connections): {cause}")]
    Table {
        /// How many it was to hold.
        connections: usize,
        /// The kernel's word.
        cause: io::Error,
    },
    /// The counters do not fit.
    #[error("no memory for the workers' counters: {0}")]
    Counters(io::Error),
    /// The kernel has no random numbers.
    #[error("no random numbers for the connection table: {0}")]
    Random(io::Error),
}

/// Draws the secret that keeps strangers from choosing where in the table their connections lie.
///
/// # Errors
/// If the kernel has no random numbers.
pub fn random_secret() -> Result<[u64; 4], StockError> {
    let mut octets = [0u8; 32];
    let got = rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty());
    // Requests of up to 256 octets are answered whole (getrandom(2)).
    got.map_err(|cause| StockError::Random(cause.into()))?;
    let mut words = octets.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
    Ok(std::array::from_fn(|_| words.next().unwrap_or_default()))
}

/// Makes the shared state of `workers` workers.
///
/// # Errors
/// If there is no memory for it.
pub fn shared(config: &Config, workers: usize, secret: [u64; 4]) -> Result<Shared, StockError> {
    let connections = config.director.max_connections;
    let table = Table::new(connections, secret).map_err(|cause| StockError::Table { connections, cause })?;
    // Ids run from 0 or 1 to the maximum.
    let (endpoints, reals) = (MAX_ENDPOINTS as usize + 1, MAX_REALS as usize + 1);
    Shared::new(table, workers, config.ports.len(), endpoints, reals).map_err(StockError::Counters)
}

/// Checks, once no worker runs, that every frame received had one outcome.
///
/// # Errors
/// How many are missing or were counted twice.
pub fn account(shared: &Shared) -> Result<(), String> {
    let received: u64 = shared.workers.iter().map(|worker| worker.received()).sum();
    let outcomes = shared.workers.iter().flat_map(|worker| Outcome::ALL.iter().map(|outcome| worker.outcome(*outcome)));
    let ended: u64 = outcomes.sum();
    if received == ended {
        log::info!("{received} frames received, every one accounted for");
        Ok(())
    } else {
        Err(format!("{received} frames were received and {ended} are accounted for"))
    }
}
