//! Connections to services of every port, where they meet services of one port.
//!
//! A port's own service comes first, and a NAT real server's own socket likewise. Which of the two a connection belongs to
//! was decided when it was made, and stays so when a reload gives a port a service of its own. The configuration check keeps
//! apart what could not be told apart afterwards; what is left of a former configuration is looked for here, as far as its
//! real server is still configured.

use super::classify::{self, Way};
use super::conn::{Identity, Key, Spot};
use super::connect::{Connector, Reply, Request};
use super::parse::Parsed;
use super::service::{Endpoint, Forwarding, RealServer};
use super::shared::Kept;
use super::stats::Outcome;

impl<'a> Connector<'a> {
    /// A packet without a connection to its service may have one to a service of every port that had the VIP to itself
    /// when it was made. If it starts over, it does so at its service of today.
    #[cold]
    pub(super) fn newcomer_or_wide(&mut self, request: &Request<'_, Key>) -> Result<&'a RealServer, Outcome> {
        let packet = request.packet;
        if let Some(protocol) = packet.kind.transport()
            && let Some(Endpoint::Service(id)) = self.snapshot.wildcards.find(packet.dst, 0, protocol)
            && let Some(service) = self.snapshot.service(id)
        {
            let key = classify::request_key(packet, id);
            let hash = self.shared.wide.hash(key);
            if let Some((slot, value)) = self.shared.wide.lookup(key, hash)
                && !self.snapshot.rules.starts_over(packet, value, self.snapshot.real(value.real()))
            {
                let way = Way { key, hash, spot: Spot::ELSEWHERE };
                return self.resident(&Request { service, way: &way, packet }, slot, value);
            }
        }
        self.newcomer(request)
    }

    /// Finds what a packet answers whose source is a socket of its own now, and was not when its connection was made.
    ///
    /// # Errors
    /// [`Outcome::DropNoConnectionReply`] if there is nothing.
    #[cold]
    pub(super) fn wide_reply(&self, packet: &Parsed) -> Result<Reply<'a>, Outcome> {
        let protocol = packet.kind.transport().ok_or(Outcome::DropNoConnectionReply)?;
        let Some(Endpoint::Shared(socket)) = self.snapshot.wildcards.find(packet.src, 0, protocol) else {
            return Err(Outcome::DropNoConnectionReply);
        };
        let key = classify::answer_key(packet, socket);
        let found = self.shared.wide.follow(key, self.shared.wide.hash(key), socket.first, self.sockets());
        let (slot, key, value) = found.ok_or(Outcome::DropNoConnectionReply)?;
        self.answered(slot, key, value, packet)
    }

    /// Tells whether answers of `real` to this client could be taken for those of a connection of the other kind, to another
    /// VIP or port. A configuration allows no two such services; but a real server that is reached by another method now may
    /// have connections left from before. It gets no new ones, so a look is enough.
    #[inline]
    pub(super) fn is_mistakable<K: Kept>(&self, packet: &Parsed, real: &RealServer, key: K) -> bool {
        !self.snapshot.wildcards.is_empty() && real.forwarding == Forwarding::Nat && self.is_rivalled(packet, real, key)
    }

    #[cold]
    fn is_rivalled<K: Kept>(&self, packet: &Parsed, real: &RealServer, key: K) -> bool {
        let Some(protocol) = packet.kind.transport() else { return false };
        let address = real.address.ip().to_bits();
        if key.destination().is_some() {
            let client = |endpoint| Key::new(packet.src, packet.src_port, endpoint);
            let table = &self.shared.table;
            return match self.snapshot.endpoints.find(address, packet.dst_port, protocol) {
                Some(Endpoint::Private { service, .. }) => {
                    table.lookup(client(service), table.hash(client(service))).is_some()
                }
                Some(Endpoint::Shared(socket)) => {
                    let key = client(socket.endpoint);
                    table.follow(key, table.hash(key), socket.first, self.sockets()).is_some()
                }
                Some(Endpoint::Service(_)) | None => false,
            };
        }
        let Some(Endpoint::Shared(socket)) = self.snapshot.wildcards.find(address, 0, protocol) else { return false };
        // As that real server's answer will be read: from its port to the client's.
        let answer = Parsed { src_port: real.address.port(), dst: packet.src, dst_port: packet.src_port, ..*packet };
        let key = classify::answer_key(&answer, socket);
        let found = self.shared.wide.follow(key, self.shared.wide.hash(key), socket.first, self.sockets());
        found.is_some_and(|(_, key, _)| {
            key.destination().is_some_and(|to| (to.ip().to_bits(), to.port()) != (packet.dst, packet.dst_port))
        })
    }
}
