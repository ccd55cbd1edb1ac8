//! Neighbour discovery as far as it concerns the director: what [`local`](super::local) does with ARP, over IPv6 (RFC 4861 §7.2).
//!
//! | what came | becomes |
//! |---|---|
//! | a solicitation for an own address or a VIP | an advertisement, to all nodes if whoever asks has no address yet (RFC 4862 §5.4.3) |
//! | its source, and what an advertisement says of a station | learned, as with ARP: new stations only if they ask for us |
//! | a message from another station that claims an address of ours | a logged conflict, counted |

use super::address::Address;
use super::clock::Now;
use super::local::Answer;
use super::nd::{self, Message};
use super::parse::{Kind, Parsed};
use super::port::Frame;
use super::route::Target;
use super::service::{Local, PortId};
use super::shared::{Event, Shared};
use super::snapshot::Snapshot;
use super::stats::Outcome;
use super::wire::{ethernet, icmpv6};

/// Tells whether a packet is a message of neighbour discovery, routers' included.
#[inline]
pub fn is_discovery(packet: &Parsed) -> bool {
    packet.kind == Kind::Icmpv6 && icmpv6::Type::from(packet.message_type).is_neighbor_discovery()
}

/// Handles a message of neighbour discovery.
#[cold]
pub fn discover<F: Frame>(snapshot: &Snapshot, shared: &Shared, ingress: PortId, now: Now, frame: &mut F) -> Answer {
    let Some(message) = nd::read(frame.bytes()) else { return Answer::End(Outcome::DropNdMalformed) };
    let (teller, link, asked) = match message {
        Message::Solicitation(asked) => (asked.source, asked.link, Some(asked)),
        Message::Advertisement(told) => (Some(told.target), told.link, None),
    };
    let teller = teller.map(Address::v6);
    let mac = link.unwrap_or_else(|| ethernet::Frame::new_unchecked(frame.bytes()).source());
    if let Some(address) = teller.filter(|teller| snapshot.locals.find(*teller).is_some()) {
        if snapshot.ports.iter().any(|port| port.mac == mac) {
            // One of our own ports heard another on the same segment.
            return Answer::End(Outcome::DropNdNotOurs);
        }
        // A full ring loses the log line, not the count.
        let _ = shared.events.push(Event::AddressConflict { address, mac, port: ingress });
        return Answer::End(Outcome::DropNdConflict);
    }
    let asked = asked.filter(|asked| snapshot.locals.find(asked.target.into()).is_some());
    let learned = match (teller, link) {
        (Some(teller), Some(mac)) if is_on_link(snapshot, ingress, teller) => {
            shared.neighbors.learn(ingress, teller, mac, asked.is_some(), now)
        }
        _ => false,
    };
    match asked {
        None => Answer::End(if learned { Outcome::LearnedNd } else { Outcome::DropNdNotOurs }),
        Some(asked) => match nd::answer(frame, &asked, snapshot.ports[ingress.index()].mac) {
            Some(()) => Answer::Reply(Outcome::AnsweredNd),
            None => Answer::End(Outcome::DropTruncated),
        },
    }
}

/// Answers what the host asks, if that is a VIP's: it would ask the link in vain. `station` is the Ethernet address that it is told.
pub fn discover_of_host<F: Frame>(snapshot: &Snapshot, station: ethernet::Address, frame: &mut F) -> Option<Outcome> {
    let Message::Solicitation(asked) = nd::read(frame.bytes())? else { return None };
    let meant = snapshot.locals.find(asked.target.into());
    if meant != Some(Local::Virtual) {
        return None;
    }
    nd::answer(frame, &asked, station).map(|()| Outcome::AnsweredNd)
}

/// Tells whether an address is a station's on the port's own link: in a prefix of the port's, or link-local.
fn is_on_link(snapshot: &Snapshot, ingress: PortId, address: Address) -> bool {
    address.to_v6().is_unicast_link_local()
        || matches!(snapshot.routes.find_address(address), Some(Target::OnLink(port)) if port == ingress)
}
