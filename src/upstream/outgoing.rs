//! What the upstream is told, as data: which of the client's headers go, and which are set in their place.
//!
//! The proxy applies it to the request it forwards; `explain` shows it. So both are the same.

use crate::decision::{Credentials, Permit};
use crate::identity::Firewall;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::borrow::Cow;
use std::net::IpAddr;

/// Where a request came from, as we saw it, or as proxies of ours told it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'r> {
    /// The client's address.
    pub client: IpAddr,
    /// The scheme the client used: `https` or `http`.
    pub scheme: &'static str,
    /// The authority the client asked for.
    pub authority: &'r str,
    /// The request's identifier.
    pub request_id: &'r str,
}

/// Which of a client's headers may pass.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingRules<'r> {
    /// The headers no client may send through.
    pub firewall: &'r Firewall,
    /// What becomes of the credential.
    pub credentials: Credentials<'r>,
}

impl OutgoingRules<'_> {
    /// True when a client's header of this name must not reach the upstream.
    #[must_use]
    pub fn strips(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        if Firewall::is_credential(name) && !self.firewall.strips(name) {
            return !self.keeps(name);
        }
        !self.firewall.passes(name)
    }

    /// A kept credential passes in its own spelling only. What a client says of a certificate is never kept: only
    /// the handshake proves one.
    fn keeps(&self, name: &str) -> bool {
        self.credentials == Credentials::Keep && (name == header::AUTHORIZATION.as_str() || name == "dpop")
    }
}

/// The change from the request that came to the one that goes.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The client's headers that go no further.
    pub remove: Vec<HeaderName>,
    /// The headers that are set, in this spelling. A name may stand here more than once.
    pub set: Vec<(Cow<'static, str>, HeaderValue)>,
}

impl Outgoing {
    /// The change for a request with `headers` under `permit`.
    #[must_use]
    pub fn new(headers: &HeaderMap, firewall: &Firewall, permit: &Permit, origin: &Origin<'_>) -> Self {
        let rules = OutgoingRules { firewall, credentials: permit.credentials() };
        let remove = headers.keys().filter(|name| rules.strips(name)).cloned().collect();
        let identity = permit.identity_headers();
        let mut set = Vec::with_capacity(identity.len() + FORWARDED + 1);
        set.extend(identity.iter().map(|(name, value)| (Cow::Owned(name.clone()), value.clone())));
        if let Credentials::Replace(token) = rules.credentials {
            set.extend(secret_value(&format!("Bearer {token}")).map(|value| (Cow::Borrowed("Authorization"), value)));
        }
        set.extend(forwarding(origin));
        Self { remove, set }
    }
}

fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// How many headers [`forwarding`] makes.
const FORWARDED: usize = 5;

/// The headers that say where the request came from: the common ones, and RFC 7239.
fn forwarding(origin: &Origin<'_>) -> impl Iterator<Item = (Cow<'static, str>, HeaderValue)> {
    let client = origin.client.to_string();
    let node = match origin.client {
        IpAddr::V4(_) => ["", client.as_str(), ""],
        IpAddr::V6(_) => ["\"[", client.as_str(), "]\""],
    };
    let [open, address, close] = node;
    // Joined at its exact length, the text becomes the value as it is.
    let forwarded = ["for=", open, address, close, ";host=\"", origin.authority, "\";proto=", origin.scheme].concat();
    let values: [(&'static str, Option<HeaderValue>); FORWARDED] = [
        ("X-Forwarded-For", HeaderValue::from_str(&client).ok()),
        ("X-Forwarded-Proto", Some(HeaderValue::from_static(origin.scheme))),
        ("X-Forwarded-Host", HeaderValue::from_str(origin.authority).ok()),
        ("Forwarded", HeaderValue::try_from(forwarded).ok()),
        ("X-Request-Id", HeaderValue::from_str(origin.request_id).ok()),
    ];
    values.into_iter().filter_map(|(name, value)| Some((Cow::Borrowed(name), value?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn name(name: &'static str) -> HeaderName {
        HeaderName::from_static(name)
    }

    fn rules(firewall: Firewall, credentials: Credentials<'static>) -> impl Fn(&'static str) -> bool {
        move |header| OutgoingRules { firewall: &firewall, credentials }.strips(&name(header))
    }

    #[test]
    fn identity_forwarding_and_credentials_are_stripped_in_every_spelling() {
        let strips = rules(Firewall::new(["X-User-Id"], []), Credentials::Drop);
        for header in [
            "x-user-id",
            "x_user_id",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded",
            "x-forwarded-user",
            "forwarded",
            "x-real-ip",
            "true_client_ip",
            "x-request-id",
            "authorization",
            "proxy_authorization",
            "dpop",
            "client-cert",
            "content_length",
            "transfer_encoding",
            "x-http-method-override",
            "proxy",
            "x-custom_name",
        ] {
            assert!(strips(header), "{header}");
        }
        for header in ["accept", "content-length", "host", "cookie", "x-custom.name", "traceparent"] {
            assert!(!strips(header), "{header}");
        }
    }

    #[test]
    fn a_kept_credential_passes_in_its_own_spelling_only() {
        let strips = rules(Firewall::new([], []), Credentials::Keep);
        assert!(!strips("authorization") && !strips("dpop"));
        for header in ["proxy-authorization", "client-cert", "client_cert"] {
            assert!(strips(header), "{header}");
        }
    }

    #[test]
    fn the_way_of_a_request_is_told_truthfully() {
        let origin = |client: &str| Origin {
            client: client.parse().unwrap(),
            scheme: "https",
            authority: "api.test:8443",
            request_id: "r1",
        };
        let told = |client: &str| -> BTreeMap<String, String> {
            forwarding(&origin(client))
                .map(|(name, value)| (name.into_owned(), value.to_str().unwrap().to_owned()))
                .collect()
        };
        assert_eq!(told("192.0.2.1")["Forwarded"], r#"for=192.0.2.1;host="api.test:8443";proto=https"#);
        assert_eq!(told("2001:db8::1")["Forwarded"], r#"for="[2001:db8::1]";host="api.test:8443";proto=https"#);
        assert_eq!(told("2001:db8::1")["X-Forwarded-For"], "2001:db8::1");
        assert_eq!(told("192.0.2.1")["X-Request-Id"], "r1");
    }
}
