//! Who owns ids.

use std::num::NonZeroU16;

use crate::dataplane::address::{Address, TransportAddress};
use crate::dataplane::selector::Selector;
use crate::dataplane::service::{EndpointId, Forwarding, Protocol};

/// What answers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Socket {
    /// One port of a real server.
    Port(TransportAddress, Protocol),
    /// Whatever port of a real server of wide connections, by whatever protocol: a port of its own and one that a client chose
    /// must not be mistaken for each other.
    Station(Address),
}

/// Who owns an endpoint id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum EndpointOwner {
    Service(Selector),
    SharedSocket(Socket),
}

/// Who owns a real server id. One that is reached by another method is another: its connections keep the method that
/// they began with, as in IPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RealOwner {
    pub service: EndpointId,
    pub address: TransportAddress,
    pub socket: Socket,
    pub forwarding: Forwarding,
}

pub(super) fn endpoint_id(id: u32) -> EndpointId {
    let id = u16::try_from(id).ok().and_then(NonZeroU16::new);
    EndpointId(id.expect("ids run from 1 to MAX_ENDPOINTS, which fits"))
}

/// The port that a real server's answers come from, where clients' ports do not say it.
pub(super) fn outlet_port(owner: &RealOwner) -> u16 {
    match owner.socket {
        Socket::Port(..) => 0,
        Socket::Station(_) => owner.address.port,
    }
}

/// What answers of a service's real server come from.
pub(super) fn socket_of(selector: Selector, address: TransportAddress) -> Socket {
    match selector {
        Selector::Socket(_, protocol) if !selector.is_wide() => Socket::Port(address, protocol),
        _ => Socket::Station(address.address),
    }
}
