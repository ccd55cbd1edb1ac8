//! DPDK's error numbers.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::fmt;

/// An error number of DPDK's, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Not supported by this driver: ENOTSUP.
    pub const NOT_SUPPORTED: Errno = Errno(95);

    /// The calling thread's last error, for functions that return -1 or nothing.
    pub(super) fn last() -> Self {
        // SAFETY: reads a thread-local integer; no preconditions.
        Self(unsafe { dpdk_sys::dpdk_errno() })
    }

    /// Reads the return value of a function that returns a negative error number.
    pub(super) fn check(ret: c_int) -> Result<c_int, Self> {
        if ret < 0 { Err(Self(ret.saturating_neg())) } else { Ok(ret) }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            // Some of the EAL's failures set no number.
            return f.write_str("no error number");
        }
        // SAFETY: rte_strerror takes any number and returns a NUL-terminated string, never null, in a buffer of the
        // calling thread that stays as it is until this thread asks again.
        let text = unsafe { CStr::from_ptr(dpdk_sys::rte_strerror(self.0)) };
        f.write_str(&text.to_string_lossy())
    }
}

impl std::error::Error for Errno {}
