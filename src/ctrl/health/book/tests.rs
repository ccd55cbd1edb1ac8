//! The book against what operators expect: who is out, what runs, and that nobody else is touched.

use std::path::Path;

use super::super::observe::Reading;
use super::*;
use crate::ctrl::config::{self, OnFailure};

const HEAD: &str = "[[port]]\nname = 'lan'\ndevice = 'net_ring0'\naddresses = ['10.0.0.1/24']\n";

fn config(services: &str) -> Config {
    config::parse(Path::new("x.toml"), &format!("{HEAD}{services}")).unwrap().config
}

/// A service with `keys`, and real servers of weight 10, 20, ... that are checked.
fn service(vip: u8, keys: &str, reals: u8) -> String {
    let real = |n: u8| format!("{{ address = '10.0.0.{}', weight = {} }}", 10 + n, 10 * u32::from(n));
    let reals = (1..=reals).map(real).collect::<Vec<_>>().join(", ");
    format!("[[service]]\naddress = '192.0.2.{vip}:80'\ncheck = {{ type = 'tcp' }}\n{keys}\nreal = [{reals}]\n")
}

/// A book and what it is kept of.
struct Case {
    book: Book,
    desired: Config,
}

impl Case {
    fn new(services: &str) -> Self {
        let desired = config(services);
        let mut book = Book::default();
        book.follow(None, &desired);
        Self { book, desired }
    }

    fn key(&self, service: usize, real: usize) -> Key {
        let service = &self.desired.services[service];
        (service.selector, service.reals[real].address)
    }

    fn turn(&mut self, key: Key, up: bool) -> bool {
        let live = Arc::clone(&self.book.station(&key).unwrap().live);
        self.book.hear(&Verdict { key, live, up, reason: "so".to_owned() }, SystemTime::UNIX_EPOCH)
    }

    /// The weights that run, by service; those left out are missing.
    fn runs(&mut self) -> Vec<Vec<u16>> {
        let (effective, _) = self.book.effective(&self.desired);
        effective.services.iter().map(|service| service.reals.iter().map(|real| real.weight).collect()).collect()
    }

    fn quorums(&mut self) -> Vec<(bool, u64)> {
        let (_, turns) = self.book.effective(&self.desired);
        turns.into_iter().map(|turn| (turn.up, turn.weight)).collect()
    }

    fn goes_over(&mut self, services: &str) -> Followed {
        let next = config(services);
        let followed = self.book.follow(Some(&self.desired), &next);
        self.desired = next;
        followed
    }
}

fn begun(followed: &Followed) -> Vec<Key> {
    let begun = followed.orders.iter().filter_map(|order| match order {
        Order::Begin(begin) => Some(begin.key),
        Order::Fall { .. } | Order::End(_) => None,
    });
    begun.collect()
}

#[test]
fn who_fails_is_taken_out_or_inhibited_and_comes_back() {
    let text = service(1, "", 2) + &service(2, "on_failure = 'inhibit'", 2);
    let mut case = Case::new(&text);
    assert_eq!(case.desired.services[1].health.on_failure, OnFailure::Inhibit);
    assert_eq!(case.runs(), [[10, 20], [10, 20]]);
    let (first, second) = (case.key(0, 0), case.key(1, 1));
    assert!(case.turn(first, false) && case.turn(second, false));
    assert!(!case.turn(first, false), "it is down already");
    assert_eq!(case.runs(), [vec![20], vec![10, 0]]);
    assert_eq!((case.book.state(&first), case.book.state(&case.key(0, 1))), (State::Down, State::Up));
    assert!(case.turn(first, true) && case.turn(second, true));
    assert_eq!(case.runs(), [[10, 20], [10, 20]]);
    let history: Vec<_> = case.book.station(&first).unwrap().history.iter().map(|turn| turn.up).collect();
    assert_eq!(history, [false, true]);
}

#[test]
fn only_services_of_which_somebody_is_out_are_others() {
    let mut case = Case::new(&(service(1, "", 2) + &service(2, "", 2)));
    let (all, _) = case.book.effective(&case.desired);
    assert!(all.services.iter().zip(&case.desired.services).all(|(one, other)| Arc::ptr_eq(one, other)));
    case.turn(case.key(0, 0), false);
    let (some, _) = case.book.effective(&case.desired);
    assert!(!Arc::ptr_eq(&some.services[0], &case.desired.services[0]));
    assert!(Arc::ptr_eq(&some.services[1], &case.desired.services[1]));
    let (again, _) = case.book.effective(&case.desired);
    assert!(Arc::ptr_eq(&some.services[0], &again.services[0]), "nothing happened since");
    case.turn(case.key(0, 0), true);
    let (back, _) = case.book.effective(&case.desired);
    assert!(Arc::ptr_eq(&back.services[0], &case.desired.services[0]));
}

#[test]
fn in_maintenance_connections_go_on_whatever_checks_say_and_a_reload_keeps_it() {
    let text = service(1, "", 2);
    let mut case = Case::new(&text);
    let key = case.key(0, 0);
    assert!(case.book.maintain(key, true) && !case.book.maintain(key, true));
    assert_eq!(case.runs(), [[0, 20]]);
    case.goes_over(&service(1, "timeout = '10s'", 2));
    assert_eq!((case.runs(), case.book.state(&key)), (vec![vec![0, 20]], State::Maintenance));
    case.turn(key, false);
    assert_eq!(case.runs(), [[20]], "it has failed besides");
    assert!(case.book.maintain(key, false));
    assert_eq!((case.runs(), case.book.state(&key)), (vec![vec![20]], State::Down));
    case.book.maintain(key, true);
    case.goes_over(&service(1, "", 0));
    case.goes_over(&text);
    assert_eq!((case.runs(), case.book.state(&key)), (vec![vec![10, 20]], State::Up), "one that was removed is new");
    assert!(case.book.out.is_empty());
}

#[test]
fn a_quorum_is_lost_and_reached_with_hysteresis() {
    // Weights 10, 20, 30: lost below 25, reached again at 35.
    let mut case = Case::new(&service(1, "quorum = 30\nhysteresis = 5", 3));
    assert_eq!(case.quorums(), []);
    case.turn(case.key(0, 2), false);
    assert_eq!(case.quorums(), [], "30 are left");
    case.turn(case.key(0, 0), false);
    assert_eq!(case.quorums(), [(false, 20)]);
    assert!(case.book.has_lost_quorum(&case.desired.services[0].selector));
    assert_eq!(case.runs(), [[20]], "without a sorry server who lives goes on");
    case.turn(case.key(0, 0), true);
    assert_eq!(case.quorums(), [], "30 is not enough to come back");
    case.turn(case.key(0, 2), true);
    assert_eq!((case.quorums(), case.quorums()), (vec![(true, 60)], vec![]));
}

#[test]
fn without_a_quorum_new_connections_are_the_sorry_servers() {
    let keys = "quorum = 30\nquorum_down = ['/x']\nsorry_server = { address = '10.0.0.99' }";
    let mut case = Case::new(&service(1, keys, 2));
    case.turn(case.key(0, 1), false);
    let (effective, turns) = case.book.effective(&case.desired);
    assert_eq!(turns[0].hook, ["/x"]);
    let weights: Vec<_> = effective.services[0].reals.iter().map(|real| real.weight).collect();
    assert_eq!(weights, [0], "who lives keeps its connections");
    case.turn(case.key(0, 1), true);
    assert_eq!(case.runs(), [[10, 20]]);
}

#[test]
fn only_who_is_new_or_checked_otherwise_is_checked_anew() {
    let mut case = Case::new(&(service(1, "", 2) + &service(2, "", 1)));
    let down = case.key(0, 0);
    case.turn(down, false);
    let followed = case.goes_over(&(service(1, "timeout = '10s'", 3) + &service(2, "", 1)));
    assert_eq!(begun(&followed), [case.key(0, 2)]);
    assert_eq!(case.book.state(&down), State::Down, "what is known is kept");
    let other = service(1, "", 3).replace("'tcp'", "'tcp', fall = 9");
    let followed = case.goes_over(&(other + &service(2, "", 1)));
    assert_eq!(begun(&followed).len(), 3);
    let kept = followed.orders.iter().find_map(|order| match order {
        Order::Begin(begin) if begin.key == down => Some(begin.tracker.is_up()),
        _ => None,
    });
    assert_eq!((kept, case.book.state(&down)), (Some(false), State::Down));
    let followed = case.goes_over(&service(2, "", 1));
    let ended = followed.orders.iter().filter(|order| matches!(order, Order::End(_))).count();
    assert_eq!((ended, case.book.stations.len()), (3, 1));
    assert!(case.book.out.is_empty() && case.book.patches.is_empty());
}

#[test]
fn a_verdict_of_a_check_that_was_replaced_does_not_count() {
    let mut case = Case::new(&service(1, "", 1));
    let key = case.key(0, 0);
    let live = Arc::clone(&case.book.station(&key).unwrap().live);
    case.goes_over(&service(1, "", 1).replace("'tcp'", "'ping'"));
    let verdict = Verdict { key, live, up: false, reason: String::new() };
    assert!(!case.book.hear(&verdict, SystemTime::UNIX_EPOCH));
    assert_eq!(case.book.state(&key), State::Up);
}

#[test]
fn who_starts_down_is_out_until_it_answers() {
    let mut case = Case::new(&service(1, "", 2).replace("'tcp'", "'tcp', start = 'down'"));
    assert_eq!(case.runs(), [[0u16; 0]]);
    case.turn(case.key(0, 1), true);
    assert_eq!(case.runs(), [[20]]);
}

#[test]
fn what_does_not_come_to_run_leaves_no_trace() {
    let text = service(1, "quorum = 30", 2) + &service(2, "", 2);
    let mut case = Case::new(&text);
    let (down, maintained) = (case.key(0, 0), case.key(1, 1));
    case.turn(down, false);
    case.book.maintain(maintained, true);
    let before = case.runs();
    let lives = |case: &Case| -> Vec<_> {
        [(0, 0), (0, 1), (1, 0), (1, 1)]
            .map(|(service, real)| case.book.station(&case.key(service, real)).unwrap().live.clone())
            .into()
    };
    let known = lives(&case);
    let next = config(&service(1, "", 3).replace("'tcp'", "'ping'"));
    let followed = case.book.follow(Some(&case.desired), &next);
    case.book.effective(&next);
    case.book.take_back(followed);
    assert_eq!(case.runs(), before);
    assert!(known.iter().zip(lives(&case)).all(|(one, other)| Arc::ptr_eq(one, &other)), "their checks go on");
    assert_eq!((case.book.state(&down), case.book.state(&maintained)), (State::Down, State::Maintenance));
    assert_eq!(case.book.stations.len(), 4);
}

/// Real servers that are observed, a second after the other; each has had a right answer.
struct Observed {
    case: Case,
    counted: HashMap<Key, Reading>,
}

impl Observed {
    fn new(reals: u8) -> Self {
        let text =
            service(1, "", reals).replace("'tcp'", "'tcp', observe = { window = '3s', least = 10, failed = 50 }");
        let mut observed = Self { case: Case::new(&text), counted: HashMap::new() };
        for real in 0..reals {
            observed.answers(real.into());
        }
        observed.passes(&[]);
        observed
    }

    fn key(&self, real: usize) -> Key {
        self.case.key(0, real)
    }

    fn answers(&self, real: usize) {
        self.case.book.station(&self.key(real)).unwrap().live.note(|seen| seen.right += 1);
    }

    /// A second passes in which so many connections to real servers are answered, and refused. Returns who is out, and who is
    /// told to stay.
    fn passes(&mut self, counts: &[(usize, u64, u64)]) -> (Vec<usize>, Vec<usize>) {
        let reals = self.case.desired.services[0].reals.len();
        for (real, answered, refused) in counts {
            let counted = self.counted.entry(self.case.key(0, *real)).or_default();
            counted.answered += answered;
            counted.refused += refused;
        }
        let reading = |real| (self.key(real), self.counted.get(&self.key(real)).copied().unwrap_or_default());
        let readings: Vec<_> = (0..reals).map(reading).collect();
        let (mut out, mut stay) = (Vec::new(), Vec::new());
        let failing = self.case.book.observe(&readings);
        let service = Arc::clone(&self.case.desired.services[0]);
        for real in 0..reals {
            let key = self.key(real);
            if !failing.contains(&key) {
                continue;
            }
            match self.case.book.fall(&service, key.1, SystemTime::UNIX_EPOCH) {
                Fate::Out(..) => out.push(real),
                Fate::Stays(..) => stay.push(real),
                Fate::Same => {}
            }
        }
        (out, stay)
    }

    fn state(&self, real: usize) -> State {
        self.case.book.state(&self.key(real))
    }
}

const NOBODY: (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());

#[test]
fn who_is_observed_to_fail_is_out_until_its_checks_bring_it_back() {
    let mut observed = Observed::new(2);
    let key = observed.key(0);
    let before = Arc::clone(&observed.case.book.station(&key).unwrap().live);
    assert_eq!(observed.passes(&[(0, 0, 9), (1, 9, 0)]), NOBODY);
    assert_eq!(observed.passes(&[(0, 1, 0), (1, 1, 0)]), (vec![0], vec![]));
    assert_eq!((observed.case.runs(), observed.state(0)), (vec![vec![20]], State::Down));
    let station = observed.case.book.station(&key).unwrap();
    let last = station.history.back().unwrap();
    assert_eq!((last.up, &*last.reason), (false, "observed: 9 of 10 connections refused in the last 2 s"));
    assert_eq!(station.live.seen().right, 1, "what was seen is kept");
    let late = Verdict { key, live: before, up: false, reason: "late".to_owned() };
    assert!(!observed.case.book.hear(&late, SystemTime::UNIX_EPOCH), "what was told before says nothing any more");
    assert_eq!(observed.passes(&[(0, 0, 100)]), NOBODY, "it is out");

    assert!(observed.case.turn(key, true));
    assert_eq!(observed.case.runs(), [[10, 20]]);
    assert_eq!(observed.passes(&[]), NOBODY, "what was before its return does not count");
    assert_eq!(observed.passes(&[(0, 0, 10)]), (vec![0], vec![]));
}

#[test]
fn somebody_is_left_who_is_not_observed_to_fail() {
    let mut observed = Observed::new(3);
    assert_eq!(
        observed.passes(&[(0, 0, 10), (1, 0, 10), (2, 0, 10)]),
        (vec![], vec![0, 1, 2]),
        "all fail: nobody goes"
    );
    assert_eq!(observed.passes(&[(0, 0, 10), (1, 0, 10), (2, 0, 10)]), NOBODY, "which is told once");
    assert_eq!(observed.passes(&[(2, 100, 0)]), (vec![0, 1], vec![]), "one recovers, the others go");
    assert_eq!(observed.passes(&[(2, 0, 200)]), (vec![], vec![2]), "the last one stays");
    assert_eq!(observed.case.runs(), [[30]]);
    assert_eq!(observed.passes(&[(2, 900, 0)]), NOBODY);
    assert_eq!(observed.passes(&[(2, 0, 2000)]), (vec![], vec![2]), "and is told again when it fails anew");
    assert!(observed.case.turn(observed.key(0), true));
    assert_eq!(observed.passes(&[]), (vec![2], vec![]), "somebody is back");
}

#[test]
fn who_is_down_in_maintenance_or_without_weight_is_nobody_to_rely_on() {
    let mut observed = Observed::new(3);
    observed.case.book.maintain(observed.key(1), true);
    assert!(observed.case.turn(observed.key(2), false));
    assert_eq!(observed.passes(&[(0, 0, 10)]), (vec![], vec![0]));

    let mut observed = Observed::new(2);
    let text = service(1, "", 2).replace("weight = 20", "weight = 0");
    observed.case.goes_over(&text.replace("'tcp'", "'tcp', observe = { window = '3s', least = 10, failed = 50 }"));
    assert_eq!(observed.passes(&[(0, 0, 10)]), (vec![], vec![0]));
}

#[test]
fn in_maintenance_nobody_is_observed() {
    let mut observed = Observed::new(2);
    let key = observed.key(0);
    observed.case.book.maintain(key, true);
    assert_eq!(observed.passes(&[(0, 0, 10)]), NOBODY);
    assert_eq!(observed.state(0), State::Maintenance);
    observed.case.book.maintain(key, false);
    assert_eq!(observed.passes(&[(0, 0, 10)]), NOBODY, "it was opened in maintenance");
    assert_eq!(observed.case.runs(), [[10, 20]]);
    assert_eq!(observed.passes(&[(0, 0, 10)]), (vec![0], vec![]));
}

#[test]
fn whom_no_check_could_bring_back_stays() {
    let mut observed = Observed::new(2);
    let key = observed.key(0);
    observed.case.book.station(&key).unwrap().live.note(|seen| seen.right = 0);
    assert_eq!(observed.passes(&[(0, 0, 10)]), (vec![], vec![0]));
    observed.answers(0);
    assert_eq!(observed.passes(&[]), (vec![0], vec![]));
}

#[test]
fn where_nobody_asked_for_it_nothing_is_observed() {
    let mut observed = Observed::new(2);
    observed.case.goes_over(&service(1, "", 2));
    (0..2).for_each(|real| observed.answers(real));
    assert_eq!(observed.passes(&[]), NOBODY);
    assert_eq!(observed.passes(&[(0, 0, 100)]), NOBODY);
}
