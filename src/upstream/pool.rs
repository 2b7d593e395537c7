//! One upstream: the targets that can answer for it, which of them are well, and whose turn it is.

mod addresses;

use super::balance::Balancer;
use super::peer::Terms;
use super::resolver::Resolver;
use super::standing::{Standing, Turn};
use super::{HealthChecks, PeerError, Protocol, UpstreamError, UpstreamSettings, UpstreamTlsVersion};
use arc_swap::ArcSwap;
use http::HeaderValue;
use log::{info, warn};
use pingora::upstreams::peer::HttpPeer;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// One upstream.
///
/// A *target* is one address of one endpoint. Its number is never given to another one, so that a request that was
/// meant for it can't be counted against its successor.
pub struct Pool {
    name: Arc<str>,
    terms: Vec<Terms>,
    targets: ArcSwap<Vec<Arc<Target>>>,
    /// How many numbers were given away, over all endpoints.
    numbered: AtomicUsize,
    balancer: Balancer,
    settings: Arc<UpstreamSettings>,
    resolver: Arc<dyn Resolver>,
    /// One question at a time for each endpoint: a slow resolver is not asked by every request.
    asking: Vec<tokio::sync::Mutex<()>>,
}

/// One address of one endpoint.
#[derive(Debug)]
struct Target {
    /// Its endpoint is the number modulo the number of endpoints.
    number: usize,
    /// `None` until its endpoint's name was resolved for the first time.
    address: Option<SocketAddr>,
    /// Shared with the target of the generation before, where that is the same: what is known of it stays known.
    standing: Arc<Standing>,
}

/// Why an attempt failed, as far as the standing of its target is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It could not be connected to, or broke the connection.
    Broken,
    /// It did not answer in time. That may be the request's fault, so it never takes the last target out.
    Slow,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).field("targets", &self.targets.load()).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(
        settings: UpstreamSettings,
        generation: u64,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, UpstreamError> {
        if settings.endpoints.is_empty() {
            return Err(UpstreamError::Empty(settings.name));
        }
        let terms = settings.endpoints.iter().map(|endpoint| Terms::new(&settings, endpoint, generation));
        let terms: Vec<Terms> = terms.collect::<Result<_, UpstreamError>>()?;
        let target = |(number, terms): (usize, &Terms)| {
            Arc::new(Target { number, address: terms.fixed_address(), standing: Arc::default() })
        };
        Ok(Self {
            name: Arc::clone(&settings.name),
            targets: ArcSwap::from_pointee(terms.iter().enumerate().map(target).collect()),
            numbered: AtomicUsize::new(1),
            balancer: Balancer::new(settings.balance),
            asking: terms.iter().map(|_| tokio::sync::Mutex::new(())).collect(),
            terms,
            settings: Arc::new(settings),
            resolver,
        })
    }

    /// The name in gateway.yaml and in metrics.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is spoken to it.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.settings.protocol
    }

    /// How many further attempts a request may have.
    #[must_use]
    pub fn retries(&self) -> usize {
        self.settings.retries
    }

    /// How long it may take to begin an answer.
    #[must_use]
    pub fn read_timeout(&self) -> Duration {
        self.settings.timeouts.read
    }

    /// The lowest TLS version spoken to it.
    #[must_use]
    pub fn min_version(&self) -> UpstreamTlsVersion {
        self.settings.tls.min_version
    }

    /// The `Host` for a request to `target`; `None` keeps the client's.
    #[must_use]
    pub fn host(&self, target: usize) -> Option<&HeaderValue> {
        self.terms.get(self.endpoint_of(target)).and_then(Terms::host)
    }

    /// The host and the port of the endpoint to which `target` belongs, as gateway.yaml names them.
    #[must_use]
    pub fn named(&self, target: usize) -> Option<(&str, u16)> {
        let endpoint = &self.terms.get(self.endpoint_of(target))?.endpoint;
        Some((&endpoint.host, endpoint.port))
    }

    /// The number of the target for a request of `subject`; `None` when none is well. `choosing` counts as a choice.
    pub(super) fn choose(&self, subject: Option<&str>, choosing: bool) -> Option<usize> {
        let targets = self.targets.load();
        if let [only] = targets.as_slice() {
            let admitted = if choosing { only.standing.admit() } else { only.standing.is_available() };
            return admitted.then_some(only.number);
        }
        let well: Vec<&Arc<Target>> = targets.iter().filter(|target| target.standing.is_available()).collect();
        let first = self.pick(&well, subject, choosing)?;
        if !choosing || well.get(first)?.standing.admit() {
            return well.get(first).map(|target| target.number);
        }
        // Somebody else took the trial of a target that was at rest.
        well.iter().find(|target| target.standing.admit()).map(|target| target.number)
    }

    /// The target for another attempt: one that was not tried yet, else the last one once more.
    #[must_use]
    pub fn another(&self, tried: &[usize]) -> Option<usize> {
        let targets = self.targets.load();
        let untried = |target: &&Arc<Target>| target.standing.is_available() && !tried.contains(&target.number);
        let untried: Vec<&Arc<Target>> = targets.iter().filter(untried).collect();
        let next = self.pick(&untried, None, true).and_then(|at| untried.get(at)).filter(|next| next.standing.admit());
        let again = || targets.iter().find(|target| Some(&target.number) == tried.last() && target.standing.admit());
        next.copied().or_else(again).map(|target| target.number)
    }

    fn pick(&self, targets: &[&Arc<Target>], subject: Option<&str>, choosing: bool) -> Option<usize> {
        let mark = |target: &&Arc<Target>| {
            let endpoint = self.terms.get(self.endpoint_of(target.number)).map(|terms| terms.endpoint.host.as_str());
            (endpoint.unwrap_or_default(), target.address)
        };
        let marks: Vec<_> = targets.iter().map(mark).collect();
        self.balancer.pick(&marks, subject, choosing)
    }

    /// The peer for an attempt at `target`, and the target it really is: once a name is resolved, or has changed, another
    /// one stands for the endpoint.
    pub async fn peer(&self, target: usize) -> Result<(usize, HttpPeer), PeerError> {
        let endpoint = self.endpoint_of(target);
        let terms = self.terms.get(endpoint).ok_or(PeerError::Unknown)?;
        if let Some(address) = self.find(target).and_then(|target| target.address) {
            return Ok((target, terms.peer(address)));
        }
        if !self.is_resolved(endpoint) {
            self.resolve(endpoint).await;
        }
        let targets = self.targets.load();
        let of_endpoint = |target: &&Arc<Target>| self.endpoint_of(target.number) == endpoint;
        let known = targets.iter().filter(of_endpoint).find_map(|target| Some((target.number, target.address?)));
        known.map(|(number, address)| (number, terms.peer(address))).ok_or(PeerError::Unresolved)
    }

    /// Notes that `target` has answered a request.
    pub fn answered(&self, target: usize) {
        if let Some(found) = self.find(target) {
            self.tell(&found, found.standing.answered());
        }
    }

    /// Notes that `target` has failed a request.
    pub fn failed(&self, target: usize, fault: Fault) {
        let others = |other: &Arc<Target>| other.number != target && other.standing.is_available();
        if fault == Fault::Slow && !self.targets.load().iter().any(others) {
            return;
        }
        if let Some(found) = self.find(target) {
            self.tell(&found, found.standing.failed());
        }
    }

    /// Every endpoint as gateway.yaml names it, and whether one of its targets is well.
    pub fn endpoints(&self) -> impl Iterator<Item = (String, bool)> {
        let mut well: BTreeMap<usize, bool> = BTreeMap::new();
        for target in self.targets.load().iter() {
            *well.entry(self.endpoint_of(target.number)).or_default() |= target.standing.is_available();
        }
        let name = |(endpoint, well): (usize, bool)| Some((self.terms.get(endpoint)?.endpoint.to_string(), well));
        well.into_iter().filter_map(name).collect::<Vec<_>>().into_iter()
    }

    /// How its targets are asked whether they are well.
    pub(super) fn health(&self) -> Option<&HealthChecks> {
        self.settings.health.as_ref()
    }

    /// Every target with an address, and how to reach it.
    pub(super) fn peers(&self) -> Vec<(usize, HttpPeer)> {
        let targets = self.targets.load();
        let peer = |target: &Arc<Target>| {
            Some((target.number, self.terms.get(self.endpoint_of(target.number))?.peer(target.address?)))
        };
        targets.iter().filter_map(peer).collect()
    }

    /// The `Host` of a health check: there is no client whose it could be.
    pub(super) fn own_host(&self, target: usize) -> Option<String> {
        let terms = self.terms.get(self.endpoint_of(target))?;
        let fixed = terms.host().and_then(|host| host.to_str().ok()).map(str::to_owned);
        Some(fixed.unwrap_or_else(|| terms.endpoint.to_string()))
    }

    /// Notes the answer to a health check.
    pub(super) fn checked(&self, target: usize, well: bool) {
        if let (Some(found), Some(health)) = (self.find(target), self.health()) {
            let limit = if well { health.healthy_after } else { health.unhealthy_after };
            self.tell(&found, found.standing.checked(well, limit));
        }
    }

    fn find(&self, target: usize) -> Option<Arc<Target>> {
        self.targets.load().iter().find(|known| known.number == target).cloned()
    }

    fn endpoint_of(&self, target: usize) -> usize {
        target % self.terms.len()
    }

    fn tell(&self, target: &Target, turn: Option<Turn>) {
        let Some(turn) = turn else { return };
        let endpoint = self.terms.get(self.endpoint_of(target.number)).map(|terms| terms.endpoint.to_string());
        let address = target.address.map(|address| address.to_string());
        let who = address.or(endpoint).unwrap_or_default();
        let name = &self.name;
        match turn {
            Turn::Rests(length, failures) => {
                warn!("upstream {name}: {who} gets no request for {length:?}, after {failures} failures in a row");
            }
            Turn::Recovered => info!("upstream {name}: {who} answers again"),
            Turn::Sick => warn!("upstream {name}: {who} fails its health checks"),
            Turn::Well => info!("upstream {name}: {who} passes its health checks again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Balance, EndpointSettings};
    use super::*;
    use async_trait::async_trait;
    use std::io;
    use std::sync::Mutex;

    /// A resolver that answers what it was told last.
    #[derive(Default)]
    pub(super) struct Told(Mutex<Option<Vec<SocketAddr>>>);

    #[async_trait]
    impl Resolver for Told {
        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            self.0.lock().unwrap().clone().ok_or_else(|| io::Error::other("no answer"))
        }
    }

    impl Told {
        pub(super) fn tell(&self, addresses: &[&str]) {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            *self.0.lock().unwrap() = Some(addresses).filter(|all: &Vec<_>| !all.is_empty());
        }
    }

    pub(super) fn pool(hosts: &[&str], balance: Balance) -> (Pool, Arc<Told>) {
        let resolver = Arc::new(Told::default());
        let endpoint = |host: &&str| EndpointSettings { https: false, host: (*host).into(), port: 80 };
        let endpoints = hosts.iter().map(endpoint).collect();
        let settings = UpstreamSettings { balance, ..UpstreamSettings::new("orders", endpoints) };
        (Pool::new(settings, 1, Arc::clone(&resolver) as Arc<dyn Resolver>).unwrap(), resolver)
    }

    pub(super) fn addresses(pool: &Pool) -> Vec<String> {
        pool.targets.load().iter().filter_map(|target| Some(target.address?.to_string())).collect()
    }

    pub(super) fn fail(pool: &Pool, target: usize, fault: Fault) {
        (0..3).for_each(|_| pool.failed(target, fault));
    }

    #[test]
    fn who_fails_is_left_out_and_all_down_is_none() {
        let (pool, _) = pool(&["10.0.0.1", "10.0.0.2"], Balance::RoundRobin);
        fail(&pool, 0, Fault::Broken);
        let chosen: Vec<_> = (0..3).map(|_| pool.choose(None, true)).collect();
        assert_eq!(chosen, [Some(1); 3]);
        assert_eq!(pool.endpoints().map(|(_, well)| well).collect::<Vec<_>>(), [false, true]);
        fail(&pool, 1, Fault::Broken);
        assert_eq!((pool.choose(None, true), pool.choose(None, false)), (None, None));
        pool.answered(0);
        assert_eq!(pool.choose(None, true), Some(0));
    }

    #[test]
    fn slowness_never_takes_the_last_target_out() {
        let (pool, _) = pool(&["10.0.0.1", "10.0.0.2"], Balance::RoundRobin);
        fail(&pool, 0, Fault::Slow);
        fail(&pool, 1, Fault::Slow);
        assert_eq!(pool.choose(None, true), Some(1));
    }

    #[test]
    fn another_attempt_goes_elsewhere_or_else_to_the_same() {
        let (two, _) = pool(&["10.0.0.1", "10.0.0.2"], Balance::RoundRobin);
        assert_eq!((two.another(&[1]), two.another(&[0]), two.another(&[0, 1])), (Some(0), Some(1), Some(1)));
        let (one, _) = pool(&["10.0.0.1"], Balance::RoundRobin);
        assert_eq!(one.another(&[0]), Some(0));
        fail(&one, 0, Fault::Broken);
        assert_eq!(one.another(&[0]), None);
    }

    #[test]
    fn a_subject_stays_with_its_target() {
        let (pool, _) = pool(&["10.0.0.1", "10.0.0.2", "10.0.0.3"], Balance::HashSubject);
        let first = pool.choose(Some("alice"), true).unwrap();
        assert!((0..10).all(|_| pool.choose(Some("alice"), true) == Some(first)));
        fail(&pool, first, Fault::Broken);
        assert_ne!(pool.choose(Some("alice"), true), Some(first));
    }
}
