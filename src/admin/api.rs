//! The admin API over HTTP: on loopback, or with TLS; a token for what reveals or changes.

use super::answer::{Answer, answer, bad_request, json_of, not_allowed, refusal, text};
use super::operate::{EffectivePolicy, Operator, ReloadOutcome, Status};
use super::{AdminSettings, ExplainRequest, explain, revocations};
use crate::clock::Clock;
use crate::decision::{Memory, Recollection, Snapshot};
use crate::observe::Silent;
use crate::request::Authority;
use crate::secret::Secret;
use crate::telemetry::Metrics;
use crate::tls::{self, SharedTerms, TlsSetupError};
use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use http::{Method, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::services::Service as Startable;
use pingora::services::listening::Service;
use serde_json::json;
use std::net::IpAddr;
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
    /// The whole gateway at a glance.
    fn status(&self) -> Status;
    /// What each route asks in the end.
    fn policies(&self) -> Arc<[EffectivePolicy]>;
    /// Brings the metrics up to date that are measured only when somebody looks.
    fn refresh(&self, metrics: &Metrics);
}

/// The bearer token for calls that change or reveal, in a place where a reload can swap it; without one they answer 403.
pub type AdminToken = Arc<ArcSwapOption<Secret<String>>>;

/// What the admin API works with.
pub struct Admin {
    /// What it shows.
    pub source: Arc<dyn Source>,
    /// Who does what it is told to do.
    pub operator: Arc<dyn Operator>,
    /// Who may tell it.
    pub token: AdminToken,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The memory that `explain` looks into.
    pub memory: Arc<Recollection>,
    /// The source of `now`.
    pub clock: Arc<dyn Clock>,
}

/// The operators' side: its services, and where a reload finds the terms of its handshakes.
pub struct Listening {
    /// What is to be started.
    pub services: Vec<Box<dyn Startable>>,
    /// The terms of the admin listener, where it has TLS.
    pub terms: Option<SharedTerms>,
}

/// The services of the admin listener and of the one for scrapers.
pub fn services(settings: &AdminSettings, admin: &Arc<Admin>) -> Result<Listening, TlsSetupError> {
    let service = |name: &str, whole: bool| {
        Service::new(name.to_owned(), Api { admin: Arc::clone(admin), whole, tls: whole && settings.tls.is_some() })
    };
    let (mut api, address) = (service("admin", true), settings.address.to_string());
    // Handshakes here are not counted: metrics tell of clients, not of operators.
    let listener = |tls| tls::handshake::listener(0, tls, false, Arc::new(|_, _| {}));
    let terms = if let Some((engine, terms)) = settings.tls.as_ref().map(listener).transpose()? {
        api.add_tls_with_settings(&address, None, engine);
        Some(terms)
    } else {
        api.add_tcp(&address);
        None
    };
    let mut services: Vec<Box<dyn Startable>> = vec![Box::new(api)];
    if let Some(address) = settings.metrics_address {
        let mut metrics = service("metrics", false);
        metrics.add_tcp(&address.to_string());
        services.push(Box::new(metrics));
    }
    Ok(Listening { services, terms })
}

/// One listener.
struct Api {
    admin: Arc<Admin>,
    /// False where only scrapers and probes are served.
    whole: bool,
    /// True where the certificate has told the client whom it speaks to, by whatever name.
    tls: bool,
}

/// What can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Livez,
    Readyz,
    Metrics,
    Status,
    Routes,
    Explain,
    Reload,
    RefreshKeys,
}

impl Call {
    fn find(path: &str) -> Option<Self> {
        Some(match path {
            "/livez" => Self::Livez,
            "/readyz" => Self::Readyz,
            "/metrics" => Self::Metrics,
            "/api/status" => Self::Status,
            "/api/routes" => Self::Routes,
            "/api/explain" => Self::Explain,
            "/api/reload" => Self::Reload,
            "/api/keys/refresh" => Self::RefreshKeys,
            _ => return None,
        })
    }

    const fn method(self) -> &'static str {
        match self {
            Self::Livez | Self::Readyz | Self::Metrics | Self::Status | Self::Routes => "GET",
            Self::Explain | Self::Reload | Self::RefreshKeys => "POST",
        }
    }

    /// True for what scrapers and probes ask, which neither changes nor reveals anything.
    const fn is_open(self) -> bool {
        matches!(self, Self::Livez | Self::Readyz | Self::Metrics)
    }
}

#[async_trait]
impl ServeHttp for Api {
    async fn response(&self, session: &mut ServerSession) -> Answer {
        let request = session.req_header();
        if self.whole && !self.tls && !is_addressed_directly(request) {
            return refusal(StatusCode::MISDIRECTED_REQUEST);
        }
        if self.whole && revocations::serves(request.uri.path()) {
            let method = request.method.clone();
            return match admit(session, &self.admin.token) {
                Ok(()) => self.revocations(session, &method).await,
                Err(status) => refusal(status),
            };
        }
        let Some(call) = Call::find(request.uri.path()).filter(|call| self.whole || call.is_open()) else {
            return refusal(StatusCode::NOT_FOUND);
        };
        if request.method.as_str() != call.method() {
            return not_allowed(call.method());
        }
        let admitted = if call.is_open() { Ok(()) } else { admit(session, &self.admin.token) };
        match admitted {
            Ok(()) => self.serve(call, session).await,
            Err(status) => refusal(status),
        }
    }
}

impl Api {
    async fn serve(&self, call: Call, session: &mut ServerSession) -> Answer {
        let Admin { source, operator, .. } = &*self.admin;
        match call {
            Call::Livez => text(StatusCode::OK, "ok\n"),
            Call::Readyz => self.readyz(),
            Call::Metrics => self.metrics(),
            Call::Status => json_of(StatusCode::OK, &source.status()),
            Call::Routes => json_of(StatusCode::OK, &json!({ "routes": *source.policies() })),
            Call::Explain => self.explain(session).await,
            Call::Reload => self.reload().await,
            Call::RefreshKeys => json_of(StatusCode::OK, &json!({ "issuers": operator.refresh_keys().await })),
        }
    }

    /// 200 when the new configuration is in force; 422 with its faults when the old one stays.
    async fn reload(&self) -> Answer {
        let Some(report) = self.admin.operator.reload().await else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE);
        };
        let status = match report.outcome {
            ReloadOutcome::Applied => StatusCode::OK,
            ReloadOutcome::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        };
        json_of(status, &report)
    }

    fn readyz(&self) -> Answer {
        let Readiness { ready, reasons } = self.admin.source.readiness();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json_of(status, &json!({ "ready": ready, "reasons": reasons }))
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
        match explained {
            Ok(explained) => json_of(StatusCode::OK, &explained),
            Err(fault) => bad_request(&fault.to_string()),
        }
    }
}

/// True where the client named us by an address, as `localhost`, or not at all. A page in a browser on this machine can
/// have a name of its own lead here (DNS rebinding), and would then read what is meant for operators.
fn is_addressed_directly(request: &RequestHeader) -> bool {
    let is_direct = |authority: &str| {
        let host = Authority::parse(authority).map(|authority| authority.host);
        host.is_some_and(|host| {
            let bare = host.as_str().trim_start_matches('[').trim_end_matches(']');
            bare == "localhost" || bare.parse::<IpAddr>().is_ok()
        })
    };
    let told = request.headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
    told.chain(request.uri.authority().map(http::uri::Authority::as_str)).all(is_direct)
}

/// Where the JSON is faulty. The parser's own words may quote the body, token and all.
pub(super) fn json_fault(wanted: &str, fault: &serde_json::Error) -> String {
    format!("the body is not {wanted}: see line {}, column {}", fault.line(), fault.column())
}

/// Who may make a call that changes or reveals: 403 where no token is configured, 401 where it is missing or wrong.
fn admit(session: &ServerSession, token: &AdminToken) -> Result<(), StatusCode> {
    let expected = token.load_full().ok_or(StatusCode::FORBIDDEN)?;
    let mut fields = session.req_header().headers.get_all(header::AUTHORIZATION).iter();
    let field = fields.next().filter(|_| fields.next().is_none()).ok_or(StatusCode::UNAUTHORIZED)?;
    let (scheme, token) = field.as_bytes().split_at_checked(7).ok_or(StatusCode::UNAUTHORIZED)?;
    if scheme.eq_ignore_ascii_case(b"bearer ") && same(token, expected.expose().as_bytes()) {
        Ok(())
    } else {
        Err(StatusCode::UNAUTHORIZED)
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
    fn only_an_address_or_localhost_is_answered() {
        let asked = |hosts: &[&str]| {
            let mut request = RequestHeader::build("GET", b"/metrics", None).unwrap();
            for host in hosts {
                request.append_header("Host", *host).unwrap();
            }
            is_addressed_directly(&request)
        };
        for hosts in [&[][..], &["127.0.0.1:9901"], &["localhost:9901"], &["LOCALHOST"], &["[::1]:9901"], &["10.0.0.1"]]
        {
            assert!(asked(hosts), "{hosts:?}");
        }
        for hosts in [&["evil.example"][..], &["127.0.0.1.evil.example"], &["localhost", "evil.example"], &[""]] {
            assert!(!asked(hosts), "{hosts:?}");
        }
    }

    #[test]
    fn a_fault_in_the_body_quotes_nothing_of_it() {
        let fault = serde_json::from_slice::<ExplainRequest>(br#"{"tokne":"s3cr3t"}"#).unwrap_err();
        let text = json_fault("a request to explain", &fault);
        assert!(!text.contains("s3cr3t") && !text.contains("tokne"), "{text}");
    }
}
