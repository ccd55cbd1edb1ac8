//! Where packets go next: the table of routes as all links are now, and the next hops of real servers.
//!
//! A real server behind several next hops is reached by one of them, which its address decides (rendezvous hashing): real servers
//! are shared among the hops, a packet costs nothing more, and when a hop goes only those move that it had. Direct routing knows
//! only stations of a port's own network, whatever routes there are.

use std::mem;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::super::config::{self, Config, Selector};
use super::super::routing::learned::{Learned, News};
use super::super::routing::{self, Choice, Leg, Listed};
use super::build::Build;
use super::owner::RealOwner;
use super::{Applier, ApplyError};
use crate::dataplane::address::Address;
use crate::dataplane::neigh::{CAPACITY, NeighborId};
use crate::dataplane::route::{Draft, NextHop, Routes, Target, flow};
use crate::dataplane::service::{Forwarding, PortId};

/// A station on a port's link.
pub(super) type Station = (PortId, Address);

/// Stations that keep their entries in the table of neighbours; none where there was no room.
type Hops = HashMap<Station, Option<NextHop>>;

/// The most stations that what the host's kernel says has entries for: a quarter of what there is room for.
const MOST_LEARNED: usize = CAPACITY / 4;

/// Where packets go, as the configuration and the links are.
#[derive(Clone, Default)]
pub(super) struct Ways {
    pub routes: Routes,
    /// Static neighbours.
    pub fixed: Arc<HashMap<Station, [u8; 6]>>,
    /// The next hops that are pinned whatever the services are.
    pub pinned: Arc<[NeighborId]>,
    /// The ports' own networks.
    links: Arc<[(IpNet, PortId)]>,
    /// Which ports had a link.
    pub carriers: Arc<[bool]>,
    /// Stations for which there was no room in the table of neighbours.
    pub left_out: HashSet<Station>,
}

/// A real server that is reached by another next hop from now on: its service, its place there, and the hop.
pub(super) struct Moved {
    pub selector: Selector,
    pub place: usize,
    pub hop: Option<NextHop>,
}

impl Build<'_> {
    /// Builds the ways.
    ///
    /// # Errors
    /// If there are too many neighbours.
    pub fn ways(&mut self, config: &Config) -> Result<(), ApplyError> {
        let table = routing::configured(config);
        let learned = Arc::clone(&self.applier.learned);
        self.ways.left_out.clear();
        self.ways.fixed = Arc::new(fixed(config, &learned));
        self.ways.links = links(config).collect();
        self.ways.carriers = ports(config).map(|port| self.applier.shared.carrier(port)).collect();
        let mut hops = Hops::new();
        let stations = fixed(config, &Learned::default()).into_keys().chain(gateways(&table));
        for station in stations {
            self.pin_once(&mut hops, station)?;
        }
        // What the host's kernel says makes nothing fail, and leaves room for real servers.
        let strict = mem::replace(&mut self.strict, false);
        let heard = self.pin_learned(&learned, &mut hops);
        self.strict = strict;
        heard?;
        self.ways.pinned = hops.values().flatten().map(|hop| hop.neighbor).collect();
        self.ways.routes = self.table(routing::choices(&table, &learned.routes), &hops);
        Ok(())
    }

    fn pin_learned(&mut self, learned: &Learned, hops: &mut Hops) -> Result<(), ApplyError> {
        let most = hops.len() + MOST_LEARNED;
        let known = learned.neighbors.keys().map(|(port, address)| (*port, Address::from(*address)));
        for station in known.chain(gateways(&learned.routes)) {
            if hops.len() < most {
                self.pin_once(hops, station)?;
            } else if !hops.contains_key(&station) {
                self.ways.left_out.insert(station);
            }
        }
        Ok(())
    }

    fn pin_once(&mut self, hops: &mut Hops, station: Station) -> Result<(), ApplyError> {
        if !hops.contains_key(&station) {
            let hop = self.pin_if_possible(station.0, station.1)?;
            hops.insert(station, hop);
        }
        Ok(())
    }

    /// Makes the table of the routes that packets take.
    fn table<'a>(&self, choices: impl Iterator<Item = (IpNet, Choice<'a>)>, hops: &Hops) -> Routes {
        let hop = |leg: &Leg| hops.get(&(leg.port, leg.via?.into())).copied().flatten();
        let usable = |leg: &Leg| self.ways.can_use(leg);
        let mut draft = Draft::default();
        let mut several: HashMap<Vec<(NextHop, u16)>, Option<Target>> = HashMap::new();
        for (to, choice) in choices {
            let Some((taken, up)) = choice.taken(usable) else { continue };
            let legs = || taken.legs.iter().filter(|leg| !up || usable(leg));
            let target = match legs().find(|leg| leg.via.is_none()) {
                Some(link) => Some(Target::OnLink(link.port)),
                None if taken.legs.len() == 1 => legs().next().and_then(hop).map(Target::Via),
                None => {
                    let hops: Vec<_> = legs().filter_map(|leg| Some((hop(leg)?, leg.weight))).collect();
                    *several.entry(hops).or_insert_with_key(|hops| draft.via(hops))
                }
            };
            draft.add(to, target, up);
        }
        draft.finish()
    }

    /// Returns the next hop to a real server; none to the host.
    ///
    /// # Errors
    /// If there is no room for it.
    pub(super) fn hop(&mut self, owner: &RealOwner) -> Result<Option<NextHop>, ApplyError> {
        let address = owner.address.address;
        if owner.forwarding == Forwarding::Local {
            return Ok(None);
        }
        let on_link = match self.ways.routes.find_address(address) {
            Some(Target::OnLink(port)) => Some(port),
            _ if owner.forwarding == Forwarding::Direct => self.ways.link_of(address),
            Some(Target::Via(hop)) => return Ok(Some(hop)),
            Some(Target::Several(several)) => return Ok(self.steady(self.ways.routes.members(several), address)),
            None => None,
        };
        on_link.map_or(Ok(None), |port| self.pin_if_possible(port, address))
    }

    /// Chooses, of several next hops, the one to an address: as long as it is among them, the same.
    fn steady(&self, hops: &[NextHop], address: Address) -> Option<NextHop> {
        let neighbors = &self.applier.shared.neighbors;
        // One with more weight is there more than once in a row, and has as many tries.
        let rows = hops.chunk_by(|one, next| one == next);
        let tries = rows.flat_map(|row| row.iter().enumerate());
        let score = |(tries, hop): &(usize, &NextHop)| {
            let gateway = neighbors.address(hop.neighbor).map_or(0, Address::folded);
            flow::hash(address.folded(), gateway, ((*tries as u64) << 8) | u64::from(hop.port.0))
        };
        tries.max_by_key(score).map(|(_, hop)| *hop)
    }

    /// Finds the real servers of services that stay as they are that are reached by another next hop now.
    ///
    /// # Errors
    /// If there are too many neighbours.
    pub fn moved(&mut self, replaced: &HashSet<Selector>) -> Result<Vec<Moved>, ApplyError> {
        // Lent for as long, since next hops are pinned on the way.
        let parts = mem::take(&mut self.applier.parts);
        let stations =
            parts.iter().filter(|(selector, _)| !replaced.contains(*selector)).flat_map(|(selector, part)| {
                part.stations.iter().enumerate().map(move |(place, station)| (*selector, place, station))
            });
        let moved = stations.filter_map(|(selector, place, station)| match self.hop(&station.owner) {
            Ok(hop) => (hop != station.hop).then_some(Ok(Moved { selector, place, hop })),
            Err(error) => Some(Err(error)),
        });
        let moved = moved.collect();
        self.applier.parts = parts;
        moved
    }

    /// Gives a station an entry of the neighbour table that it keeps. One that has to be done without is none.
    fn pin_if_possible(&mut self, port: PortId, address: Address) -> Result<Option<NextHop>, ApplyError> {
        let Some(neighbor) = self.applier.shared.neighbors.pin(port, address, self.now) else {
            self.ways.left_out.insert((port, address));
            return if self.strict { Err(ApplyError::Neighbors(address)) } else { Ok(None) };
        };
        if !self.applier.pins.contains_key(&neighbor) {
            self.given.pins.insert(neighbor, self.ways.fixed.get(&(port, address)).copied());
        }
        Ok(Some(NextHop { port, neighbor }))
    }
}

impl Applier {
    /// Lists the routes of the configuration that runs, by destination, and what becomes of each as its port's link is now.
    pub fn routes(&self, config: &Config) -> Vec<Listed> {
        routing::list(&routing::configured(config), &self.learned.routes, |leg| self.ways.can_use(leg))
    }

    /// Takes in what the host's kernel told. It counts from the next [`Applier::reroute`] on.
    pub fn learn(&mut self, news: Vec<News>) {
        self.news |= Arc::make_mut(&mut self.learned).hear(news);
    }

    /// Tells whether a port has lost its link, or has it again, since the routes were last published.
    pub(super) fn links_changed(&self, config: &Config) -> bool {
        !ports(config).map(|port| self.shared.carrier(port)).eq(self.ways.carriers.iter().copied())
    }
}

impl Ways {
    /// Tells whether packets can go by a next hop.
    fn can_use(&self, leg: &Leg) -> bool {
        let link = self.carriers.get(leg.port.index()).is_some_and(|link| *link);
        link && leg.via.is_none_or(|via| !self.left_out.contains(&(leg.port, via.into())))
    }

    /// The static neighbours in which these and the former differ, each with its address from now on, if it has one.
    pub fn refixed<'a>(&'a self, former: &'a Self) -> impl Iterator<Item = (Station, Option<[u8; 6]>)> + 'a {
        let known = self.fixed.iter().map(|(station, mac)| (*station, Some(*mac)));
        let gone = former.fixed.keys().filter(|station| !self.fixed.contains_key(*station));
        let known = known.filter(|(station, mac)| former.fixed.get(station).copied() != *mac);
        known.chain(gone.map(|station| (*station, None)))
    }

    /// The port on whose own network an address lies, whatever its link is.
    fn link_of(&self, address: Address) -> Option<PortId> {
        let address = address.to_ip();
        let links = self.links.iter().filter(|(net, _)| net.contains(&address));
        links.max_by_key(|(net, _)| net.prefix_len()).map(|(_, port)| *port)
    }
}

fn ports(config: &Config) -> impl Iterator<Item = PortId> {
    (0..config.ports.len()).map(|place| PortId(place as u8))
}

/// The ports' own networks.
fn links(config: &Config) -> impl Iterator<Item = (IpNet, PortId)> {
    let ports = config.ports.iter().enumerate();
    ports.flat_map(|(place, port)| port.addresses.iter().map(move |own| (own.trunc(), PortId(place as u8))))
}

/// The gateways of a table.
fn gateways(table: &routing::Table) -> impl Iterator<Item = Station> {
    let legs = table.values().flatten().flat_map(|candidate| &candidate.legs);
    legs.filter_map(|leg| Some((leg.port, leg.via?.into())))
}

/// Static neighbours: what is configured counts.
fn fixed(config: &Config, learned: &Learned) -> HashMap<Station, [u8; 6]> {
    let on_link = |entry: &config::Neighbor| {
        let port = PortId(config.on_link(entry.address)? as u8);
        Some(((port, entry.address.into()), entry.mac))
    };
    let learned = learned.neighbors.iter().map(|((port, address), mac)| ((*port, (*address).into()), *mac));
    learned.chain(config.neighbors.iter().filter_map(on_link)).collect()
}
