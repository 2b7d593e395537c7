//! The end of a file that is there already: where its chain stands, and what a process that was killed left half
//! written.

use super::chain::{ChainKey, Mac, NO_MAC, split, unhex};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// The most bytes at the end of a file that are looked at: far more than two records.
const WINDOW: u64 = 256 * 1024;

/// Where a file's chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is no whole record in it.
    Empty,
    /// Its last whole record is the one of this number, and its mac is true.
    Ends {
        /// The record's number.
        number: u64,
        /// Its mac.
        mac: Mac,
    },
    /// Its end is no chain under this key.
    Broken,
}

/// The chain at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) standing: Standing,
    /// Where the last whole record ends, in bytes from the file's beginning.
    pub(super) end: u64,
    /// How many bytes of a record that was never finished follow.
    pub(super) torn: u64,
}

/// Reads the end of `file`.
pub(super) fn read(file: &mut File, key: &ChainKey) -> io::Result<Tail> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(WINDOW);
    file.seek(SeekFrom::Start(start))?;
    let mut window = Vec::new();
    file.take(WINDOW).read_to_end(&mut window)?;
    let whole = window.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = (window.len() - whole) as u64;
    let end = length - torn;
    if whole == 0 {
        // Half a record is nothing; a window full of no record at all was never ours.
        let standing = if start == 0 { Standing::Empty } else { Standing::Broken };
        return Ok(Tail { standing, end, torn });
    }
    let mut lines = window[..whole - 1].rsplit(|byte| *byte == b'\n');
    let last = lines.next().unwrap_or_default();
    let before = lines.next();
    let standing = judge(last, before, key).unwrap_or(Standing::Broken);
    Ok(Tail { standing, end, torn })
}

fn judge(last: &[u8], before: Option<&[u8]>, key: &ChainKey) -> Option<Standing> {
    let (body, mac) = split(last)?;
    let previous = match before {
        Some(before) => split(before)?.1,
        None => previous(body)?,
    };
    let number = number(body)?;
    (key.mac(&previous, body).ok()? == mac).then_some(Standing::Ends { number, mac })
}

/// The number of a record.
pub(super) fn number(body: &[u8]) -> Option<u64> {
    let rest = body.strip_prefix(b"{\"seq\":")?;
    let digits = rest.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What the first record of a file names as the mac before it; zeros where a chain begins.
pub(super) fn previous(body: &[u8]) -> Option<Mac> {
    let text = std::str::from_utf8(body).ok()?;
    let record: serde_json::Value = serde_json::from_str(&format!("{text}}}")).ok()?;
    match record["kind"].as_str()? {
        "begin" => Some(NO_MAC),
        "continue" => unhex(record["previous"].as_str()?.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::telemetry::audit::chain::{END, SEPARATOR, hex};
    use std::io::Write as _;

    fn key() -> ChainKey {
        ChainKey::new(&Secret::new(vec![1; 32])).unwrap()
    }

    fn line(previous: &Mac, body: &str) -> (String, Mac) {
        let mac = key().mac(previous, body.as_bytes()).unwrap();
        (format!("{body}{SEPARATOR}{}{END}\n", hex(&mac)), mac)
    }

    fn tail(text: &str) -> Tail {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read(&mut file, &key()).unwrap()
    }

    #[test]
    fn a_chain_ends_with_its_last_whole_record() {
        let (first, mac) = line(&NO_MAC, r#"{"seq":1,"kind":"begin""#);
        let (second, last) = line(&mac, r#"{"seq":2,"kind":"decision""#);
        let end = Standing::Ends { number: 2, mac: last };
        let both = format!("{first}{second}");
        assert_eq!(tail(&both), Tail { standing: end, end: both.len() as u64, torn: 0 });
        assert_eq!(tail(&format!("{both}{{\"seq\":3")), Tail { standing: end, end: both.len() as u64, torn: 8 });
        assert_eq!(tail(&first).standing, Standing::Ends { number: 1, mac });
    }

    #[test]
    fn what_is_no_chain_of_ours_is_broken() {
        let (first, mac) = line(&NO_MAC, r#"{"seq":1,"kind":"begin""#);
        let (second, _) = line(&mac, r#"{"seq":2,"kind":"decision""#);
        assert_eq!(tail("").standing, Standing::Empty);
        assert_eq!(tail("{\"seq\":1").standing, Standing::Empty);
        assert_eq!(tail(&second).standing, Standing::Broken);
        assert_eq!(tail(&format!("{second}{first}")).standing, Standing::Broken);
        assert_eq!(tail(&first.replace("begin", "begiN")).standing, Standing::Broken);
        assert_eq!(tail("a log of somebody else\n").standing, Standing::Broken);
        assert_eq!(tail(&"x".repeat(300_000)).standing, Standing::Broken);
    }
}
