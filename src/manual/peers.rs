//! How other gateways compare, as far as we have read.
#![doc = include_str!("peers.md")]
