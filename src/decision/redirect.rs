//! The plain listener: it redirects to HTTPS, and only for hosts we serve (RFC 9110 §15.4.9).

use super::{Denial, Reason, Snapshot};
use crate::request::{Authority, CanonicalPath, Facts};
use http::header;

/// The address on HTTPS of a request that came in the clear.
///
/// A request with a credential is refused instead: by now anybody on the way has read it, and a redirect would teach
/// the client that sending it in the clear works. A host without a route is refused, or we were an open redirector.
pub fn redirect(snapshot: &Snapshot, facts: &Facts<'_>, port: u16) -> Result<String, Denial> {
    let path = CanonicalPath::parse(facts.path).map_err(|_| Reason::AmbiguousPath)?;
    let authority = facts.authority.and_then(Authority::parse).ok_or(Reason::BadFraming)?;
    if facts.headers.contains_key(header::AUTHORIZATION) || facts.headers.contains_key("dpop") {
        return Err(Reason::PlaintextToken.into());
    }
    if !snapshot.routes.knows_host(&authority.host) {
        return Err(Reason::NoRoute.into());
    }
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let query = facts.query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!("https://{}{port}{}{query}", authority.host, path.as_str()))
}
