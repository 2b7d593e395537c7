//! The credential of a request: exactly one, or a named fault (RFC 6750 §2.1, RFC 9449 §7.1).

use http::{HeaderMap, header};

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
    let value = field.to_str().map_err(|_| CredentialError::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(CredentialError::Malformed)?;
    let scheme = if scheme.eq_ignore_ascii_case("bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Scheme::Dpop
    } else {
        // Another scheme is not ours to judge: to this route the request is without a credential.
        return Err(CredentialError::Missing);
    };
    let token = token.trim_matches(' ');
    if token.contains(',') && token.contains(' ') {
        return Err(CredentialError::Several);
    }
    if token.is_empty() || !token.bytes().all(is_token68) {
        return Err(CredentialError::Malformed);
    }
    Ok(Credential { scheme, token })
}

fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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
}
