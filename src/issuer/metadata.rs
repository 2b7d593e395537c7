//! What an issuer publishes, read strictly: its metadata and its key set.

use super::refresh::Fingerprint;
use crate::jose::{KeySetError, SigningAlgorithm, VerificationKeySet, json};
use std::time::Duration;

/// The largest document that is read.
pub const MAX_DOCUMENT: usize = 256 * 1024;
/// The most keys in a set.
pub const MAX_KEYS: usize = 64;

/// Why a document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not the JSON we read.
    #[error("the metadata is not acceptable: {0}")]
    Json(#[from] crate::jose::JsonError),
    /// It speaks for another issuer (RFC 8414 §3.3, OpenID Connect Discovery §4.3).
    #[error("the metadata's `issuer` is not the configured one")]
    OtherIssuer,
    /// No `jwks_uri`.
    #[error("the metadata names no `jwks_uri`")]
    NoKeys,
    /// The key set is refused.
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

/// The `jwks_uri` of the metadata of `issuer` (RFC 8414 §2, OpenID Connect Discovery §3). The member `issuer` must be
/// the configured one to the byte: otherwise one tenant of a host could publish the keys of another.
pub fn jwks_uri(document: &[u8], issuer: &str) -> Result<String, MetadataError> {
    let metadata = json::parse_object(document)?;
    if metadata.get("issuer").and_then(|value| value.as_str()) != Some(issuer) {
        return Err(MetadataError::OtherIssuer);
    }
    let uri = metadata.get("jwks_uri").and_then(|value| value.as_str());
    uri.map(str::to_owned).ok_or(MetadataError::NoKeys)
}

/// Reads a published key set (RFC 7517 §5).
///
/// A set without a usable key is taken at its word: an issuer that withdraws all keys must be able to.
pub fn key_set(document: &[u8]) -> Result<VerificationKeySet, MetadataError> {
    Ok(VerificationKeySet::parse(document, MAX_KEYS)?)
}

/// What a set is recognized by: names, key material and algorithms of its usable keys, in any order.
#[must_use]
pub fn fingerprint(set: &VerificationKeySet) -> Fingerprint {
    let mut keys: Vec<String> = set
        .keys()
        .iter()
        .map(|key| {
            let serves = SigningAlgorithm::ALL.iter().filter(|alg| key.fits(**alg)).map(|alg| alg.name());
            // A `kid` may hold any text; the quotes of Debug keep it apart from its neighbours.
            format!("{:?} {} {}", key.kid(), key.thumbprint(), serves.collect::<Vec<_>>().join("+"))
        })
        .collect();
    keys.sort_unstable();
    openssl::sha::sha256(keys.join("\n").as_bytes())
}

/// How long an answer says it stays fresh: the `max-age` of its `Cache-Control` values (RFC 9111 §5.2.2.1). `None`
/// where it says nothing we can follow; `no-store` and `no-cache` are meant for browsers here and say nothing either.
pub fn max_age<'v>(values: impl IntoIterator<Item = &'v str>) -> Option<Duration> {
    let directives = values.into_iter().flat_map(|value| value.split(','));
    let mut ages = directives.filter_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then_some(value)
    });
    let age = ages.next()?.trim().trim_matches('"');
    // Two that differ are a fault (RFC 9111 §4.2.1): then nothing was said.
    if ages.next().is_some() {
        return None;
    }
    age.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::ContentEncryption;
    use crate::jose::sign::{generate, public_jwk};
    use serde_json::{Value, json};

    fn private_key(alg: &str, kid: &str) -> Value {
        let mut key = generate(alg, ContentEncryption::A256GCM).unwrap();
        key["kid"] = kid.into();
        key
    }

    const ISSUER: &str = "https://idp.example.com/a";

    #[test]
    fn the_issuer_member_must_be_the_configured_one_to_the_byte() {
        let document = |issuer: Value| json!({"issuer": issuer, "jwks_uri": "https://k"}).to_string();
        assert_eq!(jwks_uri(document(ISSUER.into()).as_bytes(), ISSUER).unwrap(), "https://k");
        for other in ["https://idp.example.com/a/", "https://IDP.example.com/a", "https://idp.example.com/b", ""] {
            let read = jwks_uri(document(other.into()).as_bytes(), ISSUER);
            assert_eq!(read, Err(MetadataError::OtherIssuer), "{other}");
        }
        assert_eq!(jwks_uri(document(json!([ISSUER])).as_bytes(), ISSUER), Err(MetadataError::OtherIssuer));
    }

    #[test]
    fn metadata_with_a_member_twice_or_without_keys_is_refused() {
        let twice = format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"https://a","jwks_uri":"https://b"}}"#);
        assert!(matches!(jwks_uri(twice.as_bytes(), ISSUER), Err(MetadataError::Json(_))));
        let none = json!({"issuer": ISSUER}).to_string();
        assert_eq!(jwks_uri(none.as_bytes(), ISSUER), Err(MetadataError::NoKeys));
    }

    fn published(keys: &[Value]) -> Vec<u8> {
        json!({ "keys": keys }).to_string().into_bytes()
    }

    #[test]
    fn a_set_is_recognized_whatever_its_order_and_spelling() {
        let key = |kid| public_jwk(&private_key("ES256", kid)).unwrap();
        let (a, b) = (key("a"), key("b"));
        let print = |keys: &[Value]| fingerprint(&key_set(&published(keys)).unwrap());
        assert_eq!(print(&[a.clone(), b.clone()]), print(&[b.clone(), a.clone()]));
        let mut spelled = a.clone();
        spelled["x5t"] = "whatever".into();
        assert_eq!(print(&[spelled]), print(std::slice::from_ref(&a)));
        let mut renamed = a.clone();
        renamed["kid"] = "c".into();
        assert_ne!(print(&[renamed]), print(std::slice::from_ref(&a)));
        assert_ne!(print(&[a.clone(), b]), print(&[a]));
    }

    #[test]
    fn a_set_with_a_private_or_symmetric_key_is_refused_whole() {
        let good = public_jwk(&private_key("ES256", "good")).unwrap();
        for alg in ["ES256", "RS256", "EdDSA", "HS256"] {
            let set = published(&[good.clone(), private_key(alg, "bad")]);
            let refused = key_set(&set).map(drop);
            assert_eq!(refused, Err(MetadataError::Keys(KeySetError::PrivateMaterial(1))), "{alg}");
        }
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for text in ["<html></html>", "[]", "{}", r#"{"keys":{}}"#, "null", ""] {
            assert!(key_set(text.as_bytes()).is_err(), "{text}");
        }
        assert!(key_set(br#"{"keys":[]}"#).unwrap().is_empty());
    }

    #[test]
    fn max_age_is_read_or_nothing_is() {
        for (values, seconds) in [
            (&["max-age=60"][..], Some(60)),
            (&["public, Max-Age = \"60\" , must-revalidate"], Some(60)),
            (&["public", "max-age=60"], Some(60)),
            (&["max-age=60", "max-age=90"], None),
            (&["s-maxage=60"], None),
            (&["no-store"], None),
            (&["max-age=-1"], None),
            (&["max-age=1e9"], None),
            (&["max-age"], None),
            (&[], None),
        ] {
            assert_eq!(max_age(values.iter().copied()), seconds.map(Duration::from_secs), "{values:?}");
        }
    }
}
