//! A JSON object in one piece: all its texts in one buffer, all its values in one list.
//!
//! A tree of tables and strings takes several times the memory of the text it was read from, and an allocation for each
//! part. Verified claims are kept by the hundred thousand and read on every request; here they take about what their
//! text takes. Reading is as strict as in [`super::json`].

mod reader;

use super::json::JsonError;
use reader::Builder;
use serde::ser::{Serialize, Serializer};
use serde_json::Number;
use std::fmt;

/// A JSON object.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Document {
    /// All names and strings, unescaped, one behind the other.
    texts: Box<str>,
    /// Every value, each before what it contains; a member's name stands before its value. The first is the object.
    nodes: Box<[Node]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text {
        start: u32,
        end: u32,
    },
    /// So many items, up to the node at `end`.
    Array {
        items: u32,
        end: u32,
    },
    /// So many names and values, up to the node at `end`.
    Object {
        members: u32,
        end: u32,
    },
}

/// A value in a document.
#[derive(Clone, Copy)]
pub enum Json<'d> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(&'d Number),
    /// A string.
    Text(&'d str),
    /// A list.
    Array(Items<'d>),
    /// An object.
    Object(Members<'d>),
}

/// The items of a list, in their order.
#[derive(Clone, Copy)]
pub struct Items<'d>(Walk<'d>);

/// The members of an object, in their order.
#[derive(Clone, Copy)]
pub struct Members<'d>(Walk<'d>);

#[derive(Clone, Copy)]
struct Walk<'d> {
    document: &'d Document,
    next: usize,
    left: usize,
}

impl Document {
    /// Reads one JSON object.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        // Places are counted in 32 bits.
        if u32::try_from(bytes.len()).is_err() {
            return Err(JsonError::Malformed);
        }
        let (texts, nodes) = Builder::read(bytes)?;
        if !matches!(nodes.first(), Some(Node::Object { .. })) {
            return Err(JsonError::NotAnObject);
        }
        Ok(Self { texts: texts.into_boxed_str(), nodes: nodes.into_boxed_slice() })
    }

    /// The members of the object.
    pub(super) fn members(&self) -> Members<'_> {
        match self.at(0) {
            Json::Object(members) => members,
            _ => Members(Walk { document: self, next: 0, left: 0 }),
        }
    }

    /// How much memory it holds beside its own fields, in bytes.
    pub(super) fn footprint(&self) -> usize {
        block(self.texts.len()) + block(size_of_val(&*self.nodes))
    }

    fn at(&self, index: usize) -> Json<'_> {
        let walk = |left: u32| Walk { document: self, next: index + 1, left: left as usize };
        match self.nodes.get(index) {
            None | Some(Node::Null) => Json::Null,
            Some(Node::Bool(truth)) => Json::Bool(*truth),
            Some(Node::Number(number)) => Json::Number(number),
            Some(Node::Text { start, end }) => Json::Text(self.text(*start, *end)),
            Some(Node::Array { items, .. }) => Json::Array(Items(walk(*items))),
            Some(Node::Object { members, .. }) => Json::Object(Members(walk(*members))),
        }
    }

    fn text(&self, start: u32, end: u32) -> &str {
        self.texts.get(start as usize..end as usize).unwrap_or_default()
    }

    /// The node after the one at `index` and all it contains.
    fn after(&self, index: usize) -> usize {
        match self.nodes.get(index) {
            Some(Node::Array { end, .. } | Node::Object { end, .. }) => *end as usize,
            _ => index + 1,
        }
    }
}

/// What an allocation of `bytes` costs: allocators round up.
fn block(bytes: usize) -> usize {
    bytes + bytes / 8 + 16
}

impl<'d> Json<'d> {
    /// The string, if it is one.
    #[must_use]
    pub fn as_str(self) -> Option<&'d str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn as_array(self) -> Option<Items<'d>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if it is an object.
    #[must_use]
    pub fn as_object(self) -> Option<Members<'d>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value at a JSON pointer (RFC 6901) from here; the empty one points here.
    #[must_use]
    pub fn pointer(self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |value, token| match value {
            Self::Object(members) => members.get(&unescaped(token)),
            Self::Array(mut items) => items.nth(index(token)?),
            _ => None,
        })
    }
}

/// A name out of a pointer (RFC 6901 §4).
pub(super) fn unescaped(token: &str) -> std::borrow::Cow<'_, str> {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { token.into() }
}

/// An index out of a pointer: digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with(['0', '+']);
    canonical.then(|| token.parse().ok())?
}

impl<'d> Members<'d> {
    /// The member of this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Json<'d>> {
        let Walk { document, mut next, left } = self.0;
        for _ in 0..left {
            match document.nodes.get(next)? {
                Node::Text { start, end } if document.text(*start, *end) == name => return Some(document.at(next + 1)),
                _ => next = document.after(next + 1),
            }
        }
        None
    }
}

#[expect(clippy::copy_iterator, reason = "a view: `Json` holds it, and is copied as a reference is")]
impl<'d> Iterator for Members<'d> {
    type Item = (&'d str, Json<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.step()?.as_str()?;
        // The step before counted the member; its value is the second half of it.
        self.0.left += 1;
        Some((name, self.0.step()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left, Some(self.0.left))
    }
}

impl ExactSizeIterator for Members<'_> {}

#[expect(clippy::copy_iterator, reason = "as above")]
impl<'d> Iterator for Items<'d> {
    type Item = Json<'d>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.step()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left, Some(self.0.left))
    }
}

impl ExactSizeIterator for Items<'_> {}

impl<'d> Walk<'d> {
    fn step(&mut self) -> Option<Json<'d>> {
        self.left = self.left.checked_sub(1)?;
        let value = self.document.at(self.next);
        self.next = self.document.after(self.next);
        Some(value)
    }
}

impl PartialEq for Json<'_> {
    /// As JSON: the order of members says nothing.
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Array(one), Self::Array(other)) => one.len() == other.len() && one.eq(other),
            (Self::Object(mut one), Self::Object(other)) => {
                one.len() == other.len() && one.all(|(name, value)| other.get(name) == Some(value))
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Json<'_> {
    /// Shows what kind of value it is: what it says may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::Text(_) => "text",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        })
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Null => to.serialize_unit(),
            Self::Bool(truth) => to.serialize_bool(truth),
            Self::Number(number) => number.serialize(to),
            Self::Text(text) => to.serialize_str(text),
            Self::Array(items) => to.collect_seq(items),
            Self::Object(members) => to.collect_map(members),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::MAX_DEPTH;
    use super::*;
    use serde_json::Value;

    fn parse(text: &str) -> Result<Document, JsonError> {
        Document::parse(text.as_bytes())
    }

    fn written(document: &Document) -> String {
        serde_json::to_string(&Json::Object(document.members())).unwrap()
    }

    #[test]
    fn a_value_takes_sixteen_bytes() {
        assert_eq!(size_of::<Node>(), 16);
    }

    #[test]
    fn what_is_read_is_what_another_reader_reads() {
        for text in [
            "{}",
            r#"{"a":[1,-2,1.5,true,null,"x"],"b":18446744073709551615,"c":{"d":{"e":[]},"f":""},"g":"z"}"#,
            r#"{"\u0061\n":"\ud834\udd1e","é":"\"","":{"":[[],{},[{"x":[1]}]]}}"#,
            r#"{"n":-0.0,"m":1e300,"k":9223372036854775807,"j":-9223372036854775808,"i":1e3}"#,
        ] {
            let (document, other) = (parse(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
            assert_eq!(written(&document), other.to_string(), "{text}");
            assert_eq!(document.members().len(), other.as_object().unwrap().len());
        }
    }

    #[test]
    fn duplicate_members_refuse_at_any_depth_and_among_many() {
        let many = (0..100).map(|at| format!(r#""m{at}":[{at}]"#)).collect::<Vec<_>>().join(",");
        assert!(parse(&format!("{{{many}}}")).is_ok());
        let among_many = format!(r#"{{{many},"m17":0}}"#);
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"a":2}]}"#, r#"{"a":1,"b":[{}],"\u0061":2}"#, &among_many] {
            assert_eq!(parse(text).err(), Some(JsonError::DuplicateMember), "{text}");
        }
        assert!(parse(r#"{"a":{"a":1},"b":{"a":2}}"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded_and_the_top_is_an_object() {
        let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(parse(&nested(usize::from(MAX_DEPTH) - 1)).is_ok());
        assert_eq!(parse(&nested(usize::from(MAX_DEPTH))).err(), Some(JsonError::TooDeep));
        for text in ["[]", "null", "1", "\"x\"", "true"] {
            assert_eq!(parse(text).err(), Some(JsonError::NotAnObject), "{text}");
        }
        for text in ["", "{", "{} {}", "{\"a\":NaN}", "{\"a\":1e999}", "\u{feff}{}", "{'a':1}", "{\"a\":[1,]}", "{1:2}"]
        {
            assert_eq!(parse(text).err(), Some(JsonError::Malformed), "{text}");
        }
    }

    #[test]
    fn pointers_point_as_rfc_6901_says() {
        let document = parse(r#"{"a":{"b/c":[10,{"~":1}],"":3},"d":[[1,2],[3]]}"#).unwrap();
        let value: Value = serde_json::from_str(&written(&document)).unwrap();
        let root = Json::Object(document.members());
        for pointer in [
            "",
            "/a/b~1c/0",
            "/a/b~1c/1/~0",
            "/a/",
            "/d/1/0",
            "/d/01",
            "/d/+1",
            "/d/-",
            "/d/2",
            "/a/x",
            "a",
            "/d/0/1/0",
        ] {
            let (ours, theirs) = (root.pointer(pointer), value.pointer(pointer));
            assert_eq!(ours.map(|it| serde_json::to_value(it).unwrap()).as_ref(), theirs, "{pointer}");
        }
    }

    #[test]
    fn equal_is_what_says_the_same() {
        let (one, other) = (parse(r#"{"a":1,"b":[{}]}"#).unwrap(), parse(r#"{"b":[{}],"a":1}"#).unwrap());
        assert!(Json::Object(one.members()) == Json::Object(other.members()));
        let different = parse(r#"{"a":1,"b":[[]]}"#).unwrap();
        assert!(Json::Object(one.members()) != Json::Object(different.members()));
    }
}
