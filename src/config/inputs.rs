//! What a configuration was read from: every file, as it was when it was read, and every directory listed.
//!
//! Whoever reloads on change compares with this, and not with the state of the disk after the reading: a file that
//! changes while it is read is then a change like any other, and none is missed.

use super::files;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The SHA-256 of a file's content. Nothing but its change is of interest.
pub(super) type Digest = [u8; 32];

/// A file as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Input {
    /// How much of it is read at most.
    pub(super) limit: usize,
    /// What stood in it; `None` if it could not be read, or was larger.
    pub(super) content: Option<Digest>,
}

/// A pattern of file names in one directory, and the files it stood for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) directory: PathBuf,
    pub(super) pattern: String,
    pub(super) found: Vec<PathBuf>,
}

/// Everything a configuration was read from, sound or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    pub(super) files: BTreeMap<PathBuf, Input>,
    pub(super) listings: Vec<Listing>,
}

impl Inputs {
    /// The content of `path`, noted; otherwise why there is none, as [`files::read_bounded`] says it.
    pub(super) fn read(&mut self, path: &Path, limit: usize) -> Result<Vec<u8>, String> {
        let read = files::read_bounded(path, limit);
        let content = read.as_deref().ok().map(openssl::sha::sha256);
        // Read twice and different: the older reading is kept, from which the file then differs.
        self.files.entry(path.to_path_buf()).or_insert(Input { limit, content });
        read
    }

    /// Notes what a pattern stood for.
    pub(super) fn listed(&mut self, directory: &Path, pattern: &str, found: &[PathBuf]) {
        let listing =
            Listing { directory: directory.to_path_buf(), pattern: pattern.to_owned(), found: found.to_vec() };
        self.listings.push(listing);
    }

    /// The files, in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }
}
