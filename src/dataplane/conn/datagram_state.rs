//! The states of protocols that have none of their own: UDP and ICMP echo.
//!
//! IPVS has one state for UDP (`ip_vs_proto_udp.c`) and does not balance ICMP. UDP has two here, of one name
//! and one timeout: eviction tells by them what was never answered. By tunnel and direct routing answers do not pass, so
//! there every datagram counts as part of a conversation.
//!
//! | state | request | answer |
//! |---|---|---|
//! | UDP, one way | UDP, one way | UDP |
//! | UDP | UDP | UDP |
//! | ICMP | ICMP | ICMP |

use super::entry::Value;
use super::state::State;
use super::tick::Tick;
use crate::dataplane::service::RealId;

/// The entry of a first UDP datagram; `no_output` if its answers will not pass here.
pub fn first_datagram(real: RealId, no_output: bool, now: Tick) -> Value {
    let state = if no_output { State::UDP } else { State::UDP_ONE_WAY };
    Value::new(state, now, real).with_no_output(no_output)
}

/// The entry of a first echo request.
pub fn first_echo(real: RealId, no_output: bool, now: Tick) -> Value {
    Value::new(State::ICMP, now, real).with_no_output(no_output)
}

/// The entry after one more packet; `reply` if it came from the real server.
#[inline]
pub fn after(value: Value, reply: bool, now: Tick) -> Value {
    let state = if reply && value.state() == State::UDP_ONE_WAY { State::UDP } else { value.state() };
    value.with_no_output(value.no_output() && !reply).in_state(state, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_direction() {
        let (then, now) = (Tick::from_number(10), Tick::from_number(12));
        for (before, reply, expected) in [
            (State::UDP_ONE_WAY, false, State::UDP_ONE_WAY),
            (State::UDP_ONE_WAY, true, State::UDP),
            (State::UDP, false, State::UDP),
            (State::UDP, true, State::UDP),
            (State::ICMP, false, State::ICMP),
            (State::ICMP, true, State::ICMP),
        ] {
            for no_output in [false, true] {
                let value = Value::new(before, then, RealId(1)).with_no_output(no_output);
                let next = after(value, reply, now);
                assert_eq!((next.state(), next.seen(), next.real()), (expected, now, RealId(1)));
                assert_eq!(next.no_output(), no_output && !reply);
            }
        }
    }

    #[test]
    fn the_first_packet_decides() {
        let now = Tick::from_number(10);
        for (value, state, no_output) in [
            (first_datagram(RealId(1), false, now), State::UDP_ONE_WAY, false),
            (first_datagram(RealId(1), true, now), State::UDP, true),
            (first_echo(RealId(1), false, now), State::ICMP, false),
            (first_echo(RealId(1), true, now), State::ICMP, true),
        ] {
            assert_eq!((value.state(), value.no_output(), value.seen()), (state, no_output, now));
        }
    }
}
