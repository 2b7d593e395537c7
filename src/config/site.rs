//! A place in a file: what a fault points at, and what a relative path is relative to.

use super::path::{Path, Segment, print_item, print_key};
use super::source::{Document, Node};
use std::fmt;
use std::sync::Arc;

/// A key or list item of one document, whether or not the document has it.
#[derive(Clone, Debug)]
pub struct Site {
    document: Arc<Document>,
    path: Path,
}

impl Site {
    /// The document itself.
    #[must_use]
    pub fn root(document: &Arc<Document>) -> Self {
        Self { document: Arc::clone(document), path: Path::root() }
    }

    /// The place `path` of the same document.
    #[must_use]
    pub fn at(&self, path: Path) -> Self {
        Self { document: Arc::clone(&self.document), path }
    }

    /// The key `name` below this place.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        self.at(self.path.key(name))
    }

    /// The item `index` below this place.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.at(self.path.index(index))
    }

    /// The way to this place from the root of its document.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file this place is in.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// True if the file has this key or item.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.walk(|_, _| {}).0
    }

    /// The line where this place begins, or where the nearest thing around it does.
    #[must_use]
    pub fn line(&self) -> usize {
        self.walk(|_, _| {}).1
    }

    /// Goes down the document as far as the path leads, showing each segment and the item's name where it has one.
    /// Answers whether the end was reached, and the last line seen.
    fn walk(&self, mut visit: impl FnMut(&Segment, Option<&str>)) -> (bool, usize) {
        let mut node = Some(self.document.root());
        let mut line = self.document.root().line();
        for segment in self.path.segments() {
            let next = node.and_then(|node| node.step(segment));
            visit(segment, next.and_then(|(_, child)| child.name()));
            if let Some((at, _)) = next {
                line = at;
            }
            node = next.map(|(_, child): (usize, &Node)| child);
        }
        (node.is_some(), line)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.walk(|segment, name| match segment {
            Segment::Key(key) => print_key(&mut out, key),
            Segment::Index(index) => print_item(&mut out, *index, name),
        });
        f.write_str(if out.is_empty() { "(file)" } else { &out })
    }
}
