//! What is legal and weak: a warning stops nothing, and names its place as a fault does.

use super::site::Site;
use std::fmt;

/// One warning of `tollgate check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    order: usize,
    file: String,
    line: usize,
    path: String,
    weakness: String,
}

impl Warning {
    /// The warning that what stands at `site` is weak.
    pub fn new(site: &Site, weakness: impl Into<String>) -> Self {
        Self {
            order: site.document().order(),
            file: site.document().name().to_owned(),
            line: site.line(),
            path: site.to_string(),
            weakness: weakness.into(),
        }
    }

    /// What orders warnings as a reader goes through the files.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.order, self.line)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.path, self.weakness)
    }
}
