//! What the tables of the file hold, as JSON Schema (draft 2020-12): for those who write programs against the API.
//!
//! The keys are those that the readers know ([`Keys`]); what each may hold is said in `shapes`. A test holds that against the
//! readers.

mod kind;
mod shapes;

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::keys::Keys;
use super::value::LONGEST_TIMEOUT;
pub(super) use kind::Kind;
#[cfg(test)]
pub(super) use shapes::{
    Api, Check, Director, Health, Ipvs, LocalPool, Mark, Match, Mirror, Neighbor, Notify, Observe, Persistence, Port,
    Route, Sorry,
};
pub use shapes::{File, Key, Real, Service, Timeouts};

/// A table of the file.
pub trait Shape {
    /// What the schema is called.
    const NAME: &'static str;
    /// Its keys.
    const KEYS: &'static Keys;
    /// Those that have no default.
    const REQUIRED: &'static [&'static str] = &[];
    /// Those of which there is one, and no more; any if there are none.
    const ONE_OF: &'static [&'static str] = &[];
    /// Those that say which of several it is, or stand for more tables: they cannot be set.
    const FIXED: &'static [&'static str] = &[];
    /// Those that an answer has in a form of its own.
    const APART: &'static [&'static str] = &[];
    /// Whether a request may give times in seconds too; none of them may be 0.
    const SECONDS: bool = false;
    /// What each key may hold, and what it is.
    const VALUES: &'static [(&'static str, Kind, &'static str)];
}

/// A table as it is written in a file, and in a request that adds one.
pub struct Written<S>(PhantomData<S>);

/// A table in an answer, where it has more keys than those of the file.
pub struct Shown<S>(PhantomData<S>);

/// Keys of a table to replace; null is for the default.
pub struct Set<S>(PhantomData<S>);

impl<S: Shape> JsonSchema for Written<S> {
    fn schema_name() -> Cow<'static, str> {
        S::NAME.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({
            "type": "object",
            "description": format!("As in the configuration file: {}.", S::KEYS.header),
            "properties": properties::<S>(generator, |_| true, Kind::schema),
            "required": S::REQUIRED,
            "additionalProperties": false,
        });
        if !S::ONE_OF.is_empty() {
            let each: Vec<_> = S::ONE_OF.iter().map(|key| json!({"required": [key]})).collect();
            schema.insert("oneOf".to_owned(), each.into());
        }
        schema
    }
}

impl<S: Shape> JsonSchema for Shown<S> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}Shown", S::NAME).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let properties = properties::<S>(generator, |key| !S::APART.contains(&key), Kind::schema);
        json_schema!({"type": "object", "properties": properties})
    }
}

impl<S: Shape> JsonSchema for Set<S> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Set", S::NAME).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let set = |kind: &Kind, generator: &mut SchemaGenerator| {
            let mut choices = vec![kind.schema(generator)];
            if S::SECONDS && matches!(kind, Kind::Time) {
                choices.push(
                    json!({"description": "Seconds.", "type": "integer", "minimum": 1, "maximum": LONGEST_TIMEOUT}),
                );
            }
            choices.push(json!({"type": "null"}));
            json!({ "anyOf": choices })
        };
        json_schema!({
            "type": "object",
            "description": format!("Keys of {} to replace; null is for the default.", S::KEYS.header),
            "properties": properties::<S>(generator, |key| !S::FIXED.contains(&key), set),
            "additionalProperties": false,
        })
    }
}

/// The keys of a table that are `wanted`, each with its description.
fn properties<S: Shape>(
    generator: &mut SchemaGenerator,
    wanted: impl Fn(&str) -> bool,
    schema: impl Fn(&Kind, &mut SchemaGenerator) -> Value,
) -> Map<String, Value> {
    let mut properties = Map::new();
    for key in S::KEYS.known.iter().filter(|key| wanted(key)) {
        let Some((_, kind, description)) = S::VALUES.iter().find(|(name, ..)| name == key) else { continue };
        let mut value = schema(kind, generator);
        value["description"] = (*description).into();
        properties.insert((*key).to_owned(), value);
    }
    properties
}
