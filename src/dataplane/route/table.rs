//! The table that packets are looked up in, the same for both families: the addresses in order, cut into spans where another
//! target begins.
//!
//! An address's first octet tells its span, or a few, among which a binary search decides; where there are very many, its first two
//! octets do. With a default route and a few others there is hardly anything to search. Of IPv4's full table of a million routes
//! 16 spans share two octets on the average. IPv6's are all in 2000::/3 and crowd there: of a full table of 200,000 tens of thousands begin
//! with the same two octets, and the search takes up to 16 steps.

use std::fmt::Debug;
use std::sync::Arc;

use super::Target;

/// With more spans than this in one octet there is a table of the first two: half a megabyte, of which packets ask what they need.
const FEW: u32 = 64;

/// An address as an integer, in host order.
pub(super) trait Bits: Copy + Ord + Debug {
    /// The first address.
    const FIRST: Self;
    /// The last.
    const LAST: Self;

    /// Returns its first two octets.
    fn pair(self) -> u16;

    /// Returns the first and the last address that begin with these two octets.
    fn with_pair(pair: u16) -> (Self, Self);

    /// Returns the next address; none after the last.
    fn next(self) -> Option<Self>;
}

macro_rules! bits {
    ($integer:ty) => {
        impl Bits for $integer {
            const FIRST: Self = 0;
            const LAST: Self = Self::MAX;

            #[inline(always)]
            fn pair(self) -> u16 {
                (self >> (Self::BITS - 16)) as u16
            }

            fn with_pair(pair: u16) -> (Self, Self) {
                let first = Self::from(pair) << (Self::BITS - 16);
                (first, first | Self::MAX >> 16)
            }

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
        }
    };
}

bits!(u32);
bits!(u128);

/// Where each address of a family leads.
#[derive(Clone, Debug)]
pub(super) struct Table<A> {
    /// The first address of each span; the first span's is the first of all.
    pub(super) starts: Arc<[A]>,
    targets: Arc<[Option<Target>]>,
    /// By first octet: the first and the last span of its addresses.
    octets: Arc<[(u32, u32); 256]>,
    /// By the first two octets, the same; empty while an octet has few spans.
    pub(super) pairs: Arc<[(u32, u32)]>,
}

impl<A: Bits> Table<A> {
    /// Makes it of spans in order, each with its first address.
    pub(super) fn of(starts: Vec<A>, targets: Vec<Option<Target>>) -> Self {
        let span = |address: A| starts.partition_point(|start| *start <= address) as u32 - 1;
        let octets: [_; 256] = std::array::from_fn(|octet| {
            let first = (octet as u16) << 8;
            (span(A::with_pair(first).0), span(A::with_pair(first | 0xff).1))
        });
        let many = octets.iter().any(|(first, last)| last - first > FEW);
        let pairs = if many { by_pairs(&starts).into() } else { Arc::default() };
        Self { starts: starts.into(), targets: targets.into(), octets: Arc::new(octets), pairs }
    }

    /// Finds where an address leads.
    #[inline]
    pub(super) fn find(&self, address: A) -> Option<Target> {
        let pair = address.pair();
        let (first, last) = self.octets[usize::from(pair >> 8)];
        let mut span = first as usize;
        if first != last {
            let (first, last) = self.pairs.get(usize::from(pair)).copied().unwrap_or((first, last));
            let later = self.starts.get(first as usize + 1..=last as usize)?;
            span = first as usize + later.partition_point(|start| *start <= address);
        }
        *self.targets.get(span)?
    }
}

/// By the first two octets: the first and the last span of their addresses.
fn by_pairs<A: Bits>(starts: &[A]) -> Vec<(u32, u32)> {
    let mut span = 0;
    let mut up_to = |last: A| {
        while starts.get(span + 1).is_some_and(|start| *start <= last) {
            span += 1;
        }
        span as u32
    };
    let spans = |pair| {
        let (first, last) = A::with_pair(pair);
        (up_to(first), up_to(last))
    };
    (0..=u16::MAX).map(spans).collect()
}
