//! What is kept by id: control's own copy, and the one that workers read.

use std::sync::Arc;

/// Values by id, published as a whole when one of them has changed.
#[derive(Debug)]
pub(super) struct Column<T> {
    values: Vec<T>,
    changed: bool,
    published: Arc<[T]>,
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self { values: Vec::new(), changed: false, published: Arc::default() }
    }
}

impl<T: Clone + Default> Column<T> {
    /// Returns what was set last for an id.
    pub fn get(&self, id: usize) -> Option<&T> {
        self.values.get(id)
    }

    /// Sets the value of an id.
    pub fn replace(&mut self, id: usize, value: T) {
        if self.values.len() <= id {
            self.values.resize_with(id + 1, T::default);
        }
        self.values[id] = value;
        self.changed = true;
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.values.clear();
        self.changed = true;
    }

    /// Tells whether something has changed since it was last published.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Returns what workers are to read.
    pub fn publish(&mut self) -> Arc<[T]> {
        if std::mem::take(&mut self.changed) {
            self.published = Arc::from(&self.values[..]);
        }
        Arc::clone(&self.published)
    }
}

impl<T: Clone + Default + PartialEq> Column<T> {
    /// Sets the value of an id, if it is another.
    pub fn set(&mut self, id: usize, value: T) {
        if self.values.get(id).map_or(value != T::default(), |known| *known != value) {
            self.replace(id, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_published_anew() {
        let mut column = Column::default();
        column.set(3, 7u32);
        let first = column.publish();
        assert_eq!(*first, [0, 0, 0, 7]);
        column.set(3, 7);
        column.set(1, 0);
        column.set(9, 0);
        assert!(!column.is_changed());
        assert!(Arc::ptr_eq(&first, &column.publish()));
        column.set(0, 5);
        assert!(column.is_changed());
        assert_eq!((&*column.publish(), &*first), (&[5, 0, 0, 7][..], &[0, 0, 0, 7][..]));
    }
}
