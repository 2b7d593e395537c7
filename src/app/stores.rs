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
    /// The same once more where it is in this process, and begins anew when the process takes over from another.
    pub(super) embedded: Option<Arc<EmbeddedStore>>,
    pub(super) revocations: Arc<Revocations>,
}

impl Stores {
    pub(super) fn of(loaded: &Loaded, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> Result<Self, AppError> {
        let observer = Arc::clone(metrics) as Arc<dyn Observer>;
        match &loaded.store {
            StoreSettings::Embedded { max_entries } => {
                let store = Arc::new(EmbeddedStore::new(*max_entries, clock.now()).observed(observer));
                let revocations = revocations::in_file(loaded.revocations.file.as_deref(), clock)?;
                let claims = Arc::clone(&store) as Arc<dyn Store>;
                Ok(Self { claims, redis: None, embedded: Some(store), revocations })
            }
            StoreSettings::Redis(settings) => {
                let redis = Arc::new(RedisStore::new((**settings).clone(), Arc::clone(clock), observer)?);
                let revocations = revocations::in_redis(redis.revocations(), &loaded.revocations);
                let claims = Arc::clone(&redis) as Arc<dyn Store>;
                Ok(Self { claims, redis: Some(redis), embedded: None, revocations })
            }
        }
    }
}
