//! By what the host reaches real servers through their VIPs: known to workers apart from the configuration that they
//! forward by, since a real server is asked whether it has recovered when that has it no more.

use ipnet::IpNet;

use super::{Applier, ApplyError};
use crate::dataplane::snapshot::Snapshot;
use crate::dataplane::stand_in::{Askers, StandIns};

impl Applier {
    /// Has the workers know real servers by these stand-ins.
    ///
    /// # Errors
    /// If there is no memory for what workers note of them; then there are none.
    pub fn stand_in(&mut self, stand_ins: StandIns) -> Result<(), ApplyError> {
        let current = self.publisher.current();
        if current.stand_ins == stand_ins {
            return Ok(());
        }
        if self.shared.askers.get().is_none() {
            // Ports keep their addresses for as long as the director runs.
            let known = current.ports.iter().filter(|port| port.twin.is_some());
            let own = known.flat_map(|port| {
                port.addresses.iter().filter_map(|net| match net {
                    IpNet::V4(net) => Some(net.addr()),
                    IpNet::V6(_) => None,
                })
            });
            // Nobody else sets it.
            let _ = self.shared.askers.set(Askers::new(own).map_err(|cause| ApplyError::Askers(cause.kind()))?);
        }
        self.publisher.publish(Snapshot { stand_ins, ..Snapshot::clone(&current) });
        self.linger();
        Ok(())
    }
}
