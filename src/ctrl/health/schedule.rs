//! When checks are due: spread over their interval, and kept spread.
//!
//! A server's checks come at `phase + n × interval`, give or take the jitter, which does not add up. Phases are multiples of the golden
//! section of the interval: however many servers there are, whenever they come, and whichever go, they lie apart.

use std::time::Duration;

/// One server's schedule. Times are since any one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    next: Duration,
    interval: Duration,
    /// In percent of the interval.
    jitter: u8,
}

impl Schedule {
    /// The schedule of the `number`th server, whose first check may come at `earliest`.
    pub fn new(number: u32, earliest: Duration, interval: Duration, jitter: u8) -> Self {
        // 2^32 over the golden ratio; the share of the interval, in 2^32ths.
        let share = number.wrapping_mul(0x9e37_79b9);
        let (beat, start) = (interval.as_nanos().max(1), earliest.as_nanos());
        let phase = (beat * u128::from(share)) >> 32;
        // The first moment of its phase that is not too early.
        let wait = (phase + beat - start % beat) % beat;
        Self { next: earliest + Duration::from_nanos(wait as u64), interval, jitter }
    }

    /// Returns when the next check is due, and goes on to the one after it. `random` is from 0 to 1. What was missed is not made
    /// up for: from a moment that is past, the schedule goes on at its own beat.
    pub fn next(&mut self, now: Duration, random: f64) -> Duration {
        if let Some(late) = now.checked_sub(self.next)
            && late >= self.interval
        {
            let missed = (late.as_nanos() / self.interval.as_nanos().max(1)) as u32;
            self.next += self.interval * missed;
        }
        let due = self.next;
        self.next += self.interval;
        // Half of it on either side, so that two checks of a server are a whole interval apart on average.
        let spread = self.interval.mul_f64(f64::from(self.jitter) / 100.0);
        (due + spread.mul_f64(random)).saturating_sub(spread / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(2);

    #[test]
    fn servers_lie_apart_however_many_there_are() {
        for servers in [10u32, 333, 5000] {
            let mut bins = vec![0u32; 100];
            for number in 0..servers {
                // They come one after the other, 3 ms apart.
                let came = Duration::from_millis(3 * u64::from(number));
                let due = Schedule::new(number, came, INTERVAL, 0).next(Duration::ZERO, 0.5);
                assert!((came..came + INTERVAL).contains(&due));
                bins[(due.as_millis() / 20) as usize % 100] += 1;
            }
            let fullest = bins.iter().max().copied().unwrap_or_default();
            assert!(fullest <= servers / 100 + 2, "{servers} servers: {fullest} in one hundredth of the interval");
        }
    }

    #[test]
    fn the_beat_is_kept_whatever_the_jitter() {
        let mut schedule = Schedule::new(3, Duration::from_secs(7), INTERVAL, 10);
        let first = Schedule::new(3, Duration::from_secs(7), INTERVAL, 0).next(Duration::ZERO, 0.0);
        assert!((7.0..9.0).contains(&first.as_secs_f64()));
        for beat in 0..1000u32 {
            let due = schedule.next(Duration::ZERO, f64::from(beat % 11) / 10.0);
            let off = due.as_secs_f64() - (first + INTERVAL * beat).as_secs_f64();
            assert!(off.abs() <= 0.1 + 1e-9, "{off}");
        }
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let mut schedule = Schedule::new(0, Duration::ZERO, INTERVAL, 0);
        assert_eq!(schedule.next(Duration::ZERO, 0.5), Duration::ZERO);
        assert_eq!(schedule.next(Duration::from_secs(9), 0.5), Duration::from_secs(8));
        assert_eq!(schedule.next(Duration::from_secs(9), 0.5), Duration::from_secs(10));
    }
}
