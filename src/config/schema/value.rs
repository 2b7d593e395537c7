//! The small values that many keys share: names, durations, sizes, addresses, paths and references to secrets.
//!
//! Each type is one phrase for the schema (`x-is`: what it is; `x-write`: what to write), from which faults are made.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// The schema of a string with a pattern and a greatest length, and the phrases a fault about it is made from.
///
/// The length is no part of the pattern: compiled, "any character, up to 4096 times" is a program of megabytes.
fn text(is: &str, write: &str, (pattern, most): (&str, u32), examples: &[&str]) -> Schema {
    json_schema!({
        "type": "string", "pattern": pattern, "maxLength": most, "x-is": is, "x-write": write, "examples": examples
    })
}

/// Declares a newtype of text that is checked by its pattern alone.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, is: $is:literal, write: $write:literal, pattern: $pattern:literal,
     most: $most:literal, examples: $examples:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                text($is, $write, ($pattern, $most), $examples)
            }
        }
    };
}

text_type! {
    /// The name of a list item: it stands in references, log lines and metric labels.
    Name, is: "a name", write: "1 to 64 letters, digits, `-`, `_` or `.`",
    pattern: "^[A-Za-z0-9_.-]+$", most: 64, examples: &["orders"]
}

text_type! {
    /// An IP address and a port to listen on.
    Address, is: "an address to listen on", write: "an IP address and a port, such as `127.0.0.1:8443` or `[::1]:8443`",
    pattern: r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$", most: 64, examples: &["0.0.0.0:8443"]
}

text_type! {
    /// A network: an IP address, and the number of its leading bits that count.
    Network, is: "a network", write: "an address and a prefix, such as `10.0.0.0/8` or `2001:db8::/32`",
    pattern: r"^[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?$", most: 49, examples: &["10.0.0.0/8"]
}

text_type! {
    /// The path of a file; a relative one starts from the directory of the file that names it.
    FilePath, is: "a path", write: "the path of a file, without `file:`",
    pattern: r"^(?!file:|env:)[^\x00-\x1f]+$", most: 4096, examples: &["keys/corp.jwks.json"]
}

text_type! {
    /// Text of one line that is not empty.
    Line, is: "text of one line", write: "text without control characters, at most 1024 bytes",
    pattern: r"^[^\x00-\x1f\x7f]+$", most: 1024, examples: &[]
}

text_type! {
    /// A host name, or `*.` and a host name.
    HostPattern, is: "a host name",
    write: "a name without scheme and port, such as `api.example.com` or `*.example.com`",
    pattern: r"^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$|^\[[0-9A-Fa-f:.]+\]$", most: 1024, examples: &["api.example.com"]
}

text_type! {
    /// The name of an HTTP header (RFC 9110 §5.1).
    HeaderName, is: "a header name", write: "letters, digits and `-`, such as `X-User-Id`",
    pattern: r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", most: 128, examples: &["X-User-Id"]
}

text_type! {
    /// A claim: the name of a top-level one, or a JSON Pointer (RFC 6901) into the claims.
    ClaimPath, is: "a claim", write: "a claim's name such as `sub`, or a JSON Pointer such as `/realm_access/roles`",
    pattern: r"^[^\x00-\x1f\x7f]+$", most: 256, examples: &["sub"]
}

/// A span of time, written as a whole number and a unit: `100ms`, `30s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

impl Duration {
    /// The span of time.
    #[must_use]
    pub fn get(self) -> std::time::Duration {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split_number(text)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            _ => return None,
        };
        number.checked_mul(millis).map(std::time::Duration::from_millis).map(Self)
    }
}

/// A number of bytes, written as a whole number and a unit: `512B`, `16KiB`, `10MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// The number of bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split_number(text)?;
        let factor = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(factor).map(Self)
    }
}

/// Where a secret is to be found. The secret itself never stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretRef {
    /// The environment variable of this name.
    Env(String),
    /// The file of this path, relative to the file that names it.
    File(String),
}

impl SecretRef {
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "env" if !rest.is_empty() => Some(Self::Env(rest.to_owned())),
            "file" if !rest.is_empty() => Some(Self::File(rest.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

/// Gives a type that is parsed from text its `Deserialize` and `JsonSchema`.
macro_rules! parsed_type {
    ($name:ident, is: $is:literal, write: $write:literal, pattern: $pattern:literal, most: $most:literal,
     examples: $examples:expr) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                // The text is kept out of the message: it may be a secret written in the wrong place.
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom(concat!("not ", $is)))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                text($is, $write, ($pattern, $most), $examples)
            }
        }
    };
}

// Nine digits keep every product of number and unit inside 64 bits.
parsed_type!(Duration, is: "a duration", write: "a whole number and a unit, such as `100ms`, `30s`, `5m` or `1h`",
    pattern: "^[0-9]{1,9}(ms|s|m|h)$", most: 11, examples: &["30s"]);
parsed_type!(Size, is: "a size", write: "a whole number and a unit, such as `512B`, `16KiB` or `10MiB`",
    pattern: "^[0-9]{1,9}(B|KiB|MiB|GiB)$", most: 12, examples: &["16KiB"]);
parsed_type!(SecretRef, is: "a reference to a secret",
    write: "`env:NAME` or `file:PATH`; the secret itself never stands in the file",
    pattern: r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00-\x1f]+)$", most: 4101, examples: &["env:NAME"]);

/// A list that remembers where its items stood: an item that is refused leaves a gap, not a shift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(Vec<(usize, T)>);

impl<T> List<T> {
    /// The items with their positions as written, counted from 0.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0.iter().map(|(index, item)| (*index, item))
    }

    /// The items without their positions.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, item)| item)
    }

    /// True if no item is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Vec::<Option<T>>::deserialize(deserializer)?;
        Ok(Self(items.into_iter().enumerate().filter_map(|(index, item)| Some((index, item?))).collect()))
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn schema_name() -> Cow<'static, str> {
        Vec::<T>::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration as Span;

    #[test]
    fn durations_and_sizes_need_a_unit() {
        assert_eq!(Duration::parse("100ms").map(Duration::get), Some(Span::from_millis(100)));
        assert_eq!(Duration::parse("5m").map(Duration::get), Some(Span::from_secs(300)));
        assert_eq!(Size::parse("16KiB").map(Size::bytes), Some(16_384));
        for text in ["", "30", "s", "-1s", "1.5s", "1 s", "1S"] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
        assert_eq!(Size::parse("16KB"), None);
        assert!(Duration::parse("999999999h").is_some());
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        let error = serde_json::from_str::<SecretRef>("\"hunter2\"").expect_err("no reference");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_eq!(SecretRef::parse("env:A"), Some(SecretRef::Env("A".into())));
        assert_eq!(SecretRef::parse("file:a/b:c"), Some(SecretRef::File("a/b:c".into())));
        assert_eq!(SecretRef::parse("env:"), None);
    }

    #[test]
    fn a_gap_in_a_list_shifts_nothing() {
        let list: List<u8> = serde_json::from_str("[1, null, 3]").expect("a list");
        assert_eq!(list.iter().collect::<Vec<_>>(), [(0, &1), (2, &3)]);
    }
}
