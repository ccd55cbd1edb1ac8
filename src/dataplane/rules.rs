//! Which packets open a connection, and which let one start over: IPVS's rules, with the switches that its sysctls
//! (`net.ipv4.vs.*`, the kernel's `ipvs-sysctl`) have.
//!
//! | packet | connection | what becomes of it |
//! |---|---|---|
//! | bare SYN | none | a new one |
//! | any TCP but RST | none | a new one with `sloppy_tcp`, else dropped |
//! | UDP | none | a new one |
//! | bare SYN | in TIME_WAIT or CLOSE | starts over, if bit 0 of `conn_reuse_mode` is set |
//! | bare SYN | in FIN_WAIT, answers not seen | starts over, if bit 1 of `conn_reuse_mode` is set |
//! | bare SYN | real server's weight is 0 | starts over with `expire_nodest_conn`, else goes to that real server |
//! | bare SYN | real server removed | starts over; IPVS would drop it until the entry expires |
//! | UDP | real server removed | starts over with `expire_nodest_conn`, else dropped |
//! | other TCP | real server removed | dropped; with `expire_nodest_conn` the entry goes too |
//!
//! To start over is to be given a real server anew. A bare SYN has neither ACK nor RST nor FIN.

use super::conn::{State, Value};
use super::parse::{Kind, Parsed};
use super::service::RealServer;
use super::wire::tcp::Flags;

/// The switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `sloppy_tcp`: a TCP packet in the middle of a stream opens a connection.
    pub sloppy_tcp: bool,
    /// Bit 0 of `conn_reuse_mode`: a SYN lets a connection in TIME_WAIT or CLOSE start over.
    pub reuse_closed: bool,
    /// Bit 1 of `conn_reuse_mode`: and one in FIN_WAIT whose answers do not pass here.
    pub reuse_fin_wait: bool,
    /// `expire_nodest_conn`: connections of removed real servers end with their next packet.
    pub expire_nodest_conn: bool,
}

impl Default for Rules {
    /// The kernel's.
    fn default() -> Self {
        Self { sloppy_tcp: false, reuse_closed: true, reuse_fin_wait: false, expire_nodest_conn: false }
    }
}

impl Rules {
    /// Tells whether a packet of no connection opens one.
    #[inline]
    pub fn opens(&self, packet: &Parsed) -> bool {
        match packet.kind {
            Kind::Tcp if self.sloppy_tcp => packet.tcp_flags.0 & Flags::RST.0 == 0,
            Kind::Tcp => is_bare_syn(packet),
            _ => packet.kind == Kind::Udp,
        }
    }

    /// Tells whether a packet lets its connection start over; `real` is the connection's real server, unless it was
    /// removed.
    #[inline(always)]
    pub fn starts_over(&self, packet: &Parsed, connection: Value, real: Option<&RealServer>) -> bool {
        match real {
            Some(_) if !is_bare_syn(packet) => false,
            Some(real) => self.lets_go(connection) || (self.expire_nodest_conn && real.weight == 0),
            None => is_bare_syn(packet) || (self.expire_nodest_conn && packet.kind == Kind::Udp),
        }
    }

    fn lets_go(&self, connection: Value) -> bool {
        match connection.state() {
            State::TCP_TIME_WAIT | State::TCP_CLOSE => self.reuse_closed,
            State::TCP_FIN_WAIT => self.reuse_fin_wait && connection.no_output(),
            _ => false,
        }
    }
}

#[inline(always)]
fn is_bare_syn(packet: &Parsed) -> bool {
    const DECISIVE: Flags = Flags(Flags::SYN.0 | Flags::ACK.0 | Flags::RST.0 | Flags::FIN.0);
    packet.kind == Kind::Tcp && packet.tcp_flags.0 & DECISIVE.0 == Flags::SYN.0
}
