//! The token names its own algorithm (RFC 8725 §3.1): `none`, a key used as a secret, anything but what was promised.

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::json;
use tollgate::decision::Reason::AlgorithmRefused;
use tollgate::jose::{ContentEncryption, KeyAlgorithm, SigningAlgorithm};

use crate::kit::seal::rsa_public;
use crate::kit::{ENCRYPTED, SIGNED, Table, unb64};

pub fn add(table: &mut Table) {
    none(table);
    keys_as_secrets(table);
    other_signing_algorithms(table);
    other_encryptions(table);
}

fn none(table: &mut Table) {
    for name in ["none", "None", "NONE", "nOnE", "", "null", "undefined"] {
        table.row(format!("alg {name:?} and no signature"), "es", AlgorithmRefused, move |keys| {
            keys.token("es").header("alg", json!(name)).under(b"")
        });
    }
    for (issuer, _) in SIGNED {
        table.row(format!("alg none under a good signature of {issuer}"), issuer, AlgorithmRefused, move |keys| {
            keys.token(issuer).header("alg", json!("none")).text()
        });
    }
    table.row("alg none in the JWS inside a JWE", "nest", AlgorithmRefused, |keys| {
        let inside = keys.token("nest").header("alg", json!("none")).under(b"");
        keys.token("nest").plaintext(inside).text()
    });
}

/// A MAC made with what everybody can read: the public key, in each form in which a careless verifier would load it
/// (CVE-2026-39999, CVE-2024-37568, CVE-2023-48223, CVE-2026-34950).
fn keys_as_secrets(table: &mut Table) {
    type Secret = fn(&crate::kit::Keys) -> Vec<u8>;
    let secrets: [(&str, Secret); 6] = [
        ("PEM", |keys| rsa_public(keys.private("rs")).public_key_to_pem().unwrap()),
        ("PEM with white space before it", |keys| {
            [b"\n ".as_slice(), &rsa_public(keys.private("rs")).public_key_to_pem().unwrap()].concat()
        }),
        ("DER", |keys| rsa_public(keys.private("rs")).public_key_to_der().unwrap()),
        ("JWK text", |keys| keys.public("rs").to_string().into_bytes()),
        ("modulus", |keys| unb64(keys.public("rs")["n"].as_str().unwrap())),
        // HMAC pads its key with zeros: this is the empty one.
        ("nothing", |_| vec![0]),
    ];
    let hashes =
        [("HS256", MessageDigest::sha256()), ("HS384", MessageDigest::sha384()), ("HS512", MessageDigest::sha512())];
    for (form, secret) in secrets {
        for (alg, hash) in hashes {
            table.row(format!("{alg} with the public RSA key as {form}"), "rs", AlgorithmRefused, move |keys| {
                let token = keys.token("rs").header("alg", json!(alg));
                token.under(&mac(&secret(keys), hash, token.signing_input().as_bytes()))
            });
        }
    }
    table.row("HS256 with the public point as secret", "es", AlgorithmRefused, |keys| {
        let point = unb64(keys.public("es")["x"].as_str().unwrap());
        let token = keys.token("es").header("alg", json!("HS256"));
        token.under(&mac(&point, MessageDigest::sha256(), token.signing_input().as_bytes()))
    });
}

fn mac(secret: &[u8], hash: MessageDigest, input: &[u8]) -> Vec<u8> {
    let key = PKey::hmac(secret).unwrap();
    Signer::new(hash, &key).unwrap().sign_oneshot_to_vec(input).unwrap()
}

/// Every algorithm that the gateway knows and this issuer does not use, signed with the issuer's own key where that
/// can be done.
fn other_signing_algorithms(table: &mut Table) {
    for (issuer, own) in SIGNED {
        for alg in SigningAlgorithm::ALL.iter().map(|alg| alg.name()).filter(|alg| *alg != own) {
            table.row(format!("{alg} for {issuer}"), issuer, AlgorithmRefused, move |keys| {
                let token = keys.token(issuer).header("alg", json!(alg));
                let rsa = alg.starts_with("RS") || alg.starts_with("PS");
                let token = if rsa && matches!(issuer, "rs" | "ps") {
                    token.signed_by(keys.private(issuer), alg)
                } else {
                    token
                };
                token.text()
            });
        }
    }
    for alg in ["ES256K", "Ed448", "RS1", "es256", "ES256 ", "ES256\0", "ES256,none", "HS256/64", "A256GCM", "dir"] {
        table.row(format!("an unknown algorithm, {alg:?}"), "es", AlgorithmRefused, move |keys| {
            keys.token("es").header("alg", json!(alg)).text()
        });
    }
}

fn other_encryptions(table: &mut Table) {
    for (issuer, own, own_enc) in ENCRYPTED {
        for alg in KeyAlgorithm::ALL.iter().map(|alg| alg.name()).filter(|alg| *alg != own) {
            table.row(format!("{alg} for {issuer}"), issuer, AlgorithmRefused, move |keys| {
                let mut jwe = keys.token(issuer).jwe();
                jwe.header = crate::kit::token::with(&jwe.header, "alg", json!(alg));
                jwe.compact()
            });
        }
        for enc in ContentEncryption::ALL.iter().map(|enc| enc.name()).filter(|enc| *enc != own_enc) {
            table.row(format!("{enc} for {issuer}"), issuer, AlgorithmRefused, move |keys| {
                let mut jwe = keys.token(issuer).jwe();
                jwe.header = crate::kit::token::with(&jwe.header, "enc", json!(enc));
                jwe.compact()
            });
        }
    }
    for alg in [
        "RSA1_5",
        "RSA-OAEP-384",
        "RSA-OAEP-512",
        "PBES2-HS256+A128KW",
        "PBES2-HS384+A192KW",
        "PBES2-HS512+A256KW",
        "none",
        "",
        "DIR",
    ] {
        table.row(format!("key algorithm {alg:?}, which does not exist here"), "nest", AlgorithmRefused, move |keys| {
            keys.token("nest").outer("alg", json!(alg)).text()
        });
    }
    for enc in ["none", "", "XC20P", "A256CBC", "a256gcm", "A256GCMKW"] {
        table.row(
            format!("content encryption {enc:?}, which does not exist here"),
            "direct",
            AlgorithmRefused,
            move |keys| keys.token("direct").outer("enc", json!(enc)).text(),
        );
    }
}
