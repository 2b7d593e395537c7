//! From settings to the engine's services.

use super::arrivals::Arrivals;
use super::door::Door;
use super::guard::Guard;
use super::places::Places;
use super::plain::Redirector;
use super::{Gateway, ListenerKind, ListenerSettings, Shared};
use crate::telemetry::Metrics;
use crate::tls::{self, OnHandshake, SharedTerms, TlsSetupError};
use pingora::apps::HttpServerOptions;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::services::Service as Startable;
use pingora::services::listening::Service;
use std::sync::Arc;

/// More attempts than any upstream allows for one request: how many there are is its own affair.
const MAX_ATTEMPTS: usize = 32;
/// Idle connections to upstreams that are kept, for each thread.
const IDLE_UPSTREAM_CONNECTIONS: usize = 256;

/// What each client connection holds for its reads and writes as long as it lives. The engine's own 64 KiB would be half
/// of what an idle one costs; most requests fit into this, and a record of TLS that does not is read past it. Of eight
/// kibibytes an idle connection would hold a second page for nothing.
const BUFFERS: L4BufferSettings = L4BufferSettings { read: Some(4 * 1024), write: None };

/// How many client connections are open, those in their handshake too.
pub struct Connections(Arc<Places>);

impl Connections {
    /// Their number at this moment.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.taken()
    }
}

/// The public side: its services, and where a reload finds the terms of its handshakes.
pub struct Listening {
    /// What is to be started.
    pub services: Vec<Box<dyn Startable>>,
    /// The terms of each TLS listener, by its name.
    pub terms: Vec<(Arc<str>, SharedTerms)>,
    /// Who is still there when nobody is let in any more.
    pub connections: Connections,
}

/// Makes the services of `listeners`. Nothing listens before they are started.
///
/// All TLS listeners are one service, so that they share the pool of connections to the upstreams.
pub fn services(listeners: &[ListenerSettings], shared: &Arc<Shared>) -> Result<Listening, TlsSetupError> {
    let settings = &shared.settings;
    let places = Places::new(settings.max_connections, settings.max_connections_per_client);
    let connections = Connections(Arc::clone(&places));
    let mut listening = Listening { services: Vec::new(), terms: Vec::new(), connections };
    let mut gateway =
        Service::new("gateway".to_owned(), Door::new(Guard::new(engine(shared), shared), shared, &places, None));
    let on_handshake = count_handshakes(&shared.metrics);
    for (index, listener) in listeners.iter().enumerate() {
        let address = listener.address.to_string();
        match &listener.kind {
            ListenerKind::Tls(settings) => {
                let (engine, terms) =
                    tls::handshake::listener(index, settings, listener.http2, Arc::clone(&on_handshake))?;
                gateway.add_listener(ListenerConfig::tcp(address).l4_buffer(BUFFERS).tls(engine));
                listening.terms.push((Arc::clone(&listener.name), terms));
            }
            ListenerKind::Redirect { to } => {
                let redirector = Redirector::new(Arc::clone(shared), *to);
                let door = Door::new(redirector, shared, &places, Some(index));
                let mut service = Service::new(format!("redirect {}", listener.name), door);
                service.add_listener(ListenerConfig::tcp(address).l4_buffer(BUFFERS));
                listening.services.push(Box::new(service));
            }
        }
    }
    let (patience, metrics) = (settings.header_timeout, Arc::clone(&shared.metrics));
    gateway.endpoints().set_pre_tls_callback(Arc::new(Arrivals::new(listeners, places, patience, metrics)));
    listening.services.push(Box::new(gateway));
    Ok(listening)
}

fn count_handshakes(metrics: &Arc<Metrics>) -> OnHandshake {
    let metrics = Arc::clone(metrics);
    Arc::new(move |version, result| metrics.handshake(version, result.label()))
}

fn engine(shared: &Arc<Shared>) -> HttpProxy<Gateway> {
    let conf = Arc::new(ServerConf {
        threads: shared.settings.threads,
        max_retries: MAX_ATTEMPTS,
        upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS,
        ..ServerConf::default()
    });
    let mut proxy = http_proxy(&conf, Gateway::new(Arc::clone(shared)));
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(shared.settings.idle_timeout);
    proxy.server_options = Some(options);
    // The engine's own limits of streams hold only for options that start from its defaults.
    let mut h2 = default_h2_options();
    h2.max_header_list_size(u32::try_from(shared.settings.max_header).unwrap_or(u32::MAX).saturating_mul(2));
    proxy.h2_options = Some(h2);
    proxy
}

#[cfg(test)]
mod tests {
    use crate::proxy::arrivals::REFUSED;
    use crate::proxy::door::{NO_PLACE, SLOW_HEAD};
    use crate::telemetry::METRICS;
    use crate::tls::HandshakeResult;

    #[test]
    fn the_table_of_metrics_knows_every_result_of_a_handshake() {
        let metric = METRICS.iter().find(|metric| metric.name == "tollgate_tls_handshakes_total").unwrap();
        let results = metric.labels.iter().find(|label| label.name == "result").and_then(|label| label.values.list());
        let known = HandshakeResult::ALL.iter().map(|result| result.label()).chain([REFUSED]);
        assert_eq!(results.unwrap(), known.collect::<Vec<_>>());
    }

    #[test]
    fn the_table_of_metrics_knows_why_connections_are_cut() {
        let metric = METRICS.iter().find(|metric| metric.name == "tollgate_connections_cut_total").unwrap();
        let reasons = metric.labels.first().and_then(|label| label.values.list());
        assert_eq!(reasons.unwrap(), [SLOW_HEAD, NO_PLACE]);
    }
}
