//! Attack → rule → test.
//!
//! Each row names the attack, the rule that stops it, and where the test stands that shows it: a test function, or a
//! row or group of rows of the attack table under `tests/attacks/kit/rows`, which goes through `decide()` in
//! `tests/attacks/main.rs` and over HTTPS in `tests/scene_forgery.rs`. What a row mentions is checked to exist.
//!
//! # Algorithms and keys
//!
//! | attack | rule | test |
//! |---|---|---|
//! | `alg: none` in any spelling (GHSA-9gxv-x7rp-r2hc) | an algorithm that is not in the closed list has no name here | `none` in `tests/attacks/kit/rows/algorithms.rs`, `dangerous_names_do_not_exist` in `src/jose/alg.rs` |
//! | the token chooses its algorithm (CVE-2026-39999, CVE-2026-48526, CVE-2026-22817) | the issuer's contract names the algorithms; the header is only compared | `other_signing_algorithms` in `tests/attacks/kit/rows/algorithms.rs`, `an_algorithm_that_the_issuer_does_not_list_is_refused` in `tests/scene_algorithms.rs` |
//! | a public key used as HMAC secret, as PEM, DER, JWK, modulus, behind white space (CVE-2024-37568, CVE-2023-48223, CVE-2026-34950; josekit g) | HMAC keys come from a secret source alone, and nothing that is a key is one | `keys_as_secrets` in `tests/attacks/kit/rows/algorithms.rs`, `a_public_key_is_no_hmac_secret` in `tests/jose_attacks/algorithm_confusion.rs` |
//! | PKCS#1 taken for PSS, one curve or hash for another | a key verifies only what both it and the contract name | `pkcs1_and_pss_are_not_taken_for_each_other` in `tests/jose_attacks/algorithm_confusion.rs`, `rsa` in `tests/attacks/kit/rows/signatures.rs` |
//! | RSA1_5 and its oracle (CVE-2026-28490; josekit f) | not compiled in | `RSA1_5` in `tests/attacks/kit/rows/algorithms.rs`, `password_based_and_rsa1_5_encryption_do_not_exist` in `tests/jose_attacks/headers.rs` |
//! | PBES2 with a million rounds (CVE-2023-50966, CVE-2023-50967; josekit e) | not compiled in; `p2c` and `p2s` refuse the header | `PBES2-HS512+A256KW` in `tests/attacks/kit/rows/algorithms.rs`, `refused_members` in `tests/attacks/kit/rows/headers.rs` |
//! | the token brings its own key: `jwk`, `jku`, `x5u`, `x5c` (CVE-2018-0114) | those members refuse the header, whatever they hold | `embedded_keys` in `tests/attacks/kit/rows/headers.rs` |
//! | `kid` as path, query, URL or command | a map key of at most 256 bytes, compared and never used | `../../../../etc/passwd` in `tests/attacks/kit/rows/keys.rs` |
//! | a `kid` that names another key, and the fallback to one that fits (hyprstream #1213; josekit's `JwkSet`) | a named key or none | `a_kid_that_names_another_key_gets_no_fallback` in `tests/jose_attacks/key_sets.rs`, `the kid of another key of the issuer` in `tests/attacks/kit/rows/keys.rs` |
//! | a token without `kid` that costs a verification for every key | four keys are tried | `no kid and a key beyond the four that are tried` in `tests/attacks/kit/rows/keys.rs` |
//! | two keys of one name: which is meant is chance | such a set is refused | `a_kid_names_one_key` in `tests/jose_attacks/key_sets.rs` |
//! | a private or symmetric key in a public set (istio #60339) | the set is refused whole | `a_private_or_symmetric_key_refuses_the_whole_set` in `tests/jose_attacks/key_sets.rs`, `a_private_or_symmetric_key_refuses_the_set` in `tests/issuer_keys/hostile.rs` |
//! | "no keys" filled up with a known one (CVE-2026-31837) | no keys is a state that denies | `an_empty_set_gives_no_key` in `tests/jose_attacks/key_sets.rs`, `a_verdict_dies_when_its_keys_are_too_old_to_be_believed` in `tests/attacks/recalled.rs` |
//! | the key URL leads inside, elsewhere, or to a flood (CVE-2026-41413, istio #61230) | resolved addresses are judged and pinned; no redirect to another origin; size and number are bounded | `a_name_that_resolves_to_a_private_address_is_refused_unless_allowed` in `tests/issuer_keys/hostile.rs`, `metadata_services_stay_closed_even_where_private_is_allowed` in `src/issuer/address.rs` |
//! | RSA with e = 1, even e or an e of the modulus' length | e is 65537 | `rsa_with_exponent_one_where_every_message_is_its_own_signature` in `tests/jose_attacks/weak_keys.rs` |
//! | RSA of 2041 bits, or of so many that a verification stalls | 2048 to 8192, counted in bits | `the_modulus_is_odd_and_its_length_is_counted_in_bits` in `src/jose/rsa.rs` |
//! | ROCA (CVE-2017-15361) | its fingerprint is looked for | `a_roca_modulus_is_refused` in `src/jose/rsa.rs` |
//! | Ed25519 keys of small order, under which one signature fits all | the eight points and unreduced encodings are refused | `small_order_ed25519_keys_are_refused_with_either_sign` in `src/jose/elliptic.rs`, `ed25519_of_small_order_where_one_signature_fits_every_message` in `tests/jose_attacks/weak_keys.rs` |
//! | points off the curve, coordinates that only fit when joined, a curve under another's name | exact lengths, and the point is checked when it is read | `ec_points_off_their_curve_or_of_odd_lengths` in `tests/jose_attacks/weak_keys.rs`, `curves_that_are_not_ours` in `tests/jose_attacks/weak_keys.rs` |
//! | a private key whose public part is another's | both parts are compared at import | `a_private_ec_key_with_a_foreign_public_part` in `tests/jose_attacks/weak_keys.rs` |
//! | HMAC secrets shorter than the hash | refused at import | `a_secret_shorter_than_its_hash_is_refused` in `tests/jose_attacks/algorithm_confusion.rs` |
//!
//! # Signatures
//!
//! | attack | rule | test |
//! |---|---|---|
//! | psychic signatures of zeros and their kind (CVE-2022-21449) | exact length, then the library, proven by Wycheproof | `psychic_signatures_of_zeros_and_other_degenerate_ones` in `tests/jose_attacks/signatures.rs`, `degenerate` in `tests/attacks/kit/rows/signatures.rs`, `ecdsa_in_the_form_of_p1363` in `tests/jose_wycheproof.rs` |
//! | DER for raw ECDSA, and the buffer it overflowed (HAProxy 648b0e7be) | r and s have one length | `an ECDSA signature in DER` in `tests/attacks/kit/rows/signatures.rs` |
//! | the mirrored ECDSA signature as a second token | spent by its identifier, not by its bytes | `the_mirrored_signature_of_a_spent_token_is_spent_too` in `tests/attacks/recalled.rs` |
//! | Ed25519 with S + L | refused by the library, shown here | `an Ed25519 signature with S + L` in `tests/attacks/kit/rows/signatures.rs` |
//! | any edit of a good token | signature or tag cover every byte of the one spelling | `no_edit_of_a_good_token_is_accepted` in `tests/attacks/properties.rs`, `spoilt_tokens_are_refused_and_leave_nothing_behind` in `tests/long/main.rs` |
//!
//! # Form and header
//!
//! | attack | rule | test |
//! |---|---|---|
//! | `crit` that is not looked at, `b64: false` that is (josekit) | either refuses the header, in JWS and JWE | `refused_members` in `tests/attacks/kit/rows/headers.rs` |
//! | `zip` bombs (CVE-2024-28180, CVE-2024-28176, CVE-2025-63811; josekit c) | `zip` refuses the header; nothing decompresses | `refused_members` in `tests/attacks/kit/rows/headers.rs` |
//! | a member twice, once escaped, so that two readers differ | duplicates refuse at any depth | `duplicates` in `tests/attacks/kit/rows/headers.rs`, `duplicates` in `tests/attacks/kit/rows/claims.rs` |
//! | one token in many spellings: padding, spare bits, another alphabet | one canonical base64url | `spelling` in `tests/attacks/kit/rows/forms.rs` |
//! | dots without end, headers without end, depth without end | six segments, 2 KiB, 32 levels | `a_token_of_dots_costs_nothing` in `tests/jose_attacks/headers.rs`, `tokens_cost_no_more_than_a_few_times_their_length` in `tests/allocations.rs` |
//! | a crash on what is malformed (CVE-2026-34986, CVE-2019-12995; josekit's two panics) | lengths are checked before a primitive sees them; every parser is fuzzed | `segments_of_any_length_fail_without_a_panic` in `tests/jose_attacks/encryption.rs`, `lengths` in `tests/attacks/kit/rows/wrapping.rs`, `fuzz` in `tests/fuzz/main.rs` |
//! | a flood of tokens or proofs whose cryptography takes long | it has as many threads as requests have, and 128 places before each; who finds none is told to come back, and has spent nothing | `a_flood_of_dear_tokens_fills_its_queue_and_takes_time_from_nobody_else` in `tests/scene_crypto_pool.rs`, `dear_cryptography_without_room_is_an_overload_that_spends_nothing_and_what_is_cheap_goes_on` in `tests/decision.rs` |
//! | a token larger than its issuer's, on a route where another's may be | each token is measured by its own issuer's contract | `a token larger than its issuer's, where another's may be` in `tests/attacks/kit/rows/forms.rs` |
//! | a DPoP proof, a log-out notice or an ID token as access token | `typ` is compared; some are never accepted | `types` in `tests/attacks/kit/rows/headers.rs`, `a_proof_or_a_logout_notice_is_never_an_access_token` in `src/issuer/profile.rs` |
//!
//! # Encryption
//!
//! | attack | rule | test |
//! |---|---|---|
//! | claims encrypted to the public key, unsigned (CVE-2026-29000; josekit h) | `nested` demands the inner signature; `sealed` exists for symmetric keys alone | `unsigned` in `tests/attacks/kit/rows/nesting.rs` |
//! | sign/encrypt confusion (GHSA-8g9c-28fc-mcx2) | keys to open and keys to believe are different types; the form is fixed | `other_forms` in `tests/attacks/kit/rows/forms.rs` |
//! | an outer header that disagrees with the claims inside | replicated `iss`, `sub` and `aud` must be those inside | `replicated` in `tests/attacks/kit/rows/nesting.rs` |
//! | GCM tags of one byte, in the content and in the key wrap (CVE-2023-37464, CVE-2018-1000539; josekit a) | tag 16, vector 12, or nothing is decrypted | `tags` in `tests/attacks/kit/rows/content.rs`, `gcm_key_wrap` in `tests/attacks/kit/rows/wrapping.rs` |
//! | vectors of other lengths | exact | `vectors` in `tests/attacks/kit/rows/content.rs` |
//! | a header that is not authenticated (APISIX #13889) | the header as received is additional data | `without_additional_data` in `tests/attacks/kit/rows/content.rs` |
//! | a padding oracle (HAProxy fc89ff76c; josekit b) | the MAC comes first; one answer and one number of steps | `cbc_padding` in `tests/attacks/kit/rows/content.rs`, `failures_to_decrypt_can_not_be_told_apart` in `tests/scene_forgery.rs`, `every_failure_takes_the_same_steps` in `src/jose/jwe.rs` |
//! | an RSA oracle: padding, length and tag told apart | a random key takes the place of a bad one (RFC 7516 §11.5) | `rsa` in `tests/attacks/kit/rows/wrapping.rs`, `every_failure_to_decrypt_is_one_opening` in `tests/attacks/indistinguishable.rs` |
//! | a decryption error that is passed over (CVE-2026-49230) | failure is a type without content | `every_failure_has_one_text` in `tests/jose_attacks/encryption.rs`, `every_failure_to_decrypt_is_the_same_denial` in `tests/attacks/indistinguishable.rs` |
//! | a content key of another length, or none (HAProxy 717e9aec5) | the length is the encryption's | `a content key of {len} bytes, rightly encrypted` in `tests/attacks/kit/rows/wrapping.rs` |
//! | an ephemeral key off the curve, of small order, divided elsewhere, or with its private part | read like every public key, and nothing else in it | `ephemeral_keys` in `tests/attacks/kit/rows/wrapping.rs`, `x25519` in `tests/attacks/kit/rows/wrapping.rs` |
//! | what a library leaves on OpenSSL's error queue, and TLS takes for its own | nothing is left | `failures_leave_nothing_on_the_error_queue` in `tests/jose_attacks/arbitrary_input.rs` |
//!
//! # Claims
//!
//! | attack | rule | test |
//! |---|---|---|
//! | a time that is a string, null or 1e300 (CVE-2026-25537, mod_auth_openidc; josekit's panics) | a wrong type refuses; times lie between 1970 and 9999 | `mistyped` in `tests/attacks/kit/rows/times.rs`, `absurd` in `tests/attacks/kit/rows/times.rs` |
//! | another claim of the wrong type | registered claims have their types | `a_claim_of_the_wrong_type_is_never_passed_over` in `tests/attacks/properties.rs` |
//! | no `aud`, no `exp`, no `iss` (GHSA-wcvh-g65p-v576, ALBeast) | all three always required | `missing` in `tests/attacks/kit/rows/claims.rs` |
//! | a token for somebody else, or of an issuer that is nearly ours | compared byte by byte | `audiences` in `tests/attacks/kit/rows/claims.rs`, `issuers` in `tests/attacks/kit/rows/claims.rs` |
//! | the claims of one issuer under the key of another | the proven `iss` must be the chosen one | `strangers_issuers` in `tests/attacks/kit/rows/keys.rs` |
//!
//! # Memory
//!
//! | attack | rule | test |
//! |---|---|---|
//! | a verdict that outlives its token or its keys (CWE-613, CVE-2021-41230) | only the cryptography is remembered; a change of keys or configuration voids it | `a_token_is_opened_twice_and_judged_every_time` in `tests/attacks/recalled.rs`, `a_verdict_dies_with_the_keys_that_proved_it` in `tests/attacks/recalled.rs` |
//! | a verdict recalled where another policy holds (GHSA-4mq7-pvjg-xp2r) | the issuer must be one of the route's | `a_verdict_is_not_recalled_on_a_route_that_does_not_believe_its_issuer` in `tests/attacks/recalled.rs` |
//! | memory filled by claims of many small members | verdicts are weighed by what they hold | `the_verdict_cache_holds_no_more_than_it_may` in `tests/allocations.rs` |
//! | tokens and keys in logs, errors and `Debug` (CVE-2022-29266; josekit) | no type that holds them shows them | `nothing_printable_shows_a_key` in `tests/jose_attacks/key_sets.rs`, `nothing_secret_is_written_by_a_full_run` in `tests/scene_secrets.rs` |
//!
//! # Requests, replay and theft
//!
//! | attack | rule | test |
//! |---|---|---|
//! | a one-time token presented twice, at once, to two replicas | one atomic claim, made last | `exactly_one_of_eight_presenters_at_two_gateways_gets_through` in `tests/scene_one_time.rs` |
//! | a one-time token spent once in each of two processes, one of which takes over from the other | the old one takes what was issued before that moment, the new one what was issued after | `no_one_time_token_is_accepted_by_both_processes` in `tests/scene_life.rs` |
//! | a record of the audit log is changed, taken out or put in, or its end is cut off | each carries an HMAC over itself and the one before it; the head is exported every minute | `a_flip_of_any_bit_is_found_in_its_record` in `src/telemetry/audit/verify.rs`, `a_cut_at_any_place_is_found_by_whoever_kept_the_head` in `src/telemetry/audit/verify.rs`, `a_changed_byte_and_a_missing_end_are_named` in `tests/scene_audit/main.rs` |
//! | the disk is filled so that the gateway stops, or goes on unwatched | requests go on, and what is lost is counted, told and written down | `a_full_disk_stops_nobody_and_is_counted` in `tests/scene_audit/main.rs` |
//! | an identity is smuggled through a route that only reports | its permit holds no claim, and every identity header is stripped | `a_reported_request_never_carries_an_identity` in `tests/scene_report.rs` |
//! | another's token is spent through a route that only reports | claims are looked at there, never made | `a_reported_request_never_spends_a_nonce` in `tests/scene_report.rs` |
//! | another user of the machine takes the listening sockets | the socket they are handed over by is for its own user, whose id the system vouches for | `only_its_own_user_may_take_over_and_only_from_somebody` in `tests/scene_life.rs` |
//! | the same while the store is restarted, stopped, or cut off in the middle of claims | a claim without an answer lets nobody in; what was issued before a restart is unprovable | `connections_cut_in_the_middle_let_no_token_in_twice_and_make_none_unprovable` in `tests/scene_store_faults.rs`, `a_restart_with_an_older_snapshot_lets_no_token_in_twice` in `tests/scene_store_faults.rs` |
//! | a store that is emptied, restarted or failed over, so that spent tokens look new | the epoch: what is older than the store's memory is `replay_unprovable` | `tests/scene_store/failover.rs`, `tests/scene_store/cluster.rs`, `tests/store_sentinel.rs` |
//! | two primaries at once, each with a claim the other lacks | `replica_acks`: a claim counts once a majority of the replicas holds it | `a_claim_counts_only_with_the_replicas_that_gateway_yaml_asks_for` in `tests/scene_store/standing.rs`, `tests/store_model.rs` |
//! | a request made to fail half-way, so that its token is good again | a claim is given back only if no byte of the request reached an upstream | `tests/scene_store/release.rs` |
//! | a token accepted by a primary that was replaced and doesn't know, then by its successor | with `replica_acks` a claim counts only while a majority follows, and a successor's memory begins when they have come over | `what_the_old_primary_accepts_is_older_than_the_memory_of_the_new_one` in `tests/store_two_primaries.rs`, `an_epoch_that_begins_before_the_majority_has_come_over_accepts_twice` in `tests/store_model.rs` |
//! | identity headers sent by the client in any spelling (CVE-2025-64484) | the firewall strips on every route, then proven values are set | `tests/scene_identity.rs` |
//! | a condition that judges one header while the upstream reads another: a second spelling, a value that is no text, one that `Connection` takes away (CVE-2026-26308) | conditions see what is forwarded; without a single meaning they do not hold; names with `_` go no further | `a_condition_judges_what_the_upstream_gets` in `tests/scene_identity.rs`, `src/decision/visible.rs` |
//! | `Proxy: http://evil` becomes `HTTP_PROXY` behind CGI (httpoxy, CVE-2016-5385) | stripped on every route | `tests/scene_identity.rs` |
//! | `/%61dmin`, `..;`, `//` past the route that guards | one canonical path or 400, matched and forwarded alike | `tests/scene_paths.rs` |
//! | request smuggling: two lengths, a length and a coding, odd codings, folded lines, bare CR or LF, hidden requests (CVE-2026-2833, CVE-2026-2835, CVE-2025-4366) | heads are judged over their bytes before any parser repairs them; what the upstream hears is framed in one way | `every_hostile_request_is_refused_or_framed_safely` in `tests/hostile/main.rs`, `tests/hostile/rows/smuggling.rs` |
//! | the end of a body hidden in its chunks: sizes that are missing, signed or padded, bare line feeds in extensions, trailers that frame (CVE-2025-58056, CVE-2025-22871) | chunks are read strictly under the engine; a fault is 400, and the upstream hears no whole request; trailers are dropped | `tests/hostile/rows/smuggling.rs`, `what_two_servers_could_read_differently_is_refused` in `src/request/chunks.rs` |
//! | the same as frames of HTTP/2, and floods of resets and continuations (CVE-2023-44487, CVE-2025-8671) | the library's bounds are kept, size and number of fields are ours | `every_hostile_frame_is_refused_or_framed_safely` in `tests/hostile/main.rs` |
//! | a fragment that hides a path, `/public/x#/admin` (GHSA-pxq7-h93f-9jrg) | 400 over HTTP/1; over HTTP/2 the library cuts it off unseen, before the path is matched, so that what is matched is what goes on | `a fragment behind a query` in `tests/hostile/http2/rows.rs`, `a_target_is_a_path_or_a_url_of_this_host` in `src/request/framing.rs` |
//! | `Connection: X-User-Id`, to have an identity header removed (CVE-2026-105299) | nominated headers are removed first, identity set afterwards | `Connection names an identity header` in `tests/hostile/rows/headers.rs` |
//! | guessing tokens, and floods | lock-out and rates by client before any token is looked at; places for connections | `refused_tokens_lock_a_client_out_and_a_proven_token_passes` in `tests/scene_edge/limits.rs` |
//! | taking one's time: a handshake, a head, a body, a preface, an answer that never ends | each phase has its own time-out, heads and handshakes as a whole; a body may not trickle | `a_slow_client_is_cut_in_every_phase` in `tests/scene_edge/slow.rs`, `a_client_that_does_not_read_its_answer_is_cut` in `tests/scene_edge/slow.rs` |
//! | taking all connections | places, in all and for each client, taken before the handshake | `one_client_gets_its_places_and_leaves_the_others_theirs` in `tests/scene_edge/proxies.rs` |
//! | lying about where a request comes from: `X-Forwarded-For`, `Forwarded`, PROXY headers (CVE-2026-40575, GHSA-vhr5-ggp3-qq85) | only `trusted_proxies` are believed, from the right end; everybody's headers are removed, ours are set | `nobody_elses_word_is` in `tests/scene_edge/proxies.rs`, `a_proxy_header_of_a_stranger_is_worth_nothing` in `tests/scene_edge/proxies.rs` |
//! | log-out notices without end, to keep us verifying | sixty refused ones a minute and client | `a_client_whose_notices_are_refused_is_not_listened_to_for_ever` in `tests/scene_logout.rs` |
//! | filling the shared store with strangers | only what is proven is counted there | `clients_and_refused_tokens_leave_nothing_in_the_store` in `tests/scene_edge/shared_limits.rs` |
//! | pages of other origins that read answers | the gateway's word on origins replaces the upstream's; never any origin with credentials | `what_the_upstream_says_of_origins_is_replaced_and_not_doubled` in `tests/scene_edge/cors.rs` |
//! | `/users/%40me` or `/orders%3Apurge` past the guard of `/users/@me`, for a backend that decodes first | both spellings are looked up; where they lead to two places the answer is 400; conditions see the plain one | `a_guarded_path_is_not_reached_by_escaping_what_may_stand_plain` in `tests/scene_paths.rs`, `a_path_that_leads_elsewhere_once_it_is_decoded_leads_nowhere` in `src/route/table.rs` |
//! | `TRACE`, which has an upstream show the client what only the upstream is told | refused on every route | `a_trace_tells_no_client_what_only_the_upstream_is_told` in `tests/scene_identity.rs` |
//! | a web page that reads the admin API of the machine its browser runs on (DNS rebinding) | it answers to an address or `localhost` as `Host` alone | `only_an_address_or_localhost_is_answered` in `src/admin/api.rs` |
//! | tokens, claims and queries in traces, which many people may read | spans say names of ours and of gateway.yaml alone | `refusals_are_told_with_their_reason_and_nothing_with_a_secret` in `tests/scene_traces.rs` |
//! | strangers that say "record this" (`traceparent`), to flood the collector; a collector that is dead or silent | that word changes nothing; the queue is bounded, what does not fit is dropped and counted, and nobody waits | `what_finds_no_room_is_dropped_and_counted` in `src/telemetry/traces/export.rs`, `a_dead_collector_costs_no_request_anything_and_is_told_of_once` in `tests/scene_traces.rs` |
//! | a team's included file strips a header by whose absence another team's upstream decides | `identity.strip` stands in gateway.yaml alone | `tests/fixtures/config/bad/include_that_leaves_its_limits.yaml` |
//! | a log that nobody reads any more, so that writing it stops the gateway | a bounded queue and a thread of its own; what does not fit is counted | `a_reader_that_stops_stops_nobody_and_is_told_what_it_missed` in `src/telemetry/logs.rs` |
//! | `X-Forwarded-*` and `Forwarded` of a client's own making (CVE-2026-40575, GHSA-vhr5-ggp3-qq85) | dropped in every spelling; the gateway's own go in their place | `nobody_but_a_trusted_proxy_says_where_a_request_came_from` in `tests/scene_identity.rs` |
//! | a path of the gateway's own, or a probe's `User-Agent`, as a way round the guard (GHSA-5hvv-m4w4-gf6v, GHSA-pxq7-h93f-9jrg) | own endpoints are exact paths and methods; nothing is skipped for anybody | `the_gateways_own_endpoints_open_nothing_beside_them` in `tests/scene_paths.rs` |
//! | an identifier that is a command, a pattern or a format to the store (CWE-74, CWE-134) | keys are hashes of one length, sent as arguments | `an_identifier_is_never_a_part_of_a_command` in `tests/store_redis.rs` |
//! | a stream that goes on without its token, because its client did not ask for one | the answer says whether it is a stream; one of unknown length ends five minutes past its token at the latest | `a_stream_ends_with_its_token_whatever_its_client_has_asked_for` in `tests/scene_tunnels.rs`, `an_answer_without_a_length_may_have_no_end` in `src/proxy/tunnel.rs` |
//! | `application/grpc` on an ordinary request, to hold a connection of the upstream for an hour | only a call over HTTP/2 to an upstream that speaks it gets that long, and only with a token | `a_call_that_is_none_gets_no_more_time_than_others` in `tests/scene_tunnels.rs` |
//! | a stolen token that is still good for an hour | revoked by `jti`, `sid`, `client_id`, `sub` or issuer; judged on every use, after the verdict cache | `tests/scene_revocation.rs`, `tests/decision.rs` |
//! | a tunnel that a stolen token opened before it was revoked | an open tunnel asks the list every two seconds, also where it may outlive its token | `a_websocket_ends_when_its_token_is_revoked` in `tests/scene_tunnels.rs`, `a_stream_ends_when_its_token_is_revoked` in `tests/scene_grpc.rs` |
//! | the store that knows of the revocation is emptied, cut off or failed over | a list only grows, deletions are tombstones, replicas write their copy back; past its bound a `required` route closes | `tests/scene_revocation.rs`, `tests/store_revocations.rs`, `src/authn/revocation/mod.rs` |
//! | a restart while the store that knows of the revocation is away | a list that was never had is not the last known one: guarded routes answer 503 until the store has answered once | `a_gateway_that_starts_without_its_store_lets_no_revoked_token_in` in `tests/scene_revocation.rs` |
//! | a power cut in the middle of writing a revocation down | it is forced to the disk before it is acknowledged; a torn last line is left out and reported, any other hole refuses the file | `tests/scene_revocations_file.rs` |
//! | a forged, foreign or repeated log-out notice; an access or ID token presented as one | `typ` is `logout+jwt`, signed by the issuer's keys, addressed to us, with its event, without a nonce, its `jti` claimed | `tests/scene_logout.rs`, `src/authn/revocation/logout_token.rs` |
//! | a list that tells whose tokens are on it | records hold hashes | `src/store/revocation/mod.rs` |
//! | a bound token presented as if it were a plain one | `cnf` is never ignored: a member that is unknown refuses the token | `tests/theft.rs`, `tests/decision.rs` |
//! | a stolen token without its key | the proof must be by the key in `cnf.jkt`, for this method, URI and token; as `Bearer` the token is refused | `a_stolen_token_without_its_key` in `tests/scene_theft_dpop.rs`, `tests/theft.rs` |
//! | a stolen token with a stolen proof | the proof's `jti` is claimed in the same atomic step as all else, in every replica's store | `a_stolen_token_with_a_stolen_proof` in `tests/scene_theft_dpop.rs`, `tests/theft.rs` |
//! | proofs made ahead of time on a borrowed device | `dpop.nonce: required`: a proof must hold a nonce no older than two minutes | `the_nonce_dance_bounds_how_long_ahead_a_proof_can_be_made` in `tests/scene_theft_dpop.rs` |
//! | a proof made for another server, sent on to us | `htu` is compared with the listener's public address and a host of the route; a route for any host checks no proofs | `a_route_for_any_host_can_check_no_proof` in `tests/theft.rs` |
//! | one stolen proof sent to two replicas at once | both ask one store, in one atomic step | `a_proof_presented_to_both_replicas_at_once_is_accepted_once` in `tests/scene_theft_dpop.rs` |
//! | a stolen token over another client's certificate | `cnf.x5t#S256` must be the certificate of this very connection | `a_stolen_token_over_another_clients_certificate` in `tests/scene_theft_mtls.rs`, `tests/theft.rs` |
//! | a certificate that was revoked, or that the client tells about itself in `Client-Cert` | a list of revocations that must be current; the field counts from trusted proxies alone | `tests/scene_theft_mtls.rs` |
//! | a stolen intermediate authority of clients, which its root has revoked | with a list of every authority's issuer the whole chain is looked up; where one is missing `check` says so | `a_revoked_authority_between_root_and_client_takes_its_certificates_along` in `tests/scene_theft_mtls.rs` |
//! | a certificate that is revoked, or ends, while its connection is kept busy | it counts as long as a handshake would accept it now: verified again when lists or authorities change, and every minute | `a_certificate_that_is_revoked_counts_no_more_on_connections_that_are_open` in `tests/scene_theft_mtls.rs`, `a_certificate_that_ends_counts_no_more_on_connections_that_are_open` in `tests/scene_theft_mtls.rs`, `where_certificates_are_required_a_revoked_one_takes_its_connections_along` in `tests/scene_theft_mtls.rs` |
//! | `trusted_proxies` that let anybody tell a certificate, which is public | `0.0.0.0/0` and `::/0` do not load; what reaches beyond private networks is warned of | `a_network_is_wide_that_reaches_beyond_private_addresses` in `src/proxy/trust.rs`, `tests/fixtures/config/bad/possession_that_can_not_be_proven.yaml` |
//! | client certificates outlived by resumed sessions (CVE-2025-23419) | a listener that asks for certificates never resumes | `sessions_of_a_listener_with_certificates_are_never_resumed` in `tests/scene_theft_mtls.rs` |
//! | a hijacked login that is good enough for reading | step-up: `acr`, `auth_time` and `amr` per route and method | `a_weak_or_old_authentication_is_asked_to_step_up` in `tests/scene_theft_mtls.rs`, `tests/theft.rs` |

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The rows of the tables above: attack, rule, test.
    fn rows() -> Vec<Vec<&'static str>> {
        let lines = include_str!("threats.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
        let rows = lines.map(|line| line.trim_end_matches(" |").split(" | ").collect::<Vec<_>>());
        rows.filter(|row| row[0] != "attack").collect()
    }

    fn source(file: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        std::fs::read_to_string(&path).expect(file)
    }

    #[test]
    fn every_row_is_whole_and_names_a_test() {
        assert!(rows().len() > 60, "{} rows", rows().len());
        for row in rows() {
            assert_eq!(row.len(), 3, "{row:?}");
            let named = row[2].split("`, `").count();
            assert!(row[2].starts_with('`') && row[2].ends_with('`') && named > 0, "{row:?}");
        }
    }

    #[test]
    fn what_the_rows_mention_exists() {
        let mut mentioned = 0;
        for row in rows() {
            for mention in row[2].trim_matches('`').split("`, `") {
                let (name, file) = mention.split_once("` in `").unwrap_or(("", mention));
                let text = source(file);
                let function = format!("fn {name}(");
                let quoted = [format!("\"{name}\""), format!("\"{name}"), format!(" {name}\"")];
                let found =
                    name.is_empty() || text.contains(&function) || quoted.iter().any(|word| text.contains(word));
                assert!(found, "{file} has no {name}");
                mentioned += 1;
            }
        }
        assert!(mentioned > 90, "{mentioned} tests are mentioned");
    }
}
