//! The compact serialization (RFC 7515 §7.1, RFC 7516 §7.1): three segments are a JWS, five are a JWE.

use super::base64url;
use super::header::{HeaderError, JoseHeader};
use std::fmt;

/// The longest encoded header that is read, in characters.
pub const MAX_HEADER_LEN: usize = 2048;

/// A token in its parts.
#[derive(Debug)]
pub enum Compact<'t> {
    /// Signed: header, payload, signature.
    Jws(JwsParts<'t>),
    /// Encrypted: header, encrypted key, initialization vector, ciphertext, tag.
    Jwe(JweParts<'t>),
}

impl<'t> Compact<'t> {
    /// The parts of a JWS; `None` for a JWE.
    #[must_use]
    pub fn into_jws(self) -> Option<JwsParts<'t>> {
        match self {
            Self::Jws(parts) => Some(parts),
            Self::Jwe(_) => None,
        }
    }

    /// The parts of a JWE; `None` for a JWS.
    #[must_use]
    pub fn into_jwe(self) -> Option<JweParts<'t>> {
        match self {
            Self::Jwe(parts) => Some(parts),
            Self::Jws(_) => None,
        }
    }
}

/// A JWS in its parts; nothing about it is verified yet.
pub struct JwsParts<'t> {
    /// The protected header.
    pub header: JoseHeader,
    /// What the signature covers: the first two segments with their dot, as received (RFC 7515 §5.2 step 8).
    pub signing_input: &'t str,
    /// The decoded payload.
    pub payload: Vec<u8>,
    /// The decoded signature.
    pub signature: Vec<u8>,
}

/// A JWE in its parts; nothing about it is authenticated yet.
pub struct JweParts<'t> {
    /// The protected header.
    pub header: JoseHeader,
    /// What the tag covers besides the ciphertext: the first segment as received (RFC 7516 §5.2 step 15).
    pub aad: &'t str,
    /// The encrypted key, empty with `dir` and `ECDH-ES`.
    pub encrypted_key: Vec<u8>,
    /// The initialization vector.
    pub iv: Vec<u8>,
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// The authentication tag.
    pub tag: Vec<u8>,
}

/// Why a text is no compact token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// Neither three nor five segments.
    #[error("not three or five segments")]
    Segments,
    /// The encoded header is longer than [`MAX_HEADER_LEN`].
    #[error("the header is too long")]
    HeaderTooLong,
    /// A segment is not canonical base64url.
    #[error("a segment is not canonical base64url")]
    Encoding,
    /// Three segments with `enc`, or five without (RFC 7516 §9): built to be read differently by two readers.
    #[error("the header does not fit the number of segments")]
    WrongForm,
    /// The header itself.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// Takes a token apart. Every segment is decoded strictly; the header is read; nothing is verified.
///
/// The cost is linear: the caller has bounded the token's length, and what is allocated stays below it.
pub fn split(token: &str) -> Result<Compact<'_>, CompactError> {
    match segments(token)? {
        Segments::Three(header, payload, signature) => {
            let parsed = JoseHeader::parse(&header_json(header)?)?;
            Ok(Compact::Jws(jws(token, parsed, payload, signature)?))
        }
        Segments::Five([header, encrypted_key, iv, ciphertext, tag]) => {
            let parsed = JoseHeader::parse(&header_json(header)?)?;
            if parsed.enc.is_none() {
                return Err(CompactError::WrongForm);
            }
            Ok(Compact::Jwe(JweParts {
                header: parsed,
                aad: header,
                encrypted_key: decode(encrypted_key)?,
                iv: decode(iv)?,
                ciphertext: decode(ciphertext)?,
                tag: decode(tag)?,
            }))
        }
    }
}

/// Takes a DPoP proof apart (RFC 9449 §4.2): a JWS whose header may carry `jwk`.
pub fn split_proof(token: &str) -> Result<JwsParts<'_>, CompactError> {
    match segments(token)? {
        Segments::Three(header, payload, signature) => {
            let parsed = JoseHeader::parse_proof(&header_json(header)?)?;
            jws(token, parsed, payload, signature)
        }
        Segments::Five(_) => Err(CompactError::Segments),
    }
}

enum Segments<'t> {
    Three(&'t str, &'t str, &'t str),
    Five([&'t str; 5]),
}

/// Stops at the sixth segment: a megabyte of dots costs no more than six of them.
fn segments(token: &str) -> Result<Segments<'_>, CompactError> {
    let mut parts = token.split('.');
    let mut next = || parts.next();
    match [next(), next(), next(), next(), next(), next()] {
        [Some(header), Some(payload), Some(signature), None, ..] => Ok(Segments::Three(header, payload, signature)),
        [Some(header), Some(encrypted_key), Some(iv), Some(ciphertext), Some(tag), None] => {
            Ok(Segments::Five([header, encrypted_key, iv, ciphertext, tag]))
        }
        _ => Err(CompactError::Segments),
    }
}

fn jws<'t>(token: &'t str, header: JoseHeader, payload: &str, signature: &str) -> Result<JwsParts<'t>, CompactError> {
    if header.enc.is_some() {
        return Err(CompactError::WrongForm);
    }
    let signed_len = token.len() - signature.len() - 1;
    let signing_input = token.get(..signed_len).ok_or(CompactError::Segments)?;
    Ok(JwsParts { header, signing_input, payload: decode(payload)?, signature: decode(signature)? })
}

fn header_json(segment: &str) -> Result<Vec<u8>, CompactError> {
    if segment.len() > MAX_HEADER_LEN {
        return Err(CompactError::HeaderTooLong);
    }
    decode(segment)
}

fn decode(segment: &str) -> Result<Vec<u8>, CompactError> {
    base64url::decode(segment).ok_or(CompactError::Encoding)
}

impl fmt::Debug for JwsParts<'_> {
    /// Shows no content: a token in a log is a stolen token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwsParts").field("header", &self.header).finish_non_exhaustive()
    }
}

impl fmt::Debug for JweParts<'_> {
    /// Shows no content: a token in a log is a stolen token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JweParts").field("header", &self.header).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWS_HEADER: &str = "eyJhbGciOiJIUzI1NiJ9"; // {"alg":"HS256"}
    const JWE_HEADER: &str = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0"; // {"alg":"dir","enc":"A128GCM"}

    fn fault(token: &str) -> CompactError {
        split(token).unwrap_err()
    }

    #[test]
    fn three_segments_are_a_jws() {
        let token = format!("{JWS_HEADER}.e30.AQID");
        let parts = split(&token).unwrap().into_jws().unwrap();
        assert_eq!(parts.signing_input, format!("{JWS_HEADER}.e30"));
        assert_eq!((parts.payload.as_slice(), parts.signature.as_slice()), (&b"{}"[..], &[1, 2, 3][..]));
    }

    #[test]
    fn five_segments_are_a_jwe() {
        let token = format!("{JWE_HEADER}..AQ.Ag.Aw");
        let parts = split(&token).unwrap().into_jwe().unwrap();
        assert_eq!(parts.aad, JWE_HEADER);
        assert_eq!([parts.encrypted_key, parts.iv, parts.ciphertext, parts.tag], [vec![], vec![1], vec![2], vec![3]]);
    }

    #[test]
    fn any_other_number_of_segments_is_refused() {
        for n in [0, 1, 3, 5, 6, 100_000] {
            assert_eq!(fault(&format!("{JWS_HEADER}{}", ".".repeat(n))), CompactError::Segments, "{n} dots");
        }
    }

    #[test]
    fn non_canonical_base64url_is_refused_in_every_segment() {
        let jws = [JWS_HEADER, "e30", "AQ"];
        let jwe = [JWE_HEADER, "AQ", "AQ", "AQ", "AQ"];
        for parts in [&jws[..], &jwe[..]] {
            for place in 0..parts.len() {
                for bad in ["AR", "AQ==", "A", "A+", "A/", "AQ ", "AQ\n", "Aé"] {
                    let mut parts = parts.to_vec();
                    parts[place] = bad;
                    assert_eq!(fault(&parts.join(".")), CompactError::Encoding, "{bad:?} at {place}");
                }
            }
        }
    }

    #[test]
    fn a_header_that_contradicts_the_form_is_refused() {
        assert_eq!(fault(&format!("{JWE_HEADER}.e30.AQ")), CompactError::WrongForm);
        assert_eq!(fault(&format!("{JWS_HEADER}.AQ.AQ.AQ.AQ")), CompactError::WrongForm);
    }

    #[test]
    fn a_long_header_is_refused_before_it_is_decoded() {
        assert_eq!(fault(&format!("{}.e30.AQ", "A".repeat(MAX_HEADER_LEN + 1))), CompactError::HeaderTooLong);
    }

    #[test]
    fn a_proof_is_a_jws_with_a_key() {
        let header = base64url::encode(br#"{"alg":"ES256","jwk":{}}"#);
        assert!(split_proof(&format!("{header}.e30.AQ")).unwrap().header.jwk.is_some());
        assert_eq!(fault(&format!("{header}.e30.AQ")), CompactError::Header(HeaderError::Refused("jwk")));
        assert_eq!(split_proof(&format!("{JWE_HEADER}....")).unwrap_err(), CompactError::Segments);
    }

    #[test]
    fn debug_shows_no_content() {
        let payload = base64url::encode(b"topsecret");
        let shown = format!("{:?}", split(&format!("{JWS_HEADER}.{payload}.AQ")).unwrap());
        assert!(!shown.contains("topsecret") && !shown.contains(&payload), "{shown}");
    }
}
