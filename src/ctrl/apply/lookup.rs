//! The tables by which packets are found, and how many services ask for each of their entries.

use hashbrown::HashMap;

use super::part::{Place, Table};
use crate::dataplane::service::Endpoint;
use crate::dataplane::snapshot::Endpoints;

/// The endpoints of one port, those of every port, and those whose answers have no connections.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub single: Endpoints,
    pub wildcards: Endpoints,
    pub one_packet: Endpoints,
}

impl Known {
    fn table(&mut self, table: Table) -> &mut Endpoints {
        match table {
            Table::Single => &mut self.single,
            Table::Wildcards => &mut self.wildcards,
            Table::OnePacket => &mut self.one_packet,
        }
    }
}

/// The tables as they are now.
#[derive(Default)]
pub(super) struct Lookup {
    known: Known,
    counts: HashMap<Place, u32>,
}

impl Lookup {
    /// The tables, shared until one of them changes.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// One service more asks for an entry. What it says holds.
    pub fn add(&mut self, place: Place, endpoint: Endpoint) {
        *self.counts.entry(place).or_default() += 1;
        let Place { table, address, port, protocol } = place;
        let table = self.known.table(table);
        if table.find(address, port, protocol) != Some(endpoint) {
            table.insert(address, port, protocol, endpoint);
        }
    }

    /// One service less asks for an entry; with the last the entry goes.
    pub fn remove(&mut self, place: Place) {
        let Some(count) = self.counts.get_mut(&place) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&place);
            let Place { table, address, port, protocol } = place;
            self.known.table(table).remove(address, port, protocol);
        }
    }
}
