//! Full NAT: the client's packet reaches the real server from an address of the director's own, so that the answer comes back here
//! whatever gateway the real server has, and from whatever network it is.
//!
//! ```text
//!   client ── CIP:cport > VIP:vport ──► worker ── local address:lport > RIP:rport ──► real server
//!   client ◄── VIP:vport > CIP:cport ── worker ◄── RIP:rport > local address:lport ── real server
//! ```
//! The local address and port are the connection's as long as it lives ([`super::conn::LocalAddresses`] and the module around it say how
//! they are given out); towards another real server the same ones may be another connection's. Which addresses there are
//! depends on the port that leads to the real server ([`super::snapshot::LocalPools`]). They are answered for as VIPs are, and are no
//! address of the host's.
//!
//! The packet's source is looked up beside its connection once more when it is rewritten: that way the other methods carry
//! nothing of it along. The two rewrites are NAT's, one for each end.

use super::classify::{Way, request_key};
use super::conn::{Allotment, Key, LinkedInsert, Slot, Socket, Table, Value};
use super::connect::{Connector, Reply, Request};
use super::forward::nat;
use super::parse::Parsed;
use super::pipeline::{Fate, Stages, count, is_syn, kept_port, transport, unforwarded};
use super::port::Frame;
use super::service::{RealId, RealServer};
use super::shared::Kept;
use super::stats::Outcome;
use crate::dataplane::address::{Family, TransportAddress};

impl<'a> Connector<'a> {
    /// Inserts a connection with a local address and port.
    #[cold]
    pub(super) fn insert_local<K: Kept>(
        &self,
        way: &Way<K>,
        real: &RealServer,
        content: Value,
        socket: Socket,
    ) -> LinkedInsert {
        let allotment = self.allotment(real, socket);
        self.table::<K>().insert_local(way.key, way.hash, content, allotment, self.sockets())
    }

    fn allotment(&self, real: &RealServer, socket: Socket) -> Allotment<'a> {
        let (pools, family) = (&self.snapshot.local_pools, real.address.address.family());
        let pool = real.hop.map_or(&[][..], |hop| pools.towards(hop.port, family));
        Allotment { pool, outlet: socket.outlet() }
    }

    /// A connection that is, or is to be, by full NAT starts over as a new one, with a port of its own choice: packets of the old one may still be on
    /// their way, and must not meet a real server that has another. One that is too young to be removed goes on with its real server.
    #[cold]
    pub(super) fn anew<K: Kept>(
        &mut self,
        request: &Request<'_, K>,
        slot: Slot,
        value: Value,
    ) -> Result<&'a RealServer, Outcome> {
        if self.table::<K>().remove(slot, value, self.tick(), self.sockets()).is_ok() {
            self.ended(request.way.key, value);
            return self.newcomer(request);
        }
        self.moved_on::<K>(slot, value, self.snapshot.real(value.real()), request.packet)
    }

    /// The local address and port of the connection of a client's packet, towards the real server that it has. Another worker may
    /// have given it another since that was looked up: where the port is towards that one, there is none here.
    pub(super) fn local(&self, real: &RealServer, packet: &Parsed) -> Option<TransportAddress> {
        let service = real.service;
        let wide = packet.family() == Family::V6 || self.snapshot.service(service)?.selector.is_wide();
        if wide {
            return find(&self.shared.wide, request_key(packet, service), real.id);
        }
        find(&self.shared.table, Key::new(packet.src.low(), packet.src_port, service), real.id)
    }
}

fn find<K: Kept>(table: &Table<K>, key: K, real: RealId) -> Option<TransportAddress> {
    let (slot, value) = table.lookup(key, table.hash(key)).filter(|(_, value)| value.real() == real)?;
    table.local(slot, value)
}

impl Stages<'_> {
    /// Rewrites both ends of a client's packet.
    #[cold]
    #[inline(never)]
    pub(super) fn rewrite_full<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        real: &RealServer,
    ) -> Result<Outcome, Outcome> {
        let local = self.connector.local(real, packet).ok_or(Outcome::DropNoLocalPort)?;
        let (l3, l4, protocol) = (usize::from(packet.l3_offset), usize::from(packet.l4_offset), transport(packet));
        let to = kept_port(real.address, packet.dst_port);
        nat::inbound(frame.bytes_mut(), l3, l4, protocol, to).map_err(unforwarded)?;
        nat::answer(frame.bytes_mut(), l3, l4, protocol, local).map_err(unforwarded)?;
        Ok(Outcome::ForwardedFullNatIn)
    }

    /// Sends a real server's answer to a local address on to the client.
    #[inline(never)]
    pub(super) fn outbound_full<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        reply: Reply,
        client: TransportAddress,
    ) -> Result<Fate, Outcome> {
        let Reply { service, from, real } = reply;
        let (l3, l4, protocol) = (usize::from(packet.l3_offset), usize::from(packet.l4_offset), transport(packet));
        let onward = Parsed { dst: client.address, dst_port: client.port, ..*packet };
        let hop = match self.hop(&onward) {
            Ok(hop) => hop,
            Err(outcome) => {
                nat::deliver(frame.bytes_mut(), l3, l4, protocol, client).map_err(unforwarded)?;
                return self.answer_host(frame, &onward, reply).ok_or(outcome);
            }
        };
        // The error quotes what the real server sent, so that it knows it again.
        let mtu = self.snapshot.ports[hop.port.index()].mtu;
        if let Some(fate) = self.refuse(frame, packet, mtu) {
            return Ok(fate);
        }
        if is_syn(packet) {
            self.clamp(frame, packet, (service, None), mtu);
        }
        nat::outbound(frame.bytes_mut(), l3, l4, protocol, from).map_err(unforwarded)?;
        nat::deliver(frame.bytes_mut(), l3, l4, protocol, client).map_err(unforwarded)?;
        let octets = u64::from(packet.ip_octets);
        count(&self.stats.services[service.index()], octets, false);
        count(&self.stats.reals[real.index()], octets, false);
        Ok(self.towards(frame, hop, Outcome::ForwardedFullNatOut))
    }
}
