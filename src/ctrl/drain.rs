//! Draining the director: its VIPs are kept from the routers, while it goes on forwarding what still comes.
//!
//! That is no part of the configuration: a reload leaves it as it is, and a director that starts is not draining.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long whoever drains waits for the host's routes. They are a few messages to the kernel away.
const SETTLING: Duration = Duration::from_secs(1);

/// What of the director's VIPs is announced, and whether anything may be.
#[derive(Debug, Default)]
pub struct Announcing {
    state: Mutex<State>,
    acted: Condvar,
}

#[derive(Debug, Default)]
struct State {
    draining: bool,
    /// Whether it was draining when the VIPs were last looked for that are to be announced.
    seen: bool,
    /// The same of those that were last announced.
    acted: bool,
    announced: BTreeSet<IpAddr>,
}

impl Announcing {
    fn state(&self) -> MutexGuard<'_, State> {
        // Its parts do not depend on each other.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns which of `vips` are to be announced.
    pub fn wanted(&self, vips: BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        let mut state = self.state();
        state.seen = state.draining;
        if state.draining { BTreeSet::new() } else { vips }
    }

    /// Notes what is announced, now that what was wanted is done.
    pub fn note(&self, announced: &BTreeSet<IpAddr>) {
        let mut state = self.state();
        if state.announced != *announced {
            state.announced.clone_from(announced);
        }
        state.acted = state.seen;
        self.acted.notify_all();
    }

    /// Has nothing announced from now on, or everything again; whether that is new.
    pub fn set_draining(&self, draining: bool) -> bool {
        let mut state = self.state();
        let before = state.draining;
        state.draining = draining;
        before != draining
    }

    /// Waits until the host's routes are as was asked for, but not for ever.
    pub fn settle(&self) {
        let waiting = |state: &mut State| state.acted != state.draining;
        drop(self.acted.wait_timeout_while(self.state(), SETTLING, waiting));
    }

    /// Whether VIPs are kept from the routers.
    pub fn draining(&self) -> bool {
        self.state().draining
    }

    /// Returns the VIPs that are announced.
    pub fn announced(&self) -> BTreeSet<IpAddr> {
        self.state().announced.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    fn vips() -> BTreeSet<IpAddr> {
        ["192.0.2.1", "2001:db8::1"].map(|vip| vip.parse().unwrap()).into()
    }

    /// What an announcer does, if the kernel takes everything.
    fn announce(announcing: &Announcing) {
        let wanted = announcing.wanted(vips());
        announcing.note(&wanted);
    }

    #[test]
    fn while_it_drains_nothing_is_announced() {
        let announcing = Announcing::default();
        announce(&announcing);
        assert_eq!((announcing.draining(), announcing.announced()), (false, vips()));
        assert!(announcing.set_draining(true));
        assert!(!announcing.set_draining(true), "it is draining already");
        assert_eq!(announcing.announced(), vips(), "nobody has acted yet");
        announce(&announcing);
        assert_eq!((announcing.draining(), announcing.announced()), (true, BTreeSet::new()));
        assert!(announcing.set_draining(false));
        announce(&announcing);
        assert_eq!((announcing.draining(), announcing.announced()), (false, vips()));
    }

    #[test]
    fn who_drains_waits_until_that_was_acted_on() {
        let announcing = Arc::new(Announcing::default());
        // Looked for before, announced after: that was not it.
        let before = announcing.wanted(vips());
        announcing.set_draining(true);
        announcing.note(&before);
        let announcer = Arc::clone(&announcing);
        let announcer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            announce(&announcer);
        });
        announcing.settle();
        assert!(announcing.announced().is_empty());
        announcer.join().unwrap();
        let settled = Instant::now();
        announcing.settle();
        assert!(settled.elapsed() < SETTLING, "there is nothing to wait for");
    }

    #[test]
    fn nobody_waits_for_ever() {
        let announcing = Announcing::default();
        announcing.set_draining(true);
        announcing.settle();
    }
}
