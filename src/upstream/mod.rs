//! 9. Whom requests are forwarded to: endpoints, their choice, their addresses, and what they are told.

mod address;
pub mod outgoing;
pub mod peer;
pub mod settings;

pub use outgoing::{Origin, Outgoing, OutgoingRules};
pub use peer::{PeerError, Upstream, UpstreamError};
pub use settings::{EndpointSettings, HostPolicy, Timeouts, UpstreamSettings, UpstreamTls};

use crate::decision::{Endpoint, Endpoints, UpstreamId};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The upstreams of one generation of the configuration.
#[derive(Debug)]
pub struct Upstreams {
    all: Vec<Pool>,
}

/// One upstream and whose turn it is.
#[derive(Debug)]
struct Pool {
    upstream: Upstream,
    turn: AtomicUsize,
}

impl Upstreams {
    /// The upstreams of `settings`, in the order of their ids.
    ///
    /// Connections to an upstream are shared only within one `generation`: after a reload none is reused that was made
    /// under other terms.
    pub fn new(settings: Vec<UpstreamSettings>, generation: u64) -> Result<Self, UpstreamError> {
        let pool = |one| Ok(Pool { upstream: Upstream::new(one, generation)?, turn: AtomicUsize::new(0) });
        Ok(Self { all: settings.into_iter().map(pool).collect::<Result<_, UpstreamError>>()? })
    }

    /// The upstream of `id`. Ids come from the same generation, so it is there; a foreign id finds nothing.
    #[must_use]
    pub fn find(&self, id: UpstreamId) -> Option<&Upstream> {
        self.all.get(id.index()).map(|pool| &pool.upstream)
    }

    /// Another endpoint of the same upstream, for an attempt after `failed`.
    #[must_use]
    pub fn another(&self, failed: Endpoint) -> Endpoint {
        let count = self.find(failed.upstream).map_or(1, Upstream::endpoint_count);
        Endpoint { index: (failed.index + 1) % count.max(1), ..failed }
    }

    /// The name of the upstream as a metric label.
    #[must_use]
    pub fn name(&self, id: UpstreamId) -> Option<&Arc<str>> {
        self.find(id).map(Upstream::name)
    }
}

impl Endpoints for Upstreams {
    fn choose(&self, upstream: UpstreamId, _subject: Option<&str>) -> Option<Endpoint> {
        let pool = self.all.get(upstream.index())?;
        let turn = pool.turn.fetch_add(1, Ordering::Relaxed);
        Some(Endpoint { upstream, index: turn.checked_rem(pool.upstream.endpoint_count())? })
    }

    fn peek(&self, upstream: UpstreamId, _subject: Option<&str>) -> Option<Endpoint> {
        let pool = self.all.get(upstream.index())?;
        let turn = pool.turn.load(Ordering::Relaxed);
        Some(Endpoint { upstream, index: turn.checked_rem(pool.upstream.endpoint_count())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams() -> Upstreams {
        let endpoint = |port| EndpointSettings { https: false, host: "127.0.0.1".into(), port };
        let settings = UpstreamSettings {
            name: "orders".into(),
            endpoints: vec![endpoint(1), endpoint(2)],
            timeouts: Timeouts::default(),
            tls: UpstreamTls::default(),
            host: HostPolicy::Preserve,
        };
        Upstreams::new(vec![settings], 1).unwrap()
    }

    #[test]
    fn endpoints_take_turns_and_a_peek_takes_none() {
        let (upstreams, id) = (upstreams(), UpstreamId::new(0));
        let peeked: Vec<usize> = (0..3).filter_map(|_| upstreams.peek(id, None)).map(|found| found.index).collect();
        assert_eq!(peeked, [0, 0, 0]);
        let chosen: Vec<usize> = (0..3).filter_map(|_| upstreams.choose(id, None)).map(|found| found.index).collect();
        assert_eq!(chosen, [0, 1, 0]);
        assert_eq!(upstreams.choose(UpstreamId::new(7), None), None);
    }

    #[test]
    fn another_endpoint_is_the_next_one() {
        let (upstreams, upstream) = (upstreams(), UpstreamId::new(0));
        assert_eq!(upstreams.another(Endpoint { upstream, index: 1 }).index, 0);
        assert_eq!(upstreams.another(Endpoint { upstream, index: 0 }).index, 1);
    }
}
