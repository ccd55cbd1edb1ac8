//! IPv4 headers (RFC 791 §3.1).
//!
//! ```text
//!  0                   1                   2                   3
//! +-------+-------+---------------+-------------------------------+
//! |version|  IHL  | TOS: DSCP, ECN|         total length          |   0
//! +-------+-------+---------------+-----+-------------------------+
//! |        identification         |0 D M|     fragment offset     |   4
//! +---------------+---------------+-----+-------------------------+
//! |      TTL      |   protocol    |        header checksum        |   8
//! +---------------+---------------+-------------------------------+
//! |                            source                             |  12
//! +---------------------------------------------------------------+
//! |                          destination                          |  16
//! +---------------------------------------------------------------+
//! |                 options, IHL - 5 words of them                |  20
//! ```

use std::net::Ipv4Addr;

use super::checksum::{self, Sum};
use super::ip::Protocol;
use super::{Error, put_u16, put_u32, u16_at, u32_at};

/// Length of a header without options, in octets.
pub const HEADER_OCTETS: usize = 20;

/// The MTU that every link has at least, in octets (RFC 791 §3.2).
pub const MIN_MTU: u16 = 68;

/// Tells whether `address`, in host order, may be one host's on a link: not 0/8 ("this network"), 127/8 (loopback),
/// 224/4 (multicast) or 240/4 (reserved, and the limited broadcast address), RFC 6890 §2.2.2 and RFC 1122 §3.2.1.3.
#[inline]
pub const fn is_host(address: u32) -> bool {
    let network = address >> 24;
    (network.wrapping_sub(1) < 223) & (network != 127)
}

/// A view over an IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    pub const VERSION_IHL: usize = 0;
    pub const TOS: usize = 1;
    pub const TOTAL_LENGTH: usize = 2;
    pub const IDENTIFICATION: usize = 4;
    pub const FLAGS_OFFSET: usize = 6;
    pub const TTL: usize = 8;
    pub const PROTOCOL: usize = 9;
    pub const CHECKSUM: usize = 10;
    pub const SOURCE: usize = 12;
    pub const DESTINATION: usize = 16;
    pub const OPTIONS: usize = 20;
}

/// The bit "don't fragment" of the flags word.
const DONT_FRAGMENT: u16 = 0x4000;
/// The bit "more fragments".
const MORE_FRAGMENTS: u16 = 0x2000;
/// The fragment offset, in units of 8 octets.
const FRAGMENT_OFFSET: u16 = 0x1fff;

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps octets that are being written, or a window of a packet that has been checked.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps received octets. They may go on beyond the total length, as Ethernet's padding does.
    ///
    /// # Errors
    /// As [`Packet::check_len`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no accessor panics. [`Packet::set_version_and_header_octets`] and [`Packet::set_total_octets`]
    /// void that promise.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 20 octets, [`Error::Version`] if it is not 4, [`Error::Length`] unless
    /// 20 <= header length <= total length <= buffer.
    #[inline]
    pub fn check_len(&self) -> Result<(), Error> {
        let length = self.buffer.as_ref().len();
        if length < HEADER_OCTETS {
            return Err(Error::Truncated);
        }
        if self.version() != 4 {
            return Err(Error::Version);
        }
        let (header, total) = (self.header_octets(), usize::from(self.total_octets()));
        if header < HEADER_OCTETS || total < header || length < total {
            return Err(Error::Length);
        }
        Ok(())
    }

    /// Makes sure that no accessor of the header panics, on a buffer that may end with the header.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 20 octets, [`Error::Length`] unless 20 <= header length <= buffer.
    #[inline]
    pub fn check_header(&self) -> Result<(), Error> {
        let length = self.buffer.as_ref().len();
        if length < HEADER_OCTETS {
            return Err(Error::Truncated);
        }
        let header = self.header_octets();
        if header < HEADER_OCTETS || length < header { Err(Error::Length) } else { Ok(()) }
    }

    /// Returns the version.
    #[inline]
    pub fn version(&self) -> u8 {
        self.buffer.as_ref()[field::VERSION_IHL] >> 4
    }

    /// Returns the header length with its options, in octets: a multiple of 4 up to 60.
    #[inline]
    pub fn header_octets(&self) -> usize {
        usize::from(self.buffer.as_ref()[field::VERSION_IHL] & 0xf) * 4
    }

    /// Returns the type of service: DSCP (RFC 2474) and ECN (RFC 3168) in one octet.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.buffer.as_ref()[field::TOS]
    }

    /// Returns the length of header and data, in octets.
    #[inline]
    pub fn total_octets(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::TOTAL_LENGTH)
    }

    /// Returns the identification, by which fragments find each other.
    #[inline]
    pub fn identification(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::IDENTIFICATION)
    }

    /// Tells whether routers may not fragment the packet.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        u16_at(self.buffer.as_ref(), field::FLAGS_OFFSET) & DONT_FRAGMENT != 0
    }

    /// Tells whether this is a fragment and not the last one.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        u16_at(self.buffer.as_ref(), field::FLAGS_OFFSET) & MORE_FRAGMENTS != 0
    }

    /// Returns the place of this fragment in its datagram, in octets: a multiple of 8.
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        (u16_at(self.buffer.as_ref(), field::FLAGS_OFFSET) & FRAGMENT_OFFSET) << 3
    }

    /// Tells whether this is a fragment, the first and the last included.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        u16_at(self.buffer.as_ref(), field::FLAGS_OFFSET) & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0
    }

    /// Returns the time to live, in hops.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.buffer.as_ref()[field::TTL]
    }

    /// Returns the protocol of the data.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol_number().into()
    }

    /// Returns the protocol of the data, by its number: cheaper where only a few are told apart.
    #[inline]
    pub fn protocol_number(&self) -> u8 {
        self.buffer.as_ref()[field::PROTOCOL]
    }

    /// Returns the header checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Returns the source address.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32_at(self.buffer.as_ref(), field::SOURCE))
    }

    /// Returns the destination address.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32_at(self.buffer.as_ref(), field::DESTINATION))
    }

    /// Returns the options, padding included.
    #[inline]
    pub fn options(&self) -> &[u8] {
        &self.buffer.as_ref()[field::OPTIONS..self.header_octets()]
    }

    /// Returns the data, without what follows the total length.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[self.header_octets()..usize::from(self.total_octets())]
    }

    /// Tells whether the header checksum is right (RFC 791 §3.1).
    #[inline]
    pub fn verify_checksum(&self) -> bool {
        checksum::verify(&self.buffer.as_ref()[..self.header_octets()])
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the version to 4 and the header length, in octets: a multiple of 4 from 20 to 60.
    #[inline]
    pub fn set_version_and_header_octets(&mut self, octets: usize) {
        self.buffer.as_mut()[field::VERSION_IHL] = 0x40 | (octets / 4) as u8 & 0xf;
    }

    /// Sets DSCP and ECN.
    #[inline]
    pub fn set_tos(&mut self, tos: u8) {
        self.buffer.as_mut()[field::TOS] = tos;
    }

    /// Sets the length of header and data, in octets.
    #[inline]
    pub fn set_total_octets(&mut self, octets: u16) {
        put_u16(self.buffer.as_mut(), field::TOTAL_LENGTH, octets);
    }

    /// Sets the identification.
    #[inline]
    pub fn set_identification(&mut self, identification: u16) {
        put_u16(self.buffer.as_mut(), field::IDENTIFICATION, identification);
    }

    /// Makes the packet a whole datagram, which routers may or may not fragment.
    #[inline]
    pub fn set_unfragmented(&mut self, dont_fragment: bool) {
        put_u16(self.buffer.as_mut(), field::FLAGS_OFFSET, if dont_fragment { DONT_FRAGMENT } else { 0 });
    }

    /// Makes the packet a fragment that lies `offset` octets, a multiple of 8, into its datagram.
    #[inline]
    pub fn set_fragment(&mut self, more: bool, offset: u16) {
        put_u16(self.buffer.as_mut(), field::FLAGS_OFFSET, offset >> 3 | if more { MORE_FRAGMENTS } else { 0 });
    }

    /// Sets the time to live, in hops.
    #[inline]
    pub fn set_ttl(&mut self, ttl: u8) {
        self.buffer.as_mut()[field::TTL] = ttl;
    }

    /// Sets the protocol of the data.
    #[inline]
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.buffer.as_mut()[field::PROTOCOL] = protocol.into();
    }

    /// Sets the header checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Sets the source address.
    #[inline]
    pub fn set_source(&mut self, address: Ipv4Addr) {
        put_u32(self.buffer.as_mut(), field::SOURCE, address.to_bits());
    }

    /// Sets the destination address.
    #[inline]
    pub fn set_destination(&mut self, address: Ipv4Addr) {
        put_u32(self.buffer.as_mut(), field::DESTINATION, address.to_bits());
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
        let range = self.header_octets()..usize::from(self.total_octets());
        &mut self.buffer.as_mut()[range]
    }

    /// Computes the header checksum over all of the header and sets it.
    #[inline]
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        let sum = Sum::of(&self.buffer.as_ref()[..self.header_octets()]);
        self.set_checksum(sum.checksum());
    }
}

/// The header of a whole datagram without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// DSCP and ECN.
    pub tos: u8,
    /// The identification.
    pub identification: u16,
    /// Whether routers may not fragment it.
    pub dont_fragment: bool,
    /// The time to live, in hops.
    pub ttl: u8,
    /// What the data is.
    pub protocol: Protocol,
    /// The source address.
    pub source: Ipv4Addr,
    /// The destination address.
    pub destination: Ipv4Addr,
    /// The length of the data, in octets: 65,515 at most.
    pub payload_octets: u16,
}

impl Repr {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Error::Type`] for a fragment or a header with options, which have no meaning here.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        if packet.is_fragment() || packet.header_octets() != HEADER_OCTETS {
            return Err(Error::Type);
        }
        Ok(Self {
            tos: packet.tos(),
            identification: packet.identification(),
            dont_fragment: packet.dont_fragment(),
            ttl: packet.ttl(),
            protocol: packet.protocol(),
            source: packet.source(),
            destination: packet.destination(),
            payload_octets: packet.total_octets().saturating_sub(HEADER_OCTETS as u16),
        })
    }

    /// Writes all [`HEADER_OCTETS`] octets of the header, its checksum included.
    ///
    /// # Panics
    /// If the buffer is shorter.
    #[inline(always)]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_version_and_header_octets(HEADER_OCTETS);
        packet.set_tos(self.tos);
        packet.set_total_octets(self.payload_octets.saturating_add(HEADER_OCTETS as u16));
        packet.set_identification(self.identification);
        packet.set_unfragmented(self.dont_fragment);
        packet.set_ttl(self.ttl);
        packet.set_protocol(self.protocol);
        packet.set_source(self.source);
        packet.set_destination(self.destination);
        packet.set_checksum(self.sum().checksum());
    }

    /// Adds up the header from its fields: reading back what was just written would wait for the stores.
    #[inline(always)]
    fn sum(&self) -> Sum {
        let flags = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        Sum::pseudo_v4(self.source, self.destination, self.protocol.into(), self.payload_octets)
            + Sum::word(HEADER_OCTETS as u16)
            + Sum::word(0x4500 | u16::from(self.tos))
            + Sum::word(self.identification)
            + Sum::word(flags)
            + Sum::word(u16::from(self.ttl) << 8)
    }
}

#[cfg(test)]
mod tests;
