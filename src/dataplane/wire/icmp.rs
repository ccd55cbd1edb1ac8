//! ICMP for IPv4 (RFC 792; next-hop MTU: RFC 1191 §4).
//!
//! ```text
//!  0      1      2             4             6             8
//! +------+------+-------------+-------------+-------------+------
//! | type | code |  checksum   | identifier  |  sequence   | data          echo, timestamp
//! +------+------+-------------+-------------+-------------+------
//! | type | code |  checksum   |   unused    | next-hop MTU| IP header and first octets of the offending packet
//! +------+------+-------------+-------------+-------------+------
//! ```

use super::checksum::{self, Sum};
use super::{Error, put_u16, put_u32, u16_at, u32_at};

/// Length of the part that every message has, in octets.
pub const HEADER_OCTETS: usize = 8;

/// Code of [`Type::DestinationUnreachable`]: no route leads there.
pub const CODE_NET_UNREACHABLE: u8 = 0;
/// Code of [`Type::DestinationUnreachable`]: nobody answers for its address.
pub const CODE_HOST_UNREACHABLE: u8 = 1;
/// Code of [`Type::DestinationUnreachable`]: nobody serves its port.
pub const CODE_PORT_UNREACHABLE: u8 = 3;

/// Code of [`Type::DestinationUnreachable`]: too big for the next link and not to be fragmented.
pub const CODE_FRAGMENTATION_NEEDED: u8 = 4;
/// Code of [`Type::DestinationUnreachable`]: the way that it names cannot be gone.
pub const CODE_SOURCE_ROUTE_FAILED: u8 = 5;

/// What a message is (IANA "ICMP Type Numbers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Answer to an echo request, 0.
    EchoReply,
    /// Error, 3: the packet cannot get there.
    DestinationUnreachable,
    /// Error, 4: deprecated by RFC 6633.
    SourceQuench,
    /// Error, 5: another router is nearer.
    Redirect,
    /// Asks for an echo, 8.
    EchoRequest,
    /// RFC 1256, 9.
    RouterAdvertisement,
    /// RFC 1256, 10.
    RouterSolicitation,
    /// Error, 11: the time to live ran out.
    TimeExceeded,
    /// Error, 12: a field of the header is wrong.
    ParameterProblem,
    /// Asks for the time, 13.
    TimestampRequest,
    /// Answer to it, 14.
    TimestampReply,
    /// Any other type.
    Unknown(u8),
}

impl Type {
    /// Tells whether a message of this type reports an error about another packet. Nothing is known of an unknown
    /// type; who must not answer errors (RFC 1122 §3.2.2) does well not to answer it.
    #[inline]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::DestinationUnreachable
                | Self::SourceQuench
                | Self::Redirect
                | Self::TimeExceeded
                | Self::ParameterProblem
        )
    }
}

impl From<u8> for Type {
    #[inline]
    fn from(number: u8) -> Self {
        match number {
            0 => Self::EchoReply,
            3 => Self::DestinationUnreachable,
            4 => Self::SourceQuench,
            5 => Self::Redirect,
            8 => Self::EchoRequest,
            9 => Self::RouterAdvertisement,
            10 => Self::RouterSolicitation,
            11 => Self::TimeExceeded,
            12 => Self::ParameterProblem,
            13 => Self::TimestampRequest,
            14 => Self::TimestampReply,
            other => Self::Unknown(other),
        }
    }
}

impl From<Type> for u8 {
    #[inline]
    fn from(kind: Type) -> Self {
        match kind {
            Type::EchoReply => 0,
            Type::DestinationUnreachable => 3,
            Type::SourceQuench => 4,
            Type::Redirect => 5,
            Type::EchoRequest => 8,
            Type::RouterAdvertisement => 9,
            Type::RouterSolicitation => 10,
            Type::TimeExceeded => 11,
            Type::ParameterProblem => 12,
            Type::TimestampRequest => 13,
            Type::TimestampReply => 14,
            Type::Unknown(other) => other,
        }
    }
}

/// A view over an ICMP message.
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
    pub const NEXT_HOP_MTU: usize = 6;
    pub const PAYLOAD: usize = 8;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps octets that are being written, or a window of a message that has been checked.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps received octets: exactly the data of an IP packet.
    ///
    /// # Errors
    /// As [`Packet::check_len`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no accessor panics. No setter voids that promise.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 octets.
    #[inline]
    pub fn check_len(&self) -> Result<(), Error> {
        if self.buffer.as_ref().len() < HEADER_OCTETS { Err(Error::Truncated) } else { Ok(()) }
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

    /// Returns the second word, whose meaning depends on the type.
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

    /// Returns the next-hop MTU of "fragmentation needed", in octets; 0 from routers older than RFC 1191.
    #[inline]
    pub fn next_hop_mtu(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::NEXT_HOP_MTU)
    }

    /// Returns the data: an echo's, or the offending packet's first octets.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[field::PAYLOAD..]
    }

    /// Tells whether the checksum, over all of the buffer, is right.
    #[inline]
    pub fn verify_checksum(&self) -> bool {
        checksum::verify(self.buffer.as_ref())
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

    /// Sets the next-hop MTU, in octets, and clears the unused word before it.
    #[inline]
    pub fn set_next_hop_mtu(&mut self, octets: u16) {
        self.set_rest(octets.into());
    }

    /// Returns the data, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.as_mut()[field::PAYLOAD..]
    }

    /// Computes the checksum over all of the buffer and sets it.
    #[inline]
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        let sum = Sum::of(self.buffer.as_ref());
        self.set_checksum(sum.checksum());
    }
}

/// An echo request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Whether this is the answer.
    pub reply: bool,
    /// Names the asking process.
    pub identifier: u16,
    /// Counts its requests.
    pub sequence: u16,
    /// What the answer must bring back.
    pub data: &'a [u8],
}

impl<'a> Echo<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Error::Type`] if it is not an echo with code 0.
    pub fn parse<T: AsRef<[u8]>>(packet: &'a Packet<T>) -> Result<Self, Error> {
        let reply = match (packet.kind(), packet.code()) {
            (Type::EchoRequest, 0) => false,
            (Type::EchoReply, 0) => true,
            _ => return Err(Error::Type),
        };
        Ok(Self { reply, identifier: packet.identifier(), sequence: packet.sequence(), data: packet.payload() })
    }

    /// Returns the length of the message, in octets.
    pub const fn octets(&self) -> usize {
        HEADER_OCTETS + self.data.len()
    }

    /// Writes the message, its checksum included, into a buffer of exactly [`Echo::octets`] octets.
    ///
    /// # Panics
    /// If the buffer is of another length.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_kind(if self.reply { Type::EchoReply } else { Type::EchoRequest });
        packet.set_code(0);
        packet.set_identifier(self.identifier);
        packet.set_sequence(self.sequence);
        packet.payload_mut().copy_from_slice(self.data);
        packet.fill_checksum();
    }
}

#[cfg(test)]
mod tests;
