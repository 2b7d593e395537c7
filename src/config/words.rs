//! The words that keys are made of: what tells a key from a piece of a secret.
//!
//! In braces, a value ends at its first comma unless it is quoted. The rest of a secret that was written in place is
//! then a key to every reader of YAML, and a fault about it would print it. So would one about `password:hunter2`, which
//! is a key without a value.

use super::schema;
use super::suggest;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// A text of this many letters is a slip away from some word too easily.
const MIN_RESEMBLING: usize = 4;

/// Every key that a file may hold, and those whose mappings hold names of the writer's own choice.
#[derive(Default)]
struct Words {
    keys: BTreeSet<String>,
    free: BTreeSet<String>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let mut words = Words::default();
    words.collect(&schema::gateway());
    words.collect(&schema::included());
    words
});

impl Words {
    fn collect(&mut self, schema: &Value) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    self.keys.extend(properties.keys().cloned());
                    let free = properties.iter().filter(|(_, value)| value.get("x-keys").is_some());
                    self.free.extend(free.map(|(key, _)| key.clone()));
                }
                map.values().for_each(|value| self.collect(value));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            _ => {}
        }
    }
}

/// True if `text` is a key of some mapping, or a typing slip away from one.
#[must_use]
pub fn is_key(text: &str) -> bool {
    WORDS.keys.contains(text) || is_slip(text)
}

/// One slip alone: the more are forgiven, the more of what is no key resembles one. And hardly a key has a digit.
fn is_slip(text: &str) -> bool {
    if text.len() < MIN_RESEMBLING || text.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    suggest::nearest_within(1, text, WORDS.keys.iter().map(String::as_str)).is_some()
}

/// True if `text` has what no key has: it may be a key with its value.
#[must_use]
pub fn is_odd(text: &str) -> bool {
    !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// True if the keys below the key `text` are names of the writer's own choice, such as header names.
#[must_use]
pub fn names_freely(text: &str) -> bool {
    WORDS.free.contains(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_what_is_none() {
        for key in ["shared_secret", "key", "path_prefix", "jwks_uri", "jwks-url", "scope", "listners"] {
            assert!(is_key(key), "{key}");
        }
        for text in ["hunter2", "kez", "", "two", "Zr9!x", "8f4c1e", "server2x9", "key1", "token7", "serverxy"] {
            assert!(!is_key(text), "{text}");
        }
        assert!(is_odd("token:hunter2") && is_odd("token hunter2") && !is_odd("max-age_2"));
        assert!(names_freely("headers") && names_freely("response_headers") && !names_freely("keys"));
    }
}
