//! The last good key set on disk, so that a cold start works while the issuer is down.
//!
//! The file is believed as little as the wire: it is read through the same parser, must belong to the same source, and
//! its age counts towards `max_stale`. Whoever can write it could plant a key, so a file that others may write, or that
//! belongs to somebody else, is refused.

use crate::clock::UnixTime;
use crate::issuer::metadata::MAX_DOCUMENT;
use crate::jose::json;
use serde_json::{Value, json};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The form of the file.
const VERSION: u64 = 1;
/// The largest file: a document whose every byte needs an escape, and a little around it.
const MAX_FILE: u64 = 6 * MAX_DOCUMENT as u64 + 4096;
/// Write permission of group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A key set as it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) fetched_at: UnixTime,
    pub(super) jwks: Vec<u8>,
}

/// Why no key set comes from the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a regular file")]
    NoFile,
    #[error("others than its owner may write it")]
    Writable,
    #[error("it, or the link that leads to it, belongs to another user")]
    Foreign,
    #[error("it is too large")]
    TooLarge,
    #[error("it is no snapshot")]
    Malformed,
    #[error("it belongs to another source")]
    OtherSource,
}

/// Reads the snapshot of `source`; `None` where there is no file yet.
pub(super) fn load(path: &Path, source: &str) -> Result<Option<Saved>, SnapshotError> {
    load_for(path, source, process_owner()?)
}

/// As [`load`], for a process of this user.
fn load_for(path: &Path, source: &str, user: u32) -> Result<Option<Saved>, SnapshotError> {
    let is_foreign = |metadata: &Metadata| metadata.uid() != 0 && metadata.uid() != user;
    // In a directory where others may write, the name itself can be theirs.
    if fs::symlink_metadata(path).is_ok_and(|link| is_foreign(&link)) {
        return Err(SnapshotError::Foreign);
    }
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(SnapshotError::NoFile);
    }
    if is_foreign(&metadata) {
        return Err(SnapshotError::Foreign);
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(SnapshotError::Writable);
    }
    if metadata.len() > MAX_FILE {
        return Err(SnapshotError::TooLarge);
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    parse(&bytes, source).map(Some)
}

/// The user this process acts as.
fn process_owner() -> io::Result<u32> {
    fs::metadata("/proc/self").map(|metadata| metadata.uid())
}

fn parse(bytes: &[u8], source: &str) -> Result<Saved, SnapshotError> {
    let members = json::parse_object(bytes).map_err(|_| SnapshotError::Malformed)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).ok_or(SnapshotError::Malformed);
    if members.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(SnapshotError::Malformed);
    }
    if text("source")? != source {
        return Err(SnapshotError::OtherSource);
    }
    let fetched_at = members.get("fetched_at_ms").and_then(Value::as_i64).ok_or(SnapshotError::Malformed)?;
    Ok(Saved { fetched_at: UnixTime::from_millis(fetched_at), jwks: text("jwks")?.as_bytes().to_vec() })
}

/// Writes the snapshot beside its place and renames it there: a reader sees the old one or the new one, whole.
pub(super) fn save(path: &Path, source: &str, fetched_at: UnixTime, jwks: &[u8]) -> io::Result<()> {
    // The set was parsed, so it is UTF-8; the check keeps a later change from writing what can't be read.
    let jwks = std::str::from_utf8(jwks).map_err(|_| io::ErrorKind::InvalidData)?;
    let document =
        json!({ "version": VERSION, "source": source, "fetched_at_ms": fetched_at.as_millis(), "jwks": jwks });
    let beside = beside(path)?;
    // A leftover of a process that died, or a link planted to lead the write elsewhere.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(document.to_string().as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{}.tmp", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    const SOURCE: &str = "https://idp.example.com/jwks";

    fn directory() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        (directory, file)
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn what_is_saved_is_loaded_and_nobody_else_can_read_it() {
        let (directory, path) = directory();
        let at = UnixTime::from_millis(1_700_000_000_123);
        assert!(load(&path, SOURCE).unwrap().is_none());
        for jwks in [&br#"{"keys":[]}"#[..], b"{\"keys\":[],\"x\":\"\\u0000\"}"] {
            save(&path, SOURCE, at, jwks).unwrap();
            assert_eq!(load(&path, SOURCE).unwrap(), Some(Saved { fetched_at: at, jwks: jwks.to_vec() }));
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_snapshot_of_another_source_is_refused() {
        let (_directory, path) = directory();
        save(&path, SOURCE, UnixTime::default(), b"{}").unwrap();
        assert!(matches!(load(&path, "https://other"), Err(SnapshotError::OtherSource)));
    }

    #[test]
    fn a_snapshot_that_others_may_write_is_refused() {
        let (_directory, path) = directory();
        save(&path, SOURCE, UnixTime::default(), b"{}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(load(&path, SOURCE), Err(SnapshotError::Writable)));
    }

    #[test]
    fn a_snapshot_of_another_user_is_refused() {
        let (directory, path) = directory();
        save(&path, SOURCE, UnixTime::default(), b"{}").unwrap();
        let us = process_owner().unwrap();
        assert!(load_for(&path, SOURCE, us).unwrap().is_some());
        // What belongs to root is believed by everybody; as another user it is that user's own that is foreign.
        let owned = fs::metadata(&path).unwrap().uid();
        assert_eq!(load_for(&path, SOURCE, us + 1).is_ok(), owned == 0);
        if us == 0 {
            std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
            assert!(matches!(load(&path, SOURCE), Err(SnapshotError::Foreign)));
            assert!(load_for(&path, SOURCE, 12_345).unwrap().is_some());
            let link = directory.path().join("link");
            std::os::unix::fs::chown(&path, Some(0), None).unwrap();
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert!(load(&link, SOURCE).unwrap().is_some());
            std::os::unix::fs::lchown(&link, Some(12_345), None).unwrap();
            assert!(matches!(load(&link, SOURCE), Err(SnapshotError::Foreign)));
        }
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        let (directory, path) = directory();
        for text in ["", "[]", "{}", r#"{"version":2}"#, r#"{"version":1,"source":7}"#] {
            write(&path, text);
            assert!(matches!(load(&path, SOURCE), Err(SnapshotError::Malformed)), "{text}");
        }
        write(&path, &" ".repeat(2 * 1024 * 1024));
        assert!(matches!(load(&path, SOURCE), Err(SnapshotError::TooLarge)));
        assert!(matches!(load(directory.path(), SOURCE), Err(SnapshotError::NoFile)));
    }

    #[test]
    fn a_link_planted_beside_leads_nowhere() {
        let (directory, path) = directory();
        let victim = directory.path().join("victim");
        write(&victim, "untouched");
        std::os::unix::fs::symlink(&victim, beside(&path).unwrap()).unwrap();
        save(&path, SOURCE, UnixTime::default(), b"{}").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    }
}
