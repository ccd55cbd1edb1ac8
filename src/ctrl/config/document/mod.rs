//! A document: what TOML and JSON have in common. The file and what is asked of a running director are read from one, and
//! the running state is written as one.

mod json;
mod toml;

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing; only in JSON.
    Null,
    /// true or false.
    Boolean(bool),
    /// A whole number.
    Integer(i128),
    /// A whole number beyond that, as it was written; only in TOML.
    Huge(String),
    /// Any other number.
    Float(f64),
    /// A date; only in TOML, and no key of ours takes one.
    Date(String),
    /// A text.
    String(String),
    /// Values in their order.
    List(Vec<Value>),
    /// Values by their keys.
    Table(Table),
}

/// Values by their keys, which keep the order in which they were written. There are few: a key is found by going
/// through them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    entries: Vec<(String, Value)>,
}

impl Table {
    /// A table without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// Gives `key` a value: in its old place if it has one, else behind all others.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        match self.entries.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value.into(),
            None => self.entries.push((key.to_owned(), value.into())),
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let place = self.entries.iter().position(|(known, _)| known == key)?;
        Some(self.entries.remove(place).1)
    }

    /// Goes through keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Table {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect() }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(number.into())
    }
}

impl From<Table> for Value {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_places() {
        let mut table = Table::from_iter([("b", "first"), ("a", "second")]);
        table.set("b", 7u32);
        table.set("c", true);
        let keys: Vec<_> = table.iter().map(|(key, _)| key).collect();
        assert_eq!((keys, table.get("b")), (vec!["b", "a", "c"], Some(&Value::Integer(7))));
        assert_eq!((table.remove("a"), table.remove("a")), (Some("second".into()), None));
    }
}
