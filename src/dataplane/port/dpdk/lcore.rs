//! Running workers on their cores.
#![allow(unsafe_code)]

use std::any::Any;
use std::ffi::{c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::eal::Runtime;
use super::{Eal, Errno};

type Task = Box<dyn FnOnce() + Send>;

/// A job on a worker's lcore. Dropped, the job goes on; the EAL cannot stop before it ends.
#[derive(Debug)]
pub struct Job<T> {
    lcore: c_uint,
    result: Receiver<Result<T, Panic>>,
    _runtime: Arc<Runtime>,
}

/// What a job panicked with.
pub type Panic = Box<dyn Any + Send>;

/// Why a job did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// The EAL was started for fewer workers.
    #[error("there is no worker {0}")]
    NoSuchWorker(usize),
    /// The worker's last job still runs, or its thread does not answer.
    #[error("worker {0} does not take a job: {1}")]
    Refused(usize, Errno),
}

impl Eal {
    /// Runs `job` on the core of worker `worker`, counted from 0, as an lcore: with a mempool cache of its own.
    ///
    /// # Errors
    /// If the EAL was started for fewer workers, or this one is busy.
    pub fn launch<T, F>(&self, worker: usize, job: F) -> Result<Job<T>, LaunchError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        if worker >= self.workers() {
            return Err(LaunchError::NoSuchWorker(worker));
        }
        // Lcore 0 is the control thread's: see `EalArgs::compose`.
        let lcore = worker as c_uint + 1;
        let (sender, result) = sync_channel(1);
        let runtime = Arc::clone(&self.runtime);
        let task: Task = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(job));
            // Whoever waits for the result may stop the EAL next.
            drop(runtime);
            let _ = sender.send(outcome);
        });
        self.hand_over(lcore, task).map_err(|cause| LaunchError::Refused(worker, cause))?;
        Ok(Job { lcore, result, _runtime: Arc::clone(&self.runtime) })
    }

    fn hand_over(&self, lcore: c_uint, task: Task) -> Result<(), Errno> {
        let task = Box::into_raw(Box::new(task));
        // Two launches at once could both find the lcore waiting.
        let _one_at_a_time = self.runtime.books();
        // SAFETY: the EAL runs and was given lcores 0 to `workers`; `run_task` may be called with this argument once,
        // and is, on the lcore's thread.
        let ret = unsafe { dpdk_sys::rte_eal_remote_launch(Some(run_task), task.cast(), lcore) };
        Errno::check(ret).map(|_| ()).inspect_err(|_| {
            // SAFETY: the pointer came from Box::into_raw above, and the refused launch will not use it.
            drop(unsafe { Box::from_raw(task) });
        })
    }
}

/// What the lcore calls.
///
/// # Safety
/// `task` must come from `Box::into_raw` of a `Box<Task>` and be passed here once.
unsafe extern "C" fn run_task(task: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    let task = unsafe { Box::from_raw(task.cast::<Task>()) };
    task();
    0
}

impl<T> Job<T> {
    /// Tells whether the job has ended.
    pub fn is_finished(&self) -> bool {
        // SAFETY: the lcore exists, since a job was launched on it; reads its state.
        let state = unsafe { dpdk_sys::rte_eal_get_lcore_state(self.lcore) };
        state == dpdk_sys::WAIT
    }

    /// Waits for the job's end, asleep, and returns its result.
    ///
    /// # Errors
    /// What the job panicked with.
    pub fn join(self) -> Result<T, Panic> {
        let result = self.result.recv().unwrap_or_else(|gone| Err(Box::new(gone)));
        // SAFETY: the lcore exists. It spins for the few instructions between the result and the lcore's rest, so that
        // the worker can be launched again at once.
        unsafe { dpdk_sys::rte_eal_wait_lcore(self.lcore) };
        result
    }
}
