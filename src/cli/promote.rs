//! What a running gateway has found on routes that only report: which of them could be enforced.

use crate::config::Loaded;
use crate::decision::{Access, Mode};
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::time::Duration;

/// One line for each route of `loaded` in report mode, by what the running gateway has counted since its start.
pub(super) fn advise(loaded: &Loaded) -> anyhow::Result<Vec<String>> {
    let only_reports = |access: &Access| matches!(access, Access::Guarded(guard) if guard.mode == Mode::Report);
    let routes = loaded.rules.iter().map(|rule| &rule.policy).filter(|policy| only_reports(&policy.access));
    let names: Vec<&str> = routes.map(|policy| &*policy.name).collect();
    if names.is_empty() {
        return Ok(vec!["no route is in report mode".to_owned()]);
    }
    let metrics = scrape(loaded)?;
    Ok(names.into_iter().map(|route| line(route, &metrics)).collect())
}

fn scrape(loaded: &Loaded) -> anyhow::Result<String> {
    let address = match (loaded.admin.metrics_address, &loaded.admin.tls) {
        (Some(address), _) => address,
        (None, None) => loaded.admin.address,
        (None, Some(_)) => bail!("--live asks without TLS: write `admin.metrics_address` beside `admin.tls`"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let answer = client.get(format!("http://{address}/metrics")).send().await;
        let answer = answer.with_context(|| format!("no gateway answers on {address}"))?;
        Ok(answer.error_for_status()?.text().await?)
    })
}

fn line(route: &str, metrics: &str) -> String {
    let all: u64 = samples(metrics, "tollgate_requests_total", route, "outcome").values().sum();
    let reasons = samples(metrics, "tollgate_would_deny_total", route, "reason");
    let refused: u64 = reasons.values().sum();
    match (all, refused) {
        (0, 0) => format!("route {route}: no request yet"),
        (all, 0) => format!("route {route}: can be promoted, none of {all} requests would have been refused"),
        (all, refused) => {
            let reasons: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            format!("route {route}: {refused} of {all} requests would have been refused: {}", reasons.join(", "))
        }
    }
}

/// The samples of `name` for `route`, summed by the value of the label `by`; those at zero left out.
fn samples(metrics: &str, name: &str, route: &str, by: &str) -> BTreeMap<String, u64> {
    let of_route = format!("route=\"{route}\"");
    let mut sums = BTreeMap::new();
    for line in metrics.lines() {
        let Some((labels, value)) = line.strip_prefix(name).and_then(|rest| rest.strip_prefix('{')?.split_once("} "))
        else {
            continue;
        };
        let value: u64 = value.parse().unwrap_or(0);
        let mut labels = labels.split(',');
        if value == 0 || !labels.clone().any(|label| label == of_route) {
            continue;
        }
        let found = labels.find_map(|label| label.strip_prefix(by)?.strip_prefix("=\"")?.strip_suffix('"'));
        *sums.entry(found.unwrap_or_default().to_owned()).or_default() += value;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_route_can_be_promoted_once_nothing_would_be_refused() {
        let metrics = "# HELP x\n\
            tollgate_requests_total{outcome=\"allowed\",route=\"a\"} 7\n\
            tollgate_requests_total{outcome=\"would_deny\",route=\"a\"} 0\n\
            tollgate_requests_total{outcome=\"would_deny\",route=\"b\"} 3\n\
            tollgate_would_deny_total{issuer=\"none\",reason=\"expired\",route=\"b\"} 1\n\
            tollgate_would_deny_total{issuer=\"corp\",reason=\"expired\",route=\"b\"} 2\n";
        assert_eq!(line("a", metrics), "route a: can be promoted, none of 7 requests would have been refused");
        assert_eq!(line("b", metrics), "route b: 3 of 3 requests would have been refused: expired 3");
        assert_eq!(line("c", metrics), "route c: no request yet");
    }
}
