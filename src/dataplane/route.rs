//! Where a packet goes next: on-link prefixes and routes, by the longest matching prefix.
//!
//! A route may have several next hops (ECMP). A packet takes that of its flow: a hash of its addresses, ports and protocol says
//! which ([`flow`]), by hash-threshold (RFC 2992), so that all packets of a flow go one way and flows are shared by the hops'
//! weights. What is sent to a real server asks nothing here: its next hop is chosen when the snapshot is made.
//!
//! A route whose port has lost its link is not used while another leads there, be it by a shorter prefix. Control knows which are, and
//! publishes the table anew ([`Draft::add`]); nothing of it is asked for a packet.

mod draft;
pub mod flow;
mod table;

use std::sync::Arc;

pub use self::draft::Draft;
use self::table::Table;
use super::address::Address;
use super::neigh::NeighborId;
use super::service::PortId;

/// The next station on a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    Via(NextHop),
    /// They are behind several.
    Several(Several),
}

/// Several next hops, of which each flow takes one: see [`Routes::member`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Several {
    first: u32,
    count: u32,
}

/// All routes, immutable within a snapshot.
#[derive(Clone, Debug)]
pub struct Routes {
    v4: Table<u32>,
    v6: Table<u128>,
    /// The next hops of those who have several, each as often as its weight says.
    hops: Arc<[NextHop]>,
}

impl Default for Routes {
    fn default() -> Self {
        Draft::default().finish()
    }
}

impl Routes {
    /// Finds where an IPv4 address, in host order, leads.
    #[inline]
    pub fn find(&self, address: u32) -> Option<Target> {
        self.v4.find(address)
    }

    /// Finds where an address leads.
    #[inline(always)]
    pub fn find_address(&self, address: Address) -> Option<Target> {
        match address.as_v4() {
            Some(bits) => self.v4.find(bits),
            None => self.find_v6(address),
        }
    }

    #[inline(never)]
    fn find_v6(&self, address: Address) -> Option<Target> {
        self.v6.find(address.to_bits())
    }

    /// Chooses the next hop of a flow, by its hash, out of those that [`find`](Self::find) has found.
    pub fn member(&self, several: Several, flow: u32) -> Option<NextHop> {
        let members = self.members(several);
        members.get(((u64::from(flow) * members.len() as u64) >> 32) as usize).copied()
    }

    /// The next hops, each as often as its weight says.
    pub fn members(&self, several: Several) -> &[NextHop] {
        let first = several.first as usize;
        self.hops.get(first..first + several.count as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
