//! Operating a gateway.
//!
//! **Before a change**: `tollgate check -c new.yaml --against gateway.yaml` validates as `run` would and prints what
//! changes for each route. Exit code 0 means that `run` would start.
//!
//! **Why was this refused?** The client was told little on purpose. Take the `request_id` of the answer, find it in the
//! access log: `reason`, `route` and `issuer` stand there. With the token at hand ask
//! `tollgate explain --url … --token-file - --live`: the running gateway goes through the same decision, shows what
//! each stage saw, and neither spends the token nor leaves a trace.
//!
//! **`replay_unprovable` after a start.** The embedded store begins with an empty memory. A one-time token issued
//! before that moment may have been used before it, so it is refused until it expires; tokens issued after the start
//! (plus `leeway`) are accepted. Clients fetch a new token on 401 anyway. With Redis the memory outlives the gateway.
//!
//! **`store_unavailable`.** The store did not answer within `store.redis.timeout`, and the route is `closed`. `/readyz`
//! and `tollgate_store_degraded` show it. Routes without `replay` are not affected.
