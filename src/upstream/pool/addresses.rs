//! Where the addresses of a pool come from: its names, resolved again and again, and the generation before.

use super::{Pool, Target};
use log::warn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Pool {
    /// Goes on from `before`, the pool of the same name in the generation before: an endpoint that stands in both keeps
    /// its addresses and what is known of them. Where the health checks differ, they begin anew.
    pub(in crate::upstream) fn inherit(&self, before: &Self) {
        if self.settings.health != before.settings.health {
            return;
        }
        let (own, known) = (self.targets.load(), before.targets.load());
        let mut targets = Vec::new();
        for (endpoint, terms) in self.terms.iter().enumerate() {
            let same = before.terms.iter().position(|old| old.endpoint == terms.endpoint);
            let kept = known.iter().filter(|target| Some(before.endpoint_of(target.number)) == same);
            let kept = kept.filter_map(|target| Some((target.address?, Arc::clone(&target.standing))));
            let before = targets.len();
            targets.extend(
                kept.map(|(address, standing)| Arc::new(Target { standing, ..self.new_target(endpoint, address) })),
            );
            if targets.len() == before {
                targets.extend(own.iter().filter(|target| self.endpoint_of(target.number) == endpoint).cloned());
            }
        }
        self.targets.store(Arc::new(targets));
    }

    /// How often names are to be resolved again; `None` when all endpoints are addresses.
    pub(in crate::upstream) fn resolves_every(&self) -> Option<Duration> {
        self.terms.iter().any(|terms| terms.fixed_address().is_none()).then_some(self.settings.resolve)
    }

    /// Resolves every name again.
    pub(in crate::upstream) async fn resolve_all(&self) {
        for (endpoint, terms) in self.terms.iter().enumerate() {
            if terms.fixed_address().is_none() {
                self.ask(endpoint).await;
            }
        }
    }

    /// Resolves the name of `endpoint`, unless somebody else has done so meanwhile.
    pub(super) async fn resolve(&self, endpoint: usize) {
        let Some(asking) = self.asking.get(endpoint) else { return };
        let _turn = asking.lock().await;
        if !self.is_resolved(endpoint) {
            self.ask(endpoint).await;
        }
    }

    /// Asks the resolver. The known addresses stay when it fails: an outage of DNS is none of the upstream.
    async fn ask(&self, endpoint: usize) {
        let Some(terms) = self.terms.get(endpoint) else { return };
        let question = self.resolver.resolve(&terms.endpoint.host, terms.endpoint.port);
        match tokio::time::timeout(self.settings.timeouts.connect, question).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => self.replace(endpoint, &addresses),
            Ok(Ok(_) | Err(_)) | Err(_) => {
                warn!("upstream {}: the name {} can't be resolved", self.name, terms.endpoint.host);
            }
        }
    }

    /// Puts `addresses` in the place of the endpoint's targets. Those that stay keep their number and their standing.
    fn replace(&self, endpoint: usize, addresses: &[SocketAddr]) {
        self.targets.rcu(|old| {
            let (mut mine, others): (Vec<_>, Vec<_>) =
                old.iter().cloned().partition(|target| self.endpoint_of(target.number) == endpoint);
            let stays = addresses.iter().map(|address| {
                let known = mine.iter().position(|target| target.address == Some(*address));
                known.map_or_else(|| Arc::new(self.new_target(endpoint, *address)), |at| mine.swap_remove(at))
            });
            let stays: Vec<_> = stays.collect();
            others.into_iter().chain(stays).collect::<Vec<_>>()
        });
    }

    fn new_target(&self, endpoint: usize, address: SocketAddr) -> Target {
        let number = self.numbered.fetch_add(1, Ordering::Relaxed) * self.terms.len() + endpoint;
        Target { number, address: Some(address), standing: Arc::default() }
    }

    pub(super) fn is_resolved(&self, endpoint: usize) -> bool {
        let targets = self.targets.load();
        targets.iter().any(|target| self.endpoint_of(target.number) == endpoint && target.address.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{addresses, fail, pool};
    use super::super::{Fault, HealthChecks, UpstreamSettings};
    use super::*;
    use crate::upstream::{Balance, PeerError};

    #[tokio::test]
    async fn a_name_is_resolved_on_demand_and_its_change_is_followed() {
        let (pool, resolver) = pool(&["10.0.0.1", "b.test"], Balance::RoundRobin);
        assert_eq!(pool.peer(1).await.unwrap_err(), PeerError::Unresolved);
        resolver.tell(&["10.0.0.2:80", "10.0.0.3:80"]);
        let (target, peer) = pool.peer(1).await.unwrap();
        assert_eq!(peer._address.to_string(), "10.0.0.2:80");
        assert_eq!(addresses(&pool), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
        fail(&pool, target, Fault::Broken);
        resolver.tell(&["10.0.0.4:80", "10.0.0.2:80"]);
        pool.resolve_all().await;
        assert_eq!(addresses(&pool), ["10.0.0.1:80", "10.0.0.4:80", "10.0.0.2:80"]);
        assert!(!pool.find(target).unwrap().standing.is_available(), "who stays keeps its standing");
        resolver.tell(&[]);
        pool.resolve_all().await;
        assert_eq!(addresses(&pool).len(), 3, "a failed look-up keeps the old addresses");
    }

    #[tokio::test]
    async fn a_target_that_is_gone_gives_way_to_its_endpoint() {
        let (pool, resolver) = pool(&["b.test"], Balance::RoundRobin);
        resolver.tell(&["10.0.0.2:80"]);
        let (gone, _) = pool.peer(0).await.unwrap();
        resolver.tell(&["10.0.0.3:80"]);
        pool.resolve_all().await;
        let (target, peer) = pool.peer(gone).await.unwrap();
        assert_ne!(target, gone);
        assert_eq!(peer._address.to_string(), "10.0.0.3:80");
        fail(&pool, gone, Fault::Broken);
        assert_eq!(pool.choose(None, true), Some(target), "the failures of the gone are not those of its successor");
    }

    #[tokio::test]
    async fn what_is_known_of_an_endpoint_outlives_its_generation() {
        let (old, resolver) = pool(&["10.0.0.1", "b.test", "10.0.0.3"], Balance::RoundRobin);
        resolver.tell(&["10.0.0.2:80"]);
        let (named, _) = old.peer(1).await.unwrap();
        fail(&old, 0, Fault::Broken);
        fail(&old, named, Fault::Broken);
        let (new, _) = pool(&["10.0.0.4", "b.test", "10.0.0.1"], Balance::RoundRobin);
        new.inherit(&old);
        assert_eq!(addresses(&new), ["10.0.0.4:80", "10.0.0.2:80", "10.0.0.1:80"], "no name is asked for once more");
        assert_eq!(new.endpoints().map(|(_, well)| well).collect::<Vec<_>>(), [true, false, false]);
        assert!((0..4).all(|_| new.choose(None, true) == Some(0)));
        // What requests that began before find out holds for those that begin now.
        old.answered(named);
        assert_eq!(new.endpoints().map(|(_, well)| well).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn other_health_checks_begin_anew() {
        let (old, _) = pool(&["10.0.0.1", "10.0.0.2"], Balance::RoundRobin);
        fail(&old, 0, Fault::Broken);
        let settings =
            UpstreamSettings { health: Some(HealthChecks::new("/other")), ..UpstreamSettings::clone(&old.settings) };
        let new = Pool::new(settings, 2, Arc::clone(&old.resolver)).unwrap();
        new.inherit(&old);
        assert_eq!(new.endpoints().map(|(_, well)| well).collect::<Vec<_>>(), [true, true]);
    }
}
