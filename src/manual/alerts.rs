//! The alerts of `deploy/prometheus/alerts.yaml`, each with its runbook.
#![doc = include_str!("alerts.md")]
