//! Which way a configuration sends a packet as long as all links are there: on a port's own network, or by a gateway.

use std::net::IpAddr;

use super::model::{Config, Route};
use super::value::names_all;

/// The way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach<'a> {
    /// A neighbour on this port (its place in [`Config::ports`]).
    OnLink(usize),
    /// Behind the gateway of this route.
    Gateway(&'a Route),
}

impl Config {
    /// Returns the port on whose networks `address` lies; with several, the one with the longest prefix.
    pub fn on_link(&self, address: IpAddr) -> Option<usize> {
        self.longest_link(address).map(|(port, _)| port)
    }

    /// Returns the way to `address` by the longest prefix, a port's own network before a route of the same length.
    pub fn reach(&self, address: IpAddr) -> Option<Reach<'_>> {
        let route = self.routes.iter().filter(|route| route.to.contains(&address)).max_by_key(|r| r.to.prefix_len());
        match (self.longest_link(address), route) {
            (Some((_, link)), Some(route)) if route.to.prefix_len() > link => Some(Reach::Gateway(route)),
            (Some((port, _)), _) => Some(Reach::OnLink(port)),
            (None, route) => route.map(Reach::Gateway),
        }
    }

    /// Tells whether `address` names a port's whole network: its first or its broadcast address.
    pub(super) fn names_network(&self, address: IpAddr) -> bool {
        self.ports.iter().flat_map(|port| &port.addresses).any(|own| names_all(own, address))
    }

    fn longest_link(&self, address: IpAddr) -> Option<(usize, u8)> {
        let links = self.ports.iter().enumerate().flat_map(|(place, port)| {
            port.addresses.iter().filter(|own| own.contains(&address)).map(move |own| (place, own.prefix_len()))
        });
        links.max_by_key(|(_, length)| *length)
    }
}
