//! The credential of a request: exactly one, or a named fault (RFC 6750 §2.1, RFC 9449 §7.1).

use http::{HeaderMap, HeaderValue, header};

/// How the client presented its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `Authorization: Bearer` (RFC 6750).
    Bearer,
    /// `Authorization: DPoP` (RFC 9449).
    Dpop,
}

impl Scheme {
    /// The scheme's registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}

/// One token and the scheme it came under. The token is not yet trusted in any way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential<'r> {
    /// The scheme of the `Authorization` field.
    pub scheme: Scheme,
    /// The token as sent.
    pub token: &'r str,
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} …", self.scheme.name())
    }
}

/// Why there is no single credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// No `Authorization` field, or one of a scheme that carries no token of ours.
    #[error("no credential was sent")]
    Missing,
    /// More than one `Authorization` field.
    #[error("more than one credential was sent")]
    Several,
    /// A field that is not `Bearer` or `DPoP` followed by one `token68` (RFC 9110 §11.2).
    #[error("the credential is malformed")]
    Malformed,
}

/// Finds the one credential of a request.
///
/// Only the `Authorization` field counts: tokens in query or form are refused by not being looked for (RFC 9700
/// §2.1 forbids the query). A second field is never ignored, for proxy and backend might pick different ones.
pub fn find(headers: &HeaderMap) -> Result<Credential<'_>, CredentialError> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let field = fields.next().ok_or(CredentialError::Missing)?;
    if fields.next().is_some() {
        return Err(CredentialError::Several);
    }
    let value = std::str::from_utf8(field.as_bytes()).map_err(|_| CredentialError::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(CredentialError::Malformed)?;
    let Some(scheme) = scheme_of(scheme) else {
        // Another scheme is not ours to judge: to this route the request is without a credential.
        return Err(if is_text(field) { CredentialError::Missing } else { CredentialError::Malformed });
    };
    let token = token.trim_matches(' ');
    if is_token68(token) {
        return Ok(Credential { scheme, token });
    }
    let several = is_text(field) && token.contains(',') && token.contains(' ');
    Err(if several { CredentialError::Several } else { CredentialError::Malformed })
}

fn scheme_of(name: &str) -> Option<Scheme> {
    [Scheme::Bearer, Scheme::Dpop].into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme.name()))
}

/// True when the field holds visible characters of ASCII, spaces and tabs alone.
fn is_text(field: &HeaderValue) -> bool {
    field.to_str().is_ok()
}

/// RFC 9110 §11.2, `=` anywhere. Without a way out half-way, many bytes are looked at in one step.
fn is_token68(token: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
    !token.is_empty() && token.bytes().fold(true, |all, byte| all & fits(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(values: &[&'static str]) -> Result<(Scheme, String), CredentialError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        find(&headers).map(|found| (found.scheme, found.token.to_owned()))
    }

    #[test]
    fn one_credential_is_found_under_either_scheme() {
        assert_eq!(find_in(&["Bearer a.b.c"]), Ok((Scheme::Bearer, "a.b.c".into())));
        assert_eq!(find_in(&["bEARER  a.b.c"]), Ok((Scheme::Bearer, "a.b.c".into())));
        assert_eq!(find_in(&["DPoP a.b.c"]), Ok((Scheme::Dpop, "a.b.c".into())));
    }

    #[test]
    fn two_credentials_are_never_one() {
        assert_eq!(find_in(&["Bearer a", "Bearer a"]), Err(CredentialError::Several));
        assert_eq!(find_in(&["Bearer a, Bearer b"]), Err(CredentialError::Several));
    }

    #[test]
    fn malformed_fields_are_named() {
        assert_eq!(find_in(&[]), Err(CredentialError::Missing));
        assert_eq!(find_in(&["Basic dTpw"]), Err(CredentialError::Missing));
        for value in ["Bearer", "Bearer ", "Bearer a b", "Bearer a\tb", "Bearer \"a\""] {
            assert_eq!(find_in(&[value]), Err(CredentialError::Malformed), "{value}");
        }
    }

    #[test]
    fn what_is_no_text_is_malformed_whatever_it_holds() {
        for value in ["Basic d\u{e9}", "Bearer a\u{e9}", "Bearer a, Bearer \u{e9}", "B\u{e9}arer a"] {
            let mut headers = HeaderMap::new();
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            assert_eq!(find(&headers).unwrap_err(), CredentialError::Malformed, "{value}");
        }
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(b"Bearer a\xff").unwrap());
        assert_eq!(find(&headers).unwrap_err(), CredentialError::Malformed);
    }

    #[test]
    fn every_byte_of_a_token_is_looked_at() {
        for byte in 0..=0x7f_u8 {
            let fits = byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            for at in [0, 7, 31, 99] {
                let mut token = [b'a'; 100];
                token[at] = byte;
                assert_eq!(is_token68(std::str::from_utf8(&token).unwrap()), fits, "{byte} at {at}");
            }
        }
    }
}
