//! Why a configuration that is right by itself cannot be applied to what runs.

use std::error::Error;
use std::fmt;
use std::io;

use super::{MAX_ENDPOINTS, MAX_REALS};
use crate::dataplane::address::Address;

/// Why a configuration cannot be applied. The running one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// More services and shared sockets than there are endpoint ids.
    EndpointIds,
    /// More real servers than there are ids.
    RealIds,
    /// The neighbour table has no room for a next hop.
    Neighbors(Address),
    /// More different local addresses than there are ids, since the start.
    LocalAddresses,
    /// No memory for what connections by full NAT have besides.
    Locals(io::ErrorKind),
    /// No memory for the notes of what the host asks through VIPs.
    Askers(io::ErrorKind),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndpointIds => write!(
                f,
                "more than {MAX_ENDPOINTS} services and shared real server sockets, \
                 those removed in the last two minutes or still in use included"
            ),
            Self::RealIds => write!(
                f,
                "more than {MAX_REALS} real servers, those removed in the last two minutes or still in use included"
            ),
            Self::LocalAddresses => {
                write!(f, "more than {} different local addresses since the director started", u16::MAX)
            }
            Self::Locals(cause) => write!(f, "no memory for full NAT's local ports: {cause}"),
            Self::Askers(cause) => write!(f, "no memory for checks through VIPs: {cause}"),
            Self::Neighbors(address) => write!(f, "the neighbour table has no room for next hop {address}"),
        }
    }
}

impl Error for ApplyError {}
