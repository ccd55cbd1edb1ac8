//! Where a packet goes next: on-link prefixes and static routes, by the longest matching prefix.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use prefix_trie::PrefixMap;

use super::neigh::NeighborId;
use super::service::PortId;

/// The next station on a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The port to send from.
    pub port: PortId,
    /// The station's entry in the neighbour table.
    pub neighbor: NeighborId,
}

/// Where a prefix leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Stations of the prefix are on this port's own link.
    OnLink(PortId),
    /// They are behind a gateway.
    Via {
        /// The gateway, an on-link station.
        gateway: Ipv4Addr,
        /// Its port and neighbour entry.
        hop: NextHop,
    },
}

/// All routes, immutable within a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Routes(PrefixMap<Ipv4Net, Target>);

impl Routes {
    /// Adds a route; a later one for the same prefix replaces an earlier one.
    pub fn insert(&mut self, to: Ipv4Net, target: Target) {
        self.0.insert(to.trunc(), target);
    }

    /// Finds where an address, in host order, leads.
    #[inline]
    pub fn find(&self, address: u32) -> Option<Target> {
        let host = Ipv4Net::new_assert(Ipv4Addr::from_bits(address), 32);
        self.0.get_lpm(&host).map(|(_, target)| *target)
    }
}
