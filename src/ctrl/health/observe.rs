//! Passive observation: what becomes of clients' own connections tells that a real server fails, sooner than a check does.
//!
//! By NAT, and to the host itself, the director sees whether a real server answers a SYN, refuses it or says nothing
//! ([`crate::dataplane::stats::Openings`]). Once a second these counts are read; what came to pass within a window is held against a
//! rule. A SYN counts as unanswered when the client sends it again, which is after a second.
//!
//! Silence says nothing: where too few connections were opened, and where a real server gets none any more, there is no verdict.
//! Who has failed so must be found to have recovered by its checks.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::dataplane::service::{RealId, Service};
use crate::dataplane::shared::Shared;
use crate::dataplane::snapshot::Snapshot;

/// When a real server is held to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observe {
    /// How far back is looked, in seconds, 1 at least.
    pub window: u32,
    /// So many connections must have been opened within it.
    pub least: u32,
    /// The share of them, in percent, that was refused or not answered.
    pub failed: u8,
    /// The share of open ones, in percent, that the real server reset; resets are not looked at without.
    pub reset: Option<u8>,
}

impl Default for Observe {
    /// 8 of 10 connections within 5 s.
    fn default() -> Self {
        Self { window: 5, least: 10, failed: 80, reset: None }
    }
}

/// What was counted of a real server so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// It answered.
    pub answered: u64,
    /// It answered with a reset.
    pub refused: u64,
    /// It did not answer.
    pub unanswered: u64,
    /// Open connections that it reset.
    pub reset: u64,
}

impl Reading {
    /// Adds up what the workers have counted.
    pub fn of(shared: &Shared, real: RealId) -> Self {
        let all = shared.workers.iter().filter_map(|worker| worker.openings.get(real.index()));
        all.fold(Self::default(), |sum, openings| Self {
            answered: sum.answered + openings.answered.get(),
            refused: sum.refused + openings.refused.get(),
            unanswered: sum.unanswered + openings.unanswered.get(),
            reset: sum.reset + openings.reset.get(),
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            answered: self.answered.saturating_sub(before.answered),
            refused: self.refused.saturating_sub(before.refused),
            unanswered: self.unanswered.saturating_sub(before.unanswered),
            reset: self.reset.saturating_sub(before.reset),
        }
    }
}

/// Reads the counts of those real servers of a service whose answers the director sees.
pub fn readings<'a>(
    shared: &'a Shared,
    snapshot: &'a Snapshot,
    service: &'a Service,
) -> impl Iterator<Item = (SocketAddr, Reading)> + use<'a> {
    let reals = service.reals.iter().filter_map(|candidate| snapshot.real(candidate.id));
    let seen = reals.filter(|real| real.forwarding.answers_here());
    seen.map(|real| (real.address.to_socket(), Reading::of(shared, real.id)))
}

/// What the openings within a window say of a real server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// There were too few.
    #[default]
    Nothing,
    /// It does its work.
    Well,
    /// It fails; why, in words.
    Failing(String),
}

/// Holds what came to pass between two readings, `seconds` apart, against a rule.
pub fn observe(before: Reading, now: Reading, seconds: u32, rule: &Observe) -> Seen {
    let Reading { answered, refused, unanswered, reset } = now.since(before);
    let within = |share: u8, part: u64, all: u64| part * 100 < u64::from(share) * all;
    let (failed, opened) = (refused + unanswered, answered + refused + unanswered);
    // Those that were opened before may be reset too.
    let open = answered.max(reset);
    let enough = |count: u64| count >= u64::from(rule.least.max(1));
    if enough(opened) && !within(rule.failed, failed, opened) {
        let what = match (refused, unanswered) {
            (0, _) => format!("{unanswered} of {opened} connections unanswered"),
            (_, 0) => format!("{refused} of {opened} connections refused"),
            _ => format!("of {opened} connections {refused} refused and {unanswered} unanswered"),
        };
        return Seen::Failing(format!("{what} in the last {seconds} s"));
    }
    if let Some(share) = rule.reset
        && enough(open)
        && !within(share, reset, open)
    {
        return Seen::Failing(format!("{reset} of {open} open connections reset in the last {seconds} s"));
    }
    if enough(opened) { Seen::Well } else { Seen::Nothing }
}

/// A real server's last readings.
#[derive(Clone, Debug, Default)]
pub struct Observer(VecDeque<Reading>);

impl Observer {
    /// Takes in the next reading, a second after the last; the first only tells from where to count.
    pub fn take(&mut self, reading: Reading, rule: &Observe) -> Seen {
        self.0.push_back(reading);
        while self.0.len() > rule.window.max(1) as usize + 1 {
            self.0.pop_front();
        }
        let seconds = self.0.len() as u32 - 1;
        let before = self.0.front().copied().unwrap_or_default();
        observe(before, reading, seconds, rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(answered: u64, refused: u64, unanswered: u64, reset: u64) -> Reading {
        Reading { answered, refused, unanswered, reset }
    }

    fn seen(now: Reading, rule: &Observe) -> String {
        let base = reading(1000, 1000, 1000, 1000);
        let sum = reading(1000 + now.answered, 1000 + now.refused, 1000 + now.unanswered, 1000 + now.reset);
        match observe(base, sum, 5, rule) {
            Seen::Nothing => "nothing".to_owned(),
            Seen::Well => "well".to_owned(),
            Seen::Failing(why) => why,
        }
    }

    #[test]
    fn a_verdict_takes_enough_connections_and_a_share() {
        let rule = Observe::default();
        for (now, said) in [
            (reading(0, 0, 0, 0), "nothing"),
            (reading(0, 0, 9, 0), "nothing"),
            (reading(9, 0, 0, 0), "nothing"),
            (reading(10, 0, 0, 0), "well"),
            (reading(3, 0, 7, 0), "well"),
            (reading(2, 0, 8, 0), "8 of 10 connections unanswered in the last 5 s"),
            (reading(0, 10, 0, 0), "10 of 10 connections refused in the last 5 s"),
            (reading(1, 5, 4, 0), "of 10 connections 5 refused and 4 unanswered in the last 5 s"),
            (reading(21, 40, 40, 0), "well"),
            (reading(20, 40, 40, 0), "of 100 connections 40 refused and 40 unanswered in the last 5 s"),
            (reading(0, 0, 0, 50), "nothing"),
            (reading(10, 0, 0, 50), "well"),
        ] {
            assert_eq!(seen(now, &rule), said, "{now:?}");
        }
    }

    #[test]
    fn every_connection_may_have_to_fail_and_one_may_be_enough() {
        let all = Observe { failed: 100, least: 1, ..Observe::default() };
        assert_eq!(seen(reading(0, 1, 0, 0), &all), "1 of 1 connections refused in the last 5 s");
        assert_eq!(seen(reading(1, 1000, 0, 0), &all), "well");
        let none = Observe { least: 0, ..Observe::default() };
        assert_eq!(seen(reading(0, 0, 0, 0), &none), "nothing", "no connection is no failure");
    }

    #[test]
    fn resets_are_looked_at_where_that_is_asked_for() {
        let rule = Observe { reset: Some(50), ..Observe::default() };
        for (now, said) in [
            (reading(20, 0, 0, 9), "well"),
            (reading(20, 0, 0, 10), "10 of 20 open connections reset in the last 5 s"),
            (reading(0, 0, 0, 9), "nothing"),
            (reading(3, 0, 0, 30), "30 of 30 open connections reset in the last 5 s"),
        ] {
            assert_eq!(seen(now, &rule), said, "{now:?}");
        }
    }

    #[test]
    fn only_the_window_counts() {
        let (rule, mut observer) = (Observe { window: 3, ..Observe::default() }, Observer::default());
        let mut total = reading(500, 500, 500, 0);
        let mut next = |answered, unanswered| {
            total = reading(total.answered + answered, total.refused, total.unanswered + unanswered, 0);
            observer.take(total, &rule)
        };
        assert_eq!(next(0, 0), Seen::Nothing, "what was before is not looked at");
        assert_eq!(next(0, 4), Seen::Nothing);
        assert_eq!(next(0, 5), Seen::Nothing);
        assert_eq!(next(0, 1), Seen::Failing("10 of 10 connections unanswered in the last 3 s".to_owned()));
        assert_eq!(next(0, 0), Seen::Nothing);
        assert_eq!(next(20, 0), Seen::Well);
        assert_eq!((next(0, 0), next(0, 0), next(0, 0)), (Seen::Well, Seen::Well, Seen::Nothing));
        assert_eq!(next(0, 10), Seen::Failing("10 of 10 connections unanswered in the last 3 s".to_owned()));
    }
}
