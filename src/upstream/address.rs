//! From a name to an address, without ever blocking a thread that serves requests.

use super::EndpointSettings;
use crate::clock::Stopwatch;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the addresses of a name are used before it is resolved again.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);

/// The address of one endpoint.
#[derive(Debug)]
pub(super) enum Address {
    /// It was written as an address.
    Fixed(SocketAddr),
    /// It was written as a name.
    Named(Name),
}

/// A name and what it resolved to.
#[derive(Debug)]
pub(super) struct Name {
    host: String,
    port: u16,
    known: Mutex<Option<Known>>,
    /// One question at a time: a slow resolver is not asked by every request.
    asking: tokio::sync::Mutex<()>,
    /// Which of the addresses is tried: moves on when one refuses.
    preferred: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Known {
    addresses: Arc<[SocketAddr]>,
    since: Stopwatch,
}

impl Address {
    pub(super) fn new(endpoint: &EndpointSettings) -> Self {
        match endpoint.host.parse::<IpAddr>() {
            Ok(address) => Self::Fixed(SocketAddr::new(address, endpoint.port)),
            Err(_) => Self::Named(Name {
                host: endpoint.host.clone(),
                port: endpoint.port,
                known: Mutex::new(None),
                asking: tokio::sync::Mutex::new(()),
                preferred: AtomicUsize::new(0),
            }),
        }
    }

    /// The address to connect to; `None` when the name can't be resolved within `limit` and never could.
    pub(super) async fn resolve(&self, limit: Duration) -> Option<SocketAddr> {
        match self {
            Self::Fixed(address) => Some(*address),
            Self::Named(name) => name.resolve(limit).await,
        }
    }

    /// How many addresses are worth trying.
    pub(super) fn alternatives(&self) -> usize {
        match self {
            Self::Fixed(_) => 1,
            Self::Named(name) => name.known().as_ref().map_or(1, |known| known.addresses.len()),
        }
    }

    /// Notes that the address in use refused, so that the next attempt takes the next one.
    pub(super) fn refused(&self) {
        if let Self::Named(name) = self {
            name.preferred.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Name {
    async fn resolve(&self, limit: Duration) -> Option<SocketAddr> {
        let known = self.known().clone();
        let fresh = known.as_ref().is_some_and(|known| known.since.elapsed() < RESOLVE_EVERY);
        if fresh {
            return self.pick(known.as_ref());
        }
        // Who finds the question asked already goes on with the old answer, or waits for the first one.
        let permit = match (&known, self.asking.try_lock()) {
            (_, Ok(permit)) => permit,
            (Some(_), Err(_)) => return self.pick(known.as_ref()),
            (None, Err(_)) => self.asking.lock().await,
        };
        let answered = self.known().as_ref().is_some_and(|known| known.since.elapsed() < RESOLVE_EVERY);
        if !answered {
            self.ask(limit).await;
        }
        drop(permit);
        let known = self.known().clone();
        self.pick(known.as_ref())
    }

    /// Asks the resolver. The old addresses stay when it fails: an outage of DNS is none of the upstream.
    async fn ask(&self, limit: Duration) {
        let question = tokio::net::lookup_host((self.host.as_str(), self.port));
        let answer = tokio::time::timeout(limit, question).await;
        let mut addresses: Vec<SocketAddr> = match answer {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        addresses.dedup();
        let mut known = self.known();
        match (addresses.is_empty(), known.as_mut()) {
            (false, _) => *known = Some(Known { addresses: addresses.into(), since: Stopwatch::start() }),
            (true, Some(old)) => old.since = Stopwatch::start(),
            (true, None) => {}
        }
    }

    fn pick(&self, known: Option<&Known>) -> Option<SocketAddr> {
        let addresses = &known?.addresses;
        let index = self.preferred.load(Ordering::Relaxed).checked_rem(addresses.len())?;
        addresses.get(index).copied()
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str) -> EndpointSettings {
        EndpointSettings { https: false, host: host.into(), port: 80 }
    }

    #[tokio::test]
    async fn an_address_needs_no_resolver() {
        let second = Duration::from_secs(1);
        for (host, text) in [("10.0.0.5", "10.0.0.5:80"), ("::1", "[::1]:80")] {
            let address = Address::new(&endpoint(host)).resolve(second).await.unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[tokio::test]
    async fn a_name_is_resolved_and_an_unknown_one_is_none() {
        let limit = Duration::from_secs(5);
        let local = Address::new(&endpoint("localhost"));
        assert!(local.resolve(limit).await.is_some_and(|address| address.ip().is_loopback()));
        assert_eq!(Address::new(&endpoint("no-such-host.invalid")).resolve(limit).await, None);
    }
}
