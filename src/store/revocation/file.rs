//! The list of one process, in a file: one record a line, added at the end and forced to the disk before anybody is
//! told that it is kept.
//!
//! A power cut can tear the last line, and only that: whoever wrote it was not told yet. It is left out and reported.
//! Anything else that is no record refuses the file, for a list with a hole brings a revoked token back to life. What is
//! over goes when the file is written anew beside itself and renamed, so that there is a whole file at every moment.
//! While one process takes over from another both may write: a lock beside the file lets one at a time.

use super::{Change, KEPT_BEYOND, Mark, Page, RevocationStore, Watched};
use crate::clock::{Clock, UnixTime};
use crate::store::StoreError;
use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Only the gateway's own user reads or writes the file.
const MODE: u32 = 0o600;
/// The file is not written anew before it has grown by so many lines, nor before it has doubled.
const GROWN: usize = 1_000;

/// Why a file can't hold the list.
#[derive(Debug, thiserror::Error)]
pub enum RevocationFileError {
    /// It can't be read or written.
    #[error("can't use {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// A line, and not the last, is no record.
    #[error("{0}: line {1} is no record; restore the file, or take the line out")]
    Corrupt(PathBuf, usize),
}

/// A list in a file.
pub struct RevocationFile {
    shared: Arc<Shared>,
    torn: bool,
}

struct Shared {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// Held while the file is written.
    size: Mutex<Size>,
}

struct Size {
    /// Lines in the file.
    lines: usize,
    /// Lines at which it is written anew.
    limit: usize,
    /// True when the end may hold half a line.
    damaged: bool,
}

impl RevocationFile {
    /// Opens the file, or makes an empty one.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, RevocationFileError> {
        // A name that is a link stays one: the file it means is the one that is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let _turn = lock(&path).map_err(|error| RevocationFileError::Io(path.clone(), error))?;
        let content = match load(&path) {
            Err(RevocationFileError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            loaded => loaded?,
        };
        let shared = Shared { path, clock, size: Mutex::new(Size { lines: 0, limit: 0, damaged: false }) };
        // Writing it anew at once mends the end, the mode and the leftovers, and proves that it can be written.
        shared.rewrite(&content.changes).map_err(|error| RevocationFileError::Io(shared.path.clone(), error))?;
        Ok(Self { shared: Arc::new(shared), torn: content.torn })
    }

    /// True when the last line had been torn, and was left out.
    #[must_use]
    pub const fn was_torn(&self) -> bool {
        self.torn
    }
}

#[async_trait]
impl RevocationStore for RevocationFile {
    async fn append(&self, changes: &[Change]) -> Result<(), StoreError> {
        let (shared, changes) = (Arc::clone(&self.shared), changes.to_vec());
        // The disk may take its time: nobody else's request waits for it.
        let written = tokio::task::spawn_blocking(move || shared.append(&changes)).await;
        written.unwrap_or_else(|_| Err(io::Error::other("cancelled"))).map_err(|error| {
            log::error!("revocations in {}: {error}", self.shared.path.display());
            StoreError::Refused
        })
    }

    /// All of it at once.
    async fn page(&self, _: Option<&str>) -> Result<Page, StoreError> {
        let shared = Arc::clone(&self.shared);
        let loaded = tokio::task::spawn_blocking(move || load(&shared.path)).await;
        let content = loaded.ok().and_then(Result::ok).ok_or(StoreError::Refused)?;
        Ok(Page { mark: BEGINNING, changes: content.changes, unreadable: 0, next: None })
    }

    /// Nobody else adds to the file.
    async fn watch(&self, patience: Duration) -> Result<Watched, StoreError> {
        tokio::time::sleep(patience).await;
        Ok(Watched::Stands(BEGINNING))
    }

    fn is_shared(&self) -> bool {
        false
    }
}

/// Where a list stands that only this process changes.
const BEGINNING: Mark = Mark { epoch: UnixTime::from_millis(0), changes: 0 };

impl Shared {
    fn append(&self, changes: &[Change]) -> io::Result<()> {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let _turn = lock(&self.path)?;
        if size.damaged || size.lines >= size.limit {
            let content = load(&self.path).map_err(io::Error::other)?;
            *size = self.write_anew(&content.changes)?;
        }
        // Opened each time: whatever replaced the file meanwhile is what is added to.
        let mut file = OpenOptions::new().append(true).create(true).mode(MODE).open(&self.path)?;
        let end = file.metadata()?.len();
        if let Err(error) = file.write_all(lines(changes).as_bytes()).and_then(|()| file.sync_data()) {
            size.damaged = file.set_len(end).and_then(|()| file.sync_data()).is_err();
            return Err(error);
        }
        size.lines += changes.len();
        Ok(())
    }

    fn rewrite(&self, changes: &[Change]) -> io::Result<()> {
        let written = self.write_anew(changes)?;
        *self.size.lock().unwrap_or_else(PoisonError::into_inner) = written;
        Ok(())
    }

    /// Puts a file with what still counts in the old one's place. A crash leaves either the old one or the new one.
    fn write_anew(&self, changes: &[Change]) -> io::Result<Size> {
        let kept = still_needed(changes, self.clock.now());
        let new = beside(&self.path, ".new");
        // A leftover of a process that died, or a link planted to lead the write elsewhere.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new)?;
        file.write_all(lines(&kept).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        if let Some(directory) = self.path.parent() {
            // The rename itself is on the disk only once the directory is.
            File::open(if directory.as_os_str().is_empty() { Path::new(".") } else { directory })?.sync_all()?;
        }
        Ok(Size { lines: kept.len(), limit: kept.len() * 2 + GROWN, damaged: false })
    }
}

/// Waits until no other process writes `path`, for as long as the answer is kept.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(beside(path, ".lock"))?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn lines(changes: &[Change]) -> String {
    changes.iter().fold(String::new(), |mut lines, change| {
        // Writing to a String can't fail.
        let _ = writeln!(lines, "{change}");
        lines
    })
}

/// What of `changes` still counts. A revocation that was taken back goes with its tombstone: nobody else has it.
fn still_needed(changes: &[Change], now: UnixTime) -> Vec<Change> {
    let dead: HashSet<_> =
        changes.iter().filter(|change| matches!(change, Change::TakenBack { .. })).map(Change::id).collect();
    let counts = |change: &&Change| now < change.expires_at().plus(KEPT_BEYOND) && !dead.contains(&change.id());
    changes.iter().filter(counts).copied().collect()
}

#[derive(Default)]
struct Content {
    changes: Vec<Change>,
    torn: bool,
}

fn load(path: &Path) -> Result<Content, RevocationFileError> {
    let text = fs::read(path).map_err(|error| RevocationFileError::Io(path.to_owned(), error))?;
    let mut content = Content::default();
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        // Without its newline a line may have lost its last digits, and still look like a record.
        let Some(line) = line.strip_suffix(b"\n") else {
            content.torn = true;
            break;
        };
        let change = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
        content.changes.push(change.ok_or_else(|| RevocationFileError::Corrupt(path.to_owned(), number + 1))?);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::super::{Revocation, RevocationId, Target};
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicI64, Ordering};
    use tempfile::TempDir;

    const EXPIRY: i64 = 1_000;

    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> UnixTime {
            UnixTime::from_seconds(self.0.load(Ordering::Relaxed))
        }
    }

    struct Place {
        directory: TempDir,
        clock: Arc<Hand>,
    }

    impl Place {
        fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap(), clock: Arc::default() }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("revocations")
        }

        fn open(&self) -> Result<RevocationFile, RevocationFileError> {
            RevocationFile::open(&self.path(), Arc::<Hand>::clone(&self.clock))
        }

        fn text(&self) -> String {
            fs::read_to_string(self.path()).unwrap()
        }

        fn mode(&self) -> u32 {
            fs::metadata(self.path()).unwrap().permissions().mode() & 0o777
        }
    }

    fn revoked(id: u128) -> Change {
        let (token, time) = (id.to_string(), UnixTime::from_seconds(EXPIRY));
        Change::Revoked(Revocation::new(RevocationId::from_bits(id), "https://i", Target::Token(&token), time, time))
    }

    fn taken_back(id: u128) -> Change {
        Change::TakenBack { id: RevocationId::from_bits(id), expires_at: UnixTime::from_seconds(EXPIRY) }
    }

    #[tokio::test]
    async fn what_was_kept_is_there_after_a_restart() {
        let place = Place::new();
        let file = place.open().unwrap();
        assert_eq!(file.page(None).await.unwrap().changes, []);
        file.append(&[revoked(1)]).await.unwrap();
        file.append(&[revoked(2), taken_back(1)]).await.unwrap();
        assert_eq!(file.page(None).await.unwrap().changes, [revoked(1), revoked(2), taken_back(1)]);
        let again = place.open().unwrap();
        assert!(!again.was_torn());
        assert_eq!(again.page(None).await.unwrap().changes, [revoked(2)], "what was taken back is written no more");
    }

    #[tokio::test]
    async fn a_torn_last_line_is_left_out_and_reported() {
        let place = Place::new();
        place.open().unwrap().append(&[revoked(1), revoked(2)]).await.unwrap();
        let whole = place.text();
        for length in whole.len() / 2 + 1..whole.len() {
            fs::write(place.path(), &whole[..length]).unwrap();
            let file = place.open().unwrap();
            assert!(file.was_torn(), "{length}");
            file.append(&[revoked(3)]).await.unwrap();
            assert_eq!(file.page(None).await.unwrap().changes, [revoked(1), revoked(3)], "{length}");
        }
        fs::write(place.path(), format!("{whole}\0\0\0\0")).unwrap();
        assert!(place.open().unwrap().was_torn());
    }

    #[test]
    fn two_processes_write_one_after_the_other() {
        let place = Place::new();
        let (first, second) = (place.open().unwrap(), place.open().unwrap());
        let write = |file: &RevocationFile, from: u128| {
            (from..from + 40).for_each(|id| file.shared.append(&[revoked(id)]).unwrap());
        };
        std::thread::scope(|scope| {
            scope.spawn(|| write(&first, 0));
            scope.spawn(|| write(&second, 100));
            // Opening writes the file anew.
            (0..40).for_each(|_| drop(place.open().unwrap()));
        });
        assert_eq!(load(&place.path()).unwrap().changes.len(), 80);
    }

    #[tokio::test]
    async fn a_hole_in_the_middle_refuses_the_file() {
        let place = Place::new();
        place.open().unwrap().append(&[revoked(1), revoked(2)]).await.unwrap();
        let text = place.text().replacen("jti", "jtj", 1);
        fs::write(place.path(), &text).unwrap();
        let refused = place.open().err().map(|error| error.to_string()).unwrap();
        assert!(refused.contains("line 1 "), "{refused}");
        assert_eq!(place.text(), text, "and the file is left as it is");
    }

    #[tokio::test]
    async fn what_is_over_goes_when_the_file_has_grown() {
        let place = Place::new();
        let file = place.open().unwrap();
        let many: Vec<Change> = (0..GROWN as u128).map(revoked).collect();
        file.append(&many).await.unwrap();
        place.clock.0.store(EXPIRY + 3600, Ordering::Relaxed);
        let late =
            Change::TakenBack { id: RevocationId::from_bits(1 << 64), expires_at: UnixTime::from_seconds(9_000) };
        file.append(&[late]).await.unwrap();
        assert_eq!(file.page(None).await.unwrap().changes, [late]);
    }

    #[tokio::test]
    async fn only_the_own_user_reads_the_file() {
        let place = Place::new();
        fs::write(place.path(), "").unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let file = place.open().unwrap();
        assert_eq!(place.mode(), MODE);
        fs::remove_file(place.path()).unwrap();
        file.append(&[revoked(1)]).await.unwrap();
        assert_eq!(place.mode(), MODE);
    }

    #[tokio::test]
    async fn a_link_stays_a_link() {
        let place = Place::new();
        let target = place.directory.path().join("elsewhere");
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, place.path()).unwrap();
        place.open().unwrap().append(&[revoked(1)]).await.unwrap();
        assert!(fs::symlink_metadata(place.path()).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap().lines().count(), 1);
    }

    #[tokio::test]
    async fn what_can_not_be_written_is_not_kept() {
        let place = Place::new();
        let file = place.open().unwrap();
        fs::remove_dir_all(place.directory.path()).unwrap();
        assert_eq!(file.append(&[revoked(1)]).await, Err(StoreError::Refused));
        assert!(place.open().is_err());
    }

    #[test]
    fn a_link_planted_beside_the_file_leads_nothing_elsewhere() {
        let place = Place::new();
        let (victim, planted) = (place.directory.path().join("victim"), place.directory.path().join("revocations.new"));
        fs::write(&victim, "precious").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&victim, &planted).unwrap();
        let file = place.open().unwrap();
        file.shared.rewrite(&[]).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o644);
        assert!(fs::symlink_metadata(place.path()).unwrap().is_file() && !planted.exists());
        assert_eq!(place.mode(), MODE);
    }
}
