//! NAT real servers that were removed, as far as their connections must not be mistaken for those of services of another kind.

use hashbrown::HashSet;

use super::Applier;
use super::owner::{EndpointOwner, RealOwner, Socket, endpoint_id};
use crate::dataplane::conn;
use crate::dataplane::service::{Endpoint, Protocol, RealId};
use crate::dataplane::snapshot::Endpoints;

impl Applier {
    /// What answers from one port came from before and do not any more, while somebody may still have connections there.
    pub(super) fn former_endpoints(&self) -> Endpoints {
        let mut former = Endpoints::default();
        for (owner, id) in self.gone() {
            if let Socket::Port(address, protocol) = owner.socket {
                let private = Endpoint::Private { service: owner.service, real: id };
                let endpoint = self.shared_endpoint(owner.socket).unwrap_or(private);
                former.insert(address.address, address.port, protocol, endpoint);
            }
        }
        former
    }

    /// The same for answers from every port.
    pub(super) fn former_wildcards(&self) -> Endpoints {
        let mut former = Endpoints::default();
        for (owner, _) in self.gone() {
            if let Socket::Station(address) = owner.socket
                && let Some(endpoint) = self.shared_endpoint(owner.socket)
            {
                for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                    former.insert(address, 0, protocol, endpoint);
                }
            }
        }
        former
    }

    /// The NAT real servers that are gone, and not in the snapshot either.
    fn gone(&self) -> impl Iterator<Item = (&RealOwner, RealId)> {
        let lingering: HashSet<_> = self.lingering().collect();
        let gone =
            self.reals.gone().filter(move |(owner, _)| owner.forwarding.answers_here() && !lingering.contains(*owner));
        gone.map(|(owner, id)| (owner, RealId(id)))
    }

    fn shared_endpoint(&self, socket: Socket) -> Option<Endpoint> {
        let id = self.endpoints.get(&EndpointOwner::SharedSocket(socket))?;
        let first = self.sockets.first(socket);
        Some(Endpoint::Shared(conn::Socket { endpoint: endpoint_id(id), port: 0, local: false, first }))
    }
}
