//! When a replayed frame was captured.
//!
//! net_pcap puts a capture's time stamps into a dynamic field of the mbuf: in microseconds, always, up to 25.11;
//! after that in nanoseconds, as an offload to be asked for. No other driver is asked to tell the time.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::sync::OnceLock;

use super::mbuf::Mbuf;

// From rte_mbuf_dyn.h.
const FIELD: &CStr = c"rte_dynfield_timestamp";
const FLAG: &CStr = c"rte_dynflag_rx_timestamp";

/// Where the time stamp is and how to read it. The EAL starts once in a process, and fields keep their places.
#[derive(Debug)]
struct Stamp {
    mask: u64,
    offset: usize,
    unit_nanos: u64,
}

static STAMP: OnceLock<Stamp> = OnceLock::new();

/// Learns where net_pcap puts its time stamps, once its port is configured.
pub(super) fn learn(unit_nanos: u64) {
    // SAFETY: the EAL runs, since a device was configured; the name is NUL-terminated, and null asks for no details.
    let offset = unsafe { dpdk_sys::rte_mbuf_dynfield_lookup(FIELD.as_ptr(), std::ptr::null_mut()) };
    // SAFETY: as above.
    let bit = unsafe { dpdk_sys::rte_mbuf_dynflag_lookup(FLAG.as_ptr(), std::ptr::null_mut()) };
    if let (Ok(offset), Ok(bit)) = (usize::try_from(offset), u32::try_from(bit)) {
        // Known already if this is the second capture: it is the same.
        let _ = STAMP.set(Stamp { mask: 1 << bit, offset, unit_nanos });
    }
}

/// Returns when the frame was captured, in nanoseconds since 1970, if its driver says.
pub(super) fn of(mbuf: &Mbuf) -> Option<u64> {
    let stamp = STAMP.get()?;
    if mbuf.flags() & stamp.mask == 0 {
        return None;
    }
    // SAFETY: the offset is that of rte_dynfield_timestamp, which DPDK registers as a uint64_t.
    let time = unsafe { mbuf.dynamic_field(stamp.offset) };
    Some(time.wrapping_mul(stamp.unit_nanos))
}
