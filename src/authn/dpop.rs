//! DPoP proofs (RFC 9449 §4.3): a signature of the client's own key over this one request and this one token.
//!
//! The order is the defence: shape and header first, then whether the key is the one the token names, then what the
//! proof says about the request, then the signature. An impostor's proof costs us no crypto, and no place in the cache.

mod signature;

use super::workshop::Workshop;
use super::{DpopNonces, DpopPolicy, ProofKeys};
use crate::clock::UnixTime;
use crate::jose::{self, Claims, EmbeddedKey, JoseHeader, SigningAlgorithm, base64url, is_media_type};
use crate::observe::Observer;
use crate::request::TargetUri;
use crate::store::NonceKey;
use http::{HeaderMap, Method};
use openssl::sha::sha256;
use std::time::Duration;

/// The header field that carries the proof (RFC 9449 §4.1).
pub const DPOP: &str = "dpop";

/// The `typ` of a proof (RFC 9449 §4.2).
const PROOF_TYPE: &str = "dpop+jwt";

/// The longest proof that is read: one by a large RSA key has half of it.
const MAX_PROOF_LEN: usize = 8 * 1024;

/// The longest `jti` that is remembered. RFC 9449 §4.2 asks 96 bits of it.
const MAX_JTI_LEN: usize = 256;

/// Why a proof proves nothing. The texts are for the operator and hold nothing of the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is not exactly one proof, or it is not what RFC 9449 §4.2 describes.
    #[error("malformed proof: {0}")]
    Malformed(&'static str),
    /// The proof is for another request or token, or its signature does not verify.
    #[error("the proof does not fit: {0}")]
    Mismatch(&'static str),
    /// The proof was made too long ago, or lies ahead.
    #[error("the proof is not of now: {0}")]
    Stale(&'static str),
    /// The proof holds no nonce of ours that is still good.
    #[error("the proof holds no current nonce of this gateway")]
    NonceRequired,
    /// The proof's key is not the one the token is bound to.
    #[error("the proof is by another key than the token's")]
    OtherKey,
    /// There is no room for the cryptography it takes.
    #[error("no room for the cryptography it takes")]
    Overloaded,
}

/// The request that a proof must be for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'r> {
    pub(super) headers: &'r HeaderMap,
    pub(super) method: &'r Method,
    pub(super) target: &'r TargetUri,
    pub(super) token: &'r str,
    /// The thumbprint of the token's key.
    pub(super) key: &'r [u8; 32],
    pub(super) now: UnixTime,
    pub(super) leeway: Duration,
}

/// What a check may use beside the request.
#[derive(Clone, Copy)]
pub struct ProofTools<'t> {
    /// Keys that were imported before; `None` where nothing may be remembered.
    pub keys: Option<&'t ProofKeys>,
    /// Who verifies signatures that take long.
    pub workshop: &'t dyn Workshop,
    /// The nonces of this gateway.
    pub nonces: &'t DpopNonces,
    /// Who is told how long the signature took.
    pub observer: &'t dyn Observer,
}

/// One valid proof, as it must be claimed so that it is used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofUse {
    /// The name of its `jti`, within those of its key.
    pub(super) key: NonceKey,
    /// When it was made, as it says.
    pub(super) issued_at: UnixTime,
    /// When it becomes stale.
    pub(super) stale_at: UnixTime,
}

/// Checks the proof of a request, all of RFC 9449 §4.3 but the one-time use of its `jti`.
pub(super) async fn check(
    policy: &DpopPolicy,
    expected: &Expected<'_>,
    tools: ProofTools<'_>,
) -> Result<ProofUse, ProofError> {
    let jws = jose::split_proof(sole_proof(expected.headers)?);
    let jws = jws.map_err(|_| ProofError::Malformed("no JWS whose header a proof may have"))?;
    let key = read_key(policy, &jws.header)?;
    if key.thumbprint() != expected.key {
        return Err(ProofError::OtherKey);
    }
    let claims = Claims::parse(&jws.payload).map_err(|_| ProofError::Malformed("the claims are mistyped"))?;
    check_request(&claims, expected)?;
    let (issued_at, stale_at) = check_time(&claims, policy, expected)?;
    signature::verify(&jws, key, tools).await?;
    check_nonce(&claims, policy, tools.nonces, expected.now)?;
    let jti = claims.token_id().filter(|jti| (1..=MAX_JTI_LEN).contains(&jti.len()));
    let jti = jti.ok_or(ProofError::Malformed("no jti, or one that is too long"))?;
    let key = NonceKey::new("proof", &base64url::encode(expected.key), jti);
    Ok(ProofUse { key, issued_at, stale_at })
}

/// The one proof. Two are refused even if one of them fits: what is behind us might look at the other.
fn sole_proof(headers: &HeaderMap) -> Result<&str, ProofError> {
    let mut fields = headers.get_all(DPOP).iter();
    let field = fields.next().ok_or(ProofError::Malformed("no DPoP header"))?;
    if fields.next().is_some() {
        return Err(ProofError::Malformed("more than one DPoP header"));
    }
    let text = field.to_str().map_err(|_| ProofError::Malformed("not ASCII"))?;
    match text {
        _ if text.contains(',') => Err(ProofError::Malformed("more than one proof in one DPoP header")),
        _ if text.len() > MAX_PROOF_LEN => Err(ProofError::Malformed("too long")),
        _ => Ok(text),
    }
}

fn read_key(policy: &DpopPolicy, header: &JoseHeader) -> Result<EmbeddedKey, ProofError> {
    if !header.typ.as_deref().is_some_and(|typ| is_media_type(typ, PROOF_TYPE)) {
        return Err(ProofError::Malformed("typ is not dpop+jwt"));
    }
    let algorithm = SigningAlgorithm::from_name(&header.alg).filter(|named| policy.accepts(*named));
    let algorithm = algorithm.ok_or(ProofError::Malformed("alg is none of the route's"))?;
    let jwk = header.jwk.as_ref().ok_or(ProofError::Malformed("no jwk"))?;
    EmbeddedKey::read(jwk, algorithm).map_err(|_| ProofError::Malformed("jwk is no public key for alg"))
}

/// `htm`, `htu` and `ath` must be this request's and this token's.
fn check_request(claims: &Claims, expected: &Expected<'_>) -> Result<(), ProofError> {
    let member = |name| claims.text(name).ok_or(ProofError::Malformed("no htm, htu or ath"));
    let (method, target, token_hash) = (member("htm")?, member("htu")?, member("ath")?);
    if method != expected.method.as_str() {
        return Err(ProofError::Mismatch("htm is another method"));
    }
    if TargetUri::parse(target).as_ref() != Some(expected.target) {
        return Err(ProofError::Mismatch("htu is another URI"));
    }
    if token_hash != base64url::encode(&sha256(expected.token.as_bytes())) {
        return Err(ProofError::Mismatch("ath is of another token"));
    }
    Ok(())
}

/// The window of `iat`; answers when the proof was made, and when it leaves the window.
fn check_time(
    claims: &Claims,
    policy: &DpopPolicy,
    expected: &Expected<'_>,
) -> Result<(UnixTime, UnixTime), ProofError> {
    let (now, leeway) = (expected.now, expected.leeway);
    let issued_at = claims.issued_at().ok_or(ProofError::Malformed("no iat"))?;
    let stale_at = issued_at.plus(policy.max_age()).plus(leeway);
    if now >= stale_at {
        return Err(ProofError::Stale("iat is too long ago"));
    }
    if now < issued_at.minus(leeway) {
        return Err(ProofError::Stale("iat lies ahead"));
    }
    // A proof needs neither, but one that sets its own bounds is held to them (RFC 7519 §4.1.4, §4.1.5).
    let ended = claims.expires_at().is_some_and(|expires_at| now >= expires_at.plus(leeway));
    let begun = claims.not_before().is_none_or(|not_before| now >= not_before.minus(leeway));
    if ended || !begun { Err(ProofError::Stale("its own exp or nbf")) } else { Ok((issued_at, stale_at)) }
}

/// Last, so that only somebody with the key is told that nothing but a nonce is missing.
fn check_nonce(claims: &Claims, policy: &DpopPolicy, nonces: &DpopNonces, now: UnixTime) -> Result<(), ProofError> {
    let current = claims.text("nonce").is_some_and(|nonce| nonces.accepts(nonce, now));
    if policy.wants_nonce() && !current { Err(ProofError::NonceRequired) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::workshop::tests::block_on;
    use crate::authn::{DpopNonceRule, OnTheSpot};
    use crate::jose::ContentEncryption;
    use crate::jose::sign::{SigningKey, generate, public_jwk};
    use crate::observe::Silent;
    use crate::secret::Secret;
    use http::HeaderValue;
    use serde_json::{Map, Value, json};

    const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    const NOW: i64 = 1_562_262_618;

    /// A client: its key, and the proofs it makes.
    struct Client {
        private: Map<String, Value>,
        header: Value,
        claims: Value,
    }

    impl Client {
        fn new(alg: &str) -> Self {
            let private = generate(alg, ContentEncryption::A256GCM).unwrap();
            let ath = base64url::encode(&sha256(TOKEN.as_bytes()));
            let htu = "https://resource.example.org/protectedresource";
            Self {
                header: json!({"typ": "dpop+jwt", "jwk": public_jwk(&private).unwrap()}),
                claims: json!({"jti": "j", "htm": "GET", "htu": htu, "iat": NOW, "ath": ath}),
                private: private.as_object().unwrap().clone(),
            }
        }

        fn claim(mut self, name: &str, value: Value) -> Self {
            self.claims[name] = value;
            self
        }

        fn without(mut self, name: &str) -> Self {
            self.claims.as_object_mut().unwrap().remove(name);
            self
        }

        fn header(mut self, name: &str, value: Value) -> Self {
            self.header[name] = value;
            self
        }

        fn key(&self) -> [u8; 32] {
            let thumbprint = crate::jose::thumbprint(&self.private).unwrap();
            base64url::decode(&thumbprint).unwrap().try_into().unwrap()
        }

        fn proof(&self) -> String {
            let signer = SigningKey::from_jwk(&self.private, None).unwrap();
            signer.sign_compact(self.header.as_object().unwrap(), self.claims.to_string().as_bytes()).unwrap()
        }

        fn verdict(&self) -> Result<ProofUse, ProofError> {
            judge(&[&self.proof()], &self.key(), &DpopPolicy::default())
        }
    }

    fn nonces() -> DpopNonces {
        DpopNonces::shared(Secret::new(vec![7; 32])).unwrap()
    }

    fn judge(proofs: &[&str], key: &[u8; 32], policy: &DpopPolicy) -> Result<ProofUse, ProofError> {
        let mut headers = HeaderMap::new();
        for proof in proofs {
            headers.append(DPOP, HeaderValue::from_str(proof).unwrap());
        }
        let expected = Expected {
            headers: &headers,
            method: &Method::GET,
            target: &TargetUri::parse("https://resource.example.org/protectedresource").unwrap(),
            token: TOKEN,
            key,
            now: UnixTime::from_seconds(NOW),
            leeway: Duration::from_secs(10),
        };
        let nonces = nonces();
        let tools = ProofTools { keys: None, workshop: &OnTheSpot, nonces: &nonces, observer: &Silent };
        block_on(check(policy, &expected, tools))
    }

    #[test]
    fn the_example_of_rfc_9449_section_7_1() {
        let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUk\
            lDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSI\
            sImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5\
            leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXW\
            G9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoM\
            xhAJpLjA";
        let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
        let key = base64url::decode(jkt).unwrap().try_into().unwrap();
        let proven = judge(&[proof], &key, &DpopPolicy::default()).unwrap();
        assert_eq!(proven.key, NonceKey::new("proof", jkt, "e1j3V_bKic8-LAEB"));
        assert_eq!(proven.issued_at, UnixTime::from_seconds(NOW));
        assert_eq!(proven.stale_at, UnixTime::from_seconds(NOW + 60 + 10));
    }

    #[test]
    fn every_listed_algorithm_proves_and_no_other() {
        use SigningAlgorithm as A;
        for (name, algorithm) in [("ES256", A::ES256), ("ES384", A::ES384), ("EdDSA", A::EdDSA), ("PS256", A::PS256)] {
            let client = Client::new(name);
            let policy =
                |algorithms| DpopPolicy::new(DpopNonceRule::None, Duration::from_secs(60), algorithms).unwrap();
            assert!(judge(&[&client.proof()], &client.key(), &policy(vec![algorithm])).is_ok(), "{name}");
            let refused = judge(&[&client.proof()], &client.key(), &policy(vec![A::ES512])).unwrap_err();
            assert_eq!(refused, ProofError::Malformed("alg is none of the route's"), "{name}");
        }
    }

    #[test]
    fn each_rule_about_the_request_refuses_alone() {
        let client = || Client::new("ES256");
        for (name, value, fault) in [
            ("htm", json!("POST"), "htm is another method"),
            ("htm", json!("get"), "htm is another method"),
            ("htu", json!("https://resource.example.org/other"), "htu is another URI"),
            ("htu", json!("http://resource.example.org/protectedresource"), "htu is another URI"),
            ("htu", json!("https://evil.example.org/protectedresource"), "htu is another URI"),
            ("htu", json!("/protectedresource"), "htu is another URI"),
            ("ath", json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEO"), "ath is of another token"),
            ("ath", json!(TOKEN), "ath is of another token"),
        ] {
            assert_eq!(client().claim(name, value).verdict(), Err(ProofError::Mismatch(fault)), "{name}");
        }
        for name in ["htm", "htu", "ath"] {
            let refused = Err(ProofError::Malformed("no htm, htu or ath"));
            assert_eq!(client().without(name).verdict(), refused, "{name}");
            assert_eq!(client().claim(name, json!(1)).verdict(), refused, "{name}");
        }
        // RFC 9449 §4.3 (9): query and fragment play no part.
        let with_query = "https://resource.example.org/protectedresource?x=1#y";
        assert!(client().claim("htu", json!(with_query)).verdict().is_ok());
    }

    #[test]
    fn each_rule_about_time_and_jti_refuses_alone() {
        let client = || Client::new("ES256");
        for (name, value, fault) in [
            ("iat", json!(NOW - 70), "iat is too long ago"),
            ("iat", json!(NOW + 11), "iat lies ahead"),
            ("exp", json!(NOW - 10), "its own exp or nbf"),
            ("nbf", json!(NOW + 11), "its own exp or nbf"),
        ] {
            assert_eq!(client().claim(name, value).verdict(), Err(ProofError::Stale(fault)), "{name}");
        }
        for iat in [NOW - 69, NOW + 10] {
            assert!(client().claim("iat", json!(iat)).verdict().is_ok(), "{iat}");
        }
        assert_eq!(client().without("iat").verdict(), Err(ProofError::Malformed("no iat")));
        let no_jti = Err(ProofError::Malformed("no jti, or one that is too long"));
        assert_eq!(client().without("jti").verdict(), no_jti);
        assert_eq!(client().claim("jti", json!("")).verdict(), no_jti);
        assert_eq!(client().claim("jti", json!("j".repeat(MAX_JTI_LEN + 1))).verdict(), no_jti);
        assert!(client().claim("jti", json!("j".repeat(MAX_JTI_LEN))).verdict().is_ok());
        for (name, value) in [("jti", json!(1)), ("nonce", json!(1)), ("iat", json!("1"))] {
            let mistyped = Err(ProofError::Malformed("the claims are mistyped"));
            assert_eq!(client().claim(name, value).verdict(), mistyped, "{name}");
        }
    }

    #[test]
    fn each_rule_about_the_header_refuses_alone() {
        let client = || Client::new("ES256");
        for typ in [json!("JWT"), json!("at+jwt"), json!("")] {
            assert_eq!(client().header("typ", typ).verdict(), Err(ProofError::Malformed("typ is not dpop+jwt")));
        }
        for typ in ["DPoP+JWT", "application/dpop+jwt"] {
            assert!(client().header("typ", json!(typ)).verdict().is_ok(), "{typ}");
        }
        for (name, value) in
            [("crit", json!(["x"])), ("jku", json!("https://x")), ("b64", json!(false)), ("jwk", json!("x"))]
        {
            let refused = Err(ProofError::Malformed("no JWS whose header a proof may have"));
            assert_eq!(client().header(name, value).verdict(), refused, "{name}");
        }
        let private = client();
        let shown = private.private.clone();
        let refused = Err(ProofError::Malformed("jwk is no public key for alg"));
        assert_eq!(private.header("jwk", Value::Object(shown)).verdict(), refused);
        assert_eq!(client().header("jwk", json!({"kty": "oct", "k": "AQ"})).verdict(), refused);
    }

    #[test]
    fn a_proof_by_another_key_proves_nothing() {
        let (victim, thief) = (Client::new("ES256"), Client::new("ES256"));
        let policy = DpopPolicy::default();
        assert_eq!(judge(&[&thief.proof()], &victim.key(), &policy), Err(ProofError::OtherKey));
        // The victim's public key in the header, the thief's signature behind it.
        let forged = thief.header("jwk", victim.header["jwk"].clone());
        let verdict = judge(&[&forged.proof()], &victim.key(), &policy);
        assert_eq!(verdict, Err(ProofError::Mismatch("the signature does not verify")));
    }

    #[test]
    fn there_is_exactly_one_proof() {
        let client = Client::new("ES256");
        let (one, other) = (client.proof(), client.proof());
        let verdict = |proofs: &[&str]| judge(proofs, &client.key(), &DpopPolicy::default()).unwrap_err();
        assert_eq!(verdict(&[]), ProofError::Malformed("no DPoP header"));
        assert_eq!(verdict(&[&one, &other]), ProofError::Malformed("more than one DPoP header"));
        let joined = format!("{one}, {other}");
        assert_eq!(verdict(&[&joined]), ProofError::Malformed("more than one proof in one DPoP header"));
        assert_eq!(verdict(&[&"a".repeat(MAX_PROOF_LEN + 1)]), ProofError::Malformed("too long"));
        for text in ["", "a.b", TOKEN, &format!("{one}."), &one.replace('.', "")] {
            assert!(matches!(verdict(&[text]), ProofError::Malformed(_)), "{text}");
        }
    }

    #[test]
    fn a_nonce_is_asked_where_the_route_asks_it() {
        let asks = DpopPolicy::new(DpopNonceRule::Required, Duration::from_secs(60), vec![SigningAlgorithm::ES256]);
        let asks = asks.unwrap();
        let verdict = |client: &Client| judge(&[&client.proof()], &client.key(), &asks);
        assert_eq!(verdict(&Client::new("ES256")), Err(ProofError::NonceRequired));
        assert_eq!(verdict(&Client::new("ES256").claim("nonce", json!("made up"))), Err(ProofError::NonceRequired));
        let current = nonces().current(UnixTime::from_seconds(NOW)).unwrap();
        assert!(verdict(&Client::new("ES256").claim("nonce", json!(current))).is_ok());
        let old = nonces().current(UnixTime::from_seconds(NOW - 200)).unwrap();
        assert_eq!(verdict(&Client::new("ES256").claim("nonce", json!(old))), Err(ProofError::NonceRequired));
        assert!(Client::new("ES256").claim("nonce", json!("made up")).verdict().is_ok());
    }
}
