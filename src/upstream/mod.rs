//! 9. Whom requests are forwarded to: endpoints, their choice, their health, their addresses, and what they are told.

mod balance;
pub mod outgoing;
pub mod peer;
pub mod pool;
mod probe;
pub mod resolver;
pub mod settings;
mod standing;

pub use outgoing::{Origin, Outgoing, OutgoingRules};
pub use peer::{PeerError, UpstreamError};
pub use pool::{Fault, Pool};
pub use resolver::{Resolver, SystemResolver};
pub use settings::{
    Balance, EndpointSettings, HealthChecks, HostPolicy, Protocol, Timeouts, UpstreamSettings, UpstreamTls,
    UpstreamTlsVersion,
};

use crate::decision::{Endpoint, Endpoints, UpstreamId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// The upstreams of one generation of the configuration.
#[derive(Debug)]
pub struct Upstreams {
    all: Vec<Pool>,
    /// True once another generation is in force. Requests that began before go on, but nobody needs to look around for
    /// them: the other one does.
    retired: AtomicBool,
}

impl Upstreams {
    /// The upstreams of `settings`, in the order of their ids.
    ///
    /// Connections to an upstream are shared only within one `generation`: after a reload none is reused that was made
    /// under other terms.
    pub fn new(settings: Vec<UpstreamSettings>, generation: u64) -> Result<Self, UpstreamError> {
        let resolver: Arc<dyn Resolver> = Arc::new(SystemResolver);
        let pool = |one| Pool::new(one, generation, Arc::clone(&resolver));
        let all = settings.into_iter().map(pool).collect::<Result<_, UpstreamError>>()?;
        Ok(Self { all, retired: AtomicBool::new(false) })
    }

    /// Takes the place of `before`: what is known of endpoints that stand in both stays known.
    pub fn succeed(&self, before: &Self) {
        for pool in &self.all {
            if let Some(old) = before.all.iter().find(|old| old.name() == pool.name()) {
                pool.inherit(old);
            }
        }
        before.retired.store(true, Ordering::Release);
    }

    /// Begins to resolve names and to ask for health, until the last user of `self` is gone or others have taken their
    /// place. Must be called within the runtime that serves.
    pub fn keep(self: &Arc<Self>) {
        for (index, pool) in self.all.iter().enumerate() {
            if pool.resolves_every().is_some() {
                tokio::spawn(follow_names(Arc::downgrade(self), index));
            }
            if pool.health().is_some() {
                tokio::spawn(probe::keep(Arc::downgrade(self), index));
            }
        }
    }

    /// The upstream of `id`. Ids come from the same generation, so it is there; a foreign id finds nothing.
    #[must_use]
    pub fn find(&self, id: UpstreamId) -> Option<&Pool> {
        self.pool(id.index())
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.all.iter()
    }

    /// The name of the upstream as a metric label.
    #[must_use]
    pub fn name(&self, id: UpstreamId) -> Option<&Arc<str>> {
        self.find(id).map(Pool::name)
    }

    fn pool(&self, index: usize) -> Option<&Pool> {
        self.all.get(index)
    }
}

/// Resolves the names of the pool at `index` again and again.
async fn follow_names(upstreams: Weak<Upstreams>, index: usize) {
    loop {
        let Some(interval) = resolve_names(&upstreams, index).await else { return };
        tokio::time::sleep(interval).await;
    }
}

/// `upstreams`, as long as anybody needs them looked after.
fn in_force(upstreams: &Weak<Upstreams>) -> Option<Arc<Upstreams>> {
    upstreams.upgrade().filter(|upstreams| !upstreams.retired.load(Ordering::Acquire))
}

async fn resolve_names(upstreams: &Weak<Upstreams>, index: usize) -> Option<std::time::Duration> {
    let upstreams = in_force(upstreams)?;
    let pool = upstreams.pool(index)?;
    pool.resolve_all().await;
    pool.resolves_every()
}

impl Endpoints for Upstreams {
    fn choose(&self, upstream: UpstreamId, subject: Option<&str>) -> Option<Endpoint> {
        self.find(upstream)?.choose(subject, true).map(|index| Endpoint { upstream, index })
    }

    fn peek(&self, upstream: UpstreamId, subject: Option<&str>) -> Option<Endpoint> {
        self.find(upstream)?.choose(subject, false).map(|index| Endpoint { upstream, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_take_turns_and_a_peek_takes_none() {
        let endpoint = |port| EndpointSettings { https: false, host: "127.0.0.1".into(), port };
        let settings = UpstreamSettings::new("orders", vec![endpoint(1), endpoint(2)]);
        let (upstreams, id) = (Upstreams::new(vec![settings], 1).unwrap(), UpstreamId::new(0));
        let peeked: Vec<usize> = (0..3).filter_map(|_| upstreams.peek(id, None)).map(|found| found.index).collect();
        assert_eq!(peeked, [0, 0, 0]);
        let chosen: Vec<usize> = (0..3).filter_map(|_| upstreams.choose(id, None)).map(|found| found.index).collect();
        assert_eq!(chosen, [0, 1, 0]);
        assert_eq!(upstreams.choose(UpstreamId::new(7), None), None);
    }
}
