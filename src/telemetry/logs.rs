//! The log: JSON, one object a line, on standard output or standard error.
//!
//! Lines are written by a thread of their own. Whoever reads them may stop, and the gateway must not: what does not fit
//! into the queue is lost, and the log says how many lines that were.

use super::{LogLevel, LogSettings, LogTarget};
use crate::clock::{Clock, Stopwatch, SystemClock, UnixTime};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// The log target of the access log, whose messages are whole lines already.
pub const ACCESS: &str = "tollgate::access";

/// Where the engine quotes what a client sent: a whole faulty header section, an admin token with it. The access log
/// tells of such requests without quoting them.
const QUOTING: [&str; 2] = ["pingora_core::apps::http_app", "pingora_core::protocols::http"];
/// Handshakes that fail are every scanner's visit; they are counted where they can be, and not logged one by one.
const SCANNER_NOISE: &str = "pingora_core::services::listening";

/// How many lines may wait for whoever reads the log, and how many bytes they may have together.
const MOST_LINES: usize = 16_384;
const MOST_BYTES: usize = 8 << 20;
/// How many bytes are written at once.
const AT_ONCE: usize = 64 << 10;
/// How long the end of the process waits for the log.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How many lines were lost in this process.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How many lines of the log were lost since the process began: there was no room for them, or they could not be written.
#[must_use]
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Puts the log in place for the whole process. A second call changes nothing.
pub fn install(settings: LogSettings) {
    let out: Box<dyn Write + Send> = match settings.target {
        LogTarget::Stdout => Box::new(io::stdout()),
        LogTarget::Stderr => Box::new(io::stderr()),
    };
    if log::set_boxed_logger(Box::new(JsonLog::new(out))).is_ok() {
        set_level(settings.level);
    }
}

/// Says more or less from now on.
pub fn set_level(level: LogLevel) {
    log::set_max_level(filter(level));
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
    }
}

/// The level is that of the whole process (`log::max_level`), so that a reload can change it.
struct JsonLog {
    queue: SyncSender<Order>,
    backlog: Arc<Backlog>,
}

/// What the writer is told.
enum Order {
    /// Write a line.
    Line(String),
    /// Say when everything before is written.
    Flush(SyncSender<()>),
}

/// What waits, and what did not fit.
#[derive(Default)]
struct Backlog {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

impl JsonLog {
    /// A log whose lines a new thread writes to `out`. Where there can be no thread there is no log either: the queue
    /// then has no other end.
    fn new(out: Box<dyn Write + Send>) -> Self {
        let (queue, orders) = sync_channel(MOST_LINES);
        let backlog = Arc::<Backlog>::default();
        let waiting = Arc::clone(&backlog);
        // Without a log the gateway still serves.
        let _ = thread::Builder::new().name("log".to_owned()).spawn(move || write_all(out, &orders, &waiting));
        Self { queue, backlog }
    }

    fn enqueue(&self, line: String) {
        let bytes = line.len();
        let waiting = self.backlog.bytes.fetch_add(bytes, Ordering::AcqRel);
        if waiting + bytes > MOST_BYTES || self.queue.try_send(Order::Line(line)).is_err() {
            self.backlog.bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.backlog.lost.fetch_add(1, Ordering::AcqRel);
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes what comes, many lines at once where many wait.
fn write_all(mut out: Box<dyn Write + Send>, orders: &Receiver<Order>, backlog: &Backlog) {
    let mut text = String::new();
    while let Ok(first) = orders.recv() {
        let (mut next, mut flushes) = (Some(first), Vec::new());
        while let Some(order) = next {
            match order {
                Order::Line(line) => text.push_str(&line),
                Order::Flush(done) => flushes.push(done),
            }
            next = (text.len() < AT_ONCE).then(|| orders.try_recv().ok()).flatten();
        }
        let bytes = text.len();
        let lost = backlog.lost.swap(0, Ordering::AcqRel);
        if lost > 0 {
            let args = format_args!("{lost} lines before this one were lost: the log is not read fast enough");
            let record = Record::builder().target(module_path!()).level(Level::Warn).args(args).build();
            // Writing to a String can't fail.
            let _ = line_of(&record, SystemClock.now(), &mut text);
            text.push('\n');
        }
        // A log that can't be written must not stop the gateway.
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            LOST.fetch_add(text.lines().count() as u64, Ordering::Relaxed);
        }
        backlog.bytes.fetch_sub(bytes, Ordering::AcqRel);
        text.clear();
        for done in flushes {
            // Whoever asked may have given up.
            let _ = done.try_send(());
        }
    }
}

impl Log for JsonLog {
    /// Libraries say nothing below a warning here: their finer lines print whole requests.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let own = metadata.target().starts_with("tollgate");
        let quotes = QUOTING.iter().any(|room| metadata.target().starts_with(room));
        !quotes && metadata.level() <= if own { Level::Info } else { Level::Warn }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut line = String::with_capacity(320);
        if line_of(record, SystemClock.now(), &mut line).is_ok() && !line.is_empty() {
            line.push('\n');
            self.enqueue(line);
        }
    }

    /// Waits until everything is written, or a second: a reader that has stopped must not keep the process from ending.
    fn flush(&self) {
        let (done, written) = sync_channel(1);
        let mut order = Order::Flush(done);
        let watch = Stopwatch::start();
        while let Err(TrySendError::Full(again)) = self.queue.try_send(order) {
            if watch.elapsed() > LAST_WORDS {
                return;
            }
            order = again;
            thread::sleep(Duration::from_millis(5));
        }
        let _ = written.recv_timeout(LAST_WORDS);
    }
}

/// Writes the line of one record; nothing for what is only noise.
fn line_of(record: &Record<'_>, now: UnixTime, line: &mut String) -> fmt::Result {
    if record.target() == ACCESS {
        return write!(line, "{}", record.args());
    }
    let message = record.args().to_string();
    if record.target() == SCANNER_NOISE && message.starts_with("Downstream handshake") {
        return Ok(());
    }
    let level = match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    };
    write!(line, r#"{{"time":"{}","kind":"event","level":"{level}""#, Time(now))?;
    write!(line, r#","target":{},"message":{}}}"#, Text(record.target()), Text(&message))
}

/// A text as a JSON string (RFC 8259 §7).
pub(super) struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut plain = 0;
        for (at, character) in self.0.char_indices() {
            if !matches!(character, '"' | '\\') && !character.is_control() {
                continue;
            }
            f.write_str(&self.0[plain..at])?;
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                control => write!(f, "\\u{:04x}", u32::from(control))?,
            }
            plain = at + character.len_utf8();
        }
        f.write_str(&self.0[plain..])?;
        f.write_char('"')
    }
}

/// A moment as RFC 3339 writes it, in UTC with milliseconds.
pub(super) struct Time(pub UnixTime);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_seconds();
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let millis = self.0.as_millis().rem_euclid(1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01. Counted from a 1st of March, so that the
/// leap day is the last of its year, in eras of 400 years, which all are alike.
fn civil(days: i64) -> (i64, i64, i64) {
    let from_march = days.saturating_add(719_468);
    let (era, day_of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let leaps = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(Time(UnixTime::from_seconds(seconds)).to_string(), date);
        }
    }

    #[test]
    fn libraries_say_nothing_below_a_warning() {
        let log = JsonLog::new(Box::new(io::sink()));
        let enabled = |target, level| log.enabled(&Metadata::builder().target(target).level(level).build());
        assert!(enabled("tollgate::app", Level::Info));
        assert!(!enabled("pingora_proxy", Level::Info));
        assert!(enabled("pingora_proxy", Level::Warn));
        assert!(!enabled("tollgate::app", Level::Debug));
    }

    #[test]
    fn what_quotes_a_client_says_nothing_at_all() {
        let log = JsonLog::new(Box::new(io::sink()));
        let enabled = |target| log.enabled(&Metadata::builder().target(target).level(Level::Error).build());
        assert!(!enabled("pingora_core::apps::http_app"));
        assert!(!enabled("pingora_core::protocols::http::v1::common"));
        assert!(enabled("pingora_core::server"));
    }

    #[test]
    fn an_event_is_one_json_object() {
        let mut line = String::new();
        let args = format_args!("a \"quoted\"\nmessage");
        let record = Record::builder().target("tollgate::app").level(Level::Warn).args(args).build();
        line_of(&record, UnixTime::from_seconds(0), &mut line).unwrap();
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["message"], "a \"quoted\"\nmessage");
        assert_eq!(json["level"], "warn");
    }

    #[test]
    fn failed_handshakes_are_not_logged() {
        let mut line = String::new();
        let args = format_args!("Downstream handshake error from 1.2.3.4");
        let record = Record::builder().target(SCANNER_NOISE).level(Level::Error).args(args).build();
        line_of(&record, UnixTime::from_seconds(0), &mut line).unwrap();
        assert!(line.is_empty());
    }

    /// Takes nothing until it is told to.
    struct Stuck(Receiver<()>, Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // An error means that it may go on for good.
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_stops_nobody_and_is_told_what_it_missed() {
        let (free, stuck) = sync_channel(0);
        let text = Arc::<std::sync::Mutex<Vec<u8>>>::default();
        let log = JsonLog::new(Box::new(Stuck(stuck, Arc::clone(&text))));
        let say =
            |args: fmt::Arguments<'_>| log.log(&Record::builder().target(ACCESS).level(Level::Info).args(args).build());
        let (lines, filler) = (MOST_LINES * 2, "x".repeat(1024));
        (0..lines).for_each(|number| say(format_args!("{number} {filler}")));
        drop(free);
        log.flush();
        say(format_args!("the last one"));
        log.flush();
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        let kept = text.lines().filter(|line| line.ends_with(&filler)).count();
        assert!(kept * 1024 <= MOST_BYTES + 2 * AT_ONCE, "{kept} lines");
        let told: Vec<serde_json::Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let lost = lines - kept;
        assert!(
            told.iter().any(|line| line["message"].as_str().is_some_and(|it| it.starts_with(&format!("{lost} lines"))))
        );
        assert!(text.starts_with("0 x") && text.contains("the last one"));
    }
}
