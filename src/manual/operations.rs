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
//! and `tollgate_store_degraded` show it, and `GET /api/status` says under `store` what is wrong and since when the store
//! remembers. Routes without `replay` are not affected. A store that answers but can't be relied on counts as lost too:
//! one that may evict keys (set `maxmemory-policy noeviction`), whose clock is more than 30 s from ours, or that has
//! fewer replicas than `replica_acks`. Each is told once in the log when it begins and once when it ends; so is a memory
//! that is four fifths full. While a cluster has lost a part, `/readyz` says so and stays ready for the rest.
//!
//! **Redis behind Sentinels, and Redis Cluster.** `store.redis.sentinel` names the Sentinels and the name under which
//! they watch the primary; `username`, `password` and TLS are used for them and for the servers. `store.redis.cluster`
//! names some nodes; the user needs `+cluster|nodes` there. After a failover every token issued before it is
//! `replay_unprovable`: the new primary may lack the last claims. In a cluster that concerns the slots of that primary
//! alone, and a shard that is lost for good closes only what lies in its slots (set `cluster-require-full-coverage no`,
//! or Redis itself closes everything). With `replica_acks: n` a claim counts once n replicas hold it (`+wait`);
//! where fewer are attached, `closed` routes answer 503. WAIT is best effort: it narrows a split brain to primaries that
//! still have n replicas, which with a majority is at most one.
//!
//! **Too many requests.** `tollgate_rate_limited_total{route,kind}` tells which limit refuses: `client`, `subject`,
//! `token`, `route` or `lockout`. Counters of clients and of refused tokens live in each process, bounded, and forget the
//! least when they are full; those of subjects, tokens and routes are shared over Redis, and counted per process while it
//! does not answer. Behind a balancer write `listeners[].trusted_proxies`, or all clients are one.
//!
//! **Behind a balancer.** A listener that redirects knows no balancer: it hears no PROXY header, and its
//! `trusted_proxies` would be refused, so that all connections through one count as one client there. Let the balancer
//! redirect. On the others, with `proxy_protocol: true` every connection of the listener must begin with a PROXY header, and
//! come from `trusted_proxies`; any other is closed. `tls_handshakes_total{version="none",result="refused"}` counts those,
//! and connections for which there was no place. Who begins a head and does not go on within `header_timeout`, over HTTP/2
//! too, is cut and counted by `connections_cut_total`.
//!
//! **Reloading.** SIGHUP, `POST /api/reload`, or just the change of a file: `gateway.yaml`, what it includes, and every
//! key, certificate and secret it names, a swapped Kubernetes volume too. The new configuration is built and checked
//! aside; a bad one changes nothing and is told in the log, in `tollgate_config_last_reload_success` and, fault by fault,
//! in `GET /api/status`. Addresses, threads, the store and time-outs need a restart: `needs_restart` names them, and
//! everything else is applied.
//!
//! **Ending.** SIGTERM: `/readyz` and `/.tollgate/healthz` answer 503 and every answer asks its client to leave, while
//! requests are still served for `drain_delay`, so that balancers have noticed; then nobody is let in, and the process ends
//! with its last request, at the latest after `shutdown_grace`. SIGINT ends at once, in the middle of that too.
//!
//! **Upgrading.** `tollgate run --upgrade`, with the same `server.runtime_dir`: the new process reads its configuration and
//! its keys, takes the listening sockets through `upgrade.sock` there (only the same user may, or root), and begins in the
//! moment in which the old one stops; connections wait in the system meanwhile. Whatever fails before that moment leaves
//! the old one serving. It ends with its last connection, at the latest after `shutdown_grace`: idle ones get one more
//! answer, which asks them to leave, and those over HTTP/2 are told at once (GOAWAY); what is open longer, a WebSocket for instance, is cut. Two gateways on one machine need
//! a directory each. With the embedded store the new process refuses one-time tokens and proofs made before it began
//! (`replay_unprovable`) and the old one those made after (`store_unavailable`), so that none is accepted by both; rates
//! and lock-outs begin anew. A file of revocations is read by both to the end. With Redis nothing of this is noticed.
//!
//! **systemd.** `Type=notify` and `ExecReload=/bin/kill -HUP $MAINPID` are enough; `Type=notify-reload` works too. For
//! upgrades start the new process inside the unit, as another reload command does (`/bin/sh -c 'tollgate run -c … --upgrade
//! &'`): the old process names it by `MAINPID`, so that `NotifyAccess=main` will do.
//!
//! **Rotating an issuer's keys.** Publish the new key beside the old one, wait longer than `fetch.refresh`, sign with it,
//! and take the old one away when its last token has expired. A key that is used too early is found all the same: a token
//! that names an unknown key has the set fetched again, within `fetch.cooldown`. `POST /api/keys/refresh` does it now.
//!
//! **Rotating decryption keys.** Add the new key to the JWKS file, let the issuer encrypt to it, take the old one out.
//!
//! **An issuer that does not answer.** Its keys go on being believed until `fetch.max_stale`; then its tokens are answered
//! `keys_unavailable`, and nobody else's are. `tollgate_issuer_keys_age_seconds` and `/readyz` tell in time.
//!
//! **Revoking.** `POST /api/revocations` with `{"issuer": NAME, "jti"|"sid"|"client_id": …}`, or `{"issuer", "sub",
//! "issued_before": UNIX}` for everything a user had until then, or `{"issuer", "issued_before"}` for all tokens of an
//! issuer whose key leaked. It holds until the last token concerned has expired (`max_lifetime` from now, or
//! `expires_at`), and `DELETE /api/revocations/ID` takes it back. The list holds hashes: ask `GET
//! /api/revocations?issuer=NAME&jti=…` whether there is one. 201 means that it is kept and told to everybody; 503, that
//! it holds on this replica alone until the store answers again.
//!
//! **Log-outs of the identity provider.** Register `https://HOST/.tollgate/backchannel-logout` there, for a client whose
//! id is one of the issuer's `audiences`. A notice with a `sid` ends that session, and only tokens that carry `sid` are
//! of one: where access tokens have none, have the provider leave it out of its notices, which then end everything the
//! user had. Set `max_lifetime`: without it nobody can say when the last token has expired, and a log-out is kept for
//! 30 days. A refused notice is answered 400; why stands in the log. A client of which sixty were
//! refused within a minute gets 429 for the next ones.
//!
//! **A list that may be out of date.** `tollgate_revocation_age_seconds` grows while a replica can't hear the store.
//! Past `store.revocation_max_stale` routes with `revocation: required` answer 503, others go on by what they know. A
//! replica that could not read the list since its start knows nothing: every guarded route answers 503, and `/readyz`
//! too, until Redis has answered once. So don't restart replicas while Redis is away.
//! Redis needs nothing set up; a user with restricted rights needs `+hget +hmget +hset +hincrby +zadd +zscan
//! +zremrangebyscore +publish +subscribe +eval +evalsha +time` on `~PREFIX*` and the channels `&PREFIX:*`.
//!
//! **Bound tokens.** Nothing has to be switched on: a token with `cnf` must prove its key on every route. A proof names
//! the address the client used, so behind a balancer write `listeners[].public`, and give every route its
//! `match.hosts`; a route for any host refuses tokens bound to a DPoP key. Proofs are one-time on every route: with
//! `on_loss: closed` they need the store, and after a change of its epoch (a restart of the embedded one) those made
//! within `leeway` of it are `replay_unprovable`. Many `proof_stale` mean clients whose clocks are off. With
//! `dpop.nonce: required` and several replicas, give all of them one `server.dpop_nonce_key`: 32 random bytes or more. A
//! new key costs every client one more round trip, and nothing else.
//!
//! **The log.** It is written by a thread of its own. Where its reader stops, requests go on: at most 8 MiB of lines wait,
//! further ones are lost, and the log says how many once it is read again; `tollgate_log_lines_lost_total` counts them.
//!
//! **Traces.** `telemetry.otlp` names a collector that takes OTLP over gRPC. A sound `traceparent` is continued, whoever
//! sent it: it decides nothing. Flags `00` are heeded, flags `01` change nothing, so a stranger can have less exported and never
//! more; sampling beyond that is the collector's. 4096 requests may wait to be sent, in batches of some 512 spans or after a
//! second; a batch that fails is tried four times within seven seconds. What is lost is counted, told once in the log when it
//! begins and once when it ends, and no request waits. At its end the process sends what is left, for `shutdown_grace` and 5 s at
//! most. Another collector takes effect with the next start. Requests whose head is refused as malformed, and those to a
//! redirecting listener, have no trace. Spans name methods that are none of HTTP's `_OTHER`, and have no `url.path`.
//!
//! **Stapling.** Let a timer fetch the response, `openssl ocsp -issuer ca.pem -cert edge.pem -url … -respout edge.ocsp`, and
//! rename it into place: the change is seen. The chain must hold the certificate of the authority after the server's own.
//! What is about another certificate, not signed by its authority, not good or not in its time is not stapled; `check` and
//! the log say so.
//!
//! **Client certificates.** `crl` must hold a current list of every authority that issues certificates: where it is
//! missing or out of date, every certificate of that authority is refused. Where every authority's own issuer stands in
//! `ca` and has its list there too (a root is its own issuer), authorities between are looked up as well; `check` names
//! what lacks. A connection that stands keeps its certificate only as long as a handshake would accept it; with `mode:
//! required` the connection itself ends with the next request, unanswered, and is counted as `result="refused"`.
//!
//! **From report to enforce.** Put a new route, or a new condition on an old one, into `mode: report`. Whoever comes goes
//! on, without identity headers and with the token dropped (write `token: keep` if the upstream still checks it itself).
//! Let a week of real traffic pass, ask `tollgate check --live`, mend what `tollgate_would_deny_total` names, and write
//! `enforce` once it stands still. `/metrics` counts from the start of the process: Prometheus remembers longer.
//!
//! **The audit log.** Give `telemetry.audit.key` 32 random bytes that no other program has, and keep a copy where the
//! gateway's machine can't reach it: whoever has the key can forge the log. Keep the heads too. A line `audit: head
//! NUMBER-MAC` stands in the log every minute, `GET /api/status` shows the last one, and `tollgate_audit_head` its number:
//! it never falls, and one that does tells of a log that was cut. `tollgate audit verify FILE --head HEAD` proves the
//! file; name those that were set aside before it, the oldest first. `FILE.before-NUMBER` holds the records before that
//! number; removing old ones is yours. The program may be told to move the file: it begins a new one within a second, in
//! which the chain goes on. A new key begins a new chain, and the old file is set aside.
//!
//! **When the audit log can't be written.** Requests go on. `tollgate_audit_records_total{result="failed"}` counts what is
//! lost to the disk, `{result="dropped"}` what found no place in the queue of 10000; `/readyz` names the cause and stays
//! ready. With `overflow: block` a request waits for a place, a second at most, and none waits again until the file takes
//! records. Once it does, a record of kind `gap` tells how many are missing. A process that was killed loses what was in
//! its queue; the next one cuts off half a record and goes on behind the last whole one. While one process takes over from
//! another (`run --upgrade`), the old one holds the file, and the new one writes its own chain into `FILE.PID`: see
//! [`upgrade`](super::upgrade).
//!
//! **The admin API beyond loopback.** Write `admin.tls` with `chain` and `key`, and `client_ca` so that operators must
//! show a certificate of that authority; the token is asked all the same. `metrics_address` has no TLS: let only scrapers
//! and probes reach it. Certificates are swapped by a reload.
