//! Changing keys, certificates and passwords while the gateway serves.
#![doc = include_str!("rotation.md")]
