//! The closed list of reasons for which a request is refused, and what follows from each.
//!
//! The table below is the one truth: status, challenge, metric label, log level, `explain` and the manual come from
//! it. A reason's label is its name; a new reason is one new row.

use super::challenge::Challenge;
use crate::issuer::IssuerId;
use crate::jose::Claims;
use crate::limit::RateReport;
use crate::route::RouteId;
use std::sync::Arc;
use std::time::Duration;

/// Which kind of challenge goes with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// None: a new token would not help.
    None,
    /// The schemes the route accepts, without an error code (RFC 6750 §3.1).
    Ask,
    /// `error="invalid_request"`.
    InvalidRequest,
    /// `error="invalid_token"`.
    InvalidToken,
    /// `error="insufficient_scope"` with the missing scopes.
    InsufficientScope,
    /// `error="invalid_dpop_proof"` (RFC 9449 §7.1).
    InvalidProof,
    /// `error="use_dpop_nonce"`, with a nonce in `DPoP-Nonce` (RFC 9449 §9).
    UseNonce,
    /// `error="insufficient_user_authentication"` with what is asked (RFC 9470 §3).
    StepUp,
}

macro_rules! reasons {
    ($( $variant:ident $label:literal $status:literal $challenge:ident $meaning:literal; )+) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $( #[doc = $meaning] $variant, )+ }

        impl Reason {
            /// Every reason there is, in the order in which a request meets them.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// The reason's name in metrics, audit and `explain`.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $( Self::$variant => $label, )+ }
            }

            /// The HTTP status of the answer (RFC 9110 §15).
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $( Self::$variant => $status, )+ }
            }

            /// The kind of challenge in the answer.
            #[must_use]
            pub const fn challenge(self) -> ChallengeKind {
                match self { $( Self::$variant => ChallengeKind::$challenge, )+ }
            }

            /// One sentence for the operator. It never reaches a client.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$variant => $meaning, )+ }
            }
        }
    };
}

reasons! {
    BadFraming "bad_framing" 400 None "The request's framing or its Host header is faulty; the connection is closed.";
    TargetTooLong "target_too_long" 414 None "The request line is longer than any that is read.";
    HeaderTooLarge "header_too_large" 431 None "The header section is larger than `server.max_header`, or has too many fields.";
    AmbiguousPath "ambiguous_path" 400 None "The path has no canonical form: two programs could read it differently.";
    Misdirected "misdirected" 421 None "The Host is not the server name of the TLS handshake.";
    PlaintextToken "plaintext_token" 403 None "A credential was sent over plain HTTP: treat it as stolen.";
    NoRoute "no_route" 404 None "No route matches host and path.";
    MethodNotAllowed "method_not_allowed" 405 None "A route matches host and path, but not the method.";
    LockedOut "locked_out" 429 None "The client has shown too many refused tokens, and is not listened to for a while.";
    RateLimited "rate_limited" 429 None "More requests came than the route's `limits.rate` lets through.";
    BodyTooLarge "body_too_large" 413 None "The body is larger than the route's `limits.body`.";
    NoCredential "no_credential" 401 Ask "The route asks for a token and the request has none.";
    SeveralCredentials "several_credentials" 400 InvalidRequest "The request carries more than one credential.";
    MalformedCredential "malformed_credential" 400 InvalidRequest "The Authorization header is not `Bearer` or `DPoP` and one token.";
    TokenTooLarge "token_too_large" 400 InvalidRequest "The token is larger than the issuer's `max_size`.";
    WrongForm "wrong_form" 401 InvalidToken "The token is not of the form the issuer promises: signed, nested or sealed.";
    HeaderRefused "header_refused" 401 InvalidToken "The token's JOSE header is malformed, or has a member that is never accepted.";
    UnknownIssuer "unknown_issuer" 401 InvalidToken "No issuer of the route can be the one that made this token.";
    AlgorithmRefused "algorithm_refused" 401 InvalidToken "The token's algorithm is not one of the issuer's.";
    TypeRefused "type_refused" 401 InvalidToken "The token's `typ` or `cty` is not accepted from this issuer.";
    KeysUnavailable "keys_unavailable" 503 None "The issuer's keys could not be had, or are too old to be believed.";
    UnknownKey "unknown_key" 401 InvalidToken "The issuer has no key of this `kid` that fits the algorithm.";
    DecryptionFailed "decryption_failed" 401 InvalidToken "The token could not be decrypted.";
    BadSignature "bad_signature" 401 InvalidToken "The signature does not verify.";
    MalformedClaims "malformed_claims" 401 InvalidToken "The claims are not one JSON object of the registered types.";
    ClaimMissing "claim_missing" 401 InvalidToken "A claim that must be there is absent.";
    Expired "expired" 401 InvalidToken "The token's `exp` has passed.";
    NotYetValid "not_yet_valid" 401 InvalidToken "The token's `nbf` lies ahead.";
    IssuedInFuture "issued_in_future" 401 InvalidToken "The token's `iat` lies ahead.";
    LifetimeTooLong "lifetime_too_long" 401 InvalidToken "The token lives longer than the issuer's `max_lifetime`.";
    WrongAudience "wrong_audience" 401 InvalidToken "The token was made for somebody else.";
    BindingMissing "binding_missing" 401 InvalidToken "A bound token was presented without proof, or an unbound one where proof is asked.";
    BindingMismatch "binding_mismatch" 401 InvalidToken "The key or certificate of the client is not the one the token is bound to.";
    BindingRefused "binding_refused" 401 InvalidToken "The token is bound in a way this gateway can't check.";
    ProofMalformed "proof_malformed" 401 InvalidProof "There is not exactly one DPoP proof, or it is not what RFC 9449 §4.2 describes.";
    ProofMismatch "proof_mismatch" 401 InvalidProof "The DPoP proof is for another request or token, or its signature does not verify.";
    ProofStale "proof_stale" 401 InvalidProof "The DPoP proof was made too long ago, or lies ahead.";
    NonceRequired "nonce_required" 401 UseNonce "The DPoP proof holds no nonce of this gateway that is still good.";
    Revoked "revoked" 401 InvalidToken "The token, its session, its client, its subject or its issuer was revoked.";
    InsufficientScope "insufficient_scope" 403 InsufficientScope "The token lacks a scope the route asks.";
    ConditionFalse "condition_false" 403 None "The route's `when` does not hold.";
    StepUpRequired "step_up_required" 401 StepUp "The user's authentication is not strong or recent enough for the route.";
    IdentityUnencodable "identity_unencodable" 403 None "A claim can't be written into its header without ambiguity.";
    UpstreamUnavailable "upstream_unavailable" 503 None "No endpoint of the upstream can be reached.";
    StoreUnavailable "store_unavailable" 503 None "The store can't say whether the token was used or revoked, and the route insists on an answer.";
    ReplayUnprovable "replay_unprovable" 401 InvalidToken "The token or proof is older than the store's memory: whether it was used can't be known.";
    Replayed "replayed" 401 InvalidToken "The one-time token was used before.";
    ProofReplayed "proof_replayed" 401 InvalidProof "The DPoP proof was used before.";
    UpstreamFailed "upstream_failed" 502 None "The upstream broke the connection or answered nonsense.";
    UpstreamTimeout "upstream_timeout" 504 None "The upstream did not answer in time.";
    Overloaded "overloaded" 503 None "The gateway itself has no room for the request.";
}

impl Reason {
    /// True where the credential or its rights are at fault, or can't be judged: what report mode counts instead of
    /// refusing. A reason that is not named here is refused in every mode.
    #[must_use]
    pub const fn is_about_credential(self) -> bool {
        matches!(
            self,
            Self::NoCredential
                | Self::SeveralCredentials
                | Self::MalformedCredential
                | Self::TokenTooLarge
                | Self::WrongForm
                | Self::HeaderRefused
                | Self::UnknownIssuer
                | Self::AlgorithmRefused
                | Self::TypeRefused
                | Self::KeysUnavailable
                | Self::UnknownKey
                | Self::DecryptionFailed
                | Self::BadSignature
                | Self::MalformedClaims
                | Self::ClaimMissing
                | Self::Expired
                | Self::NotYetValid
                | Self::IssuedInFuture
                | Self::LifetimeTooLong
                | Self::WrongAudience
                | Self::BindingMissing
                | Self::BindingMismatch
                | Self::BindingRefused
                | Self::ProofMalformed
                | Self::ProofMismatch
                | Self::ProofStale
                | Self::NonceRequired
                | Self::Revoked
                | Self::InsufficientScope
                | Self::ConditionFalse
                | Self::StepUpRequired
                | Self::IdentityUnencodable
                | Self::StoreUnavailable
                | Self::ReplayUnprovable
                | Self::Replayed
                | Self::ProofReplayed
        )
    }

    /// True where the credential itself was refused, so that it counts towards a lock-out. A token that only our store
    /// can't vouch for does not: its holder has done nothing wrong.
    #[must_use]
    pub const fn is_refused_credential(self) -> bool {
        let credential = matches!(
            self.challenge(),
            ChallengeKind::InvalidRequest | ChallengeKind::InvalidToken | ChallengeKind::InvalidProof
        );
        credential && !matches!(self, Self::ReplayUnprovable)
    }
}

/// One refusal: the reason, where it happened, and what the answer must carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// The route, once one was found.
    pub route: Option<RouteId>,
    /// The issuer, once one was chosen.
    pub issuer: Option<IssuerId>,
    /// The claims of the token, where its signature was verified: for the audit log alone.
    pub claims: Option<Arc<Claims>>,
    /// The challenges of the answer; empty where a new token would not help.
    pub challenges: Vec<Challenge>,
    /// The nonce for the client's next proof, for `DPoP-Nonce` (RFC 9449 §8.1), where the route asks one.
    pub dpop_nonce: Option<String>,
    /// `Retry-After` (RFC 9110 §10.2.3).
    pub retry_after: Option<Duration>,
    /// How the request stood under the route's rate, as far as it was counted.
    pub rate: Option<Box<RateReport>>,
    /// The methods for `Allow`, with `method_not_allowed`.
    pub allow: Vec<http::Method>,
}

impl Denial {
    /// A refusal before any route was found.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        let retry_after = (reason.status() == 503).then_some(Duration::from_secs(1));
        Self {
            reason,
            route: None,
            issuer: None,
            claims: None,
            challenges: Vec::new(),
            dpop_nonce: None,
            retry_after,
            rate: None,
            allow: Vec::new(),
        }
    }
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn labels_are_unique_and_snake_case() {
        let labels: HashSet<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        assert!(labels.iter().all(|label| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }

    #[test]
    fn report_mode_passes_over_what_new_credentials_could_mend_and_nothing_else() {
        for reason in Reason::ALL {
            let challenged = reason.challenge() != ChallengeKind::None;
            assert!(!challenged || reason.is_about_credential(), "{reason:?}");
        }
        for reason in [Reason::BadFraming, Reason::AmbiguousPath, Reason::Misdirected, Reason::PlaintextToken] {
            assert!(!reason.is_about_credential(), "{reason:?}");
        }
        for reason in [Reason::NoRoute, Reason::MethodNotAllowed, Reason::UpstreamUnavailable, Reason::Overloaded] {
            assert!(!reason.is_about_credential(), "{reason:?}");
        }
    }

    #[test]
    fn a_401_always_carries_a_challenge() {
        for reason in Reason::ALL {
            assert!(reason.status() != 401 || reason.challenge() != ChallengeKind::None, "{reason:?}");
        }
    }

    #[test]
    fn a_503_always_says_when_to_come_back() {
        for reason in Reason::ALL.iter().filter(|reason| reason.status() == 503) {
            assert!(Denial::new(*reason).retry_after.is_some());
        }
    }
}
