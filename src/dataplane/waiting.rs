//! Packets that wait for their next hop's Ethernet address.
//!
//! Bounded twice: a few for each next hop, as Linux's `unres_qlen`, so that one silent station cannot take all
//! places, and a fixed number in all. They are complete but for the destination address.

use arrayvec::ArrayVec;

use super::clock::Now;
use super::neigh::{NeighborId, PATIENCE};
use super::route::NextHop;
use super::stats::Outcome;

/// Places for one next hop: 50 clients that arrive in the first millisecond all get through. (Linux holds 101.)
pub const PER_HOP: usize = 64;
/// Places in all, for one worker.
pub const IN_ALL: usize = 512;

/// One waiting packet.
#[derive(Debug)]
pub struct Waiting<F> {
    /// The packet.
    pub frame: F,
    /// Where it goes.
    pub hop: NextHop,
    /// What it counts as once sent; `None` for one of the director's own making.
    pub outcome: Option<Outcome>,
    since: u32,
}

/// A worker's waiting packets, oldest first.
#[derive(Debug)]
pub struct WaitQueue<F> {
    waiting: ArrayVec<Waiting<F>, IN_ALL>,
}

impl<F> Default for WaitQueue<F> {
    fn default() -> Self {
        Self { waiting: ArrayVec::new() }
    }
}

/// What became of a waiting packet.
#[derive(Debug)]
pub enum Release<F> {
    /// Its next hop answered: send it to this address.
    Send(Waiting<F>, [u8; 6]),
    /// Nobody answered in time.
    GiveUp(Waiting<F>),
}

impl<F> WaitQueue<F> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets a packet wait; gives it back if there is no place.
    pub fn push(&mut self, frame: F, hop: NextHop, outcome: Option<Outcome>, now: Now) -> Result<(), F> {
        let same = self.waiting.iter().filter(|waiting| waiting.hop == hop).count();
        if same >= PER_HOP || self.waiting.is_full() {
            return Err(frame);
        }
        self.waiting.push(Waiting { frame, hop, outcome, since: now.ticks() as u32 });
        Ok(())
    }

    /// Takes out the first packet that need not wait any longer, by what `mac` says of its next hop.
    pub fn pop(&mut self, now: Now, mac: impl Fn(NeighborId) -> Option<[u8; 6]>) -> Option<Release<F>> {
        for index in 0..self.waiting.len() {
            let waiting = &self.waiting[index];
            if let Some(mac) = mac(waiting.hop.neighbor) {
                return Some(Release::Send(self.waiting.remove(index), mac));
            }
            if (now.ticks() as u32).wrapping_sub(waiting.since) >= PATIENCE {
                return Some(Release::GiveUp(self.waiting.remove(index)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::service::PortId;

    fn hop(id: u32) -> NextHop {
        NextHop { port: PortId(0), neighbor: NeighborId(id) }
    }

    #[test]
    fn places_are_bounded_for_each_hop_and_in_all() {
        let mut queue = WaitQueue::default();
        let now = Now::default();
        for n in 0..PER_HOP {
            queue.push(n, hop(1), None, now).unwrap();
        }
        assert_eq!(queue.push(99, hop(1), None, now), Err(99));
        for n in 0..IN_ALL - PER_HOP {
            queue.push(n, hop(2 + n as u32), None, now).unwrap();
        }
        assert_eq!(queue.push(99, hop(9999), None, now), Err(99));
    }

    #[test]
    fn packets_leave_in_order_when_the_hop_answers_and_end_when_it_does_not() {
        let mut queue = WaitQueue::default();
        for n in 0..3 {
            queue.push(n, hop(n % 2), None, Now::from_millis(1000)).unwrap();
        }
        let even = |id: NeighborId| (id.0 == 0).then_some([2; 6]);
        for expected in [0, 2] {
            match queue.pop(Now::from_millis(1100), even) {
                Some(Release::Send(waiting, mac)) => assert_eq!((waiting.frame, mac), (expected, [2; 6])),
                other => panic!("{other:?}"),
            }
        }
        assert!(queue.pop(Now::from_millis(3900), even).is_none());
        assert!(matches!(queue.pop(Now::from_millis(4000), even), Some(Release::GiveUp(w)) if w.frame == 1));
        assert!(queue.is_empty());
    }
}
