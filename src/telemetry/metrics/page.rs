//! The table of metrics for people and for programs.

use super::table::METRICS;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The table as `tollgate metrics --list` prints it.
#[must_use]
pub fn text() -> String {
    let mut text = String::new();
    for metric in METRICS {
        let _ = writeln!(text, "{} ({})\n    {}", metric.name, metric.kind.name(), metric.meaning);
        for label in metric.labels {
            let _ = writeln!(text, "    {}: {}", label.name, label.values.describe());
        }
    }
    text
}

/// The table as JSON: `[{"name", "kind", "meaning", "labels": [{"name", "values": […] | null, "described"}]}]`.
#[must_use]
pub fn json() -> Value {
    let row = |metric: &super::MetricInfo| {
        let label = |label: &super::Label| json!({ "name": label.name, "values": label.values.list(), "described": label.values.describe() });
        json!({
            "name": metric.name,
            "kind": metric.kind.name(),
            "meaning": metric.meaning,
            "labels": metric.labels.iter().map(label).collect::<Vec<_>>(),
        })
    };
    METRICS.iter().map(row).collect()
}

/// The table as the manual's page.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("\n| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in METRICS {
        let label = |label: &super::Label| format!("`{}`: {}", label.name, label.values.describe().replace('|', "·"));
        let labels: Vec<String> = metric.labels.iter().map(label).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join("; ") };
        let _ = writeln!(text, "| `{}` | {} | {labels} | {} |", metric.name, metric.kind.name(), metric.meaning);
    }
    text
}
