//! What the scenes of revocation share: gateways on one store, calls of the admin API, log-out notices.

#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

use crate::common::config::ADMIN_TOKEN;
use crate::common::{Answer, Client, Config, Gateway, Issuer, Upstream, unix_now, until};
use serde_json::{Value, json};

/// A route that goes by the list as last known, however old.
pub const LENIENT: &str = "/lenient";
/// A route that insists on a list that is up to date.
pub const STRICT: &str = "/strict";
/// Where identity providers send their notices.
pub const LOGOUT: &str = "/.tollgate/backchannel-logout";

/// The pieces all gateways of a scene share.
pub struct Scene {
    pub issuer: Issuer,
    upstream: Upstream,
    store: String,
}

impl Scene {
    /// `store` is what stands under `store:`.
    pub fn new(store: &str) -> Self {
        let issuer = Issuer::new("corp", "ES256").with("max_lifetime: 15m").with("leeway: 0s");
        Self { issuer, upstream: Upstream::start(), store: store.to_owned() }
    }

    pub fn gateway(&self) -> Gateway {
        self.config().start()
    }

    pub fn config(&self) -> Config {
        let route = |path: &str, policy: &str| {
            let name = path.trim_start_matches('/');
            let access = format!("access: {{ issuers: [corp], revocation: {policy} }}");
            format!("name: {name}\nmatch: {{ path: {path} }}\nupstream: orders\n{access}")
        };
        let config = Config::new().store(&self.store).issuer(&self.issuer).upstream("orders", &self.upstream);
        config.route(&route(LENIENT, "last_known")).route(&route(STRICT, "required"))
    }

    /// A token of this subject with these claims besides.
    pub fn token(&self, subject: &str, more: &Value) -> String {
        let mut claims = self.issuer.claims(subject);
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.issuer.sign(&claims)
    }

    /// A log-out notice with these claims besides; `null` takes one away.
    pub fn notice(&self, more: &Value) -> String {
        let now = unix_now();
        let mut claims = json!({
            "iss": self.issuer.iss, "aud": self.issuer.audience, "iat": now, "exp": now + 120,
            "jti": format!("notice-{}", self.issuer.claims("")["jti"]),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        for (name, value) in more.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let mut header = self.issuer.header();
        header["typ"] = json!("logout+jwt");
        self.issuer.sign_raw(&header.to_string(), &claims.to_string())
    }
}

/// The status with which `gateway` answers `token` at `path`.
pub fn status(gateway: &Gateway, path: &str, token: &str) -> u16 {
    gateway.client().get(path, Some(token)).status
}

/// Waits until `gateway` answers `wanted` to `token` at `path`.
pub fn until_status(gateway: &Gateway, path: &str, token: &str, wanted: u16) {
    until(&format!("{path} answers {wanted}"), || (status(gateway, path, token) == wanted).then_some(()));
}

/// A call of the admin API, with the admin token.
pub fn call(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(gateway, method, path, "application/json", &body)
}

/// As [`call`], with a form.
pub fn post_form(gateway: &Gateway, path: &str, form: &str) -> Answer {
    send(gateway, "POST", path, "application/x-www-form-urlencoded", form)
}

fn send(gateway: &Gateway, method: &str, path: &str, content_type: &str, body: &str) -> Answer {
    let address = gateway.admin().address();
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let fields = [("Authorization", authorization.as_str()), ("Content-Type", content_type)];
    Client::plain(address, &address.to_string()).request(method, path, &fields, body.as_bytes())
}

/// Revokes, and answers with the id.
pub fn revoke(gateway: &Gateway, body: &Value) -> String {
    let answer = call(gateway, "POST", "/api/revocations", body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Takes a revocation back.
pub fn take_back(gateway: &Gateway, id: &str) {
    let answer = call(gateway, "DELETE", &format!("/api/revocations/{id}"), &Value::Null);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Sends a notice as an identity provider would.
pub fn notify(gateway: &Gateway, form: &str) -> Answer {
    let fields = [("Content-Type", "application/x-www-form-urlencoded")];
    gateway.client().request("POST", LOGOUT, &fields, form.as_bytes())
}
