//! Two keys at a time: a connection's entry and the link by which replies find it.
//!
//! Endpoints 1 and 2 are services, 3 and 4 the shared sockets of real servers. Real servers 13 and 23 are the socket 3
//! as seen by service 1 and 2; 14 is the socket 4 as seen by service 1.

use super::*;

const SOCKET: u16 = 3;
const OTHER_SOCKET: u16 = 4;

fn sockets(real: RealId) -> Option<Outlet> {
    // A link's word, read as a connection's, names no real server in particular.
    let id = NonZeroU16::new(real.0 as u16 % 10)?;
    Some(Outlet { endpoint: EndpointId(id), port: 0, local: false })
}

fn socket(id: u16) -> Socket {
    Socket { endpoint: endpoint(id), port: 0, local: false, first: Some(endpoint(9)) }
}

fn insert_linked(table: &Table, key: Key, content: Value) -> LinkedInsert {
    let id = content.real().0 as u16 % 10;
    table.insert_linked(key, table.hash(key), content, socket(id), sockets)
}

fn put_linked(table: &Table, key: Key, content: Value) -> (Slot, Value) {
    match insert_linked(table, key, content) {
        LinkedInsert::Inserted(slot, value) => (slot, value),
        other => panic!("{other:?}"),
    }
}

/// What a reply from socket `id` finds, by the link alone.
fn reply(table: &Table, client: Key, id: u16) -> Option<(Slot, Key, Value)> {
    let key = client.towards(endpoint(id));
    let (_, link) = table.lookup(key, table.hash(key))?;
    table.target(key, link, sockets)
}

fn is_connection(insert: &LinkedInsert) -> bool {
    matches!(insert, LinkedInsert::Inserted(..))
}

fn sweep(table: &Table, now: u32) {
    table.sweep(&Slice { lines: 0..table.lines(), links: true }, tick(now), &Timeouts::default(), sockets, |_, _| {});
}

/// Two services' workers open a connection of the same client and port to the same socket, while a reply comes.
fn two_services() {
    let keys = client(4, &[[0, 1], [1, 0], [2, 3]]);
    let [one, two, _] = keys[..] else { panic!() };
    let table = table(4, 0);
    let spawn = |key, real| {
        let table = table.clone();
        thread::spawn(move || insert_linked(&table, key, entry(real, 0)))
    };
    let other = spawn(two, 23);
    let mine = insert_linked(&table, one, entry(13, 0));
    let theirs = other.join().unwrap();

    assert_settled(&table);
    assert_eq!(
        [&mine, &theirs].into_iter().filter(|done| is_connection(done)).count(),
        1,
        "not one connection: {mine:?} {theirs:?}"
    );
    for (done, key) in [(mine, one), (theirs, two)] {
        match done {
            LinkedInsert::Inserted(slot, value) => assert_eq!(reply(&table, one, SOCKET), Some((slot, key, value))),
            LinkedInsert::Ambiguous | LinkedInsert::Busy(_) => assert!(live(&table, key).is_empty()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_services_never_share_a_tuple() {
    explore(None, 5, two_services);
}

#[test]
#[should_panic(expected = "not one connection")]
fn the_check_needs_to_accept_pending_entries() {
    explore(Some(Fault::LinkRefusesPending), 5, two_services);
}

/// The same, but a link is left over from an earlier connection, and whoever is first takes it over.
fn two_services_and_an_old_link() {
    let keys = client(5, &[[0, 1], [1, 0], [2, 3], [4, 0]]);
    let [one, two, ..] = keys[..] else { panic!() };
    let table = table(5, 0);
    let earlier = keys[3];
    let (slot, value) = put_linked(&table, earlier, entry(13, 0));
    table.remove(slot, value, tick(10), private).unwrap();
    let spawn = |key, real| {
        let table = table.clone();
        thread::spawn(move || insert_linked(&table, key, entry(real, 10)))
    };
    let other = spawn(two, 23);
    let mine = insert_linked(&table, one, entry(13, 10));
    let theirs = other.join().unwrap();

    assert_settled(&table);
    let winners = [&mine, &theirs].into_iter().filter(|done| is_connection(done)).count();
    assert_eq!(winners, 1, "not one connection: {mine:?} {theirs:?}");
    let (_, key, _) = reply(&table, one, SOCKET).expect("the winner's replies find it");
    assert_eq!(key, if is_connection(&mine) { one } else { two });
}

#[test]
fn two_services_never_share_a_tuple_by_an_old_link() {
    explore(None, 3, two_services_and_an_old_link);
}

#[test]
#[should_panic(expected = "not one connection")]
fn a_link_needs_to_be_acquired_before_it_is_followed() {
    explore(Some(Fault::NoLinkFence), 3, two_services_and_an_old_link);
}

/// Two services' workers, the reply to whichever wins, and a sweep that looks after links.
#[test]
fn two_services_a_reply_and_a_sweep() {
    explore(None, 2, || {
        let keys = client(4, &[[0, 1], [1, 0], [2, 3]]);
        let [one, two, _] = keys[..] else { panic!() };
        let table = table(4, 0);
        let spawn = |key, real| {
            let table = table.clone();
            thread::spawn(move || insert_linked(&table, key, entry(real, 0)))
        };
        let inserters = [spawn(one, 13), spawn(two, 23)];
        let answers = {
            let table = table.clone();
            thread::spawn(move || reply(&table, one, SOCKET))
        };
        sweep(&table, 1);
        let done = inserters.map(|inserter| inserter.join().unwrap());
        let answered = answers.join().unwrap();

        assert_settled(&table);
        assert_eq!(done.iter().filter(|done| is_connection(done)).count(), 1, "{done:?}");
        let (_, key, _) = reply(&table, one, SOCKET).expect("the winner's replies find it");
        assert!(answered.is_none_or(|(_, holder, _)| holder == key), "a reply found the loser's");
    });
}

/// The same connection opened by two workers that chose different real servers.
#[test]
fn the_one_entry_of_a_key_has_its_link() {
    explore(None, 3, || {
        let keys = client(5, &[[0, 1], [0, 1], [2, 3], [3, 2]]);
        let [key, filler, ..] = keys[..] else { panic!() };
        let table = table(5, 0);
        let (old, seen) = put(&table, filler, entry(99, 0));
        let spawn = |real| {
            let table = table.clone();
            thread::spawn(move || insert_linked(&table, key, entry(real, 10)))
        };
        let inserters = [spawn(13), spawn(14)];
        table.remove(old, seen, tick(10), private).unwrap();
        let done = inserters.map(|inserter| inserter.join().unwrap());

        assert_settled(&table);
        let [(slot, value)] = live(&table, key)[..] else { panic!("{done:?}") };
        assert_eq!(done.iter().filter(|&&one| one == LinkedInsert::Inserted(slot, value)).count(), 1, "{done:?}");
        let id = value.real().0 as u16 % 10;
        assert_eq!(reply(&table, key, id), Some((slot, key, value)));
        let lost = if id == SOCKET { OTHER_SOCKET } else { SOCKET };
        assert_eq!(reply(&table, key, lost), None);
    });
}

/// A connection ends by the sweep while another service opens one of the same tuple, in the same slot perhaps.
#[test]
fn a_tuple_changes_hands_with_its_link() {
    explore(None, 3, || {
        let keys = client(4, &[[0, 1], [0, 1], [2, 3]]);
        let [one, two, link] = keys[..] else { panic!() };
        let table = table(4, 0);
        put_linked(&table, one, entry(13, 0));
        let newcomer = {
            let table = table.clone();
            thread::spawn(move || insert_linked(&table, two, entry(23, 5000)))
        };
        sweep(&table, 5000);
        let done = newcomer.join().unwrap();

        assert_settled(&table);
        assert!(live(&table, one).is_empty());
        match done {
            LinkedInsert::Inserted(slot, value) => {
                assert_eq!(reply(&table, one, SOCKET), Some((slot, two, value)));
                assert_eq!(live(&table, link).len(), 1);
            }
            LinkedInsert::Ambiguous => assert!(live(&table, two).is_empty() && live(&table, link).is_empty()),
            other => panic!("{other:?}"),
        }
    });
}

/// A link is left over; a sweep removes it while a connection takes it over.
#[test]
fn a_link_taken_over_is_not_swept() {
    explore(None, 5, || {
        let keys = client(4, &[[0, 1], [0, 1], [2, 3]]);
        let [one, two, _] = keys[..] else { panic!() };
        let table = table(4, 0);
        let (slot, value) = put_linked(&table, one, entry(13, 0));
        table.remove(slot, value, tick(10), private).unwrap();
        let newcomer = {
            let table = table.clone();
            thread::spawn(move || insert_linked(&table, two, entry(23, 10)))
        };
        sweep(&table, 10);
        let LinkedInsert::Inserted(slot, value) = newcomer.join().unwrap() else { panic!() };
        assert_settled(&table);
        assert_eq!(reply(&table, one, SOCKET), Some((slot, two, value)));
    });
}

/// A connection is moved to another real server: linked first, then changed. A sweep comes in between.
fn moved() {
    let keys = client(4, &[[0, 1], [1, 0], [2, 3], [3, 2]]);
    let key = keys[0];
    let table = table(4, 0);
    let (slot, seen) = put_linked(&table, key, entry(13, 0));
    let mover = {
        let table = table.clone();
        thread::spawn(move || {
            table.relink(slot, key, seen, socket(OTHER_SOCKET), tick(10), sockets).unwrap();
            table.update(slot, seen, |value| value.with_real(RealId(14)).with_seen(tick(10))).unwrap()
        })
    };
    sweep(&table, 10);
    let updated = mover.join().unwrap();
    assert_settled(&table);
    assert_eq!(reply(&table, key, OTHER_SOCKET), Some((slot, key, updated.new)), "lost its link");
    assert_eq!(reply(&table, key, SOCKET), None, "the old real server still answers");
    sweep(&table, 20);
    assert!(live(&table, key.towards(endpoint(SOCKET))).is_empty(), "the old link is an orphan");
    assert_eq!(reply(&table, key, OTHER_SOCKET), Some((slot, key, updated.new)));
}

#[test]
fn a_moved_connection_keeps_its_replies() {
    explore(None, 8, moved);
}

#[test]
#[should_panic(expected = "lost its link")]
fn a_moved_connection_needs_young_links_left_alone() {
    explore(Some(Fault::YoungOrphans), 8, moved);
}

#[test]
#[should_panic(expected = "the old real server still answers")]
fn a_moved_connection_needs_its_old_link_refused() {
    explore(Some(Fault::LinkAnySocket), 8, moved);
}

/// Two workers have the SYN that lets a connection start over, and move it to different real servers, as
/// [`connect`](crate::dataplane::connect) does: each links first, and whoever changes the entry first has moved it.
#[test]
fn of_two_movers_one_moves_and_its_replies_find_the_connection() {
    explore(None, 3, || {
        let keys = client(5, &[[0, 1], ANYWHERE, [2, 3], [3, 4], [4, 2]]);
        let key = keys[0];
        let table = table(5, 0);
        let (slot, seen) = put_linked(&table, key, entry(13, 0));
        let mover = |id: u16| {
            let table = table.clone();
            thread::spawn(move || {
                table.relink(slot, key, seen, socket(id), tick(10), sockets).unwrap();
                let moved = |value: Value| {
                    if value.real() == RealId(13) {
                        value.with_real(RealId(10 + u32::from(id))).with_seen(tick(10))
                    } else {
                        value
                    }
                };
                table.update(slot, seen, moved).unwrap()
            })
        };
        let movers = [mover(4), mover(5)].map(|mover| mover.join().unwrap());

        assert_settled(&table);
        let [(_, value)] = live(&table, key)[..] else { panic!() };
        assert_eq!(movers.iter().filter(|updated| updated.old != updated.new).count(), 1, "{movers:?}");
        assert!(movers.iter().all(|updated| updated.new == value), "{movers:?}");
        for id in [SOCKET, OTHER_SOCKET, 5] {
            let found = (value.real() == RealId(10 + u32::from(id))).then_some((slot, key, value));
            assert_eq!(reply(&table, key, id), found);
        }
        sweep(&table, 20);
        let left = keys[2..].iter().filter(|link| !live(&table, **link).is_empty()).count();
        assert_eq!(left, 1, "orphans");
    });
}

/// A connection's time is over while a worker moves it: it is moved or it is gone, and no link leads to who comes next.
#[test]
fn a_connection_is_moved_or_expires_with_its_links() {
    explore(None, 3, || {
        let keys = client(4, &[[0, 1], [0, 1], [2, 3], [3, 2]]);
        let [key, next, ..] = keys[..] else { panic!() };
        let table = table(4, 0);
        let (slot, seen) = put_linked(&table, key, entry(13, 0));
        let mover = {
            let table = table.clone();
            thread::spawn(move || {
                table.relink(slot, key, seen, socket(OTHER_SOCKET), tick(5000), sockets).unwrap();
                table.update(slot, seen, |value| value.with_real(RealId(14)).with_seen(tick(5000)))
            })
        };
        sweep(&table, 5000);
        let newcomer = if live(&table, key).is_empty() { Some(put(&table, next, entry(24, 5000))) } else { None };
        let moved = mover.join().unwrap();

        assert_settled(&table);
        match moved {
            Ok(moved) => assert_eq!(reply(&table, key, OTHER_SOCKET), Some((slot, key, moved.new))),
            Err(Gone) => assert_eq!(reply(&table, key, OTHER_SOCKET), None, "a link leads to {newcomer:?}"),
        }
        assert_eq!(reply(&table, key, SOCKET), None);
        sweep(&table, 5010);
        assert_eq!(live(&table, keys[2]), [], "an orphan");
        assert_eq!(live(&table, keys[3]).is_empty(), moved.is_err(), "an orphan");
    });
}
