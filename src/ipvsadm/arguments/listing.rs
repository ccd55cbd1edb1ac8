//! What the options say of a listing.

use super::usage;
use crate::ipvsadm::command::{Key, Layout, Listed, Listing};
use crate::ipvsadm::mistake::Mistake;
use crate::ipvsadm::options::Counted;

/// The layouts, the one that wins over the others first.
const LAYOUTS: [(Counted, Layout); 5] = [
    (Counted::Stats, Layout::Stats),
    (Counted::Rate, Layout::Rate),
    (Counted::Thresholds, Layout::Thresholds),
    (Counted::PersistentConn, Layout::Persistent),
    (Counted::TunInfo, Layout::Tunnels),
];

/// Makes the listing, of the service that was named and all options that were `given`.
pub fn listing(service: Option<Key>, given: &[Counted]) -> Result<Listing, Mistake> {
    let has = |options: &[Counted]| options.iter().any(|option| given.contains(option));
    let other = has(&[Counted::Connection, Counted::Timeout, Counted::Daemon]);
    if other && has(&[Counted::Stats, Counted::Rate, Counted::Thresholds])
        || has(&[Counted::Timeout, Counted::Daemon]) && has(&[Counted::PersistentConn])
    {
        return usage("options conflicts in the list command");
    }
    let what = match service {
        _ if has(&[Counted::Connection]) => Listed::Connections,
        Some(key) => Listed::Service(key),
        None if has(&[Counted::Timeout]) => Listed::Timeouts,
        None if has(&[Counted::Daemon]) => Listed::Daemons,
        None => Listed::All,
    };
    let layout = LAYOUTS.into_iter().find(|(option, _)| has(&[*option]));
    Ok(Listing {
        what,
        layout: layout.map_or(Layout::Plain, |(_, layout)| layout),
        numeric: has(&[Counted::Numeric]),
        exact: has(&[Counted::Exact]),
        sorted: !has(&[Counted::Nosort]),
        engines: has(&[Counted::PersistentConn]),
    })
}
