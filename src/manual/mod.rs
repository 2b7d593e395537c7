//! The manual, as modules: what a reader of the code needs beside the code, compiled with it and checked against it.
//!
//! - [`way`] – a request's way through the rooms, and where each kind of bug would have to live
//! - [`threats`] – the attacks this gateway was built against, the rule that stops each, and the test that shows it
//! - [`defaults`] – every default and its reason
//! - [`reasons`] – the closed list of refusals
//! - [`operations`] – what the operator of a gateway does, and in which order
//! - [`alerts`] – what each alert means, and what to do
//! - [`store`] – what each failure of the store means and costs
//! - [`sizing`] – how large the store must be

pub mod alerts;
pub mod defaults;
pub mod operations;
pub mod reasons;
pub mod sizing;
pub mod store;
pub mod threats;
pub mod way;
