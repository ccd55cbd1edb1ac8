//! The schedulers by name.

use std::fmt;

/// A service's scheduler, by its ipvsadm name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connections.
    Lc,
    /// Weighted least connections.
    Wlc,
    /// Shortest expected delay.
    Sed,
    /// Never queue.
    Nq,
    /// Weighted fail-over.
    Fo,
    /// Weighted overflow.
    Ovf,
    /// Power of two choices.
    Twos,
    /// Destination hashing.
    Dh,
    /// Source hashing.
    Sh(HashFlags),
    /// Maglev hashing.
    Mh {
        /// Its flags.
        flags: HashFlags,
        /// How many slots its table has: one of [`MH_SIZES`].
        size: u32,
    },
    /// Locality-based least connections.
    Lblc,
    /// Locality-based least connections with replication.
    Lblcr,
}

/// The flags of sh and mh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashFlags {
    /// `sh-fallback`, `mh-fallback`: another real server takes the connection if the one that the hash points to takes none.
    pub fallback: bool,
    /// `sh-port`, `mh-port`: the client's port counts too.
    pub port: bool,
}

/// The sizes that mh's table may have, primes all: IPVS's, and the two of Maglev's paper.
pub const MH_SIZES: [u32; 12] = [251, 509, 1021, 2039, 4093, 8191, 16_381, 32_749, 65_521, 65_537, 131_071, 655_373];

/// The size of mh's table as IPVS is built by default.
pub const DEFAULT_MH_SIZE: u32 = 4093;

impl Scheduler {
    /// All schedulers, without flags.
    pub const ALL: &'static [Self] = &[
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Sed,
        Self::Nq,
        Self::Fo,
        Self::Ovf,
        Self::Twos,
        Self::Dh,
        Self::Sh(HashFlags { fallback: false, port: false }),
        Self::Mh { flags: HashFlags { fallback: false, port: false }, size: DEFAULT_MH_SIZE },
        Self::Lblc,
        Self::Lblcr,
    ];

    /// The ipvsadm name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Twos => "twos",
            Self::Dh => "dh",
            Self::Sh(_) => "sh",
            Self::Mh { .. } => "mh",
            Self::Lblc => "lblc",
            Self::Lblcr => "lblcr",
        }
    }

    /// The flags that are set, by their ipvsadm names.
    pub fn flags(self) -> impl Iterator<Item = &'static str> {
        let (names, flags) = match self {
            Self::Sh(flags) => (["sh-fallback", "sh-port"], flags),
            Self::Mh { flags, .. } => (["mh-fallback", "mh-port"], flags),
            _ => (["", ""], HashFlags::default()),
        };
        names.into_iter().zip([flags.fallback, flags.port]).filter(|(_, set)| *set).map(|(name, _)| name)
    }

    /// The size of mh's table.
    pub const fn mh_size(self) -> Option<u32> {
        match self {
            Self::Mh { size, .. } => Some(size),
            _ => None,
        }
    }
}

/// As ipvsadm lists it, flags in parentheses.
impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let flags: Vec<_> = self.flags().collect();
        if flags.is_empty() { Ok(()) } else { write!(f, " ({})", flags.join(",")) }
    }
}
