//! Scenes at the edge: other origins, limits, rewriting, proxies in front, slow clients.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scene stops at the first surprise")]

#[path = "../common/mod.rs"]
mod common;
mod cors;
mod limits;
mod proxies;
mod rewriting;
mod shared_limits;
mod slow;

use common::Answer;

/// The values of a header, as one text.
fn all(answer: &Answer, name: &str) -> String {
    answer.headers(name).collect::<Vec<_>>().join(" | ")
}
