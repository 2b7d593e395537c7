//! From report to enforce: how a policy is switched on in front of traffic that is there already.
#![doc = include_str!("enforce.md")]
