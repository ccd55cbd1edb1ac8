//! A newcomer takes the place of a connection that did not come to life.

use super::*;

fn opening(real: u32, seen: u32) -> Value {
    Value::new(State::TCP_SYN_RECV, tick(seen), RealId(real))
}

/// Two newcomers whose places are all taken, and a packet that brings one of those there to life: whoever is evicted
/// is accounted for once, the living stay, and nobody is there twice.
fn newcomers() {
    let keys = client(2, &[[0, 1], [1, 0], [0, 1], [1, 0]]);
    let [one, two, ..] = keys[..] else { panic!() };
    let table = table(2, 0);
    let (slot, seen) = put(&table, one, opening(1, 0));
    put(&table, two, opening(2, 1));
    let newcomer = |key: Key, real| {
        let table = table.clone();
        thread::spawn(move || {
            let (mut booked, hash) = (0, table.hash(key));
            for _ in 0..2 {
                match table.insert(key, hash, opening(real, 10)) {
                    Insert::Full => {}
                    done => return (Some(done), booked + i32::from(matches!(done, Insert::Inserted(..)))),
                }
                if !table.make_room(&[hash], tick(10), private, |_, _| booked -= 1) {
                    break;
                }
            }
            (None, booked)
        })
    };
    let newcomers = [newcomer(keys[2], 3), newcomer(keys[3], 4)];
    let alive = table.update(slot, seen, |value| value.in_state(State::TCP_ESTABLISHED, tick(10)));
    let done = newcomers.map(|newcomer| newcomer.join().unwrap());

    assert_settled(&table);
    let there: Vec<_> = keys.iter().flat_map(|key| live(&table, *key)).collect();
    let booked: i32 = 2 + done.iter().map(|(_, booked)| booked).sum::<i32>();
    assert_eq!(booked as usize, there.len(), "{done:?}");
    if let Ok(alive) = alive {
        assert_eq!(live(&table, one), [(slot, alive.new)], "a living connection was driven out");
    }
    for ((done, _), key) in done.iter().zip(&keys[2..]) {
        if let Some(Insert::Inserted(slot, value)) = done {
            assert_eq!(live(&table, *key), [(*slot, *value)], "one as young as this was driven out");
        }
    }
}

#[test]
fn newcomers_take_places_while_one_of_those_there_comes_to_life() {
    explore(None, 2, newcomers);
}

#[test]
#[should_panic(expected = "was driven out")]
fn newcomers_need_to_see_that_one_came_to_life() {
    explore(Some(Fault::RemovesRefreshed), 2, newcomers);
}

/// A connection is evicted with its link, while a reply of its real server comes and the sweep looks after links.
fn evicted_with_its_link() {
    let socket = Socket { endpoint: endpoint(3), port: 0, local: false, first: Some(endpoint(9)) };
    let sockets = move |_: RealId| Some(socket.outlet());
    let keys = client(4, &[[0, 1], [0, 1], [2, 3]]);
    let [old, new, link] = keys[..] else { panic!() };
    let filler = client(4, &[[1, 0]])[0];
    let table = table(4, 0);
    let put_linked = table.insert_linked(old, table.hash(old), opening(1, 0), socket, sockets);
    assert!(matches!(put_linked, LinkedInsert::Inserted(..)));
    put(&table, filler, entry(9, 0));
    let answered = {
        let table = table.clone();
        thread::spawn(move || {
            let (_, word) = table.lookup(link, table.hash(link))?;
            table.target(link, word, sockets)
        })
    };
    let swept = {
        let table = table.clone();
        thread::spawn(move || {
            table.sweep(&Slice { lines: 0..4, links: true }, tick(10), &Timeouts::default(), sockets, |_, _| {});
        })
    };
    assert_eq!(insert(&table, new, opening(2, 10)), Insert::Full);
    let mut evicted = Vec::new();
    assert!(table.make_room(&[table.hash(new)], tick(10), sockets, |_, value| evicted.push(value.real())));
    assert_eq!(evicted, [RealId(1)]);
    put(&table, new, opening(2, 10));
    let answered = answered.join().unwrap();
    swept.join().unwrap();

    assert_settled(&table);
    assert!(answered.is_none_or(|(_, key, _)| key == old), "a reply found the newcomer");
    assert!(live(&table, link).is_empty() && live(&table, old).is_empty());
    assert_eq!(live(&table, new).len(), 1);
}

#[test]
fn a_reply_never_finds_the_newcomer_in_an_evicted_ones_place() {
    explore(None, 2, evicted_with_its_link);
}

#[test]
#[should_panic(expected = "a reply found the newcomer")]
fn a_reply_needs_to_know_which_life_its_link_means() {
    explore(Some(Fault::LinkAnyLife), 2, evicted_with_its_link);
}
