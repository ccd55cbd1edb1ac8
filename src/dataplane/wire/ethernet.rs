//! Ethernet II frames (IEEE 802.3 §3.1.1), from the destination address on, without the frame check sequence.
//!
//! ```text
//!  0           6           12    14
//! +-----------+-----------+-----+---------
//! |destination|  source   |type | payload
//! +-----------+-----------+-----+---------
//! ```

use super::{Error, array_at, put, put_u16, u16_at};

/// A station's address, in the order in which it is sent.
pub type Address = [u8; 6];

/// Every station on the link.
pub const BROADCAST: Address = [0xff; 6];

/// Length of the header, in octets.
pub const HEADER_OCTETS: usize = 14;

/// Tells whether `address` names a group, the broadcast address included (IEEE 802 §8.2: the first bit sent).
#[inline]
pub const fn is_group(address: &Address) -> bool {
    address[0] & 1 != 0
}

/// What the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EtherType {
    /// 0x0800.
    Ipv4,
    /// 0x0806.
    Arp,
    /// A customer VLAN tag follows, 0x8100 (IEEE 802.1Q).
    Vlan,
    /// 0x86dd.
    Ipv6,
    /// A service VLAN tag follows, 0x88a8 (IEEE 802.1ad).
    ServiceVlan,
    /// Any other type or, below 0x0600, an IEEE 802.3 length.
    Unknown(u16),
}

impl From<u16> for EtherType {
    #[inline(always)]
    fn from(number: u16) -> Self {
        match number {
            0x0800 => Self::Ipv4,
            0x0806 => Self::Arp,
            0x8100 => Self::Vlan,
            0x86dd => Self::Ipv6,
            0x88a8 => Self::ServiceVlan,
            other => Self::Unknown(other),
        }
    }
}

impl From<EtherType> for u16 {
    #[inline]
    fn from(ethertype: EtherType) -> Self {
        match ethertype {
            EtherType::Ipv4 => 0x0800,
            EtherType::Arp => 0x0806,
            EtherType::Vlan => 0x8100,
            EtherType::Ipv6 => 0x86dd,
            EtherType::ServiceVlan => 0x88a8,
            EtherType::Unknown(other) => other,
        }
    }
}

/// A view over an Ethernet frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    pub const DESTINATION: usize = 0;
    pub const SOURCE: usize = 6;
    pub const ETHERTYPE: usize = 12;
    pub const PAYLOAD: usize = 14;
}

impl<T: AsRef<[u8]>> Frame<T> {
    /// Wraps octets that are being written.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps received octets.
    ///
    /// # Errors
    /// As [`Frame::check_len`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let frame = Self::new_unchecked(buffer);
        frame.check_len()?;
        Ok(frame)
    }

    /// Makes sure that no accessor panics. No setter voids that promise.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 14 octets.
    #[inline]
    pub fn check_len(&self) -> Result<(), Error> {
        if self.buffer.as_ref().len() < HEADER_OCTETS { Err(Error::Truncated) } else { Ok(()) }
    }

    /// Returns the destination address.
    #[inline]
    pub fn destination(&self) -> Address {
        array_at(self.buffer.as_ref(), field::DESTINATION)
    }

    /// Returns the source address.
    #[inline]
    pub fn source(&self) -> Address {
        array_at(self.buffer.as_ref(), field::SOURCE)
    }

    /// Returns the type of the payload.
    #[inline]
    pub fn ethertype(&self) -> EtherType {
        u16_at(self.buffer.as_ref(), field::ETHERTYPE).into()
    }

    /// Returns everything after the header, padding included.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[field::PAYLOAD..]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Frame<T> {
    /// Sets the destination address.
    #[inline]
    pub fn set_destination(&mut self, address: Address) {
        put(self.buffer.as_mut(), field::DESTINATION, &address);
    }

    /// Sets the source address.
    #[inline]
    pub fn set_source(&mut self, address: Address) {
        put(self.buffer.as_mut(), field::SOURCE, &address);
    }

    /// Sets the type of the payload.
    #[inline]
    pub fn set_ethertype(&mut self, ethertype: EtherType) {
        put_u16(self.buffer.as_mut(), field::ETHERTYPE, ethertype.into());
    }

    /// Returns everything after the header, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.as_mut()[field::PAYLOAD..]
    }
}

#[cfg(test)]
mod tests;
