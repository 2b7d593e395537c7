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
//!
//! **Bound tokens.** Nothing has to be switched on: a token with `cnf` must prove its key on every route. A proof names
//! the address the client used, so behind a balancer write `listeners[].public`, and give every route its
//! `match.hosts`; a route for any host refuses tokens bound to a DPoP key. Proofs are one-time on every route: with
//! `on_loss: closed` they need the store, and after a change of its epoch (a restart of the embedded one) those made
//! within `leeway` of it are `replay_unprovable`. Many `proof_stale` mean clients whose clocks are off. With
//! `dpop.nonce: required` and several replicas, give all of them one `server.dpop_nonce_key`: 32 random bytes or more. A
//! new key costs every client one more round trip, and nothing else.
//!
//! **Client certificates.** `crl` must hold a current list of every authority that issues certificates: where it is
//! missing or out of date, every certificate of that authority is refused. A revocation acts on handshakes: a
//! connection that stands keeps the certificate it was opened with, for as long as it lasts.
