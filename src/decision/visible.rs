//! The request as a condition sees it: of its headers, those alone that the upstream will get.
//!
//! A condition that judges one header while the backend reads another is no condition. So what is stripped on the way
//! is not seen, and where two programs could read what is left differently, the condition does not hold.

use crate::identity::Firewall;
use crate::identity::firewall::fold;
use crate::request::{CanonicalPath, Facts, Host, hop};
use cel::Value;
use http::{HeaderName, header};
use std::collections::HashMap;

/// The request as a condition sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// What arrived.
    pub facts: &'r Facts<'r>,
    /// The host in canonical form.
    pub host: &'r Host,
    /// The path in canonical form.
    pub path: &'r CanonicalPath,
    /// The decoded path parameters.
    pub parameters: &'r [(String, String)],
    /// The headers no client may send through.
    pub firewall: &'r Firewall,
}

impl Request<'_> {
    /// `{method, host, path}` and, where they are asked for, `headers`. In the path `@`, `:` and their like are plain,
    /// however they came. `None` where the headers have no single meaning.
    pub(super) fn value(&self, with_headers: bool) -> Option<Value> {
        let mut fields: HashMap<String, Value> = HashMap::from([
            ("method".to_owned(), Value::from(self.facts.method.as_str())),
            ("host".to_owned(), Value::from(self.host.as_str())),
            ("path".to_owned(), Value::from(&*self.path.plain())),
        ]);
        if with_headers {
            fields.insert("headers".to_owned(), Value::from(self.headers()?));
        }
        Some(Value::from(fields))
    }

    /// Names in lower case, several fields of a name joined by `, ` (RFC 9110 §5.3), credentials left out. `None`
    /// where a value is no ASCII text, or two names differ in spelling only: backends read both in their own ways.
    fn headers(&self) -> Option<HashMap<String, String>> {
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut spellings: HashMap<String, &HeaderName> = HashMap::new();
        for (name, value) in self.facts.headers {
            if !self.passes(name) {
                continue;
            }
            if *spellings.entry(fold(name.as_str()).into_owned()).or_insert(name) != name {
                return None;
            }
            let text = value.to_str().ok()?;
            seen.entry(name.as_str().to_owned())
                .and_modify(|all| {
                    all.push_str(", ");
                    all.push_str(text);
                })
                .or_insert_with(|| text.to_owned());
        }
        Some(seen)
    }

    fn passes(&self, name: &HeaderName) -> bool {
        let hidden = Firewall::is_credential(name.as_str()) || name == header::COOKIE;
        !hidden && !hop::ends_here(self.facts.headers, name) && self.firewall.passes(name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Condition;
    use super::*;
    use crate::clock::UnixTime;
    use crate::jose::Claims;
    use crate::request::TransportFacts;
    use http::{HeaderMap, HeaderValue, Method};
    use std::net::{IpAddr, Ipv4Addr};

    fn holds(condition: &str, path: &str, fields: &[(&str, &[u8])]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        let facts = Facts {
            now: UnixTime::from_seconds(0),
            method: &Method::GET,
            authority: None,
            path: path.as_bytes(),
            query: None,
            headers: &headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            transport: &TransportFacts::default(),
        };
        let (path, host) = (CanonicalPath::parse(facts.path).unwrap(), Host::parse("api.test").unwrap());
        let firewall = Firewall::new(["X-User-Id"], []);
        let request = Request { facts: &facts, host: &host, path: &path, parameters: &[], firewall: &firewall };
        let claims = Claims::parse(br#"{"tenant":"acme"}"#).unwrap();
        Condition::compile(condition).unwrap().holds(&claims, &request)
    }

    const OWN_TENANT: &str = r#"request.headers["x-tenant"] == claims.tenant"#;
    const NO_DEBUG: &str = r#"!("x-debug" in request.headers)"#;

    #[test]
    fn a_header_that_the_upstream_will_not_get_is_not_judged() {
        assert!(holds(OWN_TENANT, "/", &[("x-tenant", b"acme")]));
        assert!(!holds(OWN_TENANT, "/", &[("x-tenant", b"acme"), ("connection", b"close, X-Tenant")]));
        assert!(holds(OWN_TENANT, "/", &[("x-tenant", b"acme"), ("connection", b"close, x-tenants")]));
        assert!(!holds(r#"request.headers["x-user-id"] == "a""#, "/", &[("x-user-id", b"a")]));
        assert!(!holds(r#"request.headers["x-forwarded-for"] == "a""#, "/", &[("x-forwarded-for", b"a")]));
        assert!(!holds(r#"request.headers["te"] == "a""#, "/", &[("te", b"a")]));
    }

    #[test]
    fn a_second_spelling_does_not_stand_beside_the_one_that_is_judged() {
        // With an underscore it goes no further, so the one that is judged stands alone.
        assert!(holds(OWN_TENANT, "/", &[("x-tenant", b"acme"), ("x_tenant", b"victim")]));
        assert!(!holds(r#"request.headers["x_tenant"] == "acme""#, "/", &[("x_tenant", b"acme")]));
        assert!(!holds(OWN_TENANT, "/", &[("x-tenant", b"acme"), ("x.tenant", b"victim")]));
        assert!(!holds(NO_DEBUG, "/", &[("x-a", b"1"), ("x~a", b"1")]));
    }

    #[test]
    fn a_value_that_is_no_text_makes_no_condition_true() {
        assert!(!holds(OWN_TENANT, "/", &[("x-tenant", b"acme"), ("x-tenant", b"victim\xa0")]));
        assert!(!holds(OWN_TENANT, "/", &[("x-tenant", b"acme"), ("x-tenant", b"victim")]));
        assert!(holds(NO_DEBUG, "/", &[("x-tenant", b"acme")]));
        assert!(!holds(NO_DEBUG, "/", &[("x-debug", b"\xff")]));
        assert!(holds(NO_DEBUG, "/", &[("cookie", b"a=\xff")]), "cookies are not seen");
        assert!(holds(r#"request.method == "GET""#, "/", &[("x-debug", b"\xff")]), "headers are not asked for");
    }

    #[test]
    fn a_path_is_judged_as_its_backend_reads_it() {
        let not_me = r#"request.path != "/users/@me""#;
        assert!(holds(not_me, "/users/alice", &[]));
        assert!(!holds(not_me, "/users/@me", &[]));
        assert!(!holds(not_me, "/users/%40me", &[]));
    }
}
