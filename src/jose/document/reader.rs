//! Reading a text into a document, as strictly as in [`super::super::json`].

use super::Node;
use crate::jose::json::{JsonError, MAX_DEPTH};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use std::fmt;

/// Up to this many members are compared each with each; more are sorted first.
const FEW: usize = 12;

/// A document in the making.
pub(super) struct Builder {
    texts: String,
    nodes: Vec<Node>,
    /// serde's errors carry only text; the kind of fault travels beside them.
    fault: JsonError,
}

impl Builder {
    /// Reads one JSON value: its texts, and its values.
    pub(super) fn read(bytes: &[u8]) -> Result<(String, Vec<Node>), JsonError> {
        let mut builder = Self::for_text(bytes.len());
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let read = Reader { builder: &mut builder, depth: 0 }.deserialize(&mut reader);
        read.map_err(|_| builder.fault)?;
        reader.end().map_err(|_| JsonError::Malformed)?;
        Ok((builder.texts, builder.nodes))
    }

    fn for_text(len: usize) -> Self {
        // Ordinary claims have a value or a name in every twelve bytes; more values make the list grow.
        let nodes = Vec::with_capacity((len / 12).min(64) + 2);
        Self { texts: String::with_capacity(len), nodes, fault: JsonError::Malformed }
    }

    fn fail<E: serde::de::Error>(&mut self, fault: JsonError) -> E {
        self.fault = fault;
        E::custom(fault)
    }

    fn text<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        let start = place(self.texts.len())?;
        self.texts.push_str(text);
        let end = place(self.texts.len())?;
        self.nodes.push(Node::Text { start, end });
        Ok(())
    }

    fn text_at(&self, node: usize) -> &str {
        match self.nodes.get(node) {
            Some(Node::Text { start, end }) => self.texts.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => "",
        }
    }

    /// Whether two of the object at `object` have one name.
    fn repeats(&self, object: usize, members: usize) -> bool {
        let mut at = object + 1;
        let names = (0..members).map(|_| {
            let name = at;
            at = match self.nodes.get(at + 1) {
                Some(Node::Array { end, .. } | Node::Object { end, .. }) => *end as usize,
                _ => at + 2,
            };
            self.text_at(name)
        });
        if members <= FEW {
            let mut seen = [""; FEW];
            return names.enumerate().any(|(count, name)| {
                let repeated = seen.iter().take(count).any(|before| *before == name);
                if let Some(place) = seen.get_mut(count) {
                    *place = name;
                }
                repeated
            });
        }
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair.first() == pair.last())
    }
}

/// No document is as large: its text is bounded.
fn place<E: serde::de::Error>(at: usize) -> Result<u32, E> {
    u32::try_from(at).map_err(|_| E::custom("too large"))
}

/// Reads one value into a document.
struct Reader<'b> {
    builder: &'b mut Builder,
    depth: u8,
}

impl Reader<'_> {
    fn inner(&mut self) -> Reader<'_> {
        Reader { builder: self.builder, depth: self.depth + 1 }
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<usize, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.builder.fail(JsonError::TooDeep));
        }
        self.builder.nodes.push(Node::Null);
        Ok(self.builder.nodes.len() - 1)
    }

    fn leave<E: serde::de::Error>(self, at: usize, node: impl FnOnce(u32) -> Node) -> Result<(), E> {
        let end = place(self.builder.nodes.len())?;
        if let Some(begun) = self.builder.nodes.get_mut(at) {
            *begun = node(end);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.builder.nodes.push(Node::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.builder.nodes.push(Node::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.builder.nodes.push(Node::Number(value.into()));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.builder.nodes.push(Node::Number(value.into()));
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        self.builder.nodes.push(Node::Number(number));
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.builder.text(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let at = self.enter()?;
        let mut count = 0;
        while items.next_element_seed(self.inner())?.is_some() {
            count += 1;
        }
        self.leave(at, |end| Node::Array { items: count, end })
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let at = self.enter()?;
        let mut count = 0;
        // Names are read as values; JSON has no others than strings.
        while entries.next_key_seed(self.inner())?.is_some() {
            entries.next_value_seed(self.inner())?;
            count += 1;
        }
        if self.builder.repeats(at, count as usize) {
            return Err(self.builder.fail(JsonError::DuplicateMember));
        }
        self.leave(at, |end| Node::Object { members: count, end })
    }
}
