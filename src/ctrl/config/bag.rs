//! Things by how often they are there.

use std::hash::Hash;

use hashbrown::HashMap;

/// How often each thing is there, if it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bag<T: Hash + Eq> {
    counts: HashMap<T, u32>,
    /// How many are there more than once.
    repeated: usize,
}

impl<T: Hash + Eq> Default for Bag<T> {
    fn default() -> Self {
        Self { counts: HashMap::new(), repeated: 0 }
    }
}

impl<T: Hash + Eq> Bag<T> {
    /// Puts one in.
    pub fn add(&mut self, thing: T) {
        let count = self.counts.entry(thing).or_default();
        *count += 1;
        self.repeated += usize::from(*count == 2);
    }

    /// Takes one out.
    pub fn remove(&mut self, thing: &T) {
        let Some(count) = self.counts.get_mut(thing) else { return };
        *count -= 1;
        self.repeated -= usize::from(*count == 1);
        if *count == 0 {
            self.counts.remove(thing);
        }
    }

    /// Puts one in, or takes one out.
    pub fn count(&mut self, thing: T, more: bool) {
        if more { self.add(thing) } else { self.remove(&thing) }
    }

    /// Tells whether one is there.
    pub fn contains(&self, thing: &T) -> bool {
        self.counts.contains_key(thing)
    }

    /// Tells whether several of a thing are there.
    pub fn repeats(&self, thing: &T) -> bool {
        self.counts.get(thing).is_some_and(|count| *count > 1)
    }

    /// How many different things are there.
    pub fn different(&self) -> usize {
        self.counts.len()
    }

    /// How many different things are there more than once.
    pub fn repeated(&self) -> usize {
        self.repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_and_go() {
        let mut bag = Bag::default();
        for thing in [1, 2, 2, 3, 3, 3] {
            bag.add(thing);
        }
        assert_eq!((bag.different(), bag.repeated()), (3, 2));
        assert_eq!(
            [1, 2, 4].map(|thing| (bag.contains(&thing), bag.repeats(&thing))),
            [(true, false), (true, true), (false, false)]
        );
        for thing in [3, 2, 3, 1, 9] {
            bag.remove(&thing);
        }
        assert_eq!((bag.different(), bag.repeated()), (2, 0));
        let mut same = Bag::default();
        same.add(2);
        same.add(3);
        assert_eq!(bag, same);
    }
}
