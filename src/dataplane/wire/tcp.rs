//! TCP headers (RFC 9293 §3.1).
//!
//! ```text
//! +-------------------------------+-------------------------------+
//! |          source port          |       destination port        |   0
//! +-------------------------------+-------------------------------+
//! |                        sequence number                        |   4
//! +---------------------------------------------------------------+
//! |                    acknowledgment number                      |   8
//! +-------+-------+---------------+-------------------------------+
//! |offset |  res. |C E U A P R S F|            window             |  12
//! +-------+-------+---------------+-------------------------------+
//! |           checksum            |        urgent pointer         |  16
//! +-------------------------------+-------------------------------+
//! |               options, offset - 5 words of them               |  20
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, BitOr, Sub};

use super::checksum::Sum;
use super::{Error, put_u16, put_u32, u16_at, u32_at};

/// Length of a header without options, in octets.
pub const HEADER_OCTETS: usize = 20;

/// How much of a segment there must be for its checksum to be in it, in octets.
pub const OCTETS_WITH_CHECKSUM: usize = 18;

/// A sequence number: counts octets and wraps (RFC 9293 §3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNumber(pub u32);

impl Add<u32> for SeqNumber {
    type Output = Self;

    #[inline]
    fn add(self, octets: u32) -> Self {
        Self(self.0.wrapping_add(octets))
    }
}

impl AddAssign<u32> for SeqNumber {
    #[inline]
    fn add_assign(&mut self, octets: u32) {
        *self = *self + octets;
    }
}

impl Sub<u32> for SeqNumber {
    type Output = Self;

    #[inline]
    fn sub(self, octets: u32) -> Self {
        Self(self.0.wrapping_sub(octets))
    }
}

impl Sub for SeqNumber {
    type Output = i32;

    /// The signed distance: positive if `self` is the later one.
    #[inline]
    fn sub(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }
}

impl PartialOrd for SeqNumber {
    /// Orders numbers less than 2^31 apart. Not a total order: it turns around with the numbers. Numbers exactly 2^31
    /// apart have none.
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match *self - *other {
            i32::MIN => None,
            distance => Some(distance.cmp(&0)),
        }
    }
}

/// The eight control bits of a segment.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronises sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Resets the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168 §6.1).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168 §6.1).
    pub const CWR: Self = Self(0x80);

    /// Tells whether every flag of `flags` is set.
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Tells whether any flag of `flags` is set.
    #[inline]
    pub const fn intersects(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        let set = (0..8).filter(|bit| self.0 >> bit & 1 != 0).map(|bit| NAMES[bit]);
        f.debug_set().entries(set).finish()
    }
}

/// A view over a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    pub const SOURCE_PORT: usize = 0;
    pub const DESTINATION_PORT: usize = 2;
    pub const SEQUENCE: usize = 4;
    pub const ACKNOWLEDGMENT: usize = 8;
    pub const DATA_OFFSET: usize = 12;
    pub const FLAGS: usize = 13;
    pub const WINDOW: usize = 14;
    pub const CHECKSUM: usize = 16;
    pub const URGENT: usize = 18;
    pub const OPTIONS: usize = 20;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps octets that are being written, or a window of a segment that has been checked.
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

    /// Makes sure that no accessor panics. [`Packet::set_header_octets`] voids that promise.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 20 octets, [`Error::Length`] unless 20 <= header length <= buffer.
    #[inline]
    pub fn check_len(&self) -> Result<(), Error> {
        let length = self.buffer.as_ref().len();
        if length < HEADER_OCTETS {
            return Err(Error::Truncated);
        }
        let header = self.header_octets();
        if header < HEADER_OCTETS || length < header { Err(Error::Length) } else { Ok(()) }
    }

    /// Returns the source port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::SOURCE_PORT)
    }

    /// Returns the destination port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::DESTINATION_PORT)
    }

    /// Returns the sequence number of the first octet of data (or of the SYN).
    #[inline]
    pub fn sequence(&self) -> SeqNumber {
        SeqNumber(u32_at(self.buffer.as_ref(), field::SEQUENCE))
    }

    /// Returns the next sequence number that the sender expects.
    #[inline]
    pub fn acknowledgment(&self) -> SeqNumber {
        SeqNumber(u32_at(self.buffer.as_ref(), field::ACKNOWLEDGMENT))
    }

    /// Returns the header length with its options, in octets: a multiple of 4 up to 60.
    #[inline]
    pub fn header_octets(&self) -> usize {
        usize::from(self.buffer.as_ref()[field::DATA_OFFSET] >> 4) * 4
    }

    /// Returns the control bits.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags(self.buffer.as_ref()[field::FLAGS])
    }

    /// Returns the window, unscaled.
    #[inline]
    pub fn window(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::WINDOW)
    }

    /// Returns the checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Returns the urgent pointer.
    #[inline]
    pub fn urgent(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::URGENT)
    }

    /// Returns the options, padding included.
    #[inline]
    pub fn options(&self) -> &[u8] {
        &self.buffer.as_ref()[field::OPTIONS..self.header_octets()]
    }

    /// Returns the data.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[self.header_octets()..]
    }

    /// Tells whether the checksum is right. `pseudo` is the sum of the pseudo header over all of the buffer.
    #[inline]
    pub fn verify_checksum(&self, pseudo: Sum) -> bool {
        (pseudo + Sum::of(self.buffer.as_ref())).fold() == 0xffff
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the source port.
    #[inline]
    pub fn set_source_port(&mut self, port: u16) {
        put_u16(self.buffer.as_mut(), field::SOURCE_PORT, port);
    }

    /// Sets the destination port.
    #[inline]
    pub fn set_destination_port(&mut self, port: u16) {
        put_u16(self.buffer.as_mut(), field::DESTINATION_PORT, port);
    }

    /// Sets the sequence number.
    #[inline]
    pub fn set_sequence(&mut self, sequence: SeqNumber) {
        put_u32(self.buffer.as_mut(), field::SEQUENCE, sequence.0);
    }

    /// Sets the acknowledgment number.
    #[inline]
    pub fn set_acknowledgment(&mut self, acknowledgment: SeqNumber) {
        put_u32(self.buffer.as_mut(), field::ACKNOWLEDGMENT, acknowledgment.0);
    }

    /// Sets the header length, in octets: a multiple of 4 from 20 to 60. Clears the reserved bits beside it.
    #[inline]
    pub fn set_header_octets(&mut self, octets: usize) {
        self.buffer.as_mut()[field::DATA_OFFSET] = ((octets / 4) as u8) << 4;
    }

    /// Sets the control bits.
    #[inline]
    pub fn set_flags(&mut self, flags: Flags) {
        self.buffer.as_mut()[field::FLAGS] = flags.0;
    }

    /// Sets the window, unscaled.
    #[inline]
    pub fn set_window(&mut self, window: u16) {
        put_u16(self.buffer.as_mut(), field::WINDOW, window);
    }

    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Sets the urgent pointer.
    #[inline]
    pub fn set_urgent(&mut self, urgent: u16) {
        put_u16(self.buffer.as_mut(), field::URGENT, urgent);
    }

    /// Returns the options, for writing.
    #[inline]
    pub fn options_mut(&mut self) -> &mut [u8] {
        let end = self.header_octets();
        &mut self.buffer.as_mut()[field::OPTIONS..end]
    }

    /// Returns the data, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let start = self.header_octets();
        &mut self.buffer.as_mut()[start..]
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
