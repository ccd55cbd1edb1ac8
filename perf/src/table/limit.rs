//! The memory limit: one cache line read at random for each packet, asked for a burst ahead.

use anyhow::Context;
use memmap2::MmapMut;
use millrace::dataplane::conn::{Backing, prefetch};
use millrace::dataplane::port::BURST;

use super::population::Word;
use crate::pages;

const LINE: usize = 64;

/// As many lines as the table has.
pub struct MemoryLimit {
    memory: MmapMut,
    lines: u32,
    backing: Backing,
}

impl MemoryLimit {
    pub fn new(lines: u32) -> anyhow::Result<Self> {
        let (mut memory, backing) = pages::map(lines as usize * LINE).context("memory to read")?;
        memory.fill(1);
        Ok(Self { memory, lines, backing })
    }

    pub fn pages(&self) -> &'static str {
        pages::name(self.backing)
    }

    /// Reads a line for each word, and returns how many hold what they should.
    pub fn read(&self, words: &[Word]) -> usize {
        let mut places = [0; BURST];
        let mut count = 0;
        for burst in words.chunks(BURST) {
            for (place, word) in places.iter_mut().zip(burst) {
                *place = line_of(*word, self.lines) * LINE;
                if let Some(octet) = self.memory.get(*place) {
                    prefetch(octet);
                }
            }
            for place in &places[..burst.len()] {
                count += usize::from(self.memory.get(*place).is_some_and(|octet| *octet == 1));
            }
        }
        count
    }
}

/// A line for a word, any as likely.
#[inline]
fn line_of(word: Word, lines: u32) -> usize {
    let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32;
    ((hash * u64::from(lines)) >> 32) as usize
}
