//! TCP's states as IPVS follows them (`ip_vs_proto_tcp.c`): from the outside, and from one side only where the real
//! server answers the client itself.
//!
//! ```text
//!  client SYN           either's ACK            server FIN             client FIN
//! ------------> SYN_RECV -----------> ESTABLISHED ---------> FIN_WAIT -----> TIME_WAIT
//!                                         |                     (client's ACK keeps it)
//!                                         | client FIN             server FIN
//!                                         +-----------> CLOSE_WAIT ----------> TIME_WAIT
//!  RST from either side, almost anywhere: CLOSE
//! ```
//! The event is the first of RST, SYN, FIN, ACK that the segment has. A segment with none of them closes.

use super::entry::Value;
use super::state::State;
use super::tick::Tick;

/// Which way a segment goes, and whether the other way is seen at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Client to real server; the answers pass here too (NAT).
    Input = 0,
    /// Real server to client.
    Output = 1,
    /// Client to real server, which answers the client itself (tunnel, direct routing).
    InputOnly = 2,
}

impl Direction {
    /// The direction of a client's packet (or, `reply`, a real server's) in a connection.
    #[inline(always)]
    pub const fn of(reply: bool, entry: Value) -> Self {
        match (reply, entry.no_output()) {
            (true, _) => Self::Output,
            (false, false) => Self::Input,
            (false, true) => Self::InputOnly,
        }
    }
}

/// What a segment means for the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpEvent {
    /// SYN, with or without ACK.
    Syn = 0,
    /// FIN.
    Fin = 1,
    /// ACK alone.
    Ack = 2,
    /// RST, whatever else.
    Rst = 3,
    /// None of these.
    None = 4,
}

impl TcpEvent {
    /// The event of a segment with these flags (RFC 9293 §3.1: FIN 1, SYN 2, RST 4, ACK 16).
    #[inline]
    pub const fn of(flags: u8) -> Self {
        EVENTS[(flags & 0x1f) as usize]
    }

    const fn decide(flags: u8) -> Self {
        if flags & 0x04 != 0 {
            Self::Rst
        } else if flags & 0x02 != 0 {
            Self::Syn
        } else if flags & 0x01 != 0 {
            Self::Fin
        } else if flags & 0x10 != 0 {
            Self::Ack
        } else {
            Self::None
        }
    }
}

/// The events of all flags: looked up rather than decided, as no branch foresees a client's next segment.
static EVENTS: [TcpEvent; 32] = {
    let mut events = [TcpEvent::None; 32];
    let mut flags = 0;
    while flags < events.len() {
        events[flags] = TcpEvent::decide(flags as u8);
        flags += 1;
    }
    events
};

/// The states by their numbers, and, past them, what has no column: closed.
type Row = [State; 16];

const fn row(to: [State; 11]) -> Row {
    let mut row = [CL; 16];
    let mut from = 0;
    while from < to.len() {
        row[from] = to[from];
        from += 1;
    }
    row
}

const ES: State = State::TCP_ESTABLISHED;
const SS: State = State::TCP_SYN_SENT;
const SR: State = State::TCP_SYN_RECV;
const FW: State = State::TCP_FIN_WAIT;
const TW: State = State::TCP_TIME_WAIT;
const CL: State = State::TCP_CLOSE;
const CW: State = State::TCP_CLOSE_WAIT;
const LA: State = State::TCP_LAST_ACK;
const LI: State = State::TCP_LISTEN;

/// By direction, event, and the state before, whose order is that of the numbers:
/// NO ES SS SR FW TW CL CW LA LI SA.
#[rustfmt::skip]
static NEXT: [[Row; 5]; 3] = [
    [
        row([SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR]),
        row([CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW]),
        row([ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES]),
        row([CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR]),
        row([CL; 11]),
    ],
    [
        row([SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR]),
        row([TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW]),
        row([ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES]),
        row([CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL]),
        row([CL; 11]),
    ],
    [
        row([SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR]),
        row([CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW]),
        row([ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES]),
        row([CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL]),
        row([CL; 11]),
    ],
];

/// Returns the state that an event leads to. `state` is one of TCP's.
#[inline]
pub fn next(state: State, direction: Direction, event: TcpEvent) -> State {
    debug_assert!(state.number() <= State::TCP_LAST.number());
    NEXT[direction as usize][event as usize][usize::from(state.number() & 15)]
}

/// Returns a TCP connection's entry after a segment from the client (or, `reply`, from the real server), as IPVS has
/// it: answers not seen so far ([`Value::no_output`]) make the direction [`Direction::InputOnly`], and one that is
/// seen after all ends that.
#[inline]
pub fn after(entry: Value, reply: bool, event: TcpEvent, now: Tick) -> Value {
    let direction = Direction::of(reply, entry);
    let entry = if reply { entry.answered() } else { entry };
    entry.in_state(next(entry.state(), direction, event), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::service::RealId;

    /// The three tables as the kernel's source has them, a line each: a second transcription, in its notation.
    const KERNEL: &str = "
        INPUT
        syn sSR sES sES sSR sSR sSR sSR sSR sSR sSR sSR
        fin sCL sCW sSS sTW sTW sTW sCL sCW sLA sLI sTW
        ack sES sES sSS sES sFW sTW sCL sCW sCL sLI sES
        rst sCL sCL sCL sSR sCL sCL sCL sCL sLA sLI sSR
        OUTPUT
        syn sSS sES sSS sSR sSS sSS sSS sSS sSS sLI sSR
        fin sTW sFW sSS sTW sFW sTW sCL sTW sLA sLI sTW
        ack sES sES sSS sES sFW sTW sCL sCW sLA sES sES
        rst sCL sCL sSS sCL sCL sTW sCL sCL sCL sCL sCL
        INPUT-ONLY
        syn sSR sES sES sSR sSR sSR sSR sSR sSR sSR sSR
        fin sCL sFW sSS sTW sFW sTW sCL sCW sLA sLI sTW
        ack sES sES sSS sES sFW sTW sCL sCW sCL sLI sES
        rst sCL sCL sCL sSR sCL sCL sCL sCL sLA sLI sCL";

    fn state(short: &str) -> State {
        let names = ["sNO", "sES", "sSS", "sSR", "sFW", "sTW", "sCL", "sCW", "sLA", "sLI", "sSA"];
        State::from_number(names.iter().position(|&name| name == short).unwrap() as u8)
    }

    #[test]
    fn every_cell_is_the_kernels() {
        let mut direction = Direction::Input;
        let mut cells = 0;
        for line in KERNEL.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            let event = match words.next().unwrap() {
                "syn" => TcpEvent::Syn,
                "fin" => TcpEvent::Fin,
                "ack" => TcpEvent::Ack,
                "rst" => TcpEvent::Rst,
                heading => {
                    direction = match heading {
                        "INPUT" => Direction::Input,
                        "OUTPUT" => Direction::Output,
                        _ => Direction::InputOnly,
                    };
                    continue;
                }
            };
            for (from, to) in words.enumerate() {
                let from = State::from_number(from as u8);
                assert_eq!(next(from, direction, event), state(to), "{direction:?} {event:?} {from:?}");
                cells += 1;
            }
        }
        assert_eq!(cells, 3 * 4 * 11);
    }

    #[test]
    fn a_segment_without_flags_closes() {
        for direction in [Direction::Input, Direction::Output, Direction::InputOnly] {
            for from in 0..=11 {
                assert_eq!(next(State::from_number(from), direction, TcpEvent::None), State::TCP_CLOSE);
            }
        }
    }

    #[test]
    fn the_number_that_is_no_state_closes() {
        for event in [TcpEvent::Syn, TcpEvent::Fin, TcpEvent::Ack, TcpEvent::Rst] {
            assert_eq!(next(State::TCP_LAST, Direction::Input, event), State::TCP_CLOSE);
        }
    }

    #[test]
    fn the_event_is_the_flag_of_highest_rank() {
        const FIN: u8 = 1;
        const SYN: u8 = 2;
        const RST: u8 = 4;
        const ACK: u8 = 16;
        for flags in 0..=255u8 {
            let event = match flags {
                _ if flags & RST != 0 => TcpEvent::Rst,
                _ if flags & SYN != 0 => TcpEvent::Syn,
                _ if flags & FIN != 0 => TcpEvent::Fin,
                _ if flags & ACK != 0 => TcpEvent::Ack,
                _ => TcpEvent::None,
            };
            assert_eq!(TcpEvent::of(flags), event, "{flags:#x}");
        }
    }

    fn walk(mut entry: Value, segments: &[(bool, TcpEvent)]) -> Vec<&'static str> {
        let mut names = vec![entry.state().name()];
        for &(reply, event) in segments {
            entry = after(entry, reply, event, Tick::default());
            names.push(entry.state().name());
        }
        names
    }

    #[test]
    fn a_connection_by_nat_goes_through_its_states() {
        use TcpEvent::{Ack, Fin, Syn};
        let entry = Value::new(State::TCP_NONE, Tick::default(), RealId(1));
        let segments = [(false, Syn), (true, Syn), (false, Ack), (true, Ack), (true, Fin), (false, Ack), (false, Fin)];
        assert_eq!(
            walk(entry, &segments),
            ["NONE", "SYN_RECV", "SYN_RECV", "ESTABLISHED", "ESTABLISHED", "FIN_WAIT", "FIN_WAIT", "TIME_WAIT"]
        );
    }

    #[test]
    fn without_the_answers_the_clients_fin_is_half_the_end() {
        use TcpEvent::{Ack, Fin, Syn};
        let entry = Value::new(State::TCP_NONE, Tick::default(), RealId(1)).with_no_output(true);
        let segments = [(false, Syn), (false, Ack), (false, Fin), (false, Ack)];
        assert_eq!(walk(entry, &segments), ["NONE", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "FIN_WAIT"]);
    }

    #[test]
    fn an_answer_seen_after_all_is_remembered() {
        let entry = Value::new(State::TCP_ESTABLISHED, Tick::default(), RealId(1)).with_no_output(true);
        let answered = after(entry, true, TcpEvent::Ack, Tick::default());
        assert!(!answered.no_output());
        assert_eq!(after(answered, false, TcpEvent::Fin, Tick::default()).state(), State::TCP_CLOSE_WAIT);
        assert_eq!(after(entry, false, TcpEvent::Fin, Tick::default()).state(), State::TCP_FIN_WAIT);
    }
}
