//! What concerns the director itself: ARP, and ICMP echo to its own addresses and VIPs.
//!
//! ARP follows RFC 826, and RFC 5227 for probes, announcements and conflicts. A request is answered on whichever
//! port it is heard, as a Linux host with `arp_ignore=0` does. A station that asks for one of our addresses is
//! learned; what others say to each other only refreshes stations already known.

use std::net::Ipv4Addr;

use super::address::Address;
use super::classify::{self, Echo};
use super::clock::Now;
use super::forward::echo;
use super::neigh::Neighbors;
use super::parse::Parsed;
use super::port::Frame;
use super::route::Target;
use super::service::{Local, PortId};
use super::shared::{Event, Shared};
use super::snapshot::Snapshot;
use super::stats::Outcome;
use super::wire::{arp, ethernet};

/// Octets of an ARP message for IPv4 over Ethernet, with its Ethernet header.
const ARP_FRAME: usize = ethernet::HEADER_OCTETS + arp::OCTETS;

/// How a frame that concerned the director ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The frame now holds an answer: send it back where it came from.
    Reply(Outcome),
    /// It ends here.
    End(Outcome),
}

/// Handles an ARP message.
pub fn arp<F: Frame>(snapshot: &Snapshot, shared: &Shared, ingress: PortId, now: Now, frame: &mut F) -> Answer {
    let Some(message) = read_arp(frame.bytes()) else { return Answer::End(Outcome::DropArpMalformed) };
    let sender = Address::from(message.source_protocol);
    let ours = snapshot.locals.find(message.target_protocol.into()).is_some();
    if snapshot.locals.find(sender).is_some() {
        if snapshot.ports.iter().any(|port| port.mac == message.source_hardware) {
            // One of our own ports heard another on the same segment.
            return Answer::End(Outcome::DropArpNotOurs);
        }
        let (address, mac) = (sender, message.source_hardware);
        // A full ring loses the log line, not the count.
        let _ = shared.events.push(Event::AddressConflict { address, mac, port: ingress });
        return Answer::End(Outcome::DropArpConflict);
    }
    let asks = message.operation == arp::Operation::Request;
    let on_link = matches!(snapshot.routes.find_address(sender), Some(Target::OnLink(port)) if port == ingress);
    let learned =
        sender != Address::UNSPECIFIED_V4 && on_link && learn(&shared.neighbors, ingress, &message, asks && ours, now);
    if !(asks && ours) {
        return Answer::End(if learned { Outcome::LearnedArp } else { Outcome::DropArpNotOurs });
    }
    let mac = snapshot.ports[ingress.index()].mac;
    let reply = arp::Repr {
        operation: arp::Operation::Reply,
        source_hardware: mac,
        source_protocol: message.target_protocol,
        target_hardware: message.source_hardware,
        target_protocol: message.source_protocol,
    };
    match write_arp(frame, message.source_hardware, mac, &reply) {
        Some(()) => Answer::Reply(Outcome::AnsweredArp),
        None => Answer::End(Outcome::DropTruncated),
    }
}

/// Answers what the host asks by ARP, if that is a VIP's: it would ask the link in vain. `station` is the Ethernet address that
/// it is told.
pub fn arp_of_host<F: Frame>(snapshot: &Snapshot, station: ethernet::Address, frame: &mut F) -> Option<Outcome> {
    let message = read_arp(frame.bytes())?;
    let asked = snapshot.locals.find(message.target_protocol.into());
    if message.operation != arp::Operation::Request || asked != Some(Local::Virtual) {
        return None;
    }
    let reply = arp::Repr {
        operation: arp::Operation::Reply,
        source_hardware: station,
        source_protocol: message.target_protocol,
        target_hardware: message.source_hardware,
        target_protocol: message.source_protocol,
    };
    write_arp(frame, message.source_hardware, station, &reply).map(|()| Outcome::AnsweredArp)
}

fn learn(neighbors: &Neighbors, ingress: PortId, message: &arp::Repr, add: bool, now: Now) -> bool {
    neighbors.learn(ingress, message.source_protocol.into(), message.source_hardware, add, now)
}

fn read_arp(frame: &[u8]) -> Option<arp::Repr> {
    let payload = frame.get(ethernet::HEADER_OCTETS..)?;
    let message = arp::Repr::parse(&arp::Packet::new_checked(payload).ok()?).ok()?;
    let known = matches!(message.operation, arp::Operation::Request | arp::Operation::Reply);
    let sender = message.source_protocol;
    let group = sender.is_multicast() || sender.is_broadcast() || sender.is_loopback();
    let station = !ethernet::is_group(&message.source_hardware) && message.source_hardware != [0; 6];
    (known && station && !group).then_some(message)
}

fn write_arp<F: Frame>(
    frame: &mut F,
    to: ethernet::Address,
    from: ethernet::Address,
    message: &arp::Repr,
) -> Option<()> {
    let bytes = frame.set_len(ARP_FRAME)?;
    let mut ethernet = ethernet::Frame::new_unchecked(bytes);
    ethernet.set_destination(to);
    ethernet.set_source(from);
    ethernet.set_ethertype(ethernet::EtherType::Arp);
    message.emit(&mut arp::Packet::new_unchecked(ethernet.payload_mut()));
    Some(())
}

/// Writes a request for `target` into a fresh frame: who has it, tell `source`.
pub fn write_request<F: Frame>(frame: &mut F, mac: [u8; 6], source: Ipv4Addr, target: Ipv4Addr) -> Option<()> {
    let request = arp::Repr {
        operation: arp::Operation::Request,
        source_hardware: mac,
        source_protocol: source,
        target_hardware: [0; 6],
        target_protocol: target,
    };
    write_arp(frame, ethernet::BROADCAST, mac, &request)
}

/// Handles an ICMP message: an echo request to one of our addresses is answered in place. Only the host may ask from one.
pub fn icmp<F: Frame>(snapshot: &Snapshot, packet: &Parsed, frame: &mut F, asked_by_host: bool) -> Answer {
    if snapshot.locals.find(packet.dst).is_none() {
        return Answer::End(Outcome::DropNotForUs);
    }
    if snapshot.locals.find(packet.src).is_some() && !asked_by_host {
        return Answer::End(Outcome::DropIpSource);
    }
    if classify::echo(packet) != Some(Echo::Request) || packet.icmp_code != 0 {
        return Answer::End(Outcome::DropIcmpType);
    }
    let (l3, l4) = (usize::from(packet.l3_offset), usize::from(packet.l4_offset));
    match echo::reply(frame, l3, l4, packet.family()) {
        Ok(()) => Answer::Reply(Outcome::AnsweredEcho),
        Err(_) => Answer::End(Outcome::DropIcmpMalformed),
    }
}
