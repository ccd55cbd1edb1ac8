//! From rtnetlink's messages to routes and neighbours of the director's (rtnetlink(7), linux/rtnetlink.h).
//!
//! A route is mirrored if one of its next hops is by a twin; of several, those that are. One that leads nowhere (blackhole,
//! unreachable, prohibit) leads nowhere here either, but for those by which the director itself announces VIPs. Left alone are
//! routes of other tables, by type of service, to the host itself and to stand-ins, next hops of the other family or that add a header,
//! ports' own networks, which the director knows, and what each link of IPv6 has for itself.

use std::net::IpAddr;

use hashbrown::HashSet;
use ipnet::{IpNet, Ipv4Net};
use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteType,
};

use super::super::learned::{Change, News, Side, Station};
use super::super::{Candidate, Leg, Origin};
use crate::ctrl::config::{Announce, Config, Mirror};
use crate::dataplane::address::Family;
use crate::dataplane::selector::Addresses;
use crate::dataplane::service::PortId;

/// Reads messages, knowing what is wanted and which interfaces are twins.
#[derive(Debug)]
pub(super) struct Reader {
    wanted: Mirror,
    ours: Option<Announce>,
    /// What the host asks for stations that are none: see [`crate::ctrl::health::stand_ins`].
    stand_ins: Ipv4Net,
    own: HashSet<IpAddr>,
    links: Vec<(IpNet, PortId)>,
    twins: Vec<Twin>,
}

#[derive(Debug)]
struct Twin {
    port: PortId,
    name: String,
    /// The kernel's number for it, while there is one of that name, and whether it is set up.
    now: Option<(u32, bool)>,
}

impl Reader {
    /// For the twins of a configuration, of which nothing is known yet.
    pub fn new(config: &Config, wanted: Mirror) -> Self {
        let addresses = config
            .ports
            .iter()
            .enumerate()
            .flat_map(|(place, port)| port.addresses.iter().map(move |own| (*own, PortId(place as u8))));
        let addresses: Vec<_> = addresses.collect();
        let twins = config.twins().map(|(place, _, name)| (PortId(place as u8), name.to_owned()));
        Self {
            wanted,
            ours: config.announce,
            stand_ins: config.checks.stand_ins,
            own: addresses.iter().map(|(own, _)| own.addr()).collect(),
            links: addresses.iter().map(|(own, port)| (own.trunc(), *port)).collect(),
            twins: twins.map(|(port, name)| Twin { port, name, now: None }).collect(),
        }
    }

    /// Tells whether IPv6 is mirrored too: the host has routes of it whether or not it is used, and a director without an address of
    /// it has no use for them.
    pub fn has_ipv6(&self) -> bool {
        self.own.iter().any(IpAddr::is_ipv6)
    }

    /// Tells whether an interface, by the kernel's number for it, is a twin.
    pub fn is_twin(&self, index: u32) -> bool {
        self.port(index).is_some()
    }

    fn port(&self, index: u32) -> Option<PortId> {
        self.twins.iter().find(|twin| twin.now.is_some_and(|(known, _)| known == index)).map(|twin| twin.port)
    }

    /// Takes note of an interface; tells whether a twin came or went, was set up or down: the kernel forgets routes without a
    /// word then.
    pub fn link(&mut self, message: &LinkMessage, gone: bool) -> bool {
        if message.header.interface_family != AddressFamily::Unspec {
            return false;
        }
        let name = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        let (index, up) = (message.header.index, message.header.flags.contains(LinkFlags::Up));
        let mut changed = false;
        for twin in &mut self.twins {
            let is_it = !gone && name == Some(&twin.name);
            let was_it = twin.now.is_some_and(|(known, _)| known == index);
            if is_it || was_it {
                let now = is_it.then_some((index, up));
                changed |= twin.now != now;
                twin.now = now;
            }
        }
        changed
    }

    /// Forgets which interfaces there are.
    pub fn forget_links(&mut self) {
        self.twins.iter_mut().for_each(|twin| twin.now = None);
    }

    /// Reads a route out of the list of all.
    pub fn listed(&self, message: &RouteMessage) -> Option<(IpNet, Candidate)> {
        let (to, _, candidate) = self.route(message)?;
        Some((to, candidate?))
    }

    /// Tells whether news of a route do not say what there is now. IPv6's kernel makes routes to one prefix with one metric one route
    /// of several next hops, as they come, and tells of each next hop that goes.
    pub fn is_part(message: &RouteMessage, flags: u16, gone: bool) -> bool {
        let whole = !gone && flags & (NLM_F_EXCL | NLM_F_REPLACE) != 0;
        message.header.address_family == AddressFamily::Inet6 && !whole
    }

    /// Reads what the kernel tells of a route that came, with the flags of its message (netlink(7)).
    pub fn came(&self, message: &RouteMessage, flags: u16) -> Option<News> {
        let (to, metric, candidate) = self.route(message)?;
        let change = match candidate {
            candidate if flags & NLM_F_REPLACE != 0 => Change::Replaced(metric, candidate),
            Some(candidate) if flags & NLM_F_APPEND != 0 => Change::Added(candidate, Side::Behind),
            Some(candidate) => Change::Added(candidate, Side::Before),
            None => return None,
        };
        Some(News::Route(to, change))
    }

    /// Reads what the kernel tells of a route that went.
    pub fn went(&self, message: &RouteMessage) -> Option<News> {
        let (to, _, candidate) = self.route(message)?;
        Some(News::Route(to, Change::Removed(candidate?)))
    }

    /// Reads a route of the table that is mirrored: its destinations, its metric, and what it is if it is mirrored.
    fn route(&self, message: &RouteMessage) -> Option<(IpNet, u32, Option<Candidate>)> {
        let (header, attributes) = (&message.header, &message.attributes);
        let number = |read: fn(&RouteAttribute) -> Option<u32>| attributes.iter().find_map(read);
        let table = number(|attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        });
        let of_table = table.unwrap_or(header.table.into()) == self.wanted.table;
        let plain = header.tos == 0 && !header.flags.contains(RouteFlags::Cloned);
        let family = self.family(header.address_family)?;
        if !of_table || !plain {
            return None;
        }
        let destination = attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Destination(to) => address(to),
            _ => None,
        });
        let to = destination.unwrap_or(Addresses::every(family).first);
        let to = IpNet::new(to, header.destination_prefix_length).ok()?;
        // Of IPv6 each link has its own.
        if Family::of(to.addr()) != family || is_of_a_link(to) {
            return None;
        }
        let metric = number(|attribute| match attribute {
            RouteAttribute::Priority(metric) => Some(*metric),
            _ => None,
        });
        let (metric, protocol) = (metric.unwrap_or(0), u8::from(header.protocol));
        let wanted = self.is_wanted(protocol, header.kind) && !self.is_stand_in(to);
        let legs = wanted.then(|| self.legs(to, message)).flatten();
        let candidate = legs.map(|legs| Candidate { origin: Origin::Kernel { protocol, metric }, legs });
        Some((to.trunc(), metric, candidate))
    }

    /// The family of a message, if that is mirrored.
    fn family(&self, family: AddressFamily) -> Option<Family> {
        match family {
            AddressFamily::Inet => Some(Family::V4),
            AddressFamily::Inet6 if self.has_ipv6() => Some(Family::V6),
            _ => None,
        }
    }

    fn is_stand_in(&self, to: IpNet) -> bool {
        IpNet::V4(self.stand_ins).contains(&to)
    }

    fn is_wanted(&self, protocol: u8, kind: RouteType) -> bool {
        let ours = self.ours.is_some_and(|ours| ours.protocol == protocol && ours.table == self.wanted.table);
        let announced = ours && kind == RouteType::BlackHole;
        !announced && (self.wanted.protocols.is_empty() || self.wanted.protocols.contains(&protocol))
    }

    /// The next hops of a route; none for one that leads nowhere, and `None` for one that is not mirrored.
    fn legs(&self, to: IpNet, message: &RouteMessage) -> Option<Vec<Leg>> {
        match message.header.kind {
            RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit => return Some(Vec::new()),
            RouteType::Unicast => {}
            _ => return None,
        }
        let several = message.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::MultiPath(hops) => Some(hops),
            _ => None,
        });
        let family = Family::of(to.addr());
        let mut legs: Vec<Leg> = match several {
            Some(hops) => hops.iter().filter_map(|hop| self.leg_of(hop, family)).collect(),
            None => {
                let oif = message.attributes.iter().find_map(|attribute| match attribute {
                    RouteAttribute::Oif(index) => Some(*index),
                    _ => None,
                });
                self.leg(oif?, &message.attributes, 1, family).into_iter().collect()
            }
        };
        if legs.len() > 1 {
            // On which of several links a station is, nobody could say.
            legs.retain(|leg| leg.via.is_some());
        }
        let own = |leg: &Leg| leg.via.is_none() && self.links.contains(&(to.trunc(), leg.port));
        (!legs.is_empty() && !legs.iter().any(own)).then_some(legs)
    }

    fn leg_of(&self, hop: &RouteNextHop, family: Family) -> Option<Leg> {
        let alive = !hop.flags.contains(RouteNextHopFlags::Dead);
        // The kernel counts from 0.
        alive.then(|| self.leg(hop.interface_index, &hop.attributes, u16::from(hop.hops) + 1, family)).flatten()
    }

    fn leg(&self, oif: u32, attributes: &[RouteAttribute], weight: u16, family: Family) -> Option<Leg> {
        let port = self.port(oif)?;
        let strange = |attribute: &RouteAttribute| match attribute {
            RouteAttribute::Via(_) | RouteAttribute::Encap(_) => true,
            RouteAttribute::Gateway(gateway) => address(gateway).map(Family::of) != Some(family),
            _ => false,
        };
        if attributes.iter().any(strange) {
            return None;
        }
        let via = attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(gateway) => address(gateway),
            _ => None,
        });
        via.is_none_or(|via| !self.own.contains(&via)).then_some(Leg { port, via, weight })
    }

    /// Reads a neighbour; `None` if it is none of a twin's, or neighbours are not mirrored. With an Ethernet address if that is
    /// fixed.
    pub fn neighbor(&self, message: &NeighbourMessage) -> Option<(Station, Option<[u8; 6]>)> {
        let header = &message.header;
        if !self.wanted.neighbors {
            return None;
        }
        let family = self.family(header.family)?;
        let port = self.port(header.ifindex)?;
        let address = message.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
            _ => None,
        })?;
        if Family::of(address) != family {
            return None;
        }
        let mac = message.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(octets) => <[u8; 6]>::try_from(&octets[..]).ok(),
            _ => None,
        });
        let station = mac.filter(|mac| mac[0] & 1 == 0 && *mac != [0; 6]);
        let other = !self.own.contains(&address) && !self.is_stand_in(address.into());
        let fixed = header.state == NeighbourState::Permanent && other;
        Some(((port, address), station.filter(|_| fixed)))
    }
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// Tells whether a prefix is within the link-local or the multicast addresses of IPv6 (RFC 4291 §2.5.6, §2.7).
fn is_of_a_link(to: IpNet) -> bool {
    match to.addr() {
        IpAddr::V6(first) => {
            (first.is_unicast_link_local() && to.prefix_len() >= 10) || (first.is_multicast() && to.prefix_len() >= 8)
        }
        IpAddr::V4(_) => false,
    }
}
