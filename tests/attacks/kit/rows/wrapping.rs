//! Content keys that arrive wrongly: short, torn, of another length, agreed on a foolish point (RFC 7518 §4).

use openssl::hash::MessageDigest;
use serde_json::{Value, json};
use tollgate::decision::Reason::{DecryptionFailed, HeaderRefused};

use crate::kit::agree::{Ephemeral, seal_under};
use crate::kit::seal::{CEK, IV, gcm, gcm_raw, key_wrap, oaep, pkcs1};
use crate::kit::token::with;
use crate::kit::{Table, b64};

pub fn add(table: &mut Table) {
    lengths(table);
    rsa(table);
    key_wrap_rows(table);
    gcm_key_wrap(table);
    ephemeral_keys(table);
    x25519(table);
}

/// The lengths that made josekit panic stand among these: 0 to 7 bytes for a key wrap.
fn lengths(table: &mut Table) {
    for (issuer, whole) in [("wrap", 40), ("gcmkw", 32), ("agree-kw", 40), ("nest", 256)] {
        for len in [0, 1, 7, 8, 9, 15, 16, 24, whole - 1, whole + 1, whole + 8, 2 * whole] {
            table.row(format!("an encrypted key of {len} bytes for {issuer}"), issuer, DecryptionFailed, move |keys| {
                keys.token(issuer).jwe().changed(|jwe| jwe.encrypted_key.resize(len, 0xa6))
            });
        }
        for (name, change) in [("a bit", 1), ("all bits", 0xff)] {
            table.row(
                format!("{name} of the encrypted key flipped for {issuer}"),
                issuer,
                DecryptionFailed,
                move |keys| keys.token(issuer).jwe().changed(|jwe| jwe.encrypted_key[5] ^= change),
            );
        }
        table.row(format!("an encrypted key of zeros for {issuer}"), issuer, DecryptionFailed, move |keys| {
            keys.token(issuer).jwe().changed(|jwe| jwe.encrypted_key.fill(0))
        });
    }
    table.row("an encrypted key beside a direct agreement", "agree", DecryptionFailed, |keys| {
        keys.token("agree").jwe().changed(|jwe| jwe.encrypted_key = vec![1; 40])
    });
}

/// Whatever RSA says of the padding, the token goes on with a random key and fails at its tag (RFC 7516 §11.5).
fn rsa(table: &mut Table) {
    table.row("a content key padded by PKCS#1 v1.5", "nest", DecryptionFailed, |keys| {
        let token = keys.token("nest");
        let wrapped = pkcs1(keys.private("nest"), &CEK);
        gcm(token.outer_header(), &wrapped, &CEK, &IV[..12], &token.inside()).compact()
    });
    table.row("a content key padded by OAEP with SHA-1", "nest", DecryptionFailed, |keys| {
        let token = keys.token("nest");
        let wrapped = oaep(keys.private("nest"), &CEK, MessageDigest::sha1());
        gcm(token.outer_header(), &wrapped, &CEK, &IV[..12], &token.inside()).compact()
    });
    table.row("a content key for another RSA key", "nest", DecryptionFailed, |keys| {
        let token = keys.token("nest");
        let wrapped = oaep(keys.private("rs"), &CEK, MessageDigest::sha256());
        gcm(token.outer_header(), &wrapped, &CEK, &IV[..12], &token.inside()).compact()
    });
    for len in [0, 1, 16, 24, 31, 33, 64] {
        table.row(format!("a content key of {len} bytes, rightly encrypted"), "nest", DecryptionFailed, move |keys| {
            let token = keys.token("nest");
            let wrapped = oaep(keys.private("nest"), &vec![0x17; len], MessageDigest::sha256());
            gcm(token.outer_header(), &wrapped, &CEK, &IV[..12], &token.inside()).compact()
        });
    }
    for (name, number) in [("one", 1), ("two", 2)] {
        table.row(format!("an encrypted key that is the number {name}"), "nest", DecryptionFailed, move |keys| {
            keys.token("nest").jwe().changed(|jwe| {
                jwe.encrypted_key.fill(0);
                *jwe.encrypted_key.last_mut().unwrap() = number;
            })
        });
    }
    table.row("an encrypted key above the modulus", "nest", DecryptionFailed, |keys| {
        keys.token("nest").jwe().changed(|jwe| jwe.encrypted_key.fill(0xff))
    });
}

fn key_wrap_rows(table: &mut Table) {
    for len in [16, 24, 48, 64] {
        table.row(format!("a wrapped key of {len} bytes where 32 are wanted"), "wrap", DecryptionFailed, move |keys| {
            let token = keys.token("wrap");
            let wrapped = key_wrap(&keys.secret("wrap"), &vec![0x17; len]);
            gcm(token.outer_header(), &wrapped, &CEK, &IV[..12], &token.inside()).compact()
        });
    }
    table.row("a key wrapped under another secret", "wrap", DecryptionFailed, |keys| {
        let token = keys.token("wrap");
        let wrapped = key_wrap(&keys.secret("direct"), &CEK);
        gcm(token.outer_header(), &wrapped, &CEK, &IV[..12], &token.inside()).compact()
    });
    table.row("the content key itself, not wrapped at all", "wrap", DecryptionFailed, |keys| {
        keys.token("wrap").jwe().changed(|jwe| jwe.encrypted_key = CEK.to_vec())
    });
}

/// Vector and tag of the wrap stand in the header, where the token could shorten them.
fn gcm_key_wrap(table: &mut Table) {
    let resealed = |keys: &crate::kit::Keys, iv: Option<Value>, tag: Option<Value>| {
        let token = keys.token("gcmkw");
        let (wrapped, _) = gcm_raw(&keys.secret("gcmkw"), &IV[..12], b"", &CEK);
        let mut header = token.outer_header().to_vec();
        for (name, value) in [("iv", iv), ("tag", tag)] {
            header = value.map_or(header.clone(), |value| with(&header, name, value));
        }
        gcm(&header, &wrapped, &CEK, &IV[..12], &token.inside()).compact()
    };
    let good = |keys: &crate::kit::Keys| {
        let (_, tag) = gcm_raw(&keys.secret("gcmkw"), &IV[..12], b"", &CEK);
        (json!(b64(&IV[..12])), tag)
    };
    for len in [0, 1, 4, 8, 12, 15, 17, 32] {
        table.row(format!("a key wrap whose tag has {len} bytes"), "gcmkw", DecryptionFailed, move |keys| {
            let (iv, mut tag) = good(keys);
            tag.resize(len, 0);
            resealed(keys, Some(iv), Some(json!(b64(tag))))
        });
    }
    for len in [1, 8, 11, 13, 16] {
        table.row(
            format!("a key wrap whose vector has {len} bytes, rightly used"),
            "gcmkw",
            DecryptionFailed,
            move |keys| {
                let token = keys.token("gcmkw");
                let (wrapped, tag) = gcm_raw(&keys.secret("gcmkw"), &IV[..len], b"", &CEK);
                let header = with(token.outer_header(), "iv", json!(b64(&IV[..len])));
                let header = with(&header, "tag", json!(b64(tag)));
                gcm(&header, &wrapped, &CEK, &IV[..12], &token.inside()).compact()
            },
        );
    }
    table.row("a key wrap without a vector", "gcmkw", DecryptionFailed, move |keys| {
        resealed(keys, None, Some(json!(b64(good(keys).1))))
    });
    table.row("a key wrap without a tag", "gcmkw", DecryptionFailed, move |keys| {
        resealed(keys, Some(good(keys).0), None)
    });
    table.row("a key wrap with an empty vector", "gcmkw", DecryptionFailed, move |keys| {
        resealed(keys, Some(json!("")), Some(json!(b64(good(keys).1))))
    });
}

/// The agreement behind these tokens is right: a reader that looks less closely at the epk opens them.
fn ephemeral_keys(table: &mut Table) {
    for place in [0, 1, 31, 33, 63, 64] {
        table.row(format!("a point whose x has {place} bytes"), "agree", DecryptionFailed, move |keys| {
            let ephemeral = Ephemeral::for_recipient(keys.private("agree"));
            let token = keys.token("agree");
            ephemeral.seal(token.outer_header(), &ephemeral.epk_divided_at(place), &token.inside()).compact()
        });
    }
    for (member, value) in [
        ("kty", json!("OKP")),
        ("kty", json!("RSA")),
        ("kty", json!("")),
        ("crv", json!("P-384")),
        ("crv", json!("p-256")),
        ("crv", json!("secp256r1")),
        ("crv", json!("secp256k1")),
        ("y", json!("")),
        ("x", json!(b64([0; 32]))),
        ("y", json!(b64([0xff; 32]))),
    ] {
        for issuer in ["agree", "agree-kw"] {
            let value = value.clone();
            table.row(format!("{issuer}: an epk with {member} {value}"), issuer, DecryptionFailed, move |keys| {
                let ephemeral = Ephemeral::for_recipient(keys.private(issuer));
                let token = keys.token(issuer);
                let epk = ephemeral.epk_with(member, value.clone());
                ephemeral.seal(token.outer_header(), &epk, &token.inside()).compact()
            });
        }
    }
    for (name, epk) in [
        ("null", Value::Null),
        ("a string", json!("x")),
        ("an empty object", json!({})),
        ("without a curve", json!({ "kty": "EC", "x": "AA", "y": "AA" })),
        ("with an unknown member", json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "use": "enc" })),
        ("with x a number", json!({ "kty": "EC", "crv": "P-256", "x": 5, "y": "AA" })),
    ] {
        table.row(format!("an epk that is {name}"), "agree", HeaderRefused, move |keys| {
            let ephemeral = Ephemeral::for_recipient(keys.private("agree"));
            let token = keys.token("agree");
            ephemeral.seal(token.outer_header(), &epk, &token.inside()).compact()
        });
    }
    for (name, x, y) in [
        ("the origin", [0; 32], [0; 32]),
        ("a point off the curve", [1; 32], [1; 32]),
        ("a point beyond the field", [0xff; 32], [0xff; 32]),
    ] {
        table.row(format!("{name} as epk"), "agree", DecryptionFailed, move |keys| {
            let token = keys.token("agree");
            let epk = json!({ "kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y) });
            seal_under(&[0; 32], &with(token.outer_header(), "epk", epk), &token.inside()).compact()
        });
    }
    table.row("no epk at all", "agree", DecryptionFailed, |keys| {
        let token = keys.token("agree");
        seal_under(&[0; 32], token.outer_header(), &token.inside()).compact()
    });
    table.row("party information that was not agreed on", "agree", DecryptionFailed, |keys| {
        let ephemeral = Ephemeral::for_recipient(keys.private("agree"));
        let token = keys.token("agree").outer("apu", json!("QWxpY2U"));
        ephemeral.seal(token.outer_header(), &ephemeral.epk(), &token.inside()).compact()
    });
}

/// On these points the result is zero whatever our key is, so that anybody could seal (RFC 7748 §6.1).
fn x25519(table: &mut Table) {
    let order_8 = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0,
    ];
    let mut one = [0; 32];
    one[0] = 1;
    let (mut prime, mut minus_one) = ([0xff; 32], [0xff; 32]);
    (prime[0], prime[31], minus_one[0], minus_one[31]) = (0xed, 0x7f, 0xec, 0x7f);
    for (name, point) in [
        ("zero", [0; 32]),
        ("one", one),
        ("a point of order 8", order_8),
        ("minus one", minus_one),
        ("the prime itself", prime),
    ] {
        table.row(format!("{name} as X25519 key, sealed under zero"), "x25519", DecryptionFailed, move |keys| {
            let token = keys.token("x25519");
            let epk = json!({ "kty": "OKP", "crv": "X25519", "x": b64(point) });
            seal_under(&[0; 32], &with(token.outer_header(), "epk", epk), &token.inside()).compact()
        });
    }
    for (name, member, value) in [
        ("31 bytes", "x", json!(b64([9; 31]))),
        ("33 bytes", "x", json!(b64([9; 33]))),
        ("nothing", "x", json!("")),
        ("an y beside", "y", json!("")),
        ("another curve", "crv", json!("X448")),
        ("Ed25519 for its curve", "crv", json!("Ed25519")),
        ("kty EC", "kty", json!("EC")),
    ] {
        table.row(format!("an X25519 key with {name}"), "x25519", DecryptionFailed, move |keys| {
            let ephemeral = Ephemeral::for_recipient(keys.private("x25519"));
            let token = keys.token("x25519");
            ephemeral.seal(token.outer_header(), &ephemeral.epk_with(member, value.clone()), &token.inside()).compact()
        });
    }
}
