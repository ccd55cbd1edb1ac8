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

use std::sync::Arc;

pub use self::draft::Draft;
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

/// All routes, immutable within a snapshot: the addresses in order, cut into spans where another target begins. An
/// address's first octet tells its span, or a few, among which a binary search decides; where there are very many, its first two
/// octets do.
#[derive(Clone, Debug)]
pub struct Routes {
    /// The first address of each span, in host order; the first span's is 0.
    starts: Arc<[u32]>,
    targets: Arc<[Option<Target>]>,
    /// By first octet: the first and the last span of its addresses.
    octets: Arc<[(u32, u32); 256]>,
    /// By the first two octets, the same; empty while an octet has few spans.
    pairs: Arc<[(u32, u32)]>,
    /// The next hops of those who have several, each as often as its weight says.
    hops: Arc<[NextHop]>,
}

impl Default for Routes {
    fn default() -> Self {
        Draft::default().finish()
    }
}

impl Routes {
    /// Finds where an address, in host order, leads.
    #[inline]
    pub fn find(&self, address: u32) -> Option<Target> {
        let (first, last) = self.octets[(address >> 24) as usize];
        let mut span = first as usize;
        if first != last {
            let (first, last) = self.pairs.get((address >> 16) as usize).copied().unwrap_or((first, last));
            let later = self.starts.get(first as usize + 1..=last as usize)?;
            span = first as usize + later.partition_point(|start| *start <= address);
        }
        *self.targets.get(span)?
    }

    /// Finds where an address leads.
    #[inline(always)]
    pub fn find_address(&self, address: Address) -> Option<Target> {
        self.find(address.as_v4()?)
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
