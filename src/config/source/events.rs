//! The pass over the parser's events that builds the tree and refuses what a configuration must not use.

use super::scalar;
use super::{Entry, Kind, MAX_BYTES, MAX_DEPTH, Node};
use crate::config::path::{Path, Segment, UNSHOWN};
use crate::config::words;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::Value;
use std::collections::HashSet;

/// A fault found while reading: there is no document yet that it could point into.
pub struct Note {
    pub path: Path,
    pub line: usize,
    pub problem: String,
    pub remedy: String,
}

/// What was read, and whether that is all of it.
pub struct Tree {
    pub root: Node,
    pub complete: bool,
}

/// Reads `bytes` as one strict YAML document.
pub fn parse(bytes: &[u8]) -> (Tree, Vec<Note>) {
    let mut builder = Builder::default();
    match text_of(bytes) {
        Ok(text) => builder.run(text),
        Err((line, problem, remedy)) => builder.stop(line, problem, remedy),
    }
    builder.finish()
}

/// The file as text, without a byte order mark, or why it is none.
fn text_of(bytes: &[u8]) -> Result<&str, (usize, &'static str, &'static str)> {
    if bytes.len() > MAX_BYTES {
        return Err((1, "is larger than 1 MiB", "split it into files named by `include`"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        (1 + before.matches('\n').count(), "is not UTF-8 here", "save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A mapping or list whose end has not come yet.
enum Open {
    List { line: usize, items: Vec<Node> },
    Map { line: usize, entries: Vec<Entry>, seen: HashSet<String>, key: Option<Key> },
}

/// A key whose value has not come yet; a refused one takes its value with it.
struct Key {
    text: String,
    line: usize,
    keep: bool,
    doubt: Doubt,
}

/// What makes a key look like a piece of a secret.
#[derive(Clone, Copy, Default)]
struct Doubt {
    /// It has what no key has.
    odd: bool,
    /// It is no word that is known where it stands.
    unknown: bool,
    /// It stands behind something else on its line, as only in braces.
    behind: bool,
}

impl Doubt {
    /// True if the key, whose value has come, must not be shown. The first one in its braces stands behind no comma.
    fn remains(self, first: bool, value: &Node) -> bool {
        let empty = value.kind == Kind::Scalar(Value::Null);
        self.odd || (self.unknown && (empty || (self.behind && !first)))
    }
}

impl Key {
    /// The key as a note may show it, which comes before its value.
    fn shown(&self) -> &str {
        if self.doubt.odd || (self.doubt.unknown && self.doubt.behind) { UNSHOWN } else { &self.text }
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    notes: Vec<Note>,
    documents: usize,
    stopped: bool,
    /// The line on which the last key or value ended.
    text_line: usize,
}

impl Builder {
    fn run(&mut self, text: &str) {
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            match next {
                Ok((event, span)) => {
                    let last_line = last_line(&event, &span);
                    self.take(event, span.start.line().max(1));
                    self.text_line = last_line.unwrap_or(self.text_line);
                }
                Err(error) => self.stop(
                    error.marker().line().max(1),
                    &format!("is not valid YAML ({})", rule_of(&error)),
                    "check indentation, quotes and brackets from here on",
                ),
            }
            if self.stopped {
                return;
            }
        }
    }

    fn take(&mut self, event: Event<'_>, line: usize) {
        match event {
            Event::DocumentStart(_) => self.document(line),
            Event::Alias(_) => self.alias(line),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(line, anchor, tag.is_some());
                self.scalar(&text, style, line);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(line, anchor, tag.is_some());
                self.enter(line, Open::List { line, items: Vec::new() });
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(line, anchor, tag.is_some());
                self.enter(line, Open::Map { line, entries: Vec::new(), seen: HashSet::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }

    fn document(&mut self, line: usize) {
        self.documents += 1;
        if self.documents > 1 {
            self.stop(line, "begins a second YAML document", "keep one document a file, without `---` inside");
        }
    }

    fn refuse_extras(&mut self, line: usize, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.note(line, "carries a YAML anchor (`&`)", "write the value out where it is used");
        }
        if tagged {
            self.note(line, "carries a YAML tag (`!`)", "write the plain value");
        }
    }

    fn alias(&mut self, line: usize) {
        self.note(line, "is a YAML alias (`*`)", "write the value out where it is used");
        if self.awaits_key() {
            self.refuse_key(line);
        } else {
            self.add(Node { line, kind: Kind::Scalar(Value::Null) });
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, line: usize) {
        if self.awaits_key() {
            return self.key(text, style, line);
        }
        let value = if style == ScalarStyle::Plain { scalar::resolve(text) } else { Value::String(text.to_owned()) };
        self.add(Node { line, kind: Kind::Scalar(value) });
    }

    fn key(&mut self, text: &str, style: ScalarStyle, line: usize) {
        if text == "<<" {
            self.note(line, "is a YAML merge key (`<<`)", "write the keys out, or use `defaults`");
            return self.refuse_key(line);
        }
        let folded = if self.in_headers() { fold_header(text) } else { text.to_owned() };
        let fresh = match self.open.last_mut() {
            Some(Open::Map { seen, .. }) => seen.insert(folded),
            _ => true,
        };
        let doubt = self.doubt(text, style, line);
        if let Some(Open::Map { key, .. }) = self.open.last_mut() {
            *key = Some(Key { text: text.to_owned(), line, keep: fresh, doubt });
        }
        if !fresh {
            self.note(line, "is written twice in one mapping", "keep one of the two");
        }
    }

    /// True inside `identity.headers`, where two spellings of one header name are the same key.
    fn in_headers(&self) -> bool {
        let mut keys = self.keys_around();
        keys.next() == Some("headers") && keys.next() == Some("identity")
    }

    /// The keys that lead to the mapping that is open, innermost first; a list has an empty one.
    fn keys_around(&self) -> impl Iterator<Item = &str> {
        self.open.iter().rev().skip(1).map(|open| match open {
            Open::Map { key: Some(key), .. } => key.text.as_str(),
            _ => "",
        })
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map { key: None, .. }))
    }

    /// What is no key at all takes its value with it.
    fn refuse_key(&mut self, line: usize) {
        if let Some(Open::Map { key, .. }) = self.open.last_mut() {
            *key = Some(Key { text: String::new(), line, keep: false, doubt: Doubt::default() });
        }
    }

    fn doubt(&self, text: &str, style: ScalarStyle, line: usize) -> Doubt {
        if self.keys_around().next().is_some_and(words::names_freely) {
            return Doubt::default();
        }
        // What stands in quotes is no rest of something that was not quoted.
        let behind = line == self.text_line && style == ScalarStyle::Plain;
        Doubt { odd: words::is_odd(text), unknown: !words::is_key(text), behind }
    }

    fn enter(&mut self, line: usize, open: Open) {
        if self.open.len() >= MAX_DEPTH {
            return self.stop(line, "lies too deep", "no key of gateway.yaml needs this many levels");
        }
        self.open.push(open);
    }

    fn leave(&mut self) {
        let node = match self.open.pop() {
            Some(Open::List { line, items }) => Node { line, kind: Kind::List(items) },
            Some(Open::Map { line, entries, .. }) => Node { line, kind: Kind::Map(entries) },
            None => return,
        };
        if self.awaits_key() {
            self.note(node.line, "has a mapping or a list as a key", "write a plain word as the key");
            self.refuse_key(node.line);
        } else {
            self.add(node);
        }
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, seen, .. }) => {
                if let Some(Key { text, line, keep: true, doubt }) = key.take() {
                    let secret = doubt.remains(seen.len() == 1, &node);
                    entries.push(Entry { key: text, line, secret, node });
                }
            }
        }
    }

    fn note(&mut self, line: usize, problem: &str, remedy: &str) {
        let path = self.path();
        self.notes.push(Note { path, line, problem: problem.to_owned(), remedy: remedy.to_owned() });
    }

    fn stop(&mut self, line: usize, problem: &str, remedy: &str) {
        self.note(line, problem, remedy);
        self.stopped = true;
    }

    /// Where the next value would stand.
    fn path(&self) -> Path {
        self.open
            .iter()
            .filter_map(|open| match open {
                Open::List { items, .. } => Some(Segment::Index(items.len())),
                Open::Map { key, .. } => key.as_ref().map(|key| Segment::Key(key.shown().to_owned())),
            })
            .collect()
    }

    fn finish(mut self) -> (Tree, Vec<Note>) {
        // After a stop the open mappings and lists are closed where they are: what stands in them can still be judged.
        let notes = std::mem::take(&mut self.notes);
        while !self.open.is_empty() {
            self.leave();
        }
        let complete = !self.stopped;
        let root = self.root.unwrap_or(Node { line: 1, kind: Kind::Scalar(Value::Null) });
        (Tree { root, complete }, notes)
    }
}

/// The rule of YAML that was broken, in the parser's words. They name no text but one character, which is left out: it may
/// be a secret's first.
fn rule_of(error: &ScanError) -> String {
    let rule = error.info().split('`').next().unwrap_or_default();
    rule.trim_end_matches([':', ' ']).replace(['\n', '\r'], " ")
}

/// The line on which a key or value ends. What is absent ends nowhere, and a block ends where it began, for its end lies
/// on the line of the next key.
fn last_line(event: &Event<'_>, span: &Span) -> Option<usize> {
    match event {
        Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => Some(span.start.line()),
        Event::Scalar(..) if span.is_empty() => None,
        Event::Scalar(..) => Some(span.end.line()),
        _ => None,
    }
}

/// A header name as the identity firewall compares it: in lower case, with every non-alphanumeric byte as `-`.
fn fold_header(name: &str) -> String {
    name.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() as char } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> (Value, Vec<String>) {
        let (tree, notes) = parse(text.as_bytes());
        let notes = notes.iter().map(|note| format!("{} {}", note.line, note.problem)).collect();
        (tree.root.to_json(), notes)
    }

    #[test]
    fn values_come_out_as_written() {
        let (value, notes) = read("a: {b: [1, x, \"2\"]}\nc:\n  - d: true\n");
        assert_eq!(value, json!({"a": {"b": [1, "x", "2"]}, "c": [{"d": true}]}));
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn each_extra_of_yaml_is_refused_and_reading_goes_on() {
        let text = "a: &x 1\nb: *x\nc: !!str 2\nd: {<<: {e: 1}}\na: 3\n? [k]\n: v\nlast: 1\n";
        let (value, notes) = read(text);
        assert_eq!(value, json!({"a": 1, "b": null, "c": 2, "d": {}, "last": 1}));
        let lines: Vec<&str> = notes.iter().filter_map(|note| note.split(' ').next()).collect();
        assert_eq!(lines, ["1", "2", "3", "4", "5", "6"], "{notes:?}");
    }

    #[test]
    fn header_names_that_differ_only_in_spelling_are_duplicates() {
        let (_, notes) = read("identity:\n  headers:\n    X-User: 1\n    x_user: 2\n    X-Other: 3\n");
        assert_eq!(notes, ["4 is written twice in one mapping"]);
    }

    #[test]
    fn a_second_document_ends_the_reading() {
        let (_, notes) = read("a: 1\n---\nb: 2\n");
        assert_eq!(notes, ["2 begins a second YAML document"]);
    }

    #[test]
    fn depth_is_bounded() {
        let (_, notes) = read(&"[".repeat(100_000));
        assert_eq!(notes.len(), 1, "{notes:?}");
    }

    #[test]
    fn a_file_that_breaks_off_keeps_what_came_before() {
        let (tree, notes) = parse(b"a: 1\nb: [1, 2\nc: {");
        assert!(!tree.complete);
        assert_eq!(notes.len(), 1);
        assert_eq!(tree.root.to_json()["a"], json!(1));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_named_by_line() {
        let (_, notes) = parse(b"a: 1\nb: \xff\n");
        assert_eq!(notes.iter().map(|note| note.line).collect::<Vec<_>>(), [2]);
    }
}
