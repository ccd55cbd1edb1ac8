//! Who has to do with each socket that answers come from.

use hashbrown::HashMap;

use super::super::config;
use super::owner::{RealOwner, Socket, outlet_port, socket_of};
use super::part::Station;
use crate::dataplane::service::{EndpointId, Forwarding, RealId};

/// One socket's.
#[derive(Debug, Default)]
struct Use {
    /// The one service that it belongs or first belonged to.
    first: Option<EndpointId>,
    /// How many services of the configuration name it.
    named: u32,
    /// How many stations of the snapshot share it.
    sharing: u32,
    /// How many have it for themselves.
    private: u32,
    /// The real servers that have an id and this socket, those that are gone included.
    owners: Vec<Owner>,
}

impl Use {
    fn stations(&mut self, like: &Station) -> &mut u32 {
        if like.shared.is_some() { &mut self.sharing } else { &mut self.private }
    }
}

/// A real server as far as its socket goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    /// Its id.
    pub id: RealId,
    /// Whether its answers come here.
    pub answers_here: bool,
    /// The port that its answers come from, where clients' ports do not say it.
    pub port: u16,
    /// Whether it is reached by full NAT.
    pub local: bool,
}

/// All sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    used: HashMap<Socket, Use>,
    /// How many stations of the snapshot are the host.
    hosts: usize,
}

impl Sockets {
    /// A service is part of the configuration now.
    pub fn name(&mut self, service: &config::Service) {
        for socket in named(service) {
            self.used.entry(socket).or_default().named += 1;
        }
    }

    /// It is not any more.
    pub fn unname(&mut self, service: &config::Service) {
        for socket in named(service) {
            if let Some(used) = self.used.get_mut(&socket) {
                used.named -= 1;
            }
            self.tidy(socket);
        }
    }

    /// Tells whether several services name a socket.
    pub fn is_named_twice(&self, socket: Socket) -> bool {
        self.used.get(&socket).is_some_and(|used| used.named > 1)
    }

    /// A real server was given an id.
    pub fn add(&mut self, owner: &RealOwner, id: RealId) {
        let known = Owner {
            id,
            answers_here: owner.forwarding.answers_here(),
            port: outlet_port(owner),
            local: owner.forwarding == Forwarding::FullNat,
        };
        self.used.entry(owner.socket).or_default().owners.push(known);
    }

    /// Its id was given back. Returns the service that the socket first belonged to, if nobody has the socket now.
    pub fn remove(&mut self, owner: &RealOwner, id: RealId) -> Option<EndpointId> {
        let used = self.used.get_mut(&owner.socket)?;
        used.owners.retain(|known| known.id != id);
        if !used.owners.is_empty() {
            return None;
        }
        let first = used.first.take();
        self.tidy(owner.socket);
        first
    }

    /// The real servers that have a socket and an id.
    pub fn owners(&self, socket: Socket) -> &[Owner] {
        self.used.get(&socket).map_or(&[], |used| &used.owners)
    }

    /// Tells whether somebody has a socket and an id.
    pub fn is_owned(&self, socket: Socket) -> bool {
        !self.owners(socket).is_empty()
    }

    /// The service that a socket first belonged to, if that is known.
    pub fn first(&self, socket: Socket) -> Option<EndpointId> {
        self.used.get(&socket)?.first
    }

    /// Notes which service a socket first belongs to.
    pub fn set_first(&mut self, socket: Socket, service: EndpointId) {
        self.used.entry(socket).or_default().first = Some(service);
    }

    /// Tells whether a station of the snapshot has a socket for itself.
    pub fn is_private(&self, socket: Socket) -> bool {
        self.used.get(&socket).is_some_and(|used| used.private > 0)
    }

    /// Tells whether the host is a real server of somebody's.
    pub fn has_host(&self) -> bool {
        self.hosts > 0
    }

    /// A station whose answers come here is part of the snapshot now.
    pub fn enter(&mut self, station: &Station) {
        *self.used.entry(station.owner.socket).or_default().stations(station) += 1;
        self.hosts += usize::from(station.owner.forwarding == Forwarding::Local);
    }

    /// It is not any more; tells whether it was the last that shared its socket.
    pub fn leave(&mut self, station: &Station) -> bool {
        let Some(used) = self.used.get_mut(&station.owner.socket) else { return false };
        self.hosts -= usize::from(station.owner.forwarding == Forwarding::Local);
        let left = used.stations(station);
        *left -= 1;
        let last = *left == 0 && station.shared.is_some();
        self.tidy(station.owner.socket);
        last
    }

    /// Forgets a socket that nobody has to do with.
    fn tidy(&mut self, socket: Socket) {
        let idle = |used: &Use| used.named + used.sharing + used.private == 0 && used.owners.is_empty();
        if self.used.get(&socket).is_some_and(idle) {
            self.used.remove(&socket);
        }
    }
}

/// The sockets that answers of a service come here from, but for those that are always shared.
pub(super) fn named(service: &config::Service) -> impl Iterator<Item = Socket> {
    let sockets = service.answering().map(|(_, real)| socket_of(service.selector, real.answers_from().into()));
    sockets.filter(|socket| matches!(socket, Socket::Port(..)))
}
