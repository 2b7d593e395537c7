//! The one thread that writes.

use super::chain::{ChainKey, END, Head, Mac, NO_MAC, SEPARATOR, hex};
use super::file::{LogFile, set_aside};
use super::head::Board;
use super::settings::AuditSettings;
use super::tail::{Standing, Tail};
use crate::clock::{Clock, UnixTime};
use crate::telemetry::Metrics;
use crate::telemetry::logs::Time;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// The most records written at once.
const BATCH: usize = 256;
/// What a line takes beside the members of its record: its number, its HMAC and what stands between them.
const FRAME: usize = 100;
/// How often it is looked whether the file is still there, and how soon one that failed is tried again.
const TICK: Duration = Duration::from_secs(1);
/// How often the head is exported.
const HEAD_EVERY: Duration = Duration::from_secs(60);

/// What is handed to the writer.
pub(super) enum Item {
    /// The members of a record.
    Record(String),
    /// Everything is to be written now.
    Close(oneshot::Sender<()>),
}

/// The writer.
pub(super) struct Writer {
    settings: AuditSettings,
    key: Arc<ChainKey>,
    board: Arc<Board>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    file: Option<LogFile>,
    /// The last record written; `None` before the first of this process.
    end: Option<(u64, Mac)>,
    /// Records that could not be written since the last one that was.
    lost: u64,
    /// When the file may be tried again.
    retry_at: UnixTime,
    head_at: UnixTime,
}

impl Writer {
    pub(super) fn new(
        settings: AuditSettings,
        key: Arc<ChainKey>,
        board: Arc<Board>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (retry_at, head_at) = (UnixTime::default(), UnixTime::default());
        let mut writer =
            Self { settings, key, board, metrics, clock, file: None, end: None, lost: 0, retry_at, head_at };
        writer.reopen();
        writer.publish();
        writer
    }

    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Item>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            match timeout(TICK, waiting.recv_many(&mut batch, BATCH)).await {
                Ok(0) => break,
                Ok(_) => self.take(&mut batch),
                Err(_) => {}
            }
            self.tick();
        }
        self.publish();
    }

    fn take(&mut self, batch: &mut Vec<Item>) {
        let (mut records, mut closing) = (Vec::with_capacity(batch.len()), Vec::new());
        for item in batch.drain(..) {
            match item {
                Item::Record(members) => records.push(members),
                Item::Close(done) => closing.push(done),
            }
        }
        self.write(&records);
        if !closing.is_empty() {
            self.publish();
        }
        for done in closing {
            // Whoever asked may have given up.
            let _ = done.send(());
        }
    }

    /// Looks after the file, and exports the head when it is time.
    fn tick(&mut self) {
        let now = self.clock.now();
        if self.file.as_ref().is_some_and(|file| !file.is_ours()) {
            log::warn!("audit: the file was moved or changed by somebody else; going on in a new one");
            self.file = None;
        }
        if self.file.is_none() && now >= self.retry_at {
            self.reopen();
        }
        if now.since(self.head_at) >= HEAD_EVERY || self.head_at > now {
            self.publish();
        }
    }

    /// Writes `records`, in portions that fit into a file: many wait where the disk was slow.
    fn write(&mut self, records: &[String]) {
        let mut rest = records;
        while !rest.is_empty() {
            let (portion, more) = rest.split_at(fitting(rest, self.settings.rotate));
            self.write_together(portion);
            rest = more;
        }
    }

    /// Writes `records`, or counts them as lost.
    fn write_together(&mut self, records: &[String]) {
        if self.file.is_none() && self.clock.now() >= self.retry_at {
            self.reopen();
        }
        let tried = self.file.is_some();
        let outcome = self.append(records);
        let count = records.len() as u64;
        match outcome {
            Ok(()) => self.metrics.audit_written(count),
            Err(error) => {
                self.metrics.audit_failed(count);
                self.lost = self.lost.saturating_add(count);
                self.board.change(|status| status.lost = status.lost.saturating_add(count));
                if tried {
                    self.failed(&error);
                }
            }
        }
    }

    /// Notes that nothing can be written now. Told once, not for every record.
    fn failed(&mut self, error: &io::Error) {
        self.file = None;
        self.retry_at = self.clock.now().plus(TICK);
        let text = error.to_string();
        let known = self.board.show().error.is_some();
        if !known {
            log::error!("audit: {} can't be written: {text}; requests go on without", self.settings.file.display());
        }
        self.board.change(|status| status.error = Some(text));
    }

    fn append(&mut self, records: &[String]) -> io::Result<()> {
        self.lost = self.lost.saturating_add(self.board.take_dropped());
        let gap = (self.lost > 0).then(|| self.remark("gap", &format!(r#","lost":{}"#, self.lost)));
        self.make_room(records.iter().map(|members| size_of_line(members)).sum())?;
        self.put(gap.iter().chain(records))?;
        self.lost = 0;
        Ok(())
    }

    /// Appends whole records; either all of them are in the file and in the chain, or none is.
    fn put<'r>(&mut self, records: impl Iterator<Item = &'r String>) -> io::Result<()> {
        let file = self.file.as_mut().ok_or_else(|| io::Error::other("it is not open"))?;
        let (mut number, mut mac) = self.end.unwrap_or((0, NO_MAC));
        let mut lines = Vec::new();
        for members in records {
            number += 1;
            let body = format!("{{\"seq\":{number}{members}");
            mac = self.key.mac(&mac, body.as_bytes()).map_err(io::Error::other)?;
            lines.extend_from_slice(body.as_bytes());
            lines.extend_from_slice(SEPARATOR.as_bytes());
            lines.extend_from_slice(hex(&mac).as_bytes());
            lines.extend_from_slice(END.as_bytes());
            lines.push(b'\n');
        }
        file.append(&lines)?;
        self.end = Some((number, mac));
        self.board.change(|status| {
            if status.error.take().is_some() {
                log::warn!("audit: {} is written again", status.file);
            }
        });
        Ok(())
    }

    /// Sets a full file aside and begins the next, in which the chain goes on.
    fn make_room(&mut self, more: usize) -> io::Result<()> {
        let full = self.file.as_ref().is_some_and(|file| file.is_full(more, self.settings.rotate));
        if !full {
            return Ok(());
        }
        let path = self.file.take().map_or_else(PathBuf::new, |file| {
            // What can't be synced is on its way all the same.
            let _ = file.sync();
            file.path().to_owned()
        });
        let aside = set_aside(&path, self.end.map_or(1, |(number, _)| number + 1))?;
        log::info!("audit: {} is full and was set aside as {}", path.display(), aside.display());
        self.open(path)
    }

    /// Opens the file, or one beside it while another process holds it.
    fn reopen(&mut self) {
        let path = self.settings.file.clone();
        let opened = match self.open(path.clone()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut beside = path.into_os_string();
                beside.push(format!(".{}", std::process::id()));
                self.open(PathBuf::from(beside))
            }
            opened => opened,
        };
        if let Err(error) = opened {
            self.failed(&error);
        }
    }

    /// Opens `path` and writes the record with which a file, or a process, begins.
    fn open(&mut self, path: PathBuf) -> io::Result<()> {
        let (file, Tail { standing, torn, .. }) = LogFile::open(&path, &self.key)?;
        let begin = match (standing, self.end) {
            (Standing::Ends { number, mac }, None) => {
                self.end = Some((number, mac));
                Some(self.remark("start", &format!(r#","torn_bytes":{torn}"#)))
            }
            (Standing::Ends { number, mac }, Some(end)) if (number, mac) == end => None,
            (Standing::Empty, None) => Some(self.remark("begin", "")),
            (Standing::Empty, Some((_, mac))) => {
                Some(self.remark("continue", &format!(r#","previous":"{}""#, hex(&mac))))
            }
            (Standing::Broken | Standing::Ends { .. }, _) => {
                drop(file);
                let aside = set_aside(&path, self.end.map_or(1, |(number, _)| number + 1))?;
                log::error!(
                    "audit: what stood in {} is not this chain; set aside as {}",
                    path.display(),
                    aside.display()
                );
                return self.open(path);
            }
        };
        self.board.change(|status| status.file = path.display().to_string());
        self.file = Some(file);
        self.put(begin.iter())
    }

    /// The members of a record of our own.
    fn remark(&self, kind: &str, more: &str) -> String {
        let version = env!("CARGO_PKG_VERSION");
        format!(r#","time":"{}","kind":"{kind}","version":"{version}"{more}"#, Time(self.clock.now()))
    }

    /// Has the disk take everything, and exports the head up to there.
    fn publish(&mut self) {
        self.head_at = self.clock.now();
        let Some(file) = &self.file else { return };
        if let Err(error) = file.sync() {
            self.failed(&error);
            return;
        }
        if let Some((number, mac)) = self.end {
            let head = Head { number, mac: Some(mac) };
            self.board.publish(head, self.head_at.as_seconds());
            self.metrics.audit_head(number);
            log::info!("audit: head {head}");
        }
    }
}

/// The bytes of a record in the file; rather too many.
fn size_of_line(members: &str) -> usize {
    members.len() + FRAME
}

/// How many of `records`, one at least, fit together into a file of `most` bytes.
fn fitting(records: &[String], most: u64) -> usize {
    let mut size = 0;
    let fits = |members: &&String| {
        size += size_of_line(members);
        size as u64 <= most
    };
    records.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_records_go_together_as_fit_into_a_file() {
        let records = vec!["x".repeat(300); 10];
        for (most, together) in [(0, 1), (399, 1), (400, 1), (799, 1), (800, 2), (3999, 9), (4000, 10), (u64::MAX, 10)]
        {
            assert_eq!(fitting(&records, most), together, "{most}");
        }
    }
}
