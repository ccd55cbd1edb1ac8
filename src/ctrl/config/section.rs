//! Reads typed values out of a parsed file: each mistake is an error at its line.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Keys, LATER, nearest};
use super::source::{ConfigError, Source, join};

/// One table of the file, its keys known to be allowed there.
#[derive(Debug)]
pub(super) struct Section<'a> {
    source: &'a Source,
    path: String,
    table: &'a DeTable<'a>,
}

/// One value of the file.
#[derive(Debug)]
pub(super) struct Item<'a> {
    source: &'a Source,
    path: String,
    value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    /// Opens the table at `path` and refuses keys that do not belong in it.
    pub fn open(source: &'a Source, path: String, table: &'a DeTable<'a>, keys: &Keys) -> Result<Self, ConfigError> {
        let mut written: Vec<_> = table.keys().collect();
        written.sort_by_key(|key| key.span().start);
        for key in written {
            if let Some(complaint) = keys.complaint(key.get_ref()) {
                return Err(source.error(join(&path, key.get_ref()), complaint));
            }
        }
        Ok(Self { source, path, table })
    }

    /// The value of `key`, if it was written.
    pub fn get(&self, key: &str) -> Option<Item<'a>> {
        let value = self.table.get(key).map(Spanned::get_ref)?;
        Some(Item { source: self.source, path: join(&self.path, key), value })
    }

    /// The value of `key`, which has no default.
    pub fn required(&self, key: &str) -> Result<Item<'a>, ConfigError> {
        self.get(key).ok_or_else(|| self.source.error(&*self.path, format!("the key \"{key}\" is missing")))
    }

    /// The sub-tables that were written as `[[key]]`; none if there are none.
    pub fn tables(&self, key: &str, keys: &Keys) -> Result<Vec<Self>, ConfigError> {
        let Some(item) = self.get(key) else { return Ok(Vec::new()) };
        let DeValue::Array(elements) = item.value else {
            return Err(item.error(format!("write {}, with two brackets: there can be several", keys.header)));
        };
        let open = |(place, element): (usize, &'a Spanned<DeValue<'a>>)| {
            Item { source: self.source, path: format!("{}[{place}]", item.path), value: element.get_ref() }.table(keys)
        };
        elements.iter().enumerate().map(open).collect()
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

    fn table(self, keys: &Keys) -> Result<Section<'a>, ConfigError> {
        match self.value {
            DeValue::Table(table) => Section::open(self.source, self.path, table, keys),
            DeValue::Array(_) => Err(self.error(format!("write {}, with one bracket: there is only one", keys.header))),
            _ => Err(self.error(format!("write it as a table, {}", keys.header))),
        }
    }

    fn expected(&self, what: &str) -> ConfigError {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(format!("expected {what}, found {found}"))
    }

    /// Tells whether it is a string.
    pub fn is_string(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// The text of a string.
    pub fn string(&self) -> Result<&'a str, ConfigError> {
        match self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.expected("a string in quotes")),
        }
    }

    /// A string, given a meaning by `read`, whose error says what is wrong with it.
    pub fn parse<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        read(self.string()?).map_err(|message| self.error(message))
    }

    /// A whole number in `range`.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let DeValue::Integer(number) = self.value else { return Err(self.expected("an integer")) };
        i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.error(format!("{} is not in the range {} to {}", number.as_str(), range.start(), range.end()))
            })
    }

    /// true or false.
    pub fn boolean(&self) -> Result<bool, ConfigError> {
        match self.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.expected("true or false")),
        }
    }

    /// The elements of a list.
    pub fn list(&self) -> Result<Vec<Item<'a>>, ConfigError> {
        let DeValue::Array(elements) = self.value else { return Err(self.expected("a list, in brackets")) };
        let item = |(place, element): (usize, &'a Spanned<DeValue<'a>>)| Item {
            source: self.source,
            path: format!("{}[{place}]", self.path),
            value: element.get_ref(),
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
