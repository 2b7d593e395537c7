//! The pieces of a scene: the real gateway, a real Redis, an upstream that records, a client that sends exact bytes,
//! issuers whose keys we hold, and foreign libraries that mint tokens.
//!
//! Everything is black box: of the library under test only the closed lists of names are read. Each piece stops what
//! it started when it is dropped. A piece that needs a program that is not there panics with `run tests/run`; no scene is
//! ever skipped.

#![allow(dead_code, unused_imports, reason = "every test binary uses its own part of the harness")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scene stops at the first surprise")]

pub mod admin;
pub mod answer;
pub mod balancer;
pub mod certs;
pub mod client;
pub mod clock;
pub mod config;
pub mod dpop;
pub mod endpoint;
pub mod gateway;
pub mod issuer;
pub mod oauth;
pub mod peers;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod provider;
pub mod reason;
pub mod redis;
pub mod script;
pub mod shared;
pub mod upstream;
pub mod wire;

pub use admin::{Admin, Metrics};
pub use answer::Answer;
pub use balancer::Balancer;
pub use certs::Authority;
pub use client::{Client, Connection};
pub use clock::{unix_now, until};
pub use config::{Config, HOST};
pub use dpop::DpopClient;
pub use endpoint::Endpoint;
pub use gateway::{Gateway, tollgate};
pub use issuer::Issuer;
pub use peers::Peers;
pub use process::{Process, nss_wrapper, peer, repository_file};
pub use prometheus::Prometheus;
pub use reason::reason;
pub use redis::Redis;
pub use script::Script;
pub use shared::Shared;
pub use upstream::{Recorded, Reply, Upstream};
