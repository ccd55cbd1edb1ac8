//! Where each value of a configuration was written, for messages that name file, line and key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{error, fmt, io};

use toml::de::{DeTable, DeValue};

/// The places of a configuration file's keys.
///
/// A key's path is written as `service[2].real[0].address`: tables of an array count from 0, in the order of
/// the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    file: PathBuf,
    lines: HashMap<String, usize>,
}

/// Why a configuration was refused; displays as one line, `FILE:LINE: KEY: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named.
    pub file: PathBuf,
    /// The line, from 1; `None` where the file could not be read at all.
    pub line: Option<usize>,
    /// The path of the key; empty where no single key is to blame.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)
    }
}

impl error::Error for ConfigError {}

impl ConfigError {
    /// The file could not be read.
    pub(super) fn unreadable(file: &Path, cause: &io::Error) -> Self {
        Self { file: file.to_owned(), line: None, key: String::new(), message: format!("cannot be read: {cause}") }
    }

    /// The file is not TOML.
    pub(super) fn syntax(file: &Path, text: &str, cause: &toml::de::Error) -> Self {
        let offset = cause.span().map_or(0, |span| span.start);
        let message = cause.message().replace('\n', "; ");
        Self { file: file.to_owned(), line: Some(Lines::new(text).of(offset)), key: String::new(), message }
    }
}

impl Source {
    /// Notes the line of every key and array element of `root`, which was parsed from `text`.
    pub(super) fn new(file: &Path, text: &str, root: &DeTable<'_>) -> Self {
        let mut notes = Notes { lines: Lines::new(text), found: HashMap::new() };
        notes.table("", root);
        Self { file: file.to_owned(), lines: notes.found }
    }

    /// Returns the file as it was named.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the line of the key at `path`, or of the nearest table around it that was written; 1 at worst.
    pub fn line(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return 1,
            }
        }
    }

    /// Builds the error that blames the key at `path`.
    pub fn error(&self, path: impl Into<String>, message: impl Into<String>) -> ConfigError {
        let key = path.into();
        ConfigError { file: self.file.clone(), line: Some(self.line(&key)), key, message: message.into() }
    }
}

/// The path of `key` in the table at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The line numbers of a text's octets.
struct Lines {
    /// The offsets of the line ends.
    ends: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        Self { ends: text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n').map(|(offset, _)| offset).collect() }
    }

    /// The line, from 1, of the octet at `offset`.
    fn of(&self, offset: usize) -> usize {
        1 + self.ends.partition_point(|end| *end < offset)
    }
}

/// Collects the lines of all keys and elements below a table.
struct Notes {
    lines: Lines,
    found: HashMap<String, usize>,
}

impl Notes {
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            self.value(join(path, key.get_ref()), key.span().start, value.get_ref());
        }
    }

    fn value(&mut self, path: String, offset: usize, value: &DeValue<'_>) {
        match value {
            DeValue::Table(table) => self.table(&path, table),
            DeValue::Array(elements) => {
                for (place, element) in elements.iter().enumerate() {
                    self.value(format!("{path}[{place}]"), element.span().start, element.get_ref());
                }
            }
            _ => {}
        }
        self.found.insert(path, self.lines.of(offset));
    }
}
