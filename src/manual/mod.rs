//! The manual, as modules: what a reader of the code needs beside the code, compiled with it and checked against it.
//!
//! - [`way`] – a request's way through the rooms, and where each kind of bug would have to live
//! - [`threats`] – the attacks this gateway was built against, the rule that stops each, and the test that shows it
//! - [`defaults`] – every default and its reason
//! - [`reasons`] – the closed list of refusals
//! - [`metrics`] – everything that is counted
//! - [`operations`] – what the operator of a gateway does, and in which order
//! - [`alerts`] – what each alert means, and what to do
//! - [`enforce`] – from report to enforce
//! - [`store`] – what each failure of the store means and costs
//! - [`sizing`] – how large the store must be
//! - [`speed`] – what a request costs, and what it is made of
//! - [`rotation`] – changing keys, certificates and passwords without a refusal
//! - [`upgrade`] – from one version to the next, and back
//! - [`peers`] – how other gateways compare, as far as we have read

pub mod alerts;
pub mod defaults;
pub mod enforce;
pub mod metrics;
pub mod operations;
pub mod peers;
pub mod reasons;
pub mod rotation;
pub mod sizing;
pub mod speed;
pub mod store;
pub mod threats;
pub mod upgrade;
pub mod way;
