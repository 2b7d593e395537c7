//! A request's way.
//!
//! ```text
//! socket ─ tls ─ proxy/ingress ─ request ─ decision ─ (route, authn, revocation, replay) ─ permit ─ identity ─ proxy/egress ─ upstream
//!                                              └── denial ── proxy/respond
//! ```
//!
//! 1. **Framing and size.** A connection has its place (`proxy/places`) before its handshake. `proxy/door` reads the head
//!    of each HTTP/1 request itself, in one span of time, and judges its bytes
//!    ([`request::framing`](crate::request::framing)); so it does the chunks of a body, as they come
//!    ([`request::chunks`](crate::request::chunks)). Over HTTP/2 the engine reads heads; what it refuses by itself – an authority that
//!    is missing, has a user, or is not the `Host`; a header list out of all bounds; what is malformed – it answers with a
//!    bare status or a reset, without an identifier and without a line in the log: `tollgate_http2_unheard_requests_total`
//!    counts it. `proxy/frames` gives preface and heads their time. A fragment behind its path is cut off
//!    before anybody here sees it. What two programs could frame differently is refused and the connection closed.
//!    `proxy/ingress` makes [`Facts`](crate::request::Facts) of the rest.
//! 2. **Path.** [`CanonicalPath`](crate::request::CanonicalPath): one form, or 400. The bytes that are matched are the
//!    bytes that are forwarded.
//! 3. **Host.** The `Host` must be the server name of the handshake, or 421.
//! 4. **Route.** [`RouteTable`](crate::route::RouteTable): host, then path, then method. A wrong method is 405 and does
//!    not fall through to a laxer route.
//! 5. **Limits.** Lock-out, rate by client or route, length of the body: whoever floods or guesses is not worth looking
//!    at a token for. A token whose verdict is remembered as good passes a lock-out. A CORS preflight is answered here.
//!    The rate by subject follows when the subject is proven; the place under `in_flight` is taken last but one.
//! 6. **Credential.** Exactly one, or 400.
//! 7. **Token.** [`authn::token`](crate::authn::token): size, form, issuer, JOSE header, all before any crypto; then
//!    decryption and signature; then the claims' times and audience. What takes long – RSA private keys, P-384, P-521 –
//!    is done in a pool of its own ([`Workshop`](crate::authn::Workshop)); without room there it is `overloaded`.
//! 8. **Binding.** [`authn::binding`](crate::authn::binding): whoever presents the token must hold every key its `cnf`
//!    names – a DPoP proof for this request, the client certificate of this connection – and a member that is unknown
//!    refuses it.
//! 9. **Revocation.** [`Revocations`](crate::authn::Revocations): by identifier, session, client, subject or issuer, on
//!    every use and without asking anybody: the list is held in the process and followed in the background.
//! 10. **Authorization.** Audiences of the route, scopes, the `when` condition.
//! 11. **Step-up.** How strongly and how recently the user authenticated, where the route asks.
//! 12. **Identity.** The headers for the upstream are computed, because that can fail too.
//! 13. **Upstream.** An endpoint is chosen, because there may be none.
//! 14. **Replay.** The one-time claim, of the token's identifier and the proof's together: one atomic step, the last. A
//!     request refused before it has spent nothing.
//! 15. **Forwarding.** [`Permit`](crate::decision::Permit) in hand, `proxy/egress` strips what a client could fake and
//!     sets what was proven.
//!
//! On a route in report mode steps 5 to 11 are asked, and 13 is looked at, but what they refuse is counted and not made:
//! the request goes on without an identity, under a permit that holds no claim. The audit log is told of every decision
//! once it is made.
//!
//! The whole order is [`decide()`](crate::decision::decide()), on one screen. `explain` asks the same function.
