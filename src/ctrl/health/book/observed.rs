//! What clients' own connections say of real servers: who fails by that is out, as long as somebody else is left.

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashSet;

use super::super::super::config::Service;
use super::super::live::Live;
use super::super::observe::{Reading, Seen};
use super::{Book, Key, Observed, Order};

/// What becomes of a real server that is observed to fail.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It is out, for this reason; what its checker is told.
    Out(String, Order),
    /// It stays; what is said of it, and why it stays. This is told once.
    Stays(String, &'static str),
    /// Nothing happens.
    Same,
}

impl Book {
    /// Takes in what was counted of real servers so far, a second after the last time. Returns who is observed to fail.
    pub fn observe(&mut self, readings: &[(Key, Reading)]) -> HashSet<Key> {
        let mut failing = HashSet::new();
        for (key, reading) in readings {
            let kept_out = self.in_maintenance(key);
            let Some(station) = self.stations.get_mut(key) else { continue };
            let Some(rule) = station.check.observe else { continue };
            if !station.up || kept_out {
                station.observed = Observed::default();
                continue;
            }
            let observed = &mut station.observed;
            observed.seen = observed.observer.take(*reading, &rule);
            if matches!(observed.seen, Seen::Failing(_)) {
                failing.insert(*key);
            } else {
                observed.spared = false;
            }
        }
        failing
    }

    /// Takes out a real server of `service` that is observed to fail, unless
    /// - it is out already, or it is not so any more;
    /// - none of its checks was ever answered: nothing could bring it back;
    /// - there is no other that takes connections and is not observed to fail as well: then the cause may lie elsewhere, and somebody
    ///   has to do the work.
    pub fn fall(&mut self, service: &Service, real: SocketAddr, at: SystemTime) -> Fate {
        let key = (service.selector, real);
        let others = service.reals.iter().filter(|other| other.address != real && other.weight > 0);
        let left = others
            .map(|other| (service.selector, other.address))
            .any(|other| self.lives(&other) && !self.fails(&other));
        if !self.lives(&key) {
            return Fate::Same;
        }
        let Some(station) = self.stations.get_mut(&key) else { return Fate::Same };
        let Seen::Failing(why) = &station.observed.seen else { return Fate::Same };
        let seen = station.live.seen();
        let reason = format!("observed: {why}");
        let obstacle = if !left {
            Some("none is left that does better")
        } else {
            (seen.right == 0).then_some("none of its checks was answered so far, which alone bring it back")
        };
        if let Some(obstacle) = obstacle {
            let told = mem::replace(&mut station.observed.spared, true);
            return if told { Fate::Same } else { Fate::Stays(reason, obstacle) };
        }
        // What the checks have told so far and is not heard yet, is of the time before.
        let live = Arc::new(Live::from(seen));
        station.live = Arc::clone(&live);
        station.turn(at, reason.clone());
        self.is_out(key.0, true);
        Fate::Out(reason, Order::Fall { key, live })
    }

    /// Tells whether a real server is observed to fail, and is in the pool.
    fn fails(&self, key: &Key) -> bool {
        self.stations.get(key).is_some_and(|station| matches!(station.observed.seen, Seen::Failing(_)))
    }
}
