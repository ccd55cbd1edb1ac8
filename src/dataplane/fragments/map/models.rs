//! A slot under loom: what is read is what one writer wrote.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::dataplane::sync::faults::commit;

fn words(n: u64) -> [u64; WORDS] {
    [n; WORDS]
}

/// One who reads beside one writer, or `writers` alone, committing `fault`.
fn explore(fault: Option<Fault>, writers: u64) {
    commit(fault);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 100_000;
    builder.check(move || {
        let slot = Arc::new(Slot::default());
        assert!(slot.write(&words(1)));
        let threads: Vec<_> = (0..writers)
            .map(|n| {
                let slot = slot.clone();
                thread::spawn(move || {
                    slot.write(&words(2 + n));
                })
            })
            .collect();
        if writers == 1
            && let Some(found) = slot.read()
        {
            assert!(found.iter().all(|word| *word == found[0]), "torn: {found:?}");
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let left = slot.read().expect("nobody writes any more");
        assert!(left.iter().all(|word| *word == left[0]), "torn: {left:?}");
    });
}

#[test]
fn what_is_read_is_whole() {
    explore(None, 1);
}

#[test]
fn of_two_writers_one_writes_at_a_time() {
    explore(None, 2);
}

#[test]
#[should_panic(expected = "torn")]
fn a_reader_that_does_not_look_at_the_version_again() {
    explore(Some(Fault::NoVersionAgain), 1);
}

#[test]
#[should_panic(expected = "torn")]
fn a_writer_without_a_fence() {
    explore(Some(Fault::NoMarkFence), 1);
}

#[test]
#[should_panic(expected = "torn")]
fn two_who_write_at_once() {
    explore(Some(Fault::NoMark), 2);
}
