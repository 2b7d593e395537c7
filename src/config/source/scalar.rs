//! What an unquoted word means: nothing, true or false, a number, or text.

use serde_json::{Number, Value};

/// The value of a plain scalar, by the rules of `serde_yaml`: everything it does not take for nothing, a boolean or a
/// finite number stays the text as written.
#[must_use]
pub fn resolve(text: &str) -> Value {
    // A plain scalar of more than this is never a number; sparing the second look keeps a large file cheap.
    if text.len() > 64 {
        return Value::String(text.to_owned());
    }
    match serde_yaml::from_str::<serde_yaml::Value>(text) {
        Ok(serde_yaml::Value::Null) => Value::Null,
        Ok(serde_yaml::Value::Bool(value)) => Value::Bool(value),
        Ok(serde_yaml::Value::Number(number)) => {
            to_json(&number).map_or_else(|| Value::String(text.to_owned()), Value::Number)
        }
        _ => Value::String(text.to_owned()),
    }
}

fn to_json(number: &serde_yaml::Number) -> Option<Number> {
    number
        .as_u64()
        .map(Number::from)
        .or_else(|| number.as_i64().map(Number::from))
        .or_else(|| number.as_f64().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_read_as_yaml_1_2_reads_them() {
        assert_eq!(resolve(""), Value::Null);
        assert_eq!(resolve("~"), Value::Null);
        assert_eq!(resolve("true"), json!(true));
        assert_eq!(resolve("1"), json!(1));
        assert_eq!(resolve("1.2"), json!(1.2));
        assert_eq!(resolve("-7"), json!(-7));
        for text in ["no", "on", "30s", "ES256", ".inf", ".nan", "0.0.0.0:8443", "env:A", "a b"] {
            assert_eq!(resolve(text), json!(text), "{text}");
        }
    }
}
