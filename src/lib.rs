//! tollgate: a token gateway in front of backends that cannot be changed.
//!
//! The rooms below stand in the order of a request's way: what arrived ([`request`]), where it wants to go
//! ([`route`]), what its token says ([`jose`], [`issuer`], [`authn`]), yes or no ([`decision`]), what the upstream is
//! told ([`identity`]). Read [`decision`] first: `decide()` holds the whole order on one screen.
//!
//! # Layers
//!
//! A room imports only from rooms of a lower number. `tests/architecture.rs` reads this table and checks every
//! `use crate::` edge against it.
//!
//! ```layers
//! 0 clock secret
//! 1 jose request observe
//! 2 store route issuer
//! 3 limit authn identity
//! 4 session
//! 5 decision
//! 6 upstream telemetry tls
//! 7 proxy admin
//! 8 config
//! 9 app
//! 10 cli
//! 11 main
//! ```
//!
//! `identity` lies below `decision`, because the values for the upstream are computed *before* the nonce is claimed:
//! a claim that can't be written into a header must not cost the client its one-time token.
//!
//! # The pure core
//!
//! Rooms 0–5 name no network, file or clock. They build without the default feature `server`
//! (`cargo check --lib --no-default-features`); everything that talks to the outside stands behind it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod clock;
pub mod observe;
pub mod secret;

pub mod jose;
pub mod request;

pub mod issuer;
pub mod route;
pub mod store;

pub mod authn;
pub mod identity;
pub mod limit;

pub mod decision;

#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod tls;
#[cfg(feature = "server")]
pub mod upstream;

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod proxy;

#[cfg(feature = "server")]
pub mod config;

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod cli;

pub mod manual;
