//! The request as it goes to the upstream, and the response as it goes back.

use super::context::{Context, Verdict};
use super::{crossing, ingress, respond};
use crate::decision::Permit;
use crate::request::hop;
use crate::upstream::{Origin, Outgoing, Protocol};
use http::{HeaderMap, HeaderName, HeaderValue, Version, header, response};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, OrErr as _, Result};
use std::borrow::Cow;

/// Turns the engine's copy of the request into what the upstream is told. Runs for each attempt, after the engine has
/// removed what `Connection` names, so that a client can't have an identity header removed.
///
/// Without a permit nothing is forwarded.
pub(super) fn prepare(request: &RequestHeader, upstream_request: &mut RequestHeader, context: &Context) -> Result<()> {
    let Verdict::Permitted(permit) = &context.verdict else {
        return Error::e_explain(ErrorType::InternalError, "a request without a permit is not forwarded");
    };
    if context.pool().is_some_and(|pool| pool.protocol() == Protocol::Http1) {
        keep_spelling(upstream_request)?;
    }
    let outgoing = change(request, upstream_request, permit, context);
    for name in &outgoing.remove {
        upstream_request.remove_header(name);
    }
    retarget(request, upstream_request, permit)?;
    if let Some(host) = fixed_host(context) {
        upstream_request.insert_header("Host", host)?;
    }
    join_cookies(upstream_request)?;
    for (name, value) in outgoing.set {
        match name {
            Cow::Borrowed(name) => upstream_request.append_header(name, value)?,
            Cow::Owned(name) => upstream_request.append_header(name, value)?,
        };
    }
    context.spans.as_ref().map_or(Ok(()), |spans| spans.tell(upstream_request))
}

/// A request over HTTP/2 has lower-case names only, and the engine would write ours so too. Old upstreams may know their
/// headers in one spelling alone: made anew, the request keeps the spelling of what is set.
fn keep_spelling(upstream_request: &mut RequestHeader) -> Result<()> {
    if upstream_request.has_case() {
        return Ok(());
    }
    let (method, size) = (upstream_request.method.as_str(), upstream_request.headers.len());
    let mut spelled = RequestHeader::build(method, upstream_request.raw_path(), Some(size + 8))?;
    spelled.set_version(upstream_request.version);
    for (name, value) in &upstream_request.headers {
        spelled.append_header(name, value)?;
    }
    *upstream_request = spelled;
    Ok(())
}

fn change(request: &RequestHeader, upstream_request: &RequestHeader, permit: &Permit, context: &Context) -> Outgoing {
    let arrival = context.arrival.as_ref();
    let told = arrival.and_then(ingress::Arrival::told_authority);
    let origin = Origin {
        client: arrival.map_or(std::net::IpAddr::from([0, 0, 0, 0]), |arrival| arrival.client),
        scheme: arrival.map_or("http", ingress::Arrival::scheme),
        authority: told.as_deref().or_else(|| ingress::authority(request)).unwrap_or_default(),
        request_id: context.request_id.as_str(),
    };
    Outgoing::new(&upstream_request.headers, &context.generation.snapshot.firewall, permit, &origin)
}

/// The bytes that were matched are the bytes that go, in origin form (RFC 9112 §3.2.1).
fn retarget(request: &RequestHeader, upstream_request: &mut RequestHeader, permit: &Permit) -> Result<()> {
    let (_, query) = ingress::target(request).unwrap_or_default();
    let path = permit.path().as_str();
    // Nearly every request has this target already, and a target is parsed as it is set.
    if !has_target(upstream_request, path, query) {
        match query {
            Some(query) => upstream_request.set_raw_path(format!("{path}?{query}").as_bytes()),
            None => upstream_request.set_raw_path(path.as_bytes()),
        }?;
    }
    // In origin form the authority stands in Host alone, which a request over HTTP/2 need not have.
    if upstream_request.headers.contains_key(header::HOST) {
        return Ok(());
    }
    match ingress::authority(request).map(HeaderValue::from_str) {
        Some(Ok(host)) => upstream_request.insert_header("Host", host),
        _ => Ok(()),
    }
}

/// True when the target of `upstream_request` is `path` and `query`, in origin form.
fn has_target(upstream_request: &RequestHeader, path: &str, query: Option<&str>) -> bool {
    let behind_path = upstream_request.raw_path().strip_prefix(path.as_bytes());
    let same = match query {
        Some(query) => behind_path.and_then(|rest| rest.strip_prefix(b"?")) == Some(query.as_bytes()),
        None => behind_path == Some(b""),
    };
    same && upstream_request.uri.authority().is_none()
}

/// The `Host` the configuration gives this upstream; `None` keeps the client's.
fn fixed_host(context: &Context) -> Option<HeaderValue> {
    let endpoint = context.attempt.as_ref()?.endpoint;
    context.generation.upstreams.find(endpoint.upstream)?.host(endpoint.index).cloned()
}

/// HTTP/2 may split cookies over several fields, which HTTP/1.1 may not (RFC 9113 §8.2.3).
fn join_cookies(upstream_request: &mut RequestHeader) -> Result<()> {
    let cookies: Vec<&[u8]> =
        upstream_request.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() < 2 {
        return Ok(());
    }
    match HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        Ok(joined) => upstream_request.insert_header("Cookie", joined),
        Err(_) => Error::e_explain(ErrorType::InternalError, "cookies can't be joined"),
    }
}

/// Turns the upstream's answer into what the client is told.
pub(super) fn finish(response: &mut ResponseHeader, request: &RequestHeader, context: &Context) -> Result<()> {
    if request.version == Version::HTTP_2 {
        detach(response)?;
    }
    for name in leaks(&response.headers, context).into_iter().chain(for_us_alone(&response.headers)) {
        response.remove_header(&name);
    }
    response.insert_header("X-Request-Id", context.request_id.as_str())?;
    refresh_nonce(response, context)?;
    if context.encrypted() && !response.headers.contains_key(header::STRICT_TRANSPORT_SECURITY) {
        response.insert_header("Strict-Transport-Security", HeaderValue::from_static(respond::HSTS))?;
    }
    crossing::on_answer(response, request, context)
}

/// Turns the trailers of the upstream's answer into what the client is told.
pub(super) fn finish_trailers(trailers: &mut HeaderMap, request: &RequestHeader, context: &Context) -> Result<()> {
    for name in leaks(trailers, context) {
        trailers.remove(&name);
    }
    if request.version == Version::HTTP_2 { detach_values(trailers) } else { Ok(()) }
}

/// What only the upstream is told, and what it tells the client all the same.
fn leaks(headers: &HeaderMap, context: &Context) -> Vec<HeaderName> {
    headers.keys().filter(|name| context.generation.is_identity(name)).cloned().collect()
}

/// What the upstream says to the gateway alone. How the message is framed, and what becomes of the connection, is the
/// engine's to say, whatever `Connection` names.
fn for_us_alone(headers: &HeaderMap) -> Vec<HeaderName> {
    const ENGINES: [HeaderName; 6] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    let ends_here = |name: &&HeaderName| !ENGINES.contains(name) && hop::ends_here(headers, name);
    headers.keys().filter(ends_here).cloned().collect()
}

/// Gives `response` values of its own. Over HTTP/2 the connection's table of headers keeps what was sent for as long as the
/// connection lives (RFC 7541 §2.3.2); as slices, a few of its bytes would keep the whole buffer that the upstream's answer
/// was read into.
fn detach(response: &mut ResponseHeader) -> Result<()> {
    let answered = std::mem::replace(response, ResponseHeader::build_no_case(response.status, Some(0))?);
    let mut parts = response::Parts::from(answered);
    detach_values(&mut parts.headers)?;
    *response = parts.into();
    Ok(())
}

fn detach_values(headers: &mut HeaderMap) -> Result<()> {
    for value in headers.values_mut() {
        let sensitive = value.is_sensitive();
        *value =
            HeaderValue::from_bytes(value.as_bytes()).or_err(ErrorType::InternalError, "a value can't be copied")?;
        value.set_sensitive(sensitive);
    }
    Ok(())
}

/// The nonce for the client's next proof. A cache that stored the answer would hand out an old one (RFC 9449 §8.2).
fn refresh_nonce(response: &mut ResponseHeader, context: &Context) -> Result<()> {
    let Verdict::Permitted(permit) = &context.verdict else { return Ok(()) };
    let Some(nonce) = permit.dpop_nonce() else { return Ok(()) };
    response.insert_header("DPoP-Nonce", nonce)?;
    response.insert_header("Cache-Control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_target_is_left_alone_only_where_it_is_the_same_to_the_last_byte() {
        let has = |target: &str, path: &str, query: Option<&str>| {
            has_target(&RequestHeader::build("GET", target.as_bytes(), None).unwrap(), path, query)
        };
        assert!(has("/a", "/a", None) && has("/a?b=c", "/a", Some("b=c")) && has("/a?", "/a", Some("")));
        for (target, path, query) in [
            ("/a", "/a", Some("")),
            ("/a?", "/a", None),
            ("/a?b", "/a", Some("c")),
            ("/a?b?", "/a", Some("b")),
            ("/ab", "/a", None),
            ("/%2A", "/%2a", None),
            ("http://a.test/a", "/a", None),
        ] {
            assert!(!has(target, path, query), "{target} {path} {query:?}");
        }
    }

    #[test]
    fn a_detached_answer_says_the_same_and_shares_nothing() {
        let read = Bytes::from_static(b"text/plaina=1b=2");
        let value = |part: std::ops::Range<usize>| HeaderValue::from_maybe_shared(read.slice(part)).unwrap();
        let mut response = ResponseHeader::build(201, None).unwrap();
        response.append_header("Content-Type", value(0..10)).unwrap();
        response.append_header("Set-Cookie", value(10..13)).unwrap();
        response.append_header("Set-Cookie", value(13..16)).unwrap();
        let before = response.headers.clone();
        detach(&mut response).unwrap();
        assert_eq!((response.status.as_u16(), &response.headers), (201, &before));
        let within = |value: &HeaderValue| read.as_ptr_range().contains(&value.as_bytes().as_ptr());
        assert!(before.values().all(within) && !response.headers.values().any(within));
    }

    #[test]
    fn split_cookies_become_one_field() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.append_header("cookie", "a=1").unwrap();
        request.append_header("cookie", "b=2").unwrap();
        join_cookies(&mut request).unwrap();
        let cookies: Vec<_> = request.headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }
}
