//! UDP headers (RFC 768).
//!
//! ```text
//!  0             2             4             6             8
//! +-------------+-------------+-------------+-------------+------
//! | source port |  dest. port |   length    |  checksum   | data
//! +-------------+-------------+-------------+-------------+------
//! ```

use super::checksum::{self, Sum};
use super::{Error, put_u16, u16_at};

/// Length of the header, in octets.
pub const HEADER_OCTETS: usize = 8;

/// A view over a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    pub const SOURCE_PORT: usize = 0;
    pub const DESTINATION_PORT: usize = 2;
    pub const LENGTH: usize = 4;
    pub const CHECKSUM: usize = 6;
    pub const PAYLOAD: usize = 8;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps octets that are being written, or a window of a datagram that has been checked.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps received octets: the data of an IP packet.
    ///
    /// # Errors
    /// As [`Packet::check_len`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no accessor panics. [`Packet::set_octets`] voids that promise.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 octets, [`Error::Length`] unless 8 <= length <= buffer.
    #[inline]
    pub fn check_len(&self) -> Result<(), Error> {
        let length = self.buffer.as_ref().len();
        if length < HEADER_OCTETS {
            return Err(Error::Truncated);
        }
        let octets = usize::from(self.octets());
        if octets < HEADER_OCTETS || length < octets { Err(Error::Length) } else { Ok(()) }
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

    /// Returns the length of header and data, in octets.
    #[inline]
    pub fn octets(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::LENGTH)
    }

    /// Returns the checksum; 0 says that there is none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Returns the data.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[field::PAYLOAD..usize::from(self.octets())]
    }

    /// Tells whether the checksum is right. `pseudo` is the sum of the pseudo header over [`Packet::octets`].
    ///
    /// An absent checksum is right over IPv4 and, but for some tunnels (RFC 6935), wrong over IPv6: ask
    /// [`Packet::checksum`] first there.
    #[inline]
    pub fn verify_checksum(&self, pseudo: Sum) -> bool {
        self.checksum() == 0 || (pseudo + Sum::of(&self.buffer.as_ref()[..usize::from(self.octets())])).fold() == 0xffff
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

    /// Sets the length of header and data, in octets.
    #[inline]
    pub fn set_octets(&mut self, octets: u16) {
        put_u16(self.buffer.as_mut(), field::LENGTH, octets);
    }

    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Returns the data, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = usize::from(self.octets());
        &mut self.buffer.as_mut()[field::PAYLOAD..end]
    }

    /// Computes the checksum and sets it. `pseudo` is the sum of the pseudo header over [`Packet::octets`].
    #[inline]
    pub fn fill_checksum(&mut self, pseudo: Sum) {
        self.set_checksum(0);
        let sum = pseudo + Sum::of(&self.buffer.as_ref()[..usize::from(self.octets())]);
        self.set_checksum(checksum::udp(sum.checksum()));
    }
}

#[cfg(test)]
mod tests;
