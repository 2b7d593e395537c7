//! The permit: all witnesses of one request together. Forwarding demands one, so that skipping a check does not compile.

use super::Reason;
use super::policy::Endpoint;
use crate::authn::{NotReplayed, ProofOfPossession, Verified};
use crate::identity::TokenHandling;
use crate::issuer::IssuerId;
use crate::limit::{InFlightGuard, RateReport};
use crate::request::CanonicalPath;
use crate::route::RouteId;
use http::HeaderValue;

/// The permission to forward one request. Only `decide()` makes one.
#[derive(Debug)]
pub struct Permit {
    route: RouteId,
    path: CanonicalPath,
    endpoint: Endpoint,
    handling: TokenHandling,
    caller: Caller,
    dpop_nonce: Option<String>,
    rate: Option<RateReport>,
    /// Held, not read: the place among the requests under way is free again when the permit is dropped.
    _place: Option<InFlightGuard>,
}

/// On whose behalf a request is forwarded.
#[derive(Debug)]
enum Caller {
    /// Nobody was asked.
    Anyone,
    /// Whoever the token names.
    Proven(Proven),
    /// The route only reports. There is no claim in here, so that none can reach an upstream.
    Reported(Report),
}

/// What a route in report mode has found, and goes by in nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Why the request would have been refused; `None` where it would have passed.
    pub would_deny: Option<Reason>,
    /// The issuer of the token, once one was chosen.
    pub issuer: Option<IssuerId>,
}

/// The proven caller of a guarded route.
#[derive(Debug)]
struct Proven {
    token: Verified,
    possession: ProofOfPossession,
    fresh: NotReplayed,
    headers: Vec<(String, HeaderValue)>,
}

/// What becomes of the client's credential headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'p> {
    /// They are removed.
    Drop,
    /// They are forwarded as sent.
    Keep,
    /// They are removed, and this JWS is forwarded as a bearer token.
    Replace(&'p str),
}

impl Permit {
    pub(super) fn public(route: RouteId, path: CanonicalPath, endpoint: Endpoint) -> Self {
        Self {
            route,
            path,
            endpoint,
            caller: Caller::Anyone,
            handling: TokenHandling::Drop,
            dpop_nonce: None,
            rate: None,
            _place: None,
        }
    }

    /// A request that goes on whatever was found, without an identity. Its credential stays only where the
    /// configuration says `token: keep`: the JWS out of a JWE is something a proven caller has.
    pub(super) fn reported(
        (route, path, endpoint): (RouteId, CanonicalPath, Endpoint),
        report: Report,
        handling: TokenHandling,
    ) -> Self {
        Self {
            route,
            path,
            endpoint,
            caller: Caller::Reported(report),
            handling,
            dpop_nonce: None,
            rate: None,
            _place: None,
        }
    }

    pub(super) fn guarded(
        (route, path, endpoint): (RouteId, CanonicalPath, Endpoint),
        (token, possession, fresh): (Verified, ProofOfPossession, NotReplayed),
        (headers, handling): (Vec<(String, HeaderValue)>, TokenHandling),
    ) -> Self {
        let caller = Caller::Proven(Proven { token, possession, fresh, headers });
        Self { route, path, endpoint, caller, handling, dpop_nonce: None, rate: None, _place: None }
    }

    pub(super) fn with_dpop_nonce(self, dpop_nonce: Option<String>) -> Self {
        Self { dpop_nonce, ..self }
    }

    pub(super) fn within(self, place: Option<InFlightGuard>, rate: Option<RateReport>) -> Self {
        Self { rate, _place: place, ..self }
    }

    /// The route.
    #[must_use]
    pub fn route(&self) -> RouteId {
        self.route
    }

    /// The path to forward, in canonical form: the very bytes that were matched, unless the route rewrites them.
    #[must_use]
    pub fn path(&self) -> &CanonicalPath {
        &self.path
    }

    /// Where to.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// True when the route is public: nobody was asked who they are.
    #[must_use]
    pub fn is_public(&self) -> bool {
        matches!(self.caller, Caller::Anyone)
    }

    /// What was found, on a route that only reports.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        match self.caller {
            Caller::Reported(report) => Some(report),
            Caller::Anyone | Caller::Proven(_) => None,
        }
    }

    fn proven(&self) -> Option<&Proven> {
        match &self.caller {
            Caller::Proven(proven) => Some(proven),
            Caller::Anyone | Caller::Reported(_) => None,
        }
    }

    /// The issuer of the token.
    #[must_use]
    pub fn issuer(&self) -> Option<IssuerId> {
        self.proven().map(|proven| proven.token.issuer()).or_else(|| self.report()?.issuer)
    }

    /// The verified token.
    #[must_use]
    pub fn token(&self) -> Option<&Verified> {
        self.proven().map(|proven| &proven.token)
    }

    /// The witness that the caller holds every key the token is bound to.
    #[must_use]
    pub fn possession(&self) -> Option<&ProofOfPossession> {
        self.proven().map(|proven| &proven.possession)
    }

    /// The nonce for the client's next proof, for `DPoP-Nonce` in the response (RFC 9449 §8.2). A response with it must
    /// not be stored by caches.
    #[must_use]
    pub fn dpop_nonce(&self) -> Option<&str> {
        self.dpop_nonce.as_deref()
    }

    /// How the request stood under the route's rate, where it has one.
    #[must_use]
    pub fn rate(&self) -> Option<&RateReport> {
        self.rate.as_ref()
    }

    /// The witness that the request's nonces were free.
    #[must_use]
    pub fn freshness(&self) -> Option<&NotReplayed> {
        self.proven().map(|proven| &proven.fresh)
    }

    /// The identity headers to set, after the firewall has stripped the client's.
    #[must_use]
    pub fn identity_headers(&self) -> &[(String, HeaderValue)] {
        self.proven().map_or(&[], |proven| &proven.headers)
    }

    /// What becomes of the client's credential headers. A public route has asked for none, and forwards none.
    #[must_use]
    pub fn credentials(&self) -> Credentials<'_> {
        match (self.handling, &self.caller) {
            (TokenHandling::Keep, Caller::Proven(_) | Caller::Reported(_)) => Credentials::Keep,
            (TokenHandling::Inner, Caller::Proven(proven)) => {
                proven.token.inner_token().map_or(Credentials::Drop, Credentials::Replace)
            }
            _ => Credentials::Drop,
        }
    }
}
