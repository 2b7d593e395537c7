//! The primaries, and which of them answers for which group of claims.

use super::Inner;
use super::cluster;
use super::dialer::Address;
use super::keys::Keys;
use super::primary::{Place, Primary};
use crate::store::StoreError;
use arc_swap::ArcSwap;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// All primaries of a store: one, or those of a cluster.
pub(super) struct Fleet {
    map: ArcSwap<Map>,
    /// The servers through which a cluster is found first; none where there is no cluster.
    seeds: Vec<Address>,
    known: watch::Sender<Known>,
    tender: Mutex<Option<JoinHandle<()>>>,
    nudge: Notify,
}

#[derive(Default)]
struct Map {
    primaries: Vec<Arc<Primary>>,
    by_group: Vec<Option<Arc<Primary>>>,
    /// Every node of the cluster, replicas too: whom to ask when no primary is left.
    nodes: HashSet<Address>,
}

/// Whether it is known who answers for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    NotYet,
    Yes,
    No(StoreError),
}

impl Fleet {
    /// One primary at `place`.
    pub(super) fn single(place: Place) -> Self {
        let primary = Arc::new(Primary::new(place, vec![0]));
        let map = Map { primaries: vec![Arc::clone(&primary)], by_group: vec![Some(primary)], nodes: HashSet::new() };
        Self::new(map, Vec::new(), Known::Yes)
    }

    /// A cluster that is found through `seeds`.
    pub(super) fn cluster(seeds: Vec<Address>) -> Self {
        Self::new(Map::default(), seeds, Known::NotYet)
    }

    fn new(map: Map, seeds: Vec<Address>, known: Known) -> Self {
        Self {
            map: ArcSwap::from_pointee(map),
            seeds,
            known: watch::Sender::new(known),
            tender: Mutex::new(None),
            nudge: Notify::new(),
        }
    }

    /// The primary of a group, if it is known.
    pub(super) fn primary(&self, group: u16) -> Option<Arc<Primary>> {
        self.map.load().by_group.get(usize::from(group)).cloned().flatten()
    }

    /// The primary of a group; while a cluster is being found, waits for that.
    pub(super) async fn locate(self: &Arc<Self>, inner: &Arc<Inner>, group: u16) -> Result<Arc<Primary>, StoreError> {
        if let Some(primary) = self.primary(group) {
            return Ok(primary);
        }
        self.start(inner);
        let mut known = self.known.subscribe();
        loop {
            let now = *known.borrow_and_update();
            match now {
                Known::No(error) => return Err(error),
                Known::Yes => return self.primary(group).ok_or(StoreError::Connection),
                Known::NotYet => {}
            }
            known.changed().await.map_err(|_| StoreError::Connection)?;
        }
    }

    /// Begins to tend the fleet, unless that is under way.
    pub(super) fn start(self: &Arc<Self>, inner: &Arc<Inner>) {
        for primary in &self.map.load().primaries {
            primary.start(inner);
        }
        if self.seeds.is_empty() {
            return;
        }
        let mut tender = self.tender.lock().unwrap_or_else(PoisonError::into_inner);
        if tender.as_ref().is_none_or(JoinHandle::is_finished) {
            *tender = Some(tokio::spawn(cluster::tend(Arc::downgrade(inner), Arc::clone(self))));
        }
    }

    /// Ends every task.
    pub(super) fn stop(&self) {
        if let Some(tender) = self.tender.lock().unwrap_or_else(PoisonError::into_inner).take() {
            tender.abort();
        }
        for primary in &self.map.load().primaries {
            primary.stop();
        }
    }

    /// All primaries.
    pub(super) fn primaries(&self) -> Vec<Arc<Primary>> {
        self.map.load().primaries.clone()
    }

    /// Everybody who can be asked about the cluster.
    pub(super) fn nodes(&self) -> Vec<Address> {
        let map = self.map.load();
        self.seeds.iter().chain(map.nodes.iter().filter(|node| !self.seeds.contains(node))).cloned().collect()
    }

    /// Something looks as if the cluster had changed: look again.
    pub(super) fn look_again(&self) {
        self.nudge.notify_one();
    }

    /// Waits until somebody wants it looked at.
    pub(super) async fn looked_for(&self) {
        self.nudge.notified().await;
    }

    /// Asks all tasks to give back what is due.
    pub(super) fn nudge(&self) {
        for primary in &self.map.load().primaries {
            primary.nudge();
        }
    }

    /// How far our clock is ahead of the slowest of theirs, at least.
    pub(super) fn ahead(&self) -> Duration {
        self.map.load().primaries.iter().map(|primary| primary.ahead()).max().unwrap_or_default()
    }

    /// What is wrong, if anything is: with one primary, or with one of several.
    pub(super) fn condition(&self) -> Result<(), StoreError> {
        let map = self.map.load();
        if map.primaries.is_empty() {
            return Err(if let Known::No(error) = *self.known.borrow() { error } else { StoreError::Connection });
        }
        if map.by_group.iter().any(Option::is_none) {
            return Err(StoreError::Connection);
        }
        map.primaries.iter().try_for_each(|primary| primary.condition())
    }

    /// Whether at least one primary answers, and can be relied on.
    pub(super) fn serves_some(&self) -> bool {
        self.map.load().primaries.iter().any(|primary| primary.condition().is_ok())
    }

    /// Nobody could say who answers for what. What was known before stays.
    pub(super) fn unknown(&self, error: StoreError) {
        let no = Known::No(error);
        if self.map.load().primaries.is_empty() && self.known.send_replace(no) != no {
            log::warn!("redis: no node of the cluster answers, or none permits CLUSTER NODES");
        }
    }

    /// `owners`: who answers for each group now. Primaries that go on being one keep their connections.
    pub(super) fn assign(&self, inner: &Arc<Inner>, owners: &[Option<Address>], nodes: HashSet<Address>) {
        let old = self.map.load_full();
        let mut groups: HashMap<&Address, Vec<u16>> = HashMap::new();
        for (group, owner) in (0..inner.keys.groups()).zip(owners) {
            if let Some(owner) = owner {
                groups.entry(owner).or_default().push(group);
            }
        }
        let mut primaries: HashMap<&Address, Arc<Primary>> = HashMap::new();
        for (address, groups) in groups {
            let kept = old.primaries.iter().find(|primary| primary.is_at(address)).cloned();
            let primary = kept.unwrap_or_else(|| Arc::new(Primary::new(Place::Fixed(address.clone()), Vec::new())));
            primary.answer_for(groups);
            primaries.insert(address, primary);
        }
        let by_group = owners.iter().map(|owner| primaries.get(owner.as_ref()?).cloned()).collect();
        let map = Map { by_group, primaries: primaries.into_values().collect(), nodes };
        for primary in &map.primaries {
            primary.start(inner);
        }
        let gone = old.primaries.iter().filter(|old| !map.primaries.iter().any(|new| Arc::ptr_eq(old, new)));
        let gone: Vec<_> = gone.cloned().collect();
        self.map.store(Arc::new(map));
        self.known.send_replace(Known::Yes);
        for primary in gone {
            primary.stop();
        }
    }
}

/// Which of `owners` by slot answers for each group.
pub(super) fn by_group(keys: &Keys, owner: impl Fn(u16) -> Option<Address>) -> Vec<Option<Address>> {
    (0..keys.groups()).map(|group| owner(keys.slot(group))).collect()
}
