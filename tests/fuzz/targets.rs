//! What each parser promises of whatever it accepts.

use super::Seen::{self, Accepted, Refused};
use super::config_support::{CANARY, Workshop, load};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tollgate::jose::{
    Claims, Compact, DecryptionKeySet, JoseHeader, Json, SigningAlgorithm, VerificationKey, VerificationKeySet,
    base64url, header, shared_secret, split, split_proof,
};
use tollgate::request::{Authority, CanonicalPath, credentials};

/// A token that is read has one spelling: its parts, written again, are it.
pub fn compact(input: &[u8]) -> Seen {
    let Ok(token) = std::str::from_utf8(input) else { return Refused };
    let _ = split_proof(token);
    match split(token) {
        Err(_) => Refused,
        Ok(Compact::Jws(parts)) => {
            let header = token.split('.').next().unwrap();
            let again = [header.to_owned(), base64url::encode(&parts.payload), base64url::encode(&parts.signature)];
            assert_eq!(again.join("."), token);
            assert_eq!(token.strip_prefix(parts.signing_input), Some(format!(".{}", again[2]).as_str()));
            Accepted
        }
        Ok(Compact::Jwe(parts)) => {
            let rest =
                [&parts.encrypted_key, &parts.iv, &parts.ciphertext, &parts.tag].map(|part| base64url::encode(part));
            assert_eq!(format!("{}.{}", parts.aad, rest.join(".")), token);
            assert!(parts.header.enc.is_some());
            Accepted
        }
    }
}

/// A header that is read holds nothing that is refused by name, and no reader sees another `alg` in it.
pub fn header(input: &[u8]) -> Seen {
    let proof = JoseHeader::parse_proof(input);
    let Ok(header) = JoseHeader::parse(input) else { return Refused };
    assert_eq!(proof.as_ref(), Ok(&header), "without a jwk both readings are one");
    let members: Value = serde_json::from_slice(input).expect("another reader reads it too");
    for refused in ["crit", "zip", "b64", "jku", "jwk", "x5u", "x5c", "p2s", "p2c"] {
        assert!(members.get(refused).is_none(), "{refused}");
    }
    assert_eq!(members["alg"], header.alg.as_str());
    assert_eq!(members.get("kid").and_then(Value::as_str), header.kid.as_deref());
    assert!(header.kid.is_none_or(|kid| kid.len() <= header::MAX_KID_LEN));
    Accepted
}

/// Claims that are read say the same when they are written and read again, and their times lie between 1970 and 9999.
pub fn claims(input: &[u8]) -> Seen {
    let Ok(claims) = Claims::parse(input) else { return Refused };
    let written = serde_json::to_vec(&Json::Object(claims.members())).unwrap();
    assert!(Claims::parse(&written).is_ok_and(|again| again == claims));
    let times = [claims.expires_at(), claims.not_before(), claims.issued_at(), claims.authenticated_at()];
    assert!(times.into_iter().flatten().all(|time| (0..=253_402_300_799).contains(&time.as_seconds())));
    for name in ["iss", "sub", "jti", "sid", "azp", "client_id"] {
        assert!(claims.get(name).is_none_or(|value| value.as_str().is_some()), "{name}");
    }
    assert!(claims.audiences().all(|audience| !audience.is_empty()));
    let _ = (claims.pointer("/a/0"), claims.lookup("/"), claims.footprint());
    Accepted
}

/// A public key that is read has no private member, serves an algorithm, and refuses a signature of zeros.
pub fn jwk(input: &[u8]) -> Seen {
    let _ = (shared_secret(input), DecryptionKeySet::parse_private(input));
    let Ok(Value::Object(members)) = serde_json::from_slice(input) else { return Refused };
    let Ok(key) = VerificationKey::from_jwk(&members) else { return Refused };
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        assert!(!members.contains_key(private), "{private}");
    }
    let served: Vec<_> = SigningAlgorithm::ALL.iter().filter(|alg| key.fits(**alg)).collect();
    assert!(!served.is_empty() && served.iter().all(|alg| !alg.is_symmetric()), "{served:?}");
    for alg in served {
        let len = alg.signature_len().unwrap_or(256);
        assert!(key.verify(*alg, b"input", &vec![0; len]).is_err());
    }
    assert_eq!(key.thumbprint().len(), 43);
    Accepted
}

/// A set that is read is bounded, and each name in it is one key's.
pub fn jwks(input: &[u8]) -> Seen {
    let _ = DecryptionKeySet::parse_private(input);
    let Ok(set) = VerificationKeySet::parse(input, 8) else { return Refused };
    assert!(set.len() + set.skipped() <= 8);
    let mut names: Vec<_> = set.keys().iter().filter_map(VerificationKey::kid).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for alg in SigningAlgorithm::ALL {
        assert!(
            set.select(None, *alg).is_ok_and(|keys| keys.len() <= 4 && !keys.is_empty())
                || set.select(None, *alg).is_err()
        );
    }
    Accepted
}

/// A canonical path is its own canonical form, and holds nothing that a server behind would read otherwise.
pub fn path(input: &[u8]) -> Seen {
    let Ok(path) = CanonicalPath::parse(input) else { return Refused };
    let text = path.as_str();
    assert!(CanonicalPath::parse(text.as_bytes()).is_ok_and(|again| again.as_str() == text));
    assert!(text.starts_with('/') && text.is_ascii() && text.eq_ignore_ascii_case(std::str::from_utf8(input).unwrap()));
    assert!(!text.contains("//") && !text.contains([';', '\\', '#', '?', ' ']), "{text}");
    let lower = text.to_ascii_lowercase();
    assert!(!["%2f", "%5c", "%00", "%2e", "%61"].iter().any(|escape| lower.contains(escape)), "{text}");
    assert!(!lower.split('/').any(|segment| segment == "." || segment == ".."), "{text}");
    Accepted
}

/// An authority that is read names one host, in one spelling.
pub fn authority(input: &[u8]) -> Seen {
    let Some(authority) = std::str::from_utf8(input).ok().and_then(Authority::parse) else { return Refused };
    let host = authority.host.as_str();
    assert!(
        !host.is_empty() && host == host.to_ascii_lowercase() && !host.contains(['@', '/', '\\', ' ', '%']),
        "{host}"
    );
    let written = authority.port.map_or(host.to_owned(), |port| format!("{host}:{port}"));
    assert_eq!(Authority::parse(&written), Some(authority));
    Accepted
}

/// Each line is a header field; what is found is the one credential there is.
pub fn credentials(input: &[u8]) -> Seen {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.strip_prefix(b": ").unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let Ok(found) = credentials::find(&headers) else { return Refused };
    assert_eq!(headers.get_all("authorization").iter().count(), 1);
    let field = headers["authorization"].to_str().unwrap();
    assert!(field.to_ascii_lowercase().starts_with(&found.scheme.name().to_ascii_lowercase()));
    assert!(!found.token.is_empty() && !found.token.contains([' ', ',', '"', '\t']), "{field}");
    assert_eq!(field.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>()[1..], [found.token]);
    Accepted
}

/// A configuration is loaded, or refused with faults that each have a place and betray no secret.
pub fn gateway(workshop: &Workshop, input: &[u8]) -> Seen {
    match load(&workshop.write("gateway.yaml", input)) {
        Ok(_) => Accepted,
        Err(faults) => {
            assert!(!faults.is_empty());
            assert!(faults.iter().all(|fault| fault.line() > 0), "{faults}");
            assert!(!faults.to_string().contains(CANARY) || !is_secret(input), "{faults}");
            Refused
        }
    }
}

/// True if the canary stands only where a secret belongs. A mutation may have made a key or a file's name of it, and
/// these have to be shown.
fn is_secret(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    text.match_indices(CANARY).all(|(at, _)| {
        let line = text[..at].rsplit('\n').next().unwrap_or_default();
        let key = line.rsplit_once(": ").map_or("", |(before, _)| before);
        ["token", "shared_secret", "decryption_keys"].iter().any(|secret| key.ends_with(secret))
    })
}
