//! The closed list of metrics, made from the table in `telemetry`; `tollgate metrics --list` prints the same.
//!
//! They are scraped in Prometheus' text format from `/metrics` on `admin.address`. No label ever holds
//! a subject, a token or a path, so their number depends on gateway.yaml alone. Beside them stand the usual `process_*`.
#![doc = include_str!("metrics.md")]

#[cfg(all(test, feature = "server"))]
mod tests {
    use crate::telemetry::metrics::markdown;

    #[test]
    fn the_page_is_what_the_code_says() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/metrics.md");
        let written = std::fs::read_to_string(page).unwrap_or_default();
        if written != markdown() {
            std::fs::write(page, markdown()).unwrap();
            assert_eq!(written, markdown(), "src/manual/metrics.md has been written anew, commit it");
        }
    }
}
