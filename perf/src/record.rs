//! One result as a flat list of named values: what is measured decides which.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::sampling::Samples;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Count(u64),
    Number(f64),
}

/// A flat object.
#[derive(Clone, Debug, Default)]
pub struct Record(Vec<(&'static str, Value)>);

/// Not worth a column of the table for people.
const HIDDEN: [&str; 4] = ["workers", "samples", "mpps_min", "mpps_max"];

impl Record {
    /// A result of `case` with this many flows and one worker.
    pub fn new(case: &'static str, flows: u32) -> Self {
        Self::default().text("case", case).count("flows", u64::from(flows)).count("workers", 1)
    }

    #[must_use]
    pub fn text(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.0.push((name, Value::Text(text.into())));
        self
    }

    #[must_use]
    pub fn count(mut self, name: &'static str, count: u64) -> Self {
        self.0.push((name, Value::Count(count)));
        self
    }

    /// A number, to four significant digits at least.
    #[must_use]
    pub fn number(mut self, name: &'static str, number: f64) -> Self {
        self.0.push((name, Value::Number((number * 1e4).round() / 1e4)));
        self
    }

    /// Rates and times of samples.
    #[must_use]
    pub fn samples(self, samples: &Samples) -> Self {
        self.number("mpps", 1000.0 / samples.median())
            .number("mpps_min", 1000.0 / samples.worst())
            .number("mpps_max", 1000.0 / samples.best())
            .number("ns_per_packet", samples.best())
            .number("ns_per_packet_median", samples.median())
            .count("samples", samples.len() as u64)
    }

    /// The ratio of `reference`'s time to `own`: quickest to quickest, and of what was sampled in turn the least, the
    /// median and the most. More than 1 is quicker than the reference.
    #[must_use]
    pub fn versus(self, names: [&'static str; 4], own: &Samples, reference: &Samples) -> Self {
        let ratios = reference.over(own);
        self.number(names[0], reference.best() / own.best())
            .number(names[1], ratios.best())
            .number(names[2], ratios.median())
            .number(names[3], ratios.worst())
    }

    /// What the table for people shows, by name.
    pub fn shown(&self) -> impl Iterator<Item = &(&'static str, Value)> {
        self.0.iter().filter(|(name, _)| !HIDDEN.contains(name))
    }

    /// Tells whether both have the same columns.
    pub fn is_like(&self, other: &Self) -> bool {
        self.shown().map(|(name, _)| name).eq(other.shown().map(|(name, _)| name))
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Number(number) => serializer.serialize_f64(*number),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Count(count) => write!(f, "{count}"),
            Self::Number(number) if number.abs() < 0.1 => write!(f, "{number:.4}"),
            Self::Number(number) if number.abs() < 10.0 => write!(f, "{number:.2}"),
            Self::Number(number) => write!(f, "{number:.1}"),
        }
    }
}
