//! Memory like the connection table's: in 2 MiB pages if there are any, else in ordinary ones that the kernel may join.

use std::io;

use anyhow::Context;
use memmap2::{Advice, MmapMut, MmapOptions};
use millrace::dataplane::conn::Backing;

const HUGE_PAGE: usize = 2 << 20;

/// Maps zeroed memory of `octets` at least.
pub fn map(octets: usize) -> io::Result<(MmapMut, Backing)> {
    let octets = octets.max(1).next_multiple_of(HUGE_PAGE);
    if let Ok(memory) = MmapOptions::new().len(octets).huge(Some(21)).map_anon() {
        return Ok((memory, Backing::HugePages));
    }
    let memory = MmapOptions::new().len(octets).map_anon()?;
    let joined = memory.advise(Advice::HugePage).is_ok();
    Ok((memory, if joined { Backing::Transparent } else { Backing::Pages }))
}

/// The report's word for a kind of pages.
pub fn name(backing: Backing) -> &'static str {
    match backing {
        Backing::HugePages => "2 MiB",
        Backing::Transparent => "transparent",
        Backing::Pages => "4 KiB",
    }
}

/// The memory that this process has in use, large pages included, in MiB.
pub fn resident() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let kib = ["VmRSS:", "HugetlbPages:"].map(|name| field(&status, name));
    Ok(kib.into_iter().sum::<u64>() as f64 / 1024.0)
}

/// The memory that this machine has for another table, in MiB: what the kernel says is available, and free large pages.
pub fn available() -> anyhow::Result<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let huge = field(&info, "HugePages_Free:") * field(&info, "Hugepagesize:");
    Ok((field(&info, "MemAvailable:") + huge) / 1024)
}

/// A number from lines of a name and a number.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
