//! What is shipped under deploy/, judged by the programs that read it: promtool, Helm, Kubernetes' schemas, kustomize,
//! hadolint, the Compose schema, systemd.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

#[path = "../common/mod.rs"]
mod common;

mod alerts;
mod configs;
mod dashboards;
mod judge;
mod kubernetes;
mod machine;
mod queries;
