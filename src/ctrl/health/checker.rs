//! Who makes the checks: a thread with a runtime of its own, on the control core, so that neither holds up the other.
//!
//! Each real server has a task that waits for its next check, makes it, and tells control only of another state. What a check saw
//! is noted where listings find it. Control may know better that one fails: then its checks go on as of one that is down.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use hashbrown::HashMap;
use log::warn;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until};

use super::book::{Begin, Key, Order, Verdict};
use super::check::{Check, Path};
use super::live::{Last, Live, Seen};
use super::probe::{Kind, Prober, Target};
use super::schedule::Schedule;
use super::tracker::Tracker;

/// Gives orders to the checker. When the last is dropped, the thread ends.
#[derive(Clone, Debug)]
pub struct Orders(UnboundedSender<Order>);

impl Orders {
    /// Orders that nobody hears.
    pub fn unheard() -> Self {
        Self(unbounded_channel().0)
    }

    /// Has the checker do these things, soon.
    pub fn give(&self, orders: Vec<Order>) {
        for order in orders {
            // The thread is gone only if it panicked; `Checker` says so.
            let _ = self.0.send(order);
        }
    }
}

/// The checker, and what it tells.
#[derive(Debug)]
pub struct Checker {
    /// What its checks find. There are never more waiting than there are real servers and changes of their states.
    pub verdicts: UnboundedReceiver<Verdict>,
    /// The thread; it ends when all [`Orders`] are dropped.
    pub thread: JoinHandle<()>,
}

impl Checker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has none left.
    pub fn start() -> io::Result<(Self, Orders)> {
        let (give, orders) = unbounded_channel();
        let (tell, verdicts) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || LocalSet::new().block_on(&runtime, work(orders, tell));
        let thread = thread::Builder::new().name("health".to_owned()).spawn(work)?;
        Ok((Self { verdicts, thread }, Orders(give)))
    }
}

/// Each check under way has a socket: all that the system allows.
fn allow_sockets() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        warn!("health checks: no more than {current:?} sockets at once: {cause}");
    }
}

async fn work(mut orders: UnboundedReceiver<Order>, tell: UnboundedSender<Verdict>) {
    let (origin, mut tasks) = (Instant::now(), HashMap::<Key, Task>::new());
    let (mut number, mut allowed) = (0u32, false);
    while let Some(order) = orders.recv().await {
        let key = match &order {
            Order::Begin(begin) => begin.key,
            Order::Fall { key, .. } | Order::End(key) => *key,
        };
        if let Order::Fall { live, .. } = order {
            if let Some(task) = tasks.get(&key) {
                task.known.borrow_mut().fall(live, origin.elapsed());
            }
            continue;
        }
        if let Some(task) = tasks.remove(&key) {
            task.watch.abort();
        }
        let Order::Begin(begin) = order else { continue };
        if !std::mem::replace(&mut allowed, true) {
            allow_sockets();
        }
        let prober = Prober::new(&begin.check.probe).map_err(|error| error.to_string());
        let (prober, target) = match prober.and_then(|prober| Ok((prober, target(&begin)?))) {
            Ok(ready) => ready,
            Err(error) => {
                let reason = format!("cannot be made: {error}");
                warn!("check of {} for {}: {reason}", key.1, key.0);
                begin.live.note(|seen| seen.take(Err((Kind::Local, reason)), Duration::ZERO));
                continue;
            }
        };
        let earliest = origin.elapsed() + begin.check.delay;
        let schedule = Schedule::new(number, earliest, begin.check.interval, begin.check.jitter);
        number = number.wrapping_add(1);
        let timeout = begin.check.timeout;
        let Begin { key, check, tracker, live, .. } = *begin;
        let known = Rc::new(RefCell::new(Known { key, check, tracker, live }));
        let station =
            Station { known: Rc::clone(&known), timeout, prober, target, schedule, origin, tell: tell.clone() };
        tasks.insert(key, Task { watch: spawn_local(station.watch()).abort_handle(), known });
    }
    tasks.into_values().for_each(|task| task.watch.abort());
}

/// Checks under way, and what they have found so far.
struct Task {
    watch: AbortHandle,
    known: Rc<RefCell<Known>>,
}

/// Who is asked.
fn target(begin: &Begin) -> Result<Target, String> {
    let Begin { key: (service, real), check, through, .. } = begin;
    let (address, stands_for, bind) = match (check.path, through) {
        (Path::Real, _) => {
            let address = check.address.unwrap_or(real.ip());
            (SocketAddr::new(address, check.port.unwrap_or(real.port())), None, None)
        }
        (Path::Vip, Some(through)) => {
            let port = check.port.unwrap_or(through.port);
            let at = |address: Ipv4Addr| SocketAddr::new(address.into(), port);
            (at(through.to), Some(at(through.vip)), Some(through.from.into()))
        }
        (Path::Vip, None) => return Err("there is no way through its VIP".to_owned()),
    };
    let environment = vec![
        ("MILLRACE_SERVICE".to_owned(), service.to_string()),
        ("MILLRACE_PROTOCOL".to_owned(), service.protocol().to_lowercase()),
        ("MILLRACE_REAL".to_owned(), real.to_string()),
    ];
    Ok(Target { address, stands_for, bind, environment })
}

/// A real server and its checks.
struct Station {
    known: Rc<RefCell<Known>>,
    timeout: Duration,
    prober: Prober,
    target: Target,
    schedule: Schedule,
    origin: Instant,
    tell: UnboundedSender<Verdict>,
}

impl Station {
    /// Checks until the task is ended.
    async fn watch(mut self) {
        loop {
            let due = self.schedule.next(self.origin.elapsed(), fastrand::f64());
            sleep_until(self.origin + due).await;
            let start = Instant::now();
            let outcome = self.prober.check(&self.target, self.timeout).await;
            let told = outcome.map(drop).map_err(|failure| (failure.kind(), failure.to_string()));
            let verdict = self.known.borrow_mut().take(told, start.elapsed(), self.origin.elapsed());
            if let Some(verdict) = verdict {
                // Control goes first when the director ends.
                let _ = self.tell.send(verdict);
            }
        }
    }
}

/// What is known of a real server. Times are since the checker's start.
struct Known {
    key: Key,
    check: Arc<Check>,
    tracker: Tracker,
    live: Arc<Live>,
}

impl Known {
    /// Takes in how a check ended. Returns what control is told: another state.
    fn take(&mut self, told: Result<(), (Kind, String)>, took: Duration, now: Duration) -> Option<Verdict> {
        let counts = !matches!(told, Err((Kind::Local, _)));
        let turn = if counts { self.tracker.see(told.is_ok(), &self.check, now) } else { None };
        let verdict = turn.map(|up| {
            let reason = match &told {
                Ok(()) if self.check.rise > 1 => format!("{} right answers in a row", self.check.rise),
                Ok(()) => "answers".to_owned(),
                Err((_, reason)) => reason.clone(),
            };
            Verdict { key: self.key, live: Arc::clone(&self.live), up, reason }
        });
        self.live.note(|seen| seen.take(told, took));
        self.note(now);
        verdict
    }

    /// It is down, as control knows; what was told of it before is not heard any more, since it is noted elsewhere from now on.
    fn fall(&mut self, live: Arc<Live>, now: Duration) {
        self.live = live;
        self.tracker.fall(&self.check, now);
        self.note(now);
    }

    fn note(&self, now: Duration) {
        let held = self.tracker.held_until().checked_sub(now).filter(|left| !left.is_zero());
        let (against, held_until) = (self.tracker.against(), held.map(|left| SystemTime::now() + left));
        self.live.note(|seen| {
            seen.against = against;
            seen.held_until = held_until;
        });
    }
}

impl Seen {
    /// Counts a check that has ended.
    fn take(&mut self, outcome: Result<(), (Kind, String)>, took: Duration) {
        match &outcome {
            Ok(()) => self.right += 1,
            Err((Kind::Local, _)) => self.unmade += 1,
            Err(_) => self.wrong += 1,
        }
        self.last = Some(Last { at: SystemTime::now(), took, failure: outcome.err().map(|(_, reason)| reason) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tracker::tests::check;
    use super::*;

    fn known(rise: u32) -> Known {
        let key = (
            crate::ctrl::config::Selector::Mark(7, crate::dataplane::address::Family::V4),
            "10.0.0.2:80".parse().unwrap(),
        );
        let check = Arc::new(check(rise, 3, 300));
        Known { key, check, tracker: Tracker::known(true), live: Arc::default() }
    }

    /// Takes in a right answer.
    fn right(known: &mut Known, second: u64) -> Option<Verdict> {
        known.take(Ok(()), Duration::ZERO, Duration::from_secs(second))
    }

    #[test]
    fn who_fell_by_the_book_is_brought_back_by_right_answers() {
        let mut known = known(2);
        assert!(right(&mut known, 1).is_none());
        let before = Arc::clone(&known.live);
        let live = Arc::new(Live::from(before.seen()));
        known.fall(Arc::clone(&live), Duration::from_secs(2));
        assert!(right(&mut known, 3).is_none());
        assert_eq!((before.seen().right, live.seen().right, live.seen().against), (1, 2, 1));
        let verdict = right(&mut known, 4).unwrap();
        assert!(verdict.up && Arc::ptr_eq(&verdict.live, &live));
    }

    #[test]
    fn who_falls_so_again_and_again_is_held_down() {
        let mut known = known(1);
        let mut second = 0;
        for hold in [0, 0, 5, 10] {
            known.fall(Arc::default(), Duration::from_secs(second));
            assert_eq!(known.live.seen().held_until.is_some(), hold > 0);
            let fell = second;
            loop {
                second += 1;
                if right(&mut known, second).is_some() {
                    break;
                }
            }
            assert_eq!(second - fell, hold.max(1));
        }
    }
}
