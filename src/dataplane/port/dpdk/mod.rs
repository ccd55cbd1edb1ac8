//! The fence: DPDK behind an interface that safe code cannot misuse. Nothing else in the crate knows `dpdk-sys`.
//!
//! ```text
//!   EalArgs ──► Eal ──► Pool ─────────────┐
//!                │ └──► Device ──start──► DpdkQueue (one per worker, a Port) ──► Mbuf (a Frame)
//!                └────► launch: run a worker on its core
//! ```
//!
//! Who may outlive whom is kept by reference counts rather than lifetimes, since queues move to other threads: the
//! EAL is only torn down when no pool, device, queue, job or mbuf is left; a device only stops when its queues are
//! dropped. An [`Mbuf`] is one pointer, owns its buffer and frees it on drop; bursts go in and out through one call
//! each.
//!
//! Workers are lcores of the EAL rather than threads registered with it: registering one makes the EAL refuse other
//! processes for good, and dpdk-dumpcap is another process.
//!
//! What is left out: several segments in one frame (counted and dropped by the pipeline), transmit offloads,
//! starting a device a second time (af_xdp fails at that), reconfiguring queues.

mod args;
mod device;
mod eal;
mod errno;
mod hugepages;
mod inherited;
mod lcore;
mod mbuf;
mod pool;
mod queue;
mod runtime_dir;
mod setup;
mod tap_signal;
mod timestamp;

pub use args::{CommandLine, EalArgs, ReservedOption, ring_room, with_frames, with_queues};
pub use device::{Counters, Device, DeviceConfig, DeviceError, Link};
pub use eal::{Eal, EalError, NotStopped, StopError};
pub use errno::Errno;
pub use hugepages::Hugepages;
pub use inherited::keep_from_programs;
pub use lcore::{Job, LaunchError, Panic};
pub use mbuf::Mbuf;
pub use pool::{Pool, PoolConfig, PoolError};
pub use queue::DpdkQueue;
pub use tap_signal::wake_taps;
