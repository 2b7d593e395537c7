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
//! `benches/side_by_side/run` on 2026-11-30, two cores, 8 connections that are never idle; all of it stands in README.md and
//! `benches/results`. The last column is the same at 1000 requests a second, with time between them, where a request costs
//! everybody more. The machine was not quiet: the bare proxy, measured twice, differs by up to a third from round to round,
//! and by 2 % in the median. A quieter run a day before gave 1.57, 4.37, 4.64, 4.83 and 13.29 for the five that are missed.
//!
//! | case | × bare | goal | | × bare at 1000/s |
//! |---|---|---|---|---|
//! | the same ES256 token | 1.65 | 1.15 | missed | 1.41 |
//! | a new ES256 token each time | 4.36 | 3.2 | missed | 2.43 |
//! | new ES256, once, Redis | 4.61 | 3.4 | missed | 3.33 |
//! | new nested, dir + A256GCM / ES256 | 4.32 | 3.4 | missed | 2.48 |
//! | new nested, RSA-OAEP-256 / ES256 | 13.85 | 12.5 | missed | 6.61 |
//! | malformed, refused | 0.61 | 1.15 | met | 0.80 |
//! | forged ES256, refused | 2.92 | no more than accepting one | met | 1.81 |
//! | ahead of every peer, the same token | 1.65 | Envoy 1.40 with its cache: 2.17 | met | 1.41, Envoy 2.02 |
//! | ahead of every peer, a new token | 4.36 | Envoy 1.40: 5.51; HAProxy 2.6: 2.82 | missed | 2.43, Envoy 3.53, HAProxy 1.93 |
//! | p99 at half load, the same token | 1.26 ms over bare | 1 ms | missed | 0.24 ms under bare |
//! | p99 at half load, a new token | 2.00 ms over bare | 1 ms | missed | 0.60 ms over bare |
//! | memory at rest, 100 routes | 26 MiB | 40 MiB | met | |
//! | ready with 100 routes | 97 ms | 300 ms | met | |
//!
//! The peers check less than tollgate does; nginx with `auth_request` checks nothing itself.
//!
//! *Half load* is half of the requests a second that a case has just borne with 8 busy connections: 5,532 with the same token,
//! 2,547 with new ones. The proxy's one thread is busy for half of the time then; but whoever makes the requests and whoever
//! answers them share the two cores with it, so that all three wait for one another, which a percentile shows and a median
//! does not. How much of it is the proxy's own was not told apart: that takes load from another machine.
//!
//! The decision is not where it goes: on a cached verdict it takes 1.7 µs with ten routes and with 10,000 (the goal is 3 µs
//! with 200), and 73 µs on a new ES256 token (`cargo bench --bench decision -- growth`). OpenSSL's verification alone took
//! 64 within the same hour.
//!
//! Where the time is, sampled (`perf record -e cpu-clock -F 4999`, 72,000 and more requests each), in µs a request. Being
//! sampled costs time itself: against the costs in README.md 15 µs of bare's, 19 and 39 of the others'.
//!
//! | | bare | the same token | a new ES256 token | once, Redis | nested, dir | nested, RSA |
//! |---|---|---|---|---|---|---|
//! | the kernel: waking whoever reads what was sent | 15.1 | 20.8 | 30.4 | 27.5 | 30.6 | 43.0 |
//! | the kernel: everything else | 11.9 | 13.7 | 17.7 | 21.3 | 19.5 | 37.5 |
//! | OpenSSL: keys, signatures, hashes | 2.7 | 4.2 | 80.9 | 85.4 | 87.1 | 415.4 |
//! | OpenSSL: TLS, AES | 3.1 | 3.7 | 5.8 | 6.3 | 5.9 | 10.8 |
//! | the engine, its types of HTTP, the runtime | 13.0 | 18.1 | 26.7 | 28.2 | 28.6 | 43.8 |
//! | allocators | 3.3 | 5.8 | 11.6 | 11.7 | 11.1 | 20.9 |
//! | copying, the clock, the rest of the libraries | 4.2 | 8.2 | 15.5 | 21.3 | 18.4 | 34.7 |
//! | tollgate's own functions | | 6.2 | 15.3 | 18.6 | 17.2 | 26.8 |
//! | all of it | 53.3 | 80.8 | 204.0 | 220.3 | 218.4 | 632.9 |
//!
//! The last three were sampled on 2026-11-30, over 30,000, 30,000 and 15,000 requests.
//!
//! *The same token.* 1.15 would leave 8 µs of these for everything, and the kernel alone takes 7.5 more: a slower proxy
//! leaves the others time to sleep, and has to wake them. What tollgate adds in user space is no one thing (the table of
//! instructions above); a public route, which decides nothing, costs 1.46.
//!
//! *A new token* costs 123 µs more than one that is known. OpenSSL's arithmetic is 77 of them, waking 10, tollgate's own
//! functions 9, the engine and the runtime 9, copying and the other libraries 7, allocators 6, the rest of the kernel 4. The
//! engine does the same work for both: that it takes half as long again we put down to caches that hold the verification's
//! code and tables instead, which this machine has no counters to show. Of what is ours to choose:
//!
//! - Remembering a verdict from a token's second use on, instead of its first, took 3 µs of page faults from every token
//!   that comes once, and the memory at the end of the run from 213 to 35 MiB.
//! - `lto = "fat"` with one codegen unit: 1.55 for the same token, where `thin` with four took 1.75, in turn on one
//!   machine. With `opt-level = "s"` for this crate it was 1.71, and no less at a rate. Panics unwind: aborting on one
//!   would take every connection along, so it was not weighed.
//! - OpenSSL's own arithmetic with a table for the issuer's key (below) would halve the verification, but is out of reach
//!   for safe code.
//!
//! *A one-time token on Redis* adds 16 µs to a new token: copying and the other libraries 6, OpenSSL 5, tollgate's own
//! functions 3, the engine and the runtime 1, the kernel 1. 3.4 × bare is 129 µs where bare costs 38: bare's own work and the
//! 80 of the verification leave 11.
//!
//! *A nested token with dir* adds 14: OpenSSL 6, copying and the other libraries 3, tollgate's own functions 2, the engine and
//! the runtime 2, the kernel 2. Its goal is the same 3.4, and missed for the same reason.
//!
//! *RSA-OAEP-256* adds 429, and the operation itself is most of it: OpenSSL takes 334 more in place, where 258 were measured
//! alone in a loop. The way to the pool of threads and back, which keeps every other request from waiting for it, can be no
//! more than the kernel's 32 and the engine's and the runtime's 17; copying and the other libraries add 19, tollgate's own
//! functions 12, allocators 9. The ratio is near its goal, and changes more from run to run than it misses it by: 11.9 while it
//! was sampled, 13.3 and 13.9 in whole runs.
//!
//! The engine makes one large future for each request and copies it whole into its box: 8,700 instructions of `memcpy`,
//! for the bare proxy as well. Whatever a request's context holds by value is a part of it, which is why it is boxed.
//!
//! # What cryptography costs
//!
//! In µs for one operation, over 900 bytes:
//!
//! | operation | OpenSSL 3.6.3 | aws-lc-rs 1 | ring 0.17 | tables for the issuer's key |
//! |---|---|---|---|---|
//! | ES256, verify | 63–65 | 52 | 54 | 33 with OpenSSL's arithmetic (150 KiB and 20–40 ms a key); crate `p256`: 45 with windows of 8 bits (0.6 MiB a key), 38 with 16 bits for the generator |
//! | ES384, verify | 632 | 189 | 590 | |
//! | ES512, verify | 1,247 | 493 | | |
//! | EdDSA, verify | 99 | 34 | | |
//! | RS256 with 2048 bits, verify | 19 | 18 | | |
//! | RSA-OAEP-256 with 2048 bits, decrypt | 258 | | | |
//!
//! Measured on 2026-11-29 by programs outside this crate, the quietest of 200 batches on 2 shared cores. For the 33 µs the
//! issuer's key is made the generator of a curve of its own, for which OpenSSL computes the table that it has for P-256's
//! generator (`EC_GROUP_precompute_mult`, deprecated since 3.0): *u₁G + u₂Q* is then two sums of 37 points each, and no
//! doubling. The first try accepted 200 good signatures and refused a changed one; no more was asked of it.
//!
//! The gateway verifies with OpenSSL. A claim in Redis costs 3 to 5 µs with 16 in flight and 13 alone
//! ([`sizing`](super::sizing)).
//!
//! # How cost grows
//!
//! `benches/side_by_side/run --growth` on 2026-11-29, µs of CPU a request and the ratio, the median of five rounds in which
//! everybody had a turn (`benches/results/growth_connections.svg`, `growth_replicas.svg`); alone on its connection a
//! request costs everybody more, since nothing is done for two at once:
//!
//! | open connections | 1 | 8 | 64 | 512 |
//! |---|---|---|---|---|
//! | bare | 67 | 38 | 43 | 80 |
//! | the same ES256 token | 112 | 58 | 67 | 112 |
//! | × bare | 1.67 | 1.54 | 1.60 | 1.36 |
//! | a new ES256 token | 228 | 160 | 167 | 226 |
//! | × bare | 3.35 | 4.23 | 4.06 | 2.72 |
//!
//! | replicas on one Redis, one-time tokens | 1 | 2 | 3 | 4 |
//! |---|---|---|---|---|
//! | all replicas together | 173 | 173 | 182 | 191 |
//! | Redis | 11 | 15 | 14 | 17 |
//!
//! Routes, issuers, keys, cached verdicts, revocations and claims: `cargo bench --bench decision -- growth`
//! (`benches/results/growth_cached.svg`, `growth_new.svg`).
