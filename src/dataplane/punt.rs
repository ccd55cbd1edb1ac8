//! What is the host's: which of the frames that the director has no use for go to the kernel, by the port's twin.
//!
//! A frame comes here when it would end otherwise, so that one that belongs to a service never does. Only what comes in on a
//! port that has a twin is given away, and of what is wrong in itself nothing is.
//!
//! | what came | class |
//! |---|---|
//! | IPv4 to an own address of a port with a twin: a TCP segment that is no bare SYN, to a port without a service | session |
//! | all else to such an address: SYN, UDP, ICMP, fragments, other protocols | own |
//! | ARP that the director does not answer, to the port's Ethernet address; IPv6's neighbour discovery | neighbour |
//! | to groups and broadcasts, whatever else it is | link |
//! | IPv6 to an own address, to a link-local one, or to any but a VIP where the port has no IPv6 address of its own | session, own |
//! | other EtherTypes, to the port's Ethernet address | own |
//! | IP to addresses that are neither the director's nor a VIP, where `transit` is the kernel's; else see `transit.rs` | transit |
//!
//! To a VIP only the director answers: what fits no service there is dropped as ever. ARP requests for own addresses and VIPs
//! the director answers too, so that there is one answer whatever the host has; ARP replies are learned from and then
//! handed on, so that both tables say the same. Of a fragmented datagram the first fragment says whether it is a service's ([`super::fragments`]).
//!
//! **Limits.** Each worker hands over so many frames of a class a second, of each port: a flood of one class leaves room
//! for the others, and costs the worker a part of its time only (a frame handed over costs a system call inside of the driver).

use std::net::Ipv6Addr;

use super::address::{Address, Family};
use super::clock::Now;
use super::new_flows::Bucket;
use super::parse::{Kind, Parsed};
use super::service::{Local, PortId};
use super::snapshot::Snapshot;
use super::stats::Outcome;
use super::wire::ethernet::EtherType;
use super::wire::{ethernet, icmpv6, ip, ipv4, ipv6, tcp};

/// What becomes of packets that come to the director's Ethernet address and are for neither it nor a service: what NAT real
/// servers send on their own, since the director is their gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transit {
    /// They are dropped and counted.
    #[default]
    Drop,
    /// The host gets them, to forward, masquerade or drop.
    Kernel,
    /// They are routed here (`transit.rs`).
    Route,
}

/// Frames for the host that share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Of TCP connections that go on.
    Session,
    /// Whatever else is for the host alone.
    Own,
    /// By which neighbours are found: ARP to the port's Ethernet address, IPv6's neighbour discovery.
    Neighbor,
    /// What is for every station on the link.
    Link,
    /// What is on its way elsewhere.
    Transit,
    /// Answers to checks through VIPs.
    Check,
    /// Clients' packets to services whose real server the host is (`host.rs`).
    Served,
}

impl Class {
    const COUNT: usize = Class::Served as usize + 1;

    /// How many frames of the class a worker hands over in a second, of one port; a tenth of it at once.
    pub const fn per_second(self) -> u32 {
        match self {
            // 0.6 Gb/s of full segments; and ten times what the checks of 5,000 real servers every 2 s are answered.
            Self::Session | Self::Transit | Self::Check | Self::Served => 50_000,
            // As many connections a second are more than a host accepts.
            Self::Own => 20_000,
            Self::Link | Self::Neighbor => 10_000,
        }
    }
}

/// What a worker may still hand over of one port's frames.
#[derive(Clone, Debug, Default)]
pub struct Limits([Bucket; Class::COUNT]);

impl Limits {
    /// Tells whether another frame of the class may be handed over now, and counts it.
    pub fn admit(&mut self, class: Class, now: Now) -> bool {
        let bucket = &mut self.0[class as usize];
        let admitted = bucket.admits(class.per_second(), 1, now);
        if admitted {
            bucket.take(1);
        }
        admitted
    }
}

/// Tells whether the host has an address of the director's: an own one of a port with a twin.
pub fn host_has(snapshot: &Snapshot, address: Address) -> bool {
    match snapshot.locals.find(address) {
        Some(Local::Own(port)) => snapshot.ports.get(port.index()).is_some_and(|port| port.twin.is_some()),
        Some(Local::Virtual) | None => false,
    }
}

/// Says of what class a frame is that came in by `ingress` and would end as `outcome`; `None` if it is not the host's.
pub fn class(snapshot: &Snapshot, ingress: PortId, frame: &[u8], outcome: Outcome) -> Option<Class> {
    let ethernet = ethernet::Frame::new_checked(frame).ok()?;
    let to_group = ethernet::is_group(&ethernet.destination());
    if ethernet.ethertype() == EtherType::Ipv6 {
        let packet = ipv6::Packet::new_checked(ethernet.payload()).ok()?;
        return of_ipv6(snapshot, ingress, &packet, outcome);
    }
    let packet = || ipv4::Packet::new_checked(ethernet.payload()).ok();
    match outcome {
        Outcome::LearnedArp | Outcome::DropArpNotOurs if !to_group => Some(Class::Neighbor),
        Outcome::LearnedArp | Outcome::DropArpNotOurs => Some(Class::Link),
        Outcome::DropEtherType => Some(if to_group { Class::Link } else { Class::Own }),
        Outcome::DropIpGroup => is_for_many(snapshot, ingress, &packet()?).then_some(Class::Link),
        // From a host that has no address yet (RFC 1122 §3.2.1.3).
        Outcome::DropIpSource => {
            let packet = packet()?;
            (packet.source().is_unspecified() && is_for_many(snapshot, ingress, &packet)).then_some(Class::Link)
        }
        _ => addressed(snapshot, &sound(frame, outcome)?),
    }
}

pub(super) type Packet<'a> = ipv4::Packet<&'a [u8]>;

/// The IPv4 packet of a frame that would end as `outcome`, if nothing is wrong with it but that it is neither a service's nor a
/// connection's: its destination is one host's, and so is that of its frame.
pub(super) fn sound(frame: &[u8], outcome: Outcome) -> Option<Packet<'_>> {
    let candidates = [
        Outcome::DropFragment,
        Outcome::DropFragmentMalformed,
        Outcome::DropFragmentTiny,
        Outcome::DropFragmentNoFirst,
        Outcome::DropProtocol,
        Outcome::DropIcmpType,
        Outcome::DropIcmpQuote,
        Outcome::DropIcmpNoConnection,
        Outcome::DropTunnelError,
        Outcome::DropNoService,
        Outcome::DropNoConnectionReply,
        Outcome::DropNotForUs,
    ];
    if !candidates.contains(&outcome) {
        return None;
    }
    // The version tells it from IPv6.
    ipv4::Packet::new_checked(frame.get(ethernet::HEADER_OCTETS..)?).ok()
}

/// The class of a packet that is for one host.
fn addressed(snapshot: &Snapshot, packet: &Packet<'_>) -> Option<Class> {
    let destination = packet.destination().into();
    if host_has(snapshot, destination) {
        return Some(if is_session(packet) { Class::Session } else { Class::Own });
    }
    let transit = snapshot.transit == Transit::Kernel && snapshot.locals.find(destination).is_none();
    transit.then_some(Class::Transit)
}

fn is_session(packet: &Packet<'_>) -> bool {
    if packet.protocol() != ip::Protocol::Tcp || packet.is_fragment() {
        return false;
    }
    goes_on(packet.payload())
}

/// Tells whether a TCP segment is of a connection that was opened before.
fn goes_on(segment: &[u8]) -> bool {
    let segment = tcp::Packet::new_checked(segment);
    segment.is_ok_and(|segment| !segment.flags().contains(tcp::Flags::SYN) || segment.flags().contains(tcp::Flags::ACK))
}

/// The class of an IPv6 packet.
fn of_ipv6(snapshot: &Snapshot, ingress: PortId, packet: &ipv6::Packet<&[u8]>, outcome: Outcome) -> Option<Class> {
    let discovery = || {
        let message = icmpv6::Packet::new_checked(packet.payload()).ok()?;
        (packet.next_header() == ip::Protocol::Icmpv6 && message.kind().is_neighbor_discovery()).then_some(())
    };
    match outcome {
        Outcome::LearnedNd | Outcome::DropNdNotOurs => Some(Class::Neighbor),
        Outcome::DropIpGroup | Outcome::DropIpSource | Outcome::DropNotForUs | Outcome::DropIcmpType
            if packet.destination().is_multicast() =>
        {
            Some(discovery().map_or(Class::Link, |()| Class::Neighbor))
        }
        Outcome::DropFragment
        | Outcome::DropFragmentMalformed
        | Outcome::DropFragmentTiny
        | Outcome::DropFragmentNoFirst
        | Outcome::DropProtocol
        | Outcome::DropIcmpType
        | Outcome::DropIcmpQuote
        | Outcome::DropIcmpNoConnection
        | Outcome::DropTunnelError
        | Outcome::DropNoService
        | Outcome::DropNoConnectionReply
        | Outcome::DropNotForUs => {
            let session = packet.next_header() == ip::Protocol::Tcp && goes_on(packet.payload());
            let own = if session { Class::Session } else { Class::Own };
            let destination = packet.destination();
            if is_hosts(snapshot, ingress, destination) {
                return Some(own);
            }
            let transit = snapshot.transit == Transit::Kernel && snapshot.locals.find(destination.into()).is_none();
            transit.then_some(Class::Transit)
        }
        _ => None,
    }
}

/// Tells whether the host may have an IPv6 address: an own one, a link-local one, or any that is no VIP, of a port that has none of its
/// own, so that what it has the host has chosen itself (RFC 4862).
fn is_hosts(snapshot: &Snapshot, ingress: PortId, address: Ipv6Addr) -> bool {
    let bare = || snapshot.ports.get(ingress.index()).is_some_and(|port| port.source(Family::V6).is_none());
    host_has(snapshot, address.into())
        || address.is_unicast_link_local()
        || (bare() && snapshot.locals.find(address.into()).is_none())
}

/// Tells whether a packet is for a group, or for all on the link (RFC 1122 §3.2.1.3). One for a single host in a frame for
/// many is not (§3.3.6).
fn is_for_many(snapshot: &Snapshot, ingress: PortId, packet: &Packet<'_>) -> bool {
    let destination = packet.destination();
    destination.is_multicast()
        || destination.is_broadcast()
        || snapshot.ports.get(ingress.index()).is_some_and(|port| port.has_broadcast(destination.into()))
}

/// What the beginning of a datagram tells, be it whole or a first fragment: who it is from and for. `None` for one without ports.
pub(super) fn beginning(packet: &Packet<'_>) -> Option<Parsed> {
    let kind = match packet.protocol() {
        ip::Protocol::Tcp => Kind::Tcp,
        ip::Protocol::Udp => Kind::Udp,
        ip::Protocol::Sctp => Kind::Sctp,
        _ => return None,
    };
    if packet.fragment_offset() != 0 {
        return None;
    }
    let &[a, b, c, d] = packet.payload().first_chunk()?;
    Some(Parsed {
        kind,
        src: packet.source().into(),
        dst: packet.destination().into(),
        src_port: u16::from_be_bytes([a, b]),
        dst_port: u16::from_be_bytes([c, d]),
        ..Parsed::NOTHING
    })
}
