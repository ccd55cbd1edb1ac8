//! Who makes the checks: a thread with a runtime of its own, on the control core, so that neither holds up the other.
//!
//! Each real server has a task that waits for its next check, makes it, and tells control only of another state. What a check saw
//! is noted where listings find it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
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
use super::check::Path;
use super::live::{Last, Seen};
use super::probe::{self, Kind, Prober, Target};
use super::schedule::Schedule;

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
    let (origin, mut tasks) = (Instant::now(), HashMap::<Key, AbortHandle>::new());
    let (mut number, mut allowed) = (0u32, false);
    while let Some(order) = orders.recv().await {
        let key = match &order {
            Order::Begin(begin) => begin.key,
            Order::End(key) => *key,
        };
        if let Some(task) = tasks.remove(&key) {
            task.abort();
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
        let station = Station { begin: *begin, prober, target, schedule, origin, tell: tell.clone() };
        tasks.insert(key, spawn_local(station.watch()).abort_handle());
    }
    tasks.into_values().for_each(|task| task.abort());
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
    begin: Begin,
    prober: Prober,
    target: Target,
    schedule: Schedule,
    origin: Instant,
    tell: UnboundedSender<Verdict>,
}

impl Station {
    /// Checks until the task is ended.
    async fn watch(mut self) {
        let timeout = self.begin.check.timeout;
        loop {
            let due = self.schedule.next(self.origin.elapsed(), fastrand::f64());
            sleep_until(self.origin + due).await;
            let start = Instant::now();
            let outcome = self.prober.check(&self.target, timeout).await;
            self.take(outcome, start.elapsed());
        }
    }

    /// Takes in how a check ended.
    fn take(&mut self, outcome: Result<Duration, probe::Failure>, took: Duration) {
        let Self { begin: Begin { key, check, tracker, live, .. }, origin, tell, .. } = self;
        let told = outcome.map(drop).map_err(|failure| (failure.kind(), failure.to_string()));
        let counts = !matches!(told, Err((Kind::Local, _)));
        let now = origin.elapsed();
        let turn = if counts { tracker.see(told.is_ok(), check, now) } else { None };
        if let Some(up) = turn {
            let reason = match &told {
                Ok(()) if check.rise > 1 => format!("{} right answers in a row", check.rise),
                Ok(()) => "answers".to_owned(),
                Err((_, reason)) => reason.clone(),
            };
            // Control goes first when the director ends.
            let _ = tell.send(Verdict { key: *key, live: Arc::clone(live), up, reason });
        }
        let held = tracker.held_until().checked_sub(now).filter(|left| !left.is_zero());
        let (against, held_until) = (tracker.against(), held.map(|left| SystemTime::now() + left));
        live.note(|seen| {
            seen.take(told, took);
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
