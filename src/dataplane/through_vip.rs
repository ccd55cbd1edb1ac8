//! What the host asks one real server through the VIP, by a stand-in address ([`super::stand_in`]), on its way out and back.
//!
//! On the way out the frame becomes what a client's would be, and is forwarded by the real server's method as that would be; but
//! what does not fit is dropped, and no connection is made. On the way back it is among what would otherwise be dropped or be
//! the host's as it is: TCP, UDP, echo replies, and ICMP errors about what was asked.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::forward::quote::{self, Quote};
use super::forward::{self, link, stand_in};
use super::parse::{Kind, Parsed, parse, parse_octets};
use super::pipeline::{Fate, Stages, room, transport, unforwarded};
use super::port::{Frame, RxChecksum};
use super::punt::Class;
use super::route::Target;
use super::service::{Forwarding, Protocol};
use super::stand_in::{Asker, Askers, STATION};
use super::stats::Outcome;
use super::wire::icmp::Type;
use super::wire::{ethernet, ipv4};

impl Stages<'_> {
    /// Says what becomes of a frame that the host sent, if it is for a stand-in. Whatever else the host sends from a port ends what
    /// it asked from there.
    pub(super) fn ask<F: Frame>(&mut self, frame: &mut F) -> Option<Fate> {
        let askers = self.shared.askers.get()?;
        let (station, to) = addresses(frame.bytes())?;
        if self.snapshot.stand_ins.cover(to) {
            return Some(self.ask_through(frame, askers, station).unwrap_or_else(Fate::End));
        }
        // Not `parse`, which takes padding off: the frame leaves as it is.
        if let Ok(packet) = parse_octets(frame.bytes(), RxChecksum::Good, station)
            && let Some((protocol, port)) = asking(&packet)
        {
            askers.note(packet.src.low(), protocol, port, None);
        }
        None
    }

    fn ask_through<F: Frame>(
        &mut self,
        frame: &mut F,
        askers: &Askers,
        station: ethernet::Address,
    ) -> Result<Fate, Outcome> {
        let snapshot = self.snapshot;
        let packet = parse(frame, station)?;
        let to = Ipv4Addr::from_bits(packet.dst.low());
        let (place, stand_in) = snapshot.stand_ins.find(to).ok_or(Outcome::DropNoStandIn)?;
        let (protocol, port) = asking(&packet).ok_or(match packet.kind {
            Kind::Icmp => Outcome::DropIcmpType,
            _ => Outcome::DropProtocol,
        })?;
        let twin = snapshot.ports[self.ingress.index()].twin.ok_or(Outcome::DropNoRoute)?;
        if !askers.note(packet.src.low(), protocol, port, Some(Asker { place, port: packet.dst_port, twin })) {
            return Err(Outcome::DropStandInSource);
        }
        let real = Parsed { dst: (*stand_in.real.ip()).into(), ..packet };
        let hop = match snapshot.routes.find_address(real.dst) {
            // A gateway would send a packet to the VIP back.
            Some(Target::Via(_) | Target::Several(_)) if stand_in.forwarding == Forwarding::Direct => {
                return Err(Outcome::DropNoRoute);
            }
            // The host need not ask itself.
            _ if stand_in.forwarding == Forwarding::Local => return Err(Outcome::DropNoRoute),
            _ => self.hop(&real)?,
        };
        if packet.ttl <= 1 {
            return Err(Outcome::DropTtl);
        }
        if packet.ip_octets > room(stand_in.forwarding, real.dst, snapshot.ports[hop.port.index()].mtu) {
            return Err(Outcome::DropTooBig);
        }
        let (l3, l4) = offsets(&packet);
        stand_in::to(frame.bytes_mut(), l3, l4, protocol, stand_in.vip).map_err(unforwarded)?;
        let real = match stand_in.forwarding {
            Forwarding::Nat | Forwarding::FullNat | Forwarding::Local => stand_in.end(packet.dst_port),
            Forwarding::Tunnel | Forwarding::Direct => stand_in.real,
        };
        let packet = Parsed { dst: stand_in.vip.into(), ..packet };
        self.rewrite(frame, &packet, (stand_in.forwarding, real.into()), hop)?;
        Ok(self.towards(frame, hop, Outcome::CheckSent))
    }

    /// Hands the host a frame that would end as `outcome`, if it answers what the host asked by a stand-in.
    pub(super) fn check_answered<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        outcome: Outcome,
    ) -> Option<Fate> {
        let (snapshot, askers) = (self.snapshot, self.shared.askers.get()?);
        // To an own address and no service's, no connection's, from a VIP, ICMP that nobody here asked for.
        let candidates = [
            Outcome::DropNoService,
            Outcome::DropNoConnectionReply,
            Outcome::DropIpSource,
            Outcome::DropIcmpType,
            Outcome::DropIcmpNoConnection,
        ];
        if snapshot.stand_ins.is_empty() || !candidates.contains(&outcome) {
            return None;
        }
        let answer = Answer::of(frame.bytes(), packet)?;
        let asker = askers.find(packet.dst.as_v4()?, answer.protocol, answer.asked_from)?;
        let end = snapshot.stand_ins.at(asker.place)?.end(asker.port);
        let port = if answer.protocol == Protocol::Icmp { 0 } else { end.port() };
        let host = snapshot.ports.iter().find(|port| port.twin == Some(asker.twin))?;
        if answer.asked != (end.ip().to_bits(), port) {
            return None;
        }
        if !self.admit(Class::Check) {
            return Some(Fate::End(Outcome::DropPuntLimit));
        }
        let stand_in = SocketAddrV4::new(snapshot.stand_ins.address(asker.place), asker.port);
        let from_end = packet.src == (*end.ip()).into();
        let done = answer
            .put_back(frame.bytes_mut(), packet, stand_in, from_end)
            .and_then(|()| link::readdress(frame.bytes_mut(), host.mac, STATION));
        Some(match done {
            Ok(()) => Fate::Send(asker.twin, Outcome::CheckAnswered),
            Err(error) => Fate::End(unforwarded(error)),
        })
    }
}

/// What may answer a question of the host's.
struct Answer {
    protocol: Protocol,
    /// The host's port.
    asked_from: u16,
    /// Who was asked: address in host order, and port.
    asked: (u32, u16),
    /// Of an ICMP error, what it is about.
    quote: Option<Quote>,
}

impl Answer {
    fn of(frame: &[u8], packet: &Parsed) -> Option<Self> {
        if matches!(packet.kind, Kind::Tcp | Kind::Udp) || is_echo(packet, Type::EchoReply) {
            let (asked_from, asked) = (packet.dst_port, (packet.src.as_v4()?, packet.src_port));
            return Some(Self { protocol: transport(packet), asked_from, asked, quote: None });
        }
        if packet.kind != Kind::Icmp || !Type::from(packet.message_type).is_error() {
            return None;
        }
        let quote = Quote::of(frame, offsets(packet).1, packet.family())?;
        let asking = quote.flow(frame)?;
        let (protocol, asked_from) = self::asking(&asking)?;
        let answer = Self { protocol, asked_from, asked: (asking.dst.as_v4()?, asking.dst_port), quote: Some(quote) };
        (asking.src == packet.dst).then_some(answer)
    }

    fn put_back(
        &self,
        frame: &mut [u8],
        packet: &Parsed,
        stand_in: SocketAddrV4,
        from_end: bool,
    ) -> Result<(), forward::Error> {
        let (l3, l4) = offsets(packet);
        match &self.quote {
            None => stand_in::from(frame, l3, l4, self.protocol, stand_in),
            Some(quote) => {
                let source = from_end.then_some((*stand_in.ip()).into());
                quote::outbound::<false>(frame, (l3, l4), quote, source, stand_in.into())
            }
        }
    }
}

/// What a packet may ask with, and from which port.
fn asking(packet: &Parsed) -> Option<(Protocol, u16)> {
    let asks = matches!(packet.kind, Kind::Tcp | Kind::Udp) || is_echo(packet, Type::EchoRequest);
    asks.then(|| (transport(packet), packet.src_port))
}

fn is_echo(packet: &Parsed, kind: Type) -> bool {
    packet.kind == Kind::Icmp && Type::from(packet.message_type) == kind && packet.icmp_code == 0
}

fn offsets(packet: &Parsed) -> (usize, usize) {
    (usize::from(packet.l3_offset), usize::from(packet.l4_offset))
}

/// The station that a frame with an IPv4 packet is for, and the packet's destination.
fn addresses(frame: &[u8]) -> Option<(ethernet::Address, Ipv4Addr)> {
    let frame = ethernet::Frame::new_checked(frame).ok()?;
    let packet = frame.payload().first_chunk::<{ ipv4::HEADER_OCTETS }>();
    let packet = packet.filter(|_| frame.ethertype() == ethernet::EtherType::Ipv4)?;
    Some((frame.destination(), ipv4::Packet::new_unchecked(packet).destination()))
}
