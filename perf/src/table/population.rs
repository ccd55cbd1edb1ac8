//! Who is in the tables: so many connections, each of which ends some time and is followed by another.

use fastrand::Rng;

/// A client's address and port and an endpoint, as one word: what a [`millrace::dataplane::conn::Key`] is made of.
pub type Word = u64;

const FIRST_CLIENT: u32 = 0x1000_0000;
const PORTS_A_CLIENT: u64 = 16;
const FIRST_PORT: u64 = 1024;
const PORT_STEP: u64 = 4001;
const ENDPOINT: u64 = 1;

/// Returns the word of the connection of this number, below 2^35.
pub const fn word(number: u64) -> Word {
    let client = FIRST_CLIENT.wrapping_add((number / PORTS_A_CLIENT) as u32) as u64;
    let port = FIRST_PORT + number % PORTS_A_CLIENT * PORT_STEP;
    client << 32 | port << 16 | ENDPOINT
}

/// Returns the number of the connection with this word.
pub const fn number(word: Word) -> u64 {
    let client = ((word >> 32) as u32).wrapping_sub(FIRST_CLIENT) as u64;
    client * PORTS_A_CLIENT + ((word >> 16 & 0xffff) - FIRST_PORT) / PORT_STEP
}

/// Marks a place as already drawn for the batch that is being put together.
const DRAWN: u8 = 0x80;

/// No place ever has so many connections one after the other; what is never there is numbered from here.
const NEVER: u8 = 0x7f;

/// A fixed number of places, in each of which connections follow one another.
pub struct Population {
    /// How many connections each place has had before the present one.
    lives: Vec<u8>,
    random: Rng,
}

/// Connections that end, and those that take their places.
#[derive(Default)]
pub struct Change {
    pub ended: Vec<Word>,
    pub begun: Vec<Word>,
}

impl Population {
    /// A first connection in each of so many places.
    pub fn new(places: u32) -> Self {
        Self { lives: vec![0; places as usize], random: Rng::with_seed(0x6d69_6c6c_7261_6365) }
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.lives.len()
    }

    fn word(&self, place: usize, life: u8) -> Word {
        word(u64::from(life) * self.lives.len() as u64 + place as u64)
    }

    /// The connections of these places.
    pub fn words(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = Word> {
        places.map(|place| self.word(place, self.lives[place]))
    }

    /// Draws connections that there are, each time any of them.
    pub fn present(&mut self, count: usize) -> Vec<Word> {
        let draw = |_| {
            let place = self.random.usize(..self.lives.len());
            self.word(place, self.lives[place])
        };
        (0..count).map(draw).collect()
    }

    /// Draws connections that there never are.
    pub fn absent(&mut self, count: usize) -> Vec<Word> {
        let draw = |_| {
            let place = self.random.usize(..self.lives.len());
            self.word(place, NEVER)
        };
        (0..count).map(draw).collect()
    }

    /// Ends `count` connections drawn at random, all different, and begins as many.
    ///
    /// # Panics
    /// If there are fewer than `count`.
    pub fn change(&mut self, count: usize) -> Change {
        assert!(count <= self.lives.len());
        let mut change = Change { ended: Vec::with_capacity(count), begun: Vec::with_capacity(count) };
        let mut places = Vec::with_capacity(count);
        while places.len() < count {
            let place = self.random.usize(..self.lives.len());
            let life = self.lives[place];
            if life & DRAWN == 0 {
                assert!(life + 1 < NEVER, "a place has had too many connections");
                self.lives[place] = (life + 1) | DRAWN;
                change.ended.push(self.word(place, life));
                change.begun.push(self.word(place, life + 1));
                places.push(place);
            }
        }
        for place in places {
            self.lives[place] &= !DRAWN;
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_word_gives_back_its_number() {
        for n in [0, 1, 15, 16, 999_999_999, u64::from(NEVER) * 100_000_000] {
            assert_eq!(number(word(n)), n);
        }
    }

    #[test]
    fn a_change_leaves_as_many_connections_all_different() {
        let mut population = Population::new(1000);
        let mut there: HashSet<Word> = population.words(0..1000).collect();
        for _ in 0..40 {
            let change = population.change(250);
            assert!(change.ended.iter().all(|word| there.remove(word)));
            assert!(change.begun.iter().all(|word| there.insert(*word)));
            assert_eq!(there, population.words(0..1000).collect());
        }
        assert!(population.present(1000).iter().all(|word| there.contains(word)));
        assert!(!population.absent(1000).iter().any(|word| there.contains(word)));
    }
}
