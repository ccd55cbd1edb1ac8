//! ICMP for IPv6 (RFC 4443), with the target of neighbour discovery's messages (RFC 4861 §4.3, §4.4).
//!
//! ```text
//!  0      1      2             4                           8                    24
//! +------+------+-------------+---------------------------+--------------------+---------
//! | type | code |  checksum   | identifier and sequence,  | ND: target address | options
//! |      |      |             | MTU, pointer or flags     | else: data         |
//! +------+------+-------------+---------------------------+--------------------+---------
//! ```

use std::net::Ipv6Addr;

use super::checksum::Sum;
use super::{Error, array_at, put, put_u16, put_u32, u16_at, u32_at};

/// Length of the part that every message has, in octets.
pub const HEADER_OCTETS: usize = 8;

/// Codes of [`Type::DestinationUnreachable`] (RFC 4443 §3.1): no route leads there; nobody answers for the address; nobody serves the port.
pub const CODE_NO_ROUTE: u8 = 0;
/// See [`CODE_NO_ROUTE`].
pub const CODE_ADDRESS_UNREACHABLE: u8 = 3;
/// See [`CODE_NO_ROUTE`].
pub const CODE_PORT_UNREACHABLE: u8 = 4;

/// What a message is (IANA "ICMPv6 type Numbers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Error, 1.
    DestinationUnreachable,
    /// Error, 2.
    PacketTooBig,
    /// Error, 3.
    TimeExceeded,
    /// Error, 4.
    ParameterProblem,
    /// Asks for an echo, 128.
    EchoRequest,
    /// Answer to it, 129.
    EchoReply,
    /// RFC 4861 §4.1, 133.
    RouterSolicitation,
    /// RFC 4861 §4.2, 134.
    RouterAdvertisement,
    /// RFC 4861 §4.3, 135.
    NeighborSolicitation,
    /// RFC 4861 §4.4, 136.
    NeighborAdvertisement,
    /// RFC 4861 §4.5, 137.
    Redirect,
    /// Any other type.
    Unknown(u8),
}

impl Type {
    /// Tells whether this is an error message: the upper bit is clear, in types yet unknown too (RFC 4443 §2.1).
    #[inline]
    pub fn is_error(self) -> bool {
        u8::from(self) < 128
    }

    /// Tells whether this is a message by which neighbours and routers are found (RFC 4861 §4).
    #[inline]
    pub fn is_neighbor_discovery(self) -> bool {
        (133..=137).contains(&u8::from(self))
    }
}

impl From<u8> for Type {
    #[inline]
    fn from(number: u8) -> Self {
        match number {
            1 => Self::DestinationUnreachable,
            2 => Self::PacketTooBig,
            3 => Self::TimeExceeded,
            4 => Self::ParameterProblem,
            128 => Self::EchoRequest,
            129 => Self::EchoReply,
            133 => Self::RouterSolicitation,
            134 => Self::RouterAdvertisement,
            135 => Self::NeighborSolicitation,
            136 => Self::NeighborAdvertisement,
            137 => Self::Redirect,
            other => Self::Unknown(other),
        }
    }
}

impl From<Type> for u8 {
    #[inline]
    fn from(kind: Type) -> Self {
        match kind {
            Type::DestinationUnreachable => 1,
            Type::PacketTooBig => 2,
            Type::TimeExceeded => 3,
            Type::ParameterProblem => 4,
            Type::EchoRequest => 128,
            Type::EchoReply => 129,
            Type::RouterSolicitation => 133,
            Type::RouterAdvertisement => 134,
            Type::NeighborSolicitation => 135,
            Type::NeighborAdvertisement => 136,
            Type::Redirect => 137,
            Type::Unknown(other) => other,
        }
    }
}

/// A view over an ICMPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    pub const TYPE: usize = 0;
    pub const CODE: usize = 1;
    pub const CHECKSUM: usize = 2;
    pub const REST: usize = 4;
    pub const IDENTIFIER: usize = 4;
    pub const SEQUENCE: usize = 6;
    pub const PAYLOAD: usize = 8;
    pub const TARGET: usize = 8;
    pub const ND_OPTIONS: usize = 24;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps octets that are being written.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps received octets: exactly the upper-layer data of an IPv6 packet.
    ///
    /// # Errors
    /// As [`Packet::check_len`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no accessor panics. [`Packet::set_kind`] voids that promise.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 octets, or below 24 for neighbour solicitations and advertisements.
    #[inline]
    pub fn check_len(&self) -> Result<(), Error> {
        let length = self.buffer.as_ref().len();
        if length < HEADER_OCTETS || (self.has_target() && length < field::ND_OPTIONS) {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    fn has_target(&self) -> bool {
        matches!(self.kind(), Type::NeighborSolicitation | Type::NeighborAdvertisement)
    }

    /// Returns the type.
    #[inline]
    pub fn kind(&self) -> Type {
        self.buffer.as_ref()[field::TYPE].into()
    }

    /// Returns the code, which refines the type.
    #[inline]
    pub fn code(&self) -> u8 {
        self.buffer.as_ref()[field::CODE]
    }

    /// Returns the checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Returns the second word: the MTU of "packet too big", the pointer of "parameter problem", an advertisement's flags.
    #[inline]
    pub fn rest(&self) -> u32 {
        u32_at(self.buffer.as_ref(), field::REST)
    }

    /// Returns the identifier of an echo.
    #[inline]
    pub fn identifier(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::IDENTIFIER)
    }

    /// Returns the sequence number of an echo.
    #[inline]
    pub fn sequence(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::SEQUENCE)
    }

    /// Returns the target of a neighbour solicitation or advertisement; `None` for other messages.
    #[inline]
    pub fn target(&self) -> Option<Ipv6Addr> {
        self.has_target().then(|| Ipv6Addr::from(array_at::<16>(self.buffer.as_ref(), field::TARGET)))
    }

    /// Returns the options of a neighbour solicitation or advertisement; empty for other messages.
    #[inline]
    pub fn options(&self) -> &[u8] {
        if self.has_target() { &self.buffer.as_ref()[field::ND_OPTIONS..] } else { &[] }
    }

    /// Returns everything after the second word.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[field::PAYLOAD..]
    }

    /// Tells whether the checksum is right. `pseudo` is the sum of the pseudo header over all of the buffer.
    #[inline]
    pub fn verify_checksum(&self, pseudo: Sum) -> bool {
        (pseudo + Sum::of(self.buffer.as_ref())).fold() == 0xffff
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the type.
    #[inline]
    pub fn set_kind(&mut self, kind: Type) {
        self.buffer.as_mut()[field::TYPE] = kind.into();
    }

    /// Sets the code.
    #[inline]
    pub fn set_code(&mut self, code: u8) {
        self.buffer.as_mut()[field::CODE] = code;
    }

    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Sets the second word.
    #[inline]
    pub fn set_rest(&mut self, rest: u32) {
        put_u32(self.buffer.as_mut(), field::REST, rest);
    }

    /// Sets the identifier of an echo.
    #[inline]
    pub fn set_identifier(&mut self, identifier: u16) {
        put_u16(self.buffer.as_mut(), field::IDENTIFIER, identifier);
    }

    /// Sets the sequence number of an echo.
    #[inline]
    pub fn set_sequence(&mut self, sequence: u16) {
        put_u16(self.buffer.as_mut(), field::SEQUENCE, sequence);
    }

    /// Sets the target of a neighbour solicitation or advertisement.
    #[inline]
    pub fn set_target(&mut self, target: Ipv6Addr) {
        put(self.buffer.as_mut(), field::TARGET, &target.octets());
    }

    /// Returns everything after the second word, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.as_mut()[field::PAYLOAD..]
    }

    /// Computes the checksum and sets it. `pseudo` is the sum of the pseudo header over all of the buffer.
    #[inline]
    pub fn fill_checksum(&mut self, pseudo: Sum) {
        self.set_checksum(0);
        let sum = pseudo + Sum::of(self.buffer.as_ref());
        self.set_checksum(sum.checksum());
    }
}

#[cfg(test)]
mod tests;
