//! A service's limit on new connections: so many a second, whoever asks.
//!
//! Each worker has an equal share of the limit, in a token bucket of its own: no worker writes what another reads. The
//! bucket holds a tenth of a second's worth, one connection at least. An open connection's packets never come here.
//!
//! Credit is counted so finely that no share is rounded: a nanosecond adds the limit itself, and a connection costs a
//! second's nanoseconds times the number of workers. So the workers' shares add up to exactly the limit.

use super::clock::Now;

const SECOND: u64 = 1_000_000_000;

/// The highest limit, in connections a second. A second's worth of credit fits 64 bits with room to spare.
pub const HIGHEST: u32 = 1_000_000_000;

/// What one worker may still admit to one service.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    credit: u64,
    filled: Now,
}

impl Default for Bucket {
    /// Full, whatever it may hold.
    fn default() -> Self {
        Self { credit: u64::MAX, filled: Now::from_nanos(0) }
    }
}

impl Bucket {
    /// Tells whether another connection may be made now. `limit` is the service's, for all `workers`; at least 1.
    pub fn admits(&mut self, limit: u32, workers: u32, now: Now) -> bool {
        let (limit, cost) = (u64::from(limit), cost(workers));
        let elapsed = now.nanos().saturating_sub(self.filled.nanos());
        let most = cost.max(limit * (SECOND / 10));
        self.credit = self.credit.saturating_add(elapsed.saturating_mul(limit)).min(most);
        self.filled = now;
        self.credit >= cost
    }

    /// Takes what a connection costs, after [`Bucket::admits`].
    pub fn take(&mut self, workers: u32) {
        self.credit = self.credit.saturating_sub(cost(workers));
    }
}

fn cost(workers: u32) -> u64 {
    SECOND * u64::from(workers.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the attempts, one every `step` nanoseconds from `from` on, are let in.
    fn admitted(bucket: &mut Bucket, limit: u32, workers: u32, from: u64, step: u64, attempts: u64) -> u64 {
        let mut admitted = 0;
        for n in 0..attempts {
            if bucket.admits(limit, workers, Now::from_nanos(from + n * step)) {
                bucket.take(workers);
                admitted += 1;
            }
        }
        admitted
    }

    #[test]
    fn the_shares_add_up_to_the_limit() {
        for (limit, workers) in [(1, 1), (1, 3), (7, 2), (10, 4), (1000, 3), (999, 2)] {
            let all: u64 = (0..workers)
                .map(|_| {
                    let mut bucket = Bucket::default();
                    // A first time round empties it; what follows is the rate.
                    admitted(&mut bucket, limit, workers, SECOND, 0, u64::from(limit) / 10 + 2);
                    admitted(&mut bucket, limit, workers, SECOND, 1_000_000, 60_000)
                })
                .sum();
            let (expected, workers) = (60 * u64::from(limit), u64::from(workers));
            assert!(all <= expected && expected <= all + workers + expected / 10, "{limit}, {workers}: {all}");
        }
    }

    #[test]
    fn the_rate_is_exact() {
        for limit in [3, 1000, 12_345] {
            let mut bucket = Bucket::default();
            admitted(&mut bucket, limit, 1, 0, 0, 2000);
            let seen = admitted(&mut bucket, limit, 1, 0, 10_000, 1_000_000);
            assert!((seen as i64 - 10 * i64::from(limit)).abs() <= 1, "{limit}: {seen} in 10 s");
        }
    }

    #[test]
    fn a_burst_is_a_tenth_of_a_second_and_one_at_least() {
        for (limit, workers, burst) in [(1, 1, 1), (9, 1, 1), (20, 1, 2), (1000, 1, 100), (1000, 4, 25), (3, 8, 1)] {
            let mut bucket = Bucket::default();
            for start in [0, 100 * SECOND] {
                assert_eq!(admitted(&mut bucket, limit, workers, start, 0, 500), burst, "{limit}, {workers}");
            }
        }
    }

    #[test]
    fn a_lower_limit_holds_at_once_and_nothing_overflows() {
        let mut bucket = Bucket::default();
        assert!(bucket.admits(HIGHEST, 128, Now::from_nanos(0)));
        assert!(bucket.admits(HIGHEST, 128, Now::from_nanos(u64::MAX)));
        let mut bucket = Bucket::default();
        assert!(bucket.admits(1_000_000, 1, Now::from_millis(5)));
        assert_eq!(admitted(&mut bucket, 10, 1, 5_000_000, 0, 100), 1);
        assert!(!bucket.admits(10, 1, Now::from_millis(4)), "a clock that stands still or goes back adds nothing");
    }
}
