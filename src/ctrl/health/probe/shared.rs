//! What many checks have in common, made once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Things in use, by what they are made of. A thing that no check uses any more is forgotten.
pub(super) struct Shared<K, V> {
    in_use: Mutex<Option<HashMap<K, Weak<V>>>>,
}

impl<K: Eq + Hash, V> Shared<K, V> {
    pub(super) const fn new() -> Self {
        Self { in_use: Mutex::new(None) }
    }

    /// Returns the thing for `key`: the one in use if there is one, or a new one.
    pub(super) fn get<E>(&self, key: K, make: impl FnOnce(&K) -> Result<V, E>) -> Result<Arc<V>, E> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let in_use = in_use.get_or_insert_default();
        if let Some(thing) = in_use.get(&key).and_then(Weak::upgrade) {
            return Ok(thing);
        }
        let thing = Arc::new(make(&key)?);
        // Once in a while, so that it costs little also where all differ.
        if in_use.len() == in_use.capacity() {
            in_use.retain(|_, thing| thing.strong_count() > 0);
        }
        in_use.insert(key, Arc::downgrade(&thing));
        Ok(thing)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn made(shared: &Shared<u32, String>, key: u32) -> Arc<String> {
        shared.get(key, |key| Ok::<_, Infallible>(key.to_string())).unwrap()
    }

    #[test]
    fn what_is_alike_is_made_once() {
        let shared = Shared::new();
        let (one, same, other) = (made(&shared, 1), made(&shared, 1), made(&shared, 2));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        assert_eq!((one.as_str(), other.as_str()), ("1", "2"));
    }

    #[test]
    fn what_nobody_uses_is_forgotten() {
        let shared = Shared::new();
        let kept = made(&shared, 0);
        for key in 1..10_000 {
            made(&shared, key);
        }
        let held = shared.in_use.lock().unwrap().as_ref().map_or(0, HashMap::len);
        assert!(held < 100, "{held}");
        assert!(Arc::ptr_eq(&kept, &made(&shared, 0)));
    }

    #[test]
    fn what_cannot_be_made_is_tried_again() {
        let shared = Shared::new();
        assert_eq!(shared.get(1, |_| Err::<String, _>("no")), Err("no"));
        assert_eq!(made(&shared, 1).as_str(), "1");
    }
}
