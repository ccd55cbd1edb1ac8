//! What tells flows apart where each takes one of several next hops.

use super::super::address::Address;
use super::super::parse::Parsed;

/// Odd and without a pattern: the first digits of the fractions of the golden ratio and of pi.
const KEYS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0x243f_6a88_85a3_08d3];

/// Returns the hash of a packet's flow: of its addresses, ports and protocol, the same for all of its packets.
pub fn of(packet: &Parsed) -> u32 {
    let ports = (u64::from(packet.src_port) << 16) | u64::from(packet.dst_port);
    let more = (ports << 8) | packet.kind.transport().map_or(0, |protocol| protocol as u64);
    between(packet.src, packet.dst, more)
}

/// Returns the hash of two addresses of a family and whatever else tells a flow. All of it decides every bit.
pub const fn between(src: Address, dst: Address, more: u64) -> u32 {
    if src.is_v4() {
        return hash(src.low(), dst.low(), more);
    }
    let (src, dst) = (src.halves(), dst.halves());
    let from = fold(src.0 ^ KEYS[0], src.1 ^ KEYS[1]);
    let to = fold(dst.0 ^ KEYS[1], dst.1 ^ KEYS[0]);
    let first = fold(from ^ more, to ^ KEYS[1]);
    (fold(first ^ to, KEYS[0]) >> 32) as u32
}

/// Returns the hash of two IPv4 addresses, in host order, and whatever else tells a flow.
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
