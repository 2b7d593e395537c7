//! The list of revocations of a running gateway: where it is kept, its first reading, and the task that follows it.

use crate::authn::Revocations;
use crate::authn::revocation::{Followed, Follower};
use crate::clock::Clock;
use crate::config::RevocationSettings;
use crate::store::{RedisRevocations, RevocationFile, RevocationFileError, RevocationStore, StoreError};
use log::{info, warn};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a start waits for the list. A store that is down must not keep the gateway from serving what is public; until
/// it answers, guarded routes are closed.
const FIRST_READING: Duration = Duration::from_secs(10);

/// The list that replicas share in Redis.
pub(super) fn in_redis(store: RedisRevocations, settings: &RevocationSettings) -> Arc<Revocations> {
    Arc::new(Revocations::new(Arc::new(store), settings.max_stale))
}

/// The list of this one process; without a file nothing can be revoked.
pub(super) fn in_file(file: Option<&Path>, clock: &Arc<dyn Clock>) -> Result<Arc<Revocations>, RevocationFileError> {
    let Some(path) = file else { return Ok(Arc::new(Revocations::unkept())) };
    let store = RevocationFile::open(path, Arc::clone(clock))?;
    if store.was_torn() {
        warn!("revocations: the last line of {} was torn, and is left out", path.display());
    }
    let store: Arc<dyn RevocationStore> = Arc::new(store);
    Ok(Arc::new(Revocations::new(store, Duration::MAX)))
}

/// Reads the list before the first request, or a restart would let revoked tokens through for a moment. Answers with
/// whoever keeps it in step with a store that others add to.
pub(super) async fn load(list: &Arc<Revocations>, clock: &dyn Clock) -> Result<Option<Follower>, StoreError> {
    list.load(clock.now()).await?;
    let mut follower = list.follower();
    if let Some(follower) = &mut follower {
        let reading = async {
            while !follower.is_in_step() {
                follower.step(clock).await.into_iter().for_each(tell);
            }
        };
        if tokio::time::timeout(FIRST_READING, reading).await.is_err() {
            warn!("revocations: the list can't be read yet");
        }
    }
    if list.is_kept() {
        info!("revocations: {} known", list.len());
    }
    Ok(follower)
}

/// Keeps the list in step for as long as the process lives.
pub(super) async fn follow(mut follower: Follower, clock: Arc<dyn Clock>) {
    loop {
        follower.step(&*clock).await.into_iter().for_each(tell);
    }
}

fn tell(heard: Followed) {
    match heard {
        Followed::Lost(error) => warn!("revocations: out of step with the store: {error}"),
        Followed::Back => info!("revocations: in step with the store again"),
        Followed::WritesBack { records, forgot: true } => {
            warn!("revocations: the store had lost its list; {records} records are written back");
        }
        Followed::WritesBack { records, forgot: false } => {
            warn!("revocations: the store lacked {records} records, which are written back");
        }
        Followed::Unreadable(records) => warn!("revocations: the store holds {records} records that can't be read"),
    }
}
