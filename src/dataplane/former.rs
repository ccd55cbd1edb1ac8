//! Connections to services of many ports or addresses, where they meet services of one, and others of their own kind.
//!
//! Which service a connection belongs to was decided when it was made, and stays so when a reload gives its packets a
//! service that comes before ([`super::selectors`] has the order). The configuration check keeps apart what could not be told
//! apart afterwards; what is left of a former configuration is looked for here.

use super::classify::{self, Way};
use super::conn::{Identity, Key, Slot, Spot, Value, WideKey};
use super::connect::{Answered, Connector, Request};
use super::parse::Parsed;
use super::service::{Endpoint, EndpointId, Forwarding, RealServer};
use super::shared::Kept;
use super::stats::Outcome;

impl<'a> Connector<'a> {
    /// A packet without a connection to its service may have one to another that had such packets when it was made: one that
    /// comes after its service. If it starts over, it does so at its service of today.
    #[cold]
    pub(super) fn newcomer_or_former<K: Kept>(&mut self, request: &Request<'_, K>) -> Result<&'a RealServer, Outcome> {
        let packet = request.packet;
        let Some(protocol) = packet.kind.transport() else { return self.newcomer(request) };
        let snapshot = self.snapshot;
        let single = snapshot.endpoints.find(packet.dst, packet.dst_port, protocol);
        if let Some(Endpoint::Service(id)) = single.filter(|_| request.way.key.destination().is_some())
            && let Some(src) = packet.src.as_v4()
        {
            let key = Key::new(src, packet.src_port, id);
            if let Some(found) = self.resident_of(id, key, packet) {
                return found;
            }
        }
        let matched = snapshot.selectors.matching(packet, self.ingress);
        let others = matched.into_iter().chain(snapshot.wide_services(packet, protocol));
        for id in others.filter(|id| *id != request.service) {
            if let Some(found) = self.resident_of(id, classify::request_key(packet, id), packet) {
                return found;
            }
        }
        self.newcomer(request)
    }

    /// Finds a packet's connection to a service that is not its own any more.
    fn resident_of<K: Kept>(
        &mut self,
        service: EndpointId,
        key: K,
        packet: &Parsed,
    ) -> Option<Result<&'a RealServer, Outcome>> {
        self.snapshot.service(service)?;
        let table = K::table(self.shared);
        let hash = table.hash(key);
        let (slot, value) = table.lookup(key, hash)?;
        if self.snapshot.rules.starts_over(packet, value, self.snapshot.real(value.real())) {
            return None;
        }
        let way = Way { key, hash, spot: Spot::ELSEWHERE };
        Some(self.resident(&Request { service, way: &way, packet }, slot, value))
    }

    /// Finds what a packet answers whose source is a socket of its own now, and was not when its connection was made.
    ///
    /// # Errors
    /// [`Outcome::DropNoConnectionReply`] if there is nothing.
    #[cold]
    pub(super) fn wide_reply(&self, packet: &Parsed) -> Result<Answered, Outcome> {
        let (slot, key, value) = self.wide_link(packet).ok_or(Outcome::DropNoConnectionReply)?;
        self.answered_shared(slot, key, value, packet)
    }

    /// Where the link leads that a packet from a NAT real server of a service of many ports or addresses answers by.
    pub(super) fn wide_link(&self, packet: &Parsed) -> Option<(Slot, WideKey, Value)> {
        let protocol = packet.kind.transport()?;
        let Some(Endpoint::Shared(socket)) = self.snapshot.wildcards.find(packet.src, 0, protocol) else {
            return None;
        };
        let key = classify::answer_key(packet, socket);
        self.shared.wide.follow(key, self.shared.wide.hash(key), socket.first, self.sockets())
    }

    /// Tells whether answers of `real` to this client could be taken for those of a connection of the other kind, to another
    /// VIP or port. A configuration allows no two such services; but a real server that is reached by another method now, or
    /// was removed, may have connections left from before. It gets no new ones, so a look is enough.
    #[inline]
    pub(super) fn is_mistakable<K: Kept>(&self, packet: &Parsed, real: &RealServer, key: K) -> bool {
        self.snapshot.wide && real.forwarding.answers_here() && self.is_rivalled(packet, real, key)
    }

    #[cold]
    fn is_rivalled<K: Kept>(&self, packet: &Parsed, real: &RealServer, key: K) -> bool {
        let Some(protocol) = packet.kind.transport() else { return false };
        // Its answers are to a local address, not to the client.
        if real.forwarding == Forwarding::FullNat {
            return false;
        }
        let (address, former) = (real.answers_from(), &self.snapshot.former);
        // As that real server's answer will be read: from its port to the client's.
        let port = if real.address.port == 0 { packet.dst_port } else { real.address.port };
        let answer = Parsed { src_port: port, dst: packet.src, dst_port: packet.src_port, ..*packet };
        if key.destination().is_some() {
            let client = |endpoint| Key::new(packet.src.low(), packet.src_port, endpoint);
            let table = &self.shared.table;
            let known = self.snapshot.endpoints.find(address, port, protocol);
            return match known.or_else(|| former.endpoints.find(address, port, protocol)) {
                Some(Endpoint::Private { service, real }) => {
                    let found = table.lookup(client(service), table.hash(client(service)));
                    found.is_some_and(|(_, value)| value.real() == real)
                }
                Some(Endpoint::Shared(socket)) => {
                    let key = client(socket.endpoint);
                    table.follow(key, table.hash(key), socket.first, self.sockets()).is_some()
                }
                Some(Endpoint::Service(_)) | None => false,
            };
        }
        let known = self.snapshot.wildcards.find(address, 0, protocol);
        let Some(Endpoint::Shared(socket)) = known.or_else(|| former.wildcards.find(address, 0, protocol)) else {
            return false;
        };
        let key = classify::answer_key(&answer, socket);
        let found = self.shared.wide.follow(key, self.shared.wide.hash(key), socket.first, self.sockets());
        found.is_some_and(|(_, key, _)| {
            key.destination().is_some_and(|to| (to.address, to.port) != (packet.dst, packet.dst_port))
        })
    }
}
