//! Which packets open a connection, and which let one start over: IPVS's rules, with the switches that its sysctls
//! (`net.ipv4.vs.*`, the kernel's `ipvs-sysctl`) have.
//!
//! | packet | connection | what becomes of it |
//! |---|---|---|
//! | bare SYN | none | a new one |
//! | any TCP but RST | none | a new one with `sloppy_tcp`, else dropped |
//! | SCTP INIT | none | a new one |
//! | any SCTP but ABORT | none | a new one with `sloppy_sctp`, else dropped |
//! | UDP, echo request | none | a new one |
//! | ICMP error about a service's packet | none | a new one with `schedule_icmp`, in state NONE, as long as the packet is none from port 20; else dropped |
//! | TCP, UDP or SCTP from port 20 | none | dropped: active FTP's data belongs to a connection, if to anything |
//! | bare SYN | in TIME_WAIT or CLOSE | starts over, unless `conn_reuse_mode` is 0 |
//! | bare SYN | in FIN_WAIT, answers not seen | starts over, if bit 1 of `conn_reuse_mode` is set |
//! | SCTP INIT | in CLOSED | starts over, unless `conn_reuse_mode` is 0 |
//! | bare SYN, INIT | real server's weight is 0 | starts over with `expire_nodest_conn`, else goes to that real server |
//! | bare SYN, INIT | real server removed | starts over; IPVS would drop it until the entry expires |
//! | UDP, echo request | real server removed | starts over with `expire_nodest_conn`, else dropped |
//! | other TCP, SCTP | real server removed | dropped; with `expire_nodest_conn` the entry goes too |
//!
//! What is dropped here for want of a connection a service scheduled by a hash may forward all the same: see
//! [`super::stateless`]. To start over is to be given a real server anew. A bare SYN has neither ACK nor RST nor FIN. What an SCTP packet is
//! its first chunk says, or an ABORT right behind a COOKIE ECHO or COOKIE ACK.
//!
//! `scripts/lab ipvs` plays packets into both directors and holds their connections side by side. Besides the row on
//! removed real servers, millrace differs on purpose in this:
//! - IPVS takes any SYN for a bare one, for active FTP's sake. Here an answer to somebody's forged SYN, SYN and ACK, opens
//!   nothing, nor does a scanner's SYN and FIN; they move a connection on, as its state has it, and never to another
//!   real server.
//! - With `sloppy_sctp` IPVS opens an association by a cookie with an ABORT behind it, only to close it.

use super::conn::{SctpEvent, State, Value};
use super::parse::{Kind, Parsed};
use super::service::RealServer;
use super::wire::icmp::Type;
use super::wire::icmpv6;
use super::wire::tcp::Flags;

/// The port that active FTP's data comes from (RFC 959 §3.2).
pub const FTP_DATA: u16 = 20;

/// The switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `sloppy_tcp`: a TCP packet in the middle of a stream opens a connection.
    pub sloppy_tcp: bool,
    /// `sloppy_sctp`: an SCTP packet in the middle of an association opens a connection.
    pub sloppy_sctp: bool,
    /// `conn_reuse_mode`: other than 0, a SYN lets a connection in TIME_WAIT or CLOSE start over, an INIT one in CLOSED;
    /// with bit 1 set, a SYN also one in FIN_WAIT whose answers do not pass here.
    pub conn_reuse_mode: u8,
    /// `expire_nodest_conn`: connections of removed real servers end with their next packet.
    pub expire_nodest_conn: bool,
    /// `expire_quiescent_template`: a real server of weight 0 gets no new connections by persistence either.
    pub expire_quiescent_template: bool,
    /// `schedule_icmp`: an ICMP error about what a service sent, of no connection, opens one.
    pub schedule_icmp: bool,
}

impl Default for Rules {
    /// The kernel's.
    fn default() -> Self {
        Self {
            sloppy_tcp: false,
            sloppy_sctp: false,
            conn_reuse_mode: 1,
            expire_nodest_conn: false,
            expire_quiescent_template: false,
            schedule_icmp: false,
        }
    }
}

impl Rules {
    /// Tells whether a packet of no connection opens one.
    #[inline]
    pub fn opens(&self, packet: &Parsed) -> bool {
        match packet.kind {
            Kind::Tcp | Kind::Udp | Kind::Sctp if packet.src_port == FTP_DATA => false,
            Kind::Tcp if self.sloppy_tcp => packet.tcp_flags.0 & Flags::RST.0 == 0,
            Kind::Tcp => is_bare_syn(packet),
            Kind::Sctp if self.sloppy_sctp => SctpEvent::of(packet.message_type) != SctpEvent::Abort,
            Kind::Sctp => is_init(packet),
            Kind::Udp => true,
            Kind::Icmp => Type::from(packet.message_type) == Type::EchoRequest,
            Kind::Icmpv6 => icmpv6::Type::from(packet.message_type) == icmpv6::Type::EchoRequest,
            Kind::Arp => false,
        }
    }

    /// Tells whether a packet lets its connection start over; `real` is the connection's real server, unless it was
    /// removed.
    #[inline(always)]
    pub fn starts_over(&self, packet: &Parsed, connection: Value, real: Option<&RealServer>) -> bool {
        match real {
            Some(_) if !is_opener(packet) => false,
            Some(real) => {
                (!connection.controlled() && self.lets_go(connection)) || (self.expire_nodest_conn && real.weight == 0)
            }
            None => {
                is_opener(packet)
                    || (self.expire_nodest_conn && matches!(packet.kind, Kind::Udp | Kind::Icmp | Kind::Icmpv6))
            }
        }
    }

    fn lets_go(&self, connection: Value) -> bool {
        match connection.state() {
            State::TCP_TIME_WAIT | State::TCP_CLOSE | State::SCTP_CLOSED => self.conn_reuse_mode != 0,
            State::TCP_FIN_WAIT => self.conn_reuse_mode & 2 != 0 && connection.no_output(),
            _ => false,
        }
    }
}

#[inline(always)]
fn is_bare_syn(packet: &Parsed) -> bool {
    const DECISIVE: Flags = Flags(Flags::SYN.0 | Flags::ACK.0 | Flags::RST.0 | Flags::FIN.0);
    packet.kind == Kind::Tcp && packet.tcp_flags.0 & DECISIVE.0 == Flags::SYN.0
}

#[inline(always)]
fn is_init(packet: &Parsed) -> bool {
    SctpEvent::of(packet.message_type) == SctpEvent::Init
}

/// Tells whether a packet is one that its protocol opens connections with.
#[inline(always)]
fn is_opener(packet: &Parsed) -> bool {
    match packet.kind {
        Kind::Tcp => is_bare_syn(packet),
        Kind::Sctp => is_init(packet),
        _ => false,
    }
}
