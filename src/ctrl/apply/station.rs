//! What packets of a service are sent to, and what answers come from.

use super::super::config;
use super::super::ids::How;
use super::ApplyError;
use super::build::Build;
use super::owner::{EndpointOwner, RealOwner, Socket, outlet_port, socket_of};
use super::part::Station;
use crate::dataplane::address::TransportAddress;
use crate::dataplane::conn::{self, Connections};
use crate::dataplane::service::{EndpointId, Forwarding, RealId, RealServer};

/// A service while it is built.
pub(super) struct Draft<'a> {
    pub id: EndpointId,
    pub wanted: &'a config::Service,
    pub stations: Vec<Station>,
    pub reals: Vec<RealServer>,
    pub restless: bool,
}

impl Build<'_> {
    /// Adds what packets of a service are sent to: a real server by its place among the service's, or the sorry server,
    /// which has none.
    pub(super) fn station(
        &mut self,
        draft: &mut Draft<'_>,
        address: TransportAddress,
        real: &config::Real,
        nth: Option<u32>,
    ) -> Result<RealId, ApplyError> {
        let socket = socket_of(draft.wanted.selector, real.answers_from().into());
        let owner = RealOwner { service: draft.id, address, socket, forwarding: real.forwarding };
        let given = self.applier.reals.assign(owner).ok_or(ApplyError::RealIds)?;
        let id = RealId(given.id);
        if given.how != How::Kept {
            self.given.reals.push(owner);
        }
        if given.how == How::New {
            self.applier.know(&owner, id);
        }
        self.enter(draft, Station { owner, id, lingers: false, shared: None, hop: None }, real, nth)?;
        for (owner, id) in self.others(draft, owner) {
            self.enter(draft, Station { owner, id, lingers: true, shared: None, hop: None }, real, None)?;
        }
        Ok(id)
    }

    fn enter(
        &mut self,
        draft: &mut Draft<'_>,
        mut station: Station,
        real: &config::Real,
        nth: Option<u32>,
    ) -> Result<(), ApplyError> {
        let Station { owner, id, lingers, .. } = station;
        if owner.forwarding.answers_here() {
            station.shared = self.sharing(owner)?;
        }
        station.hop = self.hop(&owner)?;
        draft.stations.push(station);
        draft.reals.push(RealServer {
            id,
            service: draft.id,
            place: nth,
            address: owner.address,
            forwarding: owner.forwarding,
            weight: if lingers { 0 } else { real.weight },
            thresholds: real.thresholds,
            shared: station.shared,
            hop: station.hop,
        });
        Ok(())
    }

    /// Sees whether a real server returns, goes, or is on its way; `before` is the weight it had, 0 if it was not there.
    pub(super) fn start_slowly(
        &mut self,
        service: EndpointId,
        address: TransportAddress,
        real: &config::Real,
        before: u16,
    ) {
        match (before, real.weight) {
            (_, 0) => self.slow_starts.end(service, address),
            (0, _) => self.slow_starts.begin(service, address, real.slow_start, self.now),
            _ => self.slow_starts.change(service, address, real.slow_start),
        }
    }

    /// The same real server by the methods by which it was reached before, where connections still are.
    fn others(&mut self, draft: &mut Draft<'_>, now: RealOwner) -> Vec<(RealOwner, RealId)> {
        let applier = &*self.applier;
        let others = [Forwarding::Nat, Forwarding::FullNat, Forwarding::Tunnel, Forwarding::Direct]
            .map(|forwarding| RealOwner { forwarding, ..now });
        let others = others.into_iter().filter(|owner| *owner != now);
        let mut known: Vec<_> = others.filter_map(|owner| Some((owner, RealId(applier.reals.get(&owner)?)))).collect();
        draft.restless |= !known.is_empty();
        known.retain(|(_, id)| applier.shared.counts.connections(*id) != Connections::default());
        known
    }

    /// Decides whether a NAT socket is shared: from the moment that a second service names it, and then for as long
    /// as its id lives, since connections made meanwhile have links. By full NAT every connection has one.
    fn sharing(&mut self, real: RealOwner) -> Result<Option<conn::Socket>, ApplyError> {
        let RealOwner { service, socket, .. } = real;
        let local = real.forwarding == Forwarding::FullNat;
        let (owner, port) = (EndpointOwner::SharedSocket(socket), outlet_port(&real));
        if matches!(socket, Socket::Station(_)) {
            // An answer does not say which VIP it is from: all its connections have links, from the first on.
            return Ok(Some(conn::Socket { endpoint: self.endpoint(owner)?, port, local, first: None }));
        }
        let first = self.applier.first(socket, service);
        // A socket that changes hands is shared too: the former service's connections must not be mistaken.
        let several = self.applier.sockets.is_named_twice(socket);
        if !local && !several && first == service && self.applier.endpoints.get(&owner).is_none() {
            return Ok(None);
        }
        Ok(Some(conn::Socket { endpoint: self.endpoint(owner)?, port, local, first: Some(first) }))
    }
}
