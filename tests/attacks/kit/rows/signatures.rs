//! Signatures that are none (CVE-2022-21449), belong to another text, or were made by somebody else.

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::EcGroup;
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use serde_json::json;
use tollgate::decision::Reason::BadSignature;

use crate::kit::token::sign;
use crate::kit::{Keys, SIGNED, Table, unb64};

pub fn add(table: &mut Table) {
    for (issuer, _) in SIGNED {
        degenerate(table, issuer);
        of_another_text(table, issuer);
    }
    strangers(table);
    elliptic(table);
    edwards(table);
    rsa(table);
    inside_a_jwe(table);
}

type Change = fn(&mut Vec<u8>);

fn degenerate(table: &mut Table, issuer: &'static str) {
    let changes: [(&str, Change); 9] = [
        ("zeros", |signature| signature.fill(0)),
        ("ones", |signature| signature.fill(0xff)),
        ("nothing", Vec::clear),
        ("a single zero", |signature| *signature = vec![0]),
        ("all but its last byte", |signature| signature.truncate(signature.len() - 1)),
        ("all but its first byte", |signature| *signature = signature[1..].to_vec()),
        ("itself and a zero", |signature| signature.push(0)),
        ("a zero and itself", |signature| signature.insert(0, 0)),
        ("itself twice", |signature| signature.extend_from_within(..)),
    ];
    for (name, change) in changes {
        table.row(format!("a signature of {issuer} made of {name}"), issuer, BadSignature, move |keys| {
            keys.token(issuer).signature_changed(change)
        });
    }
}

fn of_another_text(table: &mut Table, issuer: &'static str) {
    table.row(format!("{issuer}: the signature of another token"), issuer, BadSignature, move |keys| {
        let other = keys.token(issuer).claim("sub", json!("mallory"));
        other.under(&keys.token(issuer).signature(&keys.token(issuer).signing_input()))
    });
    table.row(format!("{issuer}: a bit flipped in the signature"), issuer, BadSignature, move |keys| {
        keys.token(issuer).signature_changed(|signature| signature[20] ^= 1)
    });
    table.row(format!("{issuer}: the signature of the payload alone"), issuer, BadSignature, move |keys| {
        let token = keys.token(issuer);
        let input = token.signing_input();
        token.under(&token.signature(input.split('.').nth(1).unwrap()))
    });
    table.row(format!("{issuer}: a signature without the dot"), issuer, BadSignature, move |keys| {
        let token = keys.token(issuer);
        token.under(&token.signature(&token.signing_input().replace('.', "")))
    });
}

/// The right algorithm, the right name, another key.
fn strangers(table: &mut Table) {
    for (issuer, stranger, alg) in [
        ("es", "stranger", "ES256"),
        ("nameless", "stranger", "ES256"),
        ("es384", "stranger-384", "ES384"),
        ("es512", "stranger-512", "ES512"),
        ("ed", "stranger-ed", "EdDSA"),
        ("rs", "stranger-rsa", "RS256"),
        ("ps", "stranger-rsa", "PS256"),
        ("hs", "direct", "HS256"),
    ] {
        table.row(format!("{issuer}: signed by a stranger"), issuer, BadSignature, move |keys| {
            keys.token(issuer).signed_by(keys.private(stranger), alg).text()
        });
    }
    table.row("signed by an issuer of another route", "es", BadSignature, |keys| {
        keys.token("es").signed_by(keys.private("nameless-0"), "ES256").text()
    });
}

fn elliptic(table: &mut Table) {
    let order = || {
        let (mut n, mut context) = (BigNum::new().unwrap(), BigNumContext::new().unwrap());
        EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap().order(&mut n, &mut context).unwrap();
        n.to_vec_padded(32).unwrap()
    };
    let (zero, one) = (vec![0; 32], [vec![0; 31], vec![1]].concat());
    for (name, r, s) in [
        ("r = 0", Some(zero.clone()), None),
        ("s = 0", None, Some(zero.clone())),
        ("r = n", Some(order()), None),
        ("s = n", None, Some(order())),
        ("r = n, s = n", Some(order()), Some(order())),
        ("r = 1, s = 1", Some(one.clone()), Some(one)),
        ("r = 0, s = n", Some(zero), Some(order())),
    ] {
        table.row(format!("an ECDSA signature with {name}"), "es", BadSignature, move |keys| {
            keys.token("es").signature_changed(|signature| {
                if let Some(r) = &r {
                    signature[..32].copy_from_slice(r);
                }
                if let Some(s) = &s {
                    signature[32..].copy_from_slice(s);
                }
            })
        });
    }
    table.row("an ECDSA signature in DER", "es", BadSignature, |keys| {
        keys.token("es").signature_changed(|signature| {
            let [r, s] = [&signature[..32], &signature[32..]].map(|half| BigNum::from_slice(half).unwrap());
            *signature = EcdsaSig::from_private_components(r, s).unwrap().to_der().unwrap();
        })
    });
    table.row("an ECDSA signature with r and s exchanged", "es", BadSignature, |keys| {
        keys.token("es").signature_changed(|signature| signature.rotate_left(32))
    });
}

fn edwards(table: &mut Table) {
    // L, the order of the base point, little-endian (RFC 8032 §5.1).
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    table.row("an Ed25519 signature with S + L", "ed", BadSignature, |keys| {
        keys.token("ed").signature_changed(|signature| {
            let mut carry = 0;
            for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
                let sum = u16::from(*byte) + u16::from(add) + carry;
                *byte = u8::try_from(sum & 0xff).unwrap();
                carry = sum >> 8;
            }
        })
    });
    table.row("an Ed25519 signature of the identity and zero", "ed", BadSignature, |keys| {
        keys.token("ed").signature_changed(|signature| {
            signature.fill(0);
            signature[0] = 1;
        })
    });
}

fn rsa(table: &mut Table) {
    let own_key = |keys: &Keys, alg: &str, made: &str| {
        let issuer = if alg == "RS256" { "rs" } else { "ps" };
        keys.token(issuer).signed_by(keys.private(issuer), made).text()
    };
    for made in ["PS256", "RS384", "RS512"] {
        table.row(format!("{made} under the name RS256"), "rs", BadSignature, move |keys| own_key(keys, "RS256", made));
    }
    for made in ["RS256", "PS384", "PS512"] {
        table.row(format!("{made} under the name PS256"), "ps", BadSignature, move |keys| own_key(keys, "PS256", made));
    }
    table.row("an RSA signature plus the modulus", "rs", BadSignature, |keys| {
        let n = BigNum::from_slice(&unb64(keys.public("rs")["n"].as_str().unwrap())).unwrap();
        keys.token("rs").signature_changed(|signature| {
            let sum = &BigNum::from_slice(signature).unwrap() + &n;
            *signature = sum.to_vec();
        })
    });
    table.row("an RSA signature of one", "rs", BadSignature, |keys| {
        keys.token("rs").signature_changed(|signature| {
            signature.fill(0);
            *signature.last_mut().unwrap() = 1;
        })
    });
    table.row("the padded message itself, good for e = 1", "rs", BadSignature, |keys| {
        let token = keys.token("rs");
        let digest = openssl::sha::sha256(token.signing_input().as_bytes());
        let info = unb64("MDEwDQYJYIZIAWUDBAIBBQAEIA");
        let filler = vec![0xff; 256 - 3 - info.len() - digest.len()];
        token.under(&[&[0, 1], &filler[..], &[0], &info, &digest].concat())
    });
}

fn inside_a_jwe(table: &mut Table) {
    table.row("a stranger's signature inside a JWE", "nest", BadSignature, |keys| {
        keys.token("nest").signed_by(keys.private("stranger"), "ES256").text()
    });
    table.row("a signature of zeros inside a JWE", "agree", BadSignature, |keys| {
        let inside = keys.token("agree").signature_changed(|signature| signature.fill(0));
        keys.token("agree").plaintext(inside).text()
    });
    table.row("claims altered inside a JWE", "x25519", BadSignature, |keys| {
        let token = keys.token("x25519");
        let signature = sign(keys.private("es"), "ES256", token.signing_input().as_bytes());
        let inside = token.clone().claim("sub", json!("mallory")).under(&signature);
        token.plaintext(inside).text()
    });
}
