//! The order of a listing: ipvsadm's own.
//!
//! Services stand by mark, address family, protocol, address and port, real servers by address and port. IPv4 addresses are
//! compared by the sign of their difference in 32 bits, so that of two that lie further apart than 2^31 the larger comes
//! first: 192.168.0.1 before 10.0.0.1. That is no order (three addresses may each come before the next), so it needs a sort
//! that takes comparisons as they come, and the one that C's library uses, to end as it does.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};

use super::{Shown, ShownService, What};
use crate::ipvsadm::command::Key;

/// Puts services and real servers into that order; what ipvsadm has no words for comes last.
pub fn sort(shown: &mut Shown) {
    merge_sort(&mut shown.services, compare);
    for service in &mut shown.services {
        merge_sort(&mut service.servers, |a, b| sockets(a.address, b.address));
    }
}

fn compare(a: &ShownService, b: &ShownService) -> Ordering {
    match (&a.what, &b.what) {
        (What::Key(a), What::Key(b)) => keys(a, b),
        (What::Key(_), What::Other { .. }) => Ordering::Less,
        (What::Other { .. }, What::Key(_)) => Ordering::Greater,
        (What::Other { .. }, What::Other { .. }) => Ordering::Equal,
    }
}

fn keys(a: &Key, b: &Key) -> Ordering {
    let mark = |key: &Key| match key {
        Key::Mark { mark, .. } => *mark,
        Key::Socket(..) => 0,
    };
    let marks = difference(mark(a), mark(b)).then(a.is_ipv6().cmp(&b.is_ipv6()));
    match (a, b) {
        (Key::Socket(one, a), Key::Socket(other, b)) => {
            marks.then((*one as u8).cmp(&(*other as u8))).then_with(|| sockets(*a, *b))
        }
        _ => marks,
    }
}

fn sockets(a: SocketAddr, b: SocketAddr) -> Ordering {
    let addresses = match (a.ip(), b.ip()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => difference(a.to_bits(), b.to_bits()),
        (a, b) => a.cmp(&b),
    };
    addresses.then(a.port().cmp(&b.port()))
}

/// The sign of the difference in 32 bits.
fn difference(a: u32, b: u32) -> Ordering {
    (a.wrapping_sub(b) as i32).cmp(&0)
}

/// Sorts the halves, and takes the smaller of their firsts, the left one's if neither is.
fn merge_sort<T: Clone>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering + Copy) {
    if items.len() < 2 {
        return;
    }
    let (left, right) = items.split_at_mut(items.len() / 2);
    merge_sort(left, compare);
    merge_sort(right, compare);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut one, mut other) = (left.iter().peekable(), right.iter().peekable());
    while let (Some(a), Some(b)) = (one.peek(), other.peek()) {
        let next = if compare(a, b).is_le() { one.next() } else { other.next() };
        merged.extend(next.cloned());
    }
    merged.extend(one.chain(other).cloned());
    items.clone_from_slice(&merged);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::service::Protocol;

    #[test]
    fn keys_stand_as_ipvsadm_has_them() {
        let socket = |protocol, text: &str| Key::Socket(protocol, text.parse().unwrap());
        let order = [
            socket(Protocol::Tcp, "192.168.0.1:80"),
            socket(Protocol::Tcp, "10.0.0.1:80"),
            socket(Protocol::Tcp, "10.0.0.1:443"),
            socket(Protocol::Udp, "10.0.0.1:53"),
            socket(Protocol::Sctp, "10.0.0.1:53"),
            socket(Protocol::Tcp, "[2001:db8::1]:80"),
            Key::Mark { mark: 1, ipv6: false },
            Key::Mark { mark: 7, ipv6: false },
            Key::Mark { mark: 7, ipv6: true },
        ];
        for pair in order.windows(2) {
            assert_eq!(keys(&pair[0], &pair[1]), Ordering::Less, "{pair:?}");
        }
        let mut turned: Vec<_> = order.iter().rev().copied().collect();
        merge_sort(&mut turned, keys);
        assert_eq!(turned, order);
    }

    #[test]
    fn a_circle_of_addresses_is_no_obstacle() {
        let address = |first: u8| SocketAddr::from(([first, 0, 0, 0], 80));
        let circle = [10, 130, 192, 60, 200].map(address);
        for length in 0..circle.len() {
            let mut some = circle[..length].to_vec();
            merge_sort(&mut some, |a, b| sockets(*a, *b));
            assert_eq!(some.len(), length);
        }
    }
}
