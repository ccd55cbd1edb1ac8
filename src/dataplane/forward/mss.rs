//! TCP's maximum segment size (RFC 9293 §3.7.1, RFC 6691), lowered as a SYN passes so that no segment which answers it is too big for a
//! narrower way than its sender's own link. That spares both ends path MTU discovery, which somebody's filter may break.
//!
//! ```text
//!   room, the largest packet that fits = IP header + 20 octets of TCP + MSS       of IPv4 20, of IPv6 40; options not counted
//! ```
//! The option is only ever lowered, never added: without it the size is 536 octets over IPv4 and 1,220 over IPv6, which fits wherever
//! either may go. Options that end in the middle of one say nothing, and stay.

use crate::dataplane::address::Family;
use crate::dataplane::wire::checksum::Delta;
use crate::dataplane::wire::{ipv4, ipv6, tcp};

/// Options (RFC 9293 §3.2): the end of them, padding, the maximum segment size.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;

/// Returns the room that segments of `size` octets take.
pub const fn room(family: Family, size: u16) -> u16 {
    size.saturating_add(headers(family))
}

const fn headers(family: Family) -> u16 {
    let network = match family {
        Family::V4 => ipv4::HEADER_OCTETS,
        Family::V6 => ipv6::HEADER_OCTETS,
    };
    (network + tcp::HEADER_OCTETS) as u16
}

/// Lowers the maximum segment size of a SYN, with or without ACK, to what fits into packets of `room` octets, and updates its checksum
/// (RFC 1624). `l4` is where the TCP header begins in `frame`. Returns whether anything changed.
pub fn clamp(frame: &mut [u8], l4: usize, family: Family, room: u16) -> bool {
    let Some(most) = room.checked_sub(headers(family)).filter(|most| *most != 0) else { return false };
    let Some(Ok(mut segment)) = frame.get_mut(l4..).map(tcp::Packet::new_checked) else { return false };
    if !segment.flags().contains(tcp::Flags::SYN) {
        return false;
    }
    let Some(at) = find(segment.options()) else { return false };
    let Some(field) = segment.options_mut().get_mut(at..).and_then(|rest| rest.first_chunk_mut()) else { return false };
    let old = u16::from_be_bytes(*field);
    if old <= most {
        return false;
    }
    *field = most.to_be_bytes();
    // At an odd place its octets count in two words, each in the other half.
    let delta =
        if at.is_multiple_of(2) { Delta::u16(old, most) } else { Delta::u16(old.swap_bytes(), most.swap_bytes()) };
    segment.set_checksum(delta.adjust(segment.checksum()));
    true
}

/// Finds where the value of the maximum segment size is among the options.
fn find(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *options.get(at)? {
            END => return None,
            NO_OPERATION => at += 1,
            kind => {
                let length = usize::from(*options.get(at + 1)?);
                if length < 2 || options.len() < at + length {
                    return None;
                }
                if kind == MAXIMUM_SEGMENT_SIZE {
                    return (length == 4).then_some(at + 2);
                }
                at += length;
            }
        }
    }
}

#[cfg(test)]
mod tests;
