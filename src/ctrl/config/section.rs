//! Reads typed values out of a document: each mistake is an error at its place.

use std::ops::RangeInclusive;

use super::document::{Table, Value};
use super::keys::{Keys, LATER, nearest};
use super::source::{ConfigError, Source, join};

/// One table of a document, its keys known to be allowed there.
#[derive(Debug)]
pub(in crate::ctrl) struct Section<'a> {
    source: &'a Source,
    path: String,
    table: &'a Table,
}

/// One value of a document.
#[derive(Debug)]
pub(in crate::ctrl) struct Item<'a> {
    source: &'a Source,
    path: String,
    value: &'a Value,
}

impl<'a> Section<'a> {
    /// Opens the table at `path` and refuses keys that do not belong in it.
    pub fn open(source: &'a Source, path: String, table: &'a Table, keys: &Keys) -> Result<Self, ConfigError> {
        for (key, _) in table.iter() {
            if let Some(complaint) = keys.complaint(key) {
                return Err(source.error(join(&path, key), complaint));
            }
        }
        Ok(Self { source, path, table })
    }

    /// The value of `key`, if it was written.
    pub fn get(&self, key: &str) -> Option<Item<'a>> {
        let value = self.table.get(key)?;
        Some(Item { source: self.source, path: join(&self.path, key), value })
    }

    /// The value of `key`, which has no default.
    pub fn required(&self, key: &str) -> Result<Item<'a>, ConfigError> {
        self.get(key).ok_or_else(|| self.source.error(&*self.path, format!("the key \"{key}\" is missing")))
    }

    /// The sub-tables that were written as `[[key]]`; none if there are none.
    pub fn tables(&self, key: &str, keys: &Keys) -> Result<Vec<Self>, ConfigError> {
        let Some(item) = self.get(key) else { return Ok(Vec::new()) };
        match item.value {
            Value::List(_) => item.list()?.into_iter().map(|element| element.table(keys)).collect(),
            _ => Err(item.error(format!("write {}, with two brackets: there can be several", keys.header))),
        }
    }

    /// The sub-table that was written as `[key]`.
    pub fn table(&self, key: &str, keys: &Keys) -> Result<Option<Self>, ConfigError> {
        self.get(key).map(|item| item.table(keys)).transpose()
    }
}

impl<'a> Item<'a> {
    /// The error that blames this value.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        self.source.error(&*self.path, message)
    }

    pub fn table(self, keys: &Keys) -> Result<Section<'a>, ConfigError> {
        match self.value {
            Value::Table(table) => Section::open(self.source, self.path, table, keys),
            Value::List(_) => Err(self.error(format!("write {}, with one bracket: there is only one", keys.header))),
            _ => Err(self.error(format!("write it as a table, {}", keys.header))),
        }
    }

    /// Opens `table` as what is written here.
    pub fn open<'b>(&self, table: &'b Table, keys: &Keys) -> Result<Section<'b>, ConfigError>
    where
        'a: 'b,
    {
        Section::open(self.source, self.path.clone(), table, keys)
    }

    fn expected(&self, what: &str) -> ConfigError {
        let found = match self.value {
            Value::Null => "null",
            Value::String(_) => "a string",
            Value::Integer(_) | Value::Huge(_) => "an integer",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "true or false",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        };
        self.error(format!("expected {what}, found {found}"))
    }

    /// The keys and values of a table, not looked at.
    pub fn entries(&self) -> Result<&'a Table, ConfigError> {
        match self.value {
            Value::Table(table) => Ok(table),
            _ => Err(self.expected("a table")),
        }
    }

    /// Tells whether it is a string.
    pub fn is_string(&self) -> bool {
        matches!(self.value, Value::String(_))
    }

    /// The text of a string.
    pub fn string(&self) -> Result<&'a str, ConfigError> {
        match self.value {
            Value::String(text) => Ok(text),
            _ => Err(self.expected("a string in quotes")),
        }
    }

    /// A string, given a meaning by `read`, whose error says what is wrong with it.
    pub fn parse<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        read(self.string()?).map_err(|message| self.error(message))
    }

    /// A whole number in `range`.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let (number, text) = match self.value {
            Value::Integer(number) => (u64::try_from(*number).ok(), number.to_string()),
            Value::Huge(text) => (None, text.clone()),
            _ => return Err(self.expected("an integer")),
        };
        let fitting = number.filter(|number| range.contains(number));
        fitting.ok_or_else(|| self.error(format!("{text} is not in the range {} to {}", range.start(), range.end())))
    }

    /// true or false.
    pub fn boolean(&self) -> Result<bool, ConfigError> {
        match self.value {
            Value::Boolean(value) => Ok(*value),
            _ => Err(self.expected("true or false")),
        }
    }

    /// The elements of a list.
    pub fn list(&self) -> Result<Vec<Item<'a>>, ConfigError> {
        let Value::List(elements) = self.value else { return Err(self.expected("a list, in brackets")) };
        let item = |(place, value): (usize, &'a Value)| Item {
            source: self.source,
            path: format!("{}[{place}]", self.path),
            value,
        };
        Ok(elements.iter().enumerate().map(item).collect())
    }

    /// One of a few words. Those in `later` are documented but not implemented.
    pub fn word<T: Copy>(&self, words: &[(&str, T)], later: &[&str]) -> Result<T, ConfigError> {
        let written = self.string()?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == written) {
            return Ok(*meaning);
        }
        if later.contains(&written) {
            return Err(self.error(format!("\"{written}\" is {LATER}")));
        }
        let known = words.iter().map(|(word, _)| *word);
        Err(self.error(match nearest(written, known.clone().chain(later.iter().copied())) {
            Some(near) => format!("\"{written}\" is unknown; did you mean \"{near}\"?"),
            None => format!("\"{written}\" is unknown; known are {}", known.collect::<Vec<_>>().join(", ")),
        }))
    }
}
