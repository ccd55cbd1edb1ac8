//! IPv6 headers and the extension headers behind them (RFC 8200).
//!
//! ```text
//! +-------+---------------+---------------------------------------+
//! |version| traffic class |              flow label               |   0
//! +-------+---------------+-------+---------------+---------------+
//! |        payload length         |  next header  |   hop limit   |   4
//! +-------------------------------+---------------+---------------+
//! |                         source, 16 octets                     |   8
//! +---------------------------------------------------------------+
//! |                      destination, 16 octets                   |  24
//! +---------------------------------------------------------------+
//! ```

use std::net::Ipv6Addr;

use super::ip::Protocol;
use super::{Error, array_at, put, put_u16, put_u32, u16_at, u32_at};

/// Length of the fixed header, in octets.
pub const HEADER_OCTETS: usize = 40;

/// The MTU that every link has at least, in octets (RFC 8200 §5). No sender makes its packets smaller than that for a path.
pub const MIN_MTU: u16 = 1280;

/// Tells whether an address may be one host's: no multicast one, and none of ::/32, where the unspecified one, the loopback (RFC 4291
/// §2.4) and those are that stand for IPv4 addresses (§2.5.5), which no packet bears, and else nothing (RFC 6890 §2.2.3).
#[inline]
pub const fn is_host(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    bits >> 96 != 0 && bits >> 120 != 0xff
}

/// The most extension headers that [`Packet::upper`] walks over. RFC 8200 §4.1 recommends each at most once, but
/// destination options twice, which makes six before the upper layer.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// A view over an IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    pub const VERSION_CLASS_LABEL: usize = 0;
    pub const PAYLOAD_LENGTH: usize = 4;
    pub const NEXT_HEADER: usize = 6;
    pub const HOP_LIMIT: usize = 7;
    pub const SOURCE: usize = 8;
    pub const DESTINATION: usize = 24;
    pub const PAYLOAD: usize = 40;

    /// Of an extension header.
    pub mod extension {
        pub const NEXT_HEADER: usize = 0;
        pub const LENGTH: usize = 1;
        pub const FRAGMENT_OFFSET: usize = 2;
        pub const FRAGMENT_IDENTIFICATION: usize = 4;
    }
}

/// What lies behind the extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    /// The protocol of the data.
    pub protocol: Protocol,
    /// Where the data begins, in octets from the start of the packet. For a fragment that is not the first, this is the
    /// middle of something.
    pub offset: usize,
    /// What the fragment header says, if there is one.
    pub fragment: Option<Fragment>,
}

/// A fragment header (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The place in the original packet's fragmentable part, in octets: a multiple of 8.
    pub offset: u16,
    /// Whether this is not the last one.
    pub more: bool,
    /// By which fragments find each other.
    pub identification: u32,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps octets that are being written.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps received octets. They may go on beyond the payload length, as Ethernet's padding does.
    ///
    /// # Errors
    /// As [`Packet::check_len`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no accessor panics. [`Packet::set_payload_octets`] voids that promise.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 40 octets, [`Error::Version`] if it is not 6, [`Error::Length`] if the payload length
    /// goes beyond the buffer. A jumbogram's (RFC 2675) is 0: its payload seems empty.
    #[inline]
    pub fn check_len(&self) -> Result<(), Error> {
        self.check_header()?;
        if self.buffer.as_ref().len() < self.total_octets() { Err(Error::Length) } else { Ok(()) }
    }

    /// Makes sure that no accessor of the fixed header panics, nor [`Packet::upper`], on a buffer that may end before the packet does.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 40 octets, [`Error::Version`] if it is not 6.
    #[inline]
    pub fn check_header(&self) -> Result<(), Error> {
        if self.buffer.as_ref().len() < HEADER_OCTETS {
            return Err(Error::Truncated);
        }
        if self.version() == 6 { Ok(()) } else { Err(Error::Version) }
    }

    /// Returns the version.
    #[inline]
    pub fn version(&self) -> u8 {
        self.buffer.as_ref()[field::VERSION_CLASS_LABEL] >> 4
    }

    /// Returns the traffic class: DSCP and ECN in one octet.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        (u16_at(self.buffer.as_ref(), field::VERSION_CLASS_LABEL) >> 4) as u8
    }

    /// Returns the flow label: 20 bits.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        u32_at(self.buffer.as_ref(), field::VERSION_CLASS_LABEL) & 0xf_ffff
    }

    /// Returns the length of all that follows the fixed header, in octets.
    #[inline]
    pub fn payload_octets(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::PAYLOAD_LENGTH)
    }

    /// Returns the length of the packet, in octets.
    #[inline]
    pub fn total_octets(&self) -> usize {
        HEADER_OCTETS + usize::from(self.payload_octets())
    }

    /// Returns what follows the fixed header: an extension header or the upper layer.
    #[inline]
    pub fn next_header(&self) -> Protocol {
        self.buffer.as_ref()[field::NEXT_HEADER].into()
    }

    /// Returns the hop limit.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.buffer.as_ref()[field::HOP_LIMIT]
    }

    /// Returns the source address.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        array_at::<16>(self.buffer.as_ref(), field::SOURCE).into()
    }

    /// Returns the destination address.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        array_at::<16>(self.buffer.as_ref(), field::DESTINATION).into()
    }

    /// Returns all that follows the fixed header.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[field::PAYLOAD..self.total_octets()]
    }

    /// Walks over the extension headers to the upper layer, [`MAX_EXTENSION_HEADERS`] at most. The walk ends at a
    /// fragment that is not the first, whose data begins with no header, and at ESP, whose next header is hidden.
    ///
    /// # Errors
    /// [`Error::Length`] if a header goes beyond the packet or the buffer, [`Error::Type`] if there are too many, or hop-by-hop
    /// options other than first (RFC 8200 §4.1).
    pub fn upper(&self) -> Result<Upper, Error> {
        use field::extension;

        let packet = self.buffer.as_ref();
        let packet = &packet[..self.total_octets().min(packet.len())];
        let mut upper = Upper { protocol: self.next_header(), offset: HEADER_OCTETS, fragment: None };
        for walked in 0..=MAX_EXTENSION_HEADERS {
            let later_fragment = upper.fragment.is_some_and(|fragment| fragment.offset != 0);
            if later_fragment || !is_extension(upper.protocol) {
                return Ok(upper);
            }
            if upper.protocol == Protocol::HopByHop && walked != 0 {
                return Err(Error::Type);
            }
            let header = packet[upper.offset..].first_chunk::<8>().ok_or(Error::Length)?;
            if upper.protocol == Protocol::Fragment {
                let word = u16_at(header, extension::FRAGMENT_OFFSET);
                upper.fragment = Some(Fragment {
                    offset: word & !7,
                    more: word & 1 != 0,
                    identification: u32_at(header, extension::FRAGMENT_IDENTIFICATION),
                });
            }
            let end = upper.offset + extension_octets(upper.protocol, header[extension::LENGTH]);
            if packet.len() < end {
                return Err(Error::Length);
            }
            upper.protocol = header[extension::NEXT_HEADER].into();
            upper.offset = end;
        }
        Err(Error::Type)
    }
}

/// Tells whether `protocol` is an extension header that can be walked over.
fn is_extension(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::HopByHop
            | Protocol::Routing
            | Protocol::Fragment
            | Protocol::Authentication
            | Protocol::DestinationOptions
    )
}

/// Returns the length of an extension header, in octets, from the length field in it. RFC 8200 §4.2 counts 8-octet
/// units without the first; RFC 4302 §2.2 counts 4-octet units without the first two; a fragment header is fixed.
fn extension_octets(protocol: Protocol, length: u8) -> usize {
    match protocol {
        Protocol::Fragment => 8,
        Protocol::Authentication => (usize::from(length) + 2) * 4,
        _ => (usize::from(length) + 1) * 8,
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the version to 6, the traffic class, and the flow label: 20 bits.
    #[inline]
    pub fn set_version_class_label(&mut self, traffic_class: u8, flow_label: u32) {
        let word = 6 << 28 | u32::from(traffic_class) << 20 | flow_label & 0xf_ffff;
        put_u32(self.buffer.as_mut(), field::VERSION_CLASS_LABEL, word);
    }

    /// Sets the length of all that follows the fixed header, in octets.
    #[inline]
    pub fn set_payload_octets(&mut self, octets: u16) {
        put_u16(self.buffer.as_mut(), field::PAYLOAD_LENGTH, octets);
    }

    /// Sets what follows the fixed header.
    #[inline]
    pub fn set_next_header(&mut self, protocol: Protocol) {
        self.buffer.as_mut()[field::NEXT_HEADER] = protocol.into();
    }

    /// Sets the hop limit.
    #[inline]
    pub fn set_hop_limit(&mut self, hops: u8) {
        self.buffer.as_mut()[field::HOP_LIMIT] = hops;
    }

    /// Sets the source address.
    #[inline]
    pub fn set_source(&mut self, address: Ipv6Addr) {
        put(self.buffer.as_mut(), field::SOURCE, &address.octets());
    }

    /// Sets the destination address.
    #[inline]
    pub fn set_destination(&mut self, address: Ipv6Addr) {
        put(self.buffer.as_mut(), field::DESTINATION, &address.octets());
    }

    /// Returns all that follows the fixed header, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = self.total_octets();
        &mut self.buffer.as_mut()[field::PAYLOAD..end]
    }
}

/// A fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// What tells flows apart where ports are not seen (RFC 6437): 20 bits.
    pub flow_label: u32,
    /// The hop limit.
    pub hop_limit: u8,
    /// What follows.
    pub next_header: Protocol,
    /// The source address.
    pub source: Ipv6Addr,
    /// The destination address.
    pub destination: Ipv6Addr,
    /// The length of all that follows, in octets.
    pub payload_octets: u16,
}

impl Repr {
    /// Writes all [`HEADER_OCTETS`] octets of the header.
    ///
    /// # Panics
    /// If the buffer is shorter.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_version_class_label(self.traffic_class, self.flow_label);
        packet.set_payload_octets(self.payload_octets);
        packet.set_next_header(self.next_header);
        packet.set_hop_limit(self.hop_limit);
        packet.set_source(self.source);
        packet.set_destination(self.destination);
    }
}

#[cfg(test)]
mod tests;
