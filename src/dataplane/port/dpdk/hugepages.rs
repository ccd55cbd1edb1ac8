//! How much hugepage memory this machine has free.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The hugepage memory that the EAL could take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hugepages {
    /// Free and not promised to anybody, in MiB, over all page sizes and nodes.
    pub free_mib: u64,
    /// Whether a hugetlbfs is mounted, which all but `--in-memory` needs.
    pub mounted: bool,
}

impl Hugepages {
    /// Looks at this machine, after giving back what a killed process with this `--file-prefix` left behind.
    pub fn here(prefix: &str) -> Self {
        let mounted = give_back(prefix) > 0;
        Self { free_mib: free_mib(Path::new("/sys/kernel/mm/hugepages")), mounted }
    }
}

/// Removes the page files with this `--file-prefix` that no process holds: what one that was killed left behind, and
/// what the EAL itself leaves after a clean stop, for a successor. Returns how many hugetlbfs there are.
pub(super) fn give_back(prefix: &str) -> usize {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    hugetlbfs_mounts(&mounts).inspect(|mount| clear_leftovers(mount, prefix)).count()
}

/// Lists the mount points in the text of /proc/self/mounts (fstab(5)'s format: device, place, type, ...).
fn hugetlbfs_mounts(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let place = fields.next()?;
        (fields.next()? == "hugetlbfs").then(|| PathBuf::from(place.replace("\\040", " ")))
    })
}

/// Does so in one hugetlbfs. The EAL locks each file for as long as it maps it.
fn clear_leftovers(mount: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(mount) else { return };
    let start = format!("{prefix}map_");
    let ours = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&start));
    for file in ours.map(|entry| entry.path()) {
        if nobody_holds(&file) && fs::remove_file(&file).is_ok() {
            log::debug!("removed {}, which no process holds", file.display());
        }
    }
}

/// Tells whether no process has a lock on a file (flock(2)).
pub(super) fn nobody_holds(file: &Path) -> bool {
    File::open(file).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

fn free_mib(sizes: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(sizes) else { return 0 };
    let number =
        |path: PathBuf| -> u64 { fs::read_to_string(path).ok().and_then(|n| n.trim().parse().ok()).unwrap_or(0) };
    entries
        .flatten()
        .filter_map(|entry| {
            let kib: u64 = entry.file_name().to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let free = number(entry.path().join("free_hugepages"));
            Some(free.saturating_sub(number(entry.path().join("resv_hugepages"))) * kib / 1024)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("millrace-hugepages-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn mounts_are_found_by_type() {
        let text = "sysfs /sys sysfs rw 0 0\n\
                    hugetlbfs /dev/hugepages hugetlbfs rw,pagesize=2M 0 0\n\
                    none /mnt/huge\\0401G hugetlbfs rw,pagesize=1024M 0 0\n\
                    hugetlbfs /tmp tmpfs rw 0 0\n";
        let places: Vec<_> = hugetlbfs_mounts(text).collect();
        assert_eq!(places, [Path::new("/dev/hugepages"), Path::new("/mnt/huge 1G")]);
    }

    #[test]
    fn free_pages_of_all_sizes_add_up_less_what_is_promised() {
        let root = scratch("free");
        for (size, free, promised) in [("2048", 10, 3), ("1048576", 2, 0)] {
            let dir = root.join(format!("hugepages-{size}kB"));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("free_hugepages"), format!("{free}\n")).unwrap();
            fs::write(dir.join("resv_hugepages"), format!("{promised}\n")).unwrap();
        }
        assert_eq!(free_mib(&root), 14 + 2048);
        assert_eq!(free_mib(&root.join("none")), 0);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn only_our_leftovers_that_nobody_holds_are_removed() {
        let root = scratch("leftovers");
        for name in ["millracemap_0", "millracemap_1", "rtemap_0", "millrace"] {
            fs::write(root.join(name), "").unwrap();
        }
        let held = File::open(root.join("millracemap_1")).unwrap();
        flock(&held, FlockOperation::LockShared).unwrap();
        clear_leftovers(&root, "millrace");
        let mut left: Vec<_> = fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["millrace", "millracemap_1", "rtemap_0"]);
        fs::remove_dir_all(root).unwrap();
    }
}
