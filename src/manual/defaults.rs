//! Every default and its reason.
//!
//! | key | default | why |
//! |---|---|---|
//! | `access` | none: it must be written | a forgotten line must not make a route public |
//! | `token.form`, `signing_algorithms` | none: they must be written | a gateway that lets the token choose has no policy (RFC 8725 §3.1) |
//! | `token.types` | `at+jwt`, `JWT` or none | what access tokens carry in the field; a DPoP proof or a log-out notice is never accepted, even when listed |
//! | `token.leeway` | 10 s | covers clocks kept by NTP; more would prolong every stolen token |
//! | `token.max_size` | 8 KiB | larger than any honest access token, small enough to refuse before crypto |
//! | `access.replay` | `none` | ordinary bearer tokens are presented again and again; one-time use is a contract with the issuer |
//! | `access.on_loss` | `closed` | a store that can't say whether a token was used has not said that it wasn't |
//! | `access.revocation` | `required` with `replay`, else `last_known` | who will take no token twice will take no revoked one either; elsewhere an outage of the store must not become one of the gateway. A list that could not be had since the start is not a last known one: until the shared store has answered once, every guarded route answers 503 |
//! | `store.revocation_max_stale` | 5 m | longer than a failover or a restart of the store, shorter than most tokens live |
//! | `store.revocations_file` | none | a revocation that is forgotten on restart is a promise broken: without a file it is refused (409) |
//! | `access.binding` | `if_bound` | a token that its issuer bound to a key is worth nothing without that key, on every route |
//! | `dpop.max_age` | 60 s | a proof is made for one request and sent at once; the window is for slow networks |
//! | `dpop.algorithms` | ES256, EdDSA | what clients use; every further one is one more to break |
//! | `dpop.nonce` | `none` | it costs an idle client one more round trip; the one-time `jti` stops replay without it |
//! | `server.dpop_nonce_key` | random, of this process | one gateway needs no more; several must share one, or clients dance at every change of replica |
//! | `access.mode` | `enforce` | a policy that is only reported protects nobody; report mode is written out, and `check` warns of it |
//! | `admin.tls` | none | the API listens on loopback; anything else refuses to load without it |
//! | `telemetry.audit` | none | where it is written and who holds its key is a decision of the operator's |
//! | `audit.events` | `all` | who was let in is asked as often as who was not |
//! | `audit.subject` | `hash` | two records of one person can be told to be, and the log is not a list of people |
//! | `audit.overflow` | `block` | a burst waits a little rather than lose records; never more than a second, and not again until the file takes some |
//! | `audit.rotate` | 100 MiB | some 250000 records: small enough to move, large enough not to be one of thousands |
//! | `audit.trace` | `false` | the reason says it in a word; a trace is for the weeks in which somebody asks why |
//! | `identity.token` | `drop` | a backend that never sees the token can't leak it |
//! | `headers.*.encoding` | `reject` | a value that two programs read differently is not an identity |
//! | a client's header with `_` in its name | dropped | CGI, WSGI and their like can't tell `X_Account` from `X-Account`; nginx drops such names too |
//! | `tls.unknown_sni` | `reject` | a client that asks for another name wants another server |
//! | key exchange | X25519MLKEM768, then X25519, P-256, P-384 | what is recorded today must not be read by a quantum computer later; the first needs OpenSSL 3.5, which the build brings along unless it is told to use the system's (`OPENSSL_NO_VENDOR`) |
//! | resumption of sessions | not on listeners that ask for client certificates | a resumed session keeps a certificate past its end and its revocation (CVE-2025-23419) |
//! | `Strict-Transport-Security` | `max-age=31536000`, on every answer over TLS | a browser that came by HTTPS once never tries without; not for subdomains, which are not ours to promise for. The upstream's or the route's own word counts instead (`response_headers`; empty: none), and where any route has one, answers of no route leave it out: the header is about the whole host |
//! | `tls.ocsp_staple` | none | whoever renews it is not the gateway; what is stale or foreign makes clients refuse a good certificate, and is not shown |
//! | `tls.min_version` | 1.2 | older versions have known breaks (RFC 8996) |
//! | `store` | embedded | works without anything else; it forgets on restart, and says so by `replay_unprovable` |
//! | `store.redis.timeout` | 100 ms | a request waits no longer for the store; a server that is late is not waited for again until it has answered |
//! | `store.redis.connections` | 1 | one carries some 100 000 claims a second, and every further one splits the batches |
//! | `store.redis.replica_acks` | 0 | it costs each claim a wait for the replicas; write a majority of them where Sentinels or a cluster promote by themselves |
//! | `server.verdict_cache` | 100 000 tokens, 256 MiB | what is remembered is the cryptography alone, of a token that comes a second time – one that comes once would only take a place – or, with a lock-out on any route, of each; time, audience, binding, revocation and replay are judged on every use |
//! | the queue of RSA, P-384 and P-521 work | 128 for each of `server.threads` | some 40 ms of RSA-2048: who would wait longer than that had better come again |
//! | `limits.rate`, `limits.failures`, `limits.body`, `in_flight` | none | what is too much only the operator of the upstream knows; what is under way over a reload goes on counting |
//! | a rate whose store does not answer | counted in this process | exact for each replica is better than no limit, and than refusing everybody |
//! | `cors` | none: what the upstream says passes | nobody's pages may read more than they could without us |
//! | `cors.credentials` | false | cookies across origins are asked for by name, and never for any origin |
//! | `cors.max_age` | 10 m | browsers ask again soon after a change |
//! | `listeners[].trusted_proxies` | none | a header says where a request comes from only if its sender is known |
//! | `server.header_timeout` | 10 s | for the handshake, the preface of HTTP/2, and each head as a whole |
//! | `server.idle_timeout` | 60 s | between two requests, for each pause in a body, and for each in reading an answer, over both protocols. A body must also bring a kilobyte in each such span: what trickles holds a place for nothing. WebSockets and calls of gRPC send when they like. A request that is cut gets no answer, and stands in the log with status 0 |
//! | `server.max_header` | 32 KiB | and 8 KiB for the request line, 100 fields |
//! | `server.max_connections`, `max_connections_per_client` | 10 000, 1000 | one client (IPv6: /64) can't take all places; a trusted proxy is no client |
//! | `admin.address` | loopback | the admin listener tells what the public must not know |
//! | `fetch.refresh`, `fetch.cooldown` | 10 m, 30 s | a rotation is seen soon, and a flood of unknown keys costs the issuer two requests a minute |
//! | `fetch.max_stale` | 24 h | an issuer's outage of a night locks nobody out, and a withdrawn key does not live for ever |
//! | `fetch.allow_private_addresses` | false | a URL that leads inside is how a gateway is made to fetch what only it can reach |
