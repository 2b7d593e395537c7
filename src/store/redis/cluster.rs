//! Who answers for what in a cluster.
//!
//! The client does not follow redirections by itself: a claim that was sent twice would find itself. It asks several
//! nodes for their view of the cluster, and for each slot believes the one that speaks of the latest failover.

use super::Inner;
use super::dialer::{Address, Login};
use super::fleet::{self, Fleet};
use super::lane::Lane;
use crate::store::StoreError;
use redis::{Pipeline, Value};
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How often a cluster in good health is asked for its view.
const PERIOD: Duration = Duration::from_secs(1);
/// How often one in bad health is.
const BAD_PERIOD: Duration = Duration::from_millis(200);
/// The least time between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// Nodes asked at once.
const ASKED: usize = 4;

/// One node, as a line of CLUSTER NODES shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    address: Address,
    epoch: u64,
    /// First and last of each range that it answers for.
    slots: Vec<(u16, u16)>,
}

/// Keeps `fleet` in step with the cluster for as long as the store lives.
pub(super) async fn tend(store: Weak<Inner>, fleet: Arc<Fleet>) {
    let mut round = 0;
    loop {
        let Some(inner) = store.upgrade() else { return };
        let views = views(&inner, &fleet, round).await;
        round += 1;
        if views.is_empty() {
            fleet.unknown(StoreError::Connection);
        } else {
            let nodes: HashSet<Address> = views.iter().map(|node| node.address.clone()).collect();
            fleet.assign(&inner, &fleet::by_group(&inner.keys, |slot| owner(&views, slot)), nodes);
        }
        let period = if fleet.condition().is_ok() { PERIOD } else { BAD_PERIOD };
        inner.report();
        drop(inner);
        sleep(PAUSE).await;
        tokio::select! {
            () = sleep(period) => {}
            () = fleet.looked_for() => {}
        }
    }
}

/// The nodes as several of them see them: connected primaries if there are any, else whoever can be reached.
async fn views(inner: &Arc<Inner>, fleet: &Fleet, round: usize) -> Vec<Node> {
    let limit = inner.patience();
    let mut asked = JoinSet::new();
    let connected = fleet.primaries().into_iter().filter_map(|primary| primary.ready_at()).collect();
    for (address, session) in some_of(connected, round) {
        asked.spawn(async move { timeout(limit, view(&mut session.lane(), &address)).await.ok().flatten() });
    }
    if asked.is_empty() {
        for address in some_of(fleet.nodes(), round) {
            let inner = Arc::clone(inner);
            asked.spawn(async move { timeout(limit, dial_and_view(&inner, &address)).await.ok().flatten() });
        }
    }
    gather(asked, inner.settings.timeout).await
}

/// All answers; once there is one, the others have no longer than `grace`.
async fn gather(mut asked: JoinSet<Option<Vec<Node>>>, grace: Duration) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut limit = Duration::MAX;
    while let Ok(Some(view)) = timeout(limit, asked.join_next()).await {
        if let Ok(Some(view)) = view {
            nodes.extend(view);
            limit = grace;
        }
    }
    nodes
}

/// As many as are asked at once; others in each round.
fn some_of<T>(mut all: Vec<T>, round: usize) -> Vec<T> {
    if !all.is_empty() {
        let length = all.len();
        all.rotate_left(round % length);
    }
    all.truncate(ASKED);
    all
}

async fn dial_and_view(inner: &Inner, address: &Address) -> Option<Vec<Node>> {
    let (connection, driver) = inner.dialer.open(address, &inner.settings, Login::Store).await.ok()?;
    let mut lane = Lane::Plain(connection);
    tokio::select! {
        () = driver => None,
        view = view(&mut lane, address) => view,
    }
}

async fn view(lane: &mut Lane, asked: &Address) -> Option<Vec<Node>> {
    let mut question = Pipeline::with_capacity(1);
    question.cmd("CLUSTER").arg("NODES");
    let answers = lane.send(question).await.ok()?;
    let text: String = match answers.values.into_iter().next()? {
        Value::ServerError(error) => {
            log::debug!("redis at {asked}: CLUSTER NODES is refused ({})", error.code());
            return None;
        }
        value => redis::from_redis_value(value).ok()?,
    };
    Some(text.lines().filter_map(|line| node(line, asked)).collect())
}

/// `ID HOST:PORT@BUS[,NAME] FLAGS PRIMARY PING PONG EPOCH LINK SLOT...`
fn node(line: &str, asked: &Address) -> Option<Node> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, place, flags, _, _, _, epoch, _, slots @ ..] = &words[..] else { return None };
    let is = |flag: &str| flags.split(',').any(|word| word == flag);
    if is("noaddr") || is("handshake") {
        return None;
    }
    let slots = if is("master") { slots.iter().filter_map(|slots| range(slots)).collect() } else { Vec::new() };
    let address = address(place).or_else(|| is("myself").then(|| asked.clone()))?;
    Some(Node { address, epoch: epoch.parse().ok()?, slots })
}

/// A node that does not know its own address yet shows none.
fn address(place: &str) -> Option<Address> {
    let (place, name) = place.split_once(',').map_or((place, ""), |(place, name)| (place, name));
    let (host, port) = place.split('@').next()?.rsplit_once(':')?;
    let host = if name.is_empty() || name.contains('=') { host } else { name.split(',').next()? };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then(|| Address { host: host.trim_matches(['[', ']']).to_owned(), port })
}

/// Slots on their way between nodes stand in brackets, and are still the old node's.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn owner(nodes: &[Node], slot: u16) -> Option<Address> {
    let owns = |node: &&Node| node.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot));
    nodes.iter().filter(owns).max_by_key(|node| node.epoch).map(|node| node.address.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    fn read(line: &str) -> Option<Node> {
        node(line, &at("asked", 1))
    }

    #[test]
    fn a_line_of_cluster_nodes_is_read() {
        let primary = read("e7 127.0.0.1:7001@17001,,shard-id=69 master - 0 1 3 connected 0-5460 9000 [77->-ab]");
        let slots = vec![(0, 5460), (9000, 9000)];
        assert_eq!(primary, Some(Node { address: at("127.0.0.1", 7001), epoch: 3, slots }));
        let named = read("e7 10.0.0.1:7001@17001,store-1.internal master - 0 1 3 connected");
        assert_eq!(named.map(|node| node.address), Some(at("store-1.internal", 7001)));
        let six = read("e7 ::1:7001@17001 master - 0 1 3 connected");
        assert_eq!(six.map(|node| node.address), Some(at("::1", 7001)));
        let own = read("e7 :7001@17001 myself,master - 0 1 3 connected 0-1");
        assert_eq!(own.map(|node| node.address), Some(at("asked", 1)));
    }

    #[test]
    fn replicas_own_nothing_and_strangers_are_no_nodes() {
        let replica = read("e7 127.0.0.1:7004@17004 slave a1 0 1 3 connected").unwrap();
        assert_eq!(replica.slots, []);
        assert_eq!(read("e7 :0@0 master,noaddr - 0 1 3 disconnected 0-1"), None);
        assert_eq!(read("e7 127.0.0.1:7004@17004 handshake - 0 1 0 connected"), None);
        assert_eq!(read("nonsense"), None);
    }

    #[test]
    fn the_latest_failover_decides_who_owns_a_slot() {
        let node = |port, epoch| Node { address: at("a", port), epoch, slots: vec![(0, 99)] };
        let nodes = [node(1, 3), node(2, 5), node(3, 4)];
        assert_eq!(owner(&nodes, 99), Some(at("a", 2)));
        assert_eq!(owner(&nodes, 100), None);
    }
}
