//! From one version to the next, and back.
#![doc = include_str!("upgrade.md")]
