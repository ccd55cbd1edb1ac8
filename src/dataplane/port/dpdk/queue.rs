//! One queue pair of a device: the [`Port`] of one worker.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::device::Started;
use super::mbuf::{self, Mbuf};
use super::pool::Pool;
use crate::dataplane::port::{Burst, Port};

/// A receive and transmit queue of a started device. It moves to its worker's thread and stays there; while it
/// exists the device does not stop.
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<millrace::dataplane::port::dpdk::DpdkQueue>(); // a queue has one user: does not compile
/// ```
#[derive(Debug)]
pub struct DpdkQueue {
    port: u16,
    queue: u16,
    pool: Pool,
    /// Mbufs that came into our hands here, less those that left them: see `mbuf::in_hand`.
    balance: i64,
    _device: Arc<Started>,
    _one_thread_at_a_time: PhantomData<Cell<()>>,
}

impl DpdkQueue {
    /// Makes the handle of one queue pair.
    ///
    /// # Safety
    /// The port is started, `queue` is set up in both directions with mbufs of `pool`, this is its only handle, and
    /// the port does not stop while a clone of `device` exists.
    pub(super) unsafe fn new(port: u16, queue: u16, pool: Pool, device: Arc<Started>) -> Self {
        Self { port, queue, pool, balance: 0, _device: device, _one_thread_at_a_time: PhantomData }
    }
}

impl Port for DpdkQueue {
    type Frame = Mbuf;

    #[inline]
    fn receive(&mut self, into: &mut Burst<Mbuf>) -> usize {
        let len = into.len();
        let room = into.remaining_capacity() as u16;
        // SAFETY: `len` is at most the capacity, so this is at most one past the array's end.
        let places = unsafe { mbuf::as_raw(into).add(len) };
        // SAFETY: the queue is set up and ours alone, and the port is started while we exist: `new`'s promises. There is
        // room for `room` pointers.
        let count = usize::from(unsafe { dpdk_sys::rte_eth_rx_burst(self.port, self.queue, places, room) });
        // SAFETY: the driver wrote `count` mbufs, at most `room`, which it handed over to us.
        unsafe { into.set_len(len + count) };
        self.balance += count as i64;
        count
    }

    #[inline]
    fn send(&mut self, frames: &mut Burst<Mbuf>) -> usize {
        let len = frames.len() as u16;
        // SAFETY: the queue is set up and ours alone, and the port is started while we exist: `new`'s promises. The burst
        // holds `len` mbufs, which are its own.
        let count =
            usize::from(unsafe { dpdk_sys::rte_eth_tx_burst(self.port, self.queue, mbuf::as_raw(frames), len) });
        // SAFETY: the driver took the first `count` mbufs, at most `len`.
        unsafe { mbuf::forget_front(frames, count) };
        self.balance -= count as i64;
        count
    }

    fn allocate(&mut self) -> Option<Mbuf> {
        self.pool.allocate()
    }

    #[inline]
    fn free(&mut self, frames: &mut Burst<Mbuf>) {
        self.balance -= frames.len() as i64;
        mbuf::free_burst(frames);
    }
}

impl Drop for DpdkQueue {
    fn drop(&mut self) {
        mbuf::count_in_hand(self.balance);
    }
}
