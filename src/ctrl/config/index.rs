//! What a configuration names, so that one that differs from it a little is checked where it differs.

use std::net::{IpAddr, SocketAddr};

use hashbrown::HashMap;

use super::bag::Bag;
use super::changed::Changed;
use super::check::{MAX_ENDPOINTS, MAX_REALS, whole};
use super::families;
use super::known::{Known, Ranges, Vips};
use super::local_pool;
use super::model::*;
use super::source::{ConfigError, Source};
use super::through;

/// What the services of a checked configuration name.
///
/// A change of services costs as much as what it changes, if there is nothing wrong with it; what could be wrong, and what is
/// seldom changed, the whole check looks at again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    selectors: Bag<Selector>,
    vips: Vips,
    /// Of real servers and sorry servers.
    stations: Bag<IpAddr>,
    /// Gateways and static neighbours.
    hosts: Bag<IpAddr>,
    /// Stations whose answers come here, of services of one address and port.
    sockets: Bag<(SocketAddr, &'static [Protocol])>,
    /// Those of services of several.
    wide: Bag<(IpAddr, Protocol)>,
    wide_stations: Bag<IpAddr>,
    /// Those of services that keep no connections.
    one_packet: Bag<SocketAddr>,
    /// How many stations there are.
    total: usize,
    /// How many real servers are checked through their VIPs.
    through_vip: usize,
}

impl Index {
    /// What `config` names.
    pub fn new(config: &Config) -> Self {
        let mut index = Self::default();
        config.routes.iter().flat_map(|route| &route.via).for_each(|gateway| index.hosts.add(*gateway));
        config.neighbors.iter().for_each(|neighbor| index.hosts.add(neighbor.address));
        config.services.iter().for_each(|service| index.count(service, true));
        index.vips.ranges = Ranges::new(config);
        index
    }

    /// Goes over from the configuration that this is of to another: to the same verdict, in the same words, as if all of it were
    /// checked as a file is. If that is an error, this stays what it was.
    ///
    /// # Errors
    /// The first mistake in `to`, in the places of `source`.
    pub fn advance(&mut self, from: &Config, to: &Config, source: &Source) -> Result<(), ConfigError> {
        if !same_ground(from, to) {
            whole(to, source)?;
            *self = Self::new(to);
            return Ok(());
        }
        let changed = Changed::between(&from.services, &to.services);
        let before: Vec<&Service> = changed.before.iter().map(|place| &*from.services[*place]).collect();
        let after: Vec<&Service> = changed.after.iter().map(|place| &*to.services[*place]).collect();
        before.iter().for_each(|service| self.count(service, false));
        after.iter().for_each(|service| self.count(service, true));
        let ranges = before.iter().chain(&after).any(|service| matches!(service.selector, Selector::Range(_)));
        if ranges {
            self.vips.ranges = Ranges::new(to);
        }
        if self.accepts(to, &before, &after) {
            return Ok(());
        }
        whole(to, source).inspect_err(|_| {
            after.iter().for_each(|service| self.count(service, false));
            before.iter().for_each(|service| self.count(service, true));
            if ranges {
                self.vips.ranges = Ranges::new(from);
            }
        })
    }

    /// Notes a service more, or one less.
    fn count(&mut self, service: &Service, more: bool) {
        self.selectors.count(service.selector, more);
        service.vips.iter().for_each(|vip| self.vips.one.count(*vip, more));
        for (_, real) in service.stations() {
            self.stations.count(real.address.ip(), more);
            self.total = if more { self.total + 1 } else { self.total - 1 };
        }
        let asked = service.checked_through_vip().count();
        self.through_vip = if more { self.through_vip + asked } else { self.through_vip - asked };
        for (_, real) in service.answering() {
            let (address, protocols) = (real.answers_from(), service.selector.protocols());
            if service.selector.is_wide() {
                protocols.iter().for_each(|protocol| self.wide.count((address.ip(), *protocol), more));
                self.wide_stations.count(address.ip(), more);
            } else {
                self.sockets.count((address, protocols), more);
            }
            if service.one_packet {
                self.one_packet.count(address, more);
            }
        }
    }

    /// Tells whether nothing is wrong for sure with `config`, which is what this is of now, after services changed.
    fn accepts(&self, config: &Config, before: &[&Service], after: &[&Service]) -> bool {
        let shared = self.sockets.repeated() + self.wide_stations.different();
        let many = self.total > MAX_REALS || config.services.len() + shared > MAX_ENDPOINTS;
        if many
            || !after.iter().all(|service| families::accepts(service) && local_pool::accepts(config, service))
            || self.selectors.repeated() > 0
            || !through::accepts(config, self.through_vip, before, after)
        {
            return false;
        }
        let known = Known::new(config, &self.vips);
        let former: HashMap<Selector, &Service> = before.iter().map(|service| (service.selector, *service)).collect();
        after.iter().all(|service| match former.get(&service.selector) {
            Some(former) if names_the_same(former, service) => true,
            _ => self.accepts_service(&known, service),
        })
    }

    fn accepts_service(&self, known: &Known<'_>, service: &Service) -> bool {
        if service.selector.is_wide() {
            return false;
        }
        let used = |vip| self.stations.contains(&vip) || self.hosts.contains(&vip) || known.config.is_local(vip);
        let free = |vip| !known.config.names_network(vip) && !used(vip);
        if !service.vips.iter().all(|vip| free(*vip)) {
            return false;
        }
        let mut own = Bag::default();
        service.stations().for_each(|(_, real)| own.add(real.address));
        let clear = |real: &Real| {
            let protocols = service.selector.protocols();
            let wide = protocols.iter().any(|protocol| self.wide.contains(&(real.answers_from().ip(), *protocol)));
            let alone = !service.one_packet || !self.one_packet.repeats(&real.answers_from());
            alone && !wide
        };
        own.repeated() == 0
            && service.stations().all(|(_, real)| known.reachable(real).is_ok())
            && service.answering().all(|(_, real)| clear(real))
    }
}

/// Tells whether two configurations differ in services only, as far as the checks go.
fn same_ground(one: &Config, other: &Config) -> bool {
    one.director.workers == other.director.workers
        && one.ports == other.ports
        && one.routes == other.routes
        && one.mirror == other.mirror
        && one.neighbors == other.neighbors
        && one.local_pools == other.local_pools
        && one.marks == other.marks
        && one.checks == other.checks
}

/// Tells whether two services of the same packets name the same addresses for the same purposes.
fn names_the_same(one: &Service, other: &Service) -> bool {
    let stations = |service| -> Vec<_> { Service::stations(service).map(named).collect() };
    one.vips == other.vips && one.one_packet == other.one_packet && stations(one) == stations(other)
}

fn named((_, real): (Option<usize>, &Real)) -> (SocketAddr, Forwarding) {
    (real.address, real.forwarding)
}
