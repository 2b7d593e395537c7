//! One document over the wire: bounded in time and size, from no address but those the guard admits.

use super::place::admits;
use super::source::{Access, SourceError};
use crate::issuer::metadata::{MAX_DOCUMENT, MetadataError, max_age};
use crate::observe::FetchResult;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Certificate, Proxy, Response, StatusCode, Url, redirect, tls};
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How many redirects are followed, all within one origin.
const MAX_REDIRECTS: usize = 3;

/// The addresses that a name stands for, to come.
pub type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Resolves names. What it answers is not trusted: the guard judges every address.
pub trait Lookup: Send + Sync {
    /// The addresses of `name`.
    fn addresses(&self, name: &str) -> Addresses;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, name: &str) -> Addresses {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Why a document, or the keys in it, could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the URL {0}")]
    Forbidden(#[from] SourceError),
    #[error("the name resolves to no address that may be asked")]
    ForbiddenAddress,
    #[error("a redirect to another scheme, host or port, or one too many")]
    Redirected,
    #[error("no answer: {0}")]
    Unreachable(String),
    #[error("no whole answer in time")]
    TimedOut,
    #[error("status {0}")]
    Status(u16),
    #[error("an answer of more than {MAX_DOCUMENT} bytes")]
    TooLarge,
    #[error("{0}")]
    Invalid(#[from] MetadataError),
}

impl FetchError {
    /// The result as it is counted.
    pub(super) const fn result(&self) -> FetchResult {
        match self {
            Self::Forbidden(_) | Self::ForbiddenAddress | Self::Redirected => FetchResult::Forbidden,
            Self::Unreachable(_) => FetchResult::Unreachable,
            Self::TimedOut => FetchResult::TimedOut,
            Self::Status(_) => FetchResult::BadStatus,
            Self::TooLarge => FetchResult::TooLarge,
            Self::Invalid(_) => FetchResult::Invalid,
        }
    }

    /// True where the server is out of order, as opposed to saying something that is refused.
    pub(super) const fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::TimedOut | Self::Status(500..))
    }

    /// True where the server says that there is nothing at this URL.
    pub(super) const fn is_absence(&self) -> bool {
        matches!(self, Self::Status(400..500))
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        if causes(&error).any(<dyn Error>::is::<NoneAdmitted>) {
            return Self::ForbiddenAddress;
        }
        if error.is_timeout() {
            return Self::TimedOut;
        }
        // The innermost cause tells most: "connection refused", "certificate verify failed".
        let last = causes(&error).last();
        Self::Unreachable(last.map_or_else(|| "the request failed".to_owned(), ToString::to_string))
    }
}

/// An error and what lies behind it, outermost first. An `io::Error` hides the error that it carries; look inside.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'e (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(carried) => Some(carried),
            None => error.source(),
        }
    })
}

/// A document as it came.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) body: Arc<[u8]>,
    pub(super) max_age: Option<Duration>,
}

/// A client for one kind of access. It keeps no connection: each fetch resolves and judges the addresses anew.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    access: Access,
}

impl Client {
    pub(super) fn new(access: Access, lookup: Arc<dyn Lookup>) -> Result<Self, SourceError> {
        let resolver = GuardedResolver { lookup, access: access.clone() };
        let mut builder = reqwest::Client::builder()
            .no_proxy() // those of the environment
            .redirect(redirect::Policy::none()) // followed by hand: every hop is judged
            .dns_resolver(Arc::new(resolver))
            .pool_max_idle_per_host(0)
            .http1_only()
            .http1_max_headers(64)
            .tls_version_min(tls::Version::TLS_1_2)
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
        if let Some(certificates) = access.ca_certificates()? {
            let der = certificates.iter().map(|certificate| certificate.to_der().map_err(|_| SourceError::Ca));
            let trusted: Result<Vec<_>, _> =
                der.map(|der| Certificate::from_der(&der?).map_err(|_| SourceError::Ca)).collect();
            builder = builder.tls_certs_only(trusted?);
        }
        if let Some(proxy) = &access.proxy {
            builder = builder.proxy(Proxy::all(proxy.clone()).map_err(|_| SourceError::Proxy)?);
        }
        Ok(Self { http: builder.build().map_err(|_| SourceError::Tls)?, access })
    }

    /// By what right this client asks.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// The document at `url`, within `limit` from name resolution to the last byte.
    pub(super) async fn document(&self, url: &Url, limit: Duration) -> Result<Document, FetchError> {
        match tokio::time::timeout(limit, self.follow(url.clone())).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchError::TimedOut),
        }
    }

    async fn follow(&self, mut url: Url) -> Result<Document, FetchError> {
        for _ in 0..=MAX_REDIRECTS {
            self.access.permit(&url)?;
            let accept = HeaderValue::from_static("application/json, application/jwk-set+json");
            let answer = self.http.get(url.clone()).header(ACCEPT, accept).send().await?;
            match answer.status() {
                StatusCode::OK => return read(answer).await,
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => url = redirected(&url, answer.headers())?,
                other => return Err(FetchError::Status(other.as_u16())),
            }
        }
        Err(FetchError::Redirected)
    }
}

/// Where a redirect leads: within the same scheme, host and port, or nowhere.
fn redirected(from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok()).ok_or(FetchError::Redirected)?;
    if target.origin() == from.origin() { Ok(target) } else { Err(FetchError::Redirected) }
}

async fn read(mut answer: Response) -> Result<Document, FetchError> {
    let announced = answer.content_length().unwrap_or(0);
    if announced > MAX_DOCUMENT as u64 {
        return Err(FetchError::TooLarge);
    }
    let max_age = max_age(answer.headers().get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()));
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_DOCUMENT {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Document { body: body.into(), max_age })
}

/// No address of a name is admitted.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no address that may be asked")]
struct NoneAdmitted;

/// The resolver that the connections use: what it does not hand out can't be connected to, so there is no moment
/// between the check of an address and its use in which DNS could change its mind.
struct GuardedResolver {
    lookup: Arc<dyn Lookup>,
    access: Access,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, access) = (self.lookup.addresses(name.as_str()), self.access.clone());
        Box::pin(async move {
            let admitted = |address: &IpAddr| match &access.proxy {
                // The proxy is the only name that is resolved here, and the operator named it.
                Some(proxy) => proxy.host_str() == Some(name.as_str()),
                None => admits(access.rule, name.as_str(), *address),
            };
            let addresses: Vec<SocketAddr> =
                found.await?.into_iter().filter(admitted).map(|address| SocketAddr::new(address, 0)).collect();
            if addresses.is_empty() {
                return Err(NoneAdmitted.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
