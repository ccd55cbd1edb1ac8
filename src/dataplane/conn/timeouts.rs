//! How long an entry outlives its last packet.

use std::sync::Arc;

use super::entry::{SHORTEST_LIFE, Value};
use super::state::State;
use super::tick::Tick;

/// The longest timeout, in seconds: IPVS's for a persistence template, 31 days.
pub const LONGEST: u32 = 31 * 24 * 3600;

/// Timeouts by state; and, for connections that are open and idle, those of services that have one of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    seconds: [u32; State::COUNT],
    /// The age, in ticks, from which an entry may be removed: the shortest of any service; never for links.
    limits: [u32; State::COUNT],
    /// The same, but links are looked at whatever their age.
    limits_and_links: [u32; State::COUNT],
    /// By real-server id, its service's own timeout in seconds; 0 for none.
    own: Arc<[u32]>,
    /// The same of its service's persistence.
    persistence: Arc<[u32]>,
}

/// The states of a connection that is open: what a service's own timeout is about.
const OPEN: [State; 4] = [State::TCP_ESTABLISHED, State::SCTP_ESTABLISHED, State::UDP_ONE_WAY, State::UDP];

/// The age, in ticks, from which an entry with this timeout is removed.
const fn limit(seconds: u32) -> u32 {
    seconds * 4 + SHORTEST_LIFE
}

/// IPVS's defaults, in seconds: `ip_vs_proto_tcp.c`, `ip_vs_proto_sctp.c`, `ip_vs_proto_udp.c`.
const DEFAULTS: [(State, u32); 31] = [
    (State::TCP_NONE, 2),
    (State::TCP_ESTABLISHED, 15 * 60),
    (State::TCP_SYN_SENT, 2 * 60),
    (State::TCP_SYN_RECV, 60),
    (State::TCP_FIN_WAIT, 2 * 60),
    (State::TCP_TIME_WAIT, 2 * 60),
    (State::TCP_CLOSE, 10),
    (State::TCP_CLOSE_WAIT, 60),
    (State::TCP_LAST_ACK, 30),
    (State::TCP_LISTEN, 2 * 60),
    (State::TCP_SYNACK, 2 * 60),
    (State::TCP_LAST, 2),
    (State::SCTP_NONE, 2),
    (State::SCTP_INIT1, 4),
    (State::SCTP_INIT, 61),
    (State::SCTP_COOKIE_SENT, 61),
    (State::SCTP_COOKIE_REPLIED, 61),
    (State::SCTP_COOKIE_WAIT, 61),
    (State::SCTP_COOKIE, 61),
    (State::SCTP_COOKIE_ECHOED, 61),
    (State::SCTP_ESTABLISHED, 15 * 60),
    (State::SCTP_SHUTDOWN_SENT, 61),
    (State::SCTP_SHUTDOWN_RECEIVED, 61),
    (State::SCTP_SHUTDOWN_ACK_SENT, 61),
    (State::SCTP_REJECTED, 4),
    (State::SCTP_CLOSED, 61),
    (State::UDP_ONE_WAY, 5 * 60),
    (State::UDP, 5 * 60),
    // IPVS does not balance ICMP; nobody waits longer for an echo.
    (State::ICMP, 60),
    // A template's is its service's persistence timeout; ipvsadm's default for that.
    (State::TEMPLATE_NONE, 300),
    (State::TEMPLATE_ASSURED, 300),
];

/// Timeouts by real server, none longer than the longest, and the shortest that one has; nothing if none has one.
fn limited(own: impl IntoIterator<Item = u32>) -> (Arc<[u32]>, Option<u32>) {
    let own: Vec<u32> = own.into_iter().map(|seconds| seconds.min(LONGEST)).collect();
    let shortest = own.iter().copied().filter(|seconds| *seconds > 0).min();
    (shortest.map_or_else(Arc::default, |_| own.into()), shortest)
}

impl Default for Timeouts {
    fn default() -> Self {
        let unlimited = [u32::MAX; State::COUNT];
        let none = Self {
            seconds: [0; 32],
            limits: unlimited,
            limits_and_links: unlimited,
            own: Arc::new([]),
            persistence: Arc::new([]),
        };
        let mut timeouts = DEFAULTS.iter().fold(none, |timeouts, &(state, seconds)| timeouts.with(state, seconds));
        timeouts.limits_and_links[State::LINK.index()] = 0;
        timeouts
    }
}

impl Timeouts {
    /// Sets a state's timeout, [`LONGEST`] at most. A link has none.
    #[must_use]
    pub fn with(mut self, state: State, seconds: u32) -> Self {
        if state != State::LINK {
            let seconds = seconds.min(LONGEST);
            self.seconds[state.index()] = seconds;
            self.limits[state.index()] = limit(seconds);
            self.limits_and_links[state.index()] = limit(seconds);
        }
        self
    }

    /// Gives real servers, by id, a timeout of their own for open connections, in seconds, [`LONGEST`] at most; 0 leaves
    /// a real server with its states' timeouts. Set these first.
    #[must_use]
    pub fn with_own(mut self, own: impl IntoIterator<Item = u32>) -> Self {
        let (own, shortest) = limited(own);
        self.own = own;
        self.look_closer(&OPEN, shortest);
        self
    }

    /// Sets how long the templates of real servers, by id, last, in seconds, [`LONGEST`] at most.
    #[must_use]
    pub fn with_persistence(mut self, persistence: impl IntoIterator<Item = u32>) -> Self {
        let (persistence, shortest) = limited(persistence);
        self.persistence = persistence;
        self.look_closer(&[State::TEMPLATE_NONE, State::TEMPLATE_ASSURED], shortest);
        self
    }

    fn look_closer(&mut self, states: &[State], shortest: Option<u32>) {
        for (state, shortest) in states.iter().filter_map(|state| Some((state, shortest?))) {
            let least = self.limits[state.index()].min(limit(shortest));
            self.limits[state.index()] = least;
            self.limits_and_links[state.index()] = least;
        }
    }

    /// A state's timeout, in seconds.
    pub fn seconds(&self, state: State) -> u32 {
        self.seconds[state.index()]
    }

    /// An entry's timeout, in seconds; that of a link means nothing.
    #[inline]
    pub fn of(&self, entry: Value) -> u32 {
        let own = match entry.state() {
            state if OPEN.contains(&state) => &self.own,
            State::TEMPLATE_NONE | State::TEMPLATE_ASSURED => &self.persistence,
            state => return self.seconds(state),
        };
        own.get(entry.real().index()).copied().filter(|own| *own > 0).unwrap_or_else(|| self.seconds(entry.state()))
    }

    /// Tells whether an entry's time is over at `now`: never early, and at most half a second late, since last seen
    /// is up to two ticks old.
    #[inline]
    pub fn expired(&self, entry: Value, now: Tick) -> bool {
        !entry.is_link() && now.since(entry.seen()) >= limit(self.of(entry))
    }

    /// Returns the whole seconds until the entry's time is over, as `ipvsadm -Lnc` shows it.
    pub fn remaining(&self, entry: Value, now: Tick) -> u32 {
        self.of(entry).saturating_sub(now.since(entry.seen()) / 4)
    }

    /// The age from which the sweep looks closer, in ticks by state number.
    #[inline]
    pub(super) fn limits(&self, links: bool) -> &[u32; State::COUNT] {
        if links { &self.limits_and_links } else { &self.limits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::service::RealId;

    #[test]
    fn every_state_but_a_link_has_a_default() {
        let timeouts = Timeouts::default();
        for number in 0..31 {
            assert_eq!(DEFAULTS[usize::from(number)].0.number(), number);
            assert!(timeouts.seconds(State::from_number(number)) > 0);
        }
        assert_eq!(timeouts.seconds(State::LINK), 0);
    }

    #[test]
    fn an_entry_expires_after_its_timeout_and_two_ticks() {
        let timeouts = Timeouts::default();
        for (state, seconds) in [(State::TCP_ESTABLISHED, 900), (State::TCP_FIN_WAIT, 120), (State::UDP, 300)] {
            assert_eq!(timeouts.seconds(state), seconds);
            let seen = Tick::from_number(Tick::MASK - 7);
            let entry = Value::new(state, seen, RealId(1));
            assert!(!timeouts.expired(entry, seen));
            assert!(!timeouts.expired(entry, seen.after(seconds * 4 + 1)));
            assert!(timeouts.expired(entry, seen.after(seconds * 4 + 2)));
            assert!(!timeouts.expired(entry, Tick::from_number(Tick::MASK - 8)), "seen a moment after now");
            assert_eq!(timeouts.remaining(entry, seen.after(41)), seconds - 10);
        }
    }

    #[test]
    fn the_longest_timeout_is_kept() {
        let timeouts = Timeouts::default().with(State::UDP, u32::MAX);
        assert_eq!(timeouts.seconds(State::UDP), LONGEST);
        let seen = Tick::from_number(77);
        let entry = Value::new(State::UDP, seen, RealId(1));
        assert!(!timeouts.expired(entry, seen.after(LONGEST * 4 + 1)));
        assert!(timeouts.expired(entry, seen.after(LONGEST * 4 + 2)));
    }

    #[test]
    fn a_service_may_have_a_timeout_of_its_own() {
        let timeouts = Timeouts::default().with_own([0, 0, 30, 7200]);
        let seen = Tick::from_number(1000);
        let entry = |state, real| Value::new(state, seen, RealId(real));
        for (state, real, seconds) in [
            (State::TCP_ESTABLISHED, 1, 900),
            (State::TCP_ESTABLISHED, 2, 30),
            (State::TCP_ESTABLISHED, 3, 7200),
            (State::TCP_ESTABLISHED, 4, 900),
            (State::TCP_FIN_WAIT, 2, 120),
            (State::UDP, 2, 30),
            (State::SCTP_ESTABLISHED, 2, 30),
            (State::SCTP_CLOSED, 2, 61),
            (State::UDP_ONE_WAY, 3, 7200),
        ] {
            let entry = entry(state, real);
            assert_eq!(timeouts.of(entry), seconds);
            assert!(!timeouts.expired(entry, seen.after(seconds * 4 + 1)));
            assert!(timeouts.expired(entry, seen.after(seconds * 4 + 2)));
        }
        assert_eq!(timeouts.limits(false)[1], 122, "the sweep looks at the age of the shortest");
        assert_eq!(Timeouts::default().with_own([0, 7200]).limits(false)[1], 3602);
    }

    #[test]
    fn a_link_never_expires_and_is_looked_at_when_asked() {
        let timeouts = Timeouts::default().with(State::LINK, 1);
        assert_eq!(timeouts.limits(false)[31], u32::MAX);
        assert_eq!(timeouts.limits(true)[31], 0);
        assert_eq!(timeouts.limits(true)[..31], timeouts.limits(false)[..31]);
    }
}
