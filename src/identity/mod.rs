//! 8. What the upstream is told: first every header a client could fake is removed, then the proven ones are set.

pub mod firewall;
pub mod forward;

pub use firewall::Firewall;
pub use forward::{Encoding, Format, HeaderRule, IdentityPlan, TokenHandling, Unencodable};
