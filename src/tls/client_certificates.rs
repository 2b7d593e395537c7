//! Certificates of clients: who is asked for one, and who must have issued it. A token can be bound to one
//! (RFC 8705 §3); the binding proves nothing unless the certificate was verified in this very handshake.

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::sha::{Sha256, sha256};
use openssl::ssl::{SslContextBuilder, SslFiletype, SslOptions, SslRef, SslSessionCacheMode, SslVerifyMode};
use openssl::stack::{Stack, StackRef};
use openssl::x509::store::{X509Lookup, X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509Crl, X509Name, X509NameRef, X509Ref, X509StoreContext, X509StoreContextRef};
use pingora::tls::ext;
use std::cmp::Ordering;
use std::fmt;
use std::path::PathBuf;

/// Whether a client may come without a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificateMode {
    /// It may; one that is shown must be sound all the same.
    Optional,
    /// It may not: the handshake fails.
    Required,
}

/// What a listener asks of its clients.
pub struct ClientCertificates {
    mode: ClientCertificateMode,
    authorities: Vec<X509>,
    trusted: X509Store,
    basis: [u8; 32],
}

/// Lists of revoked certificates (RFC 5280 §5), one for each authority, in one PEM file.
pub struct RevocationLists {
    path: PathBuf,
    pem: Vec<u8>,
    lists: Vec<X509Crl>,
}

impl RevocationLists {
    /// The lists in `pem`, which the file at `path` holds; `None` where there is none, or one can't be read.
    #[must_use]
    pub fn read(path: PathBuf, pem: Vec<u8>) -> Option<Self> {
        const END: &str = "-----END X509 CRL-----";
        let text = std::str::from_utf8(&pem).ok()?;
        let whole = text.split_inclusive(END).filter(|block| block.ends_with(END));
        let lists = whole.map(|block| X509Crl::from_pem(block.as_bytes()).ok()).collect::<Option<Vec<_>>>()?;
        (!lists.is_empty()).then_some(Self { path, pem, lists })
    }

    /// True when some list has ended by `now`, in seconds since the Unix epoch.
    #[must_use]
    pub fn has_ended(&self, now: i64) -> bool {
        let now = Asn1Time::from_unix(now).ok();
        let ended = |list: &X509Crl| now.as_ref().zip(list.next_update()).is_some_and(|(now, end)| *end < *now);
        self.lists.iter().any(ended)
    }

    /// The first of `authorities` of which nobody can say whether it was revoked: its own issuer is none of them, or
    /// has no list here.
    #[must_use]
    pub fn lacks<'a>(&self, authorities: &'a [X509]) -> Option<&'a X509> {
        let has_list = |issuer: &X509NameRef| self.lists.iter().any(|list| is_same(list.issuer_name(), issuer));
        authorities
            .iter()
            .find(|authority| !is_named(authority.issuer_name(), authorities) || !has_list(authority.issuer_name()))
    }
}

fn is_named(issuer: &X509NameRef, authorities: &[X509]) -> bool {
    authorities.iter().any(|authority| is_same(authority.subject_name(), issuer))
}

fn is_same(one: &X509NameRef, other: &X509NameRef) -> bool {
    one.try_cmp(other).is_ok_and(Ordering::is_eq)
}

/// Why authorities or revocations can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientCertificatesError {
    /// The authorities.
    #[error("the authorities can't be used")]
    Authorities,
    /// The list of revoked certificates.
    #[error("holds no readable list of revoked certificates")]
    Revocations,
}

impl ClientCertificates {
    /// Certificates issued by one of `authorities`, an intermediate one included, and not revoked by `revocations`. With
    /// such lists a certificate passes only while its issuer's is there and current (RFC 5280 §6.3). The authorities
    /// between are looked up too, where the issuer of every one of `authorities` is one of them and has a list.
    pub fn new(
        mode: ClientCertificateMode,
        authorities: Vec<X509>,
        revocations: Option<&RevocationLists>,
    ) -> Result<Self, ClientCertificatesError> {
        let mut store = trust(&authorities).map_err(|_| ClientCertificatesError::Authorities)?;
        if let Some(lists) = revocations {
            revoke(&mut store, lists, &authorities).map_err(|_| ClientCertificatesError::Revocations)?;
        }
        let lists = revocations.map_or(&[][..], |lists| &lists.pem);
        let basis = basis_of(&authorities, lists).map_err(|_| ClientCertificatesError::Authorities)?;
        Ok(Self { mode, authorities, trusted: store.build(), basis })
    }

    /// Whether a client may come without one.
    #[must_use]
    pub fn mode(&self) -> ClientCertificateMode {
        self.mode
    }

    /// What the verification of a certificate rests on: two that are equal verify the same ones.
    pub(super) fn basis(&self) -> [u8; 32] {
        self.basis
    }

    /// True when a handshake would accept `leaf` now, on its way over certificates of `chain`.
    pub(super) fn verifies(&self, leaf: &X509Ref, chain: &StackRef<X509>) -> bool {
        let verified = X509StoreContext::new()
            .and_then(|mut context| context.init(&self.trusted, leaf, chain, X509StoreContextRef::verify_cert));
        verified.unwrap_or(false)
    }

    /// Makes `context` ask for certificates, and never resume a session: a resumed one would keep a certificate that was
    /// verified once, past its end and past its revocation.
    pub(super) fn ask(&self, context: &mut SslContextBuilder) -> Result<(), ErrorStack> {
        context.set_verify(match self.mode {
            ClientCertificateMode::Optional => SslVerifyMode::PEER,
            ClientCertificateMode::Required => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
        });
        let mut names: Stack<X509Name> = Stack::new()?;
        for authority in &self.authorities {
            names.push(authority.subject_name().to_owned()?)?;
        }
        context.set_client_ca_list(names);
        context.set_options(SslOptions::NO_TICKET);
        // TLS 1.3 would hand out tickets that name a session in the server's memory.
        context.set_num_tickets(0)?;
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        Ok(())
    }

    /// Makes one handshake believe the authorities.
    pub(super) fn believe(&self, ssl: &mut SslRef) -> Result<(), ErrorStack> {
        ext::ssl_set_verify_cert_store(ssl, &self.trusted)
    }
}

/// SHA-256 over everything that a verification rests on.
fn basis_of(authorities: &[X509], lists: &[u8]) -> Result<[u8; 32], ErrorStack> {
    let mut hash = Sha256::new();
    for authority in authorities {
        hash.update(&sha256(&authority.to_der()?));
    }
    hash.update(lists);
    Ok(hash.finish())
}

fn trust(authorities: &[X509]) -> Result<X509StoreBuilder, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for authority in authorities {
        store.add_cert(authority.clone())?;
    }
    // Whoever names an intermediate authority alone means its certificates, not those of all its siblings. Beside its
    // issuer it is one more link, and the chain must not end with it, or nobody would ask whether it was revoked.
    if !authorities.iter().all(|authority| is_named(authority.issuer_name(), authorities)) {
        store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    }
    Ok(store)
}

fn revoke(store: &mut X509StoreBuilder, lists: &RevocationLists, authorities: &[X509]) -> Result<(), ErrorStack> {
    store.add_lookup(X509Lookup::file())?.load_crl_file(&lists.path, SslFiletype::PEM)?;
    store.set_flags(X509VerifyFlags::CRL_CHECK)?;
    // Without the lists of all, the library would refuse every certificate below the authority that lacks its issuer's.
    if lists.lacks(authorities).is_none() { store.set_flags(X509VerifyFlags::CRL_CHECK_ALL) } else { Ok(()) }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorities = self.authorities.len();
        f.debug_struct("ClientCertificates")
            .field("mode", &self.mode)
            .field("authorities", &authorities)
            .finish_non_exhaustive()
    }
}
