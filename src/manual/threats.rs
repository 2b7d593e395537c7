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
//! | a bound token presented without its key | `cnf` is never ignored | `tests/decision.rs` |
