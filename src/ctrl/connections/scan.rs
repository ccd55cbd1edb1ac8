//! The walk through the table.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;

use super::{ConnectionReport, Filter, Flushed};
use crate::dataplane::address::{Family, TransportAddress};
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{Key, Slot, TemplateKey, Tick, Value, WideKey};
use crate::dataplane::persist;
use crate::dataplane::selector::Selector;
use crate::dataplane::service::{EndpointId, RealId};
use crate::dataplane::shared::{Kept, Shared};
use crate::dataplane::snapshot::{Snapshot, Viewer};

/// Lines looked at in one go: well under a millisecond.
const PIECE: u32 = 4096;

/// How often a connection that changes meanwhile is tried.
const TRIES: u32 = 16;

/// Who has which id, those included that were removed from the configuration and may still have connections.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Virtual services by endpoint id.
    pub services: HashMap<EndpointId, Selector>,
    /// Real servers by id.
    pub reals: HashMap<RealId, TransportAddress>,
}

/// A walk through the connection tables, piece by piece.
#[derive(Clone)]
pub struct Scan {
    shared: Arc<Shared>,
    viewer: Viewer,
    names: Arc<Names>,
    filter: Filter,
    now: Now,
    /// The next line, counted through both tables.
    next: u64,
}

/// Some lines of one table.
enum Piece {
    Narrow(Range<u32>),
    Wide(Range<u32>),
    Templates(Range<u32>),
}

impl Scan {
    /// A walk from the start, by the director's time `now`.
    pub fn new(shared: Arc<Shared>, viewer: Viewer, names: Names, filter: Filter, now: Now) -> Self {
        Self { shared, viewer, names: Arc::new(names), filter, now, next: 0 }
    }

    /// The next piece of one of the tables; `None` at the end of all.
    fn piece(&mut self) -> Option<Piece> {
        let Shared { table, wide, templates, .. } = &*self.shared;
        let pieces: [fn(Range<u32>) -> Piece; 3] = [Piece::Narrow, Piece::Wide, Piece::Templates];
        let lines = [table.lines(), wide.lines(), templates.lines()];
        let mut first = 0;
        for (lines, piece) in lines.into_iter().zip(pieces) {
            let start = self.next - first;
            if start < u64::from(lines) {
                let end = (start + u64::from(PIECE)).min(lines.into());
                self.next = first + end;
                return Some(piece(start as u32..end as u32));
            }
            first += u64::from(lines);
        }
        None
    }

    /// The connections in these lines that are meant.
    fn meant<K: Kept>(&self, lines: Range<u32>) -> Vec<(Slot, K, Value, ConnectionReport)> {
        let snapshot = self.viewer.current();
        let mut meant = Vec::new();
        K::table(&self.shared).each(lines, |slot, key, value| {
            if let Some(report) = self.report(&snapshot, key, value)
                && (self.filter.matches(&report) || self.matches_every_port(key, &report))
            {
                meant.push((slot, key, value, report));
            }
        });
        meant
    }

    /// Tells whether a connection to a service of every port is meant by that service's own name, `VIP:0`.
    fn matches_every_port<K: Kept>(&self, key: K, report: &ConnectionReport) -> bool {
        let service = key.destination().and_then(|_| self.names.services.get(&key.endpoint())?.socket());
        service.is_some_and(|service| self.filter.matches(&ConnectionReport { service, ..report.clone() }))
    }

    /// Tells what an entry is; `None` for a link, and for one whose service nobody remembers.
    fn report<K: Kept>(&self, snapshot: &Snapshot, key: K, value: Value) -> Option<ConnectionReport> {
        if value.is_link() {
            return None;
        }
        let selector = self.names.services.get(&key.endpoint())?;
        let destination = key.destination().map(TransportAddress::to_socket).or(selector.socket())?;
        let kept = |real: &TransportAddress| {
            let port = if real.port == 0 { destination.port() } else { real.port };
            SocketAddr::new(real.address.to_ip(), port)
        };
        Some(ConnectionReport {
            protocol: value.state().protocol().to_owned(),
            state: value.state().name().to_owned(),
            expires_seconds: snapshot.timeouts.remaining(value, Tick::at(self.now)),
            client: key.client().to_socket(),
            service: destination,
            mark: selector.mark(),
            real: self.names.reals.get(&value.real()).map(kept),
            answers_seen: !value.no_output(),
        })
    }

    /// The templates in these lines that are meant.
    fn meant_templates(&self, lines: Range<u32>) -> Vec<(Slot, TemplateKey, Value, ConnectionReport)> {
        let snapshot = self.viewer.current();
        let mut meant = Vec::new();
        self.shared.templates.each(lines, |slot, key, value| {
            if let Some(report) = self.report_template(&snapshot, key, value)
                && self.filter.matches(&report)
            {
                meant.push((slot, key, value, report));
            }
        });
        meant
    }

    /// Tells what a template is, as `ipvsadm -Lnc` does: a connection of the client's port 0. A mark looks like an address.
    fn report_template(&self, snapshot: &Snapshot, key: TemplateKey, value: Value) -> Option<ConnectionReport> {
        let selector = self.names.services.get(&key.service())?;
        let (protocol, service) = match *selector {
            Selector::Socket(service, protocol) => (protocol.to_string(), service),
            Selector::Range(pattern) | Selector::Match(pattern) => {
                let port = pattern.ports.one().unwrap_or(0);
                (selector.protocol().to_owned(), SocketAddr::new(pattern.to.first, port))
            }
            // IPVS has it in the first four octets.
            Selector::Mark(mark, Family::V4) => ("IP".to_owned(), (Ipv4Addr::from_bits(mark), 0).into()),
            Selector::Mark(mark, Family::V6) => {
                ("IP".to_owned(), (Ipv6Addr::from_bits(u128::from(mark) << 96), 0).into())
            }
        };
        Some(ConnectionReport {
            protocol,
            state: value.state().name().to_owned(),
            expires_seconds: snapshot.timeouts.remaining(value, Tick::at(self.now)),
            client: SocketAddr::new(key.client().to_ip(), 0),
            service,
            mark: selector.mark(),
            real: self.names.reals.get(&value.real()).map(|real| real.to_socket()),
            answers_seen: false,
        })
    }

    /// Removes the connections of the next piece that are meant, and adds to `flushed`; `None` at the end. One flush at
    /// a time, and half a second apart: control's counts have one writer, and see [`Table::flush`].
    ///
    /// [`Table::flush`]: crate::dataplane::conn::Table::flush
    pub fn flush(&mut self, flushed: &mut Flushed) -> Option<()> {
        match self.piece()? {
            Piece::Narrow(lines) => self.flush_lines::<Key>(lines, flushed),
            Piece::Wide(lines) => self.flush_lines::<WideKey>(lines, flushed),
            Piece::Templates(lines) => self.flush_templates(lines, flushed),
        }
        Some(())
    }

    fn flush_lines<K: Kept>(&self, lines: Range<u32>, flushed: &mut Flushed) {
        let snapshot = self.viewer.current();
        for (slot, key, value, _) in self.meant::<K>(lines) {
            if self.remove(&snapshot, slot, key, value) { flushed.removed += 1 } else { flushed.kept += 1 }
        }
    }

    fn flush_templates(&self, lines: Range<u32>, flushed: &mut Flushed) {
        for (slot, _, value, _) in self.meant_templates(lines) {
            if self.shared.templates.flush(slot, value, Tick::at(self.now)) {
                self.shared.control_counts().removed(value);
                flushed.removed += 1;
            } else {
                flushed.kept += 1;
            }
        }
    }

    /// Removes a connection, also when its packets keep changing the entry.
    fn remove<K: Kept>(&self, snapshot: &Snapshot, slot: Slot, key: K, mut value: Value) -> bool {
        let table = K::table(&self.shared);
        for _ in 0..TRIES {
            if table.flush(slot, value, Tick::at(self.now), |real| snapshot.socket(real)) {
                self.shared.control_counts().removed(value);
                K::book(self.shared.control_counts(), -1);
                persist::ended(&self.shared, snapshot, key, value);
                return true;
            }
            match table.read(slot) {
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
        Some(match self.piece()? {
            Piece::Narrow(lines) => self.meant::<Key>(lines).into_iter().map(|(.., report)| report).collect(),
            Piece::Wide(lines) => self.meant::<WideKey>(lines).into_iter().map(|(.., report)| report).collect(),
            Piece::Templates(lines) => self.meant_templates(lines).into_iter().map(|(.., report)| report).collect(),
        })
    }
}
