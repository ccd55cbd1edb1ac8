//! Checksums, word by word, with nothing of the director's own: what it gets wrong must not be right here in the same way.

/// Where an IP packet's transport lies, and what its sum covers beside it.
pub struct Transport<'a> {
    pub protocol: u8,
    /// Source and destination, as they count for the sum.
    pub addresses: &'a [u8],
    pub start: usize,
    pub end: usize,
}

/// What a packet is.
pub enum Packet<'a> {
    /// Neither IPv4 nor IPv6, or not in one piece.
    Unknown,
    /// With a header that contradicts itself or the packet's length.
    Wrong(&'static str),
    /// An IP packet; where it has none of its transport's header, there is no transport.
    Ip { v4_header: usize, end: usize, hops: u8, transport: Option<Transport<'a>> },
}

/// The furthest that a chain of IPv6 extension headers is followed.
const HEADERS: usize = 16;

/// Reads an IP packet, which may be followed by padding.
pub fn read(packet: &[u8], ethertype: u16) -> Packet<'_> {
    match ethertype {
        0x0800 => read_v4(packet),
        0x86dd => read_v6(packet),
        _ => Packet::Unknown,
    }
}

fn read_v4(packet: &[u8]) -> Packet<'_> {
    if packet.len() < 20 || packet[0] >> 4 != 4 {
        return Packet::Wrong("no IPv4 header");
    }
    let header = usize::from(packet[0] & 15) * 4;
    let end = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    if header < 20 || end < header || end > packet.len() {
        return Packet::Wrong("IPv4 lengths");
    }
    let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0;
    let transport =
        (!fragment).then(|| Transport { protocol: packet[9], addresses: &packet[12..20], start: header, end });
    Packet::Ip { v4_header: header, end, hops: packet[8], transport }
}

fn read_v6(packet: &[u8]) -> Packet<'_> {
    if packet.len() < 40 || packet[0] >> 4 != 6 {
        return Packet::Wrong("no IPv6 header");
    }
    let end = 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]));
    if end > packet.len() {
        return Packet::Wrong("the IPv6 payload's length");
    }
    let (mut protocol, mut start) = (packet[6], 40);
    let mut transport = None;
    for _ in 0..HEADERS {
        let octets = match protocol {
            // With a routing header that has segments left the sum is by the last address, and not looked at here.
            0 | 60 if start + 8 <= end => 8 + usize::from(packet[start + 1]) * 8,
            0 | 43 | 44 | 50 | 51 | 60 => break,
            _ => {
                transport = Some(Transport { protocol, addresses: &packet[8..40], start, end });
                break;
            }
        };
        if start + octets > end {
            break;
        }
        (protocol, start) = (packet[start], start + octets);
    }
    Packet::Ip { v4_header: 0, end, hops: packet[7], transport }
}

/// What a transport's sum says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is right, or there is none.
    Sound,
    /// It is wrong.
    Unsound,
    /// The transport contradicts itself, or is none that is known here.
    Unknown,
}

impl Transport<'_> {
    /// Where the sum lies from the transport's start on, and how many octets it covers.
    fn field(&self, packet: &[u8]) -> Option<(usize, usize)> {
        let octets = self.end - self.start;
        let (fewest, field) = match (self.protocol, self.addresses.len()) {
            (6, _) => (20, 16),
            (17, _) => (8, 6),
            (1, 8) => (8, 2),
            (58, 32) => (8, 2),
            _ => return None,
        };
        if octets < fewest {
            return None;
        }
        let length = if self.protocol == 17 {
            let length = usize::from(u16::from_be_bytes([packet[self.start + 4], packet[self.start + 5]]));
            if length < 8 || length > octets {
                return None;
            }
            length
        } else {
            octets
        };
        Some((self.start + field, length))
    }

    fn sum(&self, packet: &[u8], length: usize) -> u16 {
        let data = &packet[self.start..self.start + length];
        // ICMP's own sum has no pseudo header (RFC 792); ICMPv6's has (RFC 4443 section 2.3).
        if self.protocol == 1 {
            return add(0, data);
        }
        let [high, low] = (length as u16).to_be_bytes();
        add(add(add(0, self.addresses), &[0, 0, high, low, 0, 0, 0, self.protocol]), data)
    }

    /// Tells whether the transport's sum is right.
    pub fn verdict(&self, packet: &[u8]) -> Verdict {
        if self.protocol == 132 {
            return self.crc(packet);
        }
        let Some((field, length)) = self.field(packet) else { return Verdict::Unknown };
        // UDP over IPv4 may do without (RFC 768).
        if self.protocol == 17 && packet[field..field + 2] == [0, 0] {
            return if self.addresses.len() == 8 { Verdict::Sound } else { Verdict::Unsound };
        }
        if self.sum(packet, length) == 0xffff { Verdict::Sound } else { Verdict::Unsound }
    }

    fn crc(&self, packet: &[u8]) -> Verdict {
        let data = &packet[self.start..self.end];
        if data.len() < 12 {
            return Verdict::Unknown;
        }
        let told = u32::from_le_bytes([data[8], data[9], data[10], data[11]]);
        if crc32c(&[&data[..8], &[0; 4], &data[12..]]) == told { Verdict::Sound } else { Verdict::Unsound }
    }
}

/// Makes the sums of an Ethernet frame's packet right, as far as there is one.
pub fn mend(frame: &mut [u8]) {
    let Some((ethertype, packet)) = split(frame) else { return };
    let (header, found) = match read(packet, ethertype) {
        Packet::Ip { v4_header, transport, .. } => {
            (v4_header, transport.map(|it| (it.protocol, it.addresses.to_vec(), it.start, it.end)))
        }
        _ => return,
    };
    let packet = &mut frame[14..];
    if header > 0 {
        packet[10..12].fill(0);
        let sum = !add(0, &packet[..header]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    let Some((protocol, addresses, start, end)) = found else { return };
    let transport = Transport { protocol, addresses: &addresses, start, end };
    if protocol == 132 && end - start >= 12 {
        packet[start + 8..start + 12].fill(0);
        let crc = crc32c(&[&packet[start..end]]);
        packet[start + 8..start + 12].copy_from_slice(&crc.to_le_bytes());
    } else if let Some((field, length)) = transport.field(packet) {
        if protocol == 17 && addresses.len() == 8 && packet[field..field + 2] == [0, 0] {
            return;
        }
        packet[field..field + 2].fill(0);
        let sum = match !transport.sum(packet, length) {
            0 if protocol == 17 => 0xffff,
            sum => sum,
        };
        packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// An Ethernet frame's type and what it carries.
pub fn split(frame: &[u8]) -> Option<(u16, &[u8])> {
    let (header, packet) = frame.split_first_chunk::<14>()?;
    Some((u16::from_be_bytes([header[12], header[13]]), packet))
}

/// Adds 16-bit words to a sum in ones' complement.
pub fn add(sum: u16, octets: &[u8]) -> u16 {
    octets.chunks(2).fold(sum, |sum, pair| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        sum + u16::from(carry)
    })
}

/// CRC32c bit by bit (RFC 9260 Appendix A).
fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for octet in parts.iter().copied().flatten() {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}
