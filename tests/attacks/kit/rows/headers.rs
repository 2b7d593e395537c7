//! Headers that choose keys, switch on extensions, set our costs, or mean two things.

use serde_json::{Value, json};
use tollgate::decision::Reason::{HeaderRefused, TypeRefused};

use crate::kit::{Table, b64};

pub fn add(table: &mut Table) {
    refused_members(table);
    embedded_keys(table);
    mistyped_members(table);
    duplicates(table);
    malformed(table);
    types(table);
}

/// Members that are refused whatever they hold. The tokens are signed, or sealed, with the right key.
fn refused_members(table: &mut Table) {
    let members = || {
        vec![
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("crit", json!(["exp", "exp"])),
            ("crit", json!(["http://unknown.test"])),
            ("crit", Value::Null),
            ("zip", json!("DEF")),
            ("zip", json!("")),
            ("b64", json!(false)),
            ("b64", json!(true)),
            ("p2c", json!(1)),
            ("p2c", json!(1_000_000)),
            ("p2s", json!("c2FsdA")),
            ("x5u", json!("https://attacker.test/chain.pem")),
            ("x5c", json!([])),
            ("jku", json!("https://attacker.test/jwks.json")),
            ("jku", json!("http://169.254.169.254/latest/meta-data")),
            ("jwk", json!({})),
            ("jwk", Value::Null),
        ]
    };
    for (member, value) in members() {
        for route in ["es", "hs"] {
            let value = value.clone();
            table.row(format!("{member}: {value} in a token of {route}"), route, HeaderRefused, move |keys| {
                keys.token(route).header(member, value.clone()).text()
            });
        }
        for route in ["direct", "nest"] {
            let value = value.clone();
            table.row(format!("{member}: {value} in a JWE of {route}"), route, HeaderRefused, move |keys| {
                keys.token(route).outer(member, value.clone()).text()
            });
        }
        table.row(format!("{member}: {value} in the JWS inside a JWE"), "nest", HeaderRefused, move |keys| {
            keys.token("nest").header(member, value.clone()).text()
        });
    }
}

/// The token brings the key that it is to be verified with (CVE-2018-0114).
fn embedded_keys(table: &mut Table) {
    table.row("the attacker's own key in jwk", "es", HeaderRefused, |keys| {
        let token = keys.token("es").header("jwk", keys.public("stranger"));
        token.signed_by(keys.private("stranger"), "ES256").text()
    });
    table.row("the attacker's own key in jwk and no kid", "nameless", HeaderRefused, |keys| {
        let token = keys.token("nameless").header("jwk", keys.public("stranger"));
        token.signed_by(keys.private("stranger"), "ES256").text()
    });
    table.row("a secret of the attacker's in jwk", "hs", HeaderRefused, |keys| {
        let key = keys.private("direct");
        keys.token("hs").header("jwk", key.clone()).signed_by(key, "HS256").text()
    });
    table.row("the attacker's own certificate in x5c", "rs", HeaderRefused, |keys| {
        let token = keys.token("rs").header("x5c", json!(["MIIBszCCAVmgAwIBAgIUYw=="]));
        token.signed_by(keys.private("stranger-rsa"), "RS256").text()
    });
    table.row("a private key in the epk", "agree", HeaderRefused, |keys| {
        let ephemeral = crate::kit::agree::Ephemeral::for_recipient(keys.private("agree"));
        let token = keys.token("agree");
        let epk = ephemeral.epk_with("d", json!(b64(&ephemeral.d)));
        ephemeral.seal(token.outer_header(), &epk, &token.inside()).compact()
    });
}

fn mistyped_members(table: &mut Table) {
    for (member, value) in [
        ("alg", json!(256)),
        ("alg", Value::Null),
        ("alg", json!(["ES256"])),
        ("alg", json!({ "alg": "ES256" })),
        ("alg", json!(true)),
        ("kid", json!(1)),
        ("kid", Value::Null),
        ("kid", json!(["es"])),
        ("kid", json!({ "kid": "es" })),
        ("kid", json!("k".repeat(257))),
        ("typ", json!(1)),
        ("typ", Value::Null),
        ("typ", json!(["at+jwt"])),
        ("cty", json!(7)),
        ("iss", json!(7)),
        ("sub", json!(["alice"])),
        ("aud", json!({})),
        ("aud", json!([1])),
        ("epk", json!("key")),
        ("apu", json!(1)),
        ("apv", json!("not base64url!")),
        ("iv", json!([])),
        ("tag", json!(16)),
    ] {
        let shown = if value.to_string().len() > 40 { "of 257 bytes".to_owned() } else { value.to_string() };
        table.row(format!("{member} {shown} in a signed token"), "es", HeaderRefused, move |keys| {
            keys.token("es").header(member, value.clone()).text()
        });
    }
    table.row("no alg at all", "es", HeaderRefused, |keys| keys.token("es").without_header("alg").text());
    table
        .row("no alg at all, sealed", "direct", HeaderRefused, |keys| keys.token("direct").without_outer("alg").text());
    for (member, value) in [("enc", json!(256)), ("enc", Value::Null), ("kid", json!(1)), ("alg", json!(["dir"]))] {
        table.row(format!("{member} {value} in a sealed token"), "direct", HeaderRefused, move |keys| {
            keys.token("direct").outer(member, value.clone()).text()
        });
    }
}

fn duplicates(table: &mut Table) {
    for (name, member) in [
        ("alg twice", r#""alg":"none""#),
        ("alg twice alike", r#""alg":"ES256""#),
        ("alg twice, once escaped", r#""\u0061lg":"none""#),
        ("kid twice", r#""kid":"es-2""#),
        ("typ twice", r#""typ":"JWT""#),
        ("an unknown member twice", r#""x":1,"x":1"#),
        ("a member twice inside another", r#""x":{"y":1,"y":2}"#),
        ("a member twice inside a list", r#""x":[{"y":1,"y":2}]"#),
    ] {
        table.row(format!("{name} in a header"), "es", HeaderRefused, move |keys| {
            keys.token("es").header_and(member).text()
        });
    }
    for (name, member) in [("alg twice", r#""alg":"dir""#), ("enc twice", r#""enc":"A256GCM""#)] {
        table.row(format!("{name} in the header of a JWE"), "direct", HeaderRefused, move |keys| {
            keys.token("direct").outer_and(member).text()
        });
    }
}

fn malformed(table: &mut Table) {
    let deep = format!(r#"{{"alg":"ES256","x":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    for (name, text) in [
        ("an empty header", ""),
        ("a header that is an empty object", "{}"),
        ("a header that is a list", "[]"),
        ("a header that is a string", "\"ES256\""),
        ("a header that is null", "null"),
        ("a header that breaks off", r#"{"alg":"ES256""#),
        ("a comma too many", r#"{"alg":"ES256",}"#),
        ("two headers in one", r#"{"alg":"ES256"}{"alg":"none"}"#),
        ("a byte behind the header", "{\"alg\":\"ES256\"}\0"),
        ("a byte order mark", "\u{feff}{\"alg\":\"ES256\"}"),
        ("single quotes", "{'alg':'ES256'}"),
        ("a comment", r#"{"alg":"ES256"/**/}"#),
        ("a number that is none", r#"{"alg":"ES256","x":NaN}"#),
        ("a number beyond all numbers", r#"{"alg":"ES256","x":1e999}"#),
        ("half a surrogate pair", r#"{"alg":"ES256","x":"\ud800"}"#),
        ("a raw control character in a string", "{\"alg\":\"ES256\",\"x\":\"\n\"}"),
        ("a header of a hundred levels", &deep),
    ] {
        let text = text.to_owned();
        table.row(name, "es", HeaderRefused, move |keys| keys.token("es").header_text(&text).text());
    }
    table.row("a header that is not UTF-8", "es", HeaderRefused, |keys| {
        keys.token("es").header_text(b"{\"alg\":\"ES256\",\"x\":\"\xff\"}").text()
    });
    table.row("a header in UTF-16", "es", HeaderRefused, |keys| {
        let wide: Vec<u8> = "{\"alg\":\"ES256\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        keys.token("es").header_text(wide).text()
    });
}

/// Another kind of token, signed by the very same key (RFC 8725 §3.11).
fn types(table: &mut Table) {
    for typ in [
        "dpop+jwt",
        "DPoP+JWT",
        "application/dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "application/secevent+jwt",
        "id_token+jwt",
        "JOSE",
        "",
        "at+jwt ",
        "application/application/at+jwt",
        "jwt; charset=utf-8",
    ] {
        table.row(format!("typ {typ:?} for an access token"), "es", TypeRefused, move |keys| {
            keys.token("es").header("typ", json!(typ)).text()
        });
    }
    for typ in ["JWT", "jwt", "application/jwt"] {
        table.row(format!("typ {typ:?} where only at+jwt is listed"), "ed", TypeRefused, move |keys| {
            keys.token("ed").header("typ", json!(typ)).text()
        });
    }
    table.row("no typ where only at+jwt is listed", "ed", TypeRefused, |keys| {
        keys.token("ed").without_header("typ").text()
    });
    table.row("a DPoP proof inside a JWE", "nest", TypeRefused, |keys| {
        keys.token("nest").header("typ", json!("dpop+jwt")).text()
    });
    table.row("a sealed log-out notice", "direct", TypeRefused, |keys| {
        keys.token("direct").outer("typ", json!("logout+jwt")).text()
    });
}
