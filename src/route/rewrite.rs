//! The path an upstream sees, where it is not the one that was matched: a prefix taken off, a prefix put on.
//!
//! Only whole segments change, and both sides are canonical, so the result is canonical by its making: no rewriting can
//! produce a spelling that the matcher would have refused.

use crate::request::{AmbiguousPath, CanonicalPath};

/// The rewriting of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    strip: String,
    add: String,
}

/// Why a text is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// It is no path in canonical form.
    #[error("is no prefix of a path: it {0}")]
    NotCanonical(#[from] AmbiguousPath),
    /// It ends with `/`, or is `/` alone.
    #[error("ends with /")]
    TrailingSlash,
    /// Its canonical form is another one.
    #[error("is not written as it would be matched")]
    OtherSpelling,
}

impl Rewrite {
    /// Takes `strip` off and puts `add` in its place.
    pub fn new(strip: Option<&str>, add: Option<&str>) -> Result<Self, PrefixError> {
        Ok(Self { strip: strip.map_or(Ok(String::new()), prefix)?, add: add.map_or(Ok(String::new()), prefix)? })
    }

    /// The path for the upstream. A path without the prefix stays whole but for what is put on; the configuration sees
    /// to it that no route has such paths.
    #[must_use]
    pub fn apply(&self, path: &CanonicalPath) -> CanonicalPath {
        let whole = path.as_str();
        let rest = whole.strip_prefix(&self.strip).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let joined = format!("{}{}", self.add, rest.unwrap_or(whole));
        let joined = if joined.is_empty() { "/".to_owned() } else { joined };
        CanonicalPath::parse(joined.as_bytes()).unwrap_or_else(|_| path.clone())
    }

    /// True when every path of a route with the pattern `source` begins with what is taken off.
    #[must_use]
    pub fn fits(&self, source: &str) -> bool {
        let rest = source.strip_prefix(&self.strip);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// One segment or more, as they are matched.
pub fn prefix(text: &str) -> Result<String, PrefixError> {
    let canonical = CanonicalPath::parse(text.as_bytes())?;
    if text.ends_with('/') {
        return Err(PrefixError::TrailingSlash);
    }
    if canonical.as_str() == text { Ok(text.to_owned()) } else { Err(PrefixError::OtherSpelling) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(strip: Option<&str>, add: Option<&str>, path: &str) -> String {
        let rewrite = Rewrite::new(strip, add).unwrap();
        rewrite.apply(&CanonicalPath::parse(path.as_bytes()).unwrap()).as_str().to_owned()
    }

    #[test]
    fn a_prefix_goes_and_another_comes() {
        let both = |path| rewritten(Some("/orders"), Some("/v1/shop"), path);
        assert_eq!(both("/orders/17"), "/v1/shop/17");
        assert_eq!(both("/orders"), "/v1/shop");
        assert_eq!(both("/orders/"), "/v1/shop/");
        assert_eq!(rewritten(Some("/orders"), None, "/orders"), "/");
        assert_eq!(rewritten(Some("/a/b"), None, "/a/b/caf%C3%A9/"), "/caf%C3%A9/");
        assert_eq!(rewritten(None, Some("/v1"), "/"), "/v1/");
    }

    #[test]
    fn only_whole_segments_are_taken_off() {
        assert_eq!(rewritten(Some("/orders"), Some("/v1"), "/orders2/17"), "/v1/orders2/17");
        let rewrite = Rewrite::new(Some("/orders"), None).unwrap();
        assert!(rewrite.fits("/orders") && rewrite.fits("/orders/{id}") && rewrite.fits("/orders/{*rest}"));
        assert!(!rewrite.fits("/orders2/{id}") && !rewrite.fits("/{orders}/x") && !rewrite.fits("/"));
    }

    #[test]
    fn what_could_not_be_matched_is_no_prefix() {
        for text in
            ["", "orders", "/", "/orders/", "//orders", "/a/../b", "/%61", "/a;b", "/a b", "/a%2fb", "/caf%c3%a9"]
        {
            assert!(prefix(text).is_err(), "{text}");
        }
    }
}
