//! Which services two configurations do not have in common.

use std::mem;
use std::sync::Arc;

use hashbrown::HashMap;

use super::model::{Selector, Service};

/// The services in which a configuration differs from the one before it.
///
/// A configuration that was made of another shares with it what did not change: then only pointers are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The places, in the old one, of services that are gone or changed.
    pub before: Vec<usize>,
    /// The places, in the new one, of services that came or changed.
    pub after: Vec<usize>,
    /// Whether those that are in both, changed or not, come in another order.
    pub reordered: bool,
    /// Whether all services are where they were, and those that did not change are the very same.
    pub in_place: bool,
}

impl Changed {
    /// Compares two configurations' services.
    pub fn between(old: &[Arc<Service>], new: &[Arc<Service>]) -> Self {
        let mut changed = Self { before: Vec::new(), after: Vec::new(), reordered: false, in_place: true };
        let (mut kept, mut met) = (vec![false; old.len()], vec![false; old.len()]);
        let mut places: Option<HashMap<Selector, usize>> = None;
        // One past the place, in the old one, of the last that is in both.
        let mut next = 0;
        for (place, service) in new.iter().enumerate() {
            let here = old.get(next).filter(|old| Arc::ptr_eq(old, service) || old.selector == service.selector);
            let at = here.map(|_| next).or_else(|| {
                changed.in_place = false;
                let all = || old.iter().enumerate().map(|(place, service)| (service.selector, place)).collect();
                places.get_or_insert_with(all).get(&service.selector).copied()
            });
            // One that is there twice is in the old one once.
            let Some(at) = at.filter(|at| !mem::replace(&mut met[*at], true)) else {
                changed.after.push(place);
                changed.in_place = false;
                continue;
            };
            changed.reordered |= at < next;
            next = at + 1;
            if Arc::ptr_eq(&old[at], service) {
                kept[at] = true;
            } else if old[at] == *service {
                kept[at] = true;
                changed.in_place = false;
            } else {
                changed.after.push(place);
            }
        }
        changed.in_place &= old.len() == new.len();
        changed.before.extend(kept.iter().enumerate().filter(|(_, kept)| !**kept).map(|(place, _)| place));
        changed
    }

    /// Tells whether the services are equal and in the same order.
    pub fn is_nothing(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && !self.reordered
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;

    /// Services by the last octets of their VIPs, each with a timeout of its own.
    fn services(some: &[(u8, u32)]) -> Vec<Arc<Service>> {
        let port = "[[port]]\nname = 'lan'\ndevice = 'net_ring0'\naddresses = ['10.0.0.1/24']\n".to_owned();
        let one =
            |(vip, timeout): &(u8, u32)| format!("[[service]]\naddress = '192.0.2.{vip}:80'\ntimeout = '{timeout}s'\n");
        let text = some.iter().map(one).fold(port, |text, one| text + &one);
        parse(Path::new("x.toml"), &text).unwrap().config.services
    }

    fn changed(before: &[usize], after: &[usize], reordered: bool, in_place: bool) -> Changed {
        Changed { before: before.to_vec(), after: after.to_vec(), reordered, in_place }
    }

    #[test]
    fn what_is_shared_is_not_changed() {
        let old = services(&[(1, 5), (2, 5), (3, 5)]);
        assert_eq!(Changed::between(&old, &old), changed(&[], &[], false, true));
        let copies = services(&[(1, 5), (2, 5), (3, 5)]);
        let same = Changed::between(&old, &copies);
        assert_eq!(same, changed(&[], &[], false, false), "equal, and not the same");
        assert!(same.is_nothing());
    }

    #[test]
    fn one_that_changes_stays_in_its_place() {
        let old = services(&[(1, 5), (2, 5), (3, 5)]);
        let mut new = old.clone();
        Arc::make_mut(&mut new[1]).timeout = Some(9);
        assert_eq!(Changed::between(&old, &new), changed(&[1], &[1], false, true));
    }

    #[test]
    fn services_come_and_go() {
        let old = services(&[(1, 5), (2, 5), (3, 5), (4, 5)]);
        let mut new = old.clone();
        new.remove(1);
        assert_eq!(Changed::between(&old, &new), changed(&[1], &[], false, false));
        assert_eq!(Changed::between(&new, &old), changed(&[], &[1], false, false));
        new.insert(3, services(&[(9, 5)]).remove(0));
        assert_eq!(Changed::between(&old, &new), changed(&[1], &[3], false, false));
        assert_eq!(Changed::between(&old, &old[..3]), changed(&[3], &[], false, false));
        assert_eq!(Changed::between(&old[..3], &old), changed(&[], &[3], false, false));
        assert_eq!(Changed::between(&[], &old), changed(&[], &[0, 1, 2, 3], false, false));
        assert_eq!(Changed::between(&old, &[]), changed(&[0, 1, 2, 3], &[], false, false));
    }

    #[test]
    fn the_second_of_a_kind_came() {
        let old = services(&[(1, 5), (2, 5)]);
        let new = vec![Arc::clone(&old[0]), Arc::clone(&old[1]), Arc::clone(&old[0])];
        assert_eq!(Changed::between(&old, &new), changed(&[], &[2], false, false));
    }

    #[test]
    fn another_order_is_a_change_of_none() {
        let old = services(&[(1, 5), (2, 5), (3, 5)]);
        let new = vec![Arc::clone(&old[2]), Arc::clone(&old[0]), Arc::clone(&old[1])];
        let found = Changed::between(&old, &new);
        assert_eq!(found, changed(&[], &[], true, false));
        assert!(!found.is_nothing());
    }
}
