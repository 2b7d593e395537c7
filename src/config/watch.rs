//! Is the configuration on disk still the one that was read? Asked again and again, it notices every change.
//!
//! The files are looked at, rather than watched by the kernel: a Kubernetes volume changes by the swap of a symbolic
//! link two directories up, an editor renames, a network file system tells nobody. All of these look the same to one
//! who asks the path itself, follows its links, and compares inode, times, size and, where those differ, content.

use super::files;
use super::include;
use super::inputs::{Digest, Input, Inputs, Listing};
use crate::clock::{Clock as _, SystemClock, UnixTime};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// A file that changed this recently may change again without its time showing it: clocks of file systems are coarse.
const COARSE: Duration = Duration::from_secs(2);
/// After so many looks in a row that each saw something else, the change is taken as it is.
const RESTLESS: u32 = 20;

/// What a look at the files saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// They are as they were read.
    Same,
    /// They changed since the last look; somebody may still be writing.
    Moving,
    /// They changed, and have been quiet since the last look.
    Changed,
}

/// The files of one configuration, looked at from time to time.
#[derive(Debug)]
pub struct Watch {
    files: Vec<Watched>,
    listings: Vec<Listing>,
    /// What the last look saw, if it was not what had been read.
    pending: Option<View>,
    restless: u32,
}

/// Everything a look sees.
type View = (Vec<Option<Digest>>, Vec<Vec<PathBuf>>);

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    limit: usize,
    read: Option<Digest>,
    /// What it held when it was last opened, and how it looked then from outside.
    known: Option<(Stamp, Option<Digest>)>,
}

/// How a file looks from outside, its links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// A watch over `inputs`, whose contents are those that count as unchanged.
    #[must_use]
    pub fn new(inputs: Inputs) -> Self {
        let watched =
            |(path, input): (PathBuf, Input)| Watched { path, limit: input.limit, read: input.content, known: None };
        let files = inputs.files.into_iter().map(watched).collect();
        Self { files, listings: inputs.listings, pending: None, restless: 0 }
    }

    /// Looks once. It reads the files that look different from outside, so it may block.
    pub fn look(&mut self) -> Look {
        let seen: View =
            (self.files.iter_mut().map(Watched::look).collect(), self.listings.iter().map(matching).collect());
        let same = self.files.iter().map(|file| file.read).eq(seen.0.iter().copied())
            && self.listings.iter().map(|listing| &listing.found).eq(&seen.1);
        if same {
            (self.pending, self.restless) = (None, 0);
            return Look::Same;
        }
        let quiet = self.pending.as_ref() == Some(&seen);
        self.restless += 1;
        self.pending = Some(seen);
        if quiet || self.restless > RESTLESS { Look::Changed } else { Look::Moving }
    }
}

/// What the pattern stands for now. A directory that can't be read holds nothing.
fn matching(listing: &Listing) -> Vec<PathBuf> {
    include::matching(&listing.directory, &listing.pattern).unwrap_or_default()
}

impl Watched {
    fn look(&mut self) -> Option<Digest> {
        let Ok(metadata) = std::fs::metadata(&self.path) else {
            self.known = None;
            return None;
        };
        if !metadata.is_file() && !metadata.is_dir() {
            // A pipe gives its content once; whoever passes one will not change it.
            return self.read;
        }
        let stamp = Stamp::of(&metadata);
        if let Some((known, content)) = &self.known
            && *known == stamp
        {
            return *content;
        }
        let content = files::read_bounded(&self.path, self.limit).ok().map(|bytes| openssl::sha::sha256(&bytes));
        self.known = stamp.has_settled().then_some((stamp, content));
        content
    }
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// True when a further change would show in the times.
    fn has_settled(&self) -> bool {
        let newest = self.changed.0.max(self.modified.0);
        SystemClock.now().since(UnixTime::from_seconds(newest)) > COARSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn watch(path: &Path) -> Watch {
        let mut inputs = Inputs::default();
        let _ = inputs.read(path, 1024);
        Watch::new(inputs)
    }

    #[test]
    fn a_change_counts_once_it_is_quiet() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "1").unwrap();
        let mut watch = watch(&path);
        assert_eq!(watch.look(), Look::Same);
        fs::write(&path, "2").unwrap();
        assert_eq!(watch.look(), Look::Moving);
        fs::write(&path, "3").unwrap();
        assert_eq!(watch.look(), Look::Moving);
        assert_eq!(watch.look(), Look::Changed);
        fs::write(&path, "1").unwrap();
        assert_eq!(watch.look(), Look::Same, "what was undone is no change");
    }

    #[test]
    fn a_file_that_never_rests_is_taken_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "").unwrap();
        let mut watch = watch(&path);
        let looks = (0..=RESTLESS).map(|turn| {
            fs::write(&path, turn.to_string()).unwrap();
            watch.look()
        });
        assert_eq!(looks.last(), Some(Look::Changed));
    }

    #[test]
    fn a_file_that_comes_and_goes_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut watch = watch(&path);
        assert_eq!(watch.look(), Look::Same);
        fs::write(&path, "").unwrap();
        assert_eq!([watch.look(), watch.look()], [Look::Moving, Look::Changed]);
    }

    #[test]
    fn the_swap_of_a_link_above_the_file_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (version, content) in [("..1", "old"), ("..2", "new")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("key"), content).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/key", at("key")).unwrap();
        let mut watch = watch(&at("key"));
        assert_eq!(watch.look(), Look::Same);
        symlink("..2", at("..next")).unwrap();
        fs::rename(at("..next"), at("..data")).unwrap();
        assert_eq!([watch.look(), watch.look()], [Look::Moving, Look::Changed]);
    }

    #[test]
    fn a_new_file_that_fits_an_include_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let mut inputs = Inputs::default();
        inputs.listed(directory.path(), "*.yaml", &[]);
        let mut watch = Watch::new(inputs);
        fs::write(directory.path().join("a.txt"), "").unwrap();
        assert_eq!(watch.look(), Look::Same);
        fs::write(directory.path().join("a.yaml"), "").unwrap();
        assert_eq!([watch.look(), watch.look()], [Look::Moving, Look::Changed]);
    }
}
