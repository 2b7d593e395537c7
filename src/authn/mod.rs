//! 6. Who is it: the token opened, verified and read ([`token`]), and used for the first time ([`replay`]).

pub mod replay;
pub mod token;
pub mod verdict_cache;

pub use replay::{NotReplayed, OnLoss, ReplayGuard, ReplayMode, ReplayRefusal};
pub use token::{Opened, TokenError, Verified};
pub use verdict_cache::{VerdictBounds, VerdictCache};
