//! Gateways and their store, as gateway.yaml names it: a Redis that asks for certificates, one behind Sentinels, a
//! cluster, the store of the process itself; what is told of a store that can't be relied on; and what a request that
//! came to nothing has spent.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../crowd/mod.rs"]
mod crowd;
#[path = "../store/mod.rs"]
mod store;

mod cluster;
mod failover;
mod kit;
mod release;
mod standing;
