//! rr and wrr against `ip_vs_rr.c` and `ip_vs_wrr.c`, step by step: their variables, and what the kernel does to them when a
//! weight or a threshold changes and when servers come and go. IPVS's list begins with the server that was added last, so
//! here those that come are first in order too.

use fastrand::Rng;

use super::super::*;
use super::bench::Bench;
use super::models::Held;

/// A service of the kernel's.
#[derive(Default)]
struct Kernel {
    /// By number.
    list: Vec<(usize, Held)>,
    /// `sched_data` of rr, `cl` of wrr: the number of the server that was chosen last; none for the list's head.
    at: Option<usize>,
    /// wrr's `cw`.
    current: i64,
}

impl Kernel {
    /// wrr's `di`.
    fn step(&self) -> i64 {
        let common = |d: &i64| self.list.iter().all(|(_, held)| held.weight % d == 0);
        (1..=self.most()).rev().find(common).unwrap_or(1)
    }

    fn most(&self) -> i64 {
        self.list.iter().map(|(_, held)| held.weight).max().unwrap_or(0)
    }

    /// wrr's `mw`.
    fn largest(&self) -> i64 {
        self.most() - (self.step() - 1)
    }

    fn place(&self) -> Option<usize> {
        self.list.iter().position(|(number, _)| Some(*number) == self.at)
    }

    fn rr(&mut self) -> Option<usize> {
        let first = self.place().map_or(0, |place| place + 1);
        let mut places = (first..self.list.len()).chain(0..first);
        let (number, _) = self.list[places.find(|place| self.list[*place].1.takes())?];
        self.at = Some(number);
        Some(number)
    }

    fn wrr(&mut self) -> Option<usize> {
        if self.largest() == 0 {
            return None;
        }
        let last = self.place();
        let (mut next, mut last_pass, mut restarted, mut stop) =
            (last.map_or(0, |place| place + 1), false, false, false);
        loop {
            for (place, (number, held)) in self.list.iter().enumerate().skip(next) {
                if !held.overloaded && held.weight >= self.current {
                    self.at = Some(*number);
                    return self.at;
                }
                if Some(place) == last && stop {
                    return None;
                }
            }
            self.current -= self.step();
            if self.current <= 0 {
                self.current = self.largest();
                if last_pass || last.is_none() {
                    return None;
                }
                restarted = true;
            }
            last_pass = self.current <= self.step();
            stop |= last_pass && restarted;
            next = 0;
        }
    }

    fn choose(&mut self, scheduler: Scheduler) -> Option<usize> {
        if scheduler == Scheduler::Rr { self.rr() } else { self.wrr() }
    }

    /// `add_dest`, `del_dest` and `upd_dest` of wrr; rr has none of them.
    fn changed(&mut self, scheduler: Scheduler) {
        if scheduler == Scheduler::Rr {
            return;
        }
        self.at = None;
        if self.current > self.largest() || self.current == 0 {
            self.current = self.largest();
        } else if self.step() > 1 {
            self.current = self.current / self.step() * self.step() + 1;
        }
    }

    /// `del_dest`: rr's cursor moves to the server before.
    fn remove(&mut self, place: usize) {
        if self.place() == Some(place) {
            self.at = place.checked_sub(1).map(|before| self.list[before].0);
        }
        self.list.remove(place);
    }
}

/// The kernel's service and millrace's, side by side.
struct Pair {
    scheduler: Scheduler,
    kernel: Kernel,
    bench: Bench,
    rng: Rng,
    /// All weights are multiples of it.
    factor: u16,
    /// The next one's number.
    number: usize,
}

impl Pair {
    fn new(scheduler: Scheduler, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let factor = rng.u16(1..4);
        let bench = Bench::new(scheduler, &[], 1);
        let mut pair = Self { scheduler, kernel: Kernel::default(), bench, rng, factor, number: 2000 };
        for _ in 0..pair.rng.usize(1..7) {
            pair.add();
        }
        pair
    }

    fn weight(&mut self) -> u16 {
        self.rng.u16(0..7) * self.factor
    }

    fn add(&mut self) {
        self.number -= 1;
        let upper = if self.rng.u8(0..3) == 0 { self.rng.u32(1..9) } else { 0 };
        let held = Held::new(&(self.weight(), Thresholds { upper, lower: 0 }));
        self.kernel.list.insert(0, (self.number, held));
        self.changed();
    }

    fn changed(&mut self) {
        self.kernel.changed(self.scheduler);
        let set: Vec<_> =
            self.kernel.list.iter().map(|(number, held)| (*number, (held.weight as u16, held.thresholds))).collect();
        self.bench.enlist(self.scheduler, &set);
    }

    fn edit(&mut self) {
        let (count, kind) = (self.kernel.list.len(), self.rng.u8(0..8));
        if count == 0 || kind == 0 {
            return self.add();
        }
        let place = self.rng.usize(0..count);
        let weight = self.weight();
        let (_, held) = &mut self.kernel.list[place];
        match kind {
            1 => self.kernel.remove(place),
            2 | 3 if held.thresholds.upper > 0 => {
                held.thresholds.upper += 2;
                held.feel();
            }
            _ => held.weight = weight.into(),
        }
        self.changed();
    }

    fn choose(&mut self) {
        let expected = self.kernel.choose(self.scheduler);
        assert_eq!(
            self.bench.open(0),
            expected,
            "{:?} at {:?}, {}",
            self.kernel.list,
            self.kernel.at,
            self.kernel.current
        );
        if let Some((_, held)) = self.kernel.list.iter_mut().find(|(number, _)| Some(*number) == expected) {
            held.opened();
        }
    }

    fn close(&mut self) {
        let open = self.kernel.list.iter_mut().filter(|(_, held)| held.active > 0);
        let mut open: Vec<_> = open.collect();
        if let Some((number, held)) = self.rng.choice(&mut open) {
            self.bench.cut(0, *number);
            held.active -= 1;
            held.feel();
        }
    }
}

#[test]
fn turns_go_on_as_in_ipvs_whatever_changes() {
    for scheduler in [Scheduler::Rr, Scheduler::Wrr] {
        for seed in 0..400 {
            let mut pair = Pair::new(scheduler, seed);
            for _ in 0..30 {
                for _ in 0..pair.rng.usize(1..12) {
                    pair.choose();
                    if pair.rng.u8(0..4) == 0 {
                        pair.close();
                    }
                }
                pair.edit();
            }
        }
    }
}

#[test]
fn the_turn_goes_on_behind_a_server_that_is_gone() {
    let mut bench = Bench::new(Scheduler::Rr, &[1; 4], 1);
    assert_eq!([bench.choose(0), bench.choose(0)], [Some(0), Some(1)]);
    let one = (1, Thresholds::default());
    bench.enlist(Scheduler::Rr, &[(0, one), (2, one), (3, one)]);
    assert_eq!([bench.choose(0), bench.choose(0), bench.choose(0)], [Some(2), Some(3), Some(0)]);
    bench.enlist(Scheduler::Rr, &[(1, one), (3, one)]);
    assert_eq!([bench.choose(0), bench.choose(0)], [Some(1), Some(3)]);
}

#[test]
fn nobody_is_looked_for_in_vain_round_by_round() {
    let all = |upper| [(1, upper), (u16::MAX, upper)].map(|(weight, upper)| (weight, Thresholds { upper, lower: 0 }));
    let mut bench = Bench::with_thresholds(Scheduler::Wrr, &all(1), 1);
    assert_eq!([bench.open(0), bench.open(0)], [Some(0), Some(1)]);
    // 65,535 rounds for each would take minutes.
    assert!((0..20_000).all(|_| bench.open(0).is_none()));
    bench.cut(0, 0);
    assert_eq!(bench.open(0), Some(0), "the only one with room, whatever the round");
}
