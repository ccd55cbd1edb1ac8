//! Routes as control knows them: all there are, and which of them packets take.
//!
//! Several may lead to one prefix. The first that can be used does: a port's own network, then `[[route]]`, then what the host's
//! kernel has ([`mirror`]), by its metrics. One can be used while a port of one of its next hops has a link; of several next hops
//! those that have none are left out. A prefix to which no route can be used is left to shorter ones; only where there are none
//! either, packets go where they would if the link were there, and are counted as lost to it.

pub mod learned;
pub mod mirror;

use std::collections::BTreeMap;
use std::iter;
use std::net::IpAddr;

use ipnet::IpNet;

use super::config::Config;
use crate::dataplane::service::PortId;

/// All routes, by destination; those to one prefix in the order in which they are preferred.
pub type Table = BTreeMap<IpNet, Vec<Candidate>>;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who says so.
    pub origin: Origin,
    /// Its next hops; a port's own network is one without a gateway. Without any, packets go nowhere.
    pub legs: Vec<Leg>,
}

impl Candidate {
    fn is_up(&self, usable: impl Fn(&Leg) -> bool) -> bool {
        self.legs.is_empty() || self.legs.iter().any(usable)
    }
}

/// Who says that there is a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A port's own address.
    Connected,
    /// The configuration.
    Configured,
    /// The host's kernel.
    Kernel {
        /// Who told the kernel: its word for a routing protocol.
        protocol: u8,
        /// Of two to the same prefix the lower one's counts.
        metric: u32,
    },
}

impl Origin {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Configured => "config",
            Self::Kernel { .. } => "kernel",
        }
    }
}

/// A next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leg {
    /// The port that it is by.
    pub port: PortId,
    /// The gateway; none where the destination itself is on the link.
    pub via: Option<IpAddr>,
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
    pub to: IpNet,
    /// What it is.
    pub candidate: Candidate,
    /// What becomes of it.
    pub standing: Standing,
    /// Which of its next hops can be used.
    pub usable: Vec<bool>,
}

/// The routes to one prefix, in the order in which they are preferred.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    configured: &'a [Candidate],
    learned: &'a [Candidate],
}

impl<'a> Choice<'a> {
    fn all(self) -> impl Iterator<Item = &'a Candidate> {
        self.configured.iter().chain(self.learned)
    }

    /// Finds the route that packets take, and tells whether it can be used; if none can, they take the first.
    pub fn taken(self, usable: impl Fn(&Leg) -> bool) -> Option<(&'a Candidate, bool)> {
        let up = self.all().find(|candidate| candidate.is_up(&usable)).map(|candidate| (candidate, true));
        up.or_else(|| self.all().next().map(|candidate| (candidate, false)))
    }

    /// Says what becomes of each.
    pub fn standings(self, usable: impl Fn(&Leg) -> bool) -> impl Iterator<Item = (&'a Candidate, Standing)> {
        let mut taken = false;
        self.all().map(move |candidate| {
            let standing = match (candidate.is_up(&usable), taken) {
                (true, false) => Standing::Active,
                (true, true) => Standing::Standby,
                (false, _) => Standing::Down,
            };
            taken |= standing == Standing::Active;
            (candidate, standing)
        })
    }
}

/// Goes through the prefixes of two tables, in order.
pub fn choices<'a>(configured: &'a Table, learned: &'a Table) -> impl Iterator<Item = (IpNet, Choice<'a>)> {
    let (mut ours, mut theirs) = (configured.iter().peekable(), learned.iter().peekable());
    iter::from_fn(move || {
        let to = *match (ours.peek(), theirs.peek()) {
            (Some((one, _)), Some((other, _))) => (*one).min(*other),
            (Some((to, _)), None) | (None, Some((to, _))) => *to,
            (None, None) => return None,
        };
        let configured = ours.next_if(|(one, _)| **one == to).map(|(_, routes)| &routes[..]);
        let learned = theirs.next_if(|(one, _)| **one == to).map(|(_, routes)| &routes[..]);
        Some((to, Choice { configured: configured.unwrap_or_default(), learned: learned.unwrap_or_default() }))
    })
}

/// Lists all routes, by destination.
pub fn list(configured: &Table, learned: &Table, usable: impl Fn(&Leg) -> bool) -> Vec<Listed> {
    let mut listed = Vec::with_capacity(configured.len() + learned.len());
    for (to, choice) in choices(configured, learned) {
        listed.extend(choice.standings(&usable).map(|(candidate, standing)| Listed {
            to,
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
            Some(Leg { port: PortId(config.on_link(*gateway)? as u8), via: Some(*gateway), weight: 1 })
        };
        add(route.to, Origin::Configured, route.via.iter().filter_map(leg).collect());
    }
    table
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

    fn up(ports: &'static [u8]) -> impl Fn(&Leg) -> bool {
        move |leg| ports.contains(&leg.port.0)
    }

    #[test]
    fn the_first_with_a_link_is_taken() {
        let table = configured(&parse(Path::new("x.toml"), TEXT).unwrap().config);
        let of = |to: &str| Choice { configured: &table[&to.parse::<IpNet>().unwrap()], learned: &[] };
        let taken = |to, ports| of(to).taken(up(ports)).map(|(candidate, up)| (candidate.origin, up));
        let standings = |to, ports| of(to).standings(up(ports)).map(|(_, standing)| standing).collect::<Vec<_>>();
        use Origin::*;
        use Standing::*;
        for (ports, origin, is_up, standing) in [
            (&[0, 1][..], Connected, true, [Active, Standby]),
            (&[1], Connected, true, [Active, Down]),
            (&[0], Configured, true, [Down, Active]),
            (&[], Connected, false, [Down, Down]),
        ] {
            assert_eq!(taken("10.0.0.0/24", ports), Some((origin, is_up)), "{ports:?}");
            assert_eq!(standings("10.0.0.0/24", ports), standing, "{ports:?}");
        }
        assert_eq!(taken("0.0.0.0/0", &[1]), Some((Configured, true)), "one of its next hops is enough");
        assert!(Choice::default().taken(up(&[0])).is_none());
    }

    #[test]
    fn what_is_configured_is_preferred_to_what_was_learned() {
        let ours = configured(&parse(Path::new("x.toml"), TEXT).unwrap().config);
        let via = |port, last| Leg { port: PortId(port), via: Some(IpAddr::from([192, 0, 2, last])), weight: 1 };
        let kernel =
            |legs: &[Leg]| Candidate { origin: Origin::Kernel { protocol: 12, metric: 0 }, legs: legs.to_vec() };
        let theirs = Table::from([
            ("0.0.0.0/0".parse().unwrap(), vec![kernel(&[via(0, 7)])]),
            ("10.0.0.0/16".parse().unwrap(), vec![kernel(&[])]),
            ("172.16.0.0/12".parse().unwrap(), vec![kernel(&[via(1, 8)]), kernel(&[via(0, 9)])]),
        ]);
        let taken: Vec<_> = choices(&ours, &theirs)
            .map(|(to, choice)| {
                let (candidate, is_up) = choice.taken(up(&[0])).unwrap();
                (to.to_string(), candidate.origin.name(), candidate.legs.len(), is_up)
            })
            .collect();
        let expected = [
            ("0.0.0.0/0", "config", 2, true),
            // Where packets shall not go, whatever the links are.
            ("10.0.0.0/16", "kernel", 0, true),
            ("10.0.0.0/24", "config", 1, true),
            ("172.16.0.0/12", "kernel", 1, true),
            ("192.0.2.0/24", "connected", 1, true),
        ];
        assert_eq!(taken, expected.map(|(to, origin, legs, is_up)| (to.to_owned(), origin, legs, is_up)));
        let listed = list(&ours, &theirs, up(&[]));
        let states: Vec<_> = listed.iter().map(|one| (one.to.to_string(), one.standing.name())).collect();
        assert_eq!(states.iter().filter(|(_, state)| *state == "active").count(), 1, "{states:?}");
        assert_eq!(states.len(), 8);
    }
}
