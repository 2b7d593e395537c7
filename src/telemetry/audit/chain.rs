//! The chain: each record carries an HMAC (RFC 2104, SHA-256) over itself and over the one before it.

use crate::secret::Secret;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use std::fmt;
use std::str::FromStr;

/// What stands between a record and its mac.
pub(super) const SEPARATOR: &str = ",\"mac\":\"";
/// What ends a record.
pub(super) const END: &str = "\"}";

/// The mac of one record.
pub(super) type Mac = [u8; 32];

/// The mac before the first record of a chain.
pub(super) const NO_MAC: Mac = [0; 32];

/// The key of a chain.
pub(super) struct ChainKey {
    chain: PKey<Private>,
    subjects: PKey<Private>,
}

impl ChainKey {
    /// Two keys for two purposes out of one secret.
    pub(super) fn new(secret: &Secret<Vec<u8>>) -> Result<Self, ErrorStack> {
        let secret = PKey::hmac(secret.expose())?;
        let derived = |purpose: &[u8]| PKey::hmac(&mac(&secret, &[purpose])?);
        Ok(Self { chain: derived(b"tollgate audit chain")?, subjects: derived(b"tollgate audit subject")? })
    }

    /// The mac of the record `body` behind the one whose mac is `previous`.
    pub(super) fn mac(&self, previous: &Mac, body: &[u8]) -> Result<Mac, ErrorStack> {
        mac(&self.chain, &[previous, body])
    }

    /// A name for `subject` of `issuer` that only holders of the key can find out, in 128 bits. Lengths stand before the
    /// parts, so that no two pairs are one text.
    pub(super) fn pseudonym(&self, issuer: &str, subject: &str) -> Option<String> {
        let length = (issuer.len() as u64).to_be_bytes();
        let mac = mac(&self.subjects, &[&length, issuer.as_bytes(), subject.as_bytes()]).ok()?;
        Some(hex(mac.get(..16)?))
    }
}

fn mac(key: &PKey<Private>, parts: &[&[u8]]) -> Result<Mac, ErrorStack> {
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
    for part in parts {
        signer.update(part)?;
    }
    let mut mac = NO_MAC;
    signer.sign(&mut mac)?;
    Ok(mac)
}

/// The end of a chain: its last record's number and mac. Whoever keeps it can tell that records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The record's number; the first is 1, and 0 stands for a chain without records.
    pub number: u64,
    /// Its mac; `None` where only the number is known, as metrics tell it.
    pub mac: Option<[u8; 32]>,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mac {
            Some(mac) => write!(f, "{}-{}", self.number, hex(mac)),
            None => write!(f, "{}", self.number),
        }
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a head is a number, or a number, `-` and 64 hexadecimal digits";
        let (number, mac) = text.split_once('-').map_or((text, None), |(number, mac)| (number, Some(mac)));
        let mac = mac.map(|mac| unhex(mac.as_bytes()).ok_or(WRONG)).transpose()?;
        Ok(Self { number: number.parse().map_err(|_| WRONG)?, mac })
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The mac of 64 lower-case digits; in capitals it would be another text with the same meaning, which no record has.
pub(super) fn unhex(digits: &[u8]) -> Option<Mac> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if digits.len() != 64 {
        return None;
    }
    let mut mac = NO_MAC;
    for (byte, pair) in mac.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?;
    }
    Some(mac)
}

/// A line without its line feed, taken apart: what is under the mac, and the mac.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], Mac)> {
    let rest = line.strip_suffix(END.as_bytes())?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
    Some((rest.strip_suffix(SEPARATOR.as_bytes())?, unhex(digits)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &[u8]) -> ChainKey {
        ChainKey::new(&Secret::new(secret.to_vec())).unwrap()
    }

    #[test]
    fn a_mac_depends_on_key_record_and_the_record_before() {
        let (one, other) = (key(&[1; 32]), key(&[2; 32]));
        let mac = one.mac(&NO_MAC, b"a").unwrap();
        assert_eq!(mac, one.mac(&NO_MAC, b"a").unwrap());
        for different in [one.mac(&NO_MAC, b"b"), one.mac(&mac, b"a"), other.mac(&NO_MAC, b"a")] {
            assert_ne!(mac, different.unwrap());
        }
    }

    #[test]
    fn pseudonyms_tell_people_of_two_issuers_apart() {
        let key = key(&[1; 32]);
        assert_eq!(key.pseudonym("corp", "alice"), key.pseudonym("corp", "alice"));
        assert_ne!(key.pseudonym("corp", "alice"), key.pseudonym("corpa", "lice"));
        assert_ne!(key.pseudonym("corp", "alice"), key.pseudonym("other", "alice"));
        assert_eq!(key.pseudonym("corp", "alice").unwrap().len(), 32);
    }

    #[test]
    fn a_head_reads_as_it_is_written() {
        let head = Head { number: 17, mac: Some([0xab; 32]) };
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!("17".parse(), Ok(Head { number: 17, mac: None }));
        for text in ["", "-", "x", "17-", "17-AB", &head.to_string().to_uppercase()] {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_line_is_taken_apart_only_whole() {
        let line = format!("{{\"seq\":1{SEPARATOR}{}{END}", hex(&[7; 32]));
        assert_eq!(split(line.as_bytes()), Some((&b"{\"seq\":1"[..], [7; 32])));
        assert_eq!(split(&line.as_bytes()[1..]), Some((&b"\"seq\":1"[..], [7; 32])));
        for cut in 1..70 {
            assert_eq!(split(&line.as_bytes()[..line.len() - cut]), None);
        }
        assert_eq!(split(b""), None);
    }
}
