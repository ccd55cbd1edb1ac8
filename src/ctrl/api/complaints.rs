//! What strangers do wrong is logged, but they do not get to fill the log.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::info;

/// How many lines there may be in [`SPELL`].
const LINES: u32 = 20;
const SPELL: Duration = Duration::from_secs(10);

/// How many lines there were since when.
struct Spell {
    since: Option<Instant>,
    lines: u32,
}

static SPELL_NOW: Mutex<Spell> = Mutex::new(Spell { since: None, lines: 0 });

/// Logs a line, unless there were too many lately.
pub(super) fn complain(line: fmt::Arguments<'_>) {
    let number = SPELL_NOW.lock().unwrap_or_else(PoisonError::into_inner).count(Instant::now());
    if number < LINES {
        info!("api: {line}");
    } else if number == LINES {
        info!("api: {line}; what else there is of this kind in these {SPELL:?} is not logged");
    }
}

impl Spell {
    /// How many lines there were before this one.
    fn count(&mut self, now: Instant) -> u32 {
        if self.since.is_none_or(|since| now.duration_since(since) >= SPELL) {
            *self = Self { since: Some(now), lines: 0 };
        }
        self.lines = self.lines.saturating_add(1);
        self.lines - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_spell_begins_when_the_old_one_is_over() {
        let start = Instant::now();
        let mut spell = Spell { since: None, lines: 0 };
        assert_eq!([0, 1, 2].map(|_| spell.count(start)), [0, 1, 2]);
        assert_eq!(spell.count(start + SPELL - Duration::from_millis(1)), 3);
        assert_eq!(spell.count(start + SPELL), 0);
    }
}
