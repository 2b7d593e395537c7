//! The proof that an audit log is whole: every record true, none missing between two, and none missing at the end, as
//! far as somebody kept a head.

use super::chain::{ChainKey, Head, Mac, split};
use super::tail::{number, previous};
use crate::secret::Secret;
use openssl::error::ErrorStack;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;

/// A log that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditProof {
    /// The number of the first record. Above 1, earlier files hold those before it.
    pub first: u64,
    /// Its end.
    pub head: Head,
}

/// Why a log is not.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// A file can't be read.
    #[error("{}: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The cryptographic library refuses the key.
    #[error("the cryptographic library refuses the key")]
    Key(#[from] ErrorStack),
    /// A file has no record.
    #[error("{}: there is no record in it", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// A file does not begin as one does, or not where the one before it ends.
    #[error("{}:1: this is not where a chain begins, or not where the file before it ends", file.display())]
    Beginning {
        /// The file.
        file: PathBuf,
    },
    /// A record is not what was written there.
    #[error("{}:{line}: record {number} was changed, or records before it are missing", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// The line.
        line: u64,
        /// The number the record should have.
        number: u64,
    },
    /// The last record is not whole.
    #[error("{}:{line}: record {number} is cut off", file.display())]
    Torn {
        /// The file.
        file: PathBuf,
        /// The line.
        line: u64,
        /// The number the record should have.
        number: u64,
    },
    /// The head names a record that is not there.
    #[error("the end is cut off: record {wanted} was written, {found} is the last there is")]
    CutOff {
        /// The record of the head.
        wanted: u64,
        /// The last record.
        found: u64,
    },
    /// The head names a record that is in an earlier file.
    #[error("record {wanted} stands in an earlier file: name that too, before this one")]
    Earlier {
        /// The record of the head.
        wanted: u64,
    },
    /// The record of the head's number is another one.
    #[error("record {number} is not the one of the head: the chain was written anew from there or before")]
    OtherHead {
        /// The number.
        number: u64,
    },
}

/// Proves the chain that runs through `files`, in this order; with a `head`, that it reaches it.
pub fn verify(files: &[PathBuf], key: &Secret<Vec<u8>>, head: Option<Head>) -> Result<AuditProof, AuditFault> {
    let mut walk = Walk { key: ChainKey::new(key)?, wanted: head, first: None, end: None, met: false };
    for file in files {
        walk.file(file)?;
    }
    let (Some(first), Some((number, mac))) = (walk.first, walk.end) else {
        return Err(AuditFault::Empty { file: files.first().cloned().unwrap_or_default() });
    };
    match head {
        Some(head) if head.number > number => Err(AuditFault::CutOff { wanted: head.number, found: number }),
        Some(head) if !walk.met && head.number > 0 => Err(AuditFault::Earlier { wanted: head.number }),
        _ => Ok(AuditProof { first, head: Head { number, mac: Some(mac) } }),
    }
}

struct Walk {
    key: ChainKey,
    wanted: Option<Head>,
    first: Option<u64>,
    end: Option<(u64, Mac)>,
    /// True once the record of the head was met.
    met: bool,
}

impl Walk {
    fn file(&mut self, path: &PathBuf) -> Result<(), AuditFault> {
        let unreadable = |error| AuditFault::Unreadable { file: path.clone(), error };
        let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut text = Vec::new();
        let mut line = 0;
        loop {
            text.clear();
            if reader.read_until(b'\n', &mut text).map_err(unreadable)? == 0 {
                break;
            }
            line += 1;
            let number = self.end.map_or(1, |(number, _)| number + 1);
            let Some(record) = text.strip_suffix(b"\n") else {
                return Err(AuditFault::Torn { file: path.clone(), line, number });
            };
            let read = if line == 1 { self.first_of_file(record) } else { self.next(record) };
            read.ok_or_else(|| {
                if line == 1 && self.begins_elsewhere(record) {
                    return AuditFault::Beginning { file: path.clone() };
                }
                AuditFault::Broken { file: path.clone(), line, number }
            })?;
            self.meet()?;
        }
        if line == 0 { Err(AuditFault::Empty { file: path.clone() }) } else { Ok(()) }
    }

    /// The first record of a file says what it stands behind.
    fn first_of_file(&mut self, record: &[u8]) -> Option<()> {
        let (body, mac) = split(record)?;
        let (before, number) = (previous(body)?, number(body)?);
        match self.end {
            Some((last, end)) if end != before || last + 1 != number => return None,
            Some(_) => {}
            None => self.first = Some(number),
        }
        (self.key.mac(&before, body).ok()? == mac).then(|| self.end = Some((number, mac)))
    }

    /// True when the first record of a file is not one that begins a file, or stands behind another than the last one.
    fn begins_elsewhere(&self, record: &[u8]) -> bool {
        let Some((body, _)) = split(record) else { return false };
        let behind = previous(body).zip(number(body));
        behind.is_none_or(|(before, number)| self.end.is_some_and(|(last, end)| (before, number) != (end, last + 1)))
    }

    fn next(&mut self, record: &[u8]) -> Option<()> {
        let (body, mac) = split(record)?;
        let (last, end) = self.end?;
        let true_one = number(body)? == last + 1 && self.key.mac(&end, body).ok()? == mac;
        true_one.then(|| self.end = Some((last + 1, mac)))
    }

    fn meet(&mut self) -> Result<(), AuditFault> {
        let (Some(wanted), Some((number, mac))) = (self.wanted, self.end) else { return Ok(()) };
        if wanted.number != number {
            return Ok(());
        }
        self.met = true;
        if wanted.mac.is_some_and(|wanted| wanted != mac) { Err(AuditFault::OtherHead { number }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::audit::chain::{END, NO_MAC, SEPARATOR, hex};
    use std::fmt::Write as _;
    use std::fs;

    fn secret() -> Secret<Vec<u8>> {
        Secret::new(vec![1; 32])
    }

    /// A file of `count` records behind the record `before`.
    fn log(before: Option<Head>, count: u64) -> (String, Head) {
        let key = ChainKey::new(&secret()).unwrap();
        let (mut number, mut mac) = before.map_or((0, NO_MAC), |head| (head.number, head.mac.unwrap()));
        let mut text = String::new();
        for index in 0..count {
            number += 1;
            let kind = match (index, before) {
                (0, None) => r#""kind":"begin""#.to_owned(),
                (0, Some(_)) => format!(r#""kind":"continue","previous":"{}""#, hex(&mac)),
                _ => r#""kind":"decision","outcome":"denied""#.to_owned(),
            };
            let body = format!(r#"{{"seq":{number},{kind}"#);
            mac = key.mac(&mac, body.as_bytes()).unwrap();
            writeln!(text, "{body}{SEPARATOR}{}{END}", hex(&mac)).unwrap();
        }
        (text, Head { number, mac: Some(mac) })
    }

    fn proven(texts: &[&[u8]], head: Option<Head>) -> Result<AuditProof, AuditFault> {
        let directory = tempfile::tempdir().unwrap();
        let write = |(index, text): (usize, &&[u8])| {
            let path = directory.path().join(index.to_string());
            fs::write(&path, text).unwrap();
            path
        };
        let files: Vec<PathBuf> = texts.iter().enumerate().map(write).collect();
        verify(&files, &secret(), head)
    }

    #[test]
    fn a_flip_of_any_bit_is_found_in_its_record() {
        let (text, head) = log(None, 5);
        assert_eq!(proven(&[text.as_bytes()], Some(head)).unwrap(), AuditProof { first: 1, head });
        for at in 0..text.len() {
            let record = text[..at].matches('\n').count() as u64 + 1;
            for bit in [0x01, 0x20, 0x80] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= bit;
                let fault = proven(&[&bytes], None).unwrap_err();
                // The last line feed makes the record one that is cut off; any other, one with the next.
                let named = match fault {
                    AuditFault::Broken { number, .. } | AuditFault::Torn { number, .. } => number,
                    AuditFault::Beginning { .. } => 1,
                    _ => 0,
                };
                assert_eq!(named, record, "byte {at}");
            }
        }
    }

    #[test]
    fn a_cut_at_any_place_is_found_by_whoever_kept_the_head() {
        let (text, head) = log(None, 5);
        for length in 0..text.len() {
            assert!(proven(&[&text.as_bytes()[..length]], Some(head)).is_err(), "{length} bytes");
            let numbered = Head { mac: None, ..head };
            assert!(proven(&[&text.as_bytes()[..length]], Some(numbered)).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_chain_that_was_made_anew_has_another_head() {
        let (text, head) = log(None, 5);
        let other = Head { mac: Some([7; 32]), ..head };
        assert!(matches!(proven(&[text.as_bytes()], Some(other)), Err(AuditFault::OtherHead { number: 5 })));
    }

    #[test]
    fn files_follow_one_another() {
        let (first, head) = log(None, 3);
        let (second, end) = log(Some(head), 2);
        let (first, second) = (first.as_bytes(), second.as_bytes());
        assert_eq!(proven(&[first, second], Some(end)).unwrap(), AuditProof { first: 1, head: end });
        assert_eq!(proven(&[second], Some(end)).unwrap(), AuditProof { first: 4, head: end });
        assert!(matches!(proven(&[second], Some(head)), Err(AuditFault::Earlier { wanted: 3 })));
        assert!(matches!(proven(&[second, first], None), Err(AuditFault::Beginning { .. })));
        assert!(matches!(proven(&[first, b""], None), Err(AuditFault::Empty { .. })));
    }
}
