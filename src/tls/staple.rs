//! A word of the authority that a certificate of ours is not revoked, shown to clients that ask (RFC 6066 §8, RFC 6960).
//!
//! A file holds it, and whoever fetches it is not us. Only what helps a client is shown: a response that is signed by
//! the certificate's authority or in its name, that is about this certificate, calls it good, and is in its time. What
//! is shown otherwise makes clients refuse a connection they would accept without.

use super::Certificate;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::ocsp::{OcspBasicResponse, OcspCertId, OcspCertStatus, OcspFlag, OcspResponse, OcspResponseStatus};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509VerifyResult};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An OCSP response, and for which certificates it speaks.
pub struct OcspStaple {
    der: Vec<u8>,
    word: Result<Word, StapleFault>,
    /// True once somebody was told that its time is over.
    told: AtomicBool,
}

/// A sound response.
struct Word {
    response: OcspBasicResponse,
    about: Vec<(Arc<Certificate>, OcspCertId)>,
}

/// Why a response is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StapleFault {
    /// It is no OCSP response in DER.
    #[error("the file holds no OCSP response in DER")]
    Unreadable,
    /// The responder did not answer the question.
    #[error("the responder gave no answer in it")]
    Unanswered,
    /// The authority's certificate is unknown, so that nobody can say whether it signed.
    #[error("no chain holds the certificate of the authority, which comes after the server's own")]
    AuthorityUnknown,
    /// It is about other certificates.
    #[error("it is about another certificate")]
    Foreign,
    /// Nobody who may speak for the authority has signed it.
    #[error("it is not signed by the authority of the certificate, or in its name")]
    Unsigned,
    /// The authority does not call the certificate good.
    #[error("it does not call the certificate good: it is revoked, or the responder does not know it")]
    NotGood,
    /// It does not say how long it holds.
    #[error("it does not say when the next one comes (nextUpdate)")]
    Timeless,
    /// It is not in its time.
    #[error("its time is over, or has not begun")]
    Stale,
}

impl OcspStaple {
    /// The response `der`, as far as it concerns `certificates`.
    #[must_use]
    pub fn new(der: Vec<u8>, certificates: &[Arc<Certificate>]) -> Self {
        let word = Word::read(&der, certificates);
        Self { der, word, told: AtomicBool::new(false) }
    }

    /// Why it is not shown at this moment; `None` when it is.
    #[must_use]
    pub fn fault(&self) -> Option<StapleFault> {
        match &self.word {
            Err(fault) => Some(*fault),
            Ok(word) if word.about.iter().any(|(_, id)| word.check(id).is_ok()) => None,
            Ok(_) => Some(StapleFault::Stale),
        }
    }

    /// What is shown with `certificate` at this moment.
    pub(super) fn of(&self, certificate: &Arc<Certificate>) -> Option<&[u8]> {
        let word = self.word.as_ref().ok()?;
        let (_, id) = word.about.iter().find(|(about, _)| Arc::ptr_eq(about, certificate))?;
        let fresh = word.check(id);
        if let Err(fault) = fresh
            && !self.told.swap(true, Ordering::Relaxed)
        {
            log::warn!("the OCSP response is stapled no more: {fault}");
        }
        fresh.ok().map(|()| self.der.as_slice())
    }
}

impl fmt::Debug for OcspStaple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OcspStaple").field("fault", &self.fault()).finish_non_exhaustive()
    }
}

impl Word {
    fn read(der: &[u8], certificates: &[Arc<Certificate>]) -> Result<Self, StapleFault> {
        let response = OcspResponse::from_der(der).map_err(|_| StapleFault::Unreadable)?;
        if response.status() != OcspResponseStatus::SUCCESSFUL {
            return Err(StapleFault::Unanswered);
        }
        let response = response.basic().map_err(|_| StapleFault::Unreadable)?;
        let known =
            |certificate: &Arc<Certificate>| authority(certificate).map(|of| (Arc::clone(certificate), of.clone()));
        let known: Vec<_> = certificates.iter().filter_map(known).collect();
        if known.is_empty() {
            return Err(StapleFault::AuthorityUnknown);
        }
        let mut word = Self { response, about: Vec::new() };
        let mut worst = StapleFault::Foreign;
        for (certificate, authority) in known {
            let Some(id) = word.names(&certificate, &authority) else { continue };
            match word.judge(&id, &authority) {
                Ok(()) => word.about.push((certificate, id)),
                Err(fault) => worst = fault,
            }
        }
        if word.about.is_empty() { Err(worst) } else { Ok(word) }
    }

    /// The id under which the response is about `certificate`.
    fn names(&self, certificate: &Certificate, authority: &X509) -> Option<OcspCertId> {
        // RFC 6960 leaves the choice of the hash to whoever asked, and it says nothing of the signature's strength.
        [MessageDigest::sha1(), MessageDigest::sha256()].into_iter().find_map(|hash| {
            let id = OcspCertId::from_cert(hash, certificate.leaf(), authority).ok()?;
            self.response.find_status(&id).is_some().then_some(id)
        })
    }

    /// Everything but the time.
    fn judge(&self, id: &OcspCertId, authority: &X509) -> Result<(), StapleFault> {
        self.is_signed(authority).map_err(|_| StapleFault::Unsigned)?;
        let status = self.response.find_status(id).ok_or(StapleFault::Foreign)?;
        if status.status != OcspCertStatus::GOOD {
            return Err(StapleFault::NotGood);
        }
        status.next_update().map(|_| ()).ok_or(StapleFault::Timeless)
    }

    fn is_signed(&self, authority: &X509) -> Result<(), ErrorStack> {
        let mut trusted = X509StoreBuilder::new()?;
        trusted.add_cert(authority.clone())?;
        // The authority is the end of the way, whoever vouches for it.
        trusted.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        let mut signers = Stack::new()?;
        signers.push(authority.clone())?;
        self.response.verify(&signers, &trusted.build(), OcspFlag::empty())
    }

    /// Whether it is in its time.
    fn check(&self, id: &OcspCertId) -> Result<(), StapleFault> {
        let status = self.response.find_status(id).ok_or(StapleFault::Foreign)?;
        status.check_validity(0, None).map_err(|_| StapleFault::Stale)
    }
}

/// The certificate of the authority that issued `certificate`, out of its chain.
fn authority(certificate: &Certificate) -> Option<&X509> {
    let next = certificate.intermediates().first()?;
    (next.issued(certificate.leaf()) == X509VerifyResult::OK).then_some(next)
}
