//! The kernel's word that something has changed in nftables.

use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

/// The group of messages about nftables (NFNLGRP_NFTABLES, <linux/netfilter/nfnetlink.h>).
const NFTABLES: u32 = 7;

/// Octets of a message that are looked at: none, but a socket wants room.
const LONG: usize = 4096;

/// A socket that they come on. What they say is not read.
pub(super) struct News(TokioSocket);

impl News {
    /// Listens from now on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        socket.socket_mut().add_membership(NFTABLES)?;
        Ok(Self(socket))
    }

    /// Waits for some.
    pub async fn come(&mut self) {
        let mut message = Vec::with_capacity(LONG);
        // An error is news too: more has come than the socket holds.
        let _ = self.0.recv(&mut message).await;
    }

    /// Forgets what has come so far.
    pub fn drain(&mut self) {
        let mut message = Vec::with_capacity(LONG);
        while self.0.socket_ref().recv(&mut message, 0).is_ok() {
            message.clear();
        }
    }
}
