//! Fragments whose first is not known yet.
//!
//! Bounded in number, in time and in what is done about them: see [`super`]. They are as they came in.

use arrayvec::ArrayVec;

use super::Key;
use crate::dataplane::clock::Now;
use crate::dataplane::service::PortId;

/// Places in all, for one worker.
pub const IN_ALL: usize = 256;
/// Places for one datagram: more than its fragments are on any link of 1,500 octets.
pub const PER_DATAGRAM: usize = 64;
/// How many are looked at each time round.
pub const LOOKS: usize = 32;
/// How many looks there are in a millisecond: as many as places. However fast a worker goes round, they cost it next to nothing.
pub const LOOKS_A_MILLISECOND: usize = IN_ALL;
/// How long one is held, in milliseconds.
pub const PATIENCE: u64 = 1000;

#[derive(Debug)]
struct Waiting<F> {
    frame: F,
    key: Key,
    lane: PortId,
    since: u64,
}

/// A worker's held fragments, oldest first.
#[derive(Debug)]
pub struct Held<F> {
    waiting: ArrayVec<Waiting<F>, IN_ALL>,
    /// Where the next look begins.
    next: usize,
    /// The millisecond of the last look, and how many more it has.
    millisecond: u64,
    left: usize,
}

impl<F> Default for Held<F> {
    fn default() -> Self {
        Self { waiting: ArrayVec::new(), next: 0, millisecond: 0, left: LOOKS_A_MILLISECOND }
    }
}

impl<F> Held<F> {
    /// How many are held.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Holds a fragment that came in by a port or twin; gives it back if there is no place.
    pub fn push(&mut self, frame: F, key: Key, lane: PortId, now: Now) -> Result<(), F> {
        let same = self.waiting.iter().filter(|waiting| waiting.key == key).count();
        if same >= PER_DATAGRAM || self.waiting.is_full() {
            return Err(frame);
        }
        self.waiting.push(Waiting { frame, key, lane, since: now.millis() });
        Ok(())
    }

    /// Begins to look, and returns how many looks [`pop`](Self::pop) may take in one go. Where all can be looked at, the oldest is first.
    pub fn looks(&mut self, now: Now) -> usize {
        if now.millis() != self.millisecond {
            (self.millisecond, self.left) = (now.millis(), LOOKS_A_MILLISECOND);
        }
        if self.len() <= LOOKS {
            self.next = 0;
        }
        let looks = self.len().min(LOOKS).min(self.left);
        self.left -= looks;
        looks
    }

    /// Takes out the next fragment that is known by now, or for which it is too late, and where it came in. Each look counts.
    pub fn pop(&mut self, now: Now, looks: &mut usize, known: impl Fn(&Key) -> bool) -> Option<(F, PortId)> {
        while *looks > 0 {
            *looks -= 1;
            if self.next >= self.len() {
                self.next = 0;
            }
            let waiting = self.waiting.get(self.next)?;
            if known(&waiting.key) || now.millis().saturating_sub(waiting.since) >= PATIENCE {
                let Waiting { frame, lane, .. } = self.waiting.remove(self.next);
                return Some((frame, lane));
            }
            self.next += 1;
        }
        None
    }

    /// Gives all of them up, and returns how many there were.
    pub fn clear(&mut self) -> usize {
        let count = self.len();
        self.waiting.clear();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::address::Address;

    fn key(identification: u32) -> Key {
        Key::new(Address::v4(1), Address::v4(2), identification, 17)
    }

    fn popped(held: &mut Held<usize>, millis: u64, known: impl Fn(&Key) -> bool) -> Vec<usize> {
        let now = Now::from_millis(millis);
        let mut looks = held.looks(now);
        std::iter::from_fn(|| held.pop(now, &mut looks, &known)).map(|(frame, _)| frame).collect()
    }

    #[test]
    fn places_are_bounded_for_each_datagram_and_in_all() {
        let mut held = Held::default();
        for n in 0..PER_DATAGRAM {
            held.push(n, key(0), PortId(0), Now::default()).unwrap();
        }
        assert_eq!(held.push(99, key(0), PortId(0), Now::default()), Err(99));
        for n in PER_DATAGRAM..IN_ALL {
            held.push(n, key(n as u32), PortId(0), Now::default()).unwrap();
        }
        assert_eq!(held.push(99, key(9999), PortId(0), Now::default()), Err(99));
        assert_eq!(held.clear(), IN_ALL);
        assert!(held.is_empty());
    }

    #[test]
    fn those_that_are_known_leave_in_their_order_and_the_others_in_time() {
        let mut held = Held::default();
        for n in 0..6 {
            held.push(n, key(n as u32 % 2), PortId(0), Now::from_millis(100 * n as u64)).unwrap();
        }
        assert!(popped(&mut held, 600, |_| false).is_empty());
        assert_eq!(popped(&mut held, 600, |asked| *asked == key(1)), [1, 3, 5]);
        assert_eq!(popped(&mut held, 1199, |_| false), [0]);
        assert_eq!(popped(&mut held, 1400, |_| false), [2, 4]);
        assert!(held.is_empty());
    }

    #[test]
    fn however_many_are_held_few_are_looked_at_each_time_and_all_in_turn() {
        let mut held = Held::default();
        for n in 0..100 {
            held.push(n, key(n as u32), PortId(0), Now::default()).unwrap();
        }
        let looked = std::cell::RefCell::new(std::collections::BTreeMap::new());
        for round in 0..25 {
            let asked = |key: &Key| {
                *looked.borrow_mut().entry(format!("{key:?}")).or_insert(0) += 1;
                false
            };
            assert!(popped(&mut held, 10 + round as u64 / 8, asked).is_empty());
            assert_eq!(looked.borrow().values().sum::<usize>(), (round + 1) * LOOKS);
        }
        assert!(looked.borrow().len() == 100 && looked.borrow().values().all(|times| *times == 8));
        assert_eq!(popped(&mut held, PATIENCE, |_| false).len(), LOOKS);
    }

    #[test]
    fn however_often_it_goes_round_the_looks_in_a_millisecond_are_bounded() {
        let mut held = Held::default();
        for n in 0..40 {
            held.push(n, key(n as u32), PortId(0), Now::default()).unwrap();
        }
        for millis in [5, 6] {
            let looked = std::cell::Cell::new(0);
            for _ in 0..1000 {
                let asked = |_: &Key| {
                    looked.set(looked.get() + 1);
                    false
                };
                assert!(popped(&mut held, millis, asked).is_empty());
            }
            assert_eq!(looked.get(), LOOKS_A_MILLISECOND);
        }
        // What is known, and what has come too late, leaves in the next one.
        assert!(popped(&mut held, 6, |_| true).is_empty());
        assert_eq!(popped(&mut held, 7, |_| true).len(), LOOKS);
    }
}
