//! Phrases about a part of the schema: what belongs there, in words.

use crate::config::source::resolve_scalar;
use serde_json::Value;

/// What to write where `schema` applies, to be put behind "write".
#[must_use]
pub fn what_to_write(schema: &Value) -> String {
    if let Some(phrase) = text(schema, "x-write") {
        return phrase.to_owned();
    }
    if let Some(value) = schema.get("const") {
        return quoted(value);
    }
    if let Some(options) = schema.get("enum").and_then(Value::as_array) {
        return any_of(&options.iter().map(quoted).collect::<Vec<_>>());
    }
    if let Some(branches) = branches(schema) {
        return any_of(&branches.iter().map(what_to_write).collect::<Vec<_>>());
    }
    match text(schema, "type") {
        Some("object") => mapping(schema),
        Some("array") => list(schema),
        Some("integer" | "number") => number(schema),
        Some("boolean") => "`true` or `false`".to_owned(),
        _ => "text".to_owned(),
    }
}

/// What is wrong with a text where `schema` applies.
#[must_use]
pub fn what_it_is_not(schema: &Value) -> String {
    match text(schema, "x-is") {
        Some(is) => format!("is not {is}"),
        None if is_word(schema) => "is none of the words known here".to_owned(),
        None => "is text".to_owned(),
    }
}

/// True where only a number fits.
#[must_use]
pub fn is_number(schema: &Value) -> bool {
    matches!(text(schema, "type"), Some("integer" | "number"))
}

/// True where only certain words fit.
fn is_word(schema: &Value) -> bool {
    let choice = branches(schema).is_some_and(|branches| branches.iter().all(is_word));
    choice || schema.get("enum").is_some() || schema.get("const").is_some()
}

/// A line to write for the missing key `key`, whose values `schema` describes.
#[must_use]
pub fn example(key: &str, schema: &Value) -> String {
    match schema.get("examples").and_then(|examples| examples.get(0)) {
        Some(Value::String(example)) => format!("write one, such as `{key}: {example}`"),
        Some(example) => format!("write `{key}: {example}`"),
        None => format!("write `{key}:` and {}", what_to_write(schema)),
    }
}

/// The keys a mapping may have.
#[must_use]
pub fn keys(schema: &Value) -> Vec<&str> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// `a`, `b` or `c`.
#[must_use]
pub fn any_of(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A value as it has to be typed: what YAML would take for a number or a boolean stands in quotes.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) if resolve_scalar(text).is_string() => format!("`{text}`"),
        Value::String(text) => format!("`\"{text}\"` (in quotes)"),
        other => format!("`{other}`"),
    }
}

fn branches(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array)
}

fn mapping(schema: &Value) -> String {
    let keys: Vec<String> = keys(schema).into_iter().map(|key| format!("`{key}`")).collect();
    if keys.is_empty() { "a mapping".to_owned() } else { format!("a mapping with keys out of {}", keys.join(", ")) }
}

fn list(schema: &Value) -> String {
    let items = schema.get("items").unwrap_or(&Value::Null);
    match items.get("examples").and_then(|examples| examples.get(0)) {
        Some(Value::String(example)) => format!("a list, such as `[{example}]`"),
        _ if is_word(items) => format!("a list out of {}", what_to_write(items)),
        _ => "a list".to_owned(),
    }
}

fn number(schema: &Value) -> String {
    let bound = |key| schema.get(key).filter(|bound| bound.as_u64().is_none_or(|bound| bound < u64::from(u32::MAX)));
    match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => format!("a whole number from {low} to {high}"),
        (Some(low), None) => format!("a whole number of at least {low}"),
        _ => "a whole number".to_owned(),
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key).and_then(Value::as_str)
}
