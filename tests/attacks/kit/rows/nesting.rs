//! What stands inside a JWE, and what its header says of it. Anybody can encrypt to a public key: encryption proves
//! nothing (CVE-2026-29000).

use serde_json::{Value, json};
use tollgate::decision::Reason::{HeaderRefused, MalformedClaims, TypeRefused, UnknownIssuer, WrongForm};

use crate::kit::{Keys, Table};

pub fn add(table: &mut Table) {
    unsigned(table);
    content_types(table);
    replicated(table);
    sealed(table);
}

type Inside = fn(&Keys) -> Vec<u8>;

fn unsigned(table: &mut Table) {
    for issuer in ["nest", "agree", "agree-kw", "x25519"] {
        table.row(
            format!("claims encrypted to the public key of {issuer}, unsigned"),
            issuer,
            WrongForm,
            move |keys| keys.token(issuer).plaintext(claims(keys, issuer)).text(),
        );
    }
    let insides: [(&str, Inside); 9] = [
        ("nothing", |_| Vec::new()),
        ("one dot", |_| b".".to_vec()),
        ("claims after a space", |keys| [b" ".as_slice(), &claims(keys, "nest")].concat()),
        ("the JSON serialization of a JWS", |_| br#"{"payload":"e30","signatures":[]}"#.to_vec()),
        ("bytes that are no text", |_| vec![0xff; 40]),
        ("a JWE inside the JWE", |keys| keys.token("nest").text().into_bytes()),
        ("a good JWS in quotes", |keys| format!("\"{}\"", keys.token("nest").jws()).into_bytes()),
        ("four segments", |keys| format!("{}.e30", keys.token("nest").jws()).into_bytes()),
        ("a JWS without its signature", |keys| keys.token("nest").signing_input().into_bytes()),
    ];
    for (name, inside) in insides {
        // Three or five segments have the form of a token; what breaks is then the spelling of the first.
        let reason = if name.contains("quotes") || name.contains("space") { HeaderRefused } else { WrongForm };
        table.row(format!("{name}, encrypted"), "nest", reason, move |keys| {
            keys.token("nest").plaintext(inside(keys)).text()
        });
    }
    table.row("a good JWS with a line end, encrypted", "nest", HeaderRefused, |keys| {
        keys.token("nest").plaintext(format!("{}\n", keys.token("nest").jws())).text()
    });
}

fn claims(keys: &Keys, issuer: &str) -> Vec<u8> {
    Value::Object(keys.claims(issuer)).to_string().into_bytes()
}

fn content_types(table: &mut Table) {
    for cty in
        ["", "json", "application/json", "text/plain", "JWE", "dpop+jwt", "logout+jwt", "jwt ", "application/x/jwt"]
    {
        table.row(format!("cty {cty:?} on a nested token"), "nest", TypeRefused, move |keys| {
            keys.token("nest").outer("cty", json!(cty)).text()
        });
    }
    table.row("no cty on a nested token", "nest", TypeRefused, |keys| keys.token("nest").without_outer("cty").text());
    table.row("a cty that is a number", "nest", HeaderRefused, |keys| keys.token("nest").outer("cty", json!(1)).text());
}

/// Claims that the outer header repeats must be those inside (RFC 7519 §5.3).
fn replicated(table: &mut Table) {
    for (name, value) in [("sub", json!("mallory")), ("sub", json!("")), ("aud", json!("https://other.test"))] {
        for issuer in ["nest", "direct"] {
            let value = value.clone();
            table.row(
                format!("{issuer}: {name} {value} outside and another inside"),
                issuer,
                HeaderRefused,
                move |keys| keys.token(issuer).outer(name, value.clone()).text(),
            );
        }
    }
    for aud in [json!([]), json!(["https://api.example.test", "https://other.test"])] {
        table.row(format!("aud {aud} outside and one audience inside"), "nest", HeaderRefused, move |keys| {
            keys.token("nest").outer("aud", aud.clone()).text()
        });
    }
    table.row("sub outside and none inside", "nest", HeaderRefused, |keys| {
        keys.token("nest").outer("sub", json!("alice")).without_claim("sub").text()
    });
    for iss in ["https://other.example.test", "", "https://nest.example.test/", "HTTPS://NEST.EXAMPLE.TEST"] {
        table.row(format!("iss {iss:?} outside"), "nest", UnknownIssuer, move |keys| {
            keys.token("nest").outer("iss", json!(iss)).text()
        });
    }
    table.row("a good iss outside and another inside", "nest", HeaderRefused, |keys| {
        let outside = json!("https://nest.example.test");
        keys.token("nest").outer("iss", outside).claim("iss", json!("https://es.example.test")).text()
    });
}

fn sealed(table: &mut Table) {
    table.row("a JWS where sealed claims belong", "direct", TypeRefused, |keys| {
        let inside = keys.token("es").text();
        keys.token("direct").outer("cty", json!("JWT")).plaintext(inside).text()
    });
    for (name, inside) in [
        ("a JWS", "eyJhbGciOiJub25lIn0.e30."),
        ("nothing", ""),
        ("a list", "[]"),
        ("a string", "\"alice\""),
        ("a byte order mark before claims", "\u{feff}{}"),
    ] {
        table.row(format!("{name}, sealed without cty"), "direct", MalformedClaims, move |keys| {
            keys.token("direct").plaintext(inside).text()
        });
    }
}
