//! The workers at work: launched on their cores, watched, called back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::apply::Applier;
use super::config::{self, Poll};
use super::director::now;
use crate::dataplane::port::dpdk::{DpdkQueue, Eal, Job, LaunchError};
use crate::dataplane::sched::Share;
use crate::dataplane::shared::Shared;
use crate::dataplane::worker::{Idle, Worker};

/// The running workers. Dropped, they end.
#[derive(Debug)]
pub struct Crew {
    stop: Arc<AtomicBool>,
    jobs: Vec<Job<()>>,
}

impl Crew {
    /// Launches one worker for each set of queues, on its core.
    ///
    /// # Errors
    /// If one does not start; the others are called back.
    pub fn launch(
        eal: &Eal,
        queues: Vec<Vec<DpdkQueue>>,
        applier: &Applier,
        shared: &Arc<Shared>,
        director: &config::Director,
        origin: Instant,
    ) -> Result<Self, LaunchError> {
        let idle = match director.poll {
            Poll::Busy => Idle::Busy,
            Poll::Adaptive => Idle::Nap,
        };
        let workers = queues.len() as u32;
        let mut crew = Self { stop: Arc::default(), jobs: Vec::with_capacity(queues.len()) };
        for (number, queues) in queues.into_iter().enumerate() {
            let share = Share { worker: number as u32, workers };
            let (reader, shared, stop) = (applier.reader(), Arc::clone(shared), Arc::clone(&crew.stop));
            let job = move || Worker::new(share, queues, reader, shared, now(origin)).run(&stop, idle, || now(origin));
            crew.jobs.push(eal.launch(number, job)?);
        }
        Ok(crew)
    }

    /// Tells whether a worker has ended, which none should.
    pub fn lost_one(&self) -> bool {
        self.jobs.iter().any(Job::is_finished)
    }

    /// Calls the workers back, and waits for them.
    ///
    /// # Errors
    /// If one panicked.
    pub fn finish(mut self) -> Result<(), String> {
        self.call_back()
    }

    fn call_back(&mut self) -> Result<(), String> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.jobs.drain(..).map(Job::join);
        if ended.filter(Result::is_err).count() == 0 { Ok(()) } else { Err("a worker panicked".to_owned()) }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if let Err(reason) = self.call_back() {
            log::error!("{reason}");
        }
    }
}
