//! The keys of an issuer, read and held against what its tokens need.

use super::Workbench;
use super::issuers::algorithms_of_source;
use crate::config::schema::fetch::IssuerKeys;
use crate::config::schema::issuers::{Issuer, Token};
use crate::config::schema::value::{FilePath, List, SecretRef};
use crate::config::site::Site;
use crate::issuer::{Form, KeyRing};
use crate::jose::jwk::thumbprint;
use crate::jose::{
    DecryptionKey, DecryptionKeySet, SigningAlgorithm, VerificationKey, VerificationKeySet, base64url, shared_secret,
};
use crate::secret::Secret;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The largest JWKS, in bytes, and the most keys in it.
const MAX_JWKS: usize = 256 * 1024;
const MAX_KEYS: usize = 64;
/// Visible text of fewer bytes holds less than 256 random bits, even in base64.
const STRONG_TEXT: usize = 43;

/// What the keys of one issuer are read for.
pub struct Keys<'i> {
    pub issuer: &'i Issuer,
    pub token: &'i Token,
    pub form: Form,
    pub site: &'i Site,
}

/// The symmetric keys seen so far, by thumbprint, with the issuer that has them.
#[derive(Default)]
pub struct Symmetric(HashMap<String, Site>);

impl Symmetric {
    /// Notes a key that another issuer has too: either could make the other's tokens.
    fn add(&mut self, key: &Map<String, Value>, owner: &Site, place: &Site, bench: &mut Workbench<'_>) {
        let Ok(print) = thumbprint(key) else { return };
        match self.0.get(&print) {
            Some(other) if other.path() != owner.path() => {
                let problem =
                    format!("is the same symmetric key as that of {other}, so that each could make the other's tokens");
                bench.faults.push(place, problem, "give every issuer a secret of its own");
            }
            _ => {
                self.0.insert(print, owner.clone());
            }
        }
    }
}

impl Keys<'_> {
    /// The key ring; `None` after a fault.
    pub fn compile(&self, symmetric: &mut Symmetric, bench: &mut Workbench<'_>) -> Option<KeyRing> {
        let verification = match self.form {
            Form::Sealed => Some(None),
            Form::Signed | Form::Nested => match self.source(bench) {
                Some(keys) if keys.is_remote() => Some(None),
                Some(keys) => self.fixed(keys, symmetric, bench).map(Some),
                None => None,
            },
        };
        let decryption = match self.form {
            Form::Signed => Some(None),
            Form::Nested => self.nested(symmetric, bench).map(Some),
            Form::Sealed => self.sealed(symmetric, bench).map(Some),
        };
        Some(KeyRing::new(verification?, decryption?))
    }

    fn token_site(&self) -> Site {
        self.site.key("token")
    }

    fn algorithms(&self) -> Vec<SigningAlgorithm> {
        self.token.signing_algorithms.iter().flat_map(List::items).map(|name| name.0).collect()
    }

    /// The one source of the keys that verify signatures, the algorithms held against it; `None` after a fault.
    fn source(&self, bench: &mut Workbench<'_>) -> Option<&IssuerKeys> {
        let site = self.site.key("keys");
        let keys = self.issuer.keys.as_ref();
        match keys.map(IssuerKeys::sources).unwrap_or_default().as_slice() {
            [] => {
                let remedy = "write `discovery: true`, `jwks_uri: URL`, `jwks_file: PATH` or `shared_secret: env:NAME`";
                bench.faults.push_missing(&site, "name no source of keys", remedy);
                None
            }
            [source] => {
                algorithms_of_source(self.token, *source == "shared_secret", &self.token_site(), bench.faults);
                keys
            }
            several => {
                let remedy = format!("keep one of `{}`", several.join("`, `"));
                bench.faults.push(&site, "names several sources", remedy);
                None
            }
        }
    }

    /// Keys that stand in a file or are a secret.
    fn fixed(
        &self,
        keys: &IssuerKeys,
        symmetric: &mut Symmetric,
        bench: &mut Workbench<'_>,
    ) -> Option<VerificationKeySet> {
        let site = self.site.key("keys");
        match (&keys.jwks_file, &keys.shared_secret) {
            (Some(path), _) => self.jwks(path, &site.key("jwks_file"), bench),
            (None, Some(reference)) => self.hmac(reference, &site.key("shared_secret"), symmetric, bench),
            (None, None) => None,
        }
    }

    fn jwks(&self, path: &FilePath, site: &Site, bench: &mut Workbench<'_>) -> Option<VerificationKeySet> {
        let bytes = bench.file(path.as_str(), MAX_JWKS, site)?;
        let set = match VerificationKeySet::parse(&bytes, MAX_KEYS) {
            Ok(set) => set,
            Err(error) => {
                bench.faults.push(site, format!("names {path}, which is refused: {error}"), "name a public JWKS");
                return None;
            }
        };
        if set.skipped() > 0 {
            bench.warn(site, format!("holds {} keys that can't verify signatures here", set.skipped()));
        }
        let algorithms: Vec<_> = self.algorithms().into_iter().filter(|alg| !alg.is_symmetric()).collect();
        let serves = |alg: &SigningAlgorithm| set.keys().iter().any(|key| key.fits(*alg));
        if !algorithms.is_empty() && !algorithms.iter().any(serves) {
            let problem = format!("names {path}, in which no key serves `signing_algorithms`");
            bench.faults.push(site, problem, "name the issuer's public JWKS, or write the algorithms of its keys");
            return None;
        }
        for alg in algorithms.iter().filter(|alg| !serves(alg)) {
            bench.warn(site, format!("holds no key for `{alg}`"));
        }
        Some(set)
    }

    fn hmac(
        &self,
        reference: &SecretRef,
        site: &Site,
        symmetric: &mut Symmetric,
        bench: &mut Workbench<'_>,
    ) -> Option<VerificationKeySet> {
        let secret = self.secret(reference, site, symmetric, bench)?;
        if secret.expose().len() < STRONG_TEXT && secret.expose().iter().all(u8::is_ascii_graphic) {
            bench.warn(site, "is short text: 256 random bits in base64url have 43 letters");
        }
        let algorithms: Vec<_> = self.algorithms().into_iter().filter(|alg| alg.is_symmetric()).collect();
        if algorithms.is_empty() {
            return None;
        }
        let key = VerificationKey::from_secret(secret.expose(), &algorithms).map_err(|error| error.to_string());
        let set = key.and_then(|key| VerificationKeySet::from_keys(vec![key]).map_err(|error| error.to_string()));
        set.map_err(|error| {
            let problem = format!("names `{reference}`, which is refused: {error}");
            bench.faults.push(site, problem, "put at least as many random bytes there as the hash has: 32, 48 or 64");
        })
        .ok()
    }

    /// The bytes of a shared secret; `None` after a fault.
    fn secret(
        &self,
        reference: &SecretRef,
        site: &Site,
        symmetric: &mut Symmetric,
        bench: &mut Workbench<'_>,
    ) -> Option<Secret<Vec<u8>>> {
        let bytes = bench.secret(reference, site)?;
        match shared_secret(bytes.expose()) {
            Ok(secret) => {
                symmetric.add(&oct(secret.expose()), self.site, site, bench);
                Some(secret)
            }
            Err(error) => {
                let problem = format!("names `{reference}`, which is refused: {error}");
                bench.faults.push(site, problem, "put the raw secret there, or a JWK with `kty: oct`");
                None
            }
        }
    }

    fn nested(&self, symmetric: &mut Symmetric, bench: &mut Workbench<'_>) -> Option<DecryptionKeySet> {
        let site = self.token_site().key("decryption_keys");
        let Some(reference) = &self.token.decryption_keys else {
            let remedy = "write `decryption_keys: file:PATH`, a private JWK or JWKS";
            bench.faults.push_missing(&site, "is missing: a `nested` token needs it", remedy);
            return None;
        };
        self.private_set(reference, &site, symmetric, bench)
    }

    /// Sealed tokens are opened by the shared secret, or by symmetric `decryption_keys`.
    fn sealed(&self, symmetric: &mut Symmetric, bench: &mut Workbench<'_>) -> Option<DecryptionKeySet> {
        let site = self.site.key("keys");
        let keys = self.issuer.keys.as_ref();
        let sources = keys.map(IssuerKeys::sources).unwrap_or_default();
        for public in sources.into_iter().filter(|source| *source != "shared_secret") {
            let problem = "has no use for a `sealed` token, which bears no signature";
            bench.faults.push(&site.key(public), problem, "write `shared_secret` instead, or `form: nested`");
        }
        let place = site.key("shared_secret");
        match (keys.and_then(|keys| keys.shared_secret.as_ref()), &self.token.decryption_keys) {
            (Some(_), Some(_)) => {
                bench.faults.push(&place, "stands beside `token.decryption_keys`", "keep one of the two");
                None
            }
            (None, Some(reference)) => {
                self.private_set(reference, &self.token_site().key("decryption_keys"), symmetric, bench)
            }
            (Some(reference), None) => {
                let secret = self.secret(reference, &place, symmetric, bench)?;
                let set = DecryptionKeySet::from_keys(vec![DecryptionKey::from_secret(secret.expose())]).ok()?;
                self.serves(&set, &place, bench).then_some(set)
            }
            (None, None) => {
                let remedy = "write `keys: { shared_secret: env:NAME }`";
                bench.faults.push_missing(&site, "name no secret that opens a `sealed` token", remedy);
                None
            }
        }
    }

    fn private_set(
        &self,
        reference: &SecretRef,
        site: &Site,
        symmetric: &mut Symmetric,
        bench: &mut Workbench<'_>,
    ) -> Option<DecryptionKeySet> {
        let bytes = bench.secret(reference, site)?;
        match DecryptionKeySet::parse_private(bytes.expose()) {
            Ok(set) => {
                for key in symmetric_keys(bytes.expose()) {
                    symmetric.add(&key, self.site, site, bench);
                }
                self.serves(&set, site, bench).then_some(set)
            }
            Err(error) => {
                let problem = format!("names `{reference}`, which is refused: {error}");
                bench.faults.push(site, problem, "put a private JWK or JWKS there, every key of it usable");
                None
            }
        }
    }

    /// True if every algorithm listed is served by a key; notes those that are not.
    fn serves(&self, set: &DecryptionKeySet, site: &Site, bench: &mut Workbench<'_>) -> bool {
        let encryptions: Vec<_> =
            self.token.content_encryptions.iter().flat_map(List::items).map(|name| name.0).collect();
        let mut all = true;
        for name in self.token.key_algorithms.iter().flat_map(List::items) {
            let fits = set.keys().iter().any(|key| encryptions.iter().any(|enc| key.fits(name.0, *enc)));
            if !fits && !encryptions.is_empty() {
                let problem = format!("holds no key that serves `{}` with `content_encryptions`", name.0);
                bench.faults.push(site, problem, "name a key of the type and length it needs, or remove the algorithm");
                all = false;
            }
        }
        all
    }
}

/// A symmetric key as a JWK.
fn oct(secret: &[u8]) -> Map<String, Value> {
    let members = [("kty", "oct".to_owned()), ("k", base64url::encode(secret))];
    members.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

/// The symmetric keys of a JWK or JWKS.
fn symmetric_keys(bytes: &[u8]) -> Vec<Map<String, Value>> {
    let Ok(Value::Object(document)) = serde_json::from_slice(bytes) else { return Vec::new() };
    let keys = match document.get("keys") {
        Some(Value::Array(keys)) => keys.clone(),
        _ => vec![Value::Object(document)],
    };
    keys.into_iter()
        .filter_map(|key| match key {
            Value::Object(key) if key.get("kty").is_some_and(|kty| kty == "oct") => Some(key),
            _ => None,
        })
        .collect()
}
