//! The whole data plane under libFuzzer: frames in, invariants out.
//!
//! An input is a director, by number, and what it hears (`input.rs`). After each of that, and when all of its time is over:
//!
//! - every frame that a worker received has ended in exactly one counted outcome, or waits for its next hop;
//! - every frame that it counted as sent is on the wire, and none else; no buffer is lost;
//! - what was sent is sound: lengths, header sums, and, as long as only sound packets came, the sums of transports (`judge.rs`);
//! - no more connections began than packets came; and none outlives its timeout.
//!
//! A director is made once and serves many inputs: each leaves it without a connection.
#![no_main]

mod director;
mod input;
mod judge;
mod sums;

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;

use director::Director;
use input::{Event, Input};

thread_local! {
    static DIRECTORS: RefCell<Vec<Option<Director>>> = {
        judge::listens();
        RefCell::new(director::CONFIGURATIONS.iter().map(|_| None).collect())
    };
}

fuzz_target!(|octets: &[u8]| {
    let Some(input) = Input::new(octets) else { return };
    DIRECTORS.with_borrow_mut(|directors| {
        let number = input.director % directors.len();
        play(directors[number].get_or_insert_with(|| Director::new(number)), input);
    });
});

fn play(director: &mut Director, input: Input<'_>) {
    director.begin();
    for event in input {
        match event {
            Event::Pass { millis } => director.pass(millis),
            Event::Frame { worker, port, mend, octets } => director.hear(worker, port, octets, mend),
        }
    }
    director.end();
}
