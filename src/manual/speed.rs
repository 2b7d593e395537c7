//! What a request costs, and what it is made of.
//!
//! The measure is a *bare* proxy: the same engine, TLS library, allocator and build, which sets one header and checks
//! nothing (`benches/side_by_side/bare.rs`). `benches/side_by_side/run` prints CPU a request as a ratio to it;
//! `benches/instructions` counts the instructions of the decision alone.
//!
//! # Where the instructions of a request go
//!
//! Instructions in user space for one request over keep-alive TLS, from the gateway's own threads: callgrind around 800
//! requests on 8 connections that are warm (`valgrind --tool=callgrind --instr-atstart=no`, switched on and off with
//! `callgrind_control -i`), a 900-byte ES256 token, 98 routes, the log at `warn`, optimised without link-time
//! optimisation. 2026-11-29. A busy machine changes these counts by nothing.
//!
//! | case | before | now |
//! |---|---|---|
//! | bare proxy | 121,060 | 121,060 |
//! | the same ES256 token again and again | 217,816 | 202,744 |
//! | public route | 164,952 | 159,170 |
//! | malformed token, refused | 136,750 | 126,505 |
//!
//! The system calls are the same but for a handful in 2,000 requests (`strace -f -c`): two `sendto`, two `recvfrom` and one
//! `getpeername` a request, and 0.3 `epoll_wait`. So nearly all of the difference is in user space:
//!
//! The parts below were counted in between, at 204,078 in all:
//!
//! | part of the difference, the same ES256 token | instructions | what it buys |
//! |---|---|---|
//! | the key of the cached verdict: SHA-256 over the token | 22,000 | two tokens are never taken for one another. Where the processor has instructions for SHA-256, which callgrind's has not, it is 0.6 µs |
//! | the rest of the decision | 18,200 | path, host, route, limits, audience, times, binding, revocation, scopes |
//! | what the upstream is told | 15,800 | client's own identity headers stripped in every spelling; six headers set, each into two maps of the engine, which keeps names as they were spelled |
//! | the door | 9,400 | each head is read strictly, over its bytes, before the engine reads it again and more leniently; a time limit for all of it |
//! | the answer | 7,900 | identity headers removed, `X-Request-Id`, `Strict-Transport-Security` |
//! | the guard of a request | 1,500 | a request can be ended from outside: tunnels end with their token |
//! | everything else: metrics, time limits towards the upstream, context, peer | 8,200 | |
//!
//! # The goals that are missed, and why
//!
//! `benches/side_by_side/run` on 2026-11-29, on two idle cores; all of it stands in README.md and `benches/results`:
//!
//! | case | × bare | goal | |
//! |---|---|---|---|
//! | the same ES256 token | 1.73 | 1.15 | missed |
//! | a new ES256 token each time | 5.00 | 3.2 | missed |
//! | the same, once, against Redis | 4.76 | 3.4 | missed |
//! | new nested, dir + A256GCM around ES256 | 5.49 | 3.4 | missed |
//! | new nested, RSA-OAEP-256 around ES256 | 14.37 | 12.5 | missed |
//! | malformed, refused | 0.75 | 1.15 | met |
//! | forged, refused | 3.30 | no more than accepting one | met |
//! | p99 at 1000 requests/s, the same token | 0.12 ms over bare | 1 ms | met |
//! | memory at rest, 100 routes | 28 MiB | 40 MiB | met |
//! | ready with 100 routes | 84 ms | 300 ms | met |
//!
//! In the same run HAProxy 2.6 took 3.20 for a new ES256 token and Envoy 1.40 took 4.61, both with fewer checks; for the
//! same token again and again Envoy with its cache took 2.10.
//!
//! The decision is not where it goes: with 10,000 routes it takes 1.6 µs on a cached verdict (the goal is 3 µs with 200) and
//! 67 to 69 µs on a new ES256 token, of which OpenSSL's verification is 65 (`cargo bench --bench decision -- growth`).
//!
//! *The same token.* By an estimate 1.15 would leave room for some 35,000 instructions more than the bare proxy takes, and
//! there are 60,000 beside SHA-256. No single part of the table above is that large: what is left is a long tail, of which
//! the engine's header maps (some 17,000 for what is set on the request and on its answer) are the largest piece. A
//! public route, which decides nothing, has two thirds of it.
//!
//! *A new token*, sampled (`perf record -e cpu-clock`, 8 s, 159 µs a request): 36 % is OpenSSL's arithmetic on P-256, 24 %
//! the kernel's, most of that in `sendto`, and of that most in waking the one who reads: the slower the proxy, the more
//! often the others sleep meanwhile. The allocator takes 4 %, page faults of cached verdicts 2 %, the C library 4 %. No
//! other function has more than 0.6 %: the rest, some 50 µs, is the same long tail, with the parsing of the token and the
//! keeping of its verdict in it. The kernel's part grows with ours, so that the ratio is worse than the sum of its parts.
//!
//! *Encrypted tokens* add to that 14 µs for dir, and 324 µs for RSA-OAEP-256, of which some 300 µs are the RSA operation.
//!
//! The engine makes one large future for each request and copies it whole into its box: 8,700 instructions of `memcpy`,
//! for the bare proxy as well. Whatever a request's context holds by value is a part of it, which is why it is boxed.
//!
//! # What cryptography costs
//!
//! In µs for one operation, over 900 bytes:
//!
//! | operation | OpenSSL 3.6.3 | aws-lc-rs 1 | ring 0.17 | crate `p256`, with tables for the issuer's key |
//! |---|---|---|---|---|
//! | ES256, verify | 65 | 52 | 54 | 45 with windows of 8 bits (0.6 MiB a key), 38 with 16 bits for the generator |
//! | ES384, verify | 632 | 189 | 590 | |
//! | ES512, verify | 1,247 | 493 | | |
//! | EdDSA, verify | 99 | 34 | | |
//! | RS256 with 2048 bits, verify | 19 | 18 | | |
//!
//! Measured on 2026-11-29 by a program outside this crate, the quietest of 200 batches on 2 shared cores.
//!
//! The gateway verifies with OpenSSL. A claim in Redis costs 3 to 5 µs with 16 in flight and 13 alone
//! ([`sizing`](super::sizing)).
//!
//! # How cost grows
//!
//! `benches/side_by_side/run --growth` on 2026-11-29, µs of CPU a request (`benches/results/growth_connections.svg`,
//! `growth_replicas.svg`); alone on its connection a request costs everybody more, since nothing is done for two at once:
//!
//! | open connections | 1 | 8 | 64 | 512 |
//! |---|---|---|---|---|
//! | bare | 87 | 39 | 44 | 76 |
//! | the same ES256 token | 117 | 57 | 60 | 103 |
//! | a new ES256 token | 251 | 170 | 159 | 196 |
//!
//! | replicas on one Redis, one-time tokens | 1 | 2 | 3 | 4 |
//! |---|---|---|---|---|
//! | all replicas together | 178 | 178 | 190 | 196 |
//! | Redis | 11 | 13 | 14 | 12 |
//!
//! Routes, issuers, keys, cached verdicts, revocations and claims: `cargo bench --bench decision -- growth`
//! (`benches/results/growth_cached.svg`, `growth_new.svg`).
