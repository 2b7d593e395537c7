//! From a breach of the JSON Schema to a sentence: what is wrong, what to write instead.

use super::phrase;
use crate::config::path::{Path, Segment};
use crate::config::suggest;
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::paths::LocationSegment;
use serde_json::Value;

/// A breach of the schema, in words.
pub struct Breach {
    /// Where it is.
    pub path: Path,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
    /// True if something is absent, rather than wrong.
    pub lacking: bool,
    /// True if something that was cut out before may be the cause.
    pub hollow: bool,
}

/// Puts `error` into words; one error may be several breaches.
pub fn translate(error: &ValidationError<'_>, schema: &Value, breaches: &mut Vec<Breach>) {
    let path = path_of(error);
    let part = part_of(error, schema);
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            breaches.extend(unexpected.iter().map(|key| unknown_key(&path, key, part)));
        }
        Kind::Required { property } => breaches.push(missing_key(&path, property, part)),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => match meant_branch(context, error) {
            Some(errors) => errors.iter().for_each(|error| translate(error, schema, breaches)),
            None => breaches.push(wrong(path, error.instance(), part)),
        },
        Kind::MinItems { .. } => breaches.push(Breach {
            path,
            problem: "is an empty list".to_owned(),
            remedy: "write at least one item".to_owned(),
            lacking: true,
            hollow: true,
        }),
        _ => breaches.push(wrong(path, error.instance(), part)),
    }
}

fn unknown_key(path: &Path, key: &str, part: &Value) -> Breach {
    let known = phrase::keys(part);
    let (problem, remedy) = if let Some(keys) = part.get("x-keys") {
        (phrase::what_it_is_not(keys), format!("write {}", phrase::what_to_write(keys)))
    } else if let Some(meant) = suggest::nearest(key, &known) {
        ("is an unknown key".to_owned(), format!("write `{meant}` instead, or remove it"))
    } else {
        let known: Vec<String> = known.into_iter().map(|key| format!("`{key}`")).collect();
        ("is an unknown key".to_owned(), format!("remove it; the keys here are {}", known.join(", ")))
    };
    Breach { path: path.key(key), problem, remedy, lacking: false, hollow: false }
}

fn missing_key(path: &Path, property: &Value, part: &Value) -> Breach {
    let key = property.as_str().unwrap_or_default();
    let schema = part.get("properties").and_then(|properties| properties.get(key)).unwrap_or(&Value::Null);
    Breach {
        path: path.key(key),
        problem: "is missing".to_owned(),
        remedy: phrase::example(key, schema),
        lacking: true,
        hollow: true,
    }
}

/// A value of the wrong kind or shape. The value itself is never repeated: it may be a secret in the wrong place.
fn wrong(path: Path, value: &Value, part: &Value) -> Breach {
    let problem = match value {
        Value::Null => "has no value".to_owned(),
        Value::Object(_) => "is a mapping".to_owned(),
        Value::Array(_) => "is a list".to_owned(),
        Value::Bool(_) => "is `true` or `false`".to_owned(),
        Value::Number(_) if phrase::is_number(part) => "is a number out of range".to_owned(),
        Value::Number(_) => "is a number".to_owned(),
        Value::String(_) => phrase::what_it_is_not(part),
    };
    let hollow = matches!(value, Value::Null | Value::Object(_) | Value::Array(_));
    Breach { path, problem, remedy: format!("write {}", phrase::what_to_write(part)), lacking: false, hollow }
}

/// The branch of a choice that the writer had in mind: the only one whose kind of value was written.
fn meant_branch<'e>(
    branches: &'e [Vec<ValidationError<'static>>],
    error: &ValidationError<'_>,
) -> Option<&'e [ValidationError<'static>]> {
    let here = error.instance_path().as_str();
    let fits = |errors: &&Vec<ValidationError<'static>>| {
        !errors.iter().any(|error| error.instance_path().as_str() == here && is_about_kind(error.kind()))
    };
    let mut fitting = branches.iter().filter(fits);
    let only = fitting.next()?;
    fitting.next().is_none().then_some(only.as_slice())
}

fn is_about_kind(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Type { .. } | Kind::Enum { .. } | Kind::Constant { .. } | Kind::AnyOf { .. } | Kind::OneOfNotValid { .. }
    )
}

fn path_of(error: &ValidationError<'_>) -> Path {
    error
        .instance_path()
        .iter()
        .map(|segment| match segment {
            LocationSegment::Property(key) => Segment::Key(key.into_owned()),
            LocationSegment::Index(index) => Segment::Index(index),
        })
        .collect()
}

/// The part of the schema that `error` is about: what holds the keyword that failed.
fn part_of<'s>(error: &ValidationError<'_>, schema: &'s Value) -> &'s Value {
    let pointer = error.schema_path().as_str();
    let part = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    schema.pointer(part).unwrap_or(&Value::Null)
}
