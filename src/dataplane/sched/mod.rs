//! Which real server takes a new connection.

/// A service's scheduler, by its ipvsadm name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
}
