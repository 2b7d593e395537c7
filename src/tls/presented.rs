//! A client's certificate while its connection lives on. The handshake has verified it once; since then it may have
//! ended, or been revoked, and a connection can be kept busy for as long as its client likes.

use super::client_certificates::{ClientCertificateMode, ClientCertificates};
use super::handshake::SharedTerms;
use crate::clock::UnixTime;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::sha::sha256;
use openssl::ssl::SslRef;
use openssl::stack::Stack;
use openssl::x509::{X509, X509VerifyResult};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a verification is relied on while authorities and lists are the same: a list can end by itself.
const RELIED_ON: Duration = Duration::from_secs(60);

/// The certificate a client showed in a handshake that verified it.
pub struct PresentedCertificate {
    digest: [u8; 32],
    leaf: X509,
    /// What led from it to an authority.
    chain: Stack<X509>,
    /// When the first certificate of the chain ends, in seconds since the Unix epoch.
    ends_at: i64,
    terms: SharedTerms,
    last: Mutex<Verification>,
}

/// What was found last, and what it rests on.
struct Verification {
    basis: Option<[u8; 32]>,
    at: UnixTime,
    holds: bool,
}

impl PresentedCertificate {
    /// The certificate that the finished handshake of `ssl` has verified under `terms`.
    pub(super) fn of(ssl: &SslRef, terms: &SharedTerms) -> Option<Self> {
        let leaf = ssl.peer_certificate().filter(|_| ssl.verify_result() == X509VerifyResult::OK)?;
        let mut chain = Stack::new().ok()?;
        let mut ends_at = seconds(leaf.not_after())?;
        for link in ssl.verified_chain()? {
            ends_at = ends_at.min(seconds(link.not_after())?);
            chain.push(link.to_owned()).ok()?;
        }
        // No basis and no moment: the first request has it verified again, should the lists have changed meanwhile.
        let last = Mutex::new(Verification { basis: None, at: UnixTime::from_seconds(0), holds: false });
        let digest = sha256(&leaf.to_der().ok()?);
        Some(Self { digest, leaf, chain, ends_at, terms: terms.clone(), last })
    }

    /// SHA-256 over its DER form (RFC 8705 §3.1), as long as a handshake at this moment would accept it.
    #[must_use]
    pub fn digest(&self, now: UnixTime) -> Option<[u8; 32]> {
        (now < UnixTime::from_seconds(self.ends_at) && self.is_believed(now)).then_some(self.digest)
    }

    /// True once a handshake at this moment would fail for want of it: the connection would not be there.
    #[must_use]
    pub fn is_missed(&self, now: UnixTime) -> bool {
        self.is_required() && self.digest(now).is_none()
    }

    /// True where no client may come without one.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.terms.load().clients().is_some_and(|clients| clients.mode() == ClientCertificateMode::Required)
    }

    fn is_believed(&self, now: UnixTime) -> bool {
        let terms = self.terms.load();
        let Some(clients) = terms.clients() else { return false };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.basis != Some(clients.basis()) || now < last.at || now.since(last.at) > RELIED_ON {
            let holds = self.verify(clients);
            *last = Verification { basis: Some(clients.basis()), at: now, holds };
        }
        last.holds
    }

    fn verify(&self, clients: &ClientCertificates) -> bool {
        clients.verifies(&self.leaf, &self.chain)
    }
}

fn seconds(time: &Asn1TimeRef) -> Option<i64> {
    let span = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    Some(i64::from(span.days) * 86_400 + i64::from(span.secs))
}

impl fmt::Debug for PresentedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedCertificate").field("ends_at", &self.ends_at).finish_non_exhaustive()
    }
}
