//! From the engine's session to plain facts, and the faults of framing that end a connection.

use super::ListenerSettings;
use super::door::MAX_LINE;
use crate::authn::mtls::{self, CertificateDigest};
use crate::clock::UnixTime;
use crate::decision::Reason;
use crate::request::forwarded::{self, Told};
use crate::request::framing::MAX_FIELDS;
use crate::request::{Authority, Facts, RequestId, TransportFacts, UriScheme};
use crate::tls::Handshake;
use http::{HeaderMap, Method, header};
use pingora::http::RequestHeader;
use pingora::http::authority::{RawTargetAuthority, raw_target_authority};
use pingora::protocols::http::ServerSession;
use std::net::{IpAddr, Ipv4Addr};

/// Connection options on one request; more are an attempt to make work.
const MAX_CONNECTION_OPTIONS: usize = 8;

/// What the connection told, besides the request.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// The client: the peer, or whom a proxy of ours names.
    pub client: IpAddr,
    /// What the handshake told.
    pub transport: TransportFacts,
    /// The identifier a proxy of ours gave the request.
    pub request_id: Option<RequestId>,
    /// The scheme and the authority the client used, where a proxy of ours says so.
    told: (Option<UriScheme>, Option<Authority>),
}

impl Arrival {
    /// What `session`'s connection told.
    pub(super) fn of(session: &ServerSession, listeners: &[ListenerSettings], now: UnixTime) -> Self {
        let peer = session.client_addr().and_then(|address| address.as_inet());
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        let tls = session.digest().and_then(|digest| digest.ssl_digest.as_ref());
        let handshake = tls.and_then(|tls| tls.extension.get::<Handshake>());
        let listener = handshake.and_then(|handshake| listeners.get(handshake.listener));
        let presented = handshake.and_then(|handshake| handshake.client_certificate.as_ref()?.digest(now));
        let headers = &session.req_header().headers;
        let trusts = |address: IpAddr| listener.is_some_and(|listener| listener.trusted_proxies.contains(address));
        let Told { client, scheme, authority } = forwarded::believe(headers, peer, trusts);
        let request_id = headers.get("x-request-id").filter(|_| trusts(peer)).and_then(|id| id.to_str().ok());
        Self {
            client,
            request_id: request_id.and_then(RequestId::parse),
            told: (scheme, authority),
            transport: TransportFacts {
                encrypted: tls.is_some(),
                server_name: handshake.and_then(|handshake| handshake.server_name.clone()),
                client_certificate: client_certificate(peer, headers, listener, presented),
                public: listener.map(|listener| listener.public).unwrap_or_default(),
            },
        }
    }

    /// The facts of `request`, borrowed. Faults that leave no sound facts are a reason at once.
    pub(super) fn facts<'r>(&'r self, request: &'r RequestHeader, now: UnixTime) -> Result<Facts<'r>, Reason> {
        let (path, query) = target(request)?;
        Ok(Facts {
            now,
            method: &request.method,
            authority: authority(request),
            path,
            query,
            headers: &request.headers,
            client: self.client,
            transport: &self.transport,
        })
    }

    /// The scheme the client used.
    pub(super) fn scheme(&self) -> &'static str {
        let seen = if self.transport.encrypted { "https" } else { "http" };
        self.told.0.map_or(seen, UriScheme::as_str)
    }

    /// The authority the client asked a proxy of ours for.
    pub(super) fn told_authority(&self) -> Option<String> {
        self.told.1.as_ref().map(Authority::to_string)
    }
}

/// The certificate of the client itself: the one of this connection, or, where the peer is a proxy of ours that tells
/// its clients' certificates, the one it tells. The proxy's own then counts for nothing, and no word is no certificate.
fn client_certificate(
    peer: IpAddr,
    headers: &HeaderMap,
    listener: Option<&ListenerSettings>,
    presented: Option<CertificateDigest>,
) -> Option<CertificateDigest> {
    let tells =
        |listener: &&ListenerSettings| listener.client_certificate_header && listener.trusted_proxies.contains(peer);
    match listener.filter(tells) {
        // A malformed field proves nothing; a token bound to a certificate is then refused.
        Some(_) => mtls::forwarded_certificate(headers).ok().flatten(),
        None => presented,
    }
}

/// The authority the client asked for: `:authority`, `Host`, or that of an absolute target. The engine has refused a
/// request in which two of them differ.
pub(super) fn authority(request: &RequestHeader) -> Option<&str> {
    if let Some(authority) = request.uri.authority() {
        return Some(authority.as_str());
    }
    match request.headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => raw_target_authority(request.raw_path()).authority().and_then(|raw| std::str::from_utf8(raw).ok()),
    }
}

/// The path and the query as sent.
pub(super) fn target(request: &RequestHeader) -> Result<(&[u8], Option<&str>), Reason> {
    let raw = request.raw_path();
    let origin = match raw_target_authority(raw) {
        RawTargetAuthority::None => raw,
        RawTargetAuthority::Absolute { path_and_query: [], .. } => b"/",
        RawTargetAuthority::Absolute { path_and_query, .. } => path_and_query,
        RawTargetAuthority::AmbiguousAuthority => return Err(Reason::BadFraming),
    };
    match origin.iter().position(|byte| *byte == b'?') {
        Some(mark) => {
            let query = std::str::from_utf8(&origin[mark + 1..]).map_err(|_| Reason::BadFraming)?;
            Ok((&origin[..mark], Some(query)))
        }
        None => Ok((origin, None)),
    }
}

/// Refuses what is too large, or could be read in two ways, of a request that the engine has read. Over HTTP/1 the door
/// has judged the bytes before.
pub(super) fn check_framing(session: &ServerSession, max_header: usize) -> Result<(), Reason> {
    let request = session.req_header();
    if request.method == Method::TRACE {
        // It would tell the client what only the upstream is told.
        return Err(Reason::MethodNotAllowed);
    }
    if session.is_http2() {
        if request.raw_path().len() > MAX_LINE {
            return Err(Reason::TargetTooLong);
        }
        if decoded_size(request) > max_header || request.headers.len() > MAX_FIELDS {
            return Err(Reason::HeaderTooLarge);
        }
    }
    check_connection_options(&request.headers)
}

/// The size of a header section as HTTP/2 counts it (RFC 9113 §6.5.2): 32 bytes more for each field.
fn decoded_size(request: &RequestHeader) -> usize {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| name.as_str().len() + value.len() + 32;
    request.raw_path().len() + request.headers.iter().map(field).sum::<usize>()
}

/// `Connection` may not name headers that say where a request came from or goes to, nor anything that is no token.
/// The engine refuses such a request too, but only after the decision, when a one-time token would be spent.
fn check_connection_options(headers: &HeaderMap) -> Result<(), Reason> {
    let fields = headers.get_all(header::CONNECTION).iter();
    let options = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut count = 0;
    for option in options.filter(|option| !option.is_empty()) {
        count += 1;
        let protected = option.eq_ignore_ascii_case(b"host") || begins(option, b"x-forwarded-");
        if count > MAX_CONNECTION_OPTIONS || protected || !option.iter().all(|byte| is_token(*byte)) {
            return Err(Reason::BadFraming);
        }
    }
    Ok(())
}

fn begins(option: &[u8], prefix: &[u8]) -> bool {
    option.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Version};

    fn request(version: Version, target: &str, host: Option<&'static str>) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        request.set_version(version);
        if let Some(host) = host {
            request.insert_header("Host", host).unwrap();
        }
        request
    }

    #[test]
    fn connection_options_name_nothing_protected() {
        let check = |option: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONNECTION, HeaderValue::from_static(option));
            check_connection_options(&headers)
        };
        for option in ["close", "keep-alive, X-Hop", ""] {
            assert_eq!(check(option), Ok(()), "{option}");
        }
        for option in ["Host", "X-Forwarded-For", "a b", "\"x\"", ":authority", "a,b,c,d,e,f,g,h,i"] {
            assert_eq!(check(option), Err(Reason::BadFraming), "{option}");
        }
    }

    #[test]
    fn path_and_query_are_those_that_were_sent() {
        let parts = |target: &str| {
            let request = request(Version::HTTP_11, target, Some("a.test"));
            let (path, query) = super::target(&request).unwrap();
            (String::from_utf8(path.to_vec()).unwrap(), query.map(str::to_owned))
        };
        assert_eq!(parts("/a/%2e%2e//b"), ("/a/%2e%2e//b".into(), None));
        assert_eq!(parts("/a?x=1?y"), ("/a".into(), Some("x=1?y".into())));
        assert_eq!(parts("http://a.test/b?c"), ("/b".into(), Some("c".into())));
        assert_eq!(parts("http://a.test"), ("/".into(), None));
        assert_eq!(parts("*"), ("*".into(), None));
    }
}
