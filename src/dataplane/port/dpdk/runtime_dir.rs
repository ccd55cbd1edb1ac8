//! The directory in which the EAL keeps what other processes attach by.

use std::fs;
use std::path::{Path, PathBuf};

use super::hugepages::nobody_holds;

/// The file that the EAL of a running primary process has locked, until that process ends.
const CONFIG: &str = "config";

/// Removes the directory, after a clean stop: the EAL leaves it for a successor. It stays if a process is still
/// attached, such as dpdk-dumpcap, which finds out for itself that it is alone; the next start clears it then.
pub(super) fn remove(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // Last: with its lock goes what keeps a successor from starting among the files of this one.
    files.sort_by_key(|file| file.ends_with(CONFIG));
    if let Some(file) = files.iter().find(|file| is_secondarys(file) && !nobody_holds(file)) {
        log::debug!("{} is in use: {} stays", file.display(), directory.display());
        return;
    }
    let removed = files.iter().try_for_each(fs::remove_file).and_then(|()| fs::remove_dir(directory));
    if let Err(cause) = removed {
        log::debug!("{} stays: {cause}", directory.display());
    }
}

/// Tells whether a file is a secondary process's own, `fbarray_NAME_PID`: the primary's locks do not matter, since the
/// EAL keeps some of them after its clean-up.
fn is_secondarys(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let pid = name.strip_prefix("fbarray_").and_then(|rest| rest.rsplit_once('_')).map(|(_, pid)| pid);
    pid.is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{FlockOperation, flock};

    use super::*;

    #[test]
    fn it_goes_with_all_in_it_unless_somebody_is_attached() {
        let directory = std::env::temp_dir().join(format!("millrace-runtime-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for name in [CONFIG, "fbarray_memzone", "fbarray_memseg-2048k-0-0_4711", "hugepage_info"] {
            fs::write(directory.join(name), "").unwrap();
        }
        drop(UnixListener::bind(directory.join("mp_socket_4711")).unwrap());

        let lock = |name: &str| {
            let file = File::open(directory.join(name)).unwrap();
            flock(&file, FlockOperation::LockShared).unwrap();
            file
        };
        let _ours = lock("fbarray_memzone");
        let attached = lock("fbarray_memseg-2048k-0-0_4711");
        remove(&directory);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 5);

        drop(attached);
        remove(&directory);
        assert!(!directory.exists());
        remove(&directory);
    }
}
