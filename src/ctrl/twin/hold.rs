//! One director for each twin.
//!
//! A name that only one process of a network namespace can have at a time, and that goes with it however it ends: that of an abstract
//! Unix socket (unix(7)).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// A twin that this process has for itself.
#[derive(Debug)]
pub(crate) struct Hold {
    _socket: UnixDatagram,
}

impl Hold {
    /// Takes a twin; `None` if another director has it.
    ///
    /// # Errors
    /// What keeps the kernel from telling.
    pub fn take(twin: &str) -> io::Result<Option<Self>> {
        let name = SocketAddr::from_abstract_name(format!("millrace-twin-{twin}"))?;
        match UnixDatagram::bind_addr(&name) {
            Ok(socket) => Ok(Some(Self { _socket: socket })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_has_one_director_at_a_time() {
        let name = format!("t{}", std::process::id());
        let hold = Hold::take(&name).unwrap();
        assert!(hold.is_some());
        assert!(Hold::take(&name).unwrap().is_none());
        assert!(Hold::take(&format!("{name}x")).unwrap().is_some());
        drop(hold);
        assert!(Hold::take(&name).unwrap().is_some());
    }
}
