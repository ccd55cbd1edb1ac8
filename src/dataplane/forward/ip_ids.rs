//! Identifications for the IPv4 packets that the director itself makes.

/// One worker's share of the 65,536 identifications. RFC 791 §3.2 wants them unique among packets between the same
/// addresses that may still be on their way; all workers of a director send from the same address. With `n` workers, worker
/// `w` draws `w, w + n, w + 2n …` and begins again before the count wraps, so that no two ever draw the same.
#[derive(Clone, Debug)]
pub struct IpIds {
    first: u16,
    step: u16,
    next: u16,
}

impl IpIds {
    /// The identifications of worker `worker`, counted from 0, of `workers`.
    ///
    /// # Panics
    /// If there is no such worker.
    pub const fn new(worker: u16, workers: u16) -> Self {
        assert!(worker < workers, "a worker's number lies below the number of workers");
        Self { first: worker, step: workers, next: worker }
    }

    /// Draws the next identification.
    #[inline]
    pub fn draw(&mut self) -> u16 {
        let drawn = self.next;
        self.next = drawn.checked_add(self.step).unwrap_or(self.first);
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_part_all_identifications_among_the_workers() {
        for workers in [1, 2, 3, 5, 64] {
            let mut drawn = vec![0u8; 65_536];
            for worker in 0..workers {
                let mut ids = IpIds::new(worker, workers);
                for _ in 0..65_536u32.saturating_sub(worker.into()).div_ceil(workers.into()) {
                    drawn[usize::from(ids.draw())] += 1;
                }
                assert_eq!(ids.draw(), worker, "{workers} workers: the share of {worker} begins again");
            }
            assert!(drawn.iter().all(|times| *times == 1), "{workers} workers");
        }
    }

    #[test]
    fn a_share_never_leaves_its_residue() {
        let mut ids = IpIds::new(2, 3);
        assert!((0..200_000).all(|_| ids.draw() % 3 == 2));
    }
}
