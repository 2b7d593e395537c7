//! Revocations as a store keeps them: a list that is only ever added to.
//!
//! A revocation is one record under a random id. Taking it back is a second record, a tombstone under the same id, and
//! the tombstone wins over the revocation in whatever order the two arrive. So a list never has to be replaced by what
//! somebody read: the union of two lists is the newer list. A store that lost its memory takes nothing away from a
//! replica that reads it, and gets the records back from every replica that still has them. Both records go when the
//! last token they could concern has expired.
//!
//! This is a trait of its own beside [`Store`](super::Store): a claim is one question a request, asked and forgotten; a
//! list is followed in the background, lives in a file where claims live in memory, and is never asked by a request.

#[cfg(feature = "server")]
mod file;
mod line;

#[cfg(feature = "server")]
pub use file::{RevocationFile, RevocationFileError};
pub use line::LineError;

use super::StoreError;
use crate::clock::UnixTime;
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;

/// Records are kept this much longer than their date says: the leeway with which tokens are accepted, and clocks that
/// differ.
pub const KEPT_BEYOND: Duration = Duration::from_secs(3600);

/// What a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RevocationKind {
    /// One token, by its identifier (RFC 7519 §4.1.7).
    Token,
    /// All tokens of one session (OpenID Connect Back-Channel Logout §2.1).
    Session,
    /// All tokens of one client (RFC 8693 §4.3, OpenID Connect Core §2 `azp`).
    Client,
    /// All tokens of one subject that were issued before a moment: log out everywhere.
    Subject,
    /// All tokens of the issuer that were issued before a moment.
    Issuer,
}

impl RevocationKind {
    /// Every kind, in the order of their discriminants.
    pub const ALL: [Self; 5] = [Self::Token, Self::Session, Self::Client, Self::Subject, Self::Issuer];

    /// The member that names the target in `POST /api/revocations`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "jti",
            Self::Session => "sid",
            Self::Client => "client_id",
            Self::Subject => "sub",
            Self::Issuer => "issuer",
        }
    }

    /// The position in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What is to be revoked, in clear.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Target<'t> {
    /// The token with this identifier.
    Token(&'t str),
    /// The session with this `sid`.
    Session(&'t str),
    /// The client with this `client_id`.
    Client(&'t str),
    /// The subject's tokens with an `iat` before this moment.
    Subject {
        /// The `sub`.
        subject: &'t str,
        /// The first moment whose tokens are good again.
        issued_before: UnixTime,
    },
    /// All the issuer's tokens with an `iat` before this moment.
    Issuer {
        /// The first moment whose tokens are good again.
        issued_before: UnixTime,
    },
}

impl Target<'_> {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> RevocationKind {
        match self {
            Self::Token(_) => RevocationKind::Token,
            Self::Session(_) => RevocationKind::Session,
            Self::Client(_) => RevocationKind::Client,
            Self::Subject { .. } => RevocationKind::Subject,
            Self::Issuer { .. } => RevocationKind::Issuer,
        }
    }

    fn value(&self) -> &str {
        match self {
            Self::Token(value) | Self::Session(value) | Self::Client(value) => value,
            Self::Subject { subject, .. } => subject,
            Self::Issuer { .. } => "",
        }
    }

    const fn issued_before(&self) -> Option<UnixTime> {
        match self {
            Self::Subject { issued_before, .. } | Self::Issuer { issued_before } => Some(*issued_before),
            Self::Token(_) | Self::Session(_) | Self::Client(_) => None,
        }
    }
}

/// An issuer in a record: 64 bits of SHA-256 of its `iss`. It tells the issuers of a configuration apart, no more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerTag([u8; 8]);

impl IssuerTag {
    /// The tag of the issuer with this exact `iss`.
    #[must_use]
    pub fn new(iss: &str) -> Self {
        // Not the one-shot function: that one looks its algorithm up each time, which costs four times the hash.
        let mut hasher = openssl::sha::Sha256::new();
        hasher.update(iss.as_bytes());
        Self(leading(hasher.finish()))
    }
}

/// What is looked up for a token: 128 bits of SHA-256 over issuer, kind and value, so that a list tells nobody whose
/// tokens are on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationKey([u8; 16]);

impl RevocationKey {
    /// The key of `value` among the tokens of `issuer`.
    #[must_use]
    pub fn new(kind: RevocationKind, issuer: IssuerTag, value: &str) -> Self {
        // The value stands last, behind a head of fixed length: no two triples spell the same bytes. A UUID fits into
        // one block of SHA-256 with it.
        let mut hasher = openssl::sha::Sha256::new();
        hasher.update(b"rv");
        hasher.update(&[kind as u8]);
        hasher.update(&issuer.0);
        hasher.update(value.as_bytes());
        Self(leading(hasher.finish()))
    }

    /// The key's bytes: as good as random.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The name of one revocation: 128 random bits, in hexadecimal outside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationId([u8; 16]);

impl RevocationId {
    /// A new id. Fails when the system has no randomness.
    pub fn random() -> Result<Self, openssl::error::ErrorStack> {
        let mut bytes = [0; 16];
        openssl::rand::rand_bytes(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The id of these bits.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }
}

/// One revocation. It holds nothing of a token in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its name.
    pub id: RevocationId,
    /// What it names.
    pub kind: RevocationKind,
    /// Whose tokens.
    pub issuer: IssuerTag,
    /// What is looked up.
    pub key: RevocationKey,
    /// Only tokens issued before this moment are meant; `None`: all.
    pub issued_before: Option<UnixTime>,
    /// The moment at which the last token it concerns has expired.
    pub expires_at: UnixTime,
    /// When it was made.
    pub revoked_at: UnixTime,
}

impl Revocation {
    /// The revocation of `target` among the tokens of the issuer with this exact `iss`.
    #[must_use]
    pub fn new(id: RevocationId, iss: &str, target: Target<'_>, expires_at: UnixTime, revoked_at: UnixTime) -> Self {
        let (kind, issuer) = (target.kind(), IssuerTag::new(iss));
        let key = RevocationKey::new(kind, issuer, target.value());
        Self { id, kind, issuer, key, issued_before: target.issued_before(), expires_at, revoked_at }
    }
}

/// One record of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A revocation.
    Revoked(Revocation),
    /// A tombstone: the revocation of this id does not hold, whenever it is read.
    TakenBack {
        /// The revocation.
        id: RevocationId,
        /// The moment at which the revocation would have expired; the tombstone is kept as long.
        expires_at: UnixTime,
    },
}

impl Change {
    /// The revocation it is about.
    #[must_use]
    pub const fn id(&self) -> RevocationId {
        match self {
            Self::Revoked(revocation) => revocation.id,
            Self::TakenBack { id, .. } => *id,
        }
    }

    /// The moment until which the record is needed.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        match self {
            Self::Revoked(revocation) => revocation.expires_at,
            Self::TakenBack { expires_at, .. } => *expires_at,
        }
    }
}

/// Where a shared list stands. Two equal marks mean that nothing was added in between, as long as it is the same store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The revocation epoch: when the store's list began, zero where it has none. Another one means that the store has
    /// forgotten.
    pub epoch: UnixTime,
    /// How many records were added since.
    pub changes: u64,
}

/// A part of what a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where the list stood just before this part was read.
    pub mark: Mark,
    /// The records. One may stand on two pages.
    pub changes: Vec<Change>,
    /// How many records could not be read: a newer version of this program, or somebody else's hand.
    pub unreadable: usize,
    /// What to ask for the next part; `None`: this was the last.
    pub next: Option<String>,
}

/// What happened while a list was watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Somebody added records, and the store told everybody.
    Added {
        /// Where the list stood before.
        before: Mark,
        /// Where it stands now.
        after: Mark,
        /// What was added.
        changes: Vec<Change>,
    },
    /// Nobody did, and the store, asked, says that its list stands here.
    Stands(Mark),
    /// The store was out of sight, and is back: what it told meanwhile was not heard.
    Reconnected,
}

/// The list of revocations that outlives this process, and that replicas may share.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Adds records; those it has stay as they are. `Ok`: they are kept, and everybody who watches is told.
    async fn append(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// Reads the list, part by part: the first, or the one that [`Page::next`] named. All parts together hold every
    /// record that was there from the first to the last.
    async fn page(&self, next: Option<&str>) -> Result<Page, StoreError>;

    /// Waits for others' records, at most for about `patience`; then asks where the list stands. After a failure it takes
    /// its time, so that whoever asks again at once does not spin.
    async fn watch(&self, patience: Duration) -> Result<Watched, StoreError>;

    /// True when other processes add records too. A list that is not shared needs no watching: it is always current.
    fn is_shared(&self) -> bool;
}

fn leading<const N: usize>(digest: [u8; 32]) -> [u8; N] {
    let mut head = [0; N];
    for (to, from) in head.iter_mut().zip(digest) {
        *to = from;
    }
    head
}

impl fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value is somebody's name or session.
        write!(f, "Target({})", self.kind().name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_kind_issuer_and_value() {
        let (a, b) = (IssuerTag::new("https://a"), IssuerTag::new("https://b"));
        let key = RevocationKey::new(RevocationKind::Token, a, "x");
        assert_eq!(key, RevocationKey::new(RevocationKind::Token, a, "x"));
        for other in [
            RevocationKey::new(RevocationKind::Session, a, "x"),
            RevocationKey::new(RevocationKind::Token, b, "x"),
            RevocationKey::new(RevocationKind::Token, a, "y"),
        ] {
            assert_ne!(key, other);
        }
    }

    #[test]
    fn kinds_stand_at_their_index() {
        for (index, kind) in RevocationKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let target = Target::Subject { subject: "alice", issued_before: UnixTime::default() };
        assert!(!format!("{target:?}").contains("alice"));
    }
}
