//! The host as a real server: what ipvsadm calls Local, and keepalived's `sorry_server 127.0.0.1` is.
//!
//! ```text
//!   client ── CIP:cport > VIP:vport ──► port ── worker ── twin ── CIP:cport > own address:rport ──► host
//!   client ◄── VIP:vport > CIP:cport ── port ── worker ── twin ◄── own address:rport > CIP:cport ── host
//! ```
//! A client's packet is rewritten as by NAT and handed over on the twin of the port that it came in by; where that has none, on
//! the first there is. 127.0.0.1 stands for the own address of that port, since the host takes no loopback address from
//! a link: a program must listen on it, or on all. An own address is taken as it is.
//!
//! An answer comes in on whatever twin the host's routes lead to. It gets the VIP for its source, and leaves by that port, to the
//! station that the host has chosen. Which connection it belongs to is looked up as for NAT, by the socket that it comes
//! from. The host has several addresses, and the same program may answer from each: so all its sockets of one port count
//! as one, that of 127.0.0.1 (over IPv6 ::1), which no packet from a link can come from (the parser sees to that). What answers nothing leaves
//! as it is.
//!
//! The TTL stays: the host is where the packet was sent to, and where the answer begins. IPVS, which leaves a packet to a Local real
//! server as it is, needs the VIP on the host; here the host must not have it ([`super::punt`]).
//!
//! What is handed over has a limit of its own ([`Class::Served`]), so that it leaves room for the host's other affairs.

use super::address::{Address, Family, TransportAddress};
use super::classify::{Step, answer_key, answer_to_service, six_reply_key};
use super::connect::Reply;
use super::forward::quote::{self, Quote};
use super::forward::{link, nat};
use super::parse::{Parsed, parse};
use super::pipeline::{Fate, Stages, count, kept_port, transport, unforwarded};
use super::port::Frame;
use super::punt::{self, Class};
use super::related;
use super::service::{Forwarding, PortId, PortSettings, RealServer};
use super::snapshot::Snapshot;
use super::stats::Outcome;
use super::wire::ethernet;

/// The port by whose twin the host gets what came in by `ingress`, and that twin.
fn door(snapshot: &Snapshot, ingress: PortId, family: Family) -> Option<(&PortSettings, PortId)> {
    let leads = |port: &&PortSettings| port.twin.is_some() && port.source(family).is_some();
    let own = snapshot.ports.get(ingress.index()).filter(leads);
    let port = own.or_else(|| snapshot.ports.iter().find(leads))?;
    Some((port, port.twin?))
}

impl<'a> Stages<'a> {
    /// Sends a client's packet on to a real server that is no next hop away: the host, or one that no route leads to.
    #[cold]
    #[inline(never)]
    pub(super) fn deliver<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        real: &RealServer,
    ) -> Result<Fate, Outcome> {
        let (port, twin, to) = self.entrance(packet, real)?;
        if packet.ip_octets > port.mtu {
            return Ok(self.answer_error(frame, packet, port.mtu));
        }
        self.admit_served()?;
        let (l3, l4) = (usize::from(packet.l3_offset), usize::from(packet.l4_offset));
        let to = kept_port(to, packet.dst_port);
        nat::deliver(frame.bytes_mut(), l3, l4, transport(packet), to).map_err(unforwarded)?;
        hand_over(frame, port)?;
        let octets = u64::from(packet.ip_octets);
        count(&self.stats.services[real.service.index()], octets, true);
        count(&self.stats.reals[real.id.index()], octets, true);
        Ok(Fate::Send(twin, Outcome::ForwardedLocalIn))
    }

    /// The same for an ICMP error about what the VIP sent from `port`.
    pub(super) fn deliver_error<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        (quote, port): (&Quote, u16),
        real: &RealServer,
    ) -> Result<Fate, Outcome> {
        let (host, twin, to) = self.entrance(packet, real)?;
        if packet.ip_octets > host.mtu {
            return Err(Outcome::DropTooBig);
        }
        self.admit_served()?;
        quote::inbound::<false>(frame.bytes_mut(), related::offsets(packet), quote, kept_port(to, port))
            .map_err(unforwarded)?;
        hand_over(frame, host)?;
        self.count_error(packet, (real.service, real.id), true);
        Ok(Fate::Send(twin, Outcome::ForwardedIcmpError))
    }

    /// Where a packet for the host as a real server enters it, and what it is sent to.
    fn entrance(
        &self,
        packet: &Parsed,
        real: &RealServer,
    ) -> Result<(&'a PortSettings, PortId, TransportAddress), Outcome> {
        // The host does not get back what it sent.
        if real.forwarding != Forwarding::Local || self.connector.asked_by_host {
            return Err(Outcome::DropNoRoute);
        }
        let family = packet.family();
        let (port, twin) = door(self.snapshot, self.ingress, family).ok_or(Outcome::DropNoRoute)?;
        let loopback = real.address.address == Address::localhost(family);
        let own = port.source(family).filter(|_| loopback);
        Ok((port, twin, TransportAddress::new(own.unwrap_or(real.address.address), real.address.port)))
    }

    fn admit_served(&mut self) -> Result<(), Outcome> {
        if self.admit(Class::Served) { Ok(()) } else { Err(Outcome::DropPuntLimit) }
    }

    /// Sends on what the host sent, if it answers a client's packet to a service.
    #[cold]
    #[inline(never)]
    pub(super) fn answered_by_host<F: Frame>(&mut self, frame: &mut F) -> Option<Fate> {
        // To whichever station the host sends it.
        let station = *frame.bytes().first_chunk()?;
        let sent = parse(frame, station).ok()?;
        if !punt::host_has(self.snapshot, sent.src) {
            return None;
        }
        if related::is_error(&sent) {
            return self.error_by_host(frame, &sent);
        }
        let packet = Parsed { src: Address::localhost(sent.family()), ..sent };
        let reply = match answer_to_service(self.snapshot, self.shared, &packet)? {
            Step::Reply { real, way } => self.connector.reply(real, &way, &packet),
            Step::SharedReply { socket, way } => {
                self.connector.shared_reply(socket, &way, &packet).map(|answer| answer.reply)
            }
            Step::SixReply { service, real, lead } => {
                self.connector.reply(real, &lead.way(six_reply_key(&packet, service)), &packet)
            }
            Step::WideReply { socket, lead } => {
                let way = lead.way(answer_key(&packet, socket));
                self.connector.shared_reply(socket, &way, &packet).map(|answer| answer.reply)
            }
            _ => return None,
        };
        let other = |_| self.connector.other_reply(&packet).map(|answer| answer.reply);
        let Reply { service, from, real } = reply.or_else(other).ok()?;
        let (l3, l4) = (usize::from(packet.l3_offset), usize::from(packet.l4_offset));
        nat::answer(frame.bytes_mut(), l3, l4, transport(&packet), from).ok()?;
        let octets = u64::from(packet.ip_octets);
        count(&self.stats.services[service.index()], octets, false);
        count(&self.stats.reals[real.index()], octets, false);
        Some(Fate::Send(self.ingress, Outcome::ForwardedLocalOut))
    }
}

/// Writes whom a frame is for on the link: another port's twin has another address.
fn hand_over<F: Frame>(frame: &mut F, port: &PortSettings) -> Result<(), Outcome> {
    let sender = ethernet::Frame::new_unchecked(frame.bytes()).source();
    link::readdress(frame.bytes_mut(), port.mac, sender).map_err(unforwarded)
}
