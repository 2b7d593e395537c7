//! Log-out notices (OpenID Connect Back-Channel Logout) and tokens that are handed in (RFC 7009), against the real
//! binary with a real Redis.

#![allow(clippy::float_cmp, reason = "gauges of whole numbers")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
mod revocation;

use common::{Answer, Gateway, Redis, unix_now};
use revocation::{LENIENT, LOGOUT, Scene, call, notify, post_form, status, until_status};
use serde_json::{Value, json};

fn scene(redis: &Redis) -> Scene {
    Scene::new(&format!("redis: {{ url: \"{}\", timeout: 2s }}", redis.url()))
}

fn form(notice: &str) -> String {
    format!("logout_token={notice}")
}

/// An answer of a log-out endpoint is never kept (§2.8).
fn assert_answered(answer: &Answer, wanted: u16, what: &str) {
    assert_eq!(
        (answer.status, answer.header("Cache-Control")),
        (wanted, Some("no-store")),
        "{what}: {}",
        answer.text()
    );
}

#[test]
fn a_notice_ends_a_session_on_every_replica() {
    let redis = Redis::start();
    let scene = scene(&redis);
    let replicas = [scene.gateway(), scene.gateway()];
    let (ended, other) = (scene.token("alice", &json!({ "sid": "s1" })), scene.token("alice", &json!({ "sid": "s2" })));
    let notice = scene.notice(&json!({ "sub": "alice", "sid": "s1" }));
    assert_eq!([status(&replicas[0], LENIENT, &ended), status(&replicas[1], LENIENT, &ended)], [200; 2]);
    assert_answered(&notify(&replicas[0], &form(&notice)), 200, "a good notice");
    until_status(&replicas[1], LENIENT, &ended, 401);
    assert_eq!(status(&replicas[0], LENIENT, &ended), 401);
    assert_eq!([status(&replicas[0], LENIENT, &other), status(&replicas[1], LENIENT, &other)], [200; 2]);
    assert_answered(&notify(&replicas[1], &form(&notice)), 400, "the same notice at the other replica");
}

#[test]
fn a_notice_without_a_session_ends_everything_the_subject_had() {
    let redis = Redis::start();
    let scene = scene(&redis);
    let gateway = scene.gateway();
    let now = unix_now();
    let issued = |at: i64| scene.token("alice", &json!({ "iat": at, "exp": now + 300 }));
    let bob = scene.token("bob", &json!({}));
    let notice = scene.notice(&json!({ "sub": "alice", "iat": now - 2 }));
    assert_answered(&notify(&gateway, &form(&notice)), 200, "a good notice");
    assert_eq!([now - 3, now - 2, now - 1].map(|at| status(&gateway, LENIENT, &issued(at))), [401, 401, 200]);
    assert_eq!(status(&gateway, LENIENT, &bob), 200);
}

#[test]
fn what_is_no_sound_notice_is_refused_and_revokes_nothing() {
    let redis = Redis::start();
    let scene = scene(&redis);
    let gateway = scene.gateway();
    let token = scene.token("alice", &json!({ "sid": "s" }));
    let notice = |more: Value| {
        let mut all = json!({ "sub": "alice", "sid": "s" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        form(&scene.notice(&all))
    };
    let now = unix_now();
    for (what, form) in [
        ("an access token", form(&token)),
        (
            "no signature of the issuer",
            form(&common::Issuer::new("corp", "ES256").sign(&json!({ "iss": scene.issuer.iss }))),
        ),
        ("another issuer", notice(json!({ "iss": "https://else.example.test" }))),
        ("another audience", notice(json!({ "aud": "https://else.example.test" }))),
        ("expired", notice(json!({ "iat": now - 200, "exp": now - 100 }))),
        ("from the future", notice(json!({ "iat": now + 100 }))),
        ("without expiry", notice(json!({ "exp": null }))),
        ("without identifier", notice(json!({ "jti": null }))),
        ("without event", notice(json!({ "events": {} }))),
        ("with a nonce", notice(json!({ "nonce": "n" }))),
        ("about nobody", notice(json!({ "sub": null, "sid": null }))),
        ("nothing", String::new()),
        ("two of them", format!("{0}&{0}", notice(json!({})))),
        ("rubbish", form("a.b.c")),
    ] {
        assert_answered(&notify(&gateway, &form), 400, what);
    }
    assert_eq!(status(&gateway, LENIENT, &token), 200);
    assert_eq!(gateway.admin().metrics().gauge("tollgate_revocations", &[]), 0.0);
    let client = gateway.client();
    let wrong = client.get(LOGOUT, None);
    assert_eq!((wrong.status, wrong.header("Allow")), (405, Some("POST")));
    let json = client.request("POST", LOGOUT, &[("Content-Type", "application/json")], notice(json!({})).as_bytes());
    assert_answered(&json, 400, "not a form");
    assert_answered(&notify(&gateway, &"x".repeat(70_000)), 413, "too large");
    // A notice opens no door either.
    let notice = scene.notice(&json!({ "sub": "alice" }));
    assert_eq!(status(&gateway, LENIENT, &notice), 401);
    assert!(!gateway.log().contains(&notice) && !gateway.log().contains(&token), "the log holds a token");
}

#[test]
fn a_client_whose_notices_are_refused_is_not_listened_to_for_ever() {
    let redis = Redis::start();
    let scene = scene(&redis);
    let gateway = scene.gateway();
    for session in 0..70 {
        let notice = form(&scene.notice(&json!({ "sub": "alice", "sid": format!("s{session}") })));
        assert_answered(&notify(&gateway, &notice), 200, "sound notices are not counted");
    }
    let refused = (0..200).map(|_| notify(&gateway, &form("a.b.c"))).find(|answer| answer.status != 400).unwrap();
    assert_eq!((refused.status, refused.header("Retry-After")), (429, Some("1")));
    let limited =
        gateway.admin().metrics().count("tollgate_rate_limited_total", &[("route", "none"), ("kind", "client")]);
    assert_eq!(limited, 1);
    assert_eq!(redis.keys().iter().filter(|key| key.windows(4).any(|part| part == b"rate")).count(), 0);
}

#[test]
fn a_token_that_is_handed_in_is_revoked_by_its_identifier() {
    let redis = Redis::start();
    let scene = scene(&redis);
    let replicas = [scene.gateway(), scene.gateway()];
    let hand_in = |gateway: &Gateway, token: &str| {
        post_form(gateway, "/api/revoke", &format!("token={token}&token_type_hint=access_token"))
    };
    let (token, other) = (scene.token("alice", &json!({})), scene.token("alice", &json!({})));
    let answer = hand_in(&replicas[0], &token);
    assert_eq!((answer.status, &answer.json()["revoked"]), (200, &json!(true)), "{}", answer.text());
    until_status(&replicas[1], LENIENT, &token, 401);
    assert_eq!(status(&replicas[0], LENIENT, &other), 200);
    let now = unix_now();
    let forged = format!("{}x", &other[..other.len() - 1]);
    let expired = scene.token("alice", &json!({ "iat": now - 100, "exp": now - 10 }));
    for useless in [forged.as_str(), expired.as_str(), "a.b.c"] {
        let answer = hand_in(&replicas[0], useless);
        assert_eq!((answer.status, &answer.json()["revoked"]), (200, &json!(false)), "{}", answer.text());
    }
    let nameless = scene.issuer.sign(&json!({ "iss": scene.issuer.iss, "exp": now + 60 }));
    let answer = hand_in(&replicas[0], &nameless);
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("unsupported_token_type")));
    let answer = post_form(&replicas[0], "/api/revoke", "tokens=x");
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")));
}

#[test]
fn the_list_is_for_those_who_have_the_admin_token_and_says_what_it_holds() {
    let redis = Redis::start();
    let scene = scene(&redis);
    let gateway = scene.gateway();
    let admin = gateway.admin();
    assert_eq!(admin.get("/api/revocations").status, 401);
    assert_eq!(
        common::Client::plain(admin.address(), &admin.address().to_string())
            .request("POST", "/api/revoke", &[], b"token=x")
            .status,
        401
    );
    let now = unix_now();
    let revoke = |body: Value| call(&gateway, "POST", "/api/revocations", &body);
    let made = revoke(json!({ "issuer": "corp", "jti": "t", "expires_at": now + 60 }));
    assert_eq!((made.status, &made.json()["expires_at"]), (201, &json!(now + 60)));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("Location"), Some(format!("/api/revocations/{id}").as_str()));
    let everybody = revoke(json!({ "issuer": "corp", "sub": "alice", "issued_before": now }));
    let expires_at = everybody.json()["expires_at"].as_i64().unwrap();
    assert!((now + 900..now + 910).contains(&expires_at), "max_lifetime and leeway from now: {expires_at}");
    for (body, why) in [
        (json!({ "issuer": "nobody", "jti": "t" }), "issuer"),
        (json!({ "issuer": "corp" }), "one of"),
        (json!({ "issuer": "corp", "jti": "t", "expires_at": now }), "expires_at"),
        (json!({ "issuer": "corp", "jti": 7 }), "line 1"),
    ] {
        let refused = revoke(body);
        assert!(refused.status == 400 && refused.text().contains(why), "{}", refused.text());
    }
    let list = |query: &str| call(&gateway, "GET", &format!("/api/revocations{query}"), &Value::Null).json();
    let all = list("");
    assert_eq!((&all["total"], all["revocations"].as_array().unwrap().len()), (&json!(2), 2), "{all}");
    let one = list("?issuer=corp&jti=t");
    assert_eq!((&one["revocations"][0]["id"], &one["revocations"][0]["by"]), (&json!(id), &json!("jti")));
    assert!(!all.to_string().contains("alice"), "what a revocation names is not told: {all}");
    let page = list("?limit=1");
    assert_eq!(page["revocations"].as_array().unwrap().len(), 1);
    let next = list(&format!("?limit=1&after={}", page["next"].as_str().unwrap()));
    assert_eq!((next["revocations"].as_array().unwrap().len(), &next["next"]), (1, &Value::Null));
    let at = |method: &str| call(&gateway, method, &format!("/api/revocations/{id}"), &Value::Null).status;
    assert_eq!(["GET", "DELETE", "GET", "DELETE"].map(at), [200, 204, 404, 404]);
    assert_eq!(call(&gateway, "DELETE", "/api/revocations", &Value::Null).status, 405);
}
