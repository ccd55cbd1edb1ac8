//! What tells flows apart where each takes one of several next hops.

use super::super::parse::Parsed;

/// Odd and without a pattern: the first digits of the fractions of the golden ratio and of pi.
const KEYS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0x243f_6a88_85a3_08d3];

/// Returns the hash of a packet's flow: of its addresses, ports and protocol, the same for all of its packets.
pub fn of(packet: &Parsed) -> u32 {
    let ports = (u64::from(packet.src_port) << 16) | u64::from(packet.dst_port);
    hash(
        packet.src.folded(),
        packet.dst.folded(),
        (ports << 8) | packet.kind.transport().map_or(0, |protocol| protocol as u64),
    )
}

/// Returns the hash of two addresses and whatever else tells a flow. All of it decides every bit.
pub const fn hash(src: u32, dst: u32, more: u64) -> u32 {
    let addresses = ((src as u64) << 32) | dst as u64;
    let first = fold(addresses ^ KEYS[0], more ^ KEYS[1]);
    (fold(first ^ addresses, KEYS[0]) >> 32) as u32
}

/// A multiplication to 128 bits whose halves are put together.
const fn fold(one: u64, other: u64) -> u64 {
    let product = one as u128 * other as u128;
    product as u64 ^ (product >> 64) as u64
}
