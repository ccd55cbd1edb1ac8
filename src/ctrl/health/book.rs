//! What is known of real servers: who is up, since when and why, who is in maintenance, and what a service has left.
//!
//! Control keeps it, under its lock. It says which checks are to begin and end ([`Order`]), takes in what they find ([`Verdict`]),
//! and makes the configuration that runs of the one that is desired (`effective`).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::{HashMap, HashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::config::{Changed, Config, Selector, Service};
use super::check::Check;
use super::live::Live;
use super::notice::Pool;
use super::observe::{Observer, Seen};
use super::stand_ins::Through;
use super::tracker::Tracker;

mod effective;
mod observed;
#[cfg(test)]
mod tests;

use effective::Patch;
pub use effective::QuorumTurn;
pub use observed::Fate;

/// How many changes of a real server's state are remembered.
pub const REMEMBERED: usize = 20;

/// Names a real server of a service.
pub type Key = (Selector, SocketAddr);

/// What the checker is to do.
#[derive(Clone, Debug)]
pub enum Order {
    /// Begin to check a real server; the checks of it that there are end.
    Begin(Box<Begin>),
    /// It has failed as clients' connections tell: its checks go on as of one that is down, and what they see is noted here.
    Fall {
        /// Who.
        key: Key,
        /// Where it is noted what is seen.
        live: Arc<Live>,
    },
    /// Check it no more.
    End(Key),
}

/// A real server to check.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Who it is.
    pub key: Key,
    /// How it is checked.
    pub check: Arc<Check>,
    /// What it is now.
    pub tracker: Tracker,
    /// Where what is seen is noted.
    pub live: Arc<Live>,
    /// How it is asked, if through its VIP: see [`super::stand_ins::Directory::lead`].
    pub through: Option<Through>,
}

/// What a check has found: another state.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Of whom.
    pub key: Key,
    /// Where it has noted what it saw: of a check that was replaced meanwhile another one.
    pub live: Arc<Live>,
    /// The new state.
    pub up: bool,
    /// Why.
    pub reason: String,
}

/// A change of a real server's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When.
    pub at: SystemTime,
    /// What it is since.
    pub up: bool,
    /// Why.
    pub reason: String,
}

/// A real server that is checked.
#[derive(Clone, Debug)]
pub struct Station {
    /// How.
    pub check: Arc<Check>,
    /// Whether it is up.
    pub up: bool,
    /// What its checks saw.
    pub live: Arc<Live>,
    /// Its last changes, the latest last.
    pub history: VecDeque<Turn>,
    /// What clients' connections said of it of late, where its check asks for that.
    pub observed: Observed,
}

/// What clients' connections said of a real server.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    observer: Observer,
    /// What they say now.
    pub seen: Seen,
    /// Whether it is known to stay, though it fails: it is told once.
    spared: bool,
}

impl Station {
    /// Goes over to the other state.
    fn turn(&mut self, at: SystemTime, reason: String) {
        self.up = !self.up;
        self.observed = Observed::default();
        if self.history.len() == REMEMBERED {
            self.history.pop_front();
        }
        self.history.push_back(Turn { at, up: self.up, reason });
    }
}

/// What going over to another desired state comes to.
#[derive(Debug, Default)]
pub struct Followed {
    /// What the checker is to do, once the new state runs.
    pub orders: Vec<Order>,
    /// What was known before of those that it concerns.
    before: Vec<(Key, Option<Station>)>,
    /// Those that have left maintenance because they are gone.
    maintenance: Vec<Key>,
    /// Services that are gone and had lost their quorum.
    lost: Vec<Selector>,
}

/// Whether a real server is in the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody checks it.
    #[default]
    Unchecked,
    /// Its checks are answered.
    Up,
    /// It has failed.
    Down,
    /// The operator has taken it out, whatever its checks say.
    Maintenance,
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Up => "up",
            Self::Down => "down",
            Self::Maintenance => "maintenance",
        }
    }
}

/// The book.
#[derive(Debug, Default)]
pub struct Book {
    stations: HashMap<Key, Station>,
    /// Those that the operator has taken out.
    maintenance: HashSet<Key>,
    /// By service, how many of its real servers are down or in maintenance; those with none are not here.
    out: HashMap<Selector, usize>,
    /// Services that have lost their quorum.
    lost: HashSet<Selector>,
    /// What became of services of which somebody is out.
    patches: HashMap<Selector, Patch>,
}

impl Book {
    /// Goes over from one desired state to the next; of none, from nothing.
    pub fn follow(&mut self, old: Option<&Config>, new: &Config) -> Followed {
        let before = old.map_or(&[][..], |old| &old.services);
        let changed = Changed::between(before, &new.services);
        let after: HashMap<Selector, &Arc<Service>> =
            changed.after.iter().map(|place| (new.services[*place].selector, &new.services[*place])).collect();
        let mut followed = Followed::default();
        for service in changed.before.iter().map(|place| &before[*place]) {
            let stays: HashMap<SocketAddr, Option<&Arc<Check>>> = after
                .get(&service.selector)
                .map(|next| next.reals.iter().map(|real| (real.address, real.check.as_ref())).collect())
                .unwrap_or_default();
            for real in &service.reals {
                let key = (service.selector, real.address);
                match stays.get(&real.address) {
                    Some(Some(_)) => {}
                    Some(None) => self.end(key, &mut followed),
                    None => {
                        self.end(key, &mut followed);
                        self.leave_maintenance(key, &mut followed);
                    }
                }
            }
            if !after.contains_key(&service.selector) {
                followed.lost.extend(self.lost.take(&service.selector));
                self.patches.remove(&service.selector);
            }
        }
        for service in after.values() {
            for real in &service.reals {
                if let Some(check) = &real.check {
                    self.begin((service.selector, real.address), check, &mut followed);
                }
            }
        }
        followed
    }

    /// Takes back what [`Book::follow`] did last, since the new state did not come to run.
    pub fn take_back(&mut self, followed: Followed) {
        for (key, station) in followed.before.into_iter().rev() {
            let was_down = self.is_down(&key);
            let is_down = station.as_ref().is_some_and(|station| !station.up);
            match station {
                Some(station) => drop(self.stations.insert(key, station)),
                None => drop(self.stations.remove(&key)),
            }
            if was_down != is_down {
                self.is_out(key.0, is_down);
            }
        }
        for key in followed.maintenance {
            self.maintain(key, true);
        }
        self.lost.extend(followed.lost);
    }

    /// Sees to it that a real server is checked in this way.
    fn begin(&mut self, key: Key, check: &Arc<Check>, followed: &mut Followed) {
        let tracker = match self.stations.get(&key) {
            Some(known) if known.check == *check => return,
            Some(known) => Tracker::known(known.up),
            None => Tracker::unknown(check),
        };
        let (up, live) = (tracker.is_up(), Arc::<Live>::default());
        let begin = Begin { key, check: Arc::clone(check), tracker, live: Arc::clone(&live), through: None };
        followed.before.push((key, self.stations.get(&key).cloned()));
        followed.orders.push(Order::Begin(Box::new(begin)));
        match self.stations.get_mut(&key) {
            Some(known) => {
                known.check = Arc::clone(check);
                known.live = live;
                known.observed = Observed::default();
            }
            None => {
                let (check, history, observed) = (Arc::clone(check), VecDeque::new(), Observed::default());
                self.stations.insert(key, Station { check, up, live, history, observed });
                if !up {
                    self.is_out(key.0, true);
                }
            }
        }
    }

    /// Forgets what the checks of a real server said.
    fn end(&mut self, key: Key, followed: &mut Followed) {
        let Some(station) = self.stations.remove(&key) else { return };
        if !station.up {
            self.is_out(key.0, false);
        }
        followed.before.push((key, Some(station)));
        followed.orders.push(Order::End(key));
    }

    fn leave_maintenance(&mut self, key: Key, followed: &mut Followed) {
        if self.maintain(key, false) {
            followed.maintenance.push(key);
        }
    }

    /// Notes that one more real server of a service is out for one reason more, or less.
    fn is_out(&mut self, service: Selector, out: bool) {
        let count = self.out.entry(service).or_insert(0);
        *count = if out { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.out.remove(&service);
        }
        self.patches.remove(&service);
    }

    /// Takes in what a check has found. Returns whether that changes anything: not for one who is not checked any more.
    pub fn hear(&mut self, verdict: &Verdict, at: SystemTime) -> bool {
        let Verdict { key, live, up, reason } = verdict;
        let station = self.stations.get_mut(key).filter(|station| Arc::ptr_eq(&station.live, live));
        let Some(station) = station.filter(|station| station.up != *up) else { return false };
        station.turn(at, reason.clone());
        self.is_out(key.0, !up);
        true
    }

    /// Takes a real server out, or puts it back. Returns whether that changes anything.
    pub fn maintain(&mut self, key: Key, on: bool) -> bool {
        let changes = if on { self.maintenance.insert(key) } else { self.maintenance.remove(&key) };
        if changes {
            self.is_out(key.0, on);
        }
        changes
    }

    /// Tells whether the operator has taken a real server out.
    pub fn in_maintenance(&self, key: &Key) -> bool {
        self.maintenance.contains(key)
    }

    /// Tells whether a real server is in the pool.
    pub fn state(&self, key: &Key) -> State {
        match self.stations.get(key) {
            _ if self.in_maintenance(key) => State::Maintenance,
            Some(station) if station.up => State::Up,
            Some(_) => State::Down,
            None => State::Unchecked,
        }
    }

    /// Returns what is known of a real server that is checked.
    pub fn station(&self, key: &Key) -> Option<&Station> {
        self.stations.get(key)
    }

    /// Tells whether a service has lost its quorum.
    pub fn has_lost_quorum(&self, service: &Selector) -> bool {
        self.lost.contains(service)
    }

    /// Tells how the real servers of a service are.
    pub fn pool(&self, service: &Service) -> Pool {
        let (servers, quorum) = (service.reals.len(), service.health.quorum.weight.into());
        let mut pool = Pool { servers, quorum, ..Pool::default() };
        for real in service.reals.iter().filter(|real| real.weight > 0) {
            if self.lives(&(service.selector, real.address)) {
                pool.up += 1;
                pool.weight += u64::from(real.weight);
            }
        }
        pool
    }

    /// Tells whether a real server may take new connections, as far as its checks and the operator say.
    fn lives(&self, key: &Key) -> bool {
        !self.is_down(key) && !self.in_maintenance(key)
    }

    fn is_down(&self, key: &Key) -> bool {
        self.stations.get(key).is_some_and(|station| !station.up)
    }
}
