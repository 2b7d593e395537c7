//! Traces: the caller's goes on, the upstream is told of ours, a real collector reads the spans, and one that is dead
//! costs no request anything.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Authority, Config, Gateway, Issuer, Redis, Script, Upstream, ports, tollgate, until};
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector, and what it has heard.
struct Collector {
    script: Script,
    spans: Vec<Value>,
    resource: Value,
    raw: Vec<u8>,
}

impl Collector {
    fn at(address: SocketAddr, certificate: &[&str]) -> Self {
        let port = address.port().to_string();
        let arguments: Vec<&str> = [port.as_str()].into_iter().chain(certificate.iter().copied()).collect();
        let script = Script::serve("collector.py", &arguments);
        Self { script, spans: vec![], resource: Value::Null, raw: vec![] }
    }

    /// Waits until `count` requests have been told of.
    fn hear(&mut self, count: usize) {
        while self.of_kind("server").len() < count {
            let heard = self.script.hear();
            if let Some(idle) = heard["idle"].as_u64() {
                assert!(
                    idle < 30,
                    "{} of {count} requests are told of: {:#?}",
                    self.of_kind("server").len(),
                    self.spans.last()
                );
                continue;
            }
            self.raw.extend(STANDARD.decode(heard["raw"].as_str().unwrap()).unwrap());
            self.spans.extend(heard["spans"].as_array().unwrap().iter().cloned());
            self.resource = heard["resource"].clone();
        }
    }

    fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.spans.iter().filter(|span| span["kind"] == kind).collect()
    }

    /// The one span of this name.
    fn named(&self, name: &str) -> &Value {
        let found: Vec<_> = self.spans.iter().filter(|span| span["name"] == name).collect();
        assert_eq!(found.len(), 1, "{name} in {:#?}", self.spans);
        found[0]
    }
}

fn issuer() -> Issuer {
    Issuer::new("corp", "ES256").with("leeway: 0s")
}

/// A gateway that sends spans to `collector`, with a one-time, an ordinary and a public route.
fn config(collector: SocketAddr, issuer: &Issuer, upstream: &Upstream) -> Config {
    config_with(&format!("otlp: {{ endpoint: \"http://{collector}\" }}"), issuer, upstream)
}

fn config_with(telemetry: &str, issuer: &Issuer, upstream: &Upstream) -> Config {
    let route = |name: &str, path: &str, access: &str| {
        format!("name: {name}\nmatch: {{ path: \"{path}\" }}\nupstream: echo\naccess: {access}")
    };
    Config::new()
        .block(&format!("telemetry: {{ {telemetry} }}"))
        .issuer(issuer)
        .upstream("echo", upstream)
        .route(&route("once", "/once/{id}", "{ issuers: [corp], replay: once }"))
        .route(&route("again", "/again/{*rest}", "{ issuers: [corp], scopes: [rare] }"))
        .route(&route("public", "/public", "public"))
}

fn context(span: &str, flags: &str) -> String {
    format!("00-{TRACE}-{span}-{flags}")
}

fn ask(gateway: &Gateway, path: &str, token: Option<&str>, more: &[(&str, &str)]) -> u16 {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let credential = authorization.iter().map(|value| ("Authorization", value.as_str()));
    let fields: Vec<_> = credential.chain(more.iter().copied()).collect();
    gateway.client().request("GET", path, &fields, b"").status
}

/// Waits until the store vouches for tokens of this second; answers how many requests that took.
fn vouched(gateway: &Gateway, issuer: &Issuer) -> usize {
    let mut asked = 0;
    until("the store vouches for new tokens", || {
        asked += 1;
        (ask(gateway, "/once/0", Some(&issuer.token("alice")), &[]) == 200).then_some(asked)
    })
}

/// The spans the gateway counted, by what became of them.
fn counted(gateway: &Gateway, result: &str) -> u64 {
    gateway.admin().metrics().count("tollgate_trace_spans_total", &[("result", result)])
}

#[test]
fn the_callers_trace_goes_on_through_decision_store_and_upstream() {
    let (issuer, upstream, redis, address) = (issuer(), Upstream::start(), Redis::start(), ports::free());
    let mut collector = Collector::at(address, &[]);
    let gateway = config(address, &issuer, &upstream).redis(&redis).start();
    let caller = context(CALLER, "01");
    let headers = [("traceparent", caller.as_str()), ("tracestate", "rojo=00f067aa0ba902b7"), ("TraceState", "b=2")];
    vouched(&gateway, &issuer);
    upstream.take();
    assert_eq!(ask(&gateway, "/once/17", Some(&issuer.token("alice")), &headers), 200);
    until("it is told of", || {
        let count = collector.of_kind("server").len();
        collector.hear(count + 1);
        collector.spans.retain(|span| span["trace"] == TRACE);
        (!collector.spans.is_empty()).then_some(())
    });

    let request = collector.named("GET /once/{id}");
    let (decision, store, attempt) =
        (collector.named("decision"), collector.named("redis claim"), collector.named("GET"));
    assert_eq!(request["parent"], CALLER);
    assert_eq!((&decision["parent"], &store["parent"]), (&request["id"], &decision["id"]));
    assert_eq!(attempt["parent"], request["id"]);
    let kinds = [request, decision, store, attempt].map(|span| span["kind"].as_str().unwrap());
    assert_eq!(kinds, ["server", "internal", "client", "client"]);
    for (inner, outer) in [(decision, request), (store, decision), (attempt, request)] {
        let time = |span: &Value, which: &str| span[which].as_u64().unwrap();
        assert!(time(outer, "start") <= time(inner, "start") && time(inner, "start") <= time(inner, "end"));
        assert!(time(inner, "end") <= time(outer, "end"));
    }

    let seen = upstream.only();
    assert_eq!(seen.values("traceparent"), [context(attempt["id"].as_str().unwrap(), "01")]);
    assert_eq!(seen.values("tracestate"), ["rojo=00f067aa0ba902b7", "b=2"]);

    let request_id = &request["attributes"]["tollgate.request_id"];
    let expected = json!({
        "http.request.method": "GET", "http.route": "/once/{id}", "http.response.status_code": 200, "url.scheme": "https",
        "server.address": common::HOST, "network.protocol.version": "1.1", "tollgate.route": "once",
        "tollgate.outcome": "allowed", "tollgate.issuer": "corp", "tollgate.request_id": request_id,
    });
    assert_eq!(request["attributes"], expected);
    assert!(gateway.log().contains(&format!("\"request_id\":{request_id},\"trace_id\":\"{TRACE}\"")));
    let operation = json!({ "db.system.name": "redis", "db.operation.name": "claim" });
    assert_eq!(store["attributes"], operation);
    let expected = json!({
        "http.request.method": "GET", "http.response.status_code": 200, "server.address": "127.0.0.1",
        "server.port": upstream.address().port(), "tollgate.upstream": "echo",
    });
    assert_eq!(attempt["attributes"], expected);
    let resource = &collector.resource;
    assert_eq!((&resource["service.name"], &resource["service.version"]), (&json!("tollgate"), &json!("0.1.0")));
    assert!(resource["service.instance.id"].is_string());
}

#[test]
fn refusals_are_told_with_their_reason_and_nothing_with_a_secret() {
    let (issuer, upstream, address) = (issuer(), Upstream::start(), ports::free());
    let mut collector = Collector::at(address, &[]);
    let gateway = config(address, &issuer, &upstream).start();
    let before = vouched(&gateway, &issuer);
    let (token, forged) = (issuer.token("alice-the-subject"), Issuer::new("corp", "ES256").token("mallory"));
    assert_eq!(ask(&gateway, "/once/of-the-path?q=of-the-query", Some(&token), &[]), 200);
    assert_eq!(ask(&gateway, "/once/of-the-path", Some(&token), &[]), 401);
    assert_eq!(ask(&gateway, "/again/of-the-path", Some(&token), &[]), 403);
    assert_eq!(ask(&gateway, "/again/of-the-path", Some(&forged), &[]), 401);
    assert_eq!(ask(&gateway, "/again/of-the-path", None, &[]), 401);
    assert_eq!(ask(&gateway, "/no-route-of-the-path", None, &[("X-Odd", "of-a-header")]), 404);
    let odd = gateway.client().host("of-the-host.test").server_name(None).request("OFMETHOD", "/public", &[], b"");
    collector.hear(before + 7);
    let requests: Vec<&Value> = collector.of_kind("server").split_off(before);
    let told: Vec<_> = requests
        .iter()
        .map(|span| (span["name"].clone(), span["attributes"]["tollgate.reason"].clone(), span["failed"].clone()))
        .collect();
    let expected = json!([
        ["GET /once/{id}", null, false],
        ["GET /once/{id}", "replayed", false],
        ["GET /again/{*rest}", "insufficient_scope", false],
        ["GET /again/{*rest}", "bad_signature", false],
        ["GET /again/{*rest}", "no_credential", false],
        ["GET", "no_route", false],
    ]);
    assert_eq!(json!(told[..6]), expected);
    let last = requests[6];
    assert_eq!(last["attributes"]["http.request.method"], "_OTHER", "{last} {}", odd.status);
    let attempts = collector
        .of_kind("client")
        .into_iter()
        .filter(|span| requests.iter().any(|request| request["trace"] == span["trace"]));
    assert_eq!(attempts.count(), 1 + usize::from(odd.status == 200), "who is refused goes nowhere");
    let text = String::from_utf8_lossy(&collector.raw);
    let parts = token.split('.').chain(forged.split('.'));
    for secret in parts.chain(["alice", "mallory", "of-the-", "of-a-", "OFMETHOD", "rare"]) {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn what_is_no_trace_begins_a_new_one() {
    let (issuer, upstream, address) = (issuer(), Upstream::start(), ports::free());
    let mut collector = Collector::at(address, &[]);
    let gateway = config(address, &issuer, &upstream).start();
    let (sound, zero, upper) =
        (context(CALLER, "01"), context("0000000000000000", "01"), context(CALLER, "01").to_uppercase());
    for fields in [
        &[("traceparent", zero.as_str()), ("tracestate", "a=1")][..],
        &[("traceparent", &upper), ("tracestate", "a=1")],
        &[("traceparent", &sound), ("traceparent", &sound), ("tracestate", "a=1")],
        &[("tracestate", "a=1")],
    ] {
        assert_eq!(ask(&gateway, "/public", None, fields), 200);
        let seen = upstream.only();
        let told = seen.values("traceparent");
        assert_eq!(told.len(), 1, "{fields:?}");
        assert!(!told[0].contains(TRACE) && told[0].ends_with("-01"), "{fields:?}: {told:?}");
        assert_eq!(seen.values("tracestate"), [""; 0], "{fields:?}");
    }
    // A broken state does not break the trace.
    assert_eq!(ask(&gateway, "/public", None, &[("traceparent", &sound), ("tracestate", "no state")]), 200);
    let seen = upstream.only();
    assert!(seen.values("traceparent")[0].contains(TRACE));
    assert_eq!(seen.values("tracestate"), [""; 0]);
    collector.hear(5);
    let traces: std::collections::HashSet<_> =
        collector.of_kind("server").iter().map(|span| span["trace"].to_string()).collect();
    assert_eq!(traces.len(), 5);
}

#[test]
fn a_caller_that_records_nothing_has_nothing_recorded() {
    let (issuer, upstream, address) = (issuer(), Upstream::start(), ports::free());
    let mut collector = Collector::at(address, &[]);
    let gateway = config(address, &issuer, &upstream).start();
    assert_eq!(ask(&gateway, "/public", None, &[("traceparent", &context(CALLER, "00"))]), 200);
    let told = upstream.only().values("traceparent").remove(0);
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00") && !told.contains(CALLER), "{told}");
    assert_eq!(ask(&gateway, "/public", None, &[]), 200);
    collector.hear(1);
    assert!(collector.spans.iter().all(|span| span["trace"] != TRACE));
}

#[test]
fn without_traces_the_callers_headers_pass_as_they_are() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let gateway = config_with("log: { level: info }", &issuer, &upstream).start();
    let odd = [("traceparent", "of nobody's making"), ("tracestate", "neither this")];
    assert_eq!(ask(&gateway, "/public", None, &odd), 200);
    let seen = upstream.only();
    assert_eq!(
        (seen.values("traceparent"), seen.values("tracestate")),
        (vec![odd[0].1.to_owned()], vec![odd[1].1.to_owned()])
    );
    assert_eq!(ask(&gateway, "/public", None, &[]), 200);
    assert_eq!(upstream.only().values("traceparent"), [""; 0]);
}

#[test]
fn each_attempt_at_an_upstream_is_a_span_of_its_own() {
    let (issuer, upstream, address, dead) = (issuer(), Upstream::start(), ports::free(), ports::free());
    let mut collector = Collector::at(address, &[]);
    let two = format!("name: two\nendpoints: [\"http://{dead}\", \"{}\"]\nretries: 1", upstream.url());
    let gateway = config(address, &issuer, &upstream)
        .upstream_yaml(&two)
        .upstream_yaml(&format!("name: none\nendpoints: [\"http://{dead}\"]"))
        .route("name: two\nmatch: { path: /two }\nupstream: two\naccess: public")
        .route("name: none\nmatch: { path: \"/none/{id}\" }\nupstream: none\naccess: { issuers: [corp], replay: once }")
        .start();
    // One of the two begins with the dead endpoint: they take turns.
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "/two", None, &[("traceparent", &context(CALLER, "01"))]), 200);
    }
    collector.hear(2);
    let failed = collector.of_kind("client").into_iter().find(|span| span["failed"] == true).unwrap();
    assert_eq!(
        (&failed["attributes"]["error.type"], &failed["attributes"]["server.port"]),
        (&json!("unreachable"), &json!(dead.port()))
    );
    let again = collector
        .of_kind("client")
        .into_iter()
        .find(|span| span["attributes"]["http.request.resend_count"] == 1)
        .unwrap();
    assert_eq!((&again["parent"], &again["failed"]), (&failed["parent"], &json!(false)));
    let told: Vec<String> = upstream.take().iter().flat_map(|seen| seen.values("traceparent")).collect();
    assert!(told.contains(&context(again["id"].as_str().unwrap(), "01")), "{told:?}");

    let before = vouched(&gateway, &issuer);
    assert_eq!(ask(&gateway, "/none/1", Some(&issuer.token("alice")), &[]), 503);
    collector.hear(before + 3);
    let request = collector.named("GET /none/{id}");
    assert_eq!(
        (&request["failed"], &request["attributes"]["error.type"]),
        (&json!(true), &json!("upstream_unavailable"))
    );
    let release = collector.named("embedded release");
    assert_eq!((&release["parent"], &release["kind"]), (&request["id"], &json!("internal")));
}

#[test]
fn a_dead_collector_costs_no_request_anything_and_is_told_of_once() {
    let (issuer, upstream, address) = (issuer(), Upstream::start(), ports::free());
    let gateway = config(address, &issuer, &upstream).start();
    let mut connection = gateway.client().connect().unwrap();
    for _ in 0..100 {
        assert_eq!(connection.get("/public", None).unwrap().status, 200);
    }
    until("spans are lost", || (counted(&gateway, "failed") == 300).then_some(()));
    assert_eq!(connection.get("/public", None).unwrap().status, 200);
    until("more are lost", || (counted(&gateway, "failed") == 303).then_some(()));
    assert_eq!((counted(&gateway, "exported"), counted(&gateway, "dropped")), (0, 0));
    let lost =
        || gateway.log().matches(&format!("traces: spans are lost: http://{address} can't be connected to")).count();
    assert_eq!(lost(), 1);

    let mut collector = Collector::at(address, &[]);
    assert_eq!(connection.get("/public", None).unwrap().status, 200);
    collector.hear(1);
    until("that is told", || gateway.log().contains("takes spans again").then_some(()));
    assert_eq!(lost(), 1);
    assert_eq!(counted(&gateway, "exported"), 3);

    collector.script.tell("UNIMPLEMENTED");
    until("a refusal is final", || {
        assert_eq!(connection.get("/public", None).unwrap().status, 200);
        gateway.log().contains("answers with gRPC status UNIMPLEMENTED").then_some(())
    });
    collector.script.tell("reject 2");
    until("what is not taken is counted", || {
        assert_eq!(connection.get("/public", None).unwrap().status, 200);
        (counted(&gateway, "rejected") > 0).then_some(())
    });
    assert_eq!(gateway.admin().status("/readyz"), Some(200));
}

#[test]
fn a_collector_that_never_answers_keeps_no_process_from_ending() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut gateway = config(silent.local_addr().unwrap(), &issuer, &upstream).start();
    assert_eq!(ask(&gateway, "/public", None, &[]), 200);
    assert!(gateway.stop().success());
    assert!(gateway.log().contains("traces: the last spans could not be sent in 1s"), "{}", gateway.log());
}

#[test]
fn the_last_spans_are_sent_before_the_process_ends() {
    let (issuer, upstream, address) = (issuer(), Upstream::start(), ports::free());
    let mut collector = Collector::at(address, &[]);
    let mut gateway = config(address, &issuer, &upstream).start();
    let mut connection = gateway.client().connect().unwrap();
    for _ in 0..300 {
        assert_eq!(connection.get("/public", None).unwrap().status, 200);
    }
    drop(connection);
    assert!(gateway.stop().success());
    collector.hear(300);
    assert_eq!(collector.spans.len(), 900);
}

#[test]
fn a_collector_is_believed_by_its_certificate() {
    let (issuer, upstream, address) = (issuer(), Upstream::start(), ports::free());
    let authority = Authority::new("The collector's authority");
    let over_tls = |ca: &str| {
        let otlp = format!("otlp: {{ endpoint: \"https://localhost:{}\"{ca} }}", address.port());
        config_with(&otlp, &issuer, &upstream).file("collector-ca.pem", authority.pem())
    };
    let config = over_tls(", ca: collector-ca.pem");
    let files = authority.write(config.directory(), "collector", &["localhost"]);
    let certificate = [files.chain.to_str().unwrap(), files.key.to_str().unwrap()];
    let mut collector = Collector::at(address, &certificate);
    let gateway = config.start();
    assert_eq!(ask(&gateway, "/public", None, &[]), 200);
    collector.hear(1);
    drop(gateway);
    let gateway = over_tls("").start();
    assert_eq!(ask(&gateway, "/public", None, &[]), 200);
    until("it is not believed", || gateway.log().contains("its certificate is not believed").then_some(()));
}

#[test]
fn another_collector_needs_a_restart_and_check_says_so() {
    let (issuer, upstream, address) = (issuer(), Upstream::start(), ports::free());
    let gateway = config(address, &issuer, &upstream).start();
    gateway.rewrite(|text| text.replace(&address.to_string(), "127.0.0.1:4317"));
    let report = gateway.admin().reload();
    assert_eq!((&report["outcome"], &report["needs_restart"]), (&json!("applied"), &json!(["telemetry.otlp"])));
    let check = tollgate(gateway.directory(), &["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(
        said.contains(
            "sent to http://127.0.0.1:4317 by OTLP over gRPC; another collector takes effect with the next start"
        ),
        "{said}"
    );
}
