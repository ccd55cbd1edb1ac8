//! The running director as control sees it: what it is asked for, what it is told, and what it looks after.

#[cfg(test)]
pub(super) mod fixture;
mod health;
mod notices;
#[cfg(test)]
mod tests;
mod through;

use std::fmt;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use log::{error, info, warn};
use tokio::sync::Notify;

use self::through::Asked;
use super::accounts::Accounts;
use super::api::{
    self, Announced, Changed, DeviceReport, Difference, Draining, HealthReport, Maintenance, Network, Report,
    RouteReport, Services,
};
use super::apply::Applier;
use super::change::{Kind, Made, Refused, Transaction};
use super::config::document::Table;
use super::config::{self, Config, Index, Selector, Source};
use super::connections::{Filter, Scan};
use super::desired::Desired;
use super::diff;
use super::drain::Announcing;
use super::health::book::{Book, Order};
use super::health::checker::Orders;
use super::health::notice::{self, Notice, Notifier};
use super::routing::learned::News;
use super::survey::Survey;
use crate::dataplane::address::Address;
use crate::dataplane::clock::Now;
use crate::dataplane::service::{PortId, Service};
use crate::dataplane::shared::{Event, Shared};
use crate::dataplane::snapshot::Viewer;

/// How often a conflict about one address is logged, whoever claims it: a station that keeps claiming it, under one Ethernet
/// address or many, would fill the log.
const CONFLICT_PAUSE: Duration = Duration::from_secs(10);

/// How many lines of one change are logged; whoever makes a larger one is told them all.
const LOGGED: usize = 20;

/// How long a change waits for workers to move on. They come by every few microseconds, or after a nap of a millisecond; one
/// that the kernel has taken its core from may be longer, and must not hold up control.
const SETTLING: Duration = Duration::from_millis(20);

/// Tells what the driver of a port counts, by the port's place.
pub type DeviceCounters = Box<dyn Fn(usize) -> DeviceReport + Send + Sync>;

/// A running director.
pub struct Running {
    shared: Arc<Shared>,
    viewer: Viewer,
    file: PathBuf,
    origin: Instant,
    desired: ArcSwap<Desired>,
    control: Mutex<Control>,
    accounts: RwLock<Accounts>,
    /// What runs: the desired state, less the real servers that are out.
    effective: ArcSwap<Config>,
    health: Mutex<Book>,
    checks: Orders,
    device: DeviceCounters,
    conflicts: Mutex<HashMap<Address, Instant>>,
    /// Ports with a link that came back and hears who is on it as soon as may be.
    returned: Mutex<Vec<PortId>>,
    applied: Notify,
    announcing: Announcing,
    notifier: Notifier,
    /// Told when a port's link went, or came back.
    links: Notify,
    asked: Asked,
}

/// What changes the desired state needs, for whoever holds it: one at a time.
struct Control {
    applier: Applier,
    /// What the running configuration names.
    index: Index,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Running {
    /// A director that runs `config`, read from `file`; `origin` is the moment its time counts from.
    pub fn new(
        shared: Arc<Shared>,
        applier: Applier,
        config: Config,
        file: PathBuf,
        origin: Instant,
        device: DeviceCounters,
        Checked { book, effective, orders }: Checked,
    ) -> Self {
        let index = Index::new(&config);
        let notifier = Notifier::new();
        notifier.set(&config.notify);
        Self {
            shared,
            viewer: applier.viewer(),
            file,
            origin,
            desired: ArcSwap::from_pointee(Desired::first(config)),
            control: Mutex::new(Control { applier, index }),
            accounts: RwLock::default(),
            effective: ArcSwap::from_pointee(effective),
            health: Mutex::new(book),
            checks: orders,
            device,
            conflicts: Mutex::default(),
            returned: Mutex::default(),
            applied: Notify::new(),
            announcing: Announcing::default(),
            notifier,
            links: Notify::new(),
            asked: Asked::default(),
        }
    }

    fn now(&self) -> Now {
        now(self.origin)
    }

    /// Waits for its turn to change the desired state.
    fn control(&self) -> MutexGuard<'_, Control> {
        // Whoever panicked with it held, panicked before the snapshot was published.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for those who must not wait: none while a change is made.
    fn control_now(&self) -> Option<MutexGuard<'_, Control>> {
        match self.control.try_lock() {
            Ok(control) => Some(control),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn accounts(&self) -> RwLockWriteGuard<'_, Accounts> {
        // Half an estimate is mended by the next.
        self.accounts.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what is counted, and at the version of the desired state.
    fn survey<T>(&self, look: impl FnOnce(Survey<'_>, u64) -> T) -> T {
        let desired = self.desired.load();
        let snapshot = self.viewer.current();
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let (config, now) = (&desired.config, self.now());
        let (shared, accounts, health) = (&*self.shared, &*accounts, &*self.book());
        let survey = Survey { shared, snapshot: &snapshot, config, accounts, health, now };
        look(survey, desired.version)
    }

    /// Has the workers go over from `running` to `next`, if they differ and it is not a dry run.
    fn replace(
        &self,
        applier: &mut Applier,
        running: &Desired,
        next: &Config,
        dry_run: bool,
    ) -> Result<Changed, Refused> {
        let changed = diff::changes(&running.config, next)?;
        if changed.is_empty() || dry_run {
            return Ok(Changed { version: running.version, changed, refused: Vec::new() });
        }
        let through = self.ask_of(applier, &running.config, next);
        if let Err(refused) = self.run(applier, &running.config, next) {
            self.ask_by(applier, through);
            return Err(refused);
        }
        let next = running.next(next.clone());
        let version = next.version;
        self.notifier.set(&next.config.notify);
        self.desired.store(Arc::new(next));
        self.applied.notify_one();
        settle(applier);
        Ok(Changed { version, changed, refused: Vec::new() })
    }

    /// What of the VIPs is announced, and whether anything may be.
    pub fn announcing(&self) -> &Announcing {
        &self.announcing
    }

    /// Whoever tells others what happens.
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Waits until a change was made, or the director told to drain, since it last returned. For one that waits.
    pub async fn applied(&self) {
        self.applied.notified().await;
    }

    /// Does what is due once a second; what a change that is being made stands in the way of, a second later.
    pub fn tend(&self) {
        if let Some(mut control) = self.control_now() {
            control.applier.tend(self.now());
        }
        self.announce_returned();
        self.accounts().tend(&self.shared, &self.viewer.current(), self.now());
    }

    /// Notes whether a port has a carrier. A change is logged, and a link that came back hears who is on it.
    pub fn carrier(&self, port: PortId, up: bool) {
        if self.shared.carrier(port) == up {
            return;
        }
        self.note_carrier(port, up);
        self.links.notify_one();
        if up {
            self.returned.lock().unwrap_or_else(PoisonError::into_inner).push(port);
            self.announce_returned();
        }
    }

    /// Has packets take the routes that there are with the links as they are, from the start on and whenever one goes or comes back.
    pub async fn follow_links(self: Arc<Self>) {
        loop {
            let director = Arc::clone(&self);
            if let Err(failed) = tokio::task::spawn_blocking(move || director.reroute()).await {
                error!("routes are not those of the links: {failed}");
            }
            self.links.notified().await;
        }
    }

    /// Publishes the routes that there are with the links as they are. May block.
    pub(super) fn reroute(&self) {
        self.learn(Vec::new());
    }

    /// Takes in what the host's kernel told, and publishes the routes that there are then. May block.
    pub(super) fn learn(&self, news: Vec<News>) {
        let applier = &mut self.control().applier;
        let before = applier.left_out();
        applier.learn(news);
        if let Err(error) = applier.reroute(&self.desired.load().config, self.now()) {
            error!("routes stay as they are: {error}");
        }
        let left_out = applier.left_out();
        if left_out > before {
            warn!("routes: {left_out} next hops are left out, the neighbour table has no room for them");
        }
    }

    fn announce_returned(&self) {
        // What is announced is what runs while nobody changes it: a VIP that was removed is not ours any more.
        let Some(mut control) = self.control_now() else { return };
        let returned = mem::take(&mut *self.returned.lock().unwrap_or_else(PoisonError::into_inner));
        for port in returned {
            control.applier.announce_again(port, &self.desired.load().config);
        }
    }

    fn note_carrier(&self, port: PortId, up: bool) {
        let desired = self.desired.load();
        let name = desired.config.ports.get(port.index()).map(|port| port.name.as_str()).unwrap_or_default();
        if up {
            info!("port {name}: link up")
        } else {
            warn!("port {name}: link down")
        }
        self.shared.set_carrier(port, up);
    }

    /// Logs what the workers saw.
    pub fn log_events(&self) {
        while let Some(event) = self.shared.events.pop() {
            let Event::AddressConflict { address, mac, port } = event;
            let mut conflicts = self.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
            conflicts.retain(|_, logged| logged.elapsed() < CONFLICT_PAUSE);
            if !conflicts.contains_key(&address) {
                conflicts.insert(address, Instant::now());
                let desired = self.desired.load();
                let name = desired.config.ports.get(port.index()).map(|port| &*port.name).unwrap_or_default();
                warn!("address conflict: {} claims our address {address} on port {name}", diff::mac(&mac));
            }
        }
    }
}

/// What a director starts with of the health of its real servers.
pub struct Checked {
    /// What is known of them.
    pub book: Book,
    /// What runs.
    pub effective: Config,
    /// Who makes the checks.
    pub orders: Orders,
}

impl Checked {
    /// What is known at the start, and what the checker is to do.
    pub fn first(config: &Config, orders: Orders) -> (Self, Vec<Order>) {
        let mut book = Book::default();
        let followed = book.follow(None, config);
        // What quorums are at the start is no news.
        let (effective, _) = book.effective(config);
        (Self { book, effective, orders }, followed.orders)
    }

    /// The same for a director whose real servers nobody checks.
    pub fn nobody(config: &Config) -> Self {
        Self::first(config, Orders::unheard()).0
    }
}

/// Waits until every worker has moved on: what a change removed gets nothing any more from when the change is answered. A worker
/// that does not come by in [`SETTLING`] is not waited for; that is logged.
fn settle(applier: &mut Applier) {
    let start = Instant::now();
    while !applier.is_settled() {
        if start.elapsed() >= SETTLING {
            warn!("a worker did not come by within {SETTLING:?}: until it does, it forwards as before the change");
            return;
        }
        thread::sleep(Duration::from_micros(50));
    }
}

/// The director's time: nanoseconds since `origin`.
pub fn now(origin: Instant) -> Now {
    Now::from_nanos(origin.elapsed().as_nanos() as u64)
}

impl api::Director for Running {
    fn report(&self) -> Report {
        let announced = || {
            let vips = self.announcing.announced().into_iter().collect();
            Announced { draining: self.announcing.draining(), vips }
        };
        self.survey(|survey, _| Report {
            announced: survey.config.announce.map(|_| announced()),
            ..survey.report(&self.device)
        })
    }

    fn network(&self) -> Network {
        self.survey(|survey, _| survey.network(&self.device))
    }

    fn routes(&self) -> Vec<RouteReport> {
        let listed = self.control().applier.routes(&self.desired.load().config);
        self.survey(|survey, _| survey.routes(&listed))
    }

    fn services(&self, only: Option<&Selector>) -> Services {
        self.survey(|survey, version| Services {
            version,
            max_connections: survey.config.director.max_connections as u64,
            services: survey.states(only),
        })
    }

    fn desired(&self) -> Arc<Desired> {
        self.desired.load_full()
    }

    fn scan(&self, filter: Filter) -> Scan {
        Scan::new(Arc::clone(&self.shared), self.viewer.clone(), self.control().applier.names(), filter, self.now())
    }

    fn zero(&self, service: Option<&Table>) -> Result<usize, Refused> {
        let (desired, snapshot) = (self.desired.load(), self.viewer.current());
        let wanted = service.map(|key| config::parts::key(key, "service", &desired.config.ports)).transpose()?;
        let meant = |service: &&Service| wanted.is_none_or(|wanted| wanted == service.selector);
        let services: Vec<_> = snapshot.services.iter().flatten().map(Arc::as_ref).filter(meant).collect();
        match wanted {
            Some(wanted) if services.is_empty() => {
                let error = format!("there is no service {} {wanted}", wanted.protocol());
                Err(Refused::new(Kind::NoSuchService, error))
            }
            _ => {
                self.accounts().zero(&self.shared, services.iter().copied());
                Ok(services.len())
            }
        }
    }

    fn draining(&self) -> Draining {
        self.survey(|survey, _| Draining {
            draining: self.announcing.draining(),
            announced: self.announcing.announced().len(),
            ..survey.draining()
        })
    }

    fn drain(&self, draining: bool) -> Option<Draining> {
        self.desired.load().config.announce?;
        if self.announcing.set_draining(draining) {
            let what = if draining { "draining: VIPs are withdrawn" } else { "no longer draining: VIPs are announced" };
            info!("{what}");
            let event = if draining { notice::Event::DirectorDraining } else { notice::Event::DirectorActive };
            self.notifier.notify(Notice::of_director(event), &[]);
            self.applied.notify_one();
        }
        self.announcing.settle();
        Some(self.draining())
    }

    fn difference(&self) -> Result<Difference, Refused> {
        let running = self.desired.load_full();
        let next = config::load(&self.file)?.config;
        Ok(Difference {
            version: running.version,
            changed: diff::live_changes(&running.config, &next),
            restart: diff::fixed_changes(&running.config, &next),
        })
    }

    fn health(&self, service: Option<&Selector>, real: Option<&str>) -> Result<HealthReport, Refused> {
        self.report_health(service, real)
    }

    fn maintain(&self, asked: &Maintenance) -> Result<Vec<String>, Refused> {
        let ports = &self.desired.load().config.ports;
        let key = |key| config::parts::key(key, "service", ports);
        let service = asked.service.as_ref().map(key).transpose()?;
        let changed = self.set_maintenance(service.as_ref(), &asked.real, asked.on)?;
        Ok(changed.iter().map(|(service, _)| service.to_string()).collect())
    }

    fn reload(&self, dry_run: bool) -> Result<Changed, Refused> {
        let control = &mut *self.control();
        let running = self.desired.load_full();
        let next = config::load(&self.file)?.config;
        let changed = self.replace(&mut control.applier, &running, &next, dry_run)?;
        if !dry_run {
            if changed.version != running.version {
                control.index = Index::new(&next);
            }
            log("reload", &changed);
        }
        Ok(changed)
    }

    fn change(&self, transaction: &Transaction) -> Result<Changed, Refused> {
        let Control { applier, index } = &mut *self.control();
        let running = self.desired.load_full();
        if let Some(version) = transaction.version.filter(|version| *version != running.version) {
            let error = format!("the desired state has changed: it has version {}, not {version}", running.version);
            return Err(Refused::new(Kind::Version, error));
        }
        let nowhere = Source::none();
        let made = transaction.apply(&running.config, |from, to| index.advance(from, to, &nowhere))?;
        let Made { config: next, refused } = made;
        let changed = self.replace(applier, &running, &next, transaction.dry_run);
        if changed.as_ref().is_ok_and(|changed| changed.version != running.version) {
            changed.iter().for_each(|changed| log("change", changed));
        } else {
            // What runs goes on, and was right before.
            let _ = index.advance(&next, &running.config, &nowhere);
        }
        Ok(Changed { refused, ..changed? })
    }
}

/// Logs what a change has changed, as far as it fits.
fn log(what: &str, Changed { version, changed, .. }: &Changed) {
    for line in changed.iter().take(LOGGED) {
        info!("{what}: {line}");
    }
    match changed.len().saturating_sub(LOGGED) {
        0 => info!("{what}: {} changes, version {version}", changed.len()),
        more => info!("{what}: and {more} more: {} changes, version {version}", changed.len()),
    }
}
