//! The outer header comes off: RFC 2003 for the packet, RFC 6040 §4.2 for the congestion mark.

use std::net::Ipv4Addr;

/// The least octets of an IPv4 header (RFC 791 §3.1).
const HEADER: usize = 20;

/// Why a packet was not taken out of its tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The outer header is cut short, not IPv4, not IP-in-IP, or its lengths disagree.
    Outer,
    /// The inner packet is cut short, not IPv4, or its lengths disagree.
    Inner,
    /// Not sent by one of the directors that were named.
    Stranger,
    /// The tunnel marked congestion and the inner packet's sender does not understand the mark.
    Congestion,
}

/// Finds the inner packet of `packet` and returns it, without padding that followed it, ready to be written.
///
/// `directors` are the outer sources that are accepted; none named, every one is.
///
/// # Errors
/// A [`Refusal`] for anything that is not one whole IPv4 packet inside another.
pub fn decapsulate<'a>(packet: &'a mut [u8], directors: &[Ipv4Addr]) -> Result<&'a [u8], Refusal> {
    let (header, total) = lengths(packet).ok_or(Refusal::Outer)?;
    if packet[9] != 4 {
        return Err(Refusal::Outer);
    }
    let source = Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15]);
    if !directors.is_empty() && !directors.contains(&source) {
        return Err(Refusal::Stranger);
    }
    let mark = packet[1] & 3;
    let payload = &mut packet[header..total];
    let (_, inner_total) = lengths(payload).ok_or(Refusal::Inner)?;
    let inner = &mut payload[..inner_total];
    carry_mark(mark, inner)?;
    Ok(inner)
}

/// Reads header and total length of the IPv4 packet at the start of `bytes`; `None` if they cannot be true.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = *bytes.first()?;
    let header = usize::from(first & 15) * 4;
    let total = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    (first >> 4 == 4 && header >= HEADER && header <= total && total <= bytes.len()).then_some((header, total))
}

/// Copies "congestion experienced" (3) from the outer header to the inner one, as RFC 6040 figure 4 has it.
fn carry_mark(outer: u8, inner: &mut [u8]) -> Result<(), Refusal> {
    match (outer, inner[1] & 3) {
        (3, 0) => Err(Refusal::Congestion),
        (3, 1 | 2) => {
            let old = u16::from_be_bytes([inner[0], inner[1]]);
            inner[1] |= 3;
            let new = u16::from_be_bytes([inner[0], inner[1]]);
            let sum = updated_sum(u16::from_be_bytes([inner[10], inner[11]]), old, new);
            inner[10..12].copy_from_slice(&sum.to_be_bytes());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// RFC 1624 equation 3: the checksum after one 16-bit field went from `old` to `new`.
fn updated_sum(sum: u16, old: u16, new: u16) -> u16 {
    let total = u32::from(!sum) + u32::from(!old) + u32::from(new);
    let folded = (total & 0xffff) + (total >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    /// An IPv4 header with a right checksum in front of `payload`.
    fn ipv4(tos: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let total = u16::try_from(HEADER + payload.len()).unwrap().to_be_bytes();
        let mut packet = vec![0x45, tos, total[0], total[1], 0, 7, 0x40, 0, 64, protocol, 0, 0];
        packet.extend(DIRECTOR.octets());
        packet.extend([10, 0, 0, 11]);
        let sum = !fold(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(payload);
        packet
    }

    fn fold(header: &[u8]) -> u16 {
        let mut sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn inner_packet_comes_out_whole_and_without_padding() {
        let inner = ipv4(0, 17, b"eight by");
        let mut packet = ipv4(0, 4, &inner);
        packet.extend([0; 6]);
        assert_eq!(decapsulate(&mut packet, &[]), Ok(&inner[..]));
        let mut padded = inner.clone();
        padded.extend([0xaa; 9]);
        assert_eq!(decapsulate(&mut ipv4(0, 4, &padded), &[DIRECTOR]), Ok(&inner[..]));
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = ipv4(0, 4, &ipv4(0, 17, b"eight by"));
        for length in 0..whole.len() {
            assert_eq!(decapsulate(&mut whole[..length].to_vec(), &[]), Err(Refusal::Outer), "{length}");
        }
        let inner = ipv4(0, 17, b"eight by");
        for length in 0..inner.len() {
            assert_eq!(decapsulate(&mut ipv4(0, 4, &inner[..length]), &[]), Err(Refusal::Inner), "{length}");
        }
    }

    #[test]
    fn false_lengths_and_versions_are_refused() {
        let inner = ipv4(0, 17, b"eight by");
        for (at, value) in [(0, 0x44), (0, 0x65), (0, 0x4f), (3, 19), (3, 200)] {
            let mut bad = inner.clone();
            bad[at] = value;
            assert_eq!(decapsulate(&mut ipv4(0, 4, &bad), &[]), Err(Refusal::Inner), "inner {at} {value:#x}");
            let mut bad = ipv4(0, 4, &inner);
            bad[at] = value;
            let refused = decapsulate(&mut bad, &[]);
            assert!(matches!(refused, Err(Refusal::Outer | Refusal::Inner)), "outer {at} {value:#x}: {refused:?}");
        }
        assert_eq!(decapsulate(&mut ipv4(0, 41, &inner), &[]), Err(Refusal::Outer));
    }

    #[test]
    fn strangers_are_refused_when_directors_are_named() {
        let mut packet = ipv4(0, 4, &ipv4(0, 17, b""));
        assert_eq!(decapsulate(&mut packet, &[Ipv4Addr::new(10, 0, 0, 2)]), Err(Refusal::Stranger));
    }

    #[test]
    fn congestion_marks_follow_rfc_6040() {
        for inner_mark in 0..4 {
            for outer_mark in 0..4 {
                let mut packet = ipv4(0xb8 | outer_mark, 4, &ipv4(0x20 | inner_mark, 17, b"x"));
                let outcome = decapsulate(&mut packet, &[]).map(|inner| (inner[1], fold(&inner[..HEADER])));
                let expected = match (outer_mark, inner_mark) {
                    (3, 0) => Err(Refusal::Congestion),
                    (3, _) => Ok((0x23, 0xffff)),
                    (_, kept) => Ok((0x20 | kept, 0xffff)),
                };
                assert_eq!(outcome, expected, "outer {outer_mark}, inner {inner_mark}");
            }
        }
    }
}
