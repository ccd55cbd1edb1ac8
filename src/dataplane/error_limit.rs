//! How many ICMP errors a worker may send: RFC 1812 §4.3.2.8 asks for a limit, so that a flood of packets that
//! cannot go on is not answered by a flood.

use super::clock::Now;

/// Errors a second, as Linux's `icmp_msgs_per_sec`, for each worker.
const PER_SECOND: u64 = 1000;
/// Errors at once, as Linux's `icmp_msgs_burst`.
const AT_ONCE: u64 = 50;
const NANOS_EACH: u64 = 1_000_000_000 / PER_SECOND;

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub struct ErrorLimit {
    tokens: u64,
    filled: u64,
}

impl Default for ErrorLimit {
    fn default() -> Self {
        Self { tokens: AT_ONCE, filled: 0 }
    }
}

impl ErrorLimit {
    /// Takes a token, if there is one.
    pub fn allow(&mut self, now: Now) -> bool {
        let earned = now.nanos().saturating_sub(self.filled) / NANOS_EACH;
        if earned > 0 {
            self.tokens = (self.tokens + earned).min(AT_ONCE);
            self.filled += earned * NANOS_EACH;
        }
        let allowed = self.tokens > 0;
        self.tokens -= u64::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_the_burst_and_then_the_rate() {
        let mut limit = ErrorLimit::default();
        let start = Now::from_millis(5000);
        assert_eq!((0..1000).filter(|_| limit.allow(start)).count() as u64, AT_ONCE);
        let second = (0..10_000).filter(|n| limit.allow(Now::from_nanos(start.nanos() + n * 100_000))).count() as u64;
        assert!((PER_SECOND - 1..=PER_SECOND).contains(&second), "{second}");
        assert!(limit.allow(Now::from_millis(3_600_000)));
    }
}
