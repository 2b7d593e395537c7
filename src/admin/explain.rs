//! What would the gateway answer to this request, and why? The same [`decide`] as for a real one; nothing is written.
//!
//! The offline command asks it with [`Memory::Absent`], the admin API with [`Memory::Peek`].

use super::url::Url;
use crate::clock::UnixTime;
use crate::decision::{Denial, Memory, Permit, Snapshot, Trace, decide, redirect};
use crate::observe::Observer;
use crate::request::framing::MAX_FIELDS;
use crate::request::{Facts, TransportFacts};
use crate::telemetry::Outcome;
use crate::upstream::{Origin, Outgoing};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use openssl::x509::X509;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The request to be explained. Only `url` is mandatory.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExplainRequest {
    /// The address as the client writes it. The path is taken as it stands, escapes and dots included.
    pub url: String,
    /// The method; default `GET`.
    pub method: String,
    /// Header fields. A `Host` here is sent while the handshake still names the host of `url`.
    pub headers: BTreeMap<String, String>,
    /// A token, sent as `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The client's address; default loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// The client's certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// The moment to judge at, in seconds since the Unix epoch; default now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
}

impl Default for ExplainRequest {
    fn default() -> Self {
        Self {
            url: String::new(),
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            token: None,
            client: None,
            client_certificate: None,
            at: None,
        }
    }
}

impl fmt::Debug for ExplainRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplainRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The answer. It holds no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainAnswer {
    /// `allowed`, `public`, `denied`, `would_deny`, `error`; `redirected` for a request in the clear.
    pub outcome: String,
    /// The reason of a refusal, or of one that report mode does not make.
    pub reason: Option<String>,
    /// The route's name, or `none`.
    pub route: String,
    /// The issuer's name, or `none`.
    pub issuer: String,
    /// The status the gateway answers with; 200 stands for whatever the upstream says.
    pub status: u16,
    /// Every stage the request went through.
    pub stages: Vec<ExplainStage>,
    /// What the upstream is told: the headers that pass, and those that are set.
    pub upstream_headers: BTreeMap<String, String>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainStage {
    /// Its name.
    pub stage: String,
    /// `passed`, `refused`, `not_asked` or `not_visible`.
    pub result: String,
    /// What it saw.
    pub seen: String,
}

/// Why a request can't be explained: it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// The URL is not `https://host/path` or `http://host/path`.
    #[error("url must be https://host/path or http://host/path")]
    BadUrl,
    /// The method is no token.
    #[error("method is not an HTTP method")]
    BadMethod,
    /// A header is none, or names the token a second time.
    #[error("a header has a name or a value that HTTP does not allow")]
    BadHeader,
    /// More headers than a request may have.
    #[error("at most {MAX_FIELDS} headers")]
    TooManyHeaders,
    /// The certificate can't be read.
    #[error("client_certificate is not a PEM certificate")]
    BadCertificate,
}

/// Explains `request`, as of `now` unless it names a moment itself.
pub async fn explain(
    snapshot: &Snapshot,
    memory: Memory<'_>,
    request: &ExplainRequest,
    now: UnixTime,
    observer: &dyn Observer,
) -> Result<ExplainAnswer, ExplainError> {
    let asked = Asked::read(request, now)?;
    let facts = asked.facts();
    if !asked.url.https {
        return Ok(in_the_clear(redirect(snapshot, &facts, 443)));
    }
    let mut trace = Trace::on();
    let decided = decide(snapshot, memory, &facts, observer, &mut trace).await;
    let mut answer = match &decided {
        Ok(permit) => permitted(snapshot, permit, &asked, &facts),
        Err(denial) => denied(snapshot, denial),
    };
    answer.stages = trace.entries().iter().map(ExplainStage::from).collect();
    Ok(answer)
}

/// The request in the types of the core, owned.
struct Asked<'r> {
    url: Url<'r>,
    method: Method,
    headers: HeaderMap,
    client: IpAddr,
    transport: TransportFacts,
    now: UnixTime,
}

impl<'r> Asked<'r> {
    fn read(request: &'r ExplainRequest, now: UnixTime) -> Result<Self, ExplainError> {
        let url = Url::parse(&request.url).ok_or(ExplainError::BadUrl)?;
        let certificate = request.client_certificate.as_deref().map(fingerprint).transpose()?;
        Ok(Self {
            method: Method::from_bytes(request.method.as_bytes()).map_err(|_| ExplainError::BadMethod)?,
            headers: headers(request)?,
            client: request.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            transport: TransportFacts {
                encrypted: url.https,
                server_name: url.server_name().map(Arc::from),
                client_certificate: certificate,
                public: url.public_address(),
            },
            now: request.at.map_or(now, UnixTime::from_seconds),
            url,
        })
    }

    fn authority(&self) -> Option<&str> {
        match self.headers.get(header::HOST) {
            Some(host) => host.to_str().ok(),
            None => Some(self.url.authority),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            now: self.now,
            method: &self.method,
            authority: self.authority(),
            path: self.url.path.as_bytes(),
            query: self.url.query,
            headers: &self.headers,
            client: self.client,
            transport: &self.transport,
        }
    }
}

fn headers(request: &ExplainRequest) -> Result<HeaderMap, ExplainError> {
    if request.headers.len() > MAX_FIELDS {
        return Err(ExplainError::TooManyHeaders);
    }
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ExplainError::BadHeader)?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| ExplainError::BadHeader)?);
    }
    if let Some(token) = &request.token {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ExplainError::BadHeader)?;
        headers.append(header::AUTHORIZATION, value);
    }
    Ok(headers)
}

fn fingerprint(pem: &str) -> Result<[u8; 32], ExplainError> {
    let der = X509::from_pem(pem.as_bytes()).and_then(|certificate| certificate.to_der());
    der.map(|der| openssl::sha::sha256(&der)).map_err(|_| ExplainError::BadCertificate)
}

fn permitted(snapshot: &Snapshot, permit: &Permit, asked: &Asked<'_>, facts: &Facts<'_>) -> ExplainAnswer {
    ExplainAnswer {
        outcome: Outcome::permitted(permit).label().to_owned(),
        reason: permit.report().and_then(|report| report.would_deny).map(|reason| reason.label().to_owned()),
        route: snapshot.route_name(Some(permit.route())).to_owned(),
        issuer: snapshot.issuer_name(permit.issuer()).to_owned(),
        status: 200,
        stages: Vec::new(),
        upstream_headers: upstream_headers(snapshot, permit, asked, facts),
    }
}

fn denied(snapshot: &Snapshot, denial: &Denial) -> ExplainAnswer {
    ExplainAnswer {
        outcome: Outcome::refused(denial.reason).label().to_owned(),
        reason: Some(denial.reason.label().to_owned()),
        route: snapshot.route_name(denial.route).to_owned(),
        issuer: snapshot.issuer_name(denial.issuer).to_owned(),
        status: denial.reason.status(),
        stages: Vec::new(),
        upstream_headers: BTreeMap::new(),
    }
}

/// The answer of the plain listener, which serves nothing.
fn in_the_clear(located: Result<String, Denial>) -> ExplainAnswer {
    let (outcome, reason, status, seen) = match located {
        Ok(location) => ("redirected", None, 308, location),
        Err(denial) => {
            let reason = denial.reason;
            (
                Outcome::refused(reason).label(),
                Some(reason.label().to_owned()),
                reason.status(),
                reason.meaning().to_owned(),
            )
        }
    };
    let result = if reason.is_some() { "refused" } else { "passed" };
    ExplainAnswer {
        outcome: outcome.to_owned(),
        reason,
        route: "none".to_owned(),
        issuer: "none".to_owned(),
        status,
        stages: vec![ExplainStage { stage: "redirect".to_owned(), result: result.to_owned(), seen }],
        upstream_headers: BTreeMap::new(),
    }
}

/// What the proxy would make of the headers, by the same rules. Values of credentials are not shown.
fn upstream_headers(
    snapshot: &Snapshot,
    permit: &Permit,
    asked: &Asked<'_>,
    facts: &Facts<'_>,
) -> BTreeMap<String, String> {
    let origin = Origin {
        client: facts.client,
        scheme: "https",
        authority: facts.authority.unwrap_or_default(),
        request_id: "(a new one)",
    };
    let outgoing = Outgoing::new(&asked.headers, &snapshot.firewall, permit, &origin);
    let kept = asked.headers.iter().filter(|(name, _)| !outgoing.remove.contains(name));
    let kept = kept.map(|(name, value)| (name.as_str(), value));
    let set = outgoing.set.iter().map(|(name, value)| (&**name, value));
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in kept.chain(set) {
        let value = show(name, value);
        shown.entry(name.to_owned()).and_modify(|all| *all = format!("{all}, {value}")).or_insert(value);
    }
    shown
}

fn show(name: &str, value: &HeaderValue) -> String {
    let secret = value.is_sensitive() || crate::identity::Firewall::is_credential(name) || name == "cookie";
    if secret { "(not shown)".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() }
}

impl From<&crate::decision::trace::Entry> for ExplainStage {
    fn from(entry: &crate::decision::trace::Entry) -> Self {
        Self { stage: entry.stage.name().to_owned(), result: entry.result.name().to_owned(), seen: entry.seen.clone() }
    }
}
