//! The service manager's watchdog (`WatchdogSec=`): it hears that the director is alive for as long as every part of it is.
//!
//! - A worker is alive if it has gone round since that was last said. It counts each round, with frames or without, and where
//!   it may sleep (`poll = "adaptive"`), it does for a millisecond at most.
//! - Control is alive if its runtime comes to this task, which waits for nothing but time.
//!
//! While a worker stands still nothing is said but which one it is, in the log. If it goes on, so does this; if not, the service manager
//! ends the director, between one and one and a half of its intervals after that worker's last round, and starts it again.

use std::sync::Arc;

use log::{error, info};
use tokio::time::sleep;

use super::notify;
use crate::dataplane::shared::Shared;

/// Into how many pieces the interval is cut while a worker stands still: the half of it that is left is enough for several looks.
const LOOKS: u32 = 10;

/// Says to the service manager, every half of its interval, that the director is alive, and does not say it while a worker
/// stands still. Returns at once if no service manager wants to know, never otherwise.
pub async fn watch(shared: Arc<Shared>) {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) else { return };
    let mut pulse = Pulse::new(rounds(&shared));
    let mut pause = interval / 2;
    loop {
        sleep(pause).await;
        pause = match pulse.feel(rounds(&shared)) {
            Alive::All => {
                notify::alive();
                interval / 2
            }
            Alive::Again => {
                info!("watchdog: every worker goes round again");
                notify::alive();
                interval / 2
            }
            Alive::Not(workers) => {
                error!("watchdog: {} not go round: no word to the service manager", does(&workers));
                interval / LOOKS
            }
            Alive::StillNot => interval / LOOKS,
        };
    }
}

/// How often each worker has gone round.
fn rounds(shared: &Shared) -> Vec<u64> {
    shared.workers.iter().map(|worker| worker.bursts.get().wrapping_add(worker.empty_polls.get())).collect()
}

/// Names workers, with a verb that fits.
fn does(workers: &[usize]) -> String {
    let numbers: Vec<_> = workers.iter().map(usize::to_string).collect();
    if let [number] = &*numbers {
        format!("worker {number} does")
    } else {
        format!("workers {} do", numbers.join(", "))
    }
}

/// Whether the workers are alive.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Alive {
    /// Each has gone round since that was last the answer.
    All,
    /// The same, and it was not so before.
    Again,
    /// These have not, and before all had.
    Not(Vec<usize>),
    /// Some have not, as before.
    StillNot,
}

/// What the workers are compared with.
#[derive(Debug)]
struct Pulse {
    /// How often each had gone round when all were last alive.
    rounds: Vec<u64>,
    stalled: bool,
}

impl Pulse {
    fn new(rounds: Vec<u64>) -> Self {
        Self { rounds, stalled: false }
    }

    fn feel(&mut self, rounds: Vec<u64>) -> Alive {
        let pairs = rounds.iter().zip(&self.rounds).enumerate();
        let still: Vec<_> = pairs.filter(|(_, (now, then))| now == then).map(|(worker, _)| worker).collect();
        let before = std::mem::replace(&mut self.stalled, !still.is_empty());
        if still.is_empty() {
            self.rounds = rounds;
        }
        match (self.stalled, before) {
            (false, false) => Alive::All,
            (false, true) => Alive::Again,
            (true, false) => Alive::Not(still),
            (true, true) => Alive::StillNot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_must_have_gone_round_since_it_was_last_so() {
        let mut pulse = Pulse::new(vec![0, 0]);
        for (rounds, alive) in [
            ([5, 1], Alive::All),
            ([9, 2], Alive::All),
            ([900, 2], Alive::Not(vec![1])),
            ([901, 2], Alive::StillNot),
            ([901, 3], Alive::Again),
            ([902, 4], Alive::All),
            ([902, 4], Alive::Not(vec![0, 1])),
        ] {
            assert_eq!(pulse.feel(rounds.to_vec()), alive, "{rounds:?}");
        }
    }

    #[test]
    fn those_that_stand_still_are_named() {
        assert_eq!(does(&[1]), "worker 1 does");
        assert_eq!(does(&[0, 2]), "workers 0, 2 do");
    }

    #[test]
    fn a_worker_that_never_began_is_not_alive() {
        assert_eq!(Pulse::new(vec![0]).feel(vec![0]), Alive::Not(vec![0]));
    }
}
