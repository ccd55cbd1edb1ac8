//! The walk through the table.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use hashbrown::HashMap;

use super::{ConnectionReport, Filter, Flushed};
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{Identity, Key, Slot, Tick, Value};
use crate::dataplane::service::{EndpointId, RealId};
use crate::dataplane::shared::Shared;
use crate::dataplane::snapshot::{Snapshot, Viewer};

/// Lines looked at in one go: well under a millisecond.
const PIECE: u32 = 4096;

/// How often a connection that changes meanwhile is tried.
const TRIES: u32 = 16;

/// Who has which id, those included that were removed from the configuration and may still have connections.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Virtual services by endpoint id.
    pub services: HashMap<EndpointId, SocketAddrV4>,
    /// Real servers by id.
    pub reals: HashMap<RealId, SocketAddrV4>,
}

/// A walk through the connection table, piece by piece.
#[derive(Clone)]
pub struct Scan {
    shared: Arc<Shared>,
    viewer: Viewer,
    names: Arc<Names>,
    filter: Filter,
    now: Now,
    next: u32,
}

impl Scan {
    /// A walk from the start, by the director's time `now`.
    pub fn new(shared: Arc<Shared>, viewer: Viewer, names: Names, filter: Filter, now: Now) -> Self {
        Self { shared, viewer, names: Arc::new(names), filter, now, next: 0 }
    }

    /// Looks at the next piece, and tells `found` of each connection in it that is meant; `None` at the end.
    fn piece(&mut self, mut found: impl FnMut(Slot, Key, Value, ConnectionReport)) -> Option<()> {
        let lines = self.shared.table.lines();
        let piece = self.next..self.next.saturating_add(PIECE).min(lines);
        if piece.is_empty() {
            return None;
        }
        self.next = piece.end;
        let snapshot = self.viewer.current();
        self.shared.table.each(piece, |slot, key, value| {
            if let Some(report) = self.report(&snapshot, key, value)
                && self.filter.matches(&report)
            {
                found(slot, key, value, report);
            }
        });
        Some(())
    }

    /// Tells what an entry is; `None` for a link, and for one whose service nobody remembers.
    fn report(&self, snapshot: &Snapshot, key: Key, value: Value) -> Option<ConnectionReport> {
        if value.is_link() {
            return None;
        }
        Some(ConnectionReport {
            protocol: value.state().protocol().to_owned(),
            state: value.state().name().to_owned(),
            expires_seconds: snapshot.timeouts.remaining(value, Tick::at(self.now)),
            client: SocketAddr::from((key.client(), key.client_port())),
            service: SocketAddr::V4(*self.names.services.get(&key.endpoint())?),
            real: self.names.reals.get(&value.real()).map(|real| SocketAddr::V4(*real)),
            answers_seen: !value.no_output(),
        })
    }

    /// Removes the connections of the next piece that are meant, and adds to `flushed`; `None` at the end. One flush at
    /// a time, and half a second apart: control's counts have one writer, and see [`Table::flush`].
    ///
    /// [`Table::flush`]: crate::dataplane::conn::Table::flush
    pub fn flush(&mut self, flushed: &mut Flushed) -> Option<()> {
        let mut meant = Vec::new();
        self.piece(|slot, key, value, _| meant.push((slot, key, value)))?;
        let snapshot = self.viewer.current();
        for (slot, key, value) in meant {
            if self.remove(&snapshot, slot, key, value) { flushed.removed += 1 } else { flushed.kept += 1 }
        }
        Some(())
    }

    /// Removes a connection, also when its packets keep changing the entry.
    fn remove(&self, snapshot: &Snapshot, slot: Slot, key: Key, mut value: Value) -> bool {
        for _ in 0..TRIES {
            if self.shared.table.flush(slot, value, Tick::at(self.now), |real| snapshot.socket(real)) {
                self.shared.control_counts().removed(value);
                return true;
            }
            match self.shared.table.read(slot) {
                Some((same, now)) if same == key => value = now,
                _ => return false,
            }
        }
        false
    }
}

impl Iterator for Scan {
    type Item = Vec<ConnectionReport>;

    /// The connections of the next piece that are meant; often none.
    fn next(&mut self) -> Option<Vec<ConnectionReport>> {
        let mut reports = Vec::new();
        self.piece(|_, _, _, report| reports.push(report))?;
        Some(reports)
    }
}
