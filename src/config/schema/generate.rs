//! The JSON Schema of the types next door: what `tollgate schema` prints and what every file is checked against.

use super::{Gateway, include::Included};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The JSON Schema (draft 2020-12) of gateway.yaml.
#[must_use]
pub fn gateway() -> Value {
    schema_of::<Gateway>("gateway.yaml")
}

/// The JSON Schema of a file named by `include`.
#[must_use]
pub fn included() -> Value {
    schema_of::<Included>("an included file")
}

/// Subschemas are written out where they are used: every fault's schema path then leads straight to the phrases of the
/// key it is about.
fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    refuse_null(&mut schema);
    if let Value::Object(root) = &mut schema {
        root.insert("title".to_owned(), Value::from(title));
    }
    schema
}

/// Takes `null` out of every subschema.
///
/// An optional key may be absent; it may not be written without a value, for `scopes:` with nothing behind it is more
/// likely a slip than the wish for no scopes.
fn refuse_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            drop_null_type(map);
            drop_null_option(map);
            drop_null_branch(map);
            map.values_mut().for_each(refuse_null);
        }
        Value::Array(items) => items.iter_mut().for_each(refuse_null),
        _ => {}
    }
}

fn drop_null_type(map: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = map.get_mut("type") else { return };
    types.retain(|kind| kind != "null");
    if let [only] = types.as_slice() {
        let only = only.clone();
        map.insert("type".to_owned(), only);
    }
}

fn drop_null_option(map: &mut Map<String, Value>) {
    if let Some(Value::Array(options)) = map.get_mut("enum") {
        options.retain(|option| !option.is_null());
    }
    if map.get("default").is_some_and(Value::is_null) {
        map.remove("default");
    }
}

/// `anyOf: [X, null]` becomes X, with the descriptions of the key before those of its type.
fn drop_null_branch(map: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = map.get_mut("anyOf") else { return };
    branches.retain(|branch| branch.get("type") != Some(&Value::from("null")));
    if let [Value::Object(only)] = branches.as_slice() {
        let only = only.clone();
        map.remove("anyOf");
        for (key, value) in only {
            map.entry(key).or_insert(value);
        }
        // What was inside may itself be such a branch.
        drop_null_type(map);
        drop_null_option(map);
        drop_null_branch(map);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_may_be_written_without_a_value() {
        for schema in [gateway(), included()] {
            assert!(!schema.to_string().contains("\"null\""), "{schema:#}");
        }
    }

    fn patterns<'s>(schema: &'s Value, found: &mut Vec<&'s str>) {
        match schema {
            Value::Object(map) => {
                found.extend(map.get("pattern").and_then(Value::as_str));
                map.values().for_each(|part| patterns(part, found));
            }
            Value::Array(items) => items.iter().for_each(|part| patterns(part, found)),
            _ => {}
        }
    }

    #[test]
    fn no_pattern_counts_far() {
        let (schema, mut found) = (gateway(), Vec::new());
        patterns(&schema, &mut found);
        let counts = |pattern: &str| {
            let ends = pattern.split('{').skip(1).filter_map(|rest| rest.split('}').next()?.rsplit(',').next());
            let counts = ends.filter_map(|count| count.parse::<u32>().ok());
            counts.max().unwrap_or(0)
        };
        assert!(found.len() > 20, "{found:?}");
        for pattern in found {
            assert!(counts(pattern) <= 45, "{pattern}: compiled it is large; bound the length by maxLength");
        }
    }

    #[test]
    fn mandatory_keys_are_required() {
        let schema = gateway();
        assert_eq!(schema["required"], serde_json::json!(["version", "listeners"]));
        let route = &schema["properties"]["routes"]["items"];
        assert_eq!(route["required"], serde_json::json!(["name", "match", "upstream"]));
        assert_eq!(route["additionalProperties"], false);
        assert!(route["properties"]["name"]["x-write"].is_string(), "{route:#}");
    }
}
