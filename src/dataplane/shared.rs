//! What all workers and control share: the tables that packets change, the counters, and the two small rings
//! between a worker and control.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use super::address::Address;
use super::conn::{Counts, Identity, Key, Table, Templates, WideKey, WorkerCounts};
use super::fragments::Map;
use super::neigh::Neighbors;
use super::service::PortId;
use super::stand_in::Askers;
use super::stateless::Stateless;
use super::stats::WorkerStats;

/// Something a worker saw that people should read about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another station claims one of the director's addresses (RFC 5227 §2.4).
    AddressConflict {
        /// The address.
        address: Address,
        /// Who claims it.
        mac: [u8; 6],
        /// Where it was heard.
        port: PortId,
    },
}

/// An address to be announced by a gratuitous ARP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The port to send from.
    pub port: PortId,
    /// The address, own or VIP.
    pub address: Address,
}

/// Frames were lost, or counted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{received} frames were received and {ended} are accounted for")]
pub struct Unaccounted {
    /// Frames received.
    pub received: u64,
    /// Frames counted by an outcome.
    pub ended: u64,
}

const EVENTS: usize = 256;
const ANNOUNCEMENTS: usize = 16_384;

/// The shared state. Made once; lives as long as the director.
pub struct Shared {
    /// The connections.
    pub table: Table,
    /// Those to services of many ports.
    pub wide: Table<WideKey>,
    /// Which clients keep to which real server.
    pub templates: Templates,
    /// What became of fragmented datagrams' first fragments.
    pub fragments: Map,
    /// The stations on the director's links.
    pub neighbors: Neighbors,
    /// Counters, one set a worker.
    pub workers: Box<[CachePadded<WorkerStats>]>,
    /// Connections by real server and activity: each worker's, then control's.
    pub counts: Counts,
    /// Whether a real server has reached its upper threshold and not yet fallen below the lower, by id.
    pub overloaded: Box<[AtomicBool]>,
    /// Which services have had to forward without storing connections, and when.
    pub stateless: Stateless,
    /// What the host asks through VIPs, and from which of its ports. Made when the first real server is to be asked so.
    pub askers: OnceLock<Askers>,
    /// From workers to control; when it is full, an event is lost and its packet still counted.
    pub events: ArrayQueue<Event>,
    /// From control to the first worker.
    pub announcements: ArrayQueue<Announcement>,
    carriers: Box<[AtomicBool]>,
}

impl Shared {
    /// Makes the state for this many workers and ports, with room for ids below these.
    ///
    /// # Errors
    /// If there is no memory for what is counted.
    pub fn new(
        (table, wide, templates): (Table, Table<WideKey>, Templates),
        workers: usize,
        ports: usize,
        endpoint_ids: usize,
        real_ids: usize,
    ) -> io::Result<Self> {
        let one = || Ok(WorkerStats::new(ports, endpoint_ids, real_ids)?.into());
        Ok(Self {
            fragments: Map::new(table.secret()),
            table,
            wide,
            templates,
            neighbors: Neighbors::default(),
            workers: (0..workers).map(|_| one()).collect::<io::Result<_>>()?,
            counts: Counts::new(workers + 1)?,
            overloaded: (0..real_ids).map(|_| AtomicBool::new(false)).collect(),
            stateless: Stateless::new(endpoint_ids),
            askers: OnceLock::new(),
            events: ArrayQueue::new(EVENTS),
            announcements: ArrayQueue::new(ANNOUNCEMENTS),
            carriers: (0..ports).map(|_| AtomicBool::new(true)).collect(),
        })
    }

    /// Checks, once no worker runs, that every frame received had one outcome, and returns how many there were.
    ///
    /// # Errors
    /// What does not add up.
    pub fn account(&self) -> Result<u64, Unaccounted> {
        let received = self.workers.iter().map(|worker| worker.received()).sum();
        let ended = self.workers.iter().map(|worker| worker.ended()).sum();
        if received == ended { Ok(received) } else { Err(Unaccounted { received, ended }) }
    }

    /// Where control books the connections that it removes itself.
    pub fn control_counts(&self) -> &WorkerCounts {
        self.counts.worker(self.workers.len())
    }

    /// Whether a port has carrier.
    #[inline]
    pub fn carrier(&self, port: PortId) -> bool {
        self.carriers[port.index()].load(Ordering::Relaxed)
    }

    /// Notes whether a port has carrier. Only control calls this.
    pub fn set_carrier(&self, port: PortId, up: bool) {
        self.carriers[port.index()].store(up, Ordering::Relaxed);
    }
}

/// A key whose connections are kept here.
pub trait Kept: Identity {
    /// The table that keeps them.
    fn table(shared: &Shared) -> &Table<Self>;

    /// Books that so many more connections are in that table, where it is one whose connections are counted apart.
    #[inline(always)]
    fn book(_counts: &WorkerCounts, _more: i64) {}
}

impl Kept for Key {
    #[inline(always)]
    fn table(shared: &Shared) -> &Table<Self> {
        &shared.table
    }
}

impl Kept for WideKey {
    #[inline(always)]
    fn table(shared: &Shared) -> &Table<Self> {
        &shared.wide
    }

    #[inline]
    fn book(counts: &WorkerCounts, more: i64) {
        counts.wide(more);
    }
}
