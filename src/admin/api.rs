//! The admin API over HTTP (contract: loopback only; a token for what reveals or changes).

use super::{AdminSettings, ExplainRequest, explain, revocations};

use crate::clock::Clock;
use crate::decision::{Memory, Recollection, Snapshot};
use crate::observe::Silent;
use crate::secret::Secret;
use crate::telemetry::Metrics;
use async_trait::async_trait;
use http::{Method, Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use pingora::services::Service as Startable;
use pingora::services::listening::Service;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The largest body of a call.
const MAX_BODY: usize = 256 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Whether the gateway can serve, and what is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it should be sent requests.
    pub ready: bool,
    /// What is wrong, for the operator; may be there although it is ready.
    pub reasons: Vec<String>,
}

/// What the admin API shows, from rooms it does not know.
pub trait Source: Send + Sync {
    /// The configuration in force.
    fn snapshot(&self) -> Arc<Snapshot>;
    /// Whether the gateway can serve.
    fn readiness(&self) -> Readiness;
    /// Brings the metrics up to date that are measured only when somebody looks.
    fn refresh(&self, metrics: &Metrics);
}

/// What the admin API works with.
pub struct Admin {
    /// What it shows.
    pub source: Arc<dyn Source>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The memory that `explain` looks into.
    pub memory: Arc<Recollection>,
    /// The source of `now`.
    pub clock: Arc<dyn Clock>,
}

/// The services of the admin listener and of the one for scrapers.
#[must_use]
pub fn services(settings: &AdminSettings, admin: &Arc<Admin>) -> Vec<Box<dyn Startable>> {
    let service = |name: &str, address: std::net::SocketAddr, api: Option<Access>| {
        let mut service = Service::new(name.to_owned(), Api { admin: Arc::clone(admin), access: api });
        service.add_tcp(&address.to_string());
        Box::new(service) as Box<dyn Startable>
    };
    let access = Access { token: settings.token.clone() };
    let mut services = vec![service("admin", settings.address, Some(access))];
    services.extend(settings.metrics_address.map(|address| service("metrics", address, None)));
    services
}

/// Who may make the calls that change or reveal.
struct Access {
    token: Option<Secret<String>>,
}

/// One listener; `access` is `None` where there are no such calls.
struct Api {
    admin: Arc<Admin>,
    access: Option<Access>,
}

/// What a call is answered.
pub(super) type Answer = Response<Vec<u8>>;

#[async_trait]
impl ServeHttp for Api {
    async fn response(&self, session: &mut ServerSession) -> Answer {
        let (method, path) = {
            let request = session.req_header();
            (request.method.clone(), request.uri.path().to_owned())
        };
        match (method, path.as_str(), &self.access) {
            (Method::GET, "/livez", _) => text(StatusCode::OK, "ok\n"),
            (Method::GET, "/readyz", _) => self.readyz(),
            (Method::GET, "/metrics", _) => self.metrics(),
            (Method::POST, "/api/explain", Some(access)) => match access.check(session) {
                Ok(()) => self.explain(session).await,
                Err(status) => refusal(status),
            },
            (method, path, Some(access)) if revocations::serves(path) => match access.check(session) {
                Ok(()) => self.revocations(session, &method).await,
                Err(status) => refusal(status),
            },
            (_, "/livez" | "/readyz" | "/metrics", _) => not_allowed("GET"),
            (_, "/api/explain", Some(_)) => not_allowed("POST"),
            _ => refusal(StatusCode::NOT_FOUND),
        }
    }
}

impl Api {
    fn readyz(&self) -> Answer {
        let Readiness { ready, reasons } = self.admin.source.readiness();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = json!({ "ready": ready, "reasons": reasons }).to_string();
        answer(status, "application/json", body.into_bytes())
    }

    fn metrics(&self) -> Answer {
        self.admin.source.refresh(&self.admin.metrics);
        answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.admin.metrics.render())
    }

    async fn revocations(&self, session: &mut ServerSession, method: &Method) -> Answer {
        let body = match read_body(session).await {
            Ok(body) => body,
            Err(status) => return refusal(status),
        };
        let uri = &session.req_header().uri;
        revocations::call(&self.admin, method, uri.path(), uri.query().unwrap_or_default(), &body).await
    }

    async fn explain(&self, session: &mut ServerSession) -> Answer {
        let body = match read_body(session).await {
            Ok(body) => body,
            Err(status) => return refusal(status),
        };
        let request: ExplainRequest = match serde_json::from_slice(&body) {
            Ok(request) => request,
            Err(fault) => return bad_request(&json_fault("a request to explain", &fault)),
        };
        let admin = &self.admin;
        let snapshot = admin.source.snapshot();
        // Nothing is counted either: metrics tell of requests, not of questions.
        let explained = explain(&snapshot, Memory::Peek(&admin.memory), &request, admin.clock.now(), &Silent).await;
        match explained.map(|explained| serde_json::to_vec(&explained)) {
            Ok(Ok(json)) => answer(StatusCode::OK, "application/json", json),
            Ok(Err(_)) => refusal(StatusCode::INTERNAL_SERVER_ERROR),
            Err(fault) => bad_request(&fault.to_string()),
        }
    }
}

/// Where the JSON is faulty. The parser's own words may quote the body, token and all.
pub(super) fn json_fault(wanted: &str, fault: &serde_json::Error) -> String {
    format!("the body is not {wanted}: see line {}, column {}", fault.line(), fault.column())
}

impl Access {
    /// 403 where no token is configured, 401 where it is missing or wrong.
    fn check(&self, session: &ServerSession) -> Result<(), StatusCode> {
        let expected = self.token.as_ref().ok_or(StatusCode::FORBIDDEN)?;
        let mut fields = session.req_header().headers.get_all(header::AUTHORIZATION).iter();
        let field = fields.next().filter(|_| fields.next().is_none()).ok_or(StatusCode::UNAUTHORIZED)?;
        let (scheme, token) = field.as_bytes().split_at_checked(7).ok_or(StatusCode::UNAUTHORIZED)?;
        if scheme.eq_ignore_ascii_case(b"bearer ") && same(token, expected.expose().as_bytes()) {
            Ok(())
        } else {
            Err(StatusCode::UNAUTHORIZED)
        }
    }
}

/// Compares in a time that tells nothing of where the two differ, nor of how long the secret is.
fn same(left: &[u8], right: &[u8]) -> bool {
    openssl::memcmp::eq(&openssl::sha::sha256(left), &openssl::sha::sha256(right))
}

async fn read_body(session: &mut ServerSession) -> Result<Vec<u8>, StatusCode> {
    let read = async {
        let mut body = Vec::new();
        while let Some(part) = session.read_request_body().await.map_err(|_| StatusCode::BAD_REQUEST)? {
            if body.len() + part.len() > MAX_BODY {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    };
    tokio::time::timeout(BODY_TIME, read).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

pub(super) fn refusal(status: StatusCode) -> Answer {
    let mut refusal = problem(status, None);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = http::HeaderValue::from_static("Bearer realm=\"admin\"");
        refusal.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    refusal
}

fn bad_request(detail: &str) -> Answer {
    problem(StatusCode::BAD_REQUEST, Some(detail))
}

pub(super) fn not_allowed(method: &'static str) -> Answer {
    let mut refusal = problem(StatusCode::METHOD_NOT_ALLOWED, None);
    refusal.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static(method));
    refusal
}

pub(super) fn problem(status: StatusCode, detail: Option<&str>) -> Answer {
    let mut problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
    });
    if let Some(detail) = detail {
        problem["detail"] = detail.into();
    }
    answer(status, "application/problem+json", problem.to_string().into_bytes())
}

fn text(status: StatusCode, body: &str) -> Answer {
    answer(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
}

/// What was made, and where it is found (RFC 9110 §15.3.2).
pub(super) fn created(place: &str, body: &serde_json::Value) -> Answer {
    let mut created = answer(StatusCode::CREATED, "application/json", body.to_string().into_bytes());
    if let Ok(place) = http::HeaderValue::from_str(place) {
        created.headers_mut().insert(header::LOCATION, place);
    }
    created
}

pub(super) fn no_content() -> Answer {
    let mut answer = Response::new(Vec::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    answer
}

/// What can't be done now, and may be soon (RFC 9110 §10.2.3).
pub(super) fn unavailable(detail: &str) -> Answer {
    let mut refusal = problem(StatusCode::SERVICE_UNAVAILABLE, Some(detail));
    refusal.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    refusal
}

pub(super) fn answer(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let length = body.len();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secret", b"secre"));
        assert!(!same(b"", b"secret"));
    }

    #[test]
    fn a_fault_in_the_body_quotes_nothing_of_it() {
        let fault = serde_json::from_slice::<ExplainRequest>(br#"{"tokne":"s3cr3t"}"#).unwrap_err();
        let text = json_fault("a request to explain", &fault);
        assert!(!text.contains("s3cr3t") && !text.contains("tokne"), "{text}");
    }
}
