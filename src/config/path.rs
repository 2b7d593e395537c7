//! Where something stands in a YAML document, without the document: keys and list positions from the root down.

use std::fmt::Write as _;

/// The longest key shown in a fault; a longer one is cut, so that one line of a log stays one line.
const MAX_SHOWN: usize = 64;

/// What is shown in place of a key that may be a piece of a secret.
pub const UNSHOWN: &str = "(not shown)";

/// One step down from a mapping or a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Into the value of a mapping's key.
    Key(String),
    /// Into the item of a list, counted from 0.
    Index(usize),
}

/// The way from the root of a document to one of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(Vec<Segment>);

impl Path {
    /// The way that leads nowhere: the document itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// This way, and one step further into `name`.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        self.step(Segment::Key(name.to_owned()))
    }

    /// This way, and one step further into item `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Segment::Index(index))
    }

    /// This way, and one `segment` further.
    #[must_use]
    pub fn step(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// The steps, outermost first.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// True if this way leads through `ancestor` or ends there.
    #[must_use]
    pub fn is_within(&self, ancestor: &Self) -> bool {
        self.0.starts_with(&ancestor.0)
    }
}

impl FromIterator<Segment> for Path {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self(segments.into_iter().collect())
    }
}

/// Appends `.key` to the printed path `out`.
pub fn print_key(out: &mut String, key: &str) {
    if !out.is_empty() {
        out.push('.');
    }
    if key == UNSHOWN || (!key.is_empty() && key.len() <= MAX_SHOWN && key.bytes().all(is_plain)) {
        out.push_str(key);
    } else {
        // An odd key may hold line breaks or terminal escapes: what is printed must stay one harmless line.
        let cut: String = key.chars().take(MAX_SHOWN).collect();
        let _ = write!(out, "{cut:?}");
    }
}

/// Appends `[label]` to the printed path `out`: the item's name where it has a printable one, else its position.
pub fn print_item(out: &mut String, index: usize, name: Option<&str>) {
    let name = name.filter(|name| !name.is_empty() && name.len() <= MAX_SHOWN && name.bytes().all(is_plain));
    let _ = match name {
        Some(name) => write!(out, "[{name}]"),
        None => write!(out, "[{index}]"),
    };
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'<')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_key_is_shown_escaped() {
        let mut out = String::from("routes");
        print_item(&mut out, 0, Some("orders"));
        print_key(&mut out, "a\nb\u{1b}[31m");
        assert_eq!(out, "routes[orders].\"a\\nb\\u{1b}[31m\"");
    }

    #[test]
    fn an_item_without_a_printable_name_is_counted() {
        let mut out = String::new();
        print_item(&mut out, 3, Some("a]b"));
        print_item(&mut out, 4, None);
        assert_eq!(out, "[3][4]");
    }

    #[test]
    fn a_path_lies_within_its_ancestors_and_itself() {
        let parent = Path::root().key("routes").index(1);
        assert!(parent.key("access").is_within(&parent));
        assert!(parent.is_within(&parent));
        assert!(!parent.is_within(&parent.key("access")));
    }
}
