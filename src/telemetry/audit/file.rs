//! The file: opened where its chain stands, appended to whole records at a time, set aside when it is full.

use super::chain::ChainKey;
use super::tail::{self, Standing, Tail};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// An open file.
pub(super) struct LogFile {
    file: File,
    path: PathBuf,
    /// Its length when we wrote last; `None` for what has none, such as a device.
    length: Option<u64>,
}

impl LogFile {
    /// Opens `path`, and tells where its chain stands. What a killed process left half written is cut off; it is no
    /// record.
    pub(super) fn open(path: &Path, key: &ChainKey) -> io::Result<(Self, Tail)> {
        let kind = fs::metadata(path).map(|metadata| metadata.file_type());
        if kind.as_ref().is_ok_and(FileTypeExt::is_fifo) {
            // Opening one waits for a reader, perhaps for ever.
            return Err(io::Error::other("is a pipe"));
        }
        let regular = kind.as_ref().map_or(true, fs::FileType::is_file);
        let mut options = OpenOptions::new();
        let mut file = options.read(regular).append(true).create(regular).mode(0o600).open(path)?;
        if !regular {
            let tail = Tail { standing: Standing::Empty, end: 0, torn: 0 };
            return Ok((Self { file, path: path.to_owned(), length: None }, tail));
        }
        // Two processes would tear each other's chain: while a new one takes over, the old one is still there.
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let tail = tail::read(&mut file, key)?;
        if tail.torn > 0 {
            file.set_len(tail.end)?;
        }
        Ok((Self { file, path: path.to_owned(), length: Some(tail.end) }, tail))
    }

    /// The path it was opened under.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// True when `more` bytes would make it longer than `most`.
    pub(super) fn is_full(&self, more: usize, most: u64) -> bool {
        self.length.is_some_and(|length| length > 0 && length.saturating_add(more as u64) > most)
    }

    /// Appends `lines`, all of them or none.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        match (&written, &mut self.length) {
            (Ok(()), Some(length)) => *length = length.saturating_add(lines.len() as u64),
            // Half a batch would be a torn record in the middle. Should this fail too, the next opening cuts it off.
            (Err(_), Some(length)) => drop(self.file.set_len(*length)),
            (_, None) => {}
        }
        written
    }

    /// Has the system write everything to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.length.is_some() { self.file.sync_data() } else { Ok(()) }
    }

    /// True while the path still leads here, and nobody else has written or cut.
    pub(super) fn is_ours(&self) -> bool {
        let Some(length) = self.length else { return true };
        let same = |here: &Metadata, there: &Metadata| {
            here.ino() == there.ino() && here.dev() == there.dev() && here.len() == length
        };
        matches!((self.file.metadata(), fs::metadata(&self.path)), (Ok(here), Ok(there)) if same(&here, &there))
    }
}

/// Moves the file at `path` out of the way, to a name that tells the first number that is not in it, and that no file
/// has yet.
pub(super) fn set_aside(path: &Path, next: u64) -> io::Result<PathBuf> {
    for attempt in 0..1000_u32 {
        let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".before-{next:012}{suffix}"));
        let aside = PathBuf::from(name);
        if fs::symlink_metadata(&aside).is_err() {
            fs::rename(path, &aside)?;
            return Ok(aside);
        }
    }
    Err(io::Error::other("too many files were set aside under one name"))
}
