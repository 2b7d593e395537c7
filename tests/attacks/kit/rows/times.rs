//! Times that are none, or not now.

use serde_json::{Value, json};
use tollgate::decision::Reason::{
    Expired, IssuedInFuture, LifetimeTooLong, MalformedClaims, NotYetValid, WrongAudience,
};

use crate::kit::Table;

pub fn add(table: &mut Table) {
    mistyped(table);
    absurd(table);
    not_now(table);
    kept(table);
}

/// A time of the wrong type is refused, never taken for an absent one (CVE-2026-25537).
fn mistyped(table: &mut Table) {
    for name in ["exp", "nbf", "iat", "auth_time"] {
        for value in [
            json!("1700000300"),
            json!(""),
            json!("never"),
            json!("2099-01-01T00:00:00Z"),
            Value::Null,
            json!(true),
            json!([1_700_000_300]),
            json!({ "seconds": 1_700_000_300 }),
        ] {
            table.row(format!("{name} {value}"), "es", MalformedClaims, move |keys| {
                keys.token("es").claim(name, value.clone()).text()
            });
        }
    }
}

/// Times that overflowed elsewhere: a panic, or a token that never expires.
fn absurd(table: &mut Table) {
    for name in ["exp", "nbf", "iat"] {
        for value in [
            "1e300",
            "-1e300",
            "-1",
            "-0.5",
            "1e19",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "253402300800",
            "1700000000000",
        ] {
            table.row(format!("{name} = {value}"), "es", MalformedClaims, move |keys| {
                let token = keys.token("es");
                let token = if name == "nbf" { token } else { token.without_claim(name) };
                token.claims_and(&format!("\"{name}\":{value}")).text()
            });
        }
    }
}

fn not_now(table: &mut Table) {
    for ago in [60, 3600, 86_400, 1_600_000_000] {
        table.row(format!("expired {ago} seconds ago"), "es", Expired, move |keys| {
            let exp = keys.now - ago;
            keys.token("es").claim("exp", json!(exp)).claim("iat", json!(exp - 60)).text()
        });
    }
    for (name, exp) in [("zero", json!(0)), ("minus zero", json!(-0.0)), ("a fraction of the first second", json!(0.5))]
    {
        table.row(format!("exp that is {name}"), "es", Expired, move |keys| {
            keys.token("es").claim("exp", exp.clone()).text()
        });
    }
    for route in ["direct", "nest", "hs"] {
        table.row(format!("an expired token of {route}"), route, Expired, move |keys| {
            keys.token(route).claim("exp", json!(keys.now - 60)).text()
        });
    }
    for ahead in [120, 86_400, 100_000_000_000] {
        table.row(format!("not valid for another {ahead} seconds"), "es", NotYetValid, move |keys| {
            keys.token("es").claim("nbf", json!(keys.now + ahead)).text()
        });
        table.row(format!("issued {ahead} seconds from now"), "es", IssuedInFuture, move |keys| {
            keys.token("es").claim("iat", json!(keys.now + ahead)).text()
        });
    }
    for lifetime in [901, 86_400, 100_000_000_000_i64] {
        table.row(format!("a lifetime of {lifetime} seconds"), "es", LifetimeTooLong, move |keys| {
            keys.token("es").claim("iat", json!(keys.now - 5)).claim("exp", json!(keys.now - 5 + lifetime)).text()
        });
    }
    table.row("a lifetime stretched by an old iat", "direct", LifetimeTooLong, |keys| {
        keys.token("direct").claim("iat", json!(keys.now - 3600)).text()
    });
}

/// What only looks good because something else failed to be checked first.
fn kept(table: &mut Table) {
    table.row("expired, and for somebody else", "es", Expired, |keys| {
        keys.token("es").claim("exp", json!(keys.now - 60)).claim("aud", json!("https://other.test")).text()
    });
    table.row("alive, and for somebody else", "es", WrongAudience, |keys| {
        keys.token("es").claim("aud", json!("https://other.test")).text()
    });
}
