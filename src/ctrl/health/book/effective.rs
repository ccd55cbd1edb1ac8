//! The configuration that runs: the desired one, less the real servers that are out.
//!
//! - One that has failed is left out, or has weight 0, as its service says.
//! - One in maintenance has weight 0: its connections go on.
//! - A service that has lost its quorum and has a sorry server leaves new connections to that one: real servers that live have
//!   weight 0. Without a sorry server those that live go on, as with keepalived.

use std::sync::Arc;

use super::super::super::config::{Config, OnFailure, Quorum, Real, Selector, Service};
use super::Book;

/// What a service became.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    /// The desired one.
    of: Arc<Service>,
    /// Whether it had lost its quorum.
    lost: bool,
    made: Arc<Service>,
}

/// A quorum that was lost or reached again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumTurn {
    /// Whose.
    pub service: Selector,
    /// Whether it was reached.
    pub up: bool,
    /// The weights of its real servers that live, added up.
    pub weight: u64,
    /// What is run.
    pub hook: Vec<String>,
}

impl Book {
    /// Returns the configuration that is to run, and what became of quorums. Services of which nobody is out are the desired ones,
    /// and those to which nothing happened since are the same as before.
    pub fn effective(&mut self, desired: &Config) -> (Config, Vec<QuorumTurn>) {
        let mut turns = Vec::new();
        let mut running = desired.clone();
        for service in &mut running.services {
            let (out, quorum) = (self.out.contains_key(&service.selector), &service.health.quorum);
            // With a quorum of 1 a service that has all its real servers has what it needs.
            let plain = quorum.weight <= 1 && !self.lost.contains(&service.selector);
            if out || !plain {
                *service = self.patch(service, &mut turns);
            }
        }
        (running, turns)
    }

    fn patch(&mut self, service: &Arc<Service>, turns: &mut Vec<QuorumTurn>) -> Arc<Service> {
        let selector = service.selector;
        if let Some(known) = self.patches.get(&selector)
            && Arc::ptr_eq(&known.of, service)
            && known.lost == self.lost.contains(&selector)
        {
            return Arc::clone(&known.made);
        }
        let lives = |real: &&Real| self.lives(&(selector, real.address));
        let weight: u64 = service.reals.iter().filter(lives).map(|real| u64::from(real.weight)).sum();
        let was_lost = self.lost.contains(&selector);
        let lost = !holds(&service.health.quorum, weight, !was_lost);
        if lost != was_lost {
            if lost {
                self.lost.insert(selector)
            } else {
                self.lost.remove(&selector)
            };
            let Quorum { up, down, .. } = &service.health.quorum;
            let hook = if lost { down.clone() } else { up.clone() };
            turns.push(QuorumTurn { service: selector, up: !lost, weight, hook });
        }
        let left_to_sorry = lost && service.sorry_server.is_some();
        let real = |real: &Real| {
            let key = (selector, real.address);
            match service.health.on_failure {
                OnFailure::Remove if self.is_down(&key) => None,
                _ if left_to_sorry || self.is_down(&key) || self.in_maintenance(&key) => {
                    Some(Real { weight: 0, ..real.clone() })
                }
                _ => Some(real.clone()),
            }
        };
        let reals: Vec<_> = service.reals.iter().filter_map(real).collect();
        let same = reals == service.reals;
        let made = if same { Arc::clone(service) } else { Arc::new(Service { reals, ..Service::clone(service) }) };
        self.patches.insert(selector, Patch { of: Arc::clone(service), lost, made: Arc::clone(&made) });
        made
    }
}

/// Tells whether a quorum is held with this weight, if it was held before or not.
fn holds(quorum: &Quorum, weight: u64, held: bool) -> bool {
    let (wanted, slack) = (u64::from(quorum.weight), u64::from(quorum.hysteresis));
    weight >= if held { wanted.saturating_sub(slack) } else { wanted + slack }
}
