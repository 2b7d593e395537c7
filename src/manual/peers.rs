//! How other gateways compare, as far as we have read.
#![allow(rustdoc::broken_intra_doc_links, reason = "the numbers in brackets name sources, at the end of the page")]
#![doc = include_str!("peers.md")]
