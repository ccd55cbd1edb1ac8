//! Which addresses are the director's and its services', and which real servers can be reached.

use std::collections::HashMap;
use std::net::IpAddr;

use super::bag::Bag;
use super::model::*;
use super::reach::Reach;
use crate::dataplane::address::Family;
use crate::dataplane::selector::Addresses;

/// The addresses of services: there may be ten thousand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Vips {
    pub one: Bag<IpAddr>,
    pub ranges: Ranges,
}

impl Vips {
    /// Those of a configuration.
    pub fn new(config: &Config) -> Self {
        let mut one = Bag::default();
        let vips = config.services.iter().flat_map(|service| &service.vips);
        vips.for_each(|vip| one.add(*vip));
        Self { one, ranges: Ranges::new(config) }
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.one.contains(&address) || self.ranges.contain(address)
    }
}

/// A configuration with its addresses indexed.
pub(super) struct Known<'a> {
    pub config: &'a Config,
    own: HashMap<IpAddr, &'a Port>,
    vips: &'a Vips,
}

impl<'a> Known<'a> {
    pub fn new(config: &'a Config, vips: &'a Vips) -> Self {
        let own = config.ports.iter().flat_map(|port| port.addresses.iter().map(move |own| (own.addr(), port)));
        Self { config, own: own.collect(), vips }
    }

    /// Says why `address` cannot belong to another host.
    fn not_ours(&self, address: IpAddr, what: &str) -> Result<(), String> {
        if self.config.is_local(address) {
            return Err(format!("the {what} {address} is a local address, of a [[local_pool]]"));
        }
        self.free(address, what)
    }

    /// Says why `address` is taken, or nobody's.
    pub fn free(&self, address: IpAddr, what: &str) -> Result<(), String> {
        if let Some(port) = self.own.get(&address) {
            return Err(format!("the {what} {address} is the director's own address on port \"{}\"", port.name));
        }
        if self.vips.contain(address) {
            return Err(format!("the {what} {address} is a service's VIP"));
        }
        if self.config.names_network(address) {
            return Err(format!("the {what} {address} is the address of a port's network or its broadcast address"));
        }
        Ok(())
    }

    /// Says why `address` cannot be a station on one of the ports' networks.
    pub fn on_link(&self, address: IpAddr, what: &str) -> Result<(), String> {
        self.not_ours(address, what)?;
        match self.config.on_link(address) {
            Some(_) => Ok(()),
            None => Err(format!("the {what} {address} is on no port's network")),
        }
    }

    /// Says why packets cannot get to `real` by its forwarding method.
    pub fn reachable(&self, real: &Real) -> Result<(), String> {
        if real.forwarding != Forwarding::Local {
            let address = real.address.ip();
            let without_twin =
                |error| if self.own.contains_key(&address) { error + ", which has no twin" } else { error };
            self.not_ours(address, "real server").map_err(without_twin)?;
        }
        self.config.leads_to(real)
    }
}

impl Config {
    /// Says why neither a port's network, nor a route, nor a twin leads to `real` by its forwarding method.
    pub fn leads_to(&self, real: &Real) -> Result<(), String> {
        let address = real.address.ip();
        if real.forwarding == Forwarding::Local {
            return self.leads_to_host(address);
        }
        match (self.reach(address), real.forwarding) {
            // A route may come from the host.
            (None, Forwarding::Nat | Forwarding::FullNat | Forwarding::Tunnel) if self.mirror.is_some() => Ok(()),
            (None, _) => Err(format!("the real server {address} is on no port's network and no route leads to it")),
            (Some(Reach::Gateway(route)), Forwarding::Direct) => Err(format!(
                "the real server {address} is behind the gateway {}: direct routing reaches only a port's own network",
                route.gateways()
            )),
            (Some(_), _) => Ok(()),
        }
    }
}

impl Config {
    /// Says why the host cannot be reached as the real server `address`.
    fn leads_to_host(&self, address: IpAddr) -> Result<(), String> {
        let family = Family::of(address);
        let leads =
            |port: &Port| port.twin.is_some() && port.addresses.iter().any(|own| Family::of(own.addr()) == family);
        if !Self::is_host(&self.ports, address) {
            Err(format!(
                "the real server {address} is not the host: local are {}, and own addresses of ports with a twin",
                localhost(family)
            ))
        } else if !self.ports.iter().any(leads) {
            Err(format!(
                "the real server {address} is the host, and no port with an address has a twin, by which it could be reached"
            ))
        } else {
            Ok(())
        }
    }
}

/// Addresses of services that have several, in order and apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Addresses>);

impl Ranges {
    /// Those of a configuration.
    pub fn new(config: &Config) -> Self {
        let ranges = config.services.iter().filter(|service| matches!(service.selector, Selector::Range(_)));
        let mut all: Vec<_> = ranges.map(|service| service.selector.addresses()).collect();
        all.sort_unstable();
        all.dedup_by(|next, before| {
            let touches = next.first <= before.last;
            if touches {
                before.last = before.last.max(next.last);
            }
            touches
        });
        Self(all)
    }

    fn contain(&self, address: IpAddr) -> bool {
        let after = self.0.partition_point(|range| range.first <= address);
        self.0[..after].last().is_some_and(|range| range.contains(address))
    }
}
