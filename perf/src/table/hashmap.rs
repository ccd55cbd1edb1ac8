//! hashbrown's map, of the same words to as much content, with the hash function it comes with.

use hashbrown::{DefaultHashBuilder, HashMap};
use millrace::dataplane::conn::Tick;

use super::large::Large;
use super::population::Word;
use super::store::{LIFE, Store, Walk};

/// The map: for one thread, in large pages.
pub struct Hashbrown {
    map: HashMap<Word, u64, DefaultHashBuilder, Large>,
    memory: Large,
}

impl Hashbrown {
    pub fn new(connections: u32) -> Self {
        let memory = Large::default();
        let hasher = DefaultHashBuilder::default();
        Self { map: HashMap::with_capacity_and_hasher_in(connections as usize, hasher, memory.clone()), memory }
    }
}

impl Store for Hashbrown {
    fn name(&self) -> &'static str {
        "hashbrown"
    }

    fn pages(&self) -> &'static str {
        self.memory.pages()
    }

    fn find(&mut self, words: &[Word]) -> usize {
        words.iter().filter(|word| self.map.get(*word).is_some_and(|seen| *seen > 0)).count()
    }

    fn insert(&mut self, words: &[Word], seen: Tick) -> usize {
        let content = u64::from(seen.number());
        words.iter().filter(|word| self.map.try_insert(**word, content).is_ok()).count()
    }

    fn remove(&mut self, words: &[Word]) -> usize {
        words.iter().filter(|word| self.map.remove(*word).is_some()).count()
    }

    fn expire(&mut self, now: Tick) -> Vec<Walk> {
        let before = self.map.len();
        let places = before as u64;
        vec![Walk::timed(places, || {
            self.map.retain(|_, seen| now.since(Tick::from_number(*seen as u32)) < LIFE);
            (before - self.map.len()) as u64
        })]
    }
}
