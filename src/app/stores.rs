//! What remembers spent and revoked tokens, by the configuration it was started with.

use super::{AppError, revocations};
use crate::authn::Revocations;
use crate::clock::Clock;
use crate::config::{Loaded, StoreSettings};
use crate::observe::Observer;
use crate::store::{EmbeddedStore, RedisStore, Store};
use crate::telemetry::Metrics;
use std::sync::Arc;

/// What remembers spent and revoked tokens.
pub(super) struct Stores {
    pub(super) claims: Arc<dyn Store>,
    /// The same once more where it is a Redis, which is connected inside the runtime.
    pub(super) redis: Option<Arc<RedisStore>>,
    pub(super) revocations: Arc<Revocations>,
}

impl Stores {
    pub(super) fn of(loaded: &Loaded, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> Result<Self, AppError> {
        let observer = Arc::clone(metrics) as Arc<dyn Observer>;
        match &loaded.store {
            StoreSettings::Embedded { max_entries } => {
                let store = EmbeddedStore::new(*max_entries, clock.now()).observed(observer);
                let revocations = revocations::in_file(loaded.revocations.file.as_deref(), clock)?;
                Ok(Self { claims: Arc::new(store), redis: None, revocations })
            }
            StoreSettings::Redis(settings) => {
                let redis = Arc::new(RedisStore::new((**settings).clone(), Arc::clone(clock), observer)?);
                let revocations = revocations::in_redis(redis.revocations(), &loaded.revocations);
                Ok(Self { claims: Arc::clone(&redis) as Arc<dyn Store>, redis: Some(redis), revocations })
            }
        }
    }
}
