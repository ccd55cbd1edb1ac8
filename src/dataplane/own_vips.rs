//! The host as a client: its connections to the director's own VIPs, as IPVS has them from LOCAL_OUT.
//!
//! The host routes a packet to a VIP like one to anybody else, since it does not have the address: to a gateway, or to the link. So
//! it comes in on a twin, and is a client's packet here: classified, scheduled and forwarded. An answer by tunnel or
//! direct routing comes from the link, from a VIP to an own address, and is handed over as any other ([`super::punt`]); by NAT it
//! is handed over once it bears the VIP. ARP and echo requests for a VIP are answered on the twin.
//!
//! What the host sends to a VIP does not leave by the port, whether a service has it or not: another director's VIP is no
//! VIP here. To a service whose real server the host is itself it has no way by the VIP: it takes no packet from outside
//! that bears an address of its own.

use super::address::Address;
use super::connect::Reply;
use super::discover::discover_of_host;
use super::forward::{link, nat};
use super::from_host::Leaving;
use super::local;
use super::parse::Parsed;
use super::pipeline::{Fate, Stages, count, transport};
use super::port::Frame;
use super::service::{Local, PortId, PortSettings};
use super::snapshot::Snapshot;
use super::stand_in::STATION;
use super::stats::Outcome;
use super::wire::ethernet::{self, EtherType};
use super::wire::{ip, ipv4, ipv6};

impl<'a> Stages<'a> {
    /// Says what becomes of a frame that the host sent, if it is for a VIP.
    pub(super) fn asked_by_host<F: Frame>(&self, frame: &mut F) -> Option<Leaving> {
        match meant(self.snapshot, frame.bytes())? {
            Meant::Arp => {
                let answered = local::arp_of_host(self.snapshot, STATION, frame)?;
                Some(Leaving::Now(Fate::Send(self.back, answered)))
            }
            Meant::Discovery => {
                let answered = discover_of_host(self.snapshot, STATION, frame)?;
                Some(Leaving::Now(Fate::Send(self.back, answered)))
            }
            Meant::Packet => {
                // It is the director's, whichever station the host sends it to.
                let frame = frame.bytes_mut();
                let sender = ethernet::Frame::new_unchecked(&*frame).source();
                link::readdress(frame, self.snapshot.ports[self.ingress.index()].mac, sender).ok()?;
                Some(Leaving::AsAClient)
            }
        }
    }

    /// Hands the host a NAT real server's answer that is for it; `None` if it is not.
    #[cold]
    pub(super) fn answer_host<F: Frame>(&mut self, frame: &mut F, packet: &Parsed, reply: Reply) -> Option<Fate> {
        let (port, twin) = self.host_at(packet.dst)?;
        let (l3, l4) = (usize::from(packet.l3_offset), usize::from(packet.l4_offset));
        nat::answer(frame.bytes_mut(), l3, l4, transport(packet), reply.from).ok()?;
        link::readdress(frame.bytes_mut(), port.mac, STATION).ok()?;
        let octets = u64::from(packet.ip_octets);
        count(&self.stats.services[reply.service.index()], octets, false);
        count(&self.stats.reals[reply.real.index()], octets, false);
        Some(Fate::Send(twin, Outcome::ForwardedNatOut))
    }

    /// The port that has an address, and its twin, on which the host hears of it.
    pub(super) fn host_at(&self, address: Address) -> Option<(&'a PortSettings, PortId)> {
        match self.snapshot.locals.find(address)? {
            Local::Own(port) => {
                let port = self.snapshot.ports.get(port.index())?;
                Some((port, port.twin?))
            }
            Local::Virtual => None,
        }
    }
}

/// What a frame holds that may be for a VIP.
enum Meant {
    Arp,
    /// A neighbour solicitation, perhaps.
    Discovery,
    /// A packet to one.
    Packet,
}

fn meant(snapshot: &Snapshot, frame: &[u8]) -> Option<Meant> {
    let frame = ethernet::Frame::new_checked(frame).ok()?;
    let destination: Address = match frame.ethertype() {
        EtherType::Arp => return Some(Meant::Arp),
        EtherType::Ipv4 => {
            let header = frame.payload().first_chunk::<{ ipv4::HEADER_OCTETS }>()?;
            ipv4::Packet::new_unchecked(header).destination().into()
        }
        EtherType::Ipv6 => {
            let header = frame.payload().first_chunk::<{ ipv6::HEADER_OCTETS }>()?;
            let header = ipv6::Packet::new_unchecked(header);
            // Nothing else has this limit (RFC 4861 §7.1), but for what the host sends so for reasons of its own.
            if header.hop_limit() == 255 && header.next_header() == ip::Protocol::Icmpv6 {
                return Some(Meant::Discovery);
            }
            header.destination().into()
        }
        _ => return None,
    };
    (snapshot.locals.find(destination) == Some(Local::Virtual)).then_some(Meant::Packet)
}
