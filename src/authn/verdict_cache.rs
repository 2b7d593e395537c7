//! Verdicts on tokens that were opened before: these very bytes, under this key set and this configuration.
//!
//! Only what never changes is remembered: that the signature verified and the JWE decrypted. Times, audience, binding,
//! revocation and replay are judged on every use. Routes with `replay: once` don't ask the cache at all: their tokens
//! come once, so that a place in it would be wasted. For the same reason a token gets its place when it comes a second
//! time ([`VerdictCache::comes_again`]), unless a lock-out has to know it sooner.

use super::Opened;
use super::doorkeeper::Doorkeeper;
use crate::clock::UnixTime;
use crate::issuer::Registry;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// What a cached verdict costs beside what was opened: the cache's own place for it, and two counted pointers.
const OVERHEAD: usize = 256;

/// What most verdicts weigh, and rather less.
const TYPICAL: usize = 2048;

/// How much may be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerdictBounds {
    /// The most verdicts; 0: none is remembered.
    pub entries: usize,
    /// The most memory that they may hold together, in bytes. What tells whether a token came before takes four bytes an
    /// entry more, and at most 4 MiB.
    pub bytes: u64,
}

impl Default for VerdictBounds {
    /// The defaults of `server.verdict_cache`.
    fn default() -> Self {
        Self { entries: 100_000, bytes: 256 << 20 }
    }
}

/// A bounded cache of opened tokens.
pub struct VerdictCache {
    /// Keys the hash, so that nobody outside can aim at a place in the cache.
    secret: [u8; 32],
    door: Doorkeeper,
    verdicts: Cache<[u8; 32], Verdict, Weight>,
}

impl std::fmt::Debug for VerdictCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerdictCache").field("len", &self.verdicts.len()).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Verdict {
    opened: Opened,
    size: usize,
}

#[derive(Clone)]
struct Weight {
    /// So heavy that the bound on bytes is a bound on entries too.
    least: u64,
}

impl Weighter<[u8; 32], Verdict> for Weight {
    fn weight(&self, _: &[u8; 32], verdict: &Verdict) -> u64 {
        u64::try_from(verdict.size).unwrap_or(u64::MAX).max(self.least)
    }
}

/// The name of one token in the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerdictKey([u8; 32]);

impl VerdictCache {
    /// A cache of at most `entries` verdicts, together at most `bytes` large. Zero of either keeps nothing.
    ///
    /// Fails when the system has no randomness.
    pub fn new(entries: usize, bytes: u64) -> Result<Self, openssl::error::ErrorStack> {
        let mut secret = [0; 32];
        openssl::rand::rand_bytes(&mut secret)?;
        // Rounded up: so many of the lightest are no more than `entries`.
        let least = bytes.div_ceil(u64::try_from(entries).unwrap_or(u64::MAX).max(1)).max(1);
        // What the cache keeps books on, among them keys it has dropped, is to be small beside what it holds.
        let expected = usize::try_from(bytes).unwrap_or(usize::MAX) / TYPICAL;
        let capacity = if entries == 0 { 0 } else { bytes };
        let verdicts = Cache::with_weighter(entries.min(expected), capacity, Weight { least });
        Ok(Self { secret, door: Doorkeeper::new(entries), verdicts })
    }

    /// The key of `token` under one generation of the configuration: a verdict of an older one is never found.
    #[must_use]
    pub fn key(&self, token: &str, generation: u64) -> VerdictKey {
        let mut hasher = openssl::sha::Sha256::new();
        hasher.update(&self.secret);
        hasher.update(&generation.to_be_bytes());
        hasher.update(token.as_bytes());
        VerdictKey(hasher.finish())
    }

    /// The verdict for `key`, if the keys that proved it are still the issuer's keys at `now`.
    #[must_use]
    pub fn find(&self, key: VerdictKey, registry: &Registry, now: UnixTime) -> Option<Opened> {
        let verdict = self.verdicts.get(&key.0)?;
        if verdict.opened.is_still_proven(registry, now) {
            return Some(verdict.opened);
        }
        self.verdicts.remove(&key.0);
        None
    }

    /// True when `key` was asked about before, and not so long ago that it is forgotten. From now on it was.
    #[must_use]
    pub fn comes_again(&self, key: VerdictKey) -> bool {
        self.door.knows(&key.0)
    }

    /// Remembers a verdict.
    pub fn remember(&self, key: VerdictKey, opened: &Opened) {
        self.verdicts.insert(key.0, Verdict { opened: opened.clone(), size: opened.footprint() + OVERHEAD });
    }

    /// The number of verdicts held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.verdicts.len()
    }

    /// True when none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::{Form, IssuerId, IssuerProfile, KeyRing, TokenContract};
    use crate::jose::{SigningAlgorithm, VerificationKey, VerificationKeySet, sign::sign_compact};
    use crate::observe::Silent;
    use serde_json::{Map, json};
    use std::sync::Arc;

    const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

    fn registry() -> Registry {
        let key = VerificationKey::from_secret(SECRET, &[SigningAlgorithm::HS256]).unwrap();
        let contract = TokenContract {
            leeway: std::time::Duration::ZERO,
            ..TokenContract::new(Form::Signed, vec![SigningAlgorithm::HS256])
        };
        let keys = KeyRing::new(Some(VerificationKeySet::from_keys(vec![key]).unwrap()), None);
        let (issuer, audiences) = ("https://i.test".into(), Vec::new());
        Registry::new(vec![Arc::new(IssuerProfile { name: "i".into(), issuer, audiences, contract, keys })])
    }

    fn opened(registry: &Registry, filler: usize) -> Opened {
        let claims = json!({ "iss": "https://i.test", "filler": "x".repeat(filler) }).to_string();
        let k = crate::jose::base64url::encode(SECRET);
        let token = sign_compact(&Map::new(), claims.as_bytes(), &json!({ "kty": "oct", "k": k })).unwrap();
        super::super::token::open(registry, &[IssuerId::new(0)], &token, UnixTime::from_seconds(0), &Silent).unwrap()
    }

    fn filled(entries: usize, bytes: u64, filler: usize) -> VerdictCache {
        let (registry, cache) = (registry(), VerdictCache::new(entries, bytes).unwrap());
        let verdict = opened(&registry, filler);
        for at in 0..500 {
            cache.remember(cache.key(&at.to_string(), 1), &verdict);
        }
        cache
    }

    #[test]
    fn the_cache_is_bounded_by_entries_and_by_bytes() {
        let by_entries = filled(100, 64 << 20, 10).len();
        assert!((50..=100).contains(&by_entries), "{by_entries} of 100 entries");
        let by_bytes = filled(100_000, 256 << 10, 4000).len();
        assert!((30..=64).contains(&by_bytes), "{by_bytes} verdicts of more than 4000 bytes in 256 KiB");
        assert!(filled(0, 1 << 20, 10).is_empty() && filled(100, 0, 10).is_empty());
    }

    #[test]
    fn a_token_is_known_when_it_comes_again() {
        let cache = VerdictCache::new(10, 1 << 20).unwrap();
        let comes_again = |token| cache.comes_again(cache.key(token, 1));
        assert_eq!([comes_again("token"), comes_again("token")], [false, true]);
        assert!(!cache.comes_again(cache.key("token", 2)), "another generation judges anew");
        assert!(cache.is_empty());
    }

    #[test]
    fn a_verdict_is_found_under_its_bytes_its_generation_and_its_cache_alone() {
        let (registry, cache) = (registry(), VerdictCache::new(10, 1 << 20).unwrap());
        cache.remember(cache.key("token", 1), &opened(&registry, 1));
        let finds = |token: &str, generation| {
            cache.find(cache.key(token, generation), &registry, UnixTime::from_seconds(0)).is_some()
        };
        assert!(finds("token", 1));
        assert!(!finds("token", 2) && !finds("token ", 1) && !finds("Token", 1) && !finds("", 1));
        let other = VerdictCache::new(10, 1 << 20).unwrap();
        assert!(other.key("token", 1) != cache.key("token", 1), "nobody outside can tell a token's place");
    }

    #[test]
    fn a_verdict_without_its_keys_is_dropped_when_it_is_met() {
        let (registry, cache) = (registry(), VerdictCache::new(10, 1 << 20).unwrap());
        let key = cache.key("token", 1);
        cache.remember(key, &opened(&registry, 1));
        let ring = &registry.profile(IssuerId::new(0)).unwrap().keys;
        let none = Arc::new(VerificationKeySet::default());
        ring.replace(crate::issuer::KeySnapshot { set: none, generation: 2, stale_at: None });
        assert!(cache.find(key, &registry, UnixTime::from_seconds(0)).is_none());
        assert!(cache.is_empty());
    }
}
