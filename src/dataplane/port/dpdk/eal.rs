//! DPDK's environment: started once in a process, stopped when nothing uses it any more.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::args::{CommandLine, EalArgs, ReservedOption};
use super::pool::{self, Region};
use super::{Errno, Hugepages, hugepages, mbuf, runtime_dir};

static STARTED: AtomicBool = AtomicBool::new(false);

/// The running EAL.
///
/// Dropped while something still uses it, it stays up until the process ends.
#[derive(Debug)]
pub struct Eal {
    pub(super) runtime: Arc<Runtime>,
    line: CommandLine,
    file_prefix: String,
    workers: usize,
    captures: bool,
    up: bool,
}

/// What everything made from an EAL holds on to, so that the EAL outlives it.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    books: Mutex<Books>,
}

/// Who has what of the EAL.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Every pool ever made: pools are never freed before the EAL is.
    pub(super) pools: Vec<Region>,
    /// Whether the first pool was promised to stay the only one.
    pub(super) sole_pool: bool,
    /// The ports that a `Device` owns.
    pub(super) ports: Vec<u16>,
}

impl Runtime {
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        // The books are whole between any two statements that change them.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the EAL did not start.
#[derive(Debug, thiserror::Error)]
pub enum EalError {
    /// It starts once in a process, also if that failed.
    #[error("the EAL was started before in this process")]
    AlreadyStarted,
    /// An argument that C cannot be given.
    #[error("EAL argument {0:?} has a NUL in it")]
    Nul(String),
    /// The operator's arguments contradict the configuration.
    #[error("dpdk_args: {0}")]
    Reserved(#[from] ReservedOption),
    /// The EAL's own word; it says more on standard error.
    #[error("the EAL did not start ({cause}); it said why on standard error; its arguments: {arguments}")]
    Init {
        /// The error number's text.
        cause: Errno,
        /// The whole command line.
        arguments: String,
    },
}

/// Why the EAL stays up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// Devices, queues, pools or jobs are left.
    #[error("{0} devices, queues, pools or jobs still use the EAL")]
    InUse(usize),
    /// There still are frames, outside of any device.
    #[error("{0} mbufs are still in use")]
    MbufsInUse(i64),
}

/// An EAL that was not stopped.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct NotStopped {
    /// The EAL, as it was.
    pub eal: Eal,
    /// Why.
    pub reason: StopError,
}

impl Eal {
    /// Returns the version of the DPDK in use, such as `DPDK 22.11.11`.
    pub fn version() -> String {
        // SAFETY: returns a NUL-terminated string that is built once and never changes; usable before the EAL starts.
        unsafe { CStr::from_ptr(dpdk_sys::rte_version()) }.to_string_lossy().into_owned()
    }

    /// Starts the EAL. The calling thread becomes the main lcore and keeps its core affinity; the EAL's own threads
    /// stay on the main core, off the workers'.
    ///
    /// Packet capture is set up where other processes can attach.
    ///
    /// # Errors
    /// If it was started before in this process, or refuses its arguments.
    pub fn start(args: &EalArgs) -> Result<Eal, EalError> {
        let line = args.compose(Hugepages::here(args.file_prefix()))?;
        if let Some(warning) = &line.warning {
            log::warn!("{warning}");
        }
        let argv = line
            .argv
            .iter()
            .map(|argument| CString::new(argument.as_str()).map_err(|_| EalError::Nul(argument.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        if STARTED.swap(true, Ordering::Relaxed) {
            return Err(EalError::AlreadyStarted);
        }
        on_core(args.main_core, || init(argv))
            .map_err(|cause| EalError::Init { cause, arguments: line.argv[1..].join(" ") })?;
        let captures = line.shared && start_captures();
        let file_prefix = args.file_prefix().to_owned();
        Ok(Eal { runtime: Arc::default(), line, file_prefix, workers: args.worker_cores.len(), captures, up: true })
    }

    /// Returns the command line it was started with.
    pub fn arguments(&self) -> &[String] {
        &self.line.argv[1..]
    }

    /// Returns the prefix of its files, by which other processes find it.
    pub fn file_prefix(&self) -> &str {
        &self.file_prefix
    }

    /// Tells whether dpdk-dumpcap can attach.
    pub fn captures(&self) -> bool {
        self.captures
    }

    /// Returns how many workers can be launched.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Stops the EAL, once nothing uses it and no mbuf is left.
    ///
    /// # Errors
    /// Gives the EAL back if something still uses it.
    pub fn stop(mut self) -> Result<(), Box<NotStopped>> {
        self.tear_down().map_err(|reason| Box::new(NotStopped { eal: self, reason }))
    }

    fn tear_down(&mut self) -> Result<(), StopError> {
        if !self.up {
            return Ok(());
        }
        let Some(runtime) = Arc::get_mut(&mut self.runtime) else {
            return Err(StopError::InUse(Arc::strong_count(&self.runtime) - 1));
        };
        let left = mbuf::in_hand();
        if left != 0 {
            return Err(StopError::MbufsInUse(left));
        }
        let lost = pool::mbufs_in_use(&runtime.books().pools);
        if lost != 0 {
            // af_xdp closes its socket with the receive ring full; a ring with frames in it is just dropped.
            log::debug!("{lost} mbufs went down with closed devices");
        }
        self.up = false;
        if self.captures {
            // SAFETY: capture was set up by start_captures and is given back once: see `up`.
            unsafe { dpdk_sys::rte_pdump_uninit() };
        }
        // SAFETY: unmaps the EAL's memory. Nothing refers to it: Arc::get_mut proved that no pool handle, device, queue
        // or job is left, and `in_hand` that no mbuf is. `up` lets this run once.
        let ret = unsafe { dpdk_sys::rte_eal_cleanup() };
        if let Err(cause) = Errno::check(ret) {
            log::warn!("the EAL's clean-up failed: {cause}");
        }
        if self.line.shared {
            hugepages::give_back(&self.file_prefix);
            runtime_dir::remove(&runtime_directory());
        }
        Ok(())
    }
}

/// Runs the EAL's own start-up.
fn init(argv: Vec<CString>) -> Result<(), Errno> {
    // The EAL may keep pointers into its arguments, so they live as long as the process: it starts once.
    let argv: &'static [CString] = argv.leak();
    let mut pointers: Vec<*mut c_char> = argv.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
    let count = pointers.len() as c_int;
    pointers.push(std::ptr::null_mut());
    // SAFETY: `count` strings and a null, as main would pass them. The EAL permutes the pointers, which are ours to
    // lose, and does not write to the strings, which live for ever.
    let ret = unsafe { dpdk_sys::rte_eal_init(count, pointers.as_mut_ptr()) };
    if ret < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// Runs `start` on one core, so that the threads it makes for itself stay there, and returns to the cores of before.
fn on_core<T>(core: usize, start: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None);
    let mut only = CpuSet::new();
    if core < CpuSet::MAX_CPU {
        only.set(core);
        // A core that is not ours to use is the EAL's to refuse.
        let _ = sched_setaffinity(None, &only);
    }
    let result = start();
    if let Ok(before) = before {
        let _ = sched_setaffinity(None, &before);
    }
    result
}

/// Returns where the EAL keeps the files of this process.
fn runtime_directory() -> PathBuf {
    // SAFETY: returns a NUL-terminated string of the library's own, which only the EAL's start writes to.
    let path = unsafe { CStr::from_ptr(dpdk_sys::rte_eal_get_runtime_dir()) };
    OsStr::from_bytes(path.to_bytes()).into()
}

fn start_captures() -> bool {
    // SAFETY: the EAL runs; called once, since the EAL starts once.
    let ready = unsafe { dpdk_sys::rte_pdump_init() } == 0;
    if !ready {
        log::warn!("packets cannot be captured: {}", Errno::last());
    }
    ready
}

impl Drop for Eal {
    fn drop(&mut self) {
        if let Err(reason) = self.tear_down() {
            log::debug!("the EAL stays up: {reason}");
        }
    }
}
