//! 6. Who is it: the token opened, verified and read ([`token`]), presented by whoever holds its keys ([`binding`],
//!    [`dpop`], [`mtls`]), not revoked ([`revocation`]), after an authentication that is enough ([`step_up`]), used for
//!    the first time ([`replay`]).

pub mod binding;
mod doorkeeper;
pub mod dpop;
pub mod dpop_nonce;
pub mod dpop_policy;
pub mod mtls;
pub mod proof_keys;
pub mod replay;
pub mod revocation;
pub mod step_up;
pub mod token;
pub mod verdict_cache;
pub mod workshop;

pub use binding::{BindingError, BindingRule, Presented, ProofOfPossession};
pub use dpop::{ProofError, ProofTools, ProofUse};
pub use dpop_nonce::DpopNonces;
pub use dpop_policy::{DpopNonceRule, DpopPolicy, DpopPolicyError};
pub use proof_keys::ProofKeys;
pub use replay::{NotReplayed, OnLoss, ReplayGuard, ReplayMode, ReplayRefusal};
pub use revocation::{RevocationPolicy, Revocations};
pub use step_up::{Insufficient, StepUp};
pub use token::{Opened, TokenError, Verified};
pub use verdict_cache::{VerdictBounds, VerdictCache};
pub use workshop::{NotDone, OnTheSpot, Work, Workshop};
