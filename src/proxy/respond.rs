//! The only place that writes a response of our own.
//!
//! A refusal is `application/problem+json` (RFC 9457), or a small page for a browser. It tells the status and the
//! request's identifier, so that the operator finds the reason; it never tells which check failed. A gRPC client gets
//! the same as a status of its own (see [`grpc`](super::grpc)).

use super::grpc;
use crate::decision::{Denial, Reason};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use std::fmt::Write as _;
use std::time::Duration;

/// `Strict-Transport-Security` (RFC 6797) for a year. Not for subdomains: those are not ours to promise for.
pub(super) const HSTS: &str = "max-age=31536000";
/// The largest body that is read to its end for the sake of the connection, when its request was refused.
const MAX_DRAINED: u64 = 64 * 1024;
/// How long reading it may take.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Who gets an answer, and over what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addressee<'r> {
    /// The request's identifier.
    pub request_id: &'r str,
    /// True where the answer pins its host to HTTPS.
    pub hsts: bool,
    /// What the route adds to its answers: headers about other origins, and its own.
    pub also: &'r [(HeaderName, HeaderValue)],
}

/// Writes the answer to a refused request. The connection stays, unless its framing is in doubt.
pub(super) async fn refuse(session: &mut ServerSession, denial: &Denial, to: Addressee<'_>) -> Result<()> {
    if grpc::is_call(session) {
        return grpc::refuse(session, answer(denial, Body::Problem, to)?.0).await;
    }
    let body = if prefers_html(&session.req_header().headers) { Body::Page } else { Body::Problem };
    keep_or_close(session, denial.reason);
    let (header, text) = answer(denial, body, to)?;
    write(session, header, text).await
}

/// Writes the answer to a preflight, for which its headers are all there is to say.
pub(super) async fn preflight(session: &mut ServerSession, to: Addressee<'_>) -> Result<()> {
    keep_or_close(session, Reason::NoRoute);
    // A 204 has no length (RFC 9110 §8.6).
    let mut header = head(StatusCode::NO_CONTENT, 0, to)?;
    header.remove_header("Content-Length");
    write(session, header, Bytes::new()).await
}

/// Writes the bare status with which an endpoint of our own answers a program.
pub(super) async fn acknowledge(session: &mut ServerSession, status: StatusCode, to: Addressee<'_>) -> Result<()> {
    if status == StatusCode::OK {
        return write(session, head(status, 0, to)?, Bytes::new()).await;
    }
    let text = problem(status, to.request_id);
    let mut header = head(status, text.len(), to)?;
    header.insert_header("Content-Type", "application/problem+json")?;
    write(session, header, Bytes::from(text)).await
}

/// The answer to a request whose head was refused, as HTTP/1.1 writes it; the connection ends with it.
pub(super) fn bytes(denial: &Denial, to: Addressee<'_>) -> Vec<u8> {
    let Ok((header, text)) = answer(denial, Body::Problem, to) else { return Vec::new() };
    let mut bytes = format!("HTTP/1.1 {} {}\r\n", header.status.as_u16(), title(header.status)).into_bytes();
    for (name, value) in &header.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"connection: close\r\n\r\n");
    bytes.extend_from_slice(&text);
    bytes
}

/// Writes the redirect to `location` (RFC 9110 §15.4.9).
pub(super) async fn redirect(session: &mut ServerSession, location: &str, to: Addressee<'_>) -> Result<()> {
    keep_or_close(session, Reason::PlaintextToken);
    let mut header = head(StatusCode::PERMANENT_REDIRECT, 0, to)?;
    header.insert_header("Location", location)?;
    write(session, header, Bytes::new()).await
}

async fn write(session: &mut ServerSession, header: ResponseHeader, text: Bytes) -> Result<()> {
    let silent = session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(header)).await?;
    session.write_response_body(if silent { Bytes::new() } else { text }, true).await
}

/// Decides over the connection of a refused request.
///
/// A small body is read and thrown away. Without its whole body the next request could not be found; with `Expect`
/// the client may never send it.
fn keep_or_close(session: &mut ServerSession, reason: Reason) {
    if reason == Reason::BadFraming {
        session.set_keepalive(None);
        return;
    }
    let headers = &session.req_header().headers;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let waits = headers.contains_key(header::EXPECT);
    if length.is_some_and(|length| length <= MAX_DRAINED) && !waits {
        session.set_close_on_response_before_downstream_finish(false);
        session.set_total_drain_timeout(Some(DRAIN_TIME));
    }
}

/// The two forms of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Problem,
    Page,
}

fn answer(denial: &Denial, form: Body, to: Addressee<'_>) -> Result<(ResponseHeader, Bytes)> {
    let status = StatusCode::from_u16(denial.reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = match form {
        Body::Problem => problem(status, to.request_id),
        Body::Page => page(status, to.request_id),
    };
    let mut header = head(status, text.len(), to)?;
    match form {
        Body::Problem => header.insert_header("Content-Type", "application/problem+json")?,
        Body::Page => {
            header.insert_header("Content-Type", "text/html; charset=utf-8")?;
            header.insert_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")?;
        }
    }
    for challenge in &denial.challenges {
        header.append_header("WWW-Authenticate", challenge.to_string())?;
    }
    if let Some(nonce) = &denial.dpop_nonce {
        header.insert_header("DPoP-Nonce", nonce)?;
    }
    if denial.reason == Reason::MethodNotAllowed {
        let methods: Vec<&str> = denial.allow.iter().map(Method::as_str).collect();
        header.insert_header("Allow", methods.join(", "))?;
    }
    if let Some(wait) = denial.retry_after {
        // Rounded up: whoever comes back at that moment must not be too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        header.insert_header("Retry-After", seconds.max(1).to_string())?;
    }
    for (name, value) in denial.rate.iter().flat_map(|rate| rate.headers()) {
        header.insert_header(name, value)?;
    }
    Ok((header, Bytes::from(text)))
}

/// What stands in every answer of ours.
fn head(status: StatusCode, length: usize, to: Addressee<'_>) -> Result<ResponseHeader> {
    let mut header = ResponseHeader::build(status, Some(12))?;
    header.insert_header("Content-Length", length.to_string())?;
    header.insert_header("Cache-Control", HeaderValue::from_static("no-store"))?;
    header.insert_header("X-Content-Type-Options", HeaderValue::from_static("nosniff"))?;
    header.insert_header("X-Request-Id", to.request_id)?;
    if to.hsts {
        header.insert_header("Strict-Transport-Security", HeaderValue::from_static(HSTS))?;
    }
    for (name, value) in to.also {
        header.insert_header(name.clone(), value.clone())?;
    }
    Ok(header)
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

/// `type` is `about:blank`: the problem is no more than its status (RFC 9457 §4.2.1).
fn problem(status: StatusCode, request_id: &str) -> String {
    let (title, code) = (title(status), status.as_u16());
    format!(r#"{{"type":"about:blank","title":"{title}","status":{code},"request_id":"{request_id}"}}"#)
}

fn page(status: StatusCode, request_id: &str) -> String {
    let mut page = String::with_capacity(320);
    let (title, code) = (title(status), status.as_u16());
    // Writing to a String can't fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{code} {title}</title></head>\n\
         <body><h1>{code} {title}</h1>\n<p>Request <code>{request_id}</code></p></body></html>\n"
    );
    page
}

/// True when `Accept` ranks HTML at least as high as JSON (RFC 9110 §12.5.1). Programs that say nothing, or `*/*`, get
/// JSON.
fn prefers_html(headers: &HeaderMap) -> bool {
    let quality = |wanted: &[&str]| -> f32 {
        let fields = headers.get_all(header::ACCEPT).iter().filter_map(|field| field.to_str().ok());
        let ranges = fields.flat_map(|field| field.split(',')).filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next()?;
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            wanted.iter().any(|wanted| media_type.eq_ignore_ascii_case(wanted)).then_some(quality)
        });
        ranges.fold(0.0, f32::max)
    };
    let html = quality(&["text/html"]);
    html > 0.0 && html >= quality(&["application/problem+json", "application/json"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Challenge;
    use crate::request::Scheme;

    const TO: Addressee<'static> = Addressee { request_id: "r1", hsts: true, also: &[] };

    fn accepts_html(accept: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        prefers_html(&headers)
    }

    #[test]
    fn browsers_get_a_page_and_programs_json() {
        assert!(accepts_html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        for accept in ["*/*", "application/json", "text/html;q=0.5, application/json", "text/html;q=0", ""] {
            assert!(!accepts_html(accept), "{accept}");
        }
    }

    #[test]
    fn a_refusal_tells_status_and_request_and_nothing_else() {
        let mut denial = Denial::new(Reason::BadSignature);
        denial.challenges.push(Challenge {
            scheme: Scheme::Bearer,
            realm: "orders".into(),
            error: Some("invalid_token"),
            scope: None,
            acr_values: None,
            max_age: None,
            algorithms: None,
        });
        denial.dpop_nonce = Some("n".to_owned());
        let (header, body) = answer(&denial, Body::Problem, TO).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"type": "about:blank", "title": "Unauthorized", "status": 401, "request_id": "r1"})
        );
        assert_eq!(header.headers["www-authenticate"], r#"Bearer realm="orders", error="invalid_token""#);
        assert_eq!(header.headers["dpop-nonce"], "n");
        assert_eq!(header.headers["content-length"], body.len().to_string().as_str());
        assert_eq!(header.headers["cache-control"], "no-store");
        assert_eq!(header.headers["strict-transport-security"], HSTS);
        assert!(!header.headers.contains_key("retry-after"));
    }

    #[test]
    fn reasons_of_one_status_are_one_answer_to_the_client() {
        let body = |reason| answer(&Denial::new(reason), Body::Problem, TO).unwrap().1;
        assert_eq!(body(Reason::BadSignature), body(Reason::Expired));
        assert_eq!(body(Reason::DecryptionFailed), body(Reason::UnknownKey));
    }

    #[test]
    fn the_headers_a_status_needs_are_there() {
        let mut denial = Denial::new(Reason::MethodNotAllowed);
        denial.allow = vec![Method::GET, Method::HEAD];
        let (header, _) = answer(&denial, Body::Page, TO).unwrap();
        assert_eq!(header.headers["allow"], "GET, HEAD");
        let (header, _) = answer(&Denial::new(Reason::StoreUnavailable), Body::Page, TO).unwrap();
        assert_eq!(header.headers["retry-after"], "1");
    }
}
