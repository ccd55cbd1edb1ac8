//! Who is told of what.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Notice;
use super::command::Command;
use super::form::Told;
use super::lanes::{Job, Key, Lanes, Receiver};
use super::webhook::Webhook;
use crate::ctrl::config::{self, DEFAULT_NOTIFY_TIMEOUT, Notify};

/// Tells those who want to know.
#[derive(Debug)]
pub struct Notifier {
    lanes: Arc<Lanes>,
    /// The host's name.
    director: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// How many entries there were.
    numbered: u64,
    /// How many notices there were.
    sequence: u64,
}

/// An entry of `[[notify]]`.
#[derive(Debug)]
struct Entry {
    key: Key,
    config: Notify,
    receiver: Arc<Receiver>,
}

impl Default for Notifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Notifier {
    /// One that nobody listens to yet. It works on the tokio runtime in which it is made; where there is none, nobody is told.
    pub fn new() -> Self {
        let director = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { lanes: Arc::new(Lanes::new()), director, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells these entries of `[[notify]]` from now on. Those that were there before go on as they are; those that are gone are
    /// told what waits for them.
    pub fn set(&self, wanted: &[Notify]) {
        let state = &mut *self.state();
        let mut before = std::mem::take(&mut state.entries);
        for config in wanted {
            let known = before.iter().position(|entry| entry.config == *config);
            let entry = known.map(|place| before.swap_remove(place)).unwrap_or_else(|| {
                state.numbered += 1;
                Entry { key: Key::Entry(state.numbered), config: config.clone(), receiver: Arc::new(receiver(config)) }
            });
            state.entries.push(entry);
        }
    }

    /// Has everybody told who wants to know; and `hook` run, the command that the service has for this, unless it is empty.
    /// Returns at once.
    pub fn notify(&self, notice: Notice, hook: &[String]) {
        let state = &mut *self.state();
        state.sequence += 1;
        let hook = notice.service.filter(|_| !hook.is_empty()).map(|service| (Key::Hooks(service), run(hook)));
        let listening = state.entries.iter().filter(|entry| wants(&entry.config, &notice));
        let listening = listening.map(|entry| (entry.key, Arc::clone(&entry.receiver)));
        let receivers: Vec<_> = listening.chain(hook).collect();
        let told = Arc::new(Told::new(notice, state.sequence, self.director.clone()));
        // With the state held: the order of the numbers is that in which they are told.
        for (key, receiver) in receivers {
            self.lanes.push(key, Job { told: Arc::clone(&told), receiver });
        }
    }

    /// How many notices some receiver missed, since the start.
    pub fn lost(&self) -> u64 {
        self.lanes.lost()
    }

    /// Tells what still waits, for `patience` at the longest. Nothing is told after it.
    pub async fn finish(&self, patience: Duration) {
        self.lanes.finish(patience).await;
    }
}

/// Tells whether an entry is for a notice. The director's own concern every service.
fn wants(entry: &Notify, notice: &Notice) -> bool {
    let event = entry.events.is_empty() || entry.events.contains(&notice.event);
    let of_it = |service| entry.services.is_empty() || entry.services.contains(&service);
    event && notice.service.is_none_or(of_it)
}

fn receiver(entry: &Notify) -> Receiver {
    let limit = Duration::from_secs(entry.timeout.into());
    match &entry.receiver {
        config::Receiver::Command(words) => Receiver::Command(Command { words: words.clone(), appends: true, limit }),
        config::Receiver::Webhook { url, token_file, ca } => {
            Receiver::Webhook(Box::new(Webhook::new(url.clone(), token_file.clone(), ca.clone(), limit)))
        }
    }
}

/// A hook, run as keepalived does: the words as they are.
fn run(words: &[String]) -> Arc<Receiver> {
    let limit = Duration::from_secs(DEFAULT_NOTIFY_TIMEOUT.into());
    Arc::new(Receiver::Command(Command { words: words.to_vec(), appends: false, limit }))
}
