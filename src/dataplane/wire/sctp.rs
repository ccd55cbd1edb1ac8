//! SCTP packets (RFC 9260 §3): a common header, and chunks one behind another.
//!
//! ```text
//!  0             2             4                           8                          12
//! +-------------+-------------+---------------------------+---------------------------+--------+--------+----
//! | source port |  dest. port |     verification tag      |          CRC32c           | chunk  | chunk  | ...
//! +-------------+-------------+---------------------------+---------------------------+--------+--------+----
//!
//!  0      1      2             4                     length
//! +------+------+-------------+------------------------+---------+
//! | type | flags|   length    | value                  | padding |  a chunk; its length leaves out the padding,
//! +------+------+-------------+------------------------+---------+  which goes on to the next multiple of 4
//! ```
//! The checksum (RFC 9260 Appendix A) is over the whole packet, with 0 in its own place and no pseudo header: it does
//! not know the addresses. It is the one field whose octets run from the lowest to the highest.

use super::{Error, array_at, put, put_u16, put_u32, u16_at, u32_at};

/// Length of the common header, in octets.
pub const HEADER_OCTETS: usize = 12;

/// Length of what every chunk begins with, in octets.
pub const CHUNK_HEADER_OCTETS: usize = 4;

/// What a chunk is (RFC 9260 §3.2; the two of ECN: its Appendix A's forerunner in RFC 4960).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkType {
    /// User data, 0.
    Data,
    /// Opens an association, 1.
    Init,
    /// Answers that, with a cookie, 2.
    InitAck,
    /// Acknowledges data, 3.
    Sack,
    /// Asks for a sign of life, 4.
    Heartbeat,
    /// Answers that, 5.
    HeartbeatAck,
    /// Ends the association at once, 6.
    Abort,
    /// Begins its orderly end, 7.
    Shutdown,
    /// Answers that, 8.
    ShutdownAck,
    /// Reports an error, 9.
    Error,
    /// Returns the cookie, 10.
    CookieEcho,
    /// Answers that: the association is open, 11.
    CookieAck,
    /// Congestion was met, 12.
    Ecne,
    /// The window was made smaller, 13.
    Cwr,
    /// The last of an association, 14.
    ShutdownComplete,
    /// Any other type.
    Unknown(u8),
}

/// The types by their numbers.
const TYPES: [ChunkType; 15] = [
    ChunkType::Data,
    ChunkType::Init,
    ChunkType::InitAck,
    ChunkType::Sack,
    ChunkType::Heartbeat,
    ChunkType::HeartbeatAck,
    ChunkType::Abort,
    ChunkType::Shutdown,
    ChunkType::ShutdownAck,
    ChunkType::Error,
    ChunkType::CookieEcho,
    ChunkType::CookieAck,
    ChunkType::Ecne,
    ChunkType::Cwr,
    ChunkType::ShutdownComplete,
];

impl From<u8> for ChunkType {
    #[inline]
    fn from(number: u8) -> Self {
        TYPES.get(usize::from(number)).copied().unwrap_or(Self::Unknown(number))
    }
}

impl From<ChunkType> for u8 {
    #[inline]
    fn from(kind: ChunkType) -> Self {
        match kind {
            ChunkType::Data => 0,
            ChunkType::Init => 1,
            ChunkType::InitAck => 2,
            ChunkType::Sack => 3,
            ChunkType::Heartbeat => 4,
            ChunkType::HeartbeatAck => 5,
            ChunkType::Abort => 6,
            ChunkType::Shutdown => 7,
            ChunkType::ShutdownAck => 8,
            ChunkType::Error => 9,
            ChunkType::CookieEcho => 10,
            ChunkType::CookieAck => 11,
            ChunkType::Ecne => 12,
            ChunkType::Cwr => 13,
            ChunkType::ShutdownComplete => 14,
            ChunkType::Unknown(number) => number,
        }
    }
}

/// A view over an SCTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

mod field {
    pub const SOURCE_PORT: usize = 0;
    pub const DESTINATION_PORT: usize = 2;
    pub const VERIFICATION_TAG: usize = 4;
    pub const CHECKSUM: usize = 8;
    pub const CHUNKS: usize = 12;

    pub const CHUNK_TYPE: usize = 0;
    pub const CHUNK_FLAGS: usize = 1;
    pub const CHUNK_LENGTH: usize = 2;
    pub const CHUNK_VALUE: usize = 4;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Wraps octets that are being written, or a packet that has been checked.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Wraps received octets: the data of an IP packet, all of them.
    ///
    /// # Errors
    /// As [`Packet::check_len`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Makes sure that no accessor panics. Chunks are checked one by one, by who walks over them.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 12 octets.
    #[inline]
    pub fn check_len(&self) -> Result<(), Error> {
        if self.buffer.as_ref().len() < HEADER_OCTETS { Err(Error::Truncated) } else { Ok(()) }
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

    /// Returns the verification tag: 0 with an INIT, else the one that the receiver of the packet chose.
    #[inline]
    pub fn verification_tag(&self) -> u32 {
        u32_at(self.buffer.as_ref(), field::VERIFICATION_TAG)
    }

    /// Returns the checksum.
    #[inline]
    pub fn checksum(&self) -> u32 {
        u32::from_le_bytes(array_at(self.buffer.as_ref(), field::CHECKSUM))
    }

    /// Computes what the checksum should be.
    pub fn expected_checksum(&self) -> u32 {
        let octets = self.buffer.as_ref();
        let before = crc32c::crc32c(&octets[..field::CHECKSUM]);
        crc32c::crc32c_append(crc32c::crc32c_append(before, &[0; 4]), &octets[field::CHUNKS..])
    }

    /// Tells whether the checksum is right.
    pub fn verify_checksum(&self) -> bool {
        self.checksum() == self.expected_checksum()
    }

    /// Returns the chunks, in order.
    #[inline]
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks { rest: &self.buffer.as_ref()[field::CHUNKS..] }
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

    /// Sets the verification tag.
    #[inline]
    pub fn set_verification_tag(&mut self, tag: u32) {
        put_u32(self.buffer.as_mut(), field::VERIFICATION_TAG, tag);
    }

    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u32) {
        put(self.buffer.as_mut(), field::CHECKSUM, &checksum.to_le_bytes());
    }

    /// Computes the checksum and sets it.
    pub fn fill_checksum(&mut self) {
        self.set_checksum(self.expected_checksum());
    }
}

/// A chunk: header and value, without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    octets: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Returns what it is.
    #[inline]
    pub fn kind(&self) -> ChunkType {
        self.octets[field::CHUNK_TYPE].into()
    }

    /// Returns the flags, whose meaning depends on what it is.
    #[inline]
    pub fn flags(&self) -> u8 {
        self.octets[field::CHUNK_FLAGS]
    }

    /// Returns the length of header and value, in octets.
    #[inline]
    pub fn octets(&self) -> u16 {
        u16_at(self.octets, field::CHUNK_LENGTH)
    }

    /// Returns what follows its header, without padding.
    #[inline]
    pub fn value(&self) -> &'a [u8] {
        &self.octets[field::CHUNK_VALUE..]
    }
}

/// The walk over a packet's chunks. It ends with the first that is not whole.
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    /// [`Error::Truncated`] where fewer than 4 octets are left, [`Error::Length`] unless 4 <= length <= what is left.
    type Item = Result<Chunk<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        if rest.len() < CHUNK_HEADER_OCTETS {
            return Some(Err(Error::Truncated));
        }
        let octets = usize::from(u16_at(rest, field::CHUNK_LENGTH));
        if octets < CHUNK_HEADER_OCTETS || rest.len() < octets {
            return Some(Err(Error::Length));
        }
        // The last chunk's padding may be missing: RFC 9260 §3.2 has the sender put it there, and nobody reads it.
        self.rest = rest.get(octets.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Chunk { octets: &rest[..octets] }))
    }
}

#[cfg(test)]
mod tests;
