//! A place in a file: what a fault points at, and what a relative path is relative to.

use super::path::{Path, Segment, UNSHOWN, print_item, print_key};
use super::source::{Document, Node};
use std::fmt;
use std::sync::Arc;

/// A key or list item of one document, whether or not the document has it.
#[derive(Clone, Debug)]
pub struct Site {
    document: Arc<Document>,
    path: Path,
    known: bool,
}

impl Site {
    /// The document itself.
    #[must_use]
    pub fn root(document: &Arc<Document>) -> Self {
        Self { document: Arc::clone(document), path: Path::root(), known: false }
    }

    /// The place `path` of the same document.
    #[must_use]
    pub fn at(&self, path: Path) -> Self {
        Self { document: Arc::clone(&self.document), path, known: false }
    }

    /// This place, all of whose keys are words known to the caller: none of them is a piece of a secret.
    #[must_use]
    pub fn known(self) -> Self {
        Self { known: true, ..self }
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
        self.walk(|_, _, _| {}).0
    }

    /// The line where this place begins, or where the nearest thing around it does.
    #[must_use]
    pub fn line(&self) -> usize {
        self.walk(|_, _, _| {}).1
    }

    /// Goes down the document as far as the path leads, showing each segment with what holds it and what it leads to.
    /// Answers whether the end was reached, and the last line seen.
    fn walk(&self, mut visit: impl FnMut(&Segment, Option<&Node>, Option<&Node>)) -> (bool, usize) {
        let mut node = Some(self.document.root());
        let mut line = self.document.root().line();
        for segment in self.path.segments() {
            let next = node.and_then(|node| node.step(segment));
            visit(segment, node, next.map(|(_, child)| child));
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
        self.walk(|segment, holder, value| match segment {
            Segment::Key(key) => {
                let secret = !self.known && holder.is_some_and(|node| node.is_secret(segment));
                print_key(&mut out, if secret { UNSHOWN } else { key });
            }
            Segment::Index(index) => print_item(&mut out, *index, value.and_then(Node::name)),
        });
        f.write_str(if out.is_empty() { "(file)" } else { &out })
    }
}
