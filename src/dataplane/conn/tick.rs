//! The table's time: quarters of a second, of which an entry keeps 24 bits.

use crate::dataplane::clock::Now;

/// A moment in 250 ms ticks since the director's origin, modulo 2^24 (48.5 days).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick(u32);

/// How far ahead of the reader's clock an entry's tick may lie and still be taken for "now". Workers read the clock
/// once a burst, each for itself, so one may meet an entry that another touched a moment later than its own now.
/// 4.5 hours; with the longest timeout, 31 days, well below the 48.5 days at which ticks repeat.
pub(super) const AHEAD: u32 = 1 << 16;

impl Tick {
    pub(super) const BITS: u32 = 24;
    pub(super) const MASK: u32 = (1 << Self::BITS) - 1;

    /// The tick of a moment.
    #[inline]
    pub const fn at(now: Now) -> Self {
        Self(now.ticks() as u32 & Self::MASK)
    }

    /// The tick of this number, of which the lowest 24 bits count.
    #[inline]
    pub const fn from_number(number: u32) -> Self {
        Self(number & Self::MASK)
    }

    /// Its number.
    #[inline]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Returns the ticks from `earlier` to this one; 0 if `earlier` is a little later.
    #[inline]
    pub const fn since(self, earlier: Self) -> u32 {
        let ahead = self.0.wrapping_add(AHEAD).wrapping_sub(earlier.0) & Self::MASK;
        ahead.saturating_sub(AHEAD)
    }

    /// The tick this many ticks earlier.
    pub const fn before(self, ticks: u32) -> Self {
        Self(self.0.wrapping_sub(ticks) & Self::MASK)
    }

    /// The tick this many ticks later.
    pub const fn after(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks) & Self::MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_measured_across_the_wrap() {
        let last = Tick::from_number(Tick::MASK);
        assert_eq!(last.after(3).number(), 2);
        assert_eq!(last.after(3).since(last), 3);
        assert_eq!(last.since(last), 0);
    }

    #[test]
    fn a_tick_a_little_ahead_is_now() {
        let now = Tick::from_number(100);
        assert_eq!(now.since(now.after(1)), 0);
        assert_eq!(now.since(now.after(AHEAD)), 0);
        assert_eq!(Tick::from_number(5).since(Tick::from_number(6)), 0);
    }

    #[test]
    fn the_longest_timeout_is_measurable() {
        let month = 31 * 24 * 3600 * 4;
        let seen = Tick::from_number(Tick::MASK - 5);
        assert_eq!(seen.after(month + 2).since(seen), month + 2);
    }

    #[test]
    fn a_tick_is_a_quarter_of_a_second() {
        assert_eq!(Tick::at(Now::from_millis(999)).number(), 3);
        assert_eq!(Tick::at(Now::from_millis(1000)).number(), 4);
    }
}
