//! One-packet scheduling (`ops`, ipvsadm's `--ops`): each datagram of a UDP service gets a real server for itself, and no
//! connection is kept of it. For protocols of one question and one answer, like DNS, whose clients ask from one port all day.
//!
//! | | here | IPVS |
//! |---|---|---|
//! | a datagram to the VIP | scheduled; counted as a connection | the same |
//! | one of a connection from before the service was switched over | goes on with it | the same |
//! | an answer by NAT | gets the VIP and the service's port as its source, for what sent it says which service it is from | passed on as it is, from an address that the client did not ask |
//! | connection counts | stay 0: lc, wlc, sed, nq and lblc choose as if nobody had any | the same |
//!
//! So that answers by NAT can be told apart, the configuration check allows no two such services with one NAT real server's
//! socket, and none of every port by NAT. Where another service has the socket too, an answer that belongs to none of its
//! connections is this one's.

use super::connect::{Answered, Connector, Reply};
use super::parse::{Kind, Parsed};
use super::service::{Endpoint, Protocol, RealServer, Service};
use super::stats::Outcome;

impl<'a> Connector<'a> {
    /// Returns the real server of a datagram that belongs to no connection and begins none.
    ///
    /// # Errors
    /// The outcome the packet ends in, if it goes nowhere.
    #[cold]
    pub(super) fn one_packet(&mut self, service: &Service, packet: &Parsed) -> Result<&'a RealServer, Outcome> {
        self.admit(service)?;
        let (real, template) = self.pick(service, packet, None)?;
        if let Some(template) = template {
            self.shared.templates.renew(template, self.tick());
        }
        self.count_connection(service, real);
        Ok(real)
    }

    /// Finds what a packet from a NAT real server answers that has no connection of its own kind.
    ///
    /// # Errors
    /// [`Outcome::DropNoConnectionReply`] if there is nothing.
    #[cold]
    pub(super) fn other_reply(&self, packet: &Parsed) -> Result<Answered, Outcome> {
        let alone = || Some(Answered { reply: self.one_packet_reply(packet)?, client: None });
        self.wide_reply(packet).or_else(|outcome| alone().ok_or(outcome))
    }

    pub(super) fn one_packet_reply(&self, packet: &Parsed) -> Option<Reply> {
        // What it sends to the director itself is the host's: a health check's answer, say.
        if packet.kind != Kind::Udp || self.snapshot.locals.find(packet.dst).is_some() {
            return None;
        }
        match self.snapshot.one_packet.find(packet.src, packet.src_port, Protocol::Udp)? {
            Endpoint::Private { service, real } => Some(Reply { service, from: self.snapshot.address(service)?, real }),
            Endpoint::Service(_) | Endpoint::Shared(_) => None,
        }
    }
}
