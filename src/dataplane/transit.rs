//! Transit: packets for others, routed by the director itself (`transit = "route"`; RFC 1812 §5).
//!
//! NAT real servers send what they send on their own to their gateway, the director, and what answers it comes back by it. Such a
//! packet is looked for where a frame would end otherwise, as the host's are ([`super::punt`]): what a service, a connection, the
//! director or the host has never gets here. Ports need no twins.
//!
//! | what came, in a frame for the port's own Ethernet address | what becomes of it |
//! |---|---|
//! | IPv4 of any protocol, fragments too | goes to the next hop by the route table, a hop taken off its TTL |
//! | to an own address, a VIP, the broadcast address of a port's network | ends as ever |
//! | from an own address, or the broadcast address of a port's network | `drop_ip_source` |
//! | its TTL ends here | ICMP time exceeded |
//! | too big for the next link | with DF ICMP fragmentation needed; else it is dropped, for nothing is fragmented here |
//! | nothing leads there | ICMP net unreachable |
//!
//! Nothing is translated: a packet leaves with the source that it came with, and no connection is made. From a VIP it may be: by
//! tunnel and direct routing real servers answer from there, and the director may be their gateway too. It may leave by the
//! port that it came in by; no redirect is sent then. Of several next hops a datagram takes that of its flow, a fragment that of
//! its two addresses, so that all fragments of a datagram go one way. IPv4 options stay as they are. IPv6 in transit is dropped by
//! this version.

use super::address::{Address, Family};
use super::forward::direct;
use super::forward::icmp_error::{Problem, Unreachable};
use super::parse::Parsed;
use super::pipeline::{Fate, Stages, unforwarded};
use super::port::Frame;
use super::punt::{self, Packet, Transit};
use super::service::Local;
use super::snapshot::Snapshot;
use super::stats::Outcome;

const NO_ROUTE: Problem = Problem::Unreachable { what: Unreachable::Net, dropped: Outcome::DropNoRoute };

impl Stages<'_> {
    /// Ends a frame with `outcome`, unless it is in transit and the director is to route it.
    #[cold]
    #[inline(never)]
    pub(super) fn transit<F: Frame>(&mut self, frame: &mut F, outcome: Outcome) -> Fate {
        if self.snapshot.transit != Transit::Route {
            return Fate::End(outcome);
        }
        match punt::sound(frame.bytes(), outcome).map(|packet| parsed(&packet)) {
            Some(packet) if is_elsewhere(self.snapshot, packet.dst) => {
                self.route(frame, &packet).unwrap_or_else(Fate::End)
            }
            _ => Fate::End(outcome),
        }
    }

    fn route<F: Frame>(&mut self, frame: &mut F, packet: &Parsed) -> Result<Fate, Outcome> {
        let own = matches!(self.snapshot.locals.find(packet.src), Some(Local::Own(_)));
        if own || is_broadcast(self.snapshot, packet.src) {
            return Err(Outcome::DropIpSource);
        }
        // Of what the parser refused the padding is still there.
        frame.truncate(packet.frame_octets());
        let hop = match self.hop(packet) {
            Err(Outcome::DropNoRoute) => return Ok(self.answer_problem(frame, packet, NO_ROUTE)),
            found => found?,
        };
        let mtu = self.snapshot.ports[hop.port.index()].mtu;
        if let Some(fate) = self.refuse(frame, packet, mtu) {
            return Ok(fate);
        }
        direct::hop(frame.bytes_mut(), usize::from(packet.l3_offset), Family::V4).map_err(unforwarded)?;
        Ok(self.towards(frame, hop, Outcome::ForwardedTransit))
    }
}

/// What of a packet says where it goes, and whether it can.
fn parsed(packet: &Packet<'_>) -> Parsed {
    let flow = if packet.is_fragment() { None } else { punt::beginning(packet) };
    Parsed {
        src: packet.source().into(),
        dst: packet.destination().into(),
        ip_octets: packet.total_octets(),
        tos: packet.tos(),
        ttl: packet.ttl(),
        dont_fragment: packet.dont_fragment(),
        ..flow.unwrap_or(Parsed::NOTHING)
    }
}

/// Tells whether an address, one that a host may have, is nobody's here.
fn is_elsewhere(snapshot: &Snapshot, address: Address) -> bool {
    snapshot.locals.find(address).is_none() && !is_broadcast(snapshot, address)
}

fn is_broadcast(snapshot: &Snapshot, address: Address) -> bool {
    snapshot.ports.iter().any(|port| port.has_broadcast(address))
}
