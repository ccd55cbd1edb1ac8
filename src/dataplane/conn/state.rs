//! A connection's protocol and state, as one number of five bits.
//!
//! The numbers explain an entry to the sweep without its key: which timeout it has, whether it counts as active.
//! States, their names and what is active are IPVS's (`ip_vs_proto_tcp.c`, `ip_vs_proto_sctp.c`,
//! `ip_vs_proto_udp.c`), so that `ipvsadm -Lnc` reads the same.

use std::fmt;

/// Protocol and state of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct State(u8);

/// How an entry counts towards its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `ActiveConn`.
    Active,
    /// `InActConn`.
    Inactive,
    /// `Persist Conns`: a template.
    Persistent,
    /// Not counted: a link.
    Uncounted,
}

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $shown:literal, $protocol:literal, $class:ident;)*) => {
        impl State {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            const TABLE: [(&'static str, &'static str, Class); Self::COUNT] =
                [$(($shown, $protocol, Class::$class),)*];

            #[cfg(test)]
            const NUMBERS: &'static [u8] = &[$($number,)*];
        }
    };
}

states! {
    /// TCP: created, no packet yet.
    TCP_NONE = 0, "NONE", "TCP", Inactive;
    /// TCP: open.
    TCP_ESTABLISHED = 1, "ESTABLISHED", "TCP", Active;
    /// TCP: the real server sent a SYN.
    TCP_SYN_SENT = 2, "SYN_SENT", "TCP", Active;
    /// TCP: the client sent a SYN.
    TCP_SYN_RECV = 3, "SYN_RECV", "TCP", Active;
    /// TCP: one side closed.
    TCP_FIN_WAIT = 4, "FIN_WAIT", "TCP", Inactive;
    /// TCP: closed, late segments may come.
    TCP_TIME_WAIT = 5, "TIME_WAIT", "TCP", Inactive;
    /// TCP: reset.
    TCP_CLOSE = 6, "CLOSE", "TCP", Inactive;
    /// TCP: the client closed.
    TCP_CLOSE_WAIT = 7, "CLOSE_WAIT", "TCP", Inactive;
    /// TCP: both closed, the last ACK is out.
    TCP_LAST_ACK = 8, "LAST_ACK", "TCP", Inactive;
    /// TCP: never entered by the table; kept for its number.
    TCP_LISTEN = 9, "LISTEN", "TCP", Inactive;
    /// TCP: under attack, SYN answered and the client's ACK awaited.
    TCP_SYNACK = 10, "SYNACK", "TCP", Active;
    /// TCP: no state of any connection.
    TCP_LAST = 11, "BUG!", "TCP", Inactive;
    /// SCTP: created, no packet yet.
    SCTP_NONE = 12, "NONE", "SCTP", Inactive;
    /// SCTP: first INIT.
    SCTP_INIT1 = 13, "INIT1", "SCTP", Inactive;
    /// SCTP: INIT again.
    SCTP_INIT = 14, "INIT", "SCTP", Inactive;
    /// SCTP: the real server's INIT ACK, with its cookie, passed.
    SCTP_COOKIE_SENT = 15, "C-SENT", "SCTP", Inactive;
    /// SCTP: the client returned the cookie.
    SCTP_COOKIE_REPLIED = 16, "C-REPLIED", "SCTP", Inactive;
    /// SCTP: the real server sent an INIT.
    SCTP_COOKIE_WAIT = 17, "C-WAIT", "SCTP", Inactive;
    /// SCTP: the client answered the real server's INIT.
    SCTP_COOKIE = 18, "COOKIE", "SCTP", Inactive;
    /// SCTP: the real server returned the cookie.
    SCTP_COOKIE_ECHOED = 19, "C-ECHOED", "SCTP", Inactive;
    /// SCTP: open.
    SCTP_ESTABLISHED = 20, "ESTABLISHED", "SCTP", Active;
    /// SCTP: the real server shuts down.
    SCTP_SHUTDOWN_SENT = 21, "S-SENT", "SCTP", Inactive;
    /// SCTP: the client shuts down.
    SCTP_SHUTDOWN_RECEIVED = 22, "S-RECEIVED", "SCTP", Inactive;
    /// SCTP: shutdown acknowledged.
    SCTP_SHUTDOWN_ACK_SENT = 23, "S-ACK-SENT", "SCTP", Inactive;
    /// SCTP: aborted by the real server before it was open.
    SCTP_REJECTED = 24, "REJECTED", "SCTP", Inactive;
    /// SCTP: closed.
    SCTP_CLOSED = 25, "CLOSED", "SCTP", Inactive;
    /// UDP: no reply seen. IPVS has one UDP state; the second lets eviction tell a flood from a conversation.
    UDP_ONE_WAY = 26, "UDP", "UDP", Inactive;
    /// UDP: a reply was seen.
    UDP = 27, "UDP", "UDP", Inactive;
    /// ICMP.
    ICMP = 28, "ICMP", "ICMP", Inactive;
    /// Persistence template none of whose connections was established yet.
    TEMPLATE_NONE = 29, "NONE", "", Persistent;
    /// Persistence template in use.
    TEMPLATE_ASSURED = 30, "ASSURED", "", Persistent;
    /// A link: no connection, but the way from a shared real server's socket to one.
    LINK = 31, "LINK", "", Uncounted;
}

impl State {
    /// How many states there are: what a table by state number has room for.
    pub const COUNT: usize = 32;

    /// The state of this number, of which the lowest five bits count.
    #[inline]
    pub const fn from_number(number: u8) -> Self {
        Self(number & 31)
    }

    /// Its number, below [`State::COUNT`].
    #[inline]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its number, as an index that needs no bounds check.
    #[inline]
    pub(super) const fn index(self) -> usize {
        (self.0 & 31) as usize
    }

    /// The name as `ipvsadm -Lnc` shows it.
    pub const fn name(self) -> &'static str {
        Self::TABLE[self.index()].0
    }

    /// The protocol's name; empty for templates and links.
    pub const fn protocol(self) -> &'static str {
        Self::TABLE[self.index()].1
    }

    /// Returns how it counts towards its real server.
    #[inline]
    pub const fn class(self) -> Class {
        const ACTIVE: u32 = State::numbers_of(Class::Active);
        const PERSISTENT: u32 = State::numbers_of(Class::Persistent);
        let bit = 1u32 << self.index();
        if bit & ACTIVE != 0 {
            Class::Active
        } else if self.0 == Self::LINK.0 {
            Class::Uncounted
        } else if bit & PERSISTENT != 0 {
            Class::Persistent
        } else {
            Class::Inactive
        }
    }

    /// Tells whether it counts as an active connection.
    #[inline]
    pub const fn is_active(self) -> bool {
        matches!(self.class(), Class::Active)
    }

    /// The states of one class, as a set of bits by number.
    const fn numbers_of(class: Class) -> u32 {
        let (mut set, mut number) = (0, 0);
        while number < Self::COUNT {
            if Self::TABLE[number].2 as u8 == class as u8 {
                set |= 1 << number;
            }
            number += 1;
        }
        set
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_run_from_0_to_31_in_the_order_of_the_table() {
        assert_eq!(State::NUMBERS, (0..32).collect::<Vec<u8>>());
    }

    #[test]
    fn active_is_what_ipvs_counts_as_active() {
        let active: Vec<u8> = (0..32).filter(|&number| State::from_number(number).is_active()).collect();
        // TCP ESTABLISHED, SYN_SENT, SYN_RECV, SYNACK; SCTP ESTABLISHED; never UDP or ICMP.
        assert_eq!(active, [1, 2, 3, 10, 20]);
    }

    #[test]
    fn every_class_agrees_with_the_table() {
        for number in 0..32 {
            let state = State::from_number(number);
            assert_eq!(state.class(), State::TABLE[state.index()].2, "{state:?}");
        }
    }

    #[test]
    fn names_are_those_of_ipvsadm() {
        assert_eq!(State::TCP_ESTABLISHED.name(), "ESTABLISHED");
        assert_eq!(State::SCTP_COOKIE_ECHOED.name(), "C-ECHOED");
        assert_eq!(State::UDP_ONE_WAY.name(), "UDP");
        assert_eq!(format!("{:?}", State::TCP_SYN_RECV), "TCP SYN_RECV");
    }
}
