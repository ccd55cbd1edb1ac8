//! What a key may hold.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

/// What a key may hold.
pub enum Kind {
    /// A text.
    Text,
    /// A time: whole numbers with their units.
    Time,
    /// true or false.
    Boolean,
    /// A whole number, from and to.
    Integer(u64, u64),
    /// One of a few whole numbers.
    Number(&'static [u32]),
    /// One of a few words.
    Word(fn() -> Vec<&'static str>),
    /// A list of what is the same kind.
    List(&'static Kind),
    /// A table.
    Table(fn(&mut SchemaGenerator) -> Schema),
    /// One or the other.
    Either(&'static Kind, &'static Kind),
}

impl Kind {
    /// Returns the schema of what may be held.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Time => json!({"type": "string", "examples": ["1h 30m", "90s"]}),
            Self::Boolean => json!({"type": "boolean"}),
            Self::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
            Self::Number(numbers) => json!({"type": "integer", "enum": numbers}),
            Self::Word(words) => json!({"type": "string", "enum": words()}),
            Self::List(kind) => json!({"type": "array", "items": kind.schema(generator)}),
            Self::Table(table) => table(generator).to_value(),
            Self::Either(one, other) => json!({"anyOf": [one.schema(generator), other.schema(generator)]}),
        }
    }
}
