//! Who is told of real servers and services that fail and return.

use std::time::SystemTime;

use hashbrown::HashMap;

use super::super::config::{Config, Selector};
use super::super::health::book::{Key, QuorumTurn};
use super::super::health::notice::{Event, Notice, Pool};
use super::Running;

/// What has happened to a real server, and why.
pub(super) type Happened = (Key, Event, String);

impl Running {
    /// Has those told who want to know of real servers, and then of their services, once that has taken effect; and the services'
    /// hooks run.
    pub(super) fn notify(&self, config: &Config, servers: Vec<Happened>, services: &[QuorumTurn]) {
        let at = SystemTime::now();
        let pools = self.pools(config, servers.iter().map(|((service, _), ..)| *service), services);
        let pool = |service: &Selector| pools.get(service).copied();
        for ((service, real), event, reason) in servers {
            let notice = Notice { at, event, service: Some(service), real: Some(real), reason, pool: pool(&service) };
            self.notifier.notify(notice, &[]);
        }
        for QuorumTurn { service, up, weight, hook } in services {
            let event = if *up { Event::QuorumUp } else { Event::QuorumDown };
            let reason = format!("weight {weight} is left");
            let notice = Notice { at, event, service: Some(*service), real: None, reason, pool: pool(service) };
            self.notifier.notify(notice, hook);
        }
    }

    /// How the real servers of services are, each counted once, whatever happened to how many of them.
    fn pools(
        &self,
        config: &Config,
        servers: impl Iterator<Item = Selector>,
        services: &[QuorumTurn],
    ) -> HashMap<Selector, Pool> {
        let turned = services.iter().map(|turn| turn.service);
        let mut pools: HashMap<_, _> = servers.chain(turned).map(|service| (service, Pool::default())).collect();
        if pools.is_empty() {
            return pools;
        }
        let book = self.book();
        for service in &config.services {
            if let Some(pool) = pools.get_mut(&service.selector) {
                *pool = book.pool(service);
            }
        }
        pools
    }
}
