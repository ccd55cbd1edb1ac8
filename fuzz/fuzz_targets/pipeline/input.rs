//! What an input says.
//!
//! ```text
//! octet 0   the director's number
//! then, again and again:
//!   octet 0   bit 0: the port, 0 wan, 1 lan; bit 1: the worker; bit 2: sums are left as they are, else mended;
//!             bit 7: time passes, and nothing comes
//!   octet 1-2 the frame's length, big-endian; or how many milliseconds pass
//!   ...       the frame, as far as there is any
//! ```
//! `tests/golden/seeds.py` writes the same.

use super::director::LONGEST_FRAME;

/// What the director hears.
pub enum Event<'a> {
    /// Time passes.
    Pass { millis: u64 },
    /// A frame comes.
    Frame { worker: usize, port: usize, mend: bool, octets: &'a [u8] },
}

/// An input's director, and its events.
pub struct Input<'a> {
    pub director: usize,
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(octets: &'a [u8]) -> Option<Self> {
        let (director, rest) = octets.split_first()?;
        Some(Self { director: usize::from(*director), rest })
    }
}

impl<'a> Iterator for Input<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let ([kind, high, low], rest) = self.rest.split_first_chunk()?;
        let number = u16::from_be_bytes([*high, *low]);
        if kind & 0x80 != 0 {
            self.rest = rest;
            return Some(Event::Pass { millis: u64::from(number) });
        }
        let length = usize::from(number).min(rest.len());
        let (octets, rest) = rest.split_at(length);
        self.rest = rest;
        let octets = &octets[..length.min(LONGEST_FRAME)];
        let [port, worker] = [kind & 1, kind >> 1 & 1].map(usize::from);
        Some(Event::Frame { worker, port, mend: kind & 4 == 0, octets })
    }
}
