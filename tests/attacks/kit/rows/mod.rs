//! The rows of the table, by the part of a token that is attacked.

pub mod algorithms;
pub mod claims;
pub mod content;
pub mod forms;
pub mod headers;
pub mod keys;
pub mod nesting;
pub mod signatures;
pub mod times;
pub mod wrapping;
