//! A record as one line of text: what the file holds, and what a shared store holds and tells.
//!
//! ```text
//! revoked ID KIND ISSUER KEY ISSUED_BEFORE|- EXPIRES_AT REVOKED_AT
//! restored ID EXPIRES_AT
//! ```
//!
//! Ids, issuers and keys are hexadecimal, times are milliseconds since the Unix epoch. There is one spelling for a
//! record: a store that keeps a set of lines keeps a set of records.

use super::{Change, IssuerTag, Revocation, RevocationId, RevocationKey, RevocationKind};
use crate::clock::UnixTime;
use std::fmt;
use std::str::{FromStr, Split};

/// The last millisecond that is believed to be a time: the year 9999.
const MAX_MILLIS: i64 = crate::jose::claims::MAX_SECONDS * 1000;

/// The line is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record of a revocation")]
pub struct LineError;

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked(made) => {
                write!(f, "revoked {} {} ", made.id, made.kind.name())?;
                hex(f, &made.issuer.0)?;
                f.write_str(" ")?;
                hex(f, &made.key.0)?;
                match made.issued_before {
                    Some(moment) => write!(f, " {}", moment.as_millis())?,
                    None => f.write_str(" -")?,
                }
                write!(f, " {} {}", made.expires_at.as_millis(), made.revoked_at.as_millis())
            }
            Self::TakenBack { id, expires_at } => write!(f, "restored {id} {}", expires_at.as_millis()),
        }
    }
}

impl FromStr for Change {
    type Err = LineError;

    fn from_str(line: &str) -> Result<Self, LineError> {
        let mut words = line.split(' ');
        let change = match words.next() {
            Some("revoked") => Self::Revoked(revoked(&mut words)?),
            Some("restored") => Self::TakenBack { id: word(&mut words)?.parse()?, expires_at: time(&mut words)? },
            _ => return Err(LineError),
        };
        if words.next().is_none() { Ok(change) } else { Err(LineError) }
    }
}

fn revoked(words: &mut Split<'_, char>) -> Result<Revocation, LineError> {
    let id = word(words)?.parse()?;
    let name = word(words)?;
    let kind = RevocationKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(LineError)?;
    let issuer = IssuerTag(bytes(word(words)?)?);
    let key = RevocationKey(bytes(word(words)?)?);
    let issued_before = match word(words)? {
        "-" => None,
        text => Some(moment(text)?),
    };
    let dated = matches!(kind, RevocationKind::Subject | RevocationKind::Issuer);
    if dated != issued_before.is_some() {
        return Err(LineError);
    }
    Ok(Revocation { id, kind, issuer, key, issued_before, expires_at: time(words)?, revoked_at: time(words)? })
}

fn word<'w>(words: &mut Split<'w, char>) -> Result<&'w str, LineError> {
    words.next().ok_or(LineError)
}

fn time(words: &mut Split<'_, char>) -> Result<UnixTime, LineError> {
    moment(word(words)?)
}

fn moment(text: &str) -> Result<UnixTime, LineError> {
    // One spelling only: `+1` or `01` would be a second record of the same thing.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let millis = text.parse().ok().filter(|millis| plain && *millis <= MAX_MILLIS);
    millis.map(UnixTime::from_millis).ok_or(LineError)
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], LineError> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(LineError);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

fn digit(byte: u8) -> Result<u8, LineError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(LineError),
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Debug for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for RevocationId {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, LineError> {
        bytes(text).map(Self)
    }
}

impl fmt::Debug for IssuerTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Debug for RevocationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    fn samples() -> Vec<Change> {
        let targets = [
            Target::Token("j"),
            Target::Session("s"),
            Target::Client("c"),
            Target::Subject { subject: "alice", issued_before: at(7) },
            Target::Issuer { issued_before: at(8) },
        ];
        let made = |target| Revocation::new(RevocationId::from_bits(42), "https://i", target, at(20), at(10));
        let mut samples: Vec<Change> = targets.into_iter().map(|target| Change::Revoked(made(target))).collect();
        samples.push(Change::TakenBack { id: RevocationId::from_bits(1 << 127), expires_at: at(20) });
        samples
    }

    #[test]
    fn every_record_is_read_as_it_was_written() {
        for change in samples() {
            assert_eq!(change.to_string().parse(), Ok(change));
        }
    }

    #[test]
    fn a_record_tells_nothing_of_the_token() {
        for change in samples() {
            let line = change.to_string();
            assert!(!line.contains("alice") && !line.contains("https"), "{line}");
        }
    }

    #[test]
    fn a_line_that_was_cut_short_is_no_record() {
        for change in samples() {
            let line = change.to_string();
            // A cut within the last number leaves a shorter number: the file's newline is what tells that one.
            let last_word = line.rfind(' ').unwrap();
            for length in 0..=last_word {
                assert_eq!(line[..length].parse::<Change>(), Err(LineError), "{}", &line[..length]);
            }
        }
    }

    #[test]
    fn a_record_has_one_spelling() {
        let line = samples()[3].to_string();
        for other in [
            line.to_uppercase(),
            line.replace(' ', "  "),
            format!("{line} "),
            format!("{line} 1"),
            line.replace(" 20000", " 020000"),
            line.replace(" 20000", " +20000"),
            line.replace(" 20000", " -1"),
            line.replace(" 20000", " 999999999999999999"),
            line.replace(" 7000", " -"),
            line.replace(" sub ", " what "),
        ] {
            assert_eq!(other.parse::<Change>(), Err(LineError), "{other}");
        }
    }
}
