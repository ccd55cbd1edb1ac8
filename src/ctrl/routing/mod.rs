//! Routes as control knows them: all there are, and which of them packets take.
//!
//! Several may lead to one prefix. The first that can be used does: a port's own network, then `[[route]]`. One can be used
//! while a port of one of its next hops has a link; of several next hops those that have none are left out. A prefix to which no
//! route can be used is left to shorter ones; only where there are none either, packets go where they would if the link were there,
//! and are counted as lost to it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::config::Config;
use crate::dataplane::service::PortId;

/// All routes, by destination; those to one prefix in the order in which they are preferred.
pub type Table = BTreeMap<Ipv4Net, Vec<Candidate>>;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who says so.
    pub origin: Origin,
    /// Its next hops, at least one; a port's own network is one without a gateway.
    pub legs: Vec<Leg>,
}

/// Who says that there is a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A port's own address.
    Connected,
    /// The configuration.
    Configured,
}

impl Origin {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Configured => "config",
        }
    }
}

/// A next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leg {
    /// The port that it is by.
    pub port: PortId,
    /// The gateway; none where the destination itself is on the link.
    pub via: Option<Ipv4Addr>,
    /// Its share of the flows.
    pub weight: u16,
}

/// What becomes of a route now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Packets take it.
    Active,
    /// They would, if there were not another that is preferred.
    Standby,
    /// None of its next hops can be used.
    Down,
}

impl Standing {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Down => "down",
        }
    }
}

/// A route in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its destinations.
    pub to: Ipv4Net,
    /// What it is.
    pub candidate: Candidate,
    /// What becomes of it.
    pub standing: Standing,
    /// Which of its next hops can be used.
    pub usable: Vec<bool>,
}

/// Lists all routes, by destination.
pub fn list(table: &Table, usable: impl Fn(&Leg) -> bool) -> Vec<Listed> {
    let mut listed = Vec::with_capacity(table.len());
    for (to, candidates) in table {
        let all = candidates.iter().zip(standings(candidates, &usable));
        listed.extend(all.map(|(candidate, standing)| Listed {
            to: *to,
            candidate: candidate.clone(),
            standing,
            usable: candidate.legs.iter().map(&usable).collect(),
        }));
    }
    listed
}

/// The routes that a configuration has.
pub fn configured(config: &Config) -> Table {
    let mut table = Table::new();
    let mut add = |to: IpNet, origin, legs: Vec<Leg>| {
        let IpNet::V4(to) = to else { return };
        let (same, candidate) = (table.entry(to.trunc()).or_default(), Candidate { origin, legs });
        // A port may have several addresses of one network.
        if !same.contains(&candidate) {
            same.push(candidate);
        }
    };
    for (place, port) in config.ports.iter().enumerate() {
        for own in &port.addresses {
            let leg = Leg { port: PortId(place as u8), via: None, weight: 1 };
            add(*own, Origin::Connected, vec![leg]);
        }
    }
    for route in &config.routes {
        let leg = |gateway: &IpAddr| {
            let (IpAddr::V4(via), port) = (*gateway, config.on_link(*gateway)?) else { return None };
            Some(Leg { port: PortId(port as u8), via: Some(via), weight: 1 })
        };
        add(route.to, Origin::Configured, route.via.iter().filter_map(leg).collect());
    }
    table
}

/// Finds the place of the route, of those to one prefix, that packets take, and tells whether it can be used; if none can, they
/// take the first.
pub fn chosen(candidates: &[Candidate], usable: impl Fn(&Leg) -> bool) -> Option<(usize, bool)> {
    let up = candidates.iter().position(|candidate| candidate.legs.iter().any(&usable));
    up.map(|place| (place, true)).or_else(|| (!candidates.is_empty()).then_some((0, false)))
}

/// Says what becomes of each of the routes to one prefix.
pub fn standings(candidates: &[Candidate], usable: impl Fn(&Leg) -> bool) -> Vec<Standing> {
    let chosen = chosen(candidates, &usable);
    let standing = |(place, candidate): (usize, &Candidate)| match chosen {
        Some((taken, true)) if place == taken => Standing::Active,
        _ if candidate.legs.iter().any(&usable) => Standing::Standby,
        _ => Standing::Down,
    };
    candidates.iter().enumerate().map(standing).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::config::parse;
    use super::*;

    const TEXT: &str = "\
[[port]]
name = 'wan'
device = 'net_ring0'
addresses = ['192.0.2.2/24', '192.0.2.3/24']
[[port]]
name = 'lan'
device = 'net_ring1'
addresses = ['10.0.0.1/24']
[[route]]
to = '0.0.0.0/0'
via = ['192.0.2.1', '10.0.0.254']
[[route]]
to = '10.0.0.0/24'
via = '192.0.2.9'
";

    #[test]
    fn a_ports_own_network_is_preferred_to_a_route_of_the_same_length() {
        let table = configured(&parse(Path::new("x.toml"), TEXT).unwrap().config);
        let listed: Vec<_> = table
            .iter()
            .flat_map(|(to, all)| all.iter().map(move |one| (to.to_string(), one.origin, one.legs.len())))
            .collect();
        let expected = [
            ("0.0.0.0/0", Origin::Configured, 2),
            ("10.0.0.0/24", Origin::Connected, 1),
            ("10.0.0.0/24", Origin::Configured, 1),
            ("192.0.2.0/24", Origin::Connected, 1),
        ];
        assert_eq!(listed, expected.map(|(to, origin, legs)| (to.to_owned(), origin, legs)));
    }

    #[test]
    fn the_first_with_a_link_is_taken() {
        let table = configured(&parse(Path::new("x.toml"), TEXT).unwrap().config);
        let of = |to: &str| &table[&to.parse::<Ipv4Net>().unwrap()];
        let up = |ports: &'static [u8]| move |leg: &Leg| ports.contains(&leg.port.0);
        use Standing::*;
        let own = of("10.0.0.0/24");
        assert_eq!((chosen(own, up(&[0, 1])), standings(own, up(&[0, 1]))), (Some((0, true)), vec![Active, Standby]));
        assert_eq!((chosen(own, up(&[0])), standings(own, up(&[0]))), (Some((1, true)), vec![Down, Active]));
        assert_eq!((chosen(own, up(&[])), standings(own, up(&[]))), (Some((0, false)), vec![Down, Down]));
        let default = of("0.0.0.0/0");
        assert_eq!(chosen(default, up(&[1])), Some((0, true)), "one of its next hops is enough");
        assert_eq!(chosen(&[], up(&[])), None);
    }
}
