//! The labels and what each may say. Every set is closed: by a list in the code, or by what gateway.yaml names.

use crate::decision::Reason;
use crate::jose::alg::{KeyAlgorithm, SigningAlgorithm};
use crate::limit::{LOCKOUT, Per};
use crate::observe::{ClaimResult, FetchResult};
use crate::store::StoreError;
use crate::telemetry::Outcome;

/// One label of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may say.
    pub values: Values,
}

/// What a label may say; never a subject, a token or a path.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// A name that gateway.yaml gives; what it is a name of.
    Configured(&'static str),
    /// A name that gateway.yaml gives, or `none` where there is no such thing; what it is a name of.
    ConfiguredOrNone(&'static str),
    /// One of a list that stands in the code.
    OneOf(fn() -> Vec<&'static str>),
    /// An HTTP status from 100 to 599, `other` for any number beside them, or `none` where nothing was answered.
    Status,
}

impl Values {
    /// The list in the code; `None` where the values are not listed there.
    #[must_use]
    pub fn list(self) -> Option<Vec<&'static str>> {
        match self {
            Self::OneOf(list) => Some(list()),
            Self::Configured(_) | Self::ConfiguredOrNone(_) | Self::Status => None,
        }
    }

    /// The values in words.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Configured(thing) => thing.to_owned(),
            Self::ConfiguredOrNone(thing) => format!("{thing} or none"),
            Self::OneOf(list) => list().join(" | "),
            Self::Status => "an HTTP status, other or none".to_owned(),
        }
    }
}

pub(super) const ROUTE: Values = Values::ConfiguredOrNone("a route");
pub(super) const ISSUER: Values = Values::ConfiguredOrNone("an issuer");
pub(super) const UPSTREAM: Values = Values::Configured("an upstream");
pub(super) const ENDPOINT: Values = Values::Configured("an endpoint");
pub(super) const LISTENER: Values = Values::Configured("a listener");
pub(super) const CERTIFICATE: Values = Values::Configured("the first name of a certificate");
pub(super) const CODE: Values = Values::Status;
pub(super) const OUTCOME: Values = Values::OneOf(|| Outcome::ALL.map(Outcome::label).to_vec());
pub(super) const REASON: Values = Values::OneOf(|| Reason::ALL.iter().map(|reason| reason.label()).collect());
pub(super) const UPSTREAM_ERROR: Values = Values::OneOf(|| UPSTREAM_ERRORS.to_vec());
pub(super) const ALGORITHM: Values = Values::OneOf(algorithms);
pub(super) const CACHE_RESULT: Values = Values::OneOf(|| vec!["hit", "miss", "bypass"]);
pub(super) const REPLAY_MODE: Values = Values::OneOf(|| vec!["once", "uses", "proof"]);
pub(super) const CLAIM_RESULT: Values = Values::OneOf(|| ClaimResult::ALL.map(ClaimResult::label).to_vec());
pub(super) const RELEASE_RESULT: Values = Values::OneOf(|| vec!["released", "kept", "lost", "refused"]);
pub(super) const OPERATION: Values =
    Values::OneOf(|| vec!["claim", "release", "peek", "probe", "connect", "count", "revoke", "revocations"]);
/// Whose requests a rate counts, or that it was a lock-out.
pub(super) const LIMIT: Values = Values::OneOf(|| Per::ALL.iter().map(|per| per.name()).chain([LOCKOUT]).collect());
pub(super) const STORE_ERROR: Values = Values::OneOf(|| StoreError::ALL.map(StoreError::label).to_vec());
pub(super) const FETCH_RESULT: Values = Values::OneOf(|| FetchResult::ALL.map(FetchResult::label).to_vec());
/// A record is in the file; or it found no place in the queue; or the file could not be written.
pub(super) const AUDIT_RESULT: Values = Values::OneOf(|| vec!["written", "dropped", "failed"]);
/// The collector took a span; or the queue had no room for it; or it could not be sent; or the collector refused it.
pub(super) const SPAN_RESULT: Values = Values::OneOf(|| vec!["exported", "dropped", "failed", "rejected"]);
pub(super) const TLS_VERSION: Values = Values::OneOf(|| vec!["TLSv1.2", "TLSv1.3", "none"]);
/// Those of `tls::HandshakeResult`, a room beside this one, and of what `proxy` turns away before; it compares them.
pub(super) const HANDSHAKE_RESULT: Values = Values::OneOf(|| vec!["done", "unknown_name", "failed", "refused"]);
/// Those of `proxy`, a room above this one, which compares them.
pub(super) const CUT: Values = Values::OneOf(|| vec!["slow_head", "no_place"]);
pub(super) const VERSION: Values = Values::OneOf(|| vec![env!("CARGO_PKG_VERSION")]);

/// The kinds of a failed attempt: no connection, a broken one or a nonsensical answer, none in time.
pub const UPSTREAM_ERRORS: [&str; 3] = ["unreachable", "failed", "timeout"];

fn algorithms() -> Vec<&'static str> {
    let signing = SigningAlgorithm::ALL.iter().map(|algorithm| algorithm.name());
    signing.chain(KeyAlgorithm::ALL.iter().map(|algorithm| algorithm.name())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_list_says_a_thing_twice() {
        for metric in crate::telemetry::METRICS {
            for list in metric.labels.iter().filter_map(|label| label.values.list()) {
                assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len(), "{}", metric.name);
                assert!(!list.is_empty(), "{}", metric.name);
            }
        }
    }
}
