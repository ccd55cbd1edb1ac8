//! The `[announce]` table: how VIPs are announced to the host.

use super::model::Announce;
use super::section::Section;
use super::source::ConfigError;

/// Default of `announce.protocol`; nobody else's in iproute2's list.
const DEFAULT_PROTOCOL: u8 = 109;
/// Below are the kernel's own and those of well-known programs, the last of them keepalived.
pub(super) const LOWEST_PROTOCOL: u64 = 19;
/// Default of `announce.table`: the kernel's main table.
pub(super) const MAIN_TABLE: u32 = 254;
/// What the kernel delivers to the host itself.
const LOCAL_TABLE: u32 = 255;

/// Reads the table.
pub(super) fn announce(section: Option<Section<'_>>) -> Result<Option<Announce>, ConfigError> {
    let Some(section) = section else { return Ok(None) };
    let mut announce = Announce { protocol: DEFAULT_PROTOCOL, table: MAIN_TABLE };
    if let Some(item) = section.get("protocol") {
        announce.protocol = item.integer(LOWEST_PROTOCOL..=u8::MAX.into())? as u8;
    }
    if let Some(item) = section.get("table") {
        announce.table = item.integer(1..=u32::MAX.into())? as u32;
        if announce.table == LOCAL_TABLE {
            return Err(item.error("255 is the kernel's table of the host's own addresses"));
        }
    }
    Ok(Some(announce))
}
