//! NAT real servers that were removed, as far as their connections must not be mistaken for those of services of another kind.

use super::build::Known;
use super::{Applier, EndpointOwner, Owners, Socket, endpoint_id};
use crate::dataplane::conn;
use crate::dataplane::service::{Endpoint, Forwarding, Protocol, RealId};

impl Applier {
    /// What answers came from before and do not any more by `owners`, while somebody may still have connections there.
    pub(super) fn former(&self, owners: &Owners) -> Known {
        let mut former = Known::default();
        let gone = self.reals.owners().filter(|(owner, _)| {
            owner.forwarding == Forwarding::Nat && !owners.reals.contains(*owner) && !owners.lingering.contains(*owner)
        });
        for (owner, id) in gone {
            let shared = self.endpoints.get(&EndpointOwner::SharedSocket(owner.socket)).map(|id| {
                let first = self.first.get(&owner.socket).copied();
                Endpoint::Shared(conn::Socket { endpoint: endpoint_id(id), port: 0, first })
            });
            match owner.socket {
                Socket::Port(address, protocol) => {
                    let private = Endpoint::Private { service: owner.service, real: RealId(id) };
                    let endpoint = shared.unwrap_or(private);
                    former.single.insert(address.ip().to_bits(), address.port(), protocol, endpoint);
                }
                Socket::Station(address) => {
                    if let Some(endpoint) = shared {
                        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                            former.wildcards.insert(address.to_bits(), 0, protocol, endpoint);
                        }
                    }
                }
            }
        }
        former
    }
}
