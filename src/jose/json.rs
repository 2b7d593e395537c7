//! Strict JSON (RFC 8259) for everything that comes out of a token or a key: duplicate members refuse the text at any
//! depth, and nesting is bounded.
//!
//! With duplicates allowed, two readers of one token can see two different subjects (RFC 7515 §4, RFC 7519 §4).

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// The deepest nesting of objects and arrays that is read.
pub const MAX_DEPTH: u8 = 32;

/// Why a text is not the JSON we read. Says nothing about the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not one JSON text in UTF-8.
    #[error("not valid JSON")]
    Malformed,
    /// An object names a member twice.
    #[error("a member occurs twice")]
    DuplicateMember,
    /// Objects and arrays nest deeper than [`MAX_DEPTH`].
    #[error("nested too deeply")]
    TooDeep,
    /// The top level is no object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Reads one JSON object.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    match parse(bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotAnObject),
    }
}

/// Reads one JSON value.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let fault = Cell::new(JsonError::Malformed);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict::new(&fault).deserialize(&mut reader).map_err(|_| fault.get())?;
    reader.end().map_err(|_| JsonError::Malformed)?;
    Ok(value)
}

/// Reads a value strictly from within another reader.
#[derive(Clone, Copy)]
pub(super) struct Strict<'f> {
    depth: u8,
    /// serde's errors carry only text; the kind of fault travels beside them.
    fault: &'f Cell<JsonError>,
}

impl<'f> Strict<'f> {
    pub(super) fn new(fault: &'f Cell<JsonError>) -> Self {
        Self { depth: 0, fault }
    }

    fn fail<E: serde::de::Error>(self, fault: JsonError) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail(JsonError::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(self.fail(JsonError::DuplicateMember));
            }
            members.insert(name, entries.next_value_seed(inner)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_members_refuse_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"a":2}]}"#, r#"{"a":1,"\u0061":2}"#] {
            assert_eq!(parse(text.as_bytes()), Err(JsonError::DuplicateMember), "{text}");
        }
    }

    #[test]
    fn equal_names_in_different_objects_are_fine() {
        assert!(parse(br#"{"a":{"a":1},"b":{"a":2}}"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(nested(usize::from(MAX_DEPTH)).as_bytes()).is_ok());
        assert_eq!(parse(nested(usize::from(MAX_DEPTH) + 1).as_bytes()), Err(JsonError::TooDeep));
        assert!(parse(nested(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn only_one_text_of_valid_json_is_read() {
        for text in ["", "{", "{} {}", "NaN", "{\"a\":NaN}", "[1e999]", "\u{feff}{}", "{'a':1}", "[1,]", "\"\\ud800\""]
        {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn values_survive_unchanged() {
        let text = r#"{"a":[1,-2,1.5,true,null,"x"],"b":18446744073709551615}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(parse_object(b"[]"), Err(JsonError::NotAnObject));
    }
}
