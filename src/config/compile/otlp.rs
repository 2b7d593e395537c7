//! `telemetry.otlp` → where traces are sent.

use super::Workbench;
use super::certificates::{self, MAX_PEM};
use crate::config::gather::Written;
use crate::config::schema::telemetry::Otlp;
use crate::config::site::Site;
use crate::telemetry::TracesSettings;
use crate::telemetry::traces::{CollectorUrl, CollectorUrlError};

/// Compiles `telemetry.otlp`; `None` if there is none, and after a fault.
pub fn compile(written: &Written, bench: &mut Workbench<'_>) -> Option<TracesSettings> {
    let otlp = written.gateway.telemetry.as_ref()?.otlp.as_ref()?;
    let site = written.root.key("telemetry").key("otlp");
    let endpoint = endpoint(otlp, &site.key("endpoint"), bench);
    let place = site.key("ca");
    if otlp.ca.is_some() && endpoint.as_ref().is_some_and(|endpoint| !endpoint.tls) {
        bench.faults.push(&place, "has no use without TLS", "write `https://`, or remove it");
    }
    let ca = match &otlp.ca {
        None => Some(None),
        Some(path) => {
            let sound = certificates::stack(path, &place, bench);
            sound.and_then(|_| bench.file(path.as_str(), MAX_PEM, &place)).map(Some)
        }
    };
    Some(TracesSettings { endpoint: endpoint?, ca: ca? })
}

/// The URL is never repeated: it may hold a password.
fn endpoint(otlp: &Otlp, site: &Site, bench: &mut Workbench<'_>) -> Option<CollectorUrl> {
    let parsed = CollectorUrl::parse(otlp.endpoint.as_ref()?.as_str());
    parsed
        .map_err(|error| {
            let remedy = match error {
                CollectorUrlError::Malformed => {
                    "write `http://HOST:4317` or `https://HOST:4317`, and nothing behind it"
                }
                CollectorUrlError::OverHttp => "write the port of its gRPC receiver, as a rule 4317, and no path",
            };
            bench.faults.push(site, error.to_string(), remedy);
        })
        .ok()
}
