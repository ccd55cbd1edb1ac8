//! Which addresses are announced, and when.

use hashbrown::HashSet;
use ipnet::IpNet;

use super::super::config::Config;
use super::Applier;
use crate::dataplane::service::PortId;
use crate::dataplane::shared::Announcement;

impl Applier {
    /// Has a port's addresses announced once more: its link was down, and nobody heard.
    pub fn announce_again(&mut self, port: PortId, config: &Config) {
        self.announced.retain(|(announced, _)| *announced != port);
        self.announce(config);
    }

    /// Asks the first worker to announce the addresses that lie on a port's own link and were not announced yet.
    pub(super) fn announce(&mut self, config: &Config) {
        let snapshot = self.publisher.current();
        let mut wanted = Vec::new();
        for (place, port) in snapshot.ports.iter().enumerate() {
            let own = port.addresses.iter().map(IpNet::addr);
            let vips = config.services.iter().flat_map(|service| service.vips.iter().copied());
            let on_link =
                vips.chain(config.local_addresses()).filter(|vip| port.addresses.iter().any(|net| net.contains(vip)));
            wanted.extend(own.chain(on_link).map(|address| (PortId(place as u8), address.into())));
        }
        let stays: HashSet<_> = wanted.iter().copied().collect();
        self.announced.retain(|known| stays.contains(known));
        for (port, address) in wanted {
            if self.announced.insert((port, address)) {
                // A full ring means thousands of VIPs at once; those are found by ARP all the same.
                let _ = self.shared.announcements.push(Announcement { port, address });
            }
        }
    }
}
