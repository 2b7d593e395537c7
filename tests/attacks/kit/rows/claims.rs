//! Claims that two readers read differently, or that say less than they must (CVE-2026-25537 and its kind).

use serde_json::{Value, json};
use tollgate::decision::Reason::{
    BindingMissing, BindingRefused, ClaimMissing, MalformedClaims, UnknownIssuer, WrongAudience,
};

use crate::kit::Table;

pub fn add(table: &mut Table) {
    mistyped(table);
    duplicates(table);
    malformed(table);
    missing(table);
    issuers(table);
    audiences(table);
    bindings(table);
}

/// A token bound to a key is never taken as a plain one (RFC 7800).
fn bindings(table: &mut Table) {
    for (confirmation, reason) in [
        (json!({ "jkt": "A".repeat(43) }), BindingMissing),
        (json!({ "x5t#S256": "A".repeat(43) }), BindingMissing),
        (json!({ "jwk": {} }), BindingRefused),
        (json!({ "kid": "k" }), BindingRefused),
        (json!({ "jkt": "AAAA" }), BindingRefused),
        (json!({ "jkt": null }), BindingRefused),
        (json!({ "jkt": "A".repeat(43), "unknown": 1 }), BindingRefused),
        (json!({}), BindingRefused),
        (Value::Null, BindingRefused),
        (json!("jkt"), BindingRefused),
        (json!([{ "jkt": "A".repeat(43) }]), BindingRefused),
    ] {
        for route in ["es", "nest"] {
            let value = confirmation.clone();
            table.row(format!("cnf {confirmation} in a bearer token of {route}"), route, reason, move |keys| {
                keys.token(route).claim("cnf", value.clone()).text()
            });
        }
    }
}

fn mistyped(table: &mut Table) {
    for (name, value) in [
        ("sub", json!(1)),
        ("sub", Value::Null),
        ("sub", json!(["alice"])),
        ("sub", json!({ "id": "alice" })),
        ("sub", json!(true)),
        ("jti", json!(1)),
        ("jti", Value::Null),
        ("jti", json!(["a", "b"])),
        ("sid", json!(7)),
        ("azp", json!([])),
        ("client_id", json!(5)),
        ("nonce", json!(0)),
        ("acr", json!(2)),
        ("iss", json!(["https://es.example.test"])),
        ("iss", json!(1)),
        ("iss", Value::Null),
        ("aud", json!(1)),
        ("aud", Value::Null),
        ("aud", json!("")),
        ("aud", json!({ "https://api.example.test": true })),
        ("aud", json!(["https://api.example.test", 1])),
        ("aud", json!(["https://api.example.test", ""])),
        ("aud", json!([["https://api.example.test"]])),
    ] {
        for route in ["es", "direct"] {
            let value = value.clone();
            table.row(format!("{name} {value} in a token of {route}"), route, MalformedClaims, move |keys| {
                keys.token(route).claim(name, value.clone()).text()
            });
        }
    }
}

fn duplicates(table: &mut Table) {
    for member in [
        r#""sub":"admin""#,
        r#""sub":"alice""#,
        r#""s\u0075b":"admin""#,
        r#""exp":99999999999"#,
        r#""aud":"https://other.test""#,
        r#""iss":"https://es.example.test""#,
        r#""roles":["a"],"roles":["admin"]"#,
        r#""who":{"sub":"a","sub":"b"}"#,
        r#""list":[{"a":{"b":1,"b":2}}]"#,
    ] {
        for route in ["es", "wrap", "nest"] {
            table.row(format!("{member} once more in a token of {route}"), route, MalformedClaims, move |keys| {
                keys.token(route).claims_and(member).text()
            });
        }
    }
}

fn malformed(table: &mut Table) {
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    for (name, text) in [
        ("no payload", ""),
        ("a list", "[]"),
        ("a string", "\"alice\""),
        ("null", "null"),
        ("a number", "1"),
        ("true", "true"),
        ("claims that break off", r#"{"sub":"alice""#),
        ("two sets of claims", r#"{"sub":"alice"}{"sub":"admin"}"#),
        ("a byte behind the claims", "{\"sub\":\"alice\"}x"),
        ("a byte order mark", "\u{feff}{\"sub\":\"alice\"}"),
        ("a comma too many", r#"{"sub":"alice",}"#),
        ("half a surrogate pair", r#"{"sub":"\udc00"}"#),
        ("a raw line end in a string", "{\"sub\":\"a\nb\"}"),
        ("claims of five hundred levels", &deep),
        ("NaN for a claim", r#"{"sub":"alice","x":NaN}"#),
        ("a number beyond all numbers", r#"{"sub":"alice","x":1e400}"#),
        ("a number with a leading zero", r#"{"sub":"alice","exp":01}"#),
        ("a hexadecimal number", r#"{"sub":"alice","exp":0x7fffffff}"#),
    ] {
        let text = text.to_owned();
        table.row(format!("{name} as payload"), "es", MalformedClaims, move |keys| {
            keys.token("es").claims_text(&text).text()
        });
    }
    table.row("a payload that is not UTF-8", "es", MalformedClaims, |keys| {
        keys.token("es").claims_text(b"{\"sub\":\"\xc3\x28\"}").text()
    });
    table.row("an overlong encoding in a claim", "es", MalformedClaims, |keys| {
        keys.token("es").claims_text(b"{\"sub\":\"\xc0\xaf\"}").text()
    });
}

fn missing(table: &mut Table) {
    for name in ["exp", "aud", "sub", "iat"] {
        for route in ["es", "direct", "nest"] {
            table.row(format!("no {name} in a token of {route}"), route, ClaimMissing, move |keys| {
                keys.token(route).without_claim(name).text()
            });
        }
    }
    for route in ["es", "direct", "nest"] {
        table.row(format!("no iss in a token of {route}"), route, ClaimMissing, move |keys| {
            keys.token(route).without_claim("iss").text()
        });
        table.row(format!("an empty list of audiences in a token of {route}"), route, ClaimMissing, move |keys| {
            keys.token(route).claim("aud", json!([])).text()
        });
        table.row(format!("no claim at all in a token of {route}"), route, ClaimMissing, move |keys| {
            keys.token(route).claims_text("{}").text()
        });
    }
    for act in [Value::Null, json!({}), json!({ "sub": null }), json!("app"), json!([{ "sub": "app" }])] {
        table.row(format!("a required claim deep inside, but act is {act}"), "ed", ClaimMissing, move |keys| {
            keys.token("ed").claim("act", act.clone()).text()
        });
    }
    table.row("no jti in a one-time token", "once", ClaimMissing, |keys| keys.token("es").without_claim("jti").text());
    table.row("no iss on a route of several issuers", "several", UnknownIssuer, |keys| {
        keys.token("es").without_claim("iss").text()
    });
}

/// `iss` is compared byte by byte (RFC 8725 §3.8).
fn issuers(table: &mut Table) {
    for iss in [
        "",
        "https://es.example.test/",
        "https://es.example.test ",
        "https://ES.example.test",
        "http://es.example.test",
        "https://es.example.test.attacker.test",
        "https://es.example.test@attacker.test",
        "https://es.example.test#x",
        "https://es.example.tes",
        "https://es.example.test\0",
        "es",
    ] {
        table.row(format!("iss {iss:?}"), "es", UnknownIssuer, move |keys| {
            keys.token("es").claim("iss", json!(iss)).text()
        });
        table.row(format!("iss {iss:?}, sealed"), "direct", UnknownIssuer, move |keys| {
            keys.token("direct").claim("iss", json!(iss)).text()
        });
    }
}

/// A token made for somebody else.
fn audiences(table: &mut Table) {
    for aud in [
        json!("https://other.example.test"),
        json!("https://api.example.test/"),
        json!("https://API.example.test"),
        json!("https://api.example.test.attacker.test"),
        json!("https://api.example.tes"),
        json!(" https://api.example.test"),
        json!("https://api.example.test,https://other.test"),
        json!("*"),
        json!(["https://other.test", "https://another.test"]),
    ] {
        for route in ["es", "wrap"] {
            let aud = aud.clone();
            table.row(format!("aud {aud} in a token of {route}"), route, WrongAudience, move |keys| {
                keys.token(route).claim("aud", aud.clone()).text()
            });
        }
    }
}
