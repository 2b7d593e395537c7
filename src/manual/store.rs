//! The store: what it remembers, how it can fail, and what each failure means and costs.
//!
//! The store remembers which one-time tokens and proofs were used. A claim asks it one question, whether this nonce was
//! used and, if not, that it now is, in one atomic step and one round trip. There are three answers: fresh, replayed,
//! and *unknown*. Everything on this page is about the third. How large a store must be is told in
//! [`sizing`](super::sizing).
//!
//! # What a route does with "unknown"
//!
//! | `on_loss` | a request whose claim has no answer | what is promised | what it costs |
//! |---|---|---|---|
//! | `closed` | 503 `store_unavailable`, with `Retry-After` | no token is accepted twice, whatever happens to the store (for two primaries at once, see below) | the route is down for as long as the store is |
//! | `open` | goes on, counted in `tollgate_replay_claims_total{result="unknown"}` | nothing: a token can be used again and again while the store is away | replay protection, exactly when an attacker can take it away |
//! | `local` | asks a table of 100,000 claims in the process; a full one refuses | no token is accepted twice *by one replica* | one use for each replica; claims are entered into the store when it is back, and `tollgate_local_claim_conflicts_total` counts what was used twice |
//!
//! `closed` is the default. `open` suits routes where a second use is a nuisance and an outage is not; `local` suits one
//! gateway, or clients that always reach the same one. A claim that was refused as unknown is given back once the store
//! answers again, so that a client that tries again is not told that its own token was used. Nothing that an `open` or
//! `local` request rests on is ever given back.
//!
//! Routes without `replay`, and without DPoP proofs, don't ask the store at all and are not affected by anything here.
//!
//! # What each failure means
//!
//! | what happens | how it shows (`tollgate_store_errors_total{kind}`) | tokens issued before | when it is over |
//! |---|---|---|---|
//! | Redis is slow or stopped (`SIGSTOP`, swapping, a command of somebody else's) | `timeout`; the first requests wait for `store.redis.timeout`, the rest are answered at once | still good: nothing was forgotten | with the first answer; probed every second |
//! | the network is cut, Redis refuses connections | `connection` | still good | it tries again after at most a second |
//! | Redis is restarted, with its data or without | `connection`, then the epoch moves | `replay_unprovable` until they expire, data or not: nobody can tell how much was written down | at once for tokens issued since |
//! | `FLUSHALL`, an empty disk, an empty replica promoted | the epoch moves with the very next claim | `replay_unprovable` | at once for tokens issued since |
//! | failover: a replica is promoted | `connection`, then the epoch moves | `replay_unprovable`, always: replication is asynchronous, the new primary may lack the last claims | within 10 s of the promotion |
//! | one shard of a cluster is lost | `connection` for what lies in its slots | `replay_unprovable` in the slots that were taken over | the others never stop, if `cluster-require-full-coverage no` is set |
//! | Redis is out of memory | `full` | still good | when claims expire or memory is added; nothing is evicted to make room |
//! | `maxmemory-policy` is not `noeviction` | `evicting` | the epoch moves with each evicted key | when the policy is set right, without a restart |
//! | its clock and ours are more than 30 s apart | `clock` | still good | when a clock is set right |
//! | too few replicas hold a claim (`replica_acks`) | `unreplicated` | still good | when enough are attached and in step |
//! | wrong password, rights withdrawn, a reply that makes no sense | `refused` | still good | when it is repaired |
//! | a gateway with the embedded store has handed over to a new process (`run --upgrade`) and drains | `handed_over`, on requests with tokens issued since that still reach the old one | accepted by the old process alone; the new one has no memory of them (`replay_unprovable`) | when the old process has drained |
//! | the gateway with the embedded store is restarted | – | `replay_unprovable` | at once for tokens issued since |
//!
//! *The epoch* is the moment since which the store has not forgotten. It lies in the store beside the claims, comes back
//! with each of them, and names the very process that keeps the memory. `replay_unprovable` is an honest "I can't know":
//! the token may have been used, and if so nobody could tell any more. Clients fetch a new token on 401 as they always
//! do; the wave is over after one token's lifetime. `tollgate_store_epoch_timestamp_seconds` tells when it began.
//!
//! No request waits longer for the store than `store.redis.timeout`, and while the store is known to be late nobody waits
//! at all. `tests/scene_store_faults.rs` does each of the first three for real, under load.
//!
//! # Which Redis
//!
//! *One server* forgets when it dies and is the simplest that can work: a restart costs one wave of new tokens, not an
//! accepted replay. Persistence buys nothing here, except for the list of revocations, and the replicas write that back
//! anyway. Set `maxmemory` and `maxmemory-policy noeviction`; turn `save` and `appendonly` off.
//!
//! *Sentinel* shortens the outage to a few seconds. *Cluster* spreads the load as well. With either, two servers can take
//! themselves for the primary at the same time: the old one, cut off from the others, does so until it hears of its
//! successor. A gateway that still reaches only the old one may accept a token there while another accepts it at the new
//! one. The Sentinels are asked every second, so the window is short; it is not nothing.
//!
//! *`replica_acks: n`* closes that window as far as Redis can: a claim counts only once n replicas hold it, and a new
//! primary's memory begins when n follow it. With n a majority of the replicas (1 of 1, 2 of 2, 2 of 3), only one of two
//! primaries can gather them, and what the old one accepted is unprovable at the new one
//! (`tests/store_two_primaries.rs`). It is Redis' `WAIT`, and `WAIT` is **best effort, not consensus**: a replica that
//! acknowledged can lose its memory in a restart and go on as if it had not. A plain failover, without two primaries,
//! accepts nothing twice with or without it. It costs each claim the replicas' round trip, and a `closed` route answers
//! 503 while fewer than n are attached: with two replicas and `replica_acks: 2`, one lost replica is an outage. All
//! gateways of a store must write the same n.
//!
//! Whoever needs more than that needs a store with consensus, and Redis is none.
//!
//! # At three in the morning
//!
//! 1. **Is it the store?** `tollgate_store_degraded` is 1, `/readyz` names it, refusals are `store_unavailable`. One
//!    replica: look at its network. All: look at the store.
//! 2. **Which kind?** The greatest of `rate(tollgate_store_errors_total[5m])` by `kind`, and the table above.
//! 3. **Redis is there but late**: `redis-cli --latency`, `SLOWLOG GET`, `INFO memory` (swap?), `INFO commandstats`: does
//!    somebody else use it? Nothing that tollgate sends takes longer than microseconds.
//! 4. **Redis is gone**: start an empty one in its place, with the same address and rights. Don't look for a backup first:
//!    an old dump is worth no more than an empty server, and takes longer. Tokens issued before that moment are refused,
//!    new ones are accepted, revocations are written back by the gateways.
//! 5. **It can't be repaired now, and the route must serve**: `on_loss: open` on *that* route and a reload. From then on
//!    stolen one-time tokens work as often as they are shown; say so to whoever owns the backend, and take it back when
//!    the store answers. Never do it for all routes, and never by setting `replay: none`, which forgets what was claimed.
//! 6. **`replay_unprovable` rises**: the store forgot, and the epoch tells when. It ends by itself after one token
//!    lifetime. Only if the epoch moves again and again is there anything to do: a crash loop, a failover loop, evictions.
//! 7. **`replayed` rises while the store is well**: not the store. Either clients send their tokens twice (a retry without
//!    a new token), or somebody has stolen some. `explain --live` and the access log tell which client and which issuer.
//!
//! What never helps: restarting the gateways (they lose what they remember of their own claims, which is the only thing
//! that still stops replays while the store is away), flushing Redis (see the table), and raising
//! `store.redis.timeout` far beyond what clients wait.

#[cfg(test)]
mod tests {
    use crate::authn::OnLoss;
    use crate::store::StoreError;

    const PAGE: &str = include_str!("store.rs");

    #[test]
    fn every_kind_of_failure_and_every_policy_is_on_the_page() {
        let page = PAGE.split("#[cfg(test)]").next().unwrap_or_default();
        for kind in StoreError::ALL {
            assert!(page.contains(&format!("| `{}`", kind.label())), "{}", kind.label());
        }
        for policy in [OnLoss::Closed, OnLoss::Open, OnLoss::Local] {
            assert!(page.contains(&format!("| `{}` |", policy.name())), "{}", policy.name());
        }
    }
}
