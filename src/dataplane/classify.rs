//! What a packet is to the director: a client's, a real server's answer, or the director's own affair.
//!
//! One or two looks into a table that stays in cache; then the connection's key is known and its line is asked
//! for, long before it is read.

use super::conn::{Hash, Key, Level, Socket, Spot, Table};
use super::parse::{Kind, Parsed};
use super::service::{Endpoint, EndpointId, Protocol, RealId};
use super::snapshot::Snapshot;
use super::stats::Outcome;

/// The way to a connection.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The connection's key, or its link's.
    pub key: Key,
    /// The key's hash.
    pub hash: Hash,
    /// Where it was when the burst was looked through.
    pub spot: Spot,
}

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Nothing more: it ends here.
    End(Outcome),
    /// An ARP message.
    Arp,
    /// An ICMP message.
    Icmp,
    /// From a client to a virtual service.
    Inbound {
        /// The service.
        service: EndpointId,
        /// Its connection.
        way: Way,
    },
    /// From a NAT real server of one service.
    Reply {
        /// The real server.
        real: RealId,
        /// Its connection.
        way: Way,
    },
    /// From a NAT real server that several services share.
    SharedReply {
        /// The real server's socket.
        socket: Socket,
        /// Its link.
        way: Way,
    },
}

impl Step {
    /// The way to the packet's connection, if it has one.
    #[inline]
    pub fn way_mut(&mut self) -> Option<&mut Way> {
        match self {
            Self::Inbound { way, .. } | Self::Reply { way, .. } | Self::SharedReply { way, .. } => Some(way),
            Self::End(_) | Self::Arp | Self::Icmp => None,
        }
    }
}

/// Classifies a parsed packet and prefetches its connection's line.
#[inline]
pub fn classify(snapshot: &Snapshot, table: &Table, packet: &Parsed) -> Step {
    let protocol = match packet.kind {
        Kind::Tcp => Protocol::Tcp,
        Kind::Udp => Protocol::Udp,
        Kind::Sctp => Protocol::Sctp,
        Kind::Icmp => return Step::Icmp,
        Kind::Arp => return Step::Arp,
    };
    if let Some(Endpoint::Service(service)) = snapshot.endpoints.find(packet.dst, packet.dst_port, protocol) {
        return Step::Inbound { service, way: way(table, packet.src, packet.src_port, service) };
    }
    match snapshot.endpoints.find(packet.src, packet.src_port, protocol) {
        Some(Endpoint::Private { service, real }) => {
            Step::Reply { real, way: way(table, packet.dst, packet.dst_port, service) }
        }
        Some(Endpoint::Shared(socket)) => {
            Step::SharedReply { socket, way: way(table, packet.dst, packet.dst_port, socket.endpoint) }
        }
        _ if snapshot.locals.find(packet.dst).is_some() => Step::End(Outcome::DropNoService),
        _ => Step::End(Outcome::DropNotForUs),
    }
}

#[inline]
fn way(table: &Table, client: u32, port: u16, endpoint: EndpointId) -> Way {
    let key = Key::new(client, port, endpoint);
    let hash = table.hash(key);
    table.prefetch(Level::First, hash);
    Way { key, hash, spot: Spot::ELSEWHERE }
}
