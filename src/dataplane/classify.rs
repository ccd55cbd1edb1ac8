//! What a packet is to the director: a client's, a real server's answer, or the director's own affair.
//!
//! One or two looks into a table that stays in cache; then the connection's key is known and its line is asked
//! for, long before it is read.

use super::conn::{Hash, Identity, Key, Level, Socket, Spot, WideKey};
use super::parse::{Kind, Parsed};
use super::service::{Endpoint, EndpointId, Protocol, RealId};
use super::shared::{Kept, Shared};
use super::snapshot::Snapshot;
use super::stats::Outcome;

/// The way to a connection.
#[derive(Clone, Copy, Debug)]
pub struct Way<K: Identity = Key> {
    /// The connection's key, or its link's.
    pub key: K,
    /// The key's hash.
    pub hash: Hash,
    /// Where it was when the burst was looked through.
    pub spot: Spot,
}

impl<K: Kept> Way<K> {
    /// The way to a connection whose first line is asked for now.
    #[inline]
    fn new(shared: &Shared, key: K) -> Self {
        let table = K::table(shared);
        let hash = table.hash(key);
        table.prefetch(Level::First, hash);
        Self { key, hash, spot: Spot::ELSEWHERE }
    }
}

/// A way to a wide connection, without its key: that is made of the packet again, so that a [`Step`] is no longer than most
/// packets need.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    hash: Hash,
    spot: Spot,
}

impl Lead {
    #[inline]
    fn new(shared: &Shared, key: WideKey) -> Self {
        let Way { hash, spot, .. } = Way::new(shared, key);
        Self { hash, spot }
    }

    /// The way, with the key that the lead was made for.
    #[inline]
    pub fn way(self, key: WideKey) -> Way<WideKey> {
        Way { key, hash: self.hash, spot: self.spot }
    }
}

/// The key of a client's packet to a service of many ports.
#[inline]
pub fn request_key(packet: &Parsed, service: EndpointId) -> WideKey {
    WideKey::new((packet.src, packet.src_port), (packet.dst, packet.dst_port), service)
}

/// The key of the link that a packet from a NAT real server of such a service answers by.
#[inline]
pub fn answer_key(packet: &Parsed, socket: Socket) -> WideKey {
    WideKey::answer((packet.dst, packet.dst_port), packet.src_port, socket.endpoint)
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
    /// From a client to a virtual service of every port.
    WideInbound {
        /// The service.
        service: EndpointId,
        /// Its connection.
        lead: Lead,
    },
    /// From a NAT real server of such services.
    WideReply {
        /// The real server's socket.
        socket: Socket,
        /// Its link.
        lead: Lead,
    },
}

impl Step {
    /// Sees in which line the packet's connection is, if it has one, some time after it was classified.
    #[inline(always)]
    pub fn spot(&mut self, shared: &Shared, packet: &Parsed) {
        match self {
            Self::Inbound { way, .. } | Self::Reply { way, .. } | Self::SharedReply { way, .. } => {
                way.spot = shared.table.spot(way.key, way.hash);
            }
            Self::WideInbound { service, lead } => {
                lead.spot = shared.wide.spot(request_key(packet, *service), lead.hash);
            }
            Self::WideReply { socket, lead } => {
                lead.spot = shared.wide.spot(answer_key(packet, *socket), lead.hash);
            }
            Self::End(_) | Self::Arp | Self::Icmp => {}
        }
    }
}

/// The protocol of a packet that may be balanced.
#[inline]
pub fn protocol(packet: &Parsed) -> Option<Protocol> {
    match packet.kind {
        Kind::Tcp => Some(Protocol::Tcp),
        Kind::Udp => Some(Protocol::Udp),
        Kind::Sctp => Some(Protocol::Sctp),
        Kind::Icmp | Kind::Arp => None,
    }
}

/// Classifies a parsed packet and prefetches its connection's line.
#[inline]
pub fn classify(snapshot: &Snapshot, shared: &Shared, packet: &Parsed) -> Step {
    let Some(protocol) = protocol(packet) else {
        return if packet.kind == Kind::Icmp { Step::Icmp } else { Step::Arp };
    };
    if let Some(Endpoint::Service(service)) = snapshot.endpoints.find(packet.dst, packet.dst_port, protocol) {
        return Step::Inbound { service, way: Way::new(shared, Key::new(packet.src, packet.src_port, service)) };
    }
    match snapshot.endpoints.find(packet.src, packet.src_port, protocol) {
        Some(Endpoint::Private { service, real }) => {
            Step::Reply { real, way: Way::new(shared, Key::new(packet.dst, packet.dst_port, service)) }
        }
        Some(Endpoint::Shared(socket)) => {
            Step::SharedReply { socket, way: Way::new(shared, Key::new(packet.dst, packet.dst_port, socket.endpoint)) }
        }
        _ if !snapshot.wildcards.is_empty() => classify_wide(snapshot, shared, packet, protocol),
        _ => unserved(snapshot, packet),
    }
}

/// Looks for a service of every port.
#[inline(never)]
fn classify_wide(snapshot: &Snapshot, shared: &Shared, packet: &Parsed, protocol: Protocol) -> Step {
    if let Some(Endpoint::Service(service)) = snapshot.wildcards.find(packet.dst, 0, protocol) {
        return Step::WideInbound { service, lead: Lead::new(shared, request_key(packet, service)) };
    }
    if let Some(Endpoint::Shared(socket)) = snapshot.wildcards.find(packet.src, 0, protocol) {
        return Step::WideReply { socket, lead: Lead::new(shared, answer_key(packet, socket)) };
    }
    unserved(snapshot, packet)
}

fn unserved(snapshot: &Snapshot, packet: &Parsed) -> Step {
    let ours = snapshot.locals.find(packet.dst).is_some();
    Step::End(if ours { Outcome::DropNoService } else { Outcome::DropNotForUs })
}
