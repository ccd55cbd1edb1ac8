//! What the running director does as real servers fail and return.

use std::mem;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::SystemTime;

use hashbrown::HashSet;
use log::{error, info, warn};

use super::super::api::{HealthReport, ServerHealth};
use super::super::apply::Applier;
use super::super::change::{Kind, Refused};
use super::super::config::{Config, Selector, Service};
use super::super::health::book::{Book, Fate, Key, QuorumTurn, Verdict};
use super::super::health::notice::Event;
use super::super::health::observe::{self, Reading};
use super::notices::Happened;
use super::{Running, config};

impl Running {
    /// What is known of real servers. Whoever changes the desired state takes this second.
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        // Whoever panicked with it held has left whole values.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what runs: the desired state, less the real servers that are out.
    pub fn effective(&self) -> Arc<Config> {
        self.effective.load_full()
    }

    /// Has the workers go over to a desired state, less the real servers that are out, and their checks with it.
    pub(super) fn run(&self, applier: &mut Applier, running: &Config, next: &Config) -> Result<(), Refused> {
        let (mut followed, effective, turns) = {
            // Not for longer: listings wait for it.
            let mut book = self.book();
            let followed = book.follow(Some(running), next);
            let (effective, turns) = book.effective(next);
            (followed, effective, turns)
        };
        if let Err(error) = applier.apply(&effective, self.now()) {
            self.book().take_back(followed);
            return Err(Refused::new(Kind::Invalid, error.to_string()));
        }
        self.effective.store(Arc::new(effective));
        self.through().lead(&mut followed.orders);
        self.checks.give(mem::take(&mut followed.orders));
        self.tell(next, Vec::new(), &turns);
        Ok(())
    }

    /// Takes in what checks have found, as one change of what runs. May block.
    pub fn hear(&self, verdicts: &[Verdict]) {
        let control = &mut *self.control();
        let at = SystemTime::now();
        let heard: Vec<_> = {
            let mut book = self.book();
            verdicts.iter().filter(|verdict| book.hear(verdict, at)).collect()
        };
        let turns = heard.into_iter().map(|verdict| (verdict.key, verdict.up, verdict.reason.clone()));
        self.turned(&mut control.applier, turns.collect());
    }

    /// Looks at what became of clients' connections, once a second: real servers that fail by that are out, as one change of what
    /// runs. May block.
    pub fn observe(&self) {
        let readings = self.readings();
        let failing = if readings.is_empty() { HashSet::new() } else { self.book().observe(&readings) };
        if failing.is_empty() {
            return;
        }
        let control = &mut *self.control();
        // It may have changed meanwhile.
        let (desired, at) = (self.desired.load_full(), SystemTime::now());
        let (mut turns, mut orders) = (Vec::new(), Vec::new());
        for service in desired.config.services.iter().filter(|service| is_observed(service)) {
            let mut book = self.book();
            for real in service.reals.iter().filter(|real| failing.contains(&(service.selector, real.address))) {
                match book.fall(service, real.address, at) {
                    Fate::Out(reason, order) => {
                        turns.push(((service.selector, real.address), false, reason));
                        orders.push(order);
                    }
                    Fate::Stays(reason, why) => {
                        warn!("{}: real server {} stays, {why}: {reason}", name(&service.selector), real.address);
                    }
                    Fate::Same => {}
                }
            }
        }
        self.checks.give(orders);
        self.turned(&mut control.applier, turns);
    }

    /// Reads what became of clients' connections to real servers that are observed.
    fn readings(&self) -> Vec<(Key, Reading)> {
        let desired = self.desired.load();
        let observed = desired.config.services.iter().filter(|service| is_observed(service));
        let observed: HashSet<Selector> = observed.map(|service| service.selector).collect();
        if observed.is_empty() {
            return Vec::new();
        }
        let snapshot = self.viewer.current();
        let services = snapshot.services.iter().flatten().filter(|service| observed.contains(&service.selector));
        let readings = services.flat_map(|service| {
            let reals = observe::readings(&self.shared, &snapshot, service);
            reals.map(|(real, reading)| ((service.selector, real), reading))
        });
        readings.collect()
    }

    /// Tells of real servers that are up or down now, and why, and has the workers go over to that.
    fn turned(&self, applier: &mut Applier, turns: Vec<(Key, bool, String)>) {
        let mut happened = Vec::new();
        for ((service, real), up, reason) in turns {
            if up {
                info!("{}: real server {real} is up: {reason}", name(&service));
            } else {
                warn!("{}: real server {real} is down: {reason}", name(&service));
            }
            happened.push(((service, real), if up { Event::ServerUp } else { Event::ServerDown }, reason));
        }
        if !happened.is_empty() {
            self.go_over(applier, happened);
        }
    }

    /// Takes real servers out for maintenance, or puts them back: those with this address, of one service or of all.
    pub(super) fn set_maintenance(
        &self,
        service: Option<&Selector>,
        real: &str,
        on: bool,
    ) -> Result<Vec<Key>, Refused> {
        let control = &mut *self.control();
        let desired = self.desired.load_full();
        let found = find(&desired.config, service, real)?;
        let changed: Vec<Key> = {
            let mut book = self.book();
            found.into_iter().filter(|key| book.maintain(*key, on)).collect()
        };
        for (service, real) in &changed {
            let what = if on { "is in maintenance" } else { "is out of maintenance" };
            info!("{}: real server {real} {what}", name(service));
        }
        if !changed.is_empty() {
            let event = if on { Event::MaintenanceOn } else { Event::MaintenanceOff };
            let happened = changed.iter().map(|key| (*key, event, String::new())).collect();
            self.go_over(&mut control.applier, happened);
        }
        Ok(changed)
    }

    /// Has the workers go over to what the book makes of the desired state, now that this has happened to real servers.
    fn go_over(&self, applier: &mut Applier, happened: Vec<Happened>) {
        let desired = self.desired.load_full();
        let (effective, turns) = self.book().effective(&desired.config);
        match applier.apply(&effective, self.now()) {
            Ok(()) => {
                self.effective.store(Arc::new(effective));
                self.applied.notify_one();
            }
            // The next change tries again.
            Err(error) => error!("what real servers' checks found does not come to run: {error}"),
        }
        self.tell(&desired.config, happened, &turns);
    }

    fn tell(&self, config: &Config, happened: Vec<Happened>, turns: &[QuorumTurn]) {
        for QuorumTurn { service, up, weight, .. } in turns {
            if *up {
                info!("{}: the quorum is reached again: weight {weight}", name(service));
            } else {
                warn!("{}: the quorum is lost: weight {weight}", name(service));
            }
        }
        self.notify(config, happened, turns);
    }

    /// Tells what is known of real servers that are checked or in maintenance.
    pub(super) fn report_health(&self, only: Option<&Selector>, real: Option<&str>) -> Result<HealthReport, Refused> {
        let desired = self.desired.load_full();
        let wanted = real.map(|real| find(&desired.config, only, real)).transpose()?;
        let services = desired.config.services.iter().filter(|it| only.is_none_or(|only| it.selector == *only));
        let book = self.book();
        let mut report = HealthReport::default();
        for service in services {
            let keys = service.reals.iter().map(|real| ((service.selector, real.address), real));
            let asked = |key: &Key| wanted.as_ref().is_none_or(|wanted| wanted.contains(key));
            for (key, real) in keys.filter(|(key, _)| asked(key)) {
                if wanted.is_some() || real.check.is_some() || book.in_maintenance(&key) {
                    report.servers.push(ServerHealth::new(&book, &key, real));
                }
            }
            if book.has_lost_quorum(&service.selector) {
                report.lost_quorum.push(service.selector.to_string());
            }
        }
        Ok(report)
    }
}

/// Tells whether clients' connections to some of a service's real servers are observed.
fn is_observed(service: &Service) -> bool {
    service.reals.iter().any(|real| real.check.as_ref().is_some_and(|check| check.observe.is_some()))
}

/// The real servers that `text` names: an address with a port or without.
fn find(config: &Config, only: Option<&Selector>, text: &str) -> Result<Vec<Key>, Refused> {
    let services = || config.services.iter().filter(|service| only.is_none_or(|only| service.selector == *only));
    if let Some(only) = only
        && services().next().is_none()
    {
        return Err(Refused::new(Kind::NoSuchService, format!("there is no service {} {only}", only.protocol())));
    }
    let (address, port) = config::parts::real_name(text, "real")?;
    let meant = |service: &Service| {
        let reals = service.reals.iter().map(|real| real.address);
        let fits = reals.filter(|real| real.ip() == address && port.is_none_or(|port| real.port() == port));
        fits.map(|real| (service.selector, real)).collect::<Vec<_>>()
    };
    let found: Vec<Key> = services().flat_map(|service| meant(service)).collect();
    if found.is_empty() {
        Err(Refused::new(Kind::NoSuchReal, format!("there is no real server {text}")))
    } else {
        Ok(found)
    }
}

fn name(service: &Selector) -> String {
    format!("{} {service}", service.protocol())
}
