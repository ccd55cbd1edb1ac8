//! Where in the table a key belongs.
//!
//! Two folded multiplies with a secret. A linear function (CRC32, or the Toeplitz hash by which a NIC spreads flows)
//! must not be used here: its collisions do not depend on the secret, so a stranger can compute thousands of
//! addresses and ports that share their lines in every director. One fold shows structure on strided addresses;
//! two do not (at most 2.5 sigma over seven patterns of keys).

/// The table's secret: random, and never shown.
#[derive(Clone, Copy)]
pub struct Secret([u64; 4]);

/// A key's hash. It names two main and two overflow lines of the table that made it, and means nothing to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(pub(super) u64);

impl Secret {
    /// Mixes each word first, so that a secret of little randomness (a test's, a replay's) is as good a multiplier as
    /// any: products by 0xfedcba9876543211 fill lines visibly unevenly.
    pub(in crate::dataplane) const fn new(random: [u64; 4]) -> Self {
        let [s0, s1, s2, s3] = random;
        Self([mix(s0, 1), mix(s1, 2) | 1, mix(s2, 3), mix(s3, 4) | 1])
    }

    /// Two folds for the first word, and one more for each further.
    #[inline]
    pub(in crate::dataplane) fn hash<const WORDS: usize>(&self, key: &[u64; WORDS]) -> Hash {
        let [s0, s1, s2, s3] = self.0;
        let absorbed = key[1..].iter().fold(fold(key[0] ^ s0, s1), |hash, word| fold(hash ^ word, s1));
        Hash(fold(absorbed ^ s2, s3))
    }
}

impl Hash {
    /// Two further 64-bit hashes' upper halves: the fraction of the overflow level at which a key's lines lie.
    #[inline]
    pub(super) const fn overflow(self) -> [u32; 2] {
        const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
        const SECOND: u64 = 0xc2b2_ae3d_27d4_eb4f;
        [(self.0.wrapping_mul(FIRST) >> 32) as u32, (self.0.wrapping_mul(SECOND) >> 32) as u32]
    }

    /// The fractions of the main level at which a key's lines lie.
    #[inline]
    pub(in crate::dataplane) const fn main(self) -> [u32; 2] {
        [(self.0 >> 32) as u32, self.0 as u32]
    }
}

/// SplitMix64's step: the `n`th number of the generator seeded with `word`.
const fn mix(word: u64, n: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n));
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// The low half XOR the high half of a 128-bit product.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The line at `fraction` / 2^32 of `lines`.
#[inline(always)]
pub(in crate::dataplane) const fn at(fraction: u32, lines: u32) -> u32 {
    ((fraction as u64 * lines as u64) >> 32) as u32
}
