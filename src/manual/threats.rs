//! Attack → rule → test.
//!
//! Each row names the attack, the rule that stops it and where the rule lives, and the test that shows it.
//!
//! | attack | rule | test |
//! |---|---|---|
//! | `alg: none`, or an algorithm of the attacker's choice (CVE-2026-39999) | the issuer's profile fixes the algorithms, the header is only compared | `tests/scene_algorithms.rs`, `jose::alg` |
//! | claims encrypted to the public key, unsigned (CVE-2026-29000) | `nested` demands the inner signature; `sealed` exists for symmetric keys alone | `tests/decision.rs` |
//! | one-byte GCM tag (CVE-2023-37464) | tag and IV lengths are checked before decryption | `tests/jose_*.rs` |
//! | padding oracle | MAC before CBC, one opaque failure | `tests/jose_*.rs` |
//! | a one-time token presented twice, at once, to two replicas | one atomic claim, made last | `tests/scene_replay.rs` |
//! | identity headers sent by the client in any spelling (CVE-2025-64484) | the firewall strips on every route, then proven values are set | `tests/scene_identity.rs` |
//! | `/%61dmin`, `..;`, `//` past the route that guards | one canonical path or 400, matched and forwarded alike | `tests/scene_paths.rs` |
//! | DPoP proof or log-out token used as access token | their `typ` is never accepted | `issuer::profile` |
//! | a bound token presented as if it were a plain one | `cnf` is never ignored: a member that is unknown refuses the token | `tests/theft.rs`, `tests/decision.rs` |
//! | a stolen token without its key | the proof must be by the key in `cnf.jkt`, for this method, URI and token; as `Bearer` the token is refused | `a_stolen_token_without_its_key` in `tests/scene_theft_dpop.rs`, `tests/theft.rs` |
//! | a stolen token with a stolen proof | the proof's `jti` is claimed in the same atomic step as all else, in every replica's store | `a_stolen_token_with_a_stolen_proof` in `tests/scene_theft_dpop.rs`, `tests/theft.rs` |
//! | proofs made ahead of time on a borrowed device | `dpop.nonce: required`: a proof must hold a nonce no older than two minutes | `the_nonce_dance_bounds_how_long_ahead_a_proof_can_be_made` in `tests/scene_theft_dpop.rs` |
//! | a proof made for another server, sent on to us | `htu` is compared with the listener's public address and a host of the route; a route for any host checks no proofs | `a_route_for_any_host_can_check_no_proof` in `tests/theft.rs` |
//! | one stolen proof sent to two replicas at once | both ask one store, in one atomic step | `a_proof_presented_to_both_replicas_at_once_is_accepted_once` in `tests/scene_theft_dpop.rs` |
//! | a stolen token over another client's certificate | `cnf.x5t#S256` must be the certificate of this very connection | `a_stolen_token_over_another_clients_certificate` in `tests/scene_theft_mtls.rs`, `tests/theft.rs` |
//! | a certificate that was revoked, or that the client tells about itself in `Client-Cert` | a list of revocations that must be current; the field counts from trusted proxies alone | `tests/scene_theft_mtls.rs` |
//! | client certificates outlived by resumed sessions (CVE-2025-23419) | a listener that asks for certificates never resumes | `sessions_of_a_listener_with_certificates_are_never_resumed` in `tests/scene_theft_mtls.rs` |
//! | a hijacked login that is good enough for reading | step-up: `acr`, `auth_time` and `amr` per route and method | `a_weak_or_old_authentication_is_asked_to_step_up` in `tests/scene_theft_mtls.rs`, `tests/theft.rs` |
