//! Where each value of a configuration was written, for messages that name file, line and key; what came in a request is in
//! no file, and its key is named alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{error, fmt, io};

use toml::de::{DeTable, DeValue};

/// The places of a document's keys.
///
/// A key's path is written as `service[2].real[0].address`: tables of an array count from 0, in the order of
/// the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// None for what came in a request.
    file: Option<PathBuf>,
    lines: HashMap<String, usize>,
}

/// Why a configuration was refused; displays as one line, `FILE:LINE: KEY: message`, or `KEY: message` where there is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named.
    pub file: Option<PathBuf>,
    /// The line, from 1; `None` where the file could not be read at all.
    pub line: Option<usize>,
    /// The path of the key; empty where no single key is to blame.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl error::Error for ConfigError {}

impl ConfigError {
    /// The file could not be read.
    pub(super) fn unreadable(file: &Path, cause: &io::Error) -> Self {
        let message = format!("cannot be read: {cause}");
        Self { file: Some(file.to_owned()), line: None, key: String::new(), message }
    }

    /// The file is not TOML.
    pub(super) fn syntax(file: &Path, text: &str, cause: &toml::de::Error) -> Self {
        let offset = cause.span().map_or(0, |span| span.start);
        let message = cause.message().replace('\n', "; ");
        Self { file: Some(file.to_owned()), line: Some(Lines::new(text).of(offset)), key: String::new(), message }
    }
}

impl Source {
    /// Notes the line of every key and array element of `root`, which was parsed from `text`.
    pub(super) fn of_file(file: &Path, text: &str, root: &DeTable<'_>) -> Self {
        let mut notes = Notes { lines: Lines::new(text), found: HashMap::new() };
        notes.table("", root);
        Self { file: Some(file.to_owned()), lines: notes.found }
    }

    /// What is in no file.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns the line of the key at `path`, or of the nearest table around it that was written; 1 at worst. `None` for what
    /// is in no file.
    pub fn line(&self, path: &str) -> Option<usize> {
        self.file.as_ref()?;
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return Some(1),
            }
        }
    }

    /// Returns what `words` says of the line of the key at `path`; nothing for what is in no file.
    pub fn in_line(&self, path: &str, words: impl FnOnce(usize) -> String) -> String {
        self.line(path).map(words).unwrap_or_default()
    }

    /// Builds the error that blames the key at `path`.
    pub fn error(&self, path: impl Into<String>, message: impl Into<String>) -> ConfigError {
        let key = path.into();
        let line = self.line(&key);
        ConfigError { file: self.file.clone(), line, key: readable(key), message: readable(message.into()) }
    }
}

/// As many characters of a quoted key or value as anybody reads.
const READABLE: usize = 1_000;

fn readable(text: String) -> String {
    if text.len() <= READABLE {
        return text;
    }
    text.chars().take(READABLE).chain(['…']).collect()
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
