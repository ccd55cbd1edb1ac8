//! The connection a packet belongs to: found, moved on, or made.
//!
//! An established connection's packets only read its line: the word is written when its state changes, or when it
//! was last seen half a second ago. Whoever changes a word books the change on its own counters.

use super::address::TransportAddress;
use super::classify::Way;
use super::clock::Now;
use super::conn::{
    Hash, Identity, Insert, LinkedInsert, Outlet, SctpEvent, Slot, Socket, State, Table, TcpEvent, Tick, Value,
    WideKey, WorkerCounts, datagram_state, sctp_state, tcp_state,
};
use super::new_flows::Bucket;
use super::openings;
use super::parse::{Kind, Parsed};
use super::persist;
use super::rules::FTP_DATA;
use super::sched::{Cursor, Flow, Loads, Pool, Share, schedule, schedule_after};
use super::service::{EndpointId, PortId, RealId, RealServer, Service};
use super::shared::{Kept, Shared};
use super::snapshot::Snapshot;
use super::stats::{Outcome, WorkerStats};

/// How many real servers a new connection tries whose replies could not be told apart from another service's; and how
/// often it makes room for itself, since another worker's newcomer may take what it made.
pub(super) const TRIES: u32 = 8;

/// What one worker needs to handle connections.
pub struct Connector<'a> {
    /// What is configured.
    pub snapshot: &'a Snapshot,
    /// The tables.
    pub shared: &'a Shared,
    /// This worker's counters.
    pub stats: &'a WorkerStats,
    /// This worker's connection counts.
    pub counts: &'a WorkerCounts,
    /// This worker's scheduler cursors, by endpoint id.
    pub cursors: &'a mut [Cursor],
    /// What this worker may still admit to services with a limit on new connections, by endpoint id.
    pub new_flows: &'a mut [Bucket],
    /// Which worker this is.
    pub share: Share,
    /// The burst's time.
    pub now: Now,
    /// The port that it came from.
    pub ingress: PortId,
    /// Whether the host sent it (`own_vips.rs`).
    pub asked_by_host: bool,
}

/// A client's packet and the connection it asks for. The service is only looked at where there is none yet: with many services
/// each is a cache line of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'p, K: Identity> {
    pub service: EndpointId,
    pub way: &'p Way<K>,
    pub packet: &'p Parsed,
}

/// What a real server's packet answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The service.
    pub service: EndpointId,
    /// What the client knows it by: the source that its packets are to have.
    pub from: TransportAddress,
    /// The real server.
    pub real: RealId,
}

/// What a real server's packet answers, and by full NAT to whom it is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The answer.
    pub reply: Reply,
    /// By full NAT, the client.
    pub client: Option<TransportAddress>,
}

impl<'a> Connector<'a> {
    pub(super) fn table<K: Kept>(&self) -> &'a Table<K> {
        K::table(self.shared)
    }

    pub(super) fn tick(&self) -> Tick {
        Tick::at(self.now)
    }

    /// The shared socket of a real server, also of one that was removed.
    pub(super) fn sockets(&self) -> impl Fn(RealId) -> Option<Outlet> + Copy + use<'a> {
        let snapshot = self.snapshot;
        move |real| snapshot.socket(real)
    }

    /// Finds or makes the connection of a client's packet, and returns its real server.
    ///
    /// # Errors
    /// The outcome the packet ends in, if it goes nowhere.
    #[inline]
    pub fn inbound(&mut self, service: EndpointId, way: &Way, packet: &Parsed) -> Result<&'a RealServer, Outcome> {
        let request = Request { service, way, packet };
        match self.table().lookup_at(way.spot, way.key, way.hash) {
            Some((slot, value)) => self.resident(&request, slot, value),
            None if !self.snapshot.wide => self.newcomer(&request),
            None => self.newcomer_or_former(&request),
        }
    }

    /// The same for a service of many ports or addresses.
    ///
    /// # Errors
    /// The outcome the packet ends in, if it goes nowhere.
    pub fn inbound_wide(
        &mut self,
        service: EndpointId,
        way: &Way<WideKey>,
        packet: &Parsed,
    ) -> Result<&'a RealServer, Outcome> {
        let request = Request { service, way, packet };
        match self.table().lookup_at(way.spot, way.key, way.hash) {
            Some((slot, value)) => self.resident(&request, slot, value),
            None => self.newcomer_or_former(&request),
        }
    }

    #[inline]
    pub(super) fn resident<K: Kept>(
        &mut self,
        request: &Request<'_, K>,
        slot: Slot,
        value: Value,
    ) -> Result<&'a RealServer, Outcome> {
        let real = self.snapshot.real(value.real());
        if self.snapshot.rules.starts_over(request.packet, value, real) {
            return self.again(request, slot, value);
        }
        self.moved_on::<K>(slot, value, real, request.packet)
    }

    /// Moves the connection of a client's packet on, and returns its real server. One whose real server was removed
    /// is left to expire, as IPVS does: a client that keeps talking would never get another server otherwise.
    #[inline]
    pub(super) fn moved_on<K: Kept>(
        &self,
        slot: Slot,
        value: Value,
        real: Option<&'a RealServer>,
        packet: &Parsed,
    ) -> Result<&'a RealServer, Outcome> {
        let Some(real) = real else {
            self.forsaken::<K>(slot, value);
            return Err(Outcome::DropRealServerRemoved);
        };
        self.advance::<K>(slot, value, false, packet);
        Ok(real)
    }

    /// A packet of a connection whose real server was removed.
    #[cold]
    fn forsaken<K: Kept>(&self, slot: Slot, value: Value) {
        let rules = &self.snapshot.rules;
        let key = self.table::<K>().read(slot).map(|(key, _)| key);
        if rules.expire_nodest_conn
            && let Some(key) = key
            && self.table::<K>().remove(slot, value, self.tick(), self.sockets()).is_ok()
        {
            self.ended(key, value);
        }
    }

    /// Moves a connection on by one packet. Nearly every packet changes nothing.
    #[inline(always)]
    fn advance<K: Kept>(&self, slot: Slot, value: Value, reply: bool, packet: &Parsed) {
        if after(value, reply, packet, self.tick()) != value {
            self.change::<K>(slot, value, reply, packet);
        }
    }

    #[inline(never)]
    fn change<K: Kept>(&self, slot: Slot, value: Value, reply: bool, packet: &Parsed) {
        let tick = self.tick();
        // Gone: the sweep took it between the look and the write. This packet still goes where it was going; the
        // next one finds no entry.
        let next = |value| openings::noted(value, after(value, reply, packet, tick), reply, packet);
        if let Ok(updated) = self.table::<K>().update(slot, value, next) {
            self.counts.changed(updated.old, updated.new);
            self.watch(updated, reply, packet);
            if updated.new.controlled() {
                let key = self.table::<K>().read(slot).map(|(key, _)| key);
                self.assure(key, updated.old, updated.new);
            }
        }
    }

    #[cold]
    pub(super) fn newcomer<K: Kept>(&mut self, request: &Request<'_, K>) -> Result<&'a RealServer, Outcome> {
        let Request { service, packet, .. } = *request;
        let service = self.snapshot.service(service).ok_or(Outcome::DropNoService)?;
        if self.snapshot.locals.find(packet.src).is_some() && !self.asked_by_host {
            return Err(Outcome::DropIpSource);
        }
        if !self.snapshot.rules.opens(packet) {
            return self.midstream(service, packet);
        }
        self.open(service, request, content)
    }

    /// Makes a connection of which this is the first that is heard, whatever it is. `content` is what its entry begins as.
    #[cold]
    pub(super) fn open<K: Kept>(
        &mut self,
        service: &Service,
        request: &Request<'_, K>,
        content: fn(&RealServer, &Parsed, Tick) -> Value,
    ) -> Result<&'a RealServer, Outcome> {
        let Request { way, packet, .. } = *request;
        if service.one_packet && packet.kind == Kind::Udp {
            return self.one_packet(service, packet);
        }
        if let Err(outcome) = self.admit(service) {
            return self.stateless(service, packet).ok_or(outcome);
        }
        let (mut refused, mut why) = (None, Outcome::DropAmbiguous);
        for _ in 0..TRIES {
            let picked = self.pick(service, packet, refused);
            let (real, template) =
                picked.map_err(|outcome| if why == Outcome::DropNoLocalPort { why } else { outcome })?;
            // One look for a port is hundreds of probes: nobody is asked twice, and no third.
            if why == Outcome::DropNoLocalPort && refused == Some(real.id) {
                return Err(why);
            }
            let content = self.controlled(service, template, content(real, packet, self.tick()));
            let inserted = if self.is_mistakable(packet, real, way.key) {
                LinkedInsert::Ambiguous
            } else {
                self.insert(way, real, content)
            };
            match inserted {
                LinkedInsert::Inserted(_, value) => {
                    self.counts.inserted(value);
                    K::book(self.counts, 1);
                    self.persisted(template, way.key, value);
                    self.count_connection(service, real);
                    return Ok(real);
                }
                LinkedInsert::Exists(slot, value) => {
                    return self.moved_on::<K>(slot, value, self.snapshot.real(value.real()), packet);
                }
                LinkedInsert::Busy(value) => {
                    return self.snapshot.real(value.real()).ok_or(Outcome::DropRealServerRemoved);
                }
                LinkedInsert::Full => return self.stateless(service, packet).ok_or(Outcome::DropTableFull),
                LinkedInsert::Ambiguous => refused = Some(real.id),
                LinkedInsert::NoPort if why == Outcome::DropNoLocalPort => return Err(why),
                LinkedInsert::NoPort => (refused, why) = (Some(real.id), Outcome::DropNoLocalPort),
            }
        }
        Err(why)
    }

    /// A packet in the middle of a stream of which nothing is known: see [`super::stateless`].
    fn midstream(&mut self, service: &Service, packet: &Parsed) -> Result<&'a RealServer, Outcome> {
        let state = match packet.kind {
            _ if packet.src_port == FTP_DATA => return Err(Outcome::DropNoConnection),
            Kind::Tcp => State::TCP_ESTABLISHED,
            Kind::Sctp => State::SCTP_ESTABLISHED,
            _ => return Err(Outcome::DropNoConnection),
        };
        let any = service.reals.first().map_or(RealId(0), |real| real.id);
        let ticks = 4 * self.snapshot.timeouts.of(Value::new(state, self.tick(), any));
        let lately = self.shared.stateless.age(service.id, self.now).is_some_and(|age| age <= ticks);
        let real = if lately { self.stateless(service, packet) } else { None };
        real.ok_or(Outcome::DropNoConnection)
    }

    /// Forwards a packet by the scheduler's hash, storing nothing; `None` where that cannot be done.
    fn stateless(&mut self, service: &Service, packet: &Parsed) -> Option<&'a RealServer> {
        if !service.plan.is_hashed() || service.persistence.is_some() {
            return None;
        }
        let real = self.choose(service, packet, None).ok().filter(|real| !real.forwarding.answers_here())?;
        self.shared.stateless.note(service.id, self.now);
        self.stats.stateless.add(1);
        Some(real)
    }

    /// Inserts a connection, in the place of one that never came to life if need be.
    fn insert<K: Kept>(&self, way: &Way<K>, real: &RealServer, content: Value) -> LinkedInsert {
        for _ in 0..TRIES {
            let done = self.try_insert(way, real, content);
            if done != LinkedInsert::Full || !self.make_room(way, real) {
                return done;
            }
        }
        LinkedInsert::Full
    }

    /// A connection was removed.
    pub(super) fn ended<K: Kept>(&self, key: K, connection: Value) {
        self.stats.given_up(connection);
        self.counts.removed(connection);
        K::book(self.counts, -1);
        persist::ended(self.shared, self.snapshot, key, connection);
    }

    fn make_room<K: Kept>(&self, way: &Way<K>, real: &RealServer) -> bool {
        match real.shared {
            Some(socket) if !socket.local => {
                self.make_room_at::<K>(&[way.hash, self.table().hash(way.key.link(socket.outlet()))])
            }
            // By full NAT the link may lie by any port.
            _ => self.make_room_at::<K>(&[way.hash]),
        }
    }

    /// Removes one that never came to life from the lines of these hashes, and tells whether there was any.
    pub(super) fn make_room_at<K: Kept>(&self, hashes: &[Hash]) -> bool {
        let evicted = |key, value| {
            self.ended(key, value);
            self.stats.evicted.add(1);
        };
        self.table::<K>().make_room(hashes, self.tick(), self.sockets(), evicted)
    }

    fn try_insert<K: Kept>(&self, way: &Way<K>, real: &RealServer, content: Value) -> LinkedInsert {
        match real.shared {
            Some(socket) if socket.local => self.insert_local(way, real, content, socket),
            Some(socket) => self.table().insert_linked(way.key, way.hash, content, socket, self.sockets()),
            None => Insert::into(self.table().insert(way.key, way.hash, content)),
        }
    }

    /// Tells whether the service's limit leaves room for a new connection; one that starts over is new too.
    pub(super) fn admit(&mut self, service: &Service) -> Result<(), Outcome> {
        if service.max_new_per_second == 0 {
            return Ok(());
        }
        let (limit, workers, now) = (service.max_new_per_second, self.share.workers, self.now);
        let bucket = self.new_flows.get_mut(service.id.index()).ok_or(Outcome::DropNewFlowLimit)?;
        if bucket.admits(limit, workers, now) { Ok(()) } else { Err(Outcome::DropNewFlowLimit) }
    }

    /// Chooses the real server of a new connection, after `refused` where its replies could not be told apart.
    pub(super) fn choose(
        &mut self,
        service: &Service,
        packet: &Parsed,
        refused: Option<RealId>,
    ) -> Result<&'a RealServer, Outcome> {
        let (client, destination) = (packet.src.folded(), packet.dst.folded());
        let flow = Flow { client, client_port: packet.src_port, destination };
        let Snapshot { services, reals, .. } = self.snapshot;
        let pool = Pool { services, reals, loads: self.loads(), own: self.counts, share: self.share, now: self.now };
        let cursor = self.cursors.get_mut(service.id.index()).ok_or(Outcome::DropNoRealServer)?;
        let id = match refused {
            None => schedule(service, flow, pool, cursor),
            Some(refused) => schedule_after(service, refused, flow, pool, cursor),
        };
        match id.and_then(|id| self.snapshot.real(id)) {
            Some(real) => Ok(real),
            None => self.sorry(service, refused),
        }
    }

    pub(super) fn count_connection(&mut self, service: &Service, real: &RealServer) {
        if let Some(bucket) = self.new_flows.get_mut(service.id.index()).filter(|_| service.max_new_per_second != 0) {
            bucket.take(self.share.workers);
        }
        self.stats.services[service.id.index()].connections.add(1);
        self.stats.reals[real.id.index()].connections.add(1);
        self.loads().grew(real.id, real.thresholds);
    }

    pub(super) fn loads(&self) -> Loads<'a> {
        Loads { counts: &self.shared.counts, overloaded: &self.shared.overloaded }
    }

    /// Finds the connection that a real server's packet answers, and returns its service and real server. If there is none it may
    /// still answer something of another kind.
    ///
    /// # Errors
    /// [`Outcome::DropNoConnectionReply`] if there is none.
    #[inline]
    pub fn reply<K: Kept>(&self, real: RealId, way: &Way<K>, packet: &Parsed) -> Result<Reply, Outcome> {
        match self.table().lookup_at(way.spot, way.key, way.hash) {
            Some((slot, value)) if value.real() == real => self.answered(slot, way.key, value, packet),
            _ => Err(Outcome::DropNoConnectionReply),
        }
    }

    /// The same for a socket that several services share.
    ///
    /// # Errors
    /// [`Outcome::DropNoConnectionReply`] if there is none.
    pub fn shared_reply<K: Kept>(&self, socket: Socket, way: &Way<K>, packet: &Parsed) -> Result<Answered, Outcome> {
        let found = self.table().follow(way.key, way.hash, socket.first, self.sockets());
        let (slot, key, value) = found.ok_or(Outcome::DropNoConnectionReply)?;
        self.answered_shared(slot, key, value, packet)
    }

    /// The same of a connection that a link has led to.
    pub(super) fn answered_shared<K: Kept>(
        &self,
        slot: Slot,
        key: K,
        value: Value,
        packet: &Parsed,
    ) -> Result<Answered, Outcome> {
        self.answered(slot, key, value, packet)?;
        self.told_shared(key, value)
    }

    /// What a connection that a link leads to says of an answer that belongs to it.
    pub(super) fn told_shared<K: Kept>(&self, key: K, value: Value) -> Result<Answered, Outcome> {
        let local = self.snapshot.socket(value.real()).is_some_and(|outlet| outlet.local);
        Ok(Answered { reply: self.told(key, value)?, client: local.then(|| key.client()) })
    }

    #[inline]
    pub(super) fn answered<K: Kept>(
        &self,
        slot: Slot,
        key: K,
        value: Value,
        packet: &Parsed,
    ) -> Result<Reply, Outcome> {
        let reply = self.told(key, value)?;
        self.advance::<K>(slot, value, true, packet);
        Ok(reply)
    }

    /// What a connection says of an answer that belongs to it.
    #[inline(always)]
    pub(super) fn told<K: Kept>(&self, key: K, value: Value) -> Result<Reply, Outcome> {
        let service = key.endpoint();
        let address = self.snapshot.address(service).ok_or(Outcome::DropNoConnectionReply)?;
        Ok(Reply { service, from: key.destination().unwrap_or(address), real: value.real() })
    }
}

/// The entry after one packet.
#[inline]
fn after(value: Value, reply: bool, packet: &Parsed, tick: Tick) -> Value {
    if packet.kind == Kind::Tcp {
        return tcp_state::after(value, reply, TcpEvent::of(packet.tcp_flags.0), tick);
    }
    if packet.kind == Kind::Sctp {
        return after_sctp(value, reply, packet, tick);
    }
    datagram_state::after(value, reply, tick)
}

/// An SCTP association's entry after one packet. Not inline: TCP and UDP should not make room for it.
#[cold]
fn after_sctp(value: Value, reply: bool, packet: &Parsed, tick: Tick) -> Value {
    sctp_state::after(value, reply, SctpEvent::of(packet.message_type), tick)
}

/// A new connection's entry.
pub(super) fn content(real: &RealServer, packet: &Parsed, tick: Tick) -> Value {
    let no_output = !real.forwarding.answers_here();
    if packet.kind == Kind::Tcp {
        let created = Value::new(State::TCP_NONE, tick, real.id).with_no_output(no_output);
        return openings::begun(tcp_state::after(created, false, TcpEvent::of(packet.tcp_flags.0), tick));
    }
    if packet.kind == Kind::Sctp {
        let created = Value::new(State::SCTP_NONE, tick, real.id).with_no_output(no_output);
        return after_sctp(created, false, packet, tick);
    }
    if matches!(packet.kind, Kind::Icmp | Kind::Icmpv6) {
        return datagram_state::first_echo(real.id, no_output, tick);
    }
    datagram_state::first_datagram(real.id, no_output, tick)
}
