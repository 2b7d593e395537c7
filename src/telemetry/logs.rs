//! The log: JSON, one object a line, on standard output or standard error.

use super::{LogLevel, LogSettings, LogTarget};
use crate::clock::{Clock, SystemClock, UnixTime};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

/// The log target of the access log, whose messages are whole lines already.
pub const ACCESS: &str = "tollgate::access";

/// Where the engine quotes what a client sent: a whole faulty header section, an admin token with it. The access log
/// tells of such requests without quoting them.
const QUOTING: [&str; 2] = ["pingora_core::apps::http_app", "pingora_core::protocols::http"];
/// Handshakes that fail are every scanner's visit; they are counted where they can be, and not logged one by one.
const SCANNER_NOISE: &str = "pingora_core::services::listening";

/// Puts the log in place for the whole process. A second call changes nothing.
pub fn install(settings: LogSettings) {
    if log::set_boxed_logger(Box::new(JsonLog { target: settings.target })).is_ok() {
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
    target: LogTarget,
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
            // A log that can't be written must not stop the gateway.
            let _ = match self.target {
                LogTarget::Stdout => io::stdout().lock().write_all(line.as_bytes()),
                LogTarget::Stderr => io::stderr().lock().write_all(line.as_bytes()),
            };
        }
    }

    fn flush(&self) {
        let _ = io::stdout().flush();
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
        let log = JsonLog { target: LogTarget::default() };
        let enabled = |target, level| log.enabled(&Metadata::builder().target(target).level(level).build());
        assert!(enabled("tollgate::app", Level::Info));
        assert!(!enabled("pingora_proxy", Level::Info));
        assert!(enabled("pingora_proxy", Level::Warn));
        assert!(!enabled("tollgate::app", Level::Debug));
    }

    #[test]
    fn what_quotes_a_client_says_nothing_at_all() {
        let log = JsonLog { target: LogTarget::default() };
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
}
