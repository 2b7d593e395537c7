//! Tokens that are not of the form, the size or the spelling the issuer promised.

use serde_json::json;
use tollgate::decision::Reason::{HeaderRefused, MalformedCredential, TokenTooLarge, WrongForm};

use crate::kit::{Table, b64};

pub fn add(table: &mut Table) {
    segments(table);
    spelling(table);
    sizes(table);
    other_forms(table);
}

fn segments(table: &mut Table) {
    for (name, text) in [
        ("one segment", "e30"),
        ("two segments", "e30.e30"),
        ("four segments", "e30.e30.e30.e30"),
        ("six segments", "e30.e30.e30.e30.e30.e30"),
        ("seven segments", "......"),
        ("a thousand dots", &".".repeat(1000)),
        ("nothing but one dot", "."),
    ] {
        let text = text.to_owned();
        table.row(name, "es", WrongForm, move |_| text.clone());
    }
    for (name, text) in [("three empty segments", ".."), ("five empty segments", "....")] {
        table.row(name, "es", HeaderRefused, move |_| text.to_owned());
        table.row(format!("{name} to an issuer that encrypts"), "nest", HeaderRefused, move |_| text.to_owned());
    }
    table.row("a dot before a good token", "es", WrongForm, |keys| format!(".{}", keys.token("es").text()));
    table.row("a dot behind a good token", "es", WrongForm, |keys| format!("{}.", keys.token("es").text()));
    table.row("a sixth segment behind a good JWE", "direct", WrongForm, |keys| {
        format!("{}.AAAA", keys.token("direct").text())
    });
    table.row("an empty header before a good payload and signature", "es", HeaderRefused, |keys| {
        let token = keys.token("es").text();
        token[token.find('.').unwrap()..].to_owned()
    });
    table.row("the JSON serialization", "es", MalformedCredential, |keys| {
        let token = keys.token("es").text();
        let parts: Vec<&str> = token.split('.').collect();
        json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] }).to_string()
    });
    table.row("two tokens glued by a tilde, as SD-JWT does", "es", HeaderRefused, |keys| {
        format!("{}~", keys.token("es").text())
    });
}

/// One token must have one spelling, or caches and replay tables see two.
fn spelling(table: &mut Table) {
    for (name, tail) in [("padding", "="), ("double padding", "=="), ("a plus", "+"), ("a slash", "/"), ("an A", "A")] {
        for (place, segment) in [("header", 0), ("payload", 1), ("signature", 2)] {
            // In header and payload the signature covers the odd spelling: only the rule can refuse it.
            table.row(format!("{name} behind the {place}"), "rs", HeaderRefused, move |keys| {
                let token = keys.token("rs");
                let mut input = token.signing_input();
                let dot = input.find('.').unwrap();
                match segment {
                    0 => input.insert_str(dot, tail_for(&input[..dot], tail)),
                    1 => input.push_str(tail_for(&input[dot + 1..], tail)),
                    _ => {}
                }
                let mut signature = b64(token.signature(&input));
                if segment == 2 {
                    signature.push_str(tail_for(&signature, tail));
                }
                format!("{input}.{signature}")
            });
        }
    }
    table.row("spare bits in the last character of the signature", "es", HeaderRefused, |keys| {
        let token = keys.token("es").text();
        let (rest, last) = token.split_at(token.len() - 1);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = alphabet.find(last).map(|at| at + 1).unwrap();
        format!("{rest}{}", &alphabet[next..=next])
    });
    table.row("base64 of another alphabet in the payload", "es", HeaderRefused, |keys| {
        let token = keys.token("es").claim("x", json!("???>>>~~~"));
        let input = token.signing_input().replace('-', "+").replace('_', "/");
        assert!(input.contains(['+', '/']));
        format!("{input}.{}", b64(token.signature(&input)))
    });
}

/// `tail`, repeated until the segment's length is one that no base64url text has.
fn tail_for(segment: &str, tail: &'static str) -> &'static str {
    if tail != "A" {
        return tail;
    }
    ["A", "AAAA", "AAA", "AA"][segment.len() % 4]
}

fn sizes(table: &mut Table) {
    table.row("a token larger than the issuer's", "es", TokenTooLarge, |keys| {
        keys.token("es").claim("filler", json!("x".repeat(4096))).text()
    });
    table.row("a token larger than the issuer's, sealed", "direct", TokenTooLarge, |keys| {
        keys.token("direct").claim("filler", json!("x".repeat(4096))).text()
    });
    table.row("a token larger than its issuer's, where another's may be", "several", TokenTooLarge, |keys| {
        keys.token("es").claim("filler", json!("x".repeat(4096))).text()
    });
    table.row("a header of more than 2 KiB", "es", HeaderRefused, |keys| {
        keys.token("es").header("filler", json!("x".repeat(1600))).text()
    });
    table.row("a header of more than 2 KiB, sealed", "direct", HeaderRefused, |keys| {
        keys.token("direct").outer("filler", json!("x".repeat(1600))).text()
    });
}

fn other_forms(table: &mut Table) {
    table.row("a signed token where nested ones are promised", "nest", WrongForm, |keys| keys.token("nest").jws());
    table.row("a signed token where sealed ones are promised", "direct", WrongForm, |keys| keys.token("es").text());
    table.row("a JWE where signed tokens are promised", "es", WrongForm, |keys| keys.token("direct").text());
    table.row("a secret that seals used to sign", "direct", WrongForm, |keys| {
        let token = keys.token("hs").header("kid", json!("direct")).claim("iss", json!("https://direct.example.test"));
        token.signed_by(keys.private("direct"), "HS256").text()
    });
    table.row("a signed token that says it is encrypted", "es", HeaderRefused, |keys| {
        keys.token("es").header("enc", json!("A256GCM")).text()
    });
    table.row("a JWE that does not say how it is encrypted", "direct", HeaderRefused, |keys| {
        keys.token("direct").without_outer("enc").text()
    });
}
