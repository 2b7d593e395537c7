//! Several servers that belong together: a primary with replicas, watched by Sentinels, and clusters.

use crate::common::ports;
use crate::common::process::{Process, peer};
use crate::common::{Redis, until};
use crate::store::settings;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tollgate::store::{RedisSettings, RedisUrl, Servers};

/// A primary and its replicas.
pub struct Replicated {
    pub primary: Redis,
    pub replicas: Vec<Redis>,
}

impl Replicated {
    pub fn start(replicas: usize) -> Self {
        let primary = Redis::start_with(&["--repl-diskless-sync-delay", "0"]);
        let port = primary.address().port().to_string();
        let options = ["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"];
        let replicas: Vec<Redis> = (0..replicas).map(|_| Redis::start_with(&options)).collect();
        for replica in &replicas {
            until("a replica is in step", || info(replica).contains("master_link_status:up").then_some(()));
        }
        Self { primary, replicas }
    }
}

/// What a server says of its replication; nothing while it can't be asked, as in the middle of a failover.
pub fn info(redis: &Redis) -> String {
    let ask = || {
        let mut connection = redis::Client::open(redis.url())?.get_connection()?;
        redis::cmd("INFO").arg("replication").query(&mut connection)
    };
    ask().unwrap_or_else(|_: redis::RedisError| String::new())
}

/// A primary, two replicas and three Sentinels.
pub struct Watched {
    pub servers: Replicated,
    pub sentinels: Vec<SocketAddr>,
    _processes: Vec<Process>,
    _directory: TempDir,
}

impl Watched {
    pub fn start() -> Self {
        let servers = Replicated::start(2);
        let directory = tempfile::tempdir().unwrap();
        let primary = servers.primary.address().port();
        let (mut sentinels, mut processes) = (Vec::new(), Vec::new());
        for number in 0..3 {
            let (address, process) = sentinel(&directory, number, primary, 2, "");
            processes.push(process);
            sentinels.push(address);
        }
        let watched = Self { servers, sentinels, _processes: processes, _directory: directory };
        until("the Sentinels know each other and the replicas", || {
            let knows = |field: &str, count: &str| {
                watched.sentinels.iter().all(|at| master(*at, field).as_deref() == Some(count))
            };
            (knows("num-other-sentinels", "2") && knows("num-slaves", "2")).then_some(())
        });
        watched
    }

    pub fn settings(&self) -> RedisSettings {
        let mut settings = settings(&self.servers.primary.url());
        let urls = self.sentinels.iter().map(|at| url(*at)).collect();
        settings.servers = Servers::Sentinel { urls, service: String::from("main") };
        settings
    }

    /// The port of the primary that most Sentinels name.
    pub fn named(&self) -> Option<u16> {
        let mut ports: Vec<u16> = self.sentinels.iter().filter_map(|at| master(*at, "port")?.parse().ok()).collect();
        ports.sort_unstable();
        ports.get(ports.len() / 2).copied()
    }

    /// Waits until another server is the primary.
    pub fn until_promoted(&self) {
        let old = self.servers.primary.address().port();
        until("a replica is promoted", || {
            let named = self.named().filter(|named| *named != old)?;
            let new = self.servers.replicas.iter().find(|replica| replica.address().port() == named)?;
            info(new).contains("role:master").then_some(())
        });
    }
}

/// One Sentinel that watches `main` on `primary`, with `more` in its configuration.
pub fn sentinel(directory: &TempDir, number: usize, primary: u16, quorum: u8, more: &str) -> (SocketAddr, Process) {
    let address = ports::free();
    let file = directory.path().join(format!("sentinel-{number}.conf"));
    let text = format!(
        "port {}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary} {quorum}\n\
         sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 10000\n\
         sentinel parallel-syncs main 2\n{more}",
        address.port(),
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new(peer("bin/redis-server"));
    command.arg(&file).arg("--sentinel").current_dir(directory.path());
    let process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    (address, process)
}

/// One field of what a Sentinel says of the primary.
fn master(sentinel: SocketAddr, field: &str) -> Option<String> {
    let mut connection = redis::Client::open(format!("redis://{sentinel}")).ok()?.get_connection().ok()?;
    let fields: std::collections::HashMap<String, String> =
        redis::cmd("SENTINEL").arg(&["MASTER", "main"]).query(&mut connection).ok()?;
    fields.get(field).cloned()
}

fn url(address: SocketAddr) -> RedisUrl {
    format!("redis://{address}").parse().unwrap()
}

/// A cluster whose primaries share the slots evenly; each may have one replica.
pub struct Cluster {
    pub primaries: Vec<Redis>,
    pub replicas: Vec<Redis>,
}

impl Cluster {
    pub fn start(primaries: usize, with_replicas: bool) -> Self {
        let nodes: Vec<(Redis, String)> =
            (0..if with_replicas { 2 * primaries } else { primaries }).map(|_| node()).collect();
        for (number, (node, _)) in nodes.iter().enumerate() {
            node.command::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            let (first, bus) = &nodes[0];
            let port = first.address().port().to_string();
            node.command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
        }
        for (number, (node, _)) in nodes.iter().take(primaries).enumerate() {
            let bound = |part: usize| (part * 16384 / primaries).to_string();
            let last = ((number + 1) * 16384 / primaries - 1).to_string();
            node.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", &bound(number), &last]);
        }
        let mut nodes: Vec<Redis> = nodes.into_iter().map(|(node, _)| node).collect();
        let replicas = nodes.split_off(primaries);
        let cluster = Self { primaries: nodes, replicas };
        cluster.until("everybody knows everybody", |text| text.lines().count() == cluster.all().count());
        for (primary, replica) in cluster.primaries.iter().zip(&cluster.replicas) {
            let id: String = primary.command(&["CLUSTER", "MYID"]);
            replica.command::<()>(&["CLUSTER", "REPLICATE", &id]);
            until("a replica is in step", || info(replica).contains("master_link_status:up").then_some(()));
        }
        let known = cluster.replicas.len();
        cluster.until("the roles are known", |text| text.matches("slave").count() == known);
        for node in cluster.all() {
            until("the cluster is up", || {
                node.command::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(())
            });
        }
        cluster
    }

    pub fn settings(&self) -> RedisSettings {
        let mut settings = settings(&self.primaries[0].url());
        settings.servers = Servers::Cluster(self.primaries.iter().map(|node| url(node.address())).collect());
        settings
    }

    /// Settings that don't name one of the first primaries.
    pub fn settings_without(&self, primary: usize) -> RedisSettings {
        let mut settings = self.settings();
        if let Servers::Cluster(urls) = &mut settings.servers {
            urls.remove(primary);
        }
        settings
    }

    fn all(&self) -> impl Iterator<Item = &Redis> {
        self.primaries.iter().chain(&self.replicas)
    }

    fn until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        for node in self.all() {
            until(what, || holds(&node.command::<String>(&["CLUSTER", "NODES"])).then_some(()));
        }
    }
}

/// A node of a cluster to be, and its bus port.
fn node() -> (Redis, String) {
    let bus = ports::free().port().to_string();
    let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", &bus];
    let more = ["--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"];
    (Redis::start_with(&[&options[..], &more[..]].concat()), bus)
}
