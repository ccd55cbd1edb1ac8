//! SCTP's states as IPVS follows them (`ip_vs_proto_sctp.c`): by one chunk a packet, and from one side only where the
//! real server answers the client itself.
//!
//! ```text
//!  client INIT        server INIT ACK         client COOKIE ECHO            server COOKIE ACK
//! ------------> INIT1 ---------------> C-SENT ------------------> C-REPLIED -----------------> ESTABLISHED
//!                 | INIT again                                                                   |    |
//!                 +-----------> INIT                                      server SHUTDOWN: S-SENT     client SHUTDOWN:
//!                                                                                |               S-RECEIVED
//!                                              client SHUTDOWN ACK               |                    | server SHUTDOWN ACK
//!                                        CLOSED <--------------------------------+               S-ACK-SENT
//!                                           ^                                   client SHUTDOWN COMPLETE |
//!                                           +------------------------------------------------------------+
//!  ABORT from either side, almost anywhere: CLOSED; from the real server in answer to the first INIT: REJECTED
//! ```
//! What the real server opens towards the client goes C-WAIT, COOKIE, C-ECHOED. Where its answers are not seen, the
//! client's COOKIE ECHO is as good as ESTABLISHED.
//!
//! The chunk is the packet's first; where that is COOKIE ECHO or COOKIE ACK and an ABORT follows at once, the ABORT.
//! Data, acknowledgements, heartbeats and every chunk unknown here are one event, "data".

use super::entry::Value;
use super::state::State;
use super::tcp_state::Direction;
use super::tick::Tick;

/// What a packet's chunk means for the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SctpEvent {
    /// DATA, SACK, HEARTBEAT, HEARTBEAT ACK, ECNE, CWR, and whatever is unknown.
    Data = 0,
    /// INIT.
    Init = 1,
    /// INIT ACK.
    InitAck = 2,
    /// COOKIE ECHO.
    CookieEcho = 3,
    /// COOKIE ACK.
    CookieAck = 4,
    /// SHUTDOWN.
    Shutdown = 5,
    /// SHUTDOWN ACK.
    ShutdownAck = 6,
    /// SHUTDOWN COMPLETE.
    ShutdownComplete = 7,
    /// ERROR.
    Error = 8,
    /// ABORT.
    Abort = 9,
}

impl SctpEvent {
    /// The event of a packet whose deciding chunk has this type (RFC 9260 §3.2).
    #[inline]
    pub const fn of(chunk: u8) -> Self {
        match chunk {
            1 => Self::Init,
            2 => Self::InitAck,
            6 => Self::Abort,
            7 => Self::Shutdown,
            8 => Self::ShutdownAck,
            9 => Self::Error,
            10 => Self::CookieEcho,
            11 => Self::CookieAck,
            14 => Self::ShutdownComplete,
            _ => Self::Data,
        }
    }
}

/// The states by their numbers, counted from [`State::SCTP_NONE`], and, past them, what has no column: closed.
type Row = [State; 16];

const fn row(to: [State; 14]) -> Row {
    let mut row = [CL; 16];
    let mut from = 0;
    while from < to.len() {
        row[from] = to[from];
        from += 1;
    }
    row
}

const I1: State = State::SCTP_INIT1;
const IN: State = State::SCTP_INIT;
const CS: State = State::SCTP_COOKIE_SENT;
const CR: State = State::SCTP_COOKIE_REPLIED;
const CW: State = State::SCTP_COOKIE_WAIT;
const CO: State = State::SCTP_COOKIE;
const CE: State = State::SCTP_COOKIE_ECHOED;
const ES: State = State::SCTP_ESTABLISHED;
const SS: State = State::SCTP_SHUTDOWN_SENT;
const SR: State = State::SCTP_SHUTDOWN_RECEIVED;
const SA: State = State::SCTP_SHUTDOWN_ACK_SENT;
const RJ: State = State::SCTP_REJECTED;
const CL: State = State::SCTP_CLOSED;

/// By direction, event, and the state before, whose order is that of the numbers:
/// NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL.
#[rustfmt::skip]
static NEXT: [[Row; 10]; 3] = [
    [
        row([ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([I1, IN, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, IN, IN]),
        row([CW, CW, CW, CS, CR, CO, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CR, IN, IN, CR, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([ES, I1, IN, CS, CR, CW, CO, ES, ES, SS, SR, SA, RJ, CL]),
        row([SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL]),
        row([CL, IN, IN, CS, CR, CW, CO, CE, ES, CL, SR, CL, RJ, CL]),
        row([CL, CL, CL, CS, CR, CW, CO, CE, ES, SS, SR, CL, RJ, CL]),
        row([CL, I1, IN, CS, CR, CW, CO, CL, ES, SS, SR, SA, RJ, CL]),
        row([CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL]),
    ],
    [
        row([ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CW, CW, CW, CW, CW, CW, CW, CW, ES, CW, CW, CW, CW, CW]),
        row([CS, CS, CS, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CE, CE, CE, CE, CE, CE, CE, CE, ES, SS, SR, SA, RJ, CL]),
        row([ES, ES, ES, ES, ES, ES, ES, ES, ES, SS, SR, SA, RJ, CL]),
        row([SS, SS, SS, SS, SS, SS, SS, SS, SS, SS, SR, SA, RJ, CL]),
        row([SA, SA, SA, SA, SA, CW, CO, CE, ES, SA, SA, SA, RJ, CL]),
        row([CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL]),
    ],
    [
        row([ES, I1, IN, CS, CR, ES, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([I1, IN, IN, IN, IN, IN, CO, CE, ES, SS, SR, SA, IN, IN]),
        row([CE, CE, CE, CE, CE, CE, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([ES, ES, ES, ES, ES, ES, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([ES, I1, IN, ES, ES, CW, ES, ES, ES, SS, SR, SA, RJ, CL]),
        row([SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL]),
        row([CL, IN, IN, CS, CR, CW, CO, CE, CL, CL, SR, CL, RJ, CL]),
        row([CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, CL, CL, RJ, CL]),
        row([CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL]),
    ],
];

/// Returns the state that an event leads to. `state` is one of SCTP's.
#[inline]
pub fn next(state: State, direction: Direction, event: SctpEvent) -> State {
    let column = state.number().wrapping_sub(State::SCTP_NONE.number());
    debug_assert!(column <= State::SCTP_CLOSED.number() - State::SCTP_NONE.number());
    NEXT[direction as usize][event as usize][usize::from(column & 15)]
}

/// Returns an SCTP connection's entry after a packet from the client (or, `reply`, from the real server). Its
/// direction is as TCP's: see [`Direction::of`].
pub fn after(entry: Value, reply: bool, event: SctpEvent, now: Tick) -> Value {
    let direction = Direction::of(reply, entry);
    let entry = if reply { entry.with_no_output(false) } else { entry };
    entry.in_state(next(entry.state(), direction, event), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::service::RealId;

    /// The three tables as the kernel's source has them, a line each: a second transcription, in its notation.
    const KERNEL: &str = "
        INPUT
        d   sES sI1 sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL
        i   sI1 sIN sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sIN sIN
        i_a sCW sCW sCW sCS sCR sCO sCO sCE sES sSS sSR sSA sRJ sCL
        c_e sCR sIN sIN sCR sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL
        c_a sES sI1 sIN sCS sCR sCW sCO sES sES sSS sSR sSA sRJ sCL
        s   sSR sI1 sIN sCS sCR sCW sCO sCE sSR sSS sSR sSA sRJ sCL
        s_a sCL sIN sIN sCS sCR sCW sCO sCE sES sCL sSR sCL sRJ sCL
        s_c sCL sCL sCL sCS sCR sCW sCO sCE sES sSS sSR sCL sRJ sCL
        err sCL sI1 sIN sCS sCR sCW sCO sCL sES sSS sSR sSA sRJ sCL
        ab  sCL sCL sCL sCL sCL sRJ sCL sCL sCL sCL sCL sCL sCL sCL
        OUTPUT
        d   sES sI1 sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL
        i   sCW sCW sCW sCW sCW sCW sCW sCW sES sCW sCW sCW sCW sCW
        i_a sCS sCS sCS sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL
        c_e sCE sCE sCE sCE sCE sCE sCE sCE sES sSS sSR sSA sRJ sCL
        c_a sES sES sES sES sES sES sES sES sES sSS sSR sSA sRJ sCL
        s   sSS sSS sSS sSS sSS sSS sSS sSS sSS sSS sSR sSA sRJ sCL
        s_a sSA sSA sSA sSA sSA sCW sCO sCE sES sSA sSA sSA sRJ sCL
        s_c sCL sI1 sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL
        err sCL sCL sCL sCL sCL sCW sCO sCE sES sSS sSR sSA sRJ sCL
        ab  sCL sRJ sCL sCL sCL sCL sCL sCL sCL sCL sCL sCL sCL sCL
        INPUT-ONLY
        d   sES sI1 sIN sCS sCR sES sCO sCE sES sSS sSR sSA sRJ sCL
        i   sI1 sIN sIN sIN sIN sIN sCO sCE sES sSS sSR sSA sIN sIN
        i_a sCE sCE sCE sCE sCE sCE sCO sCE sES sSS sSR sSA sRJ sCL
        c_e sES sES sES sES sES sES sCO sCE sES sSS sSR sSA sRJ sCL
        c_a sES sI1 sIN sES sES sCW sES sES sES sSS sSR sSA sRJ sCL
        s   sSR sI1 sIN sCS sCR sCW sCO sCE sSR sSS sSR sSA sRJ sCL
        s_a sCL sIN sIN sCS sCR sCW sCO sCE sCL sCL sSR sCL sRJ sCL
        s_c sCL sCL sCL sCL sCL sCW sCO sCE sES sSS sCL sCL sRJ sCL
        err sCL sI1 sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL
        ab  sCL sCL sCL sCL sCL sRJ sCL sCL sCL sCL sCL sCL sCL sCL";

    const NAMES: [&str; 14] =
        ["sNO", "sI1", "sIN", "sCS", "sCR", "sCW", "sCO", "sCE", "sES", "sSS", "sSR", "sSA", "sRJ", "sCL"];

    fn state(short: &str) -> State {
        numbered(NAMES.iter().position(|&name| name == short).unwrap())
    }

    fn numbered(column: usize) -> State {
        State::from_number(State::SCTP_NONE.number() + column as u8)
    }

    fn event(short: &str) -> Option<SctpEvent> {
        Some(match short {
            "d" => SctpEvent::Data,
            "i" => SctpEvent::Init,
            "i_a" => SctpEvent::InitAck,
            "c_e" => SctpEvent::CookieEcho,
            "c_a" => SctpEvent::CookieAck,
            "s" => SctpEvent::Shutdown,
            "s_a" => SctpEvent::ShutdownAck,
            "s_c" => SctpEvent::ShutdownComplete,
            "err" => SctpEvent::Error,
            "ab" => SctpEvent::Abort,
            _ => return None,
        })
    }

    #[test]
    fn every_cell_is_the_kernels() {
        let mut direction = Direction::Input;
        let mut cells = 0;
        for line in KERNEL.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            let heading = words.next().unwrap();
            let Some(event) = event(heading) else {
                direction = match heading {
                    "INPUT" => Direction::Input,
                    "OUTPUT" => Direction::Output,
                    _ => Direction::InputOnly,
                };
                continue;
            };
            for (from, to) in words.enumerate() {
                let from = numbered(from);
                assert_eq!(next(from, direction, event), state(to), "{direction:?} {event:?} {from:?}");
                cells += 1;
            }
        }
        assert_eq!(cells, 3 * 10 * 14);
    }

    #[test]
    fn every_chunk_has_its_event() {
        use SctpEvent::{
            Abort, CookieAck, CookieEcho, Data, Error, Init, InitAck, Shutdown, ShutdownAck, ShutdownComplete,
        };
        let known = [
            Data,
            Init,
            InitAck,
            Data,
            Data,
            Data,
            Abort,
            Shutdown,
            ShutdownAck,
            Error,
            CookieEcho,
            CookieAck,
            Data,
            Data,
            ShutdownComplete,
        ];
        for chunk in 0..=255 {
            assert_eq!(SctpEvent::of(chunk), known.get(usize::from(chunk)).copied().unwrap_or(Data), "{chunk}");
        }
    }

    fn walk(mut entry: Value, packets: &[(bool, SctpEvent)]) -> Vec<&'static str> {
        let mut names = vec![entry.state().name()];
        for &(reply, event) in packets {
            entry = after(entry, reply, event, Tick::default());
            names.push(entry.state().name());
        }
        names
    }

    #[test]
    fn an_association_by_nat_goes_through_its_states() {
        use SctpEvent::{CookieAck, CookieEcho, Data, Init, InitAck, Shutdown, ShutdownAck, ShutdownComplete};
        let entry = Value::new(State::SCTP_NONE, Tick::default(), RealId(1));
        let opening = [(false, Init), (true, InitAck), (false, CookieEcho), (true, CookieAck), (true, Data)];
        let by_client = [(false, Shutdown), (true, ShutdownAck), (false, ShutdownComplete)];
        let names = ["NONE", "INIT1", "C-SENT", "C-REPLIED", "ESTABLISHED", "ESTABLISHED"];
        let closing = ["S-RECEIVED", "S-ACK-SENT", "CLOSED"];
        assert_eq!(walk(entry, &[&opening[..], &by_client].concat()), [&names[..], &closing].concat());
        let by_server = [(true, Shutdown), (false, ShutdownAck), (true, ShutdownComplete)];
        let closing = ["S-SENT", "CLOSED", "CLOSED"];
        assert_eq!(walk(entry, &[&opening[..], &by_server].concat()), [&names[..], &closing].concat());
    }

    #[test]
    fn without_the_answers_the_clients_cookie_opens() {
        use SctpEvent::{CookieEcho, Data, Init, Shutdown, ShutdownComplete};
        let entry = Value::new(State::SCTP_NONE, Tick::default(), RealId(1)).with_no_output(true);
        let packets = [Init, CookieEcho, Data, Shutdown, ShutdownComplete].map(|event| (false, event));
        assert_eq!(walk(entry, &packets), ["NONE", "INIT1", "ESTABLISHED", "ESTABLISHED", "S-RECEIVED", "CLOSED"]);
    }

    #[test]
    fn a_refused_init_is_rejected_and_may_be_tried_again() {
        use SctpEvent::{Abort, Init, InitAck};
        let entry = Value::new(State::SCTP_NONE, Tick::default(), RealId(1));
        let packets = [(false, Init), (true, Abort), (false, Init), (true, InitAck)];
        assert_eq!(walk(entry, &packets), ["NONE", "INIT1", "REJECTED", "INIT", "C-SENT"]);
    }

    #[test]
    fn an_answer_seen_after_all_is_remembered() {
        let entry = Value::new(State::SCTP_ESTABLISHED, Tick::default(), RealId(1)).with_no_output(true);
        let answered = after(entry, true, SctpEvent::Data, Tick::default());
        assert!(!answered.no_output());
        assert_eq!(after(answered, false, SctpEvent::ShutdownAck, Tick::default()).state(), State::SCTP_ESTABLISHED);
        assert_eq!(after(entry, false, SctpEvent::ShutdownAck, Tick::default()).state(), State::SCTP_CLOSED);
    }
}
