//! What became of each service of the configuration that runs.

use std::sync::Arc;

use super::super::config;
use super::owner::{RealOwner, Socket};
use crate::dataplane::address::{Address, TransportAddress};
use crate::dataplane::conn;
use crate::dataplane::route::NextHop;
use crate::dataplane::selector::Selector;
use crate::dataplane::service::{Endpoint, EndpointId, Protocol, RealId};

/// A service as it was last built.
#[derive(Debug)]
pub(super) struct Part {
    /// As it is configured.
    pub wanted: Arc<config::Service>,
    /// Its id.
    pub id: EndpointId,
    /// What its packets can be sent to.
    pub stations: Box<[Station]>,
    /// Whether real servers have ids by other methods too, which may have connections or none the next time.
    pub restless: bool,
}

/// What packets of a service can be sent to: a real server or the sorry server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Station {
    /// Who it is.
    pub owner: RealOwner,
    /// Its id.
    pub id: RealId,
    /// Whether it is reached by another method now, and only kept for the connections that it has.
    pub lingers: bool,
    /// Its socket, if it is shared.
    pub shared: Option<conn::Socket>,
    /// The next station on the way to it.
    pub hop: Option<NextHop>,
}

/// One of the tables by which packets are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Table {
    /// Of one port.
    Single,
    /// Of every port.
    Wildcards,
    /// Of answers that have no connection.
    OnePacket,
}

/// A key of one of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub table: Table,
    pub address: Address,
    pub port: u16,
    pub protocol: Protocol,
}

impl Place {
    const fn of(table: Table, socket: TransportAddress, protocol: Protocol) -> Self {
        Self { table, address: socket.address, port: socket.port, protocol }
    }
}

impl Part {
    /// By what packets of the service are found, and its real servers' answers.
    pub fn places(&self) -> Vec<(Place, Endpoint)> {
        let mut places = Vec::with_capacity(1 + self.stations.len());
        let selector = self.wanted.selector;
        if let Selector::Socket(address, protocol) = selector {
            let table = if selector.is_wide() { Table::Wildcards } else { Table::Single };
            places.push((Place::of(table, address.into(), protocol), Endpoint::Service(self.id)));
        }
        for station in self.stations.iter().filter(|station| station.owner.forwarding.answers_here()) {
            self.answers(station, &mut places);
        }
        places
    }

    fn answers(&self, station: &Station, places: &mut Vec<(Place, Endpoint)>) {
        let private = Endpoint::Private { service: self.id, real: station.id };
        match station.owner.socket {
            Socket::Port(socket, protocol) => {
                let endpoint = station.shared.map_or(private, |shared| Endpoint::Shared(shared.of_all()));
                places.push((Place::of(Table::Single, socket, protocol), endpoint));
                if self.wanted.one_packet {
                    places.push((Place::of(Table::OnePacket, socket, protocol), private));
                }
            }
            Socket::Station(address) => {
                // The port of an answer is the answer's to tell.
                let Some(shared) = station.shared.map(|shared| conn::Socket { port: 0, ..shared.of_all() }) else {
                    return;
                };
                for protocol in self.wanted.selector.protocols() {
                    let any = TransportAddress::new(address, 0);
                    places.push((Place::of(Table::Wildcards, any, *protocol), Endpoint::Shared(shared)));
                }
            }
        }
    }
}
