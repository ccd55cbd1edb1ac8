//! The queues of the receivers, and whoever empties them.
//!
//! A lane is one receiver's queue. It is there while something waits in it or is being told, and so long it has a task; so what
//! there is in memory is bounded by what waits, however many services have hooks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use log::warn;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::command::Command;
use super::form::Told;
use super::webhook::Webhook;
use crate::dataplane::selector::Selector;

/// How many commands run at once: each is a process, on the core of control.
const COMMANDS: usize = 4;
/// How many notices wait for one entry of `[[notify]]`: five thousand real servers that fail at once are told of by a command
/// in a few seconds, and by a webhook too, where the last of them are still here when the first have been told.
const ENTRY: usize = 8192;
/// How many wait for the hooks of one service: it comes and goes.
const HOOKS: usize = 16;
/// How many wait in all.
const ALL: usize = 65_536;

/// Whose queue it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// An entry of `[[notify]]`, by its number.
    Entry(u64),
    /// A service's hooks.
    Hooks(Selector),
}

impl Key {
    fn most(&self) -> usize {
        match self {
            Self::Entry(_) => ENTRY,
            Self::Hooks(_) => HOOKS,
        }
    }
}

/// Whoever is told.
#[derive(Debug)]
pub(super) enum Receiver {
    Command(Command),
    Webhook(Box<Webhook>),
}

/// A notice for a receiver.
#[derive(Debug)]
pub(super) struct Job {
    pub told: Arc<Told>,
    pub receiver: Arc<Receiver>,
}

/// One receiver's queue.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Job>,
    /// How many were lost since it was last told one.
    lost: u64,
}

/// All queues.
#[derive(Debug)]
pub(super) struct Lanes {
    /// None where there is no runtime: then nobody is told.
    runtime: Option<Handle>,
    state: Mutex<State>,
    commands: Semaphore,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lanes: HashMap<Key, Lane>,
    /// How many wait in all lanes.
    waiting: usize,
    /// Whether something was lost since all lanes were last empty.
    overflows: bool,
    closed: bool,
    tasks: JoinSet<()>,
}

impl Lanes {
    /// Those of a director that is told things on the present runtime.
    pub fn new() -> Self {
        Self {
            runtime: Handle::try_current().ok(),
            state: Mutex::default(),
            commands: Semaphore::new(COMMANDS),
            lost: AtomicU64::new(0),
        }
    }

    /// How many notices some receiver missed.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a notice at the end of a queue. Where there is too much, the oldest goes.
    pub fn push(self: &Arc<Self>, key: Key, job: Job) {
        let Some(runtime) = &self.runtime else { return };
        let state = &mut *self.state();
        if state.closed {
            return;
        }
        let begins = !state.lanes.contains_key(&key);
        let lane = state.lanes.entry(key).or_default();
        lane.waiting.push_back(job);
        state.waiting += 1;
        if lane.waiting.len() > key.most() || (state.waiting > ALL && lane.waiting.len() > 1) {
            lane.waiting.pop_front();
            lane.lost += 1;
            state.waiting -= 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
            if !state.overflows {
                state.overflows = true;
                warn!("notify: more changes than can be told: the oldest are lost");
            }
        }
        if begins {
            // Those that have ended are forgotten.
            while state.tasks.try_join_next().is_some() {}
            state.tasks.spawn_on(Arc::clone(self).empty(key), runtime);
        }
    }

    /// Takes the next of a queue, and how many before it were lost; closes a queue that is empty.
    fn next(&self, key: Key) -> Option<(Job, u64)> {
        let state = &mut *self.state();
        let lane = state.lanes.get_mut(&key)?;
        if let Some(job) = lane.waiting.pop_front() {
            state.waiting -= 1;
            return Some((job, std::mem::take(&mut lane.lost)));
        }
        state.lanes.remove(&key);
        if state.lanes.is_empty() && std::mem::take(&mut state.overflows) {
            warn!("notify: all is told; since the start {} were lost", self.lost());
        }
        None
    }

    /// Notes that notices, taken out before, did not get there.
    fn missed(&self, key: Key, more: u64) {
        if let Some(lane) = self.state().lanes.get_mut(&key) {
            lane.lost += more;
        }
    }

    async fn empty(self: Arc<Self>, key: Key) {
        while let Some((Job { told, receiver }, lost)) = self.next(key) {
            match &*receiver {
                Receiver::Command(command) => {
                    let _turn = self.commands.acquire().await;
                    if let Err(failure) = command.run(&told, lost).await {
                        warn!("notify {}: {failure}", command.words.join(" "));
                    }
                }
                Receiver::Webhook(webhook) => {
                    if !webhook.tell(&told, lost).await {
                        self.lost.fetch_add(1, Ordering::Relaxed);
                        self.missed(key, lost + 1);
                    }
                }
            }
        }
    }

    /// Takes nothing more, and waits until all is told, or `patience` is over. What then runs is ended.
    pub async fn finish(&self, patience: Duration) {
        let mut tasks = {
            let state = &mut *self.state();
            state.closed = true;
            std::mem::take(&mut state.tasks)
        };
        let all = async { while tasks.join_next().await.is_some() {} };
        if timeout(patience, all).await.is_err() {
            let waiting = self.state().waiting;
            warn!("notify: not told in time: {waiting} that wait, and {} that have begun", tasks.len());
            tasks.shutdown().await;
        }
    }
}
