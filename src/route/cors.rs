//! Cross-origin resource sharing of one route (WHATWG Fetch §3.2), as data: which headers an answer carries.
//!
//! CORS protects no server. It tells browsers which pages may read an answer, and the gateway speaks for backends that
//! don't: their own CORS headers are replaced, never doubled.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use std::time::Duration;

/// Headers that a page must be able to read from a refusal, to act on it.
const ALWAYS_EXPOSED: [&str; 4] = ["WWW-Authenticate", "DPoP-Nonce", "X-Request-Id", "Retry-After"];
/// The header of a page on the open network that asks for something on a private one (Private Network Access).
const REQUEST_PRIVATE: &str = "access-control-request-private-network";
const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Whose pages may read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Everybody's; never together with credentials.
    Any,
    /// Those of these origins, compared byte for byte (RFC 6454 §6.2).
    Only(Vec<String>),
}

/// The policy of one route, with its header values made once.
#[derive(Clone, Debug)]
pub struct CorsPolicy {
    origins: Origins,
    credentials: bool,
    methods: HeaderValue,
    headers: HeaderValue,
    expose: HeaderValue,
    max_age: HeaderValue,
}

/// What gateway.yaml says of one route's CORS.
#[derive(Clone, Debug)]
pub struct CorsRule {
    /// Whose pages.
    pub origins: Origins,
    /// The methods a page may use.
    pub methods: Vec<Method>,
    /// The request headers a page may set; `Authorization` is among them only when written.
    pub headers: Vec<String>,
    /// The response headers a page may read, besides those it needs to act on a refusal.
    pub expose: Vec<String>,
    /// True when the browser may send cookies along.
    pub credentials: bool,
    /// How long a browser may remember the preflight.
    pub max_age: Duration,
}

/// Why a rule is no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorsError {
    /// `*` with credentials would give every page in the world the user's session.
    #[error("any origin together with credentials: name the origins")]
    AnyWithCredentials,
    /// A value that can't stand in a header.
    #[error("holds a byte that can't stand in a header")]
    BadValue,
}

impl CorsPolicy {
    /// The policy of `rule`.
    pub fn new(rule: &CorsRule) -> Result<Self, CorsError> {
        if rule.credentials && rule.origins == Origins::Any {
            return Err(CorsError::AnyWithCredentials);
        }
        let value = |text: String| HeaderValue::from_str(&text).map_err(|_| CorsError::BadValue);
        let methods: Vec<&str> = rule.methods.iter().map(Method::as_str).collect();
        let exposed = rule.expose.iter().map(String::as_str).chain(ALWAYS_EXPOSED);
        Ok(Self {
            origins: rule.origins.clone(),
            credentials: rule.credentials,
            methods: value(methods.join(", "))?,
            headers: value(rule.headers.join(", "))?,
            expose: value(exposed.collect::<Vec<_>>().join(", "))?,
            max_age: value(rule.max_age.as_secs().to_string())?,
        })
    }

    /// The headers of an ordinary answer to a request from `origin`.
    ///
    /// `Vary: Origin` stands there whether or not the origin is let in: a cache must not hand one page's answer to
    /// another.
    #[must_use]
    pub fn answer_headers(&self, origin: Option<&HeaderValue>) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![(header::VARY, HeaderValue::from_static("Origin"))];
        if let Some(allowed) = origin.and_then(|origin| self.allow(origin)) {
            headers.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed));
            headers.push((header::ACCESS_CONTROL_EXPOSE_HEADERS, self.expose.clone()));
            if self.credentials {
                headers.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
            }
        }
        headers
    }

    /// The headers of the answer to a preflight. An origin that is not let in gets none that would let it.
    #[must_use]
    pub fn preflight_headers(&self, request: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        let origin = request.get(header::ORIGIN);
        let mut headers = self.answer_headers(origin);
        headers.retain(|(name, _)| *name != header::ACCESS_CONTROL_EXPOSE_HEADERS);
        if origin.and_then(|origin| self.allow(origin)).is_none() {
            return headers;
        }
        headers.push((header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone()));
        if !self.headers.is_empty() {
            headers.push((header::ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone()));
        }
        headers.push((header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone()));
        // Whoever lets any page in has not thought of pages that reach into a private network.
        let named = self.origins != Origins::Any;
        if named && request.get(REQUEST_PRIVATE).is_some_and(|value| value == "true") {
            headers.push((ALLOW_PRIVATE, HeaderValue::from_static("true")));
        }
        headers
    }

    fn allow(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match &self.origins {
            Origins::Any => Some(HeaderValue::from_static("*")),
            // The value is our own: the request's would keep the buffer it was read into.
            Origins::Only(list) => HeaderValue::from_str(list.iter().find(|known| origin == known.as_str())?).ok(),
        }
    }
}

/// The method a preflight asks for; `None` when the request is no preflight (WHATWG Fetch §3.2.2).
#[must_use]
pub fn preflight_method(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if method != Method::OPTIONS || !headers.contains_key(header::ORIGIN) {
        return None;
    }
    let mut asked = headers.get_all(header::ACCESS_CONTROL_REQUEST_METHOD).iter();
    let first = asked.next()?;
    if asked.next().is_some() { None } else { Method::from_bytes(first.as_bytes()).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(origins: Origins, credentials: bool) -> Result<CorsPolicy, CorsError> {
        CorsPolicy::new(&CorsRule {
            origins,
            methods: vec![Method::GET, Method::POST],
            headers: vec!["Authorization".into()],
            expose: vec!["X-Total".into()],
            credentials,
            max_age: Duration::from_secs(600),
        })
    }

    fn app() -> Origins {
        Origins::Only(vec!["https://app.test".into()])
    }

    fn text(headers: &[(HeaderName, HeaderValue)], name: &str) -> Option<String> {
        headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_known_origin_is_named_and_may_read_what_it_needs() {
        let origin = HeaderValue::from_static("https://app.test");
        let headers = policy(app(), true).unwrap().answer_headers(Some(&origin));
        assert_eq!(text(&headers, "access-control-allow-origin").as_deref(), Some("https://app.test"));
        assert_eq!(text(&headers, "access-control-allow-credentials").as_deref(), Some("true"));
        assert_eq!(text(&headers, "vary").as_deref(), Some("Origin"));
        let exposed = text(&headers, "access-control-expose-headers").unwrap();
        assert!(exposed.contains("X-Total") && exposed.contains("WWW-Authenticate"));
    }

    #[test]
    fn any_other_origin_gets_only_vary() {
        for origin in ["https://app.test.evil", "https://APP.test", "http://app.test", "null", "https://app.test:444"] {
            let origin = HeaderValue::from_static(origin);
            let headers = policy(app(), true).unwrap().answer_headers(Some(&origin));
            assert_eq!(headers.len(), 1);
            assert_eq!(headers[0].0, header::VARY);
        }
    }

    #[test]
    fn everybody_never_comes_with_credentials() {
        assert_eq!(policy(Origins::Any, true).unwrap_err(), CorsError::AnyWithCredentials);
        let headers = policy(Origins::Any, false).unwrap().answer_headers(Some(&HeaderValue::from_static("https://x")));
        assert_eq!(text(&headers, "access-control-allow-origin").as_deref(), Some("*"));
        assert_eq!(text(&headers, "access-control-allow-credentials"), None);
    }

    #[test]
    fn a_preflight_is_answered_in_full_for_a_known_origin_alone() {
        let mut request = HeaderMap::new();
        request.insert(header::ORIGIN, HeaderValue::from_static("https://app.test"));
        request.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        request.insert(REQUEST_PRIVATE, HeaderValue::from_static("true"));
        assert_eq!(preflight_method(&Method::OPTIONS, &request), Some(Method::POST));
        assert_eq!(preflight_method(&Method::GET, &request), None);
        let headers = policy(app(), false).unwrap().preflight_headers(&request);
        assert_eq!(text(&headers, "access-control-allow-methods").as_deref(), Some("GET, POST"));
        assert_eq!(text(&headers, "access-control-allow-private-network").as_deref(), Some("true"));
        let headers = policy(Origins::Any, false).unwrap().preflight_headers(&request);
        assert_eq!(text(&headers, "access-control-allow-methods").as_deref(), Some("GET, POST"));
        assert_eq!(text(&headers, "access-control-allow-private-network"), None, "no origin is named");
        request.insert(header::ORIGIN, HeaderValue::from_static("https://evil.test"));
        assert_eq!(policy(app(), false).unwrap().preflight_headers(&request).len(), 1);
    }
}
