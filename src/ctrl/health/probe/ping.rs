//! An ICMP echo request (RFC 792, RFC 4443 §4), and its reply.
//!
//! Each check has a socket of its own, and what it sends bears a number that only this check knows: replies to others are passed
//! over. The socket is one that the kernel sorts replies for, where it gives us any (`net.ipv4.ping_group_range`); or else a raw
//! one, with a filter for replies that bear our identifier: a check must not wake up for the replies to all others.

use std::net::IpAddr;

use socket2::{SockFilter, SockRef};

use super::Target;
use super::datagram::{self, Carrier};
use super::failure::{Failure, Kind, Stage, Step};
use crate::dataplane::wire::{icmp, icmpv6};

/// Type, code, checksum, identifier, sequence.
const HEADER_OCTETS: usize = 8;
/// What a request brings along and the reply must bring back.
const DATA_OCTETS: usize = 16;
/// So many messages that are no reply to us are passed over.
const STRANGERS: usize = 1000;

pub(super) async fn ask(target: &Target, step: &Step) -> Result<(), Failure> {
    match ask_by(Carrier::Echo, target, step).await {
        Err(failure) if failure.kind() == Kind::Local => ask_by(Carrier::Raw, target, step).await,
        asked => asked,
    }
}

pub(super) async fn ask_by(carrier: Carrier, target: &Target, step: &Step) -> Result<(), Failure> {
    let socket = datagram::open(carrier, target)?;
    let address = target.address.ip();
    let (identifier, data) = (fastrand::u16(..), fastrand::u128(..).to_be_bytes());
    if carrier == Carrier::Raw {
        let filter = SockRef::from(&socket).attach_filter(&filter(address, identifier));
        filter.map_err(|cause| Failure::local("no filter for ICMP", &cause))?;
    }
    step.enter(Stage::Answer);
    datagram::send(&socket, &request(address, identifier, &data)).await?;
    let mut buffer = [0; 128];
    for _ in 0..STRANGERS {
        let heard = datagram::receive(&socket, &mut buffer).await?;
        let message = match (carrier, address) {
            (Carrier::Raw, IpAddr::V4(_)) => behind_header(heard),
            _ => heard,
        };
        if is_reply(address, message, &data) {
            return Ok(());
        }
    }
    Err(Failure::new(Kind::Protocol, format!("{STRANGERS} ICMP messages and no reply")))
}

/// A filter for a raw socket (Linux' Documentation/networking/filter.rst): replies with this identifier, and nothing else.
fn filter(address: IpAddr, identifier: u16) -> [SockFilter; 7] {
    const LOAD_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_INDEX: u16 = 0x01;
    const LOAD_OCTET_BEHIND: u16 = 0x50;
    const LOAD_HALF_BEHIND: u16 = 0x48;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let (behind, reply) = match address {
        IpAddr::V4(_) => (LOAD_HEADER_LENGTH, u8::from(icmp::Type::EchoReply)),
        IpAddr::V6(_) => (LOAD_INDEX, u8::from(icmpv6::Type::EchoReply)),
    };
    [
        SockFilter::new(behind, 0, 0, 0),
        SockFilter::new(LOAD_OCTET_BEHIND, 0, 0, 0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, reply.into()),
        SockFilter::new(LOAD_HALF_BEHIND, 0, 0, 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, identifier.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// An echo request with a checksum; the kernel fills in IPv6's, and an identifier if it sorts replies by it.
pub(super) fn request(address: IpAddr, identifier: u16, data: &[u8; DATA_OCTETS]) -> [u8; HEADER_OCTETS + DATA_OCTETS] {
    let mut octets = [0; HEADER_OCTETS + DATA_OCTETS];
    match address {
        IpAddr::V4(_) => {
            let echo = icmp::Echo { reply: false, identifier, sequence: 1, data };
            echo.emit(&mut icmp::Packet::new_unchecked(&mut octets));
        }
        IpAddr::V6(_) => {
            let mut packet = icmpv6::Packet::new_unchecked(&mut octets);
            packet.set_kind(icmpv6::Type::EchoRequest);
            packet.set_identifier(identifier);
            packet.set_sequence(1);
            packet.payload_mut().copy_from_slice(data);
        }
    }
    octets
}

pub(super) fn is_reply(address: IpAddr, message: &[u8], data: &[u8; DATA_OCTETS]) -> bool {
    match address {
        IpAddr::V4(_) => icmp::Packet::new_checked(message)
            .is_ok_and(|packet| packet.kind() == icmp::Type::EchoReply && packet.payload() == data),
        IpAddr::V6(_) => icmpv6::Packet::new_checked(message)
            .is_ok_and(|packet| packet.kind() == icmpv6::Type::EchoReply && packet.payload() == data),
    }
}

/// What follows the IPv4 header.
pub(super) fn behind_header(packet: &[u8]) -> &[u8] {
    let octets = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    packet.get(octets..).unwrap_or_default()
}
