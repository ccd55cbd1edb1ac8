//! Full NAT's source addresses: their ids, and which of them each port has.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use super::super::config::{Config, Forwarding};
use super::agenda::Agenda;
use super::{Applier, ApplyError};
use crate::dataplane::address::{Address, Family};
use crate::dataplane::conn::{LocalAddresses, LocalId};
use crate::dataplane::snapshot::LocalPools;

/// Which local address has which id: for good, since connections may name it. One that comes back has its own again.
#[derive(Default)]
pub(super) struct LocalIds {
    ids: HashMap<IpAddr, LocalId>,
    addresses: Option<Arc<LocalAddresses>>,
}

impl LocalIds {
    fn give(&mut self, address: IpAddr) -> Result<(), ApplyError> {
        if !self.ids.contains_key(&address) {
            let id = u16::try_from(self.ids.len() + 1).map(LocalId).map_err(|_| ApplyError::LocalAddresses)?;
            self.addresses.get_or_insert_default().set(id, Address::from(address));
            self.ids.insert(address, id);
        }
        Ok(())
    }
}

impl Applier {
    /// Gives local addresses ids, and lets the tables keep them once a real server is reached by full NAT.
    ///
    /// # Errors
    /// If there are too many, or there is no memory.
    pub(super) fn know_locals(&mut self, config: &Config, agenda: &Agenda) -> Result<(), ApplyError> {
        if agenda.locals {
            config.local_addresses().try_for_each(|address| self.local_ids.give(address))?;
        }
        let Some(addresses) = &self.local_ids.addresses else { return Ok(()) };
        let changed = agenda.changed.after.iter().map(|place| &config.services[*place]);
        let mut stations = changed.flat_map(|service| service.stations());
        if stations.any(|(_, real)| real.forwarding == Forwarding::FullNat) {
            let kept = self.shared.table.keep_locals(addresses).and_then(|()| self.shared.wide.keep_locals(addresses));
            kept.map_err(|cause| ApplyError::Locals(cause.kind()))?;
        }
        Ok(())
    }

    /// The local addresses towards what is reached by each port: those on the port's own networks, since answers to them come back whatever
    /// the real server's gateway is; where there are none, all there are.
    pub(super) fn local_pools(&self, config: &Config) -> LocalPools {
        LocalPools::new(config.ports.iter().map(|port| {
            [Family::V4, Family::V6].map(|family| {
                let all = || config.local_addresses().filter(|address| Family::of(*address) == family);
                let on_link = |address: &IpAddr| port.addresses.iter().any(|net| net.contains(address));
                let near = all().any(|address| on_link(&address));
                let some = all().filter(|address| !near || on_link(address));
                some.filter_map(|address| self.local_ids.ids.get(&address).copied()).collect()
            })
        }))
    }
}
