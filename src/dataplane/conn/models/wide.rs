//! Keys of several words, of which a reader may see some of one and some of the next.

use super::*;
use crate::dataplane::address::Address;

/// Two keys that differ in their second word only, with the same lines, the first line first.
fn alike() -> [WideKey; 2] {
    let secret = hash::Secret::new(SECRET);
    let first_lines = |key: &WideKey| key.hash(&secret).main().map(|fraction| hash::at(fraction, 2)) == [0, 1];
    let mut keys = (1..)
        .map(|address| WideKey::new((Address::v4(7), 7), (Address::v4(address), 80), endpoint(1)))
        .filter(first_lines);
    [keys.next().unwrap(), keys.next().unwrap()]
}

/// A slot still has the second word of the key that was there before, when another takes it; and the former comes back.
fn a_word_is_left() {
    let [five, six] = alike();
    let table: Arc<Table<WideKey>> = Arc::new(Table::with_geometry(2, 0, 0, SECRET).unwrap());
    let insert = |key, real| {
        let table = table.clone();
        move || table.insert(key, table.hash(key), entry(real, 10))
    };
    let Insert::Inserted(slot, value) = table.insert(five, table.hash(five), entry(50, 0)) else { panic!() };
    table.remove(slot, value, tick(10), private).unwrap();
    let other = thread::spawn(insert(six, 60));
    let mine = insert(five, 51)();
    let theirs = other.join().unwrap();

    assert_settled(&table);
    for (done, key, real) in [(mine, five, 51), (theirs, six, 60)] {
        let Insert::Inserted(slot, value) = done else { panic!("took another's key for its own: {done:?}") };
        assert_eq!((table.read(slot), value.real()), (Some((key, value)), RealId(real)));
    }
}

#[test]
fn a_key_is_whole_when_its_first_word_is_seen() {
    explore(None, 4, a_word_is_left);
}

#[test]
#[should_panic(expected = "took another's key for its own")]
fn a_key_needs_its_first_word_written_last() {
    explore(Some(Fault::FirstWordFirst), 4, a_word_is_left);
}
