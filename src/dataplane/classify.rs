//! What a packet is to the director: a client's, a real server's answer, or the director's own affair.
//!
//! One or two looks into a table that stays in cache; then the connection's key is known and its line is asked
//! for, long before it is read.

use super::address::Family;
use super::conn::{Hash, Identity, Key, Level, Socket, Spot, WideKey};
use super::parse::{Kind, Parsed};
use super::service::{Endpoint, EndpointId, PortId, Protocol, RealId};
use super::shared::{Kept, Shared};
use super::snapshot::Snapshot;
use super::stats::Outcome;
use super::wire::{icmp, icmpv6};

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

/// The key of a client's packet to a service of many ports or addresses, or an IPv6 one.
#[inline]
pub fn request_key(packet: &Parsed, service: EndpointId) -> WideKey {
    WideKey::new((packet.src, packet.src_port), (packet.dst, packet.dst_port), service).over(number(packet))
}

/// The key of the link that a packet from a NAT real server of such a service answers by.
#[inline]
pub fn answer_key(packet: &Parsed, socket: Socket) -> WideKey {
    WideKey::answer((packet.dst, packet.dst_port), packet.src_port, socket.endpoint).over(number(packet))
}

/// The key of the connection that a packet from a NAT real server of one IPv6 service answers.
#[inline]
pub fn six_reply_key(packet: &Parsed, service: EndpointId) -> WideKey {
    WideKey::new((packet.dst, packet.dst_port), (packet.src, 0), service)
}

#[inline]
fn number(packet: &Parsed) -> u8 {
    packet.kind.transport().map_or(0, |protocol| protocol as u8)
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
    /// From a client to a virtual service of many ports or addresses, or an IPv6 one.
    WideInbound {
        /// The service.
        service: EndpointId,
        /// Its connection.
        lead: Lead,
    },
    /// From a NAT real server of one IPv6 service.
    SixReply {
        /// The service.
        service: EndpointId,
        /// The real server.
        real: RealId,
        /// Its connection.
        lead: Lead,
    },
    /// From a NAT real server of services of many ports or addresses, or of several IPv6 ones.
    WideReply {
        /// The real server's socket.
        socket: Socket,
        /// Its link.
        lead: Lead,
    },
}

impl Step {
    /// Sees whether the packet's connection is in its first line, some time after it was classified. Tells whether it is
    /// elsewhere, if anywhere.
    #[inline(always)]
    pub fn spot(&mut self, shared: &Shared, packet: &Parsed) -> bool {
        let spot = match self {
            Self::Inbound { way, .. } | Self::Reply { way, .. } | Self::SharedReply { way, .. } => {
                way.spot = shared.table.spot(way.key, way.hash);
                way.spot
            }
            Self::WideInbound { service, lead } => {
                lead.spot = shared.wide.spot(request_key(packet, *service), lead.hash);
                lead.spot
            }
            Self::WideReply { socket, lead } => {
                lead.spot = shared.wide.spot(answer_key(packet, *socket), lead.hash);
                lead.spot
            }
            Self::SixReply { service, lead, .. } => {
                lead.spot = shared.wide.spot(six_reply_key(packet, *service), lead.hash);
                lead.spot
            }
            Self::End(_) | Self::Arp | Self::Icmp => return false,
        };
        spot == Spot::ELSEWHERE
    }

    /// Sees whether it is in its second line, if it is not in its first.
    #[inline]
    pub fn spot_second(&mut self, shared: &Shared, packet: &Parsed) {
        match self {
            Self::Inbound { way, .. } | Self::Reply { way, .. } | Self::SharedReply { way, .. } => {
                way.spot = shared.table.spot_second(way.key, way.hash);
            }
            Self::WideInbound { service, lead } => {
                lead.spot = shared.wide.spot_second(request_key(packet, *service), lead.hash);
            }
            Self::WideReply { socket, lead } => {
                lead.spot = shared.wide.spot_second(answer_key(packet, *socket), lead.hash);
            }
            Self::SixReply { service, lead, .. } => {
                lead.spot = shared.wide.spot_second(six_reply_key(packet, *service), lead.hash);
            }
            Self::End(_) | Self::Arp | Self::Icmp => {}
        }
    }
}

/// Classifies a parsed packet that came in by `ingress`, and prefetches its connection's line.
#[inline]
pub fn classify(snapshot: &Snapshot, shared: &Shared, packet: &Parsed, ingress: PortId) -> Step {
    let Some(protocol) = packet.kind.transport() else { return classify_other(snapshot, shared, packet) };
    if packet.family() == Family::V6 {
        return classify_six(snapshot, shared, packet, protocol);
    }
    let (src, dst) = (packet.src.low(), packet.dst.low());
    if snapshot.selectors.come_first()
        && let Some(step) = classify_first(snapshot, shared, packet, ingress)
    {
        return step;
    }
    if let Some(Endpoint::Service(service)) = snapshot.endpoints.find_v4(dst, packet.dst_port, protocol) {
        return Step::Inbound { service, way: Way::new(shared, Key::new(src, packet.src_port, service)) };
    }
    match snapshot.endpoints.find_v4(src, packet.src_port, protocol) {
        Some(endpoint) if let Some(step) = answer(shared, packet, endpoint) => step,
        _ if snapshot.wide => classify_wide(snapshot, shared, packet, protocol),
        _ => unserved(snapshot, packet),
    }
}

/// Classifies an IPv6 packet.
#[inline(never)]
fn classify_six(snapshot: &Snapshot, shared: &Shared, packet: &Parsed, protocol: Protocol) -> Step {
    if let Some(Endpoint::Service(service)) = snapshot.endpoints.find(packet.dst, packet.dst_port, protocol) {
        return request(shared, packet, service);
    }
    let source = snapshot.endpoints.find(packet.src, packet.src_port, protocol);
    source.and_then(|source| answer(shared, packet, source)).unwrap_or_else(|| unserved(snapshot, packet))
}

/// What a packet from a NAT real server is.
#[inline(always)]
fn answer(shared: &Shared, packet: &Parsed, source: Endpoint) -> Option<Step> {
    if packet.family() == Family::V6 {
        return six_answer(shared, packet, source);
    }
    let way = |endpoint| Way::new(shared, Key::new(packet.dst.low(), packet.dst_port, endpoint));
    match source {
        Endpoint::Private { service, real } => Some(Step::Reply { real, way: way(service) }),
        Endpoint::Shared(socket) => Some(Step::SharedReply { socket, way: way(socket.endpoint) }),
        Endpoint::Service(_) => None,
    }
}

/// The same over IPv6.
fn six_answer(shared: &Shared, packet: &Parsed, source: Endpoint) -> Option<Step> {
    match source {
        Endpoint::Private { service, real } => {
            let lead = Lead::new(shared, six_reply_key(packet, service));
            Some(Step::SixReply { service, real, lead })
        }
        Endpoint::Shared(socket) => {
            Some(Step::WideReply { socket, lead: Lead::new(shared, answer_key(packet, socket)) })
        }
        Endpoint::Service(_) => None,
    }
}

/// What a packet from a real server of whichever kind answers; `None` if no service has one there.
pub fn answer_to_service(snapshot: &Snapshot, shared: &Shared, packet: &Parsed) -> Option<Step> {
    let (protocol, port) = match packet.kind.transport() {
        Some(protocol) => (protocol, packet.src_port),
        None if echo(packet) == Some(Echo::Reply) => (Protocol::Icmp, 0),
        None => return None,
    };
    let source = snapshot.endpoints.find(packet.src, port, protocol);
    source.and_then(|source| answer(shared, packet, source)).or_else(|| wide_answer(snapshot, shared, packet, protocol))
}

/// ARP, and ICMP: of that, echo requests to a VIP may be balanced.
#[inline(never)]
fn classify_other(snapshot: &Snapshot, shared: &Shared, packet: &Parsed) -> Step {
    if packet.kind == Kind::Arp {
        return Step::Arp;
    }
    let step = match echo(packet).filter(|_| packet.icmp_code == 0) {
        Some(Echo::Request) => match snapshot.endpoints.find(packet.dst, 0, Protocol::Icmp) {
            Some(Endpoint::Service(service)) => Some(match packet.src.as_v4() {
                Some(src) => Step::Inbound { service, way: Way::new(shared, Key::new(src, packet.src_port, service)) },
                None => request(shared, packet, service),
            }),
            _ => None,
        },
        Some(Echo::Reply) => {
            let source = snapshot.endpoints.find(packet.src, 0, Protocol::Icmp);
            source.and_then(|endpoint| answer(shared, packet, endpoint))
        }
        None => None,
    };
    step.unwrap_or(Step::Icmp)
}

/// The messages that can be balanced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// Asks.
    Request,
    /// Answers.
    Reply,
}

/// What a packet is, if it is one of these.
pub fn echo(packet: &Parsed) -> Option<Echo> {
    match packet.kind {
        Kind::Icmp => match icmp::Type::from(packet.message_type) {
            icmp::Type::EchoRequest => Some(Echo::Request),
            icmp::Type::EchoReply => Some(Echo::Reply),
            _ => None,
        },
        Kind::Icmpv6 => match icmpv6::Type::from(packet.message_type) {
            icmpv6::Type::EchoRequest => Some(Echo::Request),
            icmpv6::Type::EchoReply => Some(Echo::Reply),
            _ => None,
        },
        _ => None,
    }
}

/// Looks for a service that comes before those of one address and port. What a NAT real server sends may fit its
/// description and be an answer all the same: it is taken for one, and for a client's packet if it answers nothing.
#[inline(never)]
fn classify_first(snapshot: &Snapshot, shared: &Shared, packet: &Parsed, ingress: PortId) -> Option<Step> {
    let service = snapshot.selectors.first(packet, ingress)?;
    let protocol = packet.kind.transport()?;
    let source = snapshot.endpoints.find(packet.src, packet.src_port, protocol);
    let answer = source.and_then(|source| answer(shared, packet, source));
    answer
        .or_else(|| wide_answer(snapshot, shared, packet, protocol))
        .or_else(|| Some(request(shared, packet, service)))
}

/// Looks for a service of many ports or addresses, or a NAT real server of one.
#[inline(never)]
fn classify_wide(snapshot: &Snapshot, shared: &Shared, packet: &Parsed, protocol: Protocol) -> Step {
    let step = wide_answer(snapshot, shared, packet, protocol);
    let request = || Some(request(shared, packet, snapshot.wide_services(packet, protocol).next()?));
    step.or_else(request).unwrap_or_else(|| unserved(snapshot, packet))
}

fn wide_answer(snapshot: &Snapshot, shared: &Shared, packet: &Parsed, protocol: Protocol) -> Option<Step> {
    match snapshot.wildcards.find(packet.src, 0, protocol) {
        Some(Endpoint::Shared(socket)) => {
            Some(Step::WideReply { socket, lead: Lead::new(shared, answer_key(packet, socket)) })
        }
        _ => None,
    }
}

fn request(shared: &Shared, packet: &Parsed, service: EndpointId) -> Step {
    Step::WideInbound { service, lead: Lead::new(shared, request_key(packet, service)) }
}

/// What a packet from a NAT real server is that answers nothing: a client's to a service of many ports or addresses, if it
/// is to one. To other services it would not have been taken for an answer.
#[cold]
pub fn unanswered(
    snapshot: &Snapshot,
    shared: &Shared,
    packet: &Parsed,
    ingress: PortId,
) -> Option<(EndpointId, Lead)> {
    let protocol = packet.kind.transport()?;
    let after = || snapshot.wide_services(packet, protocol).next();
    let service = snapshot.selectors.first(packet, ingress).or_else(after)?;
    Some((service, Lead::new(shared, request_key(packet, service))))
}

fn unserved(snapshot: &Snapshot, packet: &Parsed) -> Step {
    let ours = snapshot.locals.find(packet.dst).is_some();
    Step::End(if ours { Outcome::DropNoService } else { Outcome::DropNotForUs })
}
