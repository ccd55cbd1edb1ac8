//! The order of the stages, for one burst from one port.
//!
//! ```text
//!  burst ──► parse ───────────────┐ first loop: no frame waits for another's memory
//!            ┌────────────────────┘
//!            └─► classify ────────┐ second loop: asks for the connections' first lines
//!            ┌────────────────────┘
//!            └─► spot ────────────┐ third loop: the connections' first lines are in cache by now; asks for the
//!                                 │ second line of those that are not there, and then for their overflow lines
//!            ┌────────────────────┘ fourth loop
//!            ├─► client's packet ──► connect (found or made) ──► forward by NAT, tunnel or direct ─┐
//!            ├─► server's packet ──► connect (found)         ──► NAT back                         ─┤
//!            ├─► ICMP error      ──► connect (found)         ──► to its client, or its real server ─┤
//!            ├─► ARP, echo       ──► local                                                         │
//!            ├─► the host's, by the port's twin                                                    │
//!            └─► in transit, or a drop                          next hop's address, outbox, wait ◄─┘
//! ```
//! Each frame ends in one [`Outcome`], counted when it is sent ([`super::outbox`]) or here.

use std::net::Ipv4Addr;

use super::address::{Address, Family, TransportAddress};
use super::classify::{Lead, Step, Way, answer_key, classify, request_key, six_reply_key, unanswered};
use super::clock::Now;
use super::conn::{Socket, WorkerCounts};
use super::connect::{Answered, Connector, Reply};
use super::discover::{discover, is_discovery};
use super::error_limit::ErrorLimit;
use super::forward::ip_ids::IpIds;
use super::forward::{self, direct, ipip, link, mss, nat};
use super::local::{self, Answer};
use super::new_flows::Bucket;
use super::parse::{Kind, Parsed, parse};
use super::port::{BURST, Burst, Frame};
use super::punt::{self, Class, Limits, Transit};
use super::route::{NextHop, Several, Target, flow};
use super::sched::{Cursor, Share};
use super::service::{EndpointId, Forwarding, Local, MssClamp, PortId, Protocol, RealId, RealServer};
use super::shared::Shared;
use super::snapshot::Snapshot;
use super::stats::{FlowStats, Outcome, WorkerStats};
use super::wire::tcp;

/// How many connections' lines are asked for in one go: a core waits for ten to sixteen lines at a time, and a further request
/// holds it up. What is parsed between two goes covers the wait.
const ASKED_AT_ONCE: usize = 16;

/// What is to be done with a frame after the stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Send it from this port; its Ethernet header is complete.
    Send(PortId, Outcome),
    /// Send it to this next hop, whose address is not known yet.
    Resolve(NextHop, Outcome),
    /// Free it and count it.
    End(Outcome),
    /// It is a fragment, and waits for its datagram's first. It came in by this port or twin.
    Hold(PortId),
}

/// What a worker remembers between bursts, beside what it shares.
#[derive(Debug)]
pub struct Memory {
    /// Scheduler cursors by endpoint id.
    pub cursors: Box<[Cursor]>,
    /// What services with a limit on new connections may still be given, by endpoint id.
    pub new_flows: Box<[Bucket]>,
    /// Identifications of outer headers and ICMP messages.
    pub ids: IpIds,
    /// How many ICMP errors may still be sent.
    pub errors: ErrorLimit,
    /// How much may still be handed to the host, by port.
    pub punts: Box<[Limits]>,
    /// Which worker this is.
    pub share: Share,
}

/// One burst's surroundings.
pub struct Stages<'a> {
    /// What handles connections; made once, for the whole burst.
    pub(super) connector: Connector<'a>,
    pub(super) ids: &'a mut IpIds,
    pub(super) errors: &'a mut ErrorLimit,
    pub(super) punts: &'a mut [Limits],
    pub(super) snapshot: &'a Snapshot,
    pub(super) shared: &'a Shared,
    pub(super) stats: &'a WorkerStats,
    pub(super) now: Now,
    /// The port it came from; of what the host sent, the port whose twin that was.
    pub(super) ingress: PortId,
    /// Where answers of the director's own go: there, or to the host.
    pub(super) back: PortId,
    /// Where the host is, if it hears of this port.
    twin: Option<PortId>,
    /// Whether what would end here may go on: to the host, or in transit.
    pub(super) goes_on: bool,
}

/// A parsed packet and what is to be done with it.
#[derive(Clone, Copy, Debug)]
pub struct Staged {
    pub(super) packet: Parsed,
    pub(super) step: Step,
}

/// One burst between the loops.
#[derive(Debug)]
pub struct Stage([Staged; BURST]);

impl Default for Stage {
    fn default() -> Self {
        Self([Staged { packet: Parsed::NOTHING, step: Step::Arp }; BURST])
    }
}

impl Stage {
    /// What became of a burst's frames, in their order; of those that the parser refused, the outcome only.
    pub fn iter(&self) -> impl Iterator<Item = &Staged> {
        self.0.iter()
    }
}

impl<'a> Stages<'a> {
    /// The surroundings of a burst that came from `ingress`.
    pub fn new(
        snapshot: &'a Snapshot,
        shared: &'a Shared,
        (stats, counts): (&'a WorkerStats, &'a WorkerCounts),
        memory: &'a mut Memory,
        now: Now,
        ingress: PortId,
    ) -> Self {
        let Memory { cursors, new_flows, ids, errors, punts, share } = memory;
        let connector = Connector {
            snapshot,
            shared,
            stats,
            counts,
            cursors,
            new_flows,
            share: *share,
            now,
            ingress,
            asked_by_host: false,
        };
        let twin = snapshot.ports[ingress.index()].twin;
        let goes_on = twin.is_some() || !snapshot.stand_ins.is_empty() || snapshot.transit == Transit::Route;
        let back = ingress;
        Self { connector, ids, errors, punts, snapshot, shared, stats, now, ingress, back, twin, goes_on }
    }

    /// The surroundings of what the host sent on the twin of the port that these are of.
    pub fn of_host(mut self, twin: PortId) -> Self {
        self.back = twin;
        // It does not get back what it sent, nor is that in transit.
        self.goes_on = false;
        self.connector.asked_by_host = true;
        self
    }

    /// The first three loops: parses and classifies the whole burst, and sees in which lines its connections are. Each loop is a
    /// function of its own, and so is the last: in one function the compiler keeps half of what they need on the stack.
    pub fn stage<F: Frame>(&self, burst: &mut Burst<F>, stage: &mut Stage) {
        let staged = &mut stage.0[..burst.len()];
        for frame in burst.iter() {
            frame.prefetch();
        }
        for (frames, staged) in burst.chunks_mut(ASKED_AT_ONCE).zip(staged.chunks_mut(ASKED_AT_ONCE)) {
            self.parse(frames, staged);
            self.classify(staged);
        }
        self.spot(staged);
    }

    #[inline(never)]
    fn parse<F: Frame>(&self, frames: &mut [F], stage: &mut [Staged]) {
        let mac = self.snapshot.ports[self.ingress.index()].mac;
        // Written where it stays: a parsed packet that is put together elsewhere and copied costs more than its parsing.
        for (frame, staged) in frames.iter_mut().zip(stage) {
            staged.step = match parse(frame, mac) {
                Ok(packet) => {
                    staged.packet = packet;
                    Step::Arp
                }
                Err(outcome) => Step::End(outcome),
            }
        }
    }

    #[inline(never)]
    pub(super) fn classify(&self, stage: &mut [Staged]) {
        for staged in stage {
            if !matches!(staged.step, Step::End(_)) {
                staged.step = classify(self.snapshot, self.shared, &staged.packet, self.ingress);
            }
        }
    }

    #[inline(never)]
    pub(super) fn spot(&self, stage: &mut [Staged]) {
        // Those whose connection is not in its first line are noted without a branch: nobody can foresee which.
        let (mut elsewhere, mut count) = ([0; BURST], 0);
        for (n, staged) in stage.iter_mut().enumerate() {
            elsewhere[count] = n as u8;
            count += usize::from(staged.step.spot(self.shared, &staged.packet));
        }
        for &n in &elsewhere[..count] {
            let Staged { packet, step } = &mut stage[usize::from(n)];
            step.spot_second(self.shared, packet);
        }
    }

    /// The fourth loop's body: does with one frame what its step says. All that most packets go through is always inline: left
    /// to itself the compiler parts it once there are two who call a piece of it, and saving registers and handing results over
    /// in memory cost a sixth of the speed (`perf/stages --budget` watches it).
    #[inline(always)]
    pub fn handle<F: Frame>(&mut self, frame: &mut F, staged: &Staged) -> Fate {
        match self.take(frame, &staged.packet, &staged.step) {
            Ok(fate) => fate,
            Err(Outcome::DropNoRealServer) => self.no_server(frame, &staged.packet, &staged.step),
            Err(outcome) if self.goes_on => self.punt(frame, staged, outcome),
            Err(outcome) => Fate::End(outcome),
        }
    }

    /// Ends a frame with `outcome`, unless it is the host's or in transit.
    #[cold]
    #[inline(never)]
    pub(super) fn punt<F: Frame>(&mut self, frame: &mut F, staged: &Staged, outcome: Outcome) -> Fate {
        // What the parser refused is not in `staged`.
        let parsed = !matches!(staged.step, Step::End(Outcome::DropIpSource | Outcome::DropFragment));
        if parsed && let Some(fate) = self.check_answered(frame, &staged.packet, outcome) {
            return fate;
        }
        let Some(twin) = self.twin else { return self.transit(frame, outcome) };
        match punt::class(self.snapshot, self.ingress, frame.bytes(), outcome) {
            None => self.transit(frame, outcome),
            Some(class) if self.admit(class) => Fate::Send(twin, Outcome::Punted),
            Some(_) => Fate::End(Outcome::DropPuntLimit),
        }
    }

    /// Tells whether another frame of the class may be handed to the host now, and counts it.
    pub(super) fn admit(&mut self, class: Class) -> bool {
        self.punts[self.ingress.index()].admit(class, self.now)
    }

    #[inline(always)]
    pub(super) fn take<F: Frame>(&mut self, frame: &mut F, packet: &Parsed, step: &Step) -> Result<Fate, Outcome> {
        match step {
            Step::Inbound { service, way } => {
                let real = self.connector.inbound(*service, way, packet)?;
                self.inbound(frame, packet, real)
            }
            Step::Reply { real, way } => match self.connector.reply(*real, way, packet) {
                Ok(reply) => self.outbound(frame, packet, reply),
                Err(outcome) => self.unanswered(frame, packet, outcome),
            },
            Step::SharedReply { socket, way } => self.outbound_shared(frame, packet, *socket, way),
            Step::WideInbound { service, lead } => self.inbound_wide(frame, packet, *service, *lead),
            Step::WideReply { socket, lead } => self.outbound_wide(frame, packet, *socket, *lead),
            Step::SixReply { service, real, lead } => self.outbound_six(frame, packet, (*service, *real), *lead),
            Step::Arp => self.local(local::arp(self.snapshot, self.shared, self.ingress, self.now, frame)),
            Step::Icmp if is_discovery(packet) => {
                self.local(discover(self.snapshot, self.shared, self.ingress, self.now, frame))
            }
            Step::Icmp if let Some(done) = self.related(frame, packet) => done,
            // Where the host has the address, it answers.
            Step::Icmp if self.twin.is_some() && punt::host_has(self.snapshot, packet.dst) => {
                Err(Outcome::DropIcmpType)
            }
            Step::Icmp => self.local(local::icmp(self.snapshot, packet, frame, self.connector.asked_by_host)),
            Step::End(Outcome::DropFragment) => self.fragment(frame),
            Step::End(outcome) => Err(*outcome),
        }
    }

    fn local(&self, answer: Answer) -> Result<Fate, Outcome> {
        match answer {
            Answer::Reply(outcome) => Ok(Fate::Send(self.back, outcome)),
            Answer::End(outcome) => Err(outcome),
        }
    }

    /// Apart from [`inbound`](Self::inbound)'s other caller, which so has it inline.
    #[inline(never)]
    fn inbound_wide<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        service: EndpointId,
        lead: Lead,
    ) -> Result<Fate, Outcome> {
        let way = lead.way(request_key(packet, service));
        let real = self.connector.inbound_wide(service, &way, packet)?;
        self.inbound(frame, packet, real)
    }

    #[inline(always)]
    pub(super) fn inbound<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        real: &RealServer,
    ) -> Result<Fate, Outcome> {
        let Some(hop) = real.hop else { return self.deliver(frame, packet, real) };
        let mtu = self.snapshot.ports[hop.port.index()].mtu;
        let room = room(real.forwarding, real.address.address, mtu);
        if let Some(fate) = self.refuse(frame, packet, room) {
            return Ok(fate);
        }
        if is_syn(packet) {
            self.clamp(frame, packet, (real.service, Some(real.forwarding)), room);
        }
        let outcome = match real.forwarding {
            Forwarding::FullNat => self.rewrite_full(frame, packet, real)?,
            forwarding => self.rewrite(frame, packet, (forwarding, real.address), hop)?,
        };
        let octets = u64::from(packet.ip_octets);
        count(&self.stats.services[real.service.index()], octets, true);
        count(&self.stats.reals[real.id.index()], octets, true);
        Ok(self.towards(frame, hop, outcome))
    }

    #[inline(always)]
    pub(super) fn rewrite<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        (forwarding, real): (Forwarding, TransportAddress),
        hop: NextHop,
    ) -> Result<Outcome, Outcome> {
        let (l3, l4) = (usize::from(packet.l3_offset), usize::from(packet.l4_offset));
        let (rewritten, outcome) = match forwarding {
            // The host is no next hop away: what is for it is delivered ([`super::host`]) and does not get here. What the host asks
            // through a VIP ([`super::through_vip`]) comes from an own address, whichever of the two NATs it is.
            Forwarding::Nat | Forwarding::Local | Forwarding::FullNat => {
                let to = kept_port(real, packet.dst_port);
                (nat::inbound(frame.bytes_mut(), l3, l4, transport(packet), to), Outcome::ForwardedNatIn)
            }
            Forwarding::Direct => (direct::hop(frame.bytes_mut(), l3, packet.family()), Outcome::ForwardedDirect),
            Forwarding::Tunnel => (self.encapsulate(frame, packet, real.address, hop)?, Outcome::ForwardedTunnel),
        };
        rewritten.map(|()| outcome).map_err(unforwarded)
    }

    /// Lowers the maximum segment size that a SYN tells, from a client by a method or in answer to one, where its service says so.
    #[cold]
    #[inline(never)]
    pub(super) fn clamp<F: Frame>(
        &self,
        frame: &mut F,
        packet: &Parsed,
        (service, forwarding): (EndpointId, Option<Forwarding>),
        room: u16,
    ) {
        let Some(service) = self.snapshot.service(service) else { return };
        let room = match service.mss_clamp {
            MssClamp::Auto if forwarding == Some(Forwarding::Tunnel) => room,
            MssClamp::At(size) => mss::room(packet.family(), size),
            MssClamp::Auto | MssClamp::Off => return,
        };
        mss::clamp(frame.bytes_mut(), usize::from(packet.l4_offset), packet.family(), room);
    }

    /// Puts a packet into the tunnel to a real server.
    #[inline(always)]
    fn encapsulate<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        real: Address,
        hop: NextHop,
    ) -> Result<Result<(), forward::Error>, Outcome> {
        let source = self.snapshot.ports[hop.port.index()].source(real.family()).ok_or(Outcome::DropNoRoute)?;
        let outer = match real.as_v4() {
            Some(real) => {
                let [source, destination] = [source.low(), real].map(Ipv4Addr::from_bits);
                ipip::Outer::V4 { source, destination, identification: self.ids.draw() }
            }
            None => Self::outer_v6(packet, source, real),
        };
        Ok(ipip::encapsulate(frame, packet.family(), outer))
    }

    #[inline(never)]
    fn outer_v6(packet: &Parsed, source: Address, real: Address) -> ipip::Outer {
        ipip::Outer::V6 { source: source.to_v6(), destination: real.to_v6(), flow_label: flow::of(packet) }
    }

    /// Apart from [`outbound`](Self::outbound)'s other caller, which so has it inline.
    #[inline(never)]
    fn outbound_shared<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        socket: Socket,
        way: &Way,
    ) -> Result<Fate, Outcome> {
        match self.connector.shared_reply(socket, way, packet) {
            Ok(Answered { reply, client: None }) => self.outbound(frame, packet, reply),
            Ok(Answered { reply, client: Some(client) }) => self.outbound_full(frame, packet, reply, client),
            Err(outcome) => self.unanswered(frame, packet, outcome),
        }
    }

    #[inline(never)]
    fn outbound_wide<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        socket: Socket,
        lead: Lead,
    ) -> Result<Fate, Outcome> {
        let way = lead.way(answer_key(packet, socket));
        match self.connector.shared_reply(socket, &way, packet) {
            Ok(Answered { reply, client: None }) => self.outbound(frame, packet, reply),
            Ok(Answered { reply, client: Some(client) }) => self.outbound_full(frame, packet, reply, client),
            Err(outcome) => self.unanswered(frame, packet, outcome),
        }
    }

    #[inline(never)]
    fn outbound_six<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        (service, real): (EndpointId, RealId),
        lead: Lead,
    ) -> Result<Fate, Outcome> {
        let way = lead.way(six_reply_key(packet, service));
        match self.connector.reply(real, &way, packet) {
            Ok(reply) => self.outbound(frame, packet, reply),
            Err(outcome) => self.unanswered(frame, packet, outcome),
        }
    }

    /// A packet from a NAT real server that answers nothing of the kind that it was taken for may answer something of another kind;
    /// or it is a client's: real servers talk to VIPs too.
    #[cold]
    #[inline(never)]
    fn unanswered<F: Frame>(&mut self, frame: &mut F, packet: &Parsed, outcome: Outcome) -> Result<Fate, Outcome> {
        match self.connector.other_reply(packet) {
            Ok(Answered { reply, client: None }) => return self.outbound(frame, packet, reply),
            Ok(Answered { reply, client: Some(client) }) => return self.outbound_full(frame, packet, reply, client),
            Err(_) => {}
        }
        match unanswered(self.snapshot, self.shared, packet, self.ingress) {
            Some((service, lead)) => self.inbound_wide(frame, packet, service, lead),
            None => Err(outcome),
        }
    }

    #[inline(always)]
    pub(super) fn outbound<F: Frame>(&mut self, frame: &mut F, packet: &Parsed, reply: Reply) -> Result<Fate, Outcome> {
        let Reply { service, from, real } = reply;
        let hop = match self.hop(packet) {
            Ok(hop) => hop,
            Err(outcome) => return self.answer_host(frame, packet, reply).ok_or(outcome),
        };
        let mtu = self.snapshot.ports[hop.port.index()].mtu;
        if let Some(fate) = self.refuse(frame, packet, mtu) {
            return Ok(fate);
        }
        if is_syn(packet) {
            self.clamp(frame, packet, (service, None), mtu);
        }
        let (l3, l4) = (usize::from(packet.l3_offset), usize::from(packet.l4_offset));
        nat::outbound(frame.bytes_mut(), l3, l4, transport(packet), from).map_err(unforwarded)?;
        let octets = u64::from(packet.ip_octets);
        count(&self.stats.services[service.index()], octets, false);
        count(&self.stats.reals[real.index()], octets, false);
        Ok(self.towards(frame, hop, Outcome::ForwardedNatOut))
    }

    /// The next hop of a packet that no real server's entry names: to a client.
    #[inline(always)]
    pub(super) fn hop(&self, packet: &Parsed) -> Result<NextHop, Outcome> {
        let target = match packet.family() {
            Family::V4 => self.snapshot.routes.find(packet.dst.low()),
            Family::V6 => self.snapshot.routes.find_address(packet.dst),
        };
        match target.ok_or(Outcome::DropNoRoute)? {
            Target::Via(hop) => Ok(hop),
            Target::OnLink(port) => match self.shared.neighbors.find(port, packet.dst) {
                Some(neighbor) => Ok(NextHop { port, neighbor }),
                None => self.new_hop(port, packet.dst),
            },
            Target::Several(several) => self.hop_of_flow(several, packet),
        }
    }

    #[cold]
    fn new_hop(&self, port: PortId, address: Address) -> Result<NextHop, Outcome> {
        // An own address is no station's on the link.
        if matches!(self.snapshot.locals.find(address), Some(Local::Own(_))) {
            return Err(Outcome::DropNoRoute);
        }
        let neighbor = self.shared.neighbors.find_or_add(port, address, self.now);
        Ok(NextHop { port, neighbor: neighbor.ok_or(Outcome::DropNeighborTableFull)? })
    }

    /// Apart from [`hop`](Self::hop), for most routes have one next hop.
    #[inline(never)]
    fn hop_of_flow(&self, several: Several, packet: &Parsed) -> Result<NextHop, Outcome> {
        self.snapshot.routes.member(several, flow::of(packet)).ok_or(Outcome::DropNoRoute)
    }

    /// Answers a packet that cannot go on with an ICMP error, in its own frame; `None` if it can go on.
    #[inline(always)]
    pub(super) fn refuse<F: Frame>(&mut self, frame: &mut F, packet: &Parsed, room: u16) -> Option<Fate> {
        if packet.ttl > 1 && packet.ip_octets <= room {
            return None;
        }
        Some(self.answer_error(frame, packet, room))
    }

    /// Writes the Ethernet addresses for a next hop, as far as they are known.
    #[inline(always)]
    pub(super) fn towards<F: Frame>(&self, frame: &mut F, hop: NextHop, outcome: Outcome) -> Fate {
        let source = self.snapshot.ports[hop.port.index()].mac;
        match self.shared.neighbors.mac(hop.neighbor, self.now) {
            Some(mac) => match link::readdress(frame.bytes_mut(), mac, source) {
                Ok(()) => Fate::Send(hop.port, outcome),
                Err(error) => Fate::End(unforwarded(error)),
            },
            None => Fate::Resolve(hop, outcome),
        }
    }
}

/// The largest packet to a real server that fits a link with `mtu` by a forwarding method.
#[inline(always)]
pub(super) fn room(forwarding: Forwarding, real: Address, mtu: u16) -> u16 {
    match forwarding {
        Forwarding::Tunnel => ipip::inner_mtu(mtu, real.family()),
        Forwarding::Nat | Forwarding::FullNat | Forwarding::Direct | Forwarding::Local => mtu,
    }
}

/// Tells whether a packet is a TCP SYN, or the answer to one: 0 are the flags of all else.
#[inline(always)]
pub(super) fn is_syn(packet: &Parsed) -> bool {
    packet.tcp_flags.0 & tcp::Flags::SYN.0 != 0
}

#[inline]
pub(super) fn transport(packet: &Parsed) -> Protocol {
    match packet.kind {
        Kind::Udp => Protocol::Udp,
        Kind::Sctp => Protocol::Sctp,
        Kind::Icmp | Kind::Icmpv6 => Protocol::Icmp,
        _ => Protocol::Tcp,
    }
}

/// The real server's socket, with the port that the client chose where it has none of its own.
#[inline]
pub(super) fn kept_port(real: TransportAddress, port: u16) -> TransportAddress {
    if real.port == 0 { TransportAddress::new(real.address, port) } else { real }
}

/// What a rewrite's error means for the packet. The parser has vouched for its lengths.
#[cold]
pub(super) fn unforwarded(error: forward::Error) -> Outcome {
    match error {
        forward::Error::NoHeadroom => Outcome::DropNoHeadroom,
        forward::Error::TooBig => Outcome::DropTooBig,
        forward::Error::Truncated => Outcome::DropTruncated,
    }
}

#[inline]
pub(super) fn count(flow: &FlowStats, octets: u64, inbound: bool) {
    let (packets, total) =
        if inbound { (&flow.in_packets, &flow.in_octets) } else { (&flow.out_packets, &flow.out_octets) };
    packets.add(1);
    total.add(octets);
}
