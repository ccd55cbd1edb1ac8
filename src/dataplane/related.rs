//! ICMP errors about connections, both families': to whom they go, and how they read there (RFC 792, RFC 4443, RFC 5508 §4.2).
//!
//! ```text
//!   client, or a router on the way to it          director            a router on the way to it, or the real server
//!        ── to VIP, about VIP:vport > CIP:cport ──►      ──► to RIP, about RIP:rport > CIP:cport        (NAT)
//!                                                        ──► as it is, by the method of the connection  (tunnel, direct)
//!        ◄── from VIP, about CIP:cport > VIP:vport ──    ◄── to CIP, about CIP:cport > RIP:rport        (NAT)
//! ```
//! An error goes to whoever sent what it is about, so its destination is the source of what it quotes, or it is nobody's. Turned round,
//! the quoted packet is one that is looked up as any other is: a client's to a service, or a NAT real server's answer. What
//! comes from a router between is sent on as from the VIP too, as IPVS does: its own address may mean nothing where the client is.
//!
//! By full NAT both ends of what is quoted are rewritten, and an error about what was sent on comes to a local address.
//!
//! Which messages: those that say that a packet did not arrive, of IPv4 types 3, 4, 11 and 12, of IPv6 1 to 4. A redirect is between a
//! router and its neighbour. An error about a connection is no packet of it: the connection neither changes nor lives longer. One
//! that is about another error, about a later fragment, or that quotes too little, is dropped; it may still be the host's or in transit, as
//! may one about a packet that no service has to do with. Errors about what is in a tunnel are [`super::tunnel_error`]'s.
//!
//! With `schedule_icmp` an error about an answer of no connection opens one: where routers share packets among several directors, it
//! reaches the real server that a hash says, whichever director hears it.

use super::address::{Address, TransportAddress};
use super::classify::{Echo, Step, Way, answer_key, answer_to_service, classify, echo, request_key, six_reply_key};
use super::conn::{Key, Socket, State, Tick, Value};
use super::connect::{Answered, Connector, Request, content};
use super::forward::link;
use super::forward::quote::{self, Quote};
use super::parse::{Kind, Parsed};
use super::pipeline::{Fate, Stages, count, kept_port, room, unforwarded};
use super::port::Frame;
use super::punt;
use super::rules::FTP_DATA;
use super::service::{Endpoint, EndpointId, Forwarding, Protocol, RealId, RealServer};
use super::shared::Kept;
use super::stand_in::STATION;
use super::stats::Outcome;
use super::wire::{icmp, icmpv6, ip};

/// Tells whether a packet is an error that says that another did not arrive.
#[inline]
pub fn is_error(packet: &Parsed) -> bool {
    match packet.kind {
        Kind::Icmp => matches!(
            icmp::Type::from(packet.message_type),
            icmp::Type::DestinationUnreachable
                | icmp::Type::SourceQuench
                | icmp::Type::TimeExceeded
                | icmp::Type::ParameterProblem
        ),
        Kind::Icmpv6 => matches!(
            icmpv6::Type::from(packet.message_type),
            icmpv6::Type::DestinationUnreachable
                | icmpv6::Type::PacketTooBig
                | icmpv6::Type::TimeExceeded
                | icmpv6::Type::ParameterProblem
        ),
        _ => false,
    }
}

/// The packet that would answer this one.
pub(super) fn turned(packet: &Parsed) -> Parsed {
    let message_type = match (packet.kind, echo(packet)) {
        (Kind::Icmp, Some(Echo::Request)) => icmp::Type::EchoReply.into(),
        (Kind::Icmp, Some(Echo::Reply)) => icmp::Type::EchoRequest.into(),
        (Kind::Icmpv6, Some(Echo::Request)) => icmpv6::Type::EchoReply.into(),
        (Kind::Icmpv6, Some(Echo::Reply)) => icmpv6::Type::EchoRequest.into(),
        _ => packet.message_type,
    };
    let Parsed { src, dst, src_port, dst_port, .. } = *packet;
    Parsed { src: dst, dst: src, src_port: dst_port, dst_port: src_port, message_type, ..*packet }
}

/// What the entry of a connection begins as of which no packet was seen.
fn unseen(real: &RealServer, packet: &Parsed, tick: Tick) -> Value {
    let state = match packet.kind {
        Kind::Tcp => State::TCP_NONE,
        Kind::Sctp => State::SCTP_NONE,
        _ => return content(real, packet, tick),
    };
    Value::new(state, tick, real.id).with_no_output(!real.forwarding.answers_here())
}

/// Whether a packet is of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<T> {
    /// It is of this one.
    Connection(T),
    /// It would be one of a service's, but there is none.
    Nothing,
    /// No service has such packets.
    Unserved,
}

impl<'a> Connector<'a> {
    /// Finds the connection of a client's packet, and returns its real server. The connection stays as it is. A service that has its packets by
    /// another mark today than when it was made, or came to nothing, is not looked for.
    pub(super) fn standing(&self, packet: &Parsed) -> Found<Result<&'a RealServer, Outcome>> {
        let (snapshot, shared) = (self.snapshot, self.shared);
        let protocol = match packet.kind.transport() {
            Some(protocol) => protocol,
            None if echo(packet) == Some(Echo::Request) => Protocol::Icmp,
            None => return Found::Unserved,
        };
        let single = match snapshot.endpoints.find(packet.dst, packet.dst_port, protocol) {
            Some(Endpoint::Service(service)) => Some(service),
            _ => None,
        };
        let narrow = single.zip(packet.src.as_v4()).and_then(|(service, client)| {
            let key = Key::new(client, packet.src_port, service);
            shared.table.lookup(key, shared.table.hash(key))
        });
        let several = snapshot.selectors.first(packet, self.ingress).into_iter();
        let several = several.chain(snapshot.selectors.matching(packet, self.ingress));
        let mut several = several.chain(snapshot.wide_services(packet, protocol)).chain(single).peekable();
        let served = several.peek().is_some();
        let found = narrow.or_else(|| {
            several.find_map(|service| {
                let key = request_key(packet, service);
                shared.wide.lookup(key, shared.wide.hash(key))
            })
        });
        match found {
            Some((_, value)) => Found::Connection(snapshot.real(value.real()).ok_or(Outcome::DropRealServerRemoved)),
            None if served => Found::Nothing,
            None => Found::Unserved,
        }
    }

    /// Makes the connection that an error is about, of whose packets none came here, and returns its real server. It has seen neither
    /// side, so it is gone soon.
    fn opened_by_error(&mut self, packet: &Parsed) -> Result<&'a RealServer, Outcome> {
        if packet.src_port == FTP_DATA || (self.snapshot.locals.find(packet.src).is_some() && !self.asked_by_host) {
            return Err(Outcome::DropIcmpNoConnection);
        }
        match classify(self.snapshot, self.shared, packet, self.ingress) {
            Step::Inbound { service, way } => self.open_unseen(service, &way, packet),
            Step::WideInbound { service, lead } => {
                self.open_unseen(service, &lead.way(request_key(packet, service)), packet)
            }
            _ => Err(Outcome::DropIcmpNoConnection),
        }
    }

    fn open_unseen<K: Kept>(
        &mut self,
        id: EndpointId,
        way: &Way<K>,
        packet: &Parsed,
    ) -> Result<&'a RealServer, Outcome> {
        let service = self.snapshot.service(id).ok_or(Outcome::DropIcmpNoConnection)?;
        self.open(service, &Request { service: id, way, packet }, unseen)
    }

    /// Finds what a packet from a NAT real server answers. The connection stays as it is.
    pub(super) fn standing_reply(&self, packet: &Parsed) -> Found<Answered> {
        let Some(step) = answer_to_service(self.snapshot, self.shared, packet) else { return Found::Unserved };
        let found = match step {
            Step::Reply { real, way } => self.reply_of(way.key, real),
            Step::SixReply { service, real, .. } => self.reply_of(six_reply_key(packet, service), real),
            Step::SharedReply { socket, way } => self.reply_by(way.key, socket),
            Step::WideReply { socket, .. } => self.reply_by(answer_key(packet, socket), socket),
            _ => None,
        };
        let wide = || self.wide_link(packet).and_then(|(_, key, value)| self.told_shared(key, value).ok());
        let alone = || Some(Answered { reply: self.one_packet_reply(packet)?, client: None });
        let found = found.or_else(wide).or_else(alone);
        found.map_or(Found::Nothing, Found::Connection)
    }

    fn reply_of<K: Kept>(&self, key: K, real: RealId) -> Option<Answered> {
        let (_, value) = self.table().lookup(key, self.table().hash(key))?;
        let reply = self.told(key, value).ok().filter(|_| value.real() == real)?;
        Some(Answered { reply, client: None })
    }

    fn reply_by<K: Kept>(&self, key: K, socket: Socket) -> Option<Answered> {
        let (_, key, value) = self.table().follow(key, self.table().hash(key), socket.first, self.sockets())?;
        self.told_shared(key, value).ok()
    }
}

impl Stages<'_> {
    /// Says what becomes of an ICMP message, if it is an error about a connection; `None` if no service has to do with it.
    #[cold]
    #[inline(never)]
    pub(super) fn related<F: Frame>(&mut self, frame: &mut F, packet: &Parsed) -> Option<Result<Fate, Outcome>> {
        if !is_error(packet) {
            return None;
        }
        let quote = Quote::of(frame.bytes(), usize::from(packet.l4_offset), packet.family());
        // An error goes to whoever sent what it is about.
        let Some(quote) = quote.filter(|quote| quote.source == packet.dst) else {
            return Some(Err(Outcome::DropIcmpQuote));
        };
        if matches!(quote.protocol, ip::Protocol::Ipv4 | ip::Protocol::Ipv6) {
            return self.tunnel_error(frame, packet, &quote);
        }
        let Some(about) = quote.flow(frame.bytes()) else { return Some(Err(Outcome::DropIcmpQuote)) };
        let turned = turned(&about);
        let served = match self.connector.standing(&turned) {
            Found::Connection(real) => {
                return Some(real.and_then(|real| self.error_inbound(frame, packet, (&quote, &turned), real)));
            }
            Found::Nothing => true,
            Found::Unserved => false,
        };
        match self.connector.standing_reply(&turned) {
            Found::Connection(answer) => Some(self.error_outbound(frame, packet, &quote, answer)),
            _ if served && self.snapshot.rules.schedule_icmp => {
                let real = self.connector.opened_by_error(&turned);
                Some(real.and_then(|real| self.error_inbound(frame, packet, (&quote, &turned), real)))
            }
            Found::Nothing => Some(Err(Outcome::DropIcmpNoConnection)),
            Found::Unserved => served.then_some(Err(Outcome::DropIcmpNoConnection)),
        }
    }

    /// Sends an error about what the VIP sent on to the real server; `asked` is the packet that the quoted one would answer.
    fn error_inbound<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        (quote, asked): (&Quote, &Parsed),
        real: &RealServer,
    ) -> Result<Fate, Outcome> {
        let port = asked.dst_port;
        if self.snapshot.locals.find(packet.src).is_some() && !self.connector.asked_by_host {
            return Err(Outcome::DropIpSource);
        }
        let Some(hop) = real.hop else { return self.deliver_error(frame, packet, (quote, port), real) };
        let mtu = self.snapshot.ports[hop.port.index()].mtu;
        if let Some(fate) = self.refuse(frame, packet, room(real.forwarding, real.address.address, mtu)) {
            return Ok(fate);
        }
        match real.forwarding {
            Forwarding::Nat | Forwarding::Local => {
                let to = kept_port(real.address, port);
                quote::inbound::<true>(frame.bytes_mut(), offsets(packet), quote, to).map_err(unforwarded)?;
            }
            Forwarding::FullNat => {
                let local = self.connector.local(real, asked).ok_or(Outcome::DropIcmpNoConnection)?;
                let to = kept_port(real.address, port);
                quote::inbound::<true>(frame.bytes_mut(), offsets(packet), quote, to).map_err(unforwarded)?;
                quote::outbound::<false>(frame.bytes_mut(), offsets(packet), quote, None, local)
                    .map_err(unforwarded)?;
            }
            Forwarding::Tunnel | Forwarding::Direct => {
                self.rewrite(frame, packet, (real.forwarding, real.address), hop)?;
            }
        }
        self.count_error(packet, (real.service, real.id), true);
        Ok(self.towards(frame, hop, Outcome::ForwardedIcmpError))
    }

    /// Sends an error about what was sent on to a NAT real server on to the client.
    fn error_outbound<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        quote: &Quote,
        Answered { reply, client }: Answered,
    ) -> Result<Fate, Outcome> {
        let from = reply.from;
        let onward = Parsed { dst: client.map_or(packet.dst, |client| client.address), ..*packet };
        let fate = match self.hop(&onward) {
            Ok(hop) => {
                let mtu = self.snapshot.ports[hop.port.index()].mtu;
                if let Some(fate) = self.refuse(frame, packet, mtu) {
                    return Ok(fate);
                }
                quote::outbound::<true>(frame.bytes_mut(), offsets(packet), quote, Some(from.address), from)
                    .map_err(unforwarded)?;
                put_back(frame, packet, quote, client)?;
                self.towards(frame, hop, Outcome::ForwardedIcmpError)
            }
            // The host is the client.
            Err(outcome) => {
                let (port, twin) = self.host_at(onward.dst).ok_or(outcome)?;
                quote::outbound::<false>(frame.bytes_mut(), offsets(packet), quote, Some(from.address), from)
                    .map_err(unforwarded)?;
                put_back(frame, packet, quote, client)?;
                link::readdress(frame.bytes_mut(), port.mac, STATION).map_err(unforwarded)?;
                Fate::Send(twin, Outcome::ForwardedIcmpError)
            }
        };
        self.count_error(packet, (reply.service, reply.real), false);
        Ok(fate)
    }

    /// Sends on an error of the host's about a client's packet to a service whose real server it is; `None` if it is no such.
    pub(super) fn error_by_host<F: Frame>(&mut self, frame: &mut F, packet: &Parsed) -> Option<Fate> {
        let quote = Quote::of(frame.bytes(), usize::from(packet.l4_offset), packet.family())?;
        let about = quote.flow(frame.bytes())?;
        if quote.source != packet.dst || !punt::host_has(self.snapshot, about.dst) {
            return None;
        }
        let answer = Parsed { src: Address::localhost(packet.family()), ..turned(&about) };
        let Found::Connection(Answered { reply, .. }) = self.connector.standing_reply(&answer) else { return None };
        let from = reply.from;
        quote::outbound::<false>(frame.bytes_mut(), offsets(packet), &quote, Some(from.address), from).ok()?;
        self.count_error(packet, (reply.service, reply.real), false);
        Some(Fate::Send(self.ingress, Outcome::ForwardedIcmpError))
    }

    /// Counts an error as a packet of a service and a real server, as IPVS does.
    pub(super) fn count_error(&self, packet: &Parsed, (service, real): (EndpointId, RealId), inbound: bool) {
        let octets = u64::from(packet.ip_octets);
        count(&self.stats.services[service.index()], octets, inbound);
        count(&self.stats.reals[real.index()], octets, inbound);
    }
}

/// Gives an error about what full NAT has sent its client, as destination and as source of what it quotes.
fn put_back<F: Frame>(
    frame: &mut F,
    packet: &Parsed,
    quote: &Quote,
    client: Option<TransportAddress>,
) -> Result<(), Outcome> {
    let Some(client) = client else { return Ok(()) };
    quote::inbound::<false>(frame.bytes_mut(), offsets(packet), quote, client).map_err(unforwarded)
}

pub(super) fn offsets(packet: &Parsed) -> (usize, usize) {
    (usize::from(packet.l3_offset), usize::from(packet.l4_offset))
}
