//! Whether a real server is up, from the checks so far: no clock of its own, no I/O.
//!
//! ```text
//!              `fall` failures in a row
//!        up ───────────────────────────────► down
//!         ▲                                   │
//!         └───────────────────────────────────┘
//!           `rise` right answers in a row, and not before the hold is over
//! ```
//! Whom clients find to fail is down at once ([`Tracker::fall`]); only checks bring it back.
//!
//! The first check of all decides alone, whatever `rise` and `fall` are: until then nothing is known.
//!
//! **Damping.** Who falls within [`SOON`] of its return flaps. The first two falls cost nothing; from the third such fall on a server
//! is held down for [`FIRST_HOLD`], then twice as long each time, up to the check's `damping`. Who stays up for longer than
//! [`SOON`] begins anew.

use std::time::Duration;

use super::check::Check;

/// A fall this soon after a return is a flap.
pub const SOON: Duration = Duration::from_secs(60);
/// How long a server is held down at its second flap.
pub const FIRST_HOLD: Duration = Duration::from_secs(5);

/// One real server's state. Times are since any one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    up: bool,
    /// Whether it is known at all.
    known: bool,
    /// How many checks in a row have said otherwise.
    against: u32,
    returned: Option<Duration>,
    flaps: u32,
    held_until: Duration,
}

impl Tracker {
    /// A server of which nothing is known yet.
    pub fn unknown(check: &Check) -> Self {
        Self { known: false, ..Self::known(check.starts_up) }
    }

    /// A server that is known to be up or down.
    pub fn known(up: bool) -> Self {
        Self { up, known: true, against: 0, returned: None, flaps: 0, held_until: Duration::ZERO }
    }

    /// Tells whether it is up.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// How many checks in a row have said otherwise.
    pub fn against(&self) -> u32 {
        self.against
    }

    /// Until when it is held down although it answers; past or zero if it is not.
    pub fn held_until(&self) -> Duration {
        self.held_until
    }

    /// Takes in a check's answer, right or wrong. Returns the new state if it changes.
    pub fn see(&mut self, right: bool, check: &Check, now: Duration) -> Option<bool> {
        let first = !std::mem::replace(&mut self.known, true);
        if right == self.up {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let wanted = if right { check.rise } else { check.fall };
        if self.against < wanted && !first || right && now < self.held_until {
            return None;
        }
        self.up = right;
        self.against = 0;
        if right {
            self.returned = Some(now)
        } else {
            self.fell(check, now)
        }
        Some(right)
    }

    /// It is found to fail by others than its checks: it falls, if it has not.
    pub fn fall(&mut self, check: &Check, now: Duration) {
        if std::mem::replace(&mut self.up, false) {
            self.known = true;
            self.against = 0;
            self.fell(check, now);
        }
    }

    fn fell(&mut self, check: &Check, now: Duration) {
        let flapped = self.returned.is_some_and(|returned| now.saturating_sub(returned) < SOON);
        self.flaps = if flapped { self.flaps.saturating_add(1) } else { 0 };
        let doubled = |flaps: u32| FIRST_HOLD.saturating_mul(1 << flaps.min(20));
        let hold = self.flaps.checked_sub(2).map_or(Duration::ZERO, doubled).min(check.damping);
        self.held_until = if hold.is_zero() { Duration::ZERO } else { now + hold };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ctrl::health::check::{Path, Probe};

    /// A check of these numbers, the last in seconds.
    pub fn check(rise: u32, fall: u32, damping: u64) -> Check {
        Check {
            probe: Probe::Tcp,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise,
            fall,
            jitter: 0,
            delay: Duration::ZERO,
            damping: Duration::from_secs(damping),
            starts_up: true,
            address: None,
            port: None,
            path: Path::Real,
            observe: None,
        }
    }

    /// Feeds a check a second; `+` is a right answer. Returns the seconds at which the state changed.
    fn play(tracker: &mut Tracker, check: &Check, answers: &str) -> Vec<(u64, bool)> {
        let at = |(second, answer): (usize, char)| {
            let turn = tracker.see(answer == '+', check, Duration::from_secs(second as u64))?;
            Some((second as u64, turn))
        };
        answers.chars().enumerate().filter_map(at).collect()
    }

    #[test]
    fn it_takes_so_many_in_a_row() {
        let check = check(2, 3, 0);
        let mut tracker = Tracker::known(true);
        assert_eq!(play(&mut tracker, &check, "--+--+---"), [(8, false)]);
        assert_eq!(play(&mut tracker, &check, "+-+-++"), [(5, true)]);
        assert!(tracker.is_up());
    }

    #[test]
    fn the_first_check_decides_alone() {
        let check = check(2, 3, 0);
        assert_eq!(play(&mut Tracker::unknown(&check), &check, "-"), [(0, false)]);
        assert_eq!(play(&mut Tracker::unknown(&check), &check, "+---"), [(3, false)]);
        let down = Check { starts_up: false, ..check };
        assert!(!Tracker::unknown(&down).is_up());
        assert_eq!(play(&mut Tracker::unknown(&down), &down, "+"), [(0, true)]);
        assert_eq!(play(&mut Tracker::unknown(&down), &down, "-++"), [(2, true)]);
    }

    #[test]
    fn the_third_flap_and_those_after_it_are_held_down_for_longer_and_longer() {
        let check = check(1, 1, 15);
        let mut tracker = Tracker::known(true);
        // Falls at 0 (no flap), 2 (the first), 4 (the second: 5 s), 10 (the third: 10 s), 21 (15 s at most).
        let turns = play(&mut tracker, &check, "-+-+-+++++-++++++++++-++++++++++++++++");
        let falls: Vec<_> = turns.iter().filter(|(_, up)| !up).map(|(second, _)| *second).collect();
        let returns: Vec<_> = turns.iter().filter(|(_, up)| *up).map(|(second, _)| *second).collect();
        assert_eq!((falls, returns), (vec![0, 2, 4, 10, 21], vec![1, 3, 9, 20, 36]));
    }

    #[test]
    fn who_falls_by_other_means_returns_by_checks_and_flaps_as_any_other() {
        let check = check(2, 3, 300);
        let at = Duration::from_secs;
        let mut tracker = Tracker::unknown(&check);
        let mut returns = Vec::new();
        let (mut second, mut falls) = (0, 0);
        while returns.len() < 5 {
            if tracker.is_up() && falls == returns.len() {
                assert_eq!(tracker.see(false, &check, at(second)), (falls == 0).then_some(false));
                tracker.fall(&check, at(second));
                tracker.fall(&check, at(second));
                falls += 1;
                assert!(!tracker.is_up() && tracker.against() == 0);
            }
            second += 1;
            if tracker.see(true, &check, at(second)) == Some(true) {
                returns.push(second);
            }
        }
        // Two right answers; from the second flap on it is held down for 5 s, 10 s, 20 s.
        assert_eq!(returns, [2, 4, 9, 19, 39]);
    }

    #[test]
    fn who_is_steady_for_a_while_begins_anew_and_damping_may_be_off() {
        let strict = check(1, 1, 300);
        let mut tracker = Tracker::known(true);
        let steady = "+".repeat(SOON.as_secs() as usize + 6);
        let turns = play(&mut tracker, &strict, &format!("-+-+-+{steady}-+"));
        assert_eq!(turns.last(), Some(&(6 + steady.len() as u64 + 1, true)), "a fall long after costs nothing");
        let mut tracker = Tracker::known(true);
        assert_eq!(play(&mut tracker, &check(1, 1, 0), &"-+".repeat(20)).len(), 40);
    }
}
