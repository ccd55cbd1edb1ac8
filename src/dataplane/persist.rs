//! Persistence: a client's connections to a service go to the real server that its template names.
//!
//! A service of several addresses or ports, by `match` or by mark has one template for a client's connections to all of them, so
//! that marks group services as in IPVS, where a template names the mark in the place of a VIP.
//!
//! Only what opens a connection comes here. As in IPVS (`ip_vs_sched_persist`): a template's real server takes the
//! connection whatever its weight and its thresholds, so that a drained server keeps its clients until their templates end;
//! with `expire_quiescent_template` one of weight 0 does not. A template whose real server is gone gets another.

use super::conn::{Class, Made, State, Template, TemplateKey, Value};
use super::connect::Connector;
use super::parse::Parsed;
use super::service::{RealId, RealServer, Service};
use super::shared::{Kept, Shared};
use super::snapshot::{LatestPersistence, Snapshot};
use super::stats::Outcome;

/// A real server for a new connection, and the template by which it was chosen, if any.
pub(super) type Picked<'a> = (&'a RealServer, Option<Template>);

impl<'a> Connector<'a> {
    /// Notes in a new connection of a service whether a template controls it.
    pub(super) fn controlled(&self, service: &Service, template: Option<Template>, connection: Value) -> Value {
        let latest = self.snapshot.latest_persistence(service.id).filter(|_| template.is_some());
        latest.map_or(connection, |latest| connection.with_controlled(true).with_era(latest.era))
    }

    /// Chooses the real server of a new connection, after `refused` where its replies could not be told apart.
    pub(super) fn pick(
        &mut self,
        service: &Service,
        packet: &Parsed,
        refused: Option<RealId>,
    ) -> Result<Picked<'a>, Outcome> {
        let Some(persistence) = service.persistence else {
            return Ok((self.choose(service, packet, refused)?, None));
        };
        if refused.is_some() {
            // Its template has no other.
            return Err(Outcome::DropAmbiguous);
        }
        let key = TemplateKey::new(packet.src, persistence.prefix, service.address.address, service.id);
        let found = self.shared.templates.find(key);
        if let Some(template) = found
            && let Some(real) = self.usable(service, template)
        {
            return Ok((real, Some(template)));
        }
        let real = self.choose(service, packet, None)?;
        if service.sorry == Some(real.id) {
            return Ok((real, None));
        }
        let moved = found.and_then(|template| self.reassign(template, real));
        let template = moved.or_else(|| self.template(key, real));
        // Two workers may have chosen at the same time: one of them had the say.
        let agreed = template.and_then(|template| self.usable(service, template));
        Ok(agreed.map_or((real, None), |real| (real, template)))
    }

    /// A template's real server, if it takes connections.
    fn usable(&self, service: &Service, template: Template) -> Option<&'a RealServer> {
        if template.is_void() {
            return None;
        }
        let mut real = self.snapshot.real(template.real()).filter(|real| real.service == service.id)?;
        if real.place.is_none() {
            // It is reached by another method now, and has an id of its own for that.
            let address = real.address;
            let reals = service.reals.iter().filter_map(|one| self.snapshot.real(one.id));
            real = reals.into_iter().find(|real| real.address == address)?;
        }
        (real.weight > 0 || !self.snapshot.rules.expire_quiescent_template).then_some(real)
    }

    fn reassign(&self, template: Template, real: &RealServer) -> Option<Template> {
        let (old, new) = self.shared.templates.reassign(template, real.id, self.tick()).ok()?;
        match old {
            Some(old) => self.counts.changed(old, new),
            None => self.counts.inserted(new),
        }
        Some(template.with(new))
    }

    fn template(&self, key: TemplateKey, real: &RealServer) -> Option<Template> {
        let evicted = |value| {
            self.counts.removed(value);
            self.stats.evicted_templates.add(1);
        };
        match self.shared.templates.make(key, real.id, self.tick(), evicted) {
            Made::New(template, value) => {
                self.counts.inserted(value);
                Some(template)
            }
            Made::Old(template) => Some(template),
            Made::Full => {
                self.stats.without_template.add(1);
                None
            }
        }
    }

    /// A connection was made through a template.
    pub(super) fn persisted<K: Kept>(&self, template: Option<Template>, key: K, connection: Value) {
        let Some(template) = template else { return };
        self.shared.templates.take(template, self.tick());
        // By tunnel and direct routing a datagram's connection is open from the start: anybody could have sent it.
        if is_open(connection.state())
            && connection.state() != State::UDP
            && let Some(key) = template_key(self.snapshot, key, connection)
        {
            self.shared.templates.assure(key);
        }
    }

    /// A connection's state changed.
    pub(super) fn assure<K: Kept>(&self, key: Option<K>, old: Value, new: Value) {
        if new.controlled()
            && is_open(new.state())
            && !is_open(old.state())
            && let Some(key) = key.and_then(|key| template_key(self.snapshot, key, new))
        {
            self.shared.templates.assure(key);
        }
    }
}

/// Whether a connection in this state assures its template.
const fn is_open(state: State) -> bool {
    matches!(state, State::TCP_ESTABLISHED | State::SCTP_ESTABLISHED | State::UDP)
}

/// The template of a connection, also of a service that was removed or is not persistent any more; `None` if it was made
/// by one of another mask.
fn template_key<K: Kept>(snapshot: &Snapshot, key: K, connection: Value) -> Option<TemplateKey> {
    let LatestPersistence { vip, persistence, era } = *snapshot.latest_persistence(key.endpoint())?;
    if era != connection.era() {
        return None;
    }
    Some(TemplateKey::new(key.client().address, persistence.prefix, vip, key.endpoint()))
}

/// Tells whether a template's time may go on: connections still look for it, and its real server has any at all. After two
/// changes of the mask a template may take connections for its own that are not; not for ever.
pub(super) fn wanted(shared: &Shared, snapshot: &Snapshot, key: TemplateKey, real: RealId) -> bool {
    let persistence = snapshot.service(key.service()).and_then(|service| service.persistence);
    let connections = || shared.counts.connections(real);
    persistence.is_some_and(|persistence| persistence.prefix == key.prefix())
        && connections().active.saturating_add(connections().inactive) > 0
}

/// A connection was removed: its template may end.
pub fn ended<K: Kept>(shared: &Shared, snapshot: &Snapshot, key: K, connection: Value) {
    debug_assert_ne!(connection.class(), Class::Persistent);
    if connection.controlled()
        && let Some(key) = template_key(snapshot, key, connection)
    {
        shared.templates.leave(key);
    }
}
