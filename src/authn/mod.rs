//! 6. Who is it: the token opened, verified and read ([`token`]), not revoked ([`revocation`]), and not used before
//!    ([`replay`]).

pub mod replay;
pub mod revocation;
pub mod token;
pub mod verdict_cache;

pub use replay::{NotReplayed, OnLoss, ReplayGuard, ReplayMode, ReplayRefusal};
pub use revocation::{RevocationPolicy, Revocations};
pub use token::{Opened, TokenError, Verified};
pub use verdict_cache::VerdictCache;
