//! What programs that this one runs must not inherit.
#![allow(unsafe_code)]

use std::io;

/// The first descriptor after standard input, output and error.
const FIRST: libc::c_uint = 3;

/// Keeps every file that is open from programs that are run from now on. DPDK opens its own without asking for that: memory, and the
/// queues of a twin, whose kernel side would not notice that the director has ended while such a program goes on.
///
/// # Errors
/// If the kernel cannot (before Linux 5.11).
pub fn keep_from_programs() -> io::Result<()> {
    // SAFETY: it takes three numbers. With this flag it closes nothing: whoever owns a descriptor goes on using it, and it is
    // closed when another program takes this one's place, which has no use for it.
    let failed = unsafe { libc::close_range(FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

    use super::*;

    #[test]
    fn what_is_open_is_kept() {
        let file = File::open("/dev/null").unwrap();
        fcntl_setfd(&file, FdFlags::empty()).unwrap();
        keep_from_programs().unwrap();
        assert_eq!(fcntl_getfd(&file).unwrap(), FdFlags::CLOEXEC);
        assert!(file.metadata().is_ok(), "it is still open");
    }
}
