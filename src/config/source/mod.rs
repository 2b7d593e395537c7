//! YAML text in, a tree of values with their lines out.
//!
//! YAML allows far more than a configuration needs, and each extra is a way to make a reader see something other than
//! the gateway does: a duplicate key, an anchor, a merge, a tag, a second document. One pass over the parser's events
//! refuses them all and remembers on which line each key stands. There is one structure, read once: no second parser
//! that could disagree with the first.

mod events;
mod scalar;

pub use scalar::resolve as resolve_scalar;

use super::fault::Faults;
use super::path::Segment;
use super::site::Site;
use serde_json::Value;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

/// The largest configuration file that is read: 1 MiB holds some ten thousand routes.
pub const MAX_BYTES: usize = 1 << 20;

/// How deep mappings and lists may lie in each other; the deepest key of the contract needs 6.
pub const MAX_DEPTH: usize = 24;

/// One value of a document, and the line it begins on.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    line: usize,
    kind: Kind,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// A string, number, boolean or nothing.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order written.
    Map(Vec<Entry>),
}

/// A key of a mapping with its own line and its value, and whether it may be a piece of a secret.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    key: String,
    line: usize,
    secret: bool,
    node: Node,
}

impl Node {
    /// The line this value begins on, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// One step down: the line of the key or item, and its value.
    #[must_use]
    pub fn step(&self, segment: &Segment) -> Option<(usize, &Self)> {
        match (&self.kind, segment) {
            (Kind::Map(entries), Segment::Key(key)) => {
                entries.iter().find(|entry| entry.key == *key).map(|entry| (entry.line, &entry.node))
            }
            (Kind::List(items), Segment::Index(index)) => items.get(*index).map(|item| (item.line, item)),
            _ => None,
        }
    }

    /// True if `segment` leads into a key that may be a piece of a secret, and must not be shown.
    #[must_use]
    pub fn is_secret(&self, segment: &Segment) -> bool {
        match (&self.kind, segment) {
            (Kind::Map(entries), Segment::Key(key)) => entries.iter().any(|entry| entry.secret && entry.key == *key),
            _ => false,
        }
    }

    /// The text under the key `name`, if this is a mapping that has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|entry| entry.key == "name").and_then(|entry| match &entry.node.kind {
            Kind::Scalar(Value::String(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The value without its lines. Recursion is bounded by [`MAX_DEPTH`].
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect(),
        }
    }
}

/// One configuration file as read: its values, their lines, and where the file lies.
#[derive(Clone, Debug)]
pub struct Document {
    name: String,
    directory: PathBuf,
    order: usize,
    root: Node,
    complete: bool,
}

impl Document {
    /// How the file is named in faults.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory relative paths in this file start from.
    #[must_use]
    pub fn directory(&self) -> &FilePath {
        &self.directory
    }

    /// The file's place among all files of a configuration; 0 is gateway.yaml.
    #[must_use]
    pub fn order(&self) -> usize {
        self.order
    }

    /// The document's outermost value.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// False if reading stopped half-way, so that what is missing may have been written after all.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

/// Reads the bytes of the file `path`, which is the `order`-th of its configuration.
///
/// Answers as much of the document as could be read; what is wrong with it goes to `faults`.
pub fn read(path: &FilePath, order: usize, bytes: &[u8], faults: &mut Faults) -> Arc<Document> {
    let (tree, notes) = events::parse(bytes);
    let document = Arc::new(Document {
        name: path.display().to_string(),
        directory: path.parent().unwrap_or_else(|| FilePath::new("")).to_path_buf(),
        order,
        root: tree.root,
        complete: tree.complete,
    });
    let root = Site::root(&document);
    for note in notes {
        faults.push_at_line(&root.at(note.path), note.line, note.problem, note.remedy);
    }
    document
}

/// A document without content, for a file that could not be read at all.
#[must_use]
pub fn unreadable(path: &FilePath, order: usize) -> Arc<Document> {
    let root = Node { line: 1, kind: Kind::Map(Vec::new()) };
    let directory = path.parent().unwrap_or_else(|| FilePath::new("")).to_path_buf();
    Arc::new(Document { name: path.display().to_string(), directory, order, root, complete: false })
}
