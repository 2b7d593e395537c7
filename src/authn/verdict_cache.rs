//! Verdicts on tokens that were opened before: these very bytes, under this key set and this configuration.
//!
//! Only what never changes is remembered: that the signature verified and the JWE decrypted. Times, audience, binding,
//! revocation and replay are judged on every use. Routes with `replay: once` don't ask the cache at all: their tokens
//! come once, so that a place in it would be wasted.

use super::Opened;
use crate::clock::UnixTime;
use crate::issuer::Registry;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// What a cached verdict costs beside what was opened: the cache's own place for it, and two counted pointers.
const OVERHEAD: usize = 256;

/// How much may be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerdictBounds {
    /// The most verdicts; 0: none is remembered.
    pub entries: usize,
    /// The most memory that they may hold together, in bytes.
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
        let verdicts = Cache::with_weighter(entries, if entries == 0 { 0 } else { bytes }, Weight { least });
        Ok(Self { secret, verdicts })
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
