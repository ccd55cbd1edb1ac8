//! A document as JSON. What a stranger sends is bounded in depth by serde_json, in size by the API, and here in the number
//! of a table's keys; a key that is there twice is refused, as in TOML.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{Table, Value};

/// More keys than any table of ours has.
const MAX_KEYS: usize = 128;

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Integer(number) => serializer.serialize_i128(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Huge(text) | Self::Date(text) | Self::String(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
            Self::Table(table) => table.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Tables)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

struct Tables;

impl<'de> Visitor<'de> for Tables {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
        let mut table = Table::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if table.get(&key).is_some() {
                return Err(de::Error::custom(format_args!("the key \"{key}\" is there twice")));
            }
            if table.entries.len() == MAX_KEYS {
                return Err(de::Error::custom(format_args!("an object has more than {MAX_KEYS} keys")));
            }
            table.entries.push((key, value));
        }
        Ok(table)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Integer(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        Tables.visit_map(map).map(Value::Table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_and_written_in_its_order() {
        let text = r#"{"z":[1,-2,"a",null,true,0.5],"a":{"y":18446744073709551615,"b":{}}}"#;
        let table: Table = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&table).unwrap(), text);
    }

    #[test]
    fn what_is_ambiguous_or_too_much_is_refused() {
        let many: Vec<_> = (0..200).map(|key| format!("\"{key}\":0")).collect();
        for (text, expected) in [
            (r#"{"a":1,"a":2}"#.to_owned(), "the key \"a\" is there twice"),
            (format!("{{{}}}", many.join(",")), "an object has more than 128 keys"),
            (format!("{{\"a\":{}", "[".repeat(1000)), "recursion limit exceeded"),
            ("[]".to_owned(), "expected an object"),
        ] {
            let error = serde_json::from_str::<Table>(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
