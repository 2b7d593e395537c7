//! What a forger needs: issuers whose private keys we hold, tools that make any token however wrong, the table of
//! attacks, and a gateway's decision to try them on.
//!
//! Whoever includes this declares `mod common` beside it. The tools share no code with the room they are to break:
//! they seal and sign with OpenSSL alone.

#![allow(dead_code, unused_imports, reason = "every test binary uses its own part of the kit")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

pub mod agree;
pub mod issuers;
pub mod rows;
pub mod seal;
pub mod spoil;
pub mod table;
pub mod token;
pub mod world;

pub use issuers::{ENCRYPTED, ISSUERS, Keys, SIGNED};
pub use seal::Jwe;
pub use spoil::Spoiler;
pub use table::{Attack, Table, attacks};
pub use token::{Token, b64, unb64};
pub use world::{Verdict, World};
