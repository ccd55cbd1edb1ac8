//! What is to be built anew: what a configuration changes, and what that has an effect on.

use hashbrown::HashSet;

use super::super::config::{Changed, Config, Selector, Service};
use super::Applier;
use super::owner::Socket;
use super::sockets::named;

/// What is to be built.
#[derive(Debug)]
pub(super) struct Agenda {
    /// The services in which the configurations differ.
    pub changed: Changed,
    /// Everything: nothing is known of what ran before, or it had other ports.
    pub whole: bool,
    /// Routes, and by which next hops real servers are reached.
    pub ways: bool,
    /// Which packets services of several addresses or ports are for.
    pub selectors: bool,
    /// The addresses to answer for.
    pub locals: bool,
}

impl Agenda {
    /// Compares a configuration with the one that runs, if there is one.
    pub fn new(running: Option<&Config>, config: &Config) -> Self {
        let Some(running) = running else {
            let changed = Changed::between(&[], &config.services);
            return Self { changed, whole: true, ways: true, selectors: true, locals: true };
        };
        let changed = Changed::between(&running.services, &config.services);
        let whole = running.ports != config.ports;
        let ways = whole || running.routes != config.routes || running.neighbors != config.neighbors;
        let before = || changed.before.iter().map(|place| &*running.services[*place]);
        let after = || changed.after.iter().map(|place| &*config.services[*place]);
        let several = |service: &Service| service.selector.socket().is_none().then_some(service.selector);
        let selectors = running.marks != config.marks
            || changed.reordered
            || !before().filter_map(several).eq(after().filter_map(several));
        let pools = running.local_pools != config.local_pools;
        let vips = !before().flat_map(|service| &service.vips).eq(after().flat_map(|service| &service.vips));
        Self { selectors: whole || selectors, locals: whole || vips || pools, ways, whole, changed }
    }
}

impl Applier {
    /// Takes note of which services name which sockets from now on.
    pub(super) fn rename(&mut self, config: &Config, changed: &Changed) {
        let old = self.running.as_ref().map_or(&[][..], |running| &running.services);
        changed.before.iter().for_each(|place| self.sockets.unname(&old[*place]));
        changed.after.iter().for_each(|place| self.sockets.name(&config.services[*place]));
    }

    /// Takes that back.
    pub(super) fn rename_back(&mut self, config: &Config, changed: &Changed) {
        let old = self.running.as_ref().map_or(&[][..], |running| &running.services);
        changed.after.iter().for_each(|place| self.sockets.unname(&config.services[*place]));
        changed.before.iter().for_each(|place| self.sockets.name(&old[*place]));
    }

    /// The places of the services to build, in their order: those that changed; those whose sockets others name too, from now
    /// on; and those that time changes, since real servers start slowly or have connections by another method.
    pub(super) fn to_build(&self, config: &Config, agenda: &Agenda) -> Vec<usize> {
        if agenda.whole {
            return (0..config.services.len()).collect();
        }
        let mut places = agenda.changed.after.clone();
        let snapshot = self.publisher.current();
        let slow = self.slow_starts.services();
        let slow = slow.into_iter().filter_map(|id| Some(snapshot.service(id)?.selector));
        let mut others: HashSet<Selector> = self.restless.iter().copied().chain(slow).collect();
        let named = places.iter().flat_map(|place| named(&config.services[*place]));
        let shared = named.filter(|socket| self.sockets.is_named_twice(*socket));
        for socket in shared.chain(self.shared_lately.iter().copied()) {
            others.extend(self.keepers(socket));
        }
        if !others.is_empty() {
            let all = config.services.iter().enumerate();
            places.extend(all.filter(|(_, service)| others.contains(&service.selector)).map(|(place, _)| place));
            places.sort_unstable();
            places.dedup();
        }
        places
    }

    /// The services of the snapshot that have a socket for themselves: one, if any.
    fn keepers(&self, socket: Socket) -> Vec<Selector> {
        if !self.sockets.is_private(socket) {
            return Vec::new();
        }
        let snapshot = self.publisher.current();
        let service = |id| snapshot.service(snapshot.real(id)?.service).map(|service| service.selector);
        self.sockets.owners(socket).iter().filter_map(|owner| service(owner.id)).collect()
    }
}
