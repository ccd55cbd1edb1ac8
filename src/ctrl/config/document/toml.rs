//! A document as TOML: `[table]` and `[[table]]` with their keys below, everything further inside on one line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml_writer::{ToTomlKey, ToTomlValue};

use super::{Table, Value};

impl From<DeTable<'_>> for Table {
    /// The keys in the order in which they were written.
    fn from(table: DeTable<'_>) -> Self {
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries.into_iter().map(|(key, value)| (key.into_inner(), value.into_inner())).collect()
    }
}

impl From<DeValue<'_>> for Value {
    fn from(value: DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::String(text.into_owned()),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Self::Integer(number),
                Err(_) => Self::Huge(number.to_string()),
            },
            DeValue::Float(number) => Self::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Self::Boolean(value),
            DeValue::Datetime(date) => Self::Date(date.to_string()),
            DeValue::Array(values) => Self::List(values.into_iter().map(|value| value.into_inner().into()).collect()),
            DeValue::Table(table) => Self::Table(table.into()),
        }
    }
}

impl<'a> From<Spanned<DeValue<'a>>> for Value {
    fn from(value: Spanned<DeValue<'a>>) -> Self {
        value.into_inner().into()
    }
}

impl Table {
    /// Writes the document, as it would be written by hand.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        section(&mut text, "", self, 0);
        text
    }
}

/// Writes what is in the table at `path`: what fits a line first, then its tables, each below its header.
fn section(text: &mut String, path: &str, table: &Table, depth: usize) {
    let indent = "  ".repeat(depth.saturating_sub(1));
    for (key, value) in table.iter().filter(|(_, value)| !stands_apart(value, depth)) {
        *text += &format!("{indent}{} = {}\n", key.to_toml_key(), inline(value));
    }
    for (key, value) in table.iter().filter(|(_, value)| stands_apart(value, depth)) {
        let path = if path.is_empty() { key.to_toml_key() } else { format!("{path}.{}", key.to_toml_key()) };
        let indent = "  ".repeat(depth);
        match value {
            Value::Table(table) => {
                header(text, &format!("{indent}[{path}]"));
                section(text, &path, table, depth + 1);
            }
            Value::List(tables) => {
                for table in tables {
                    let Value::Table(table) = table else { continue };
                    header(text, &format!("{indent}[[{path}]]"));
                    section(text, &path, table, depth + 1);
                }
            }
            _ => {}
        }
    }
}

/// A header has an empty line above it, but for the first of the text.
fn header(text: &mut String, header: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    *text += header;
    text.push('\n');
}

/// Tells whether a value has a header of its own: lists of tables, and the tables of the whole document.
fn stands_apart(value: &Value, depth: usize) -> bool {
    match value {
        Value::Table(_) => depth == 0,
        Value::List(values) => !values.is_empty() && values.iter().all(|value| matches!(value, Value::Table(_))),
        _ => false,
    }
}

fn inline(value: &Value) -> String {
    match value {
        // TOML has none: no key is read as if it were there.
        Value::Null => "{}".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_toml_value(),
        Value::Huge(text) | Value::Date(text) => text.clone(),
        Value::String(text) => text.to_toml_value(),
        Value::List(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(table) if table.is_empty() => "{}".to_owned(),
        Value::Table(table) => {
            let entries = table.iter().map(|(key, value)| format!("{} = {}", key.to_toml_key(), inline(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Table {
        DeTable::parse(text).unwrap().into_inner().into()
    }

    #[test]
    fn a_document_is_written_as_by_hand() {
        let text = "\
[director]
workers = [1, 2]
poll = \"busy\"

[[service]]
address = \"203.0.113.10:80\"
persistence = { timeout = 300, mask = 24 }

  [[service.real]]
  address = \"10.0.0.11:8080\"

  [[service.real]]
  address = \"10.0.0.12:8080\"
  weight = 3

[[service]]
mark = 7
ops = true
";
        assert_eq!(read(text).to_toml(), text);
    }

    #[test]
    fn whatever_is_written_is_read_again() {
        let table = Table::from_iter([
            ("a b", Value::from("quote \" and \\ and\nline")),
            ("empty", Value::List(Vec::new())),
            ("mixed", vec![Value::Table(Table::new()), Value::Integer(-7)].into()),
            ("table", Table::from_iter([("inner", Table::from_iter([("x", 1u32)]))]).into()),
            ("float", Value::Float(0.5)),
        ]);
        let again = read(&table.to_toml());
        assert!(table.iter().all(|(key, value)| again.get(key) == Some(value)), "{again:?}");
    }

    #[test]
    fn keys_come_in_the_order_of_the_text_and_numbers_by_their_value() {
        let huge = "9".repeat(50);
        let table = read(&format!("z = 0x1F\ny = 1_000\na = {huge}\n"));
        let entries: Vec<_> = table.iter().collect();
        let expected = [("z", Value::Integer(31)), ("y", Value::Integer(1000)), ("a", Value::Huge(huge))];
        assert!(entries.into_iter().eq(expected.iter().map(|(key, value)| (*key, value))));
    }
}
