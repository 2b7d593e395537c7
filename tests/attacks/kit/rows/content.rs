//! Ciphertexts, vectors and tags that probe the content encryption (RFC 7518 §5): CVE-2023-37464, padding oracles.

use serde_json::json;
use tollgate::decision::Reason::DecryptionFailed;

use crate::kit::seal::{IV, Jwe, cbc, cbc_tag, gcm, gcm_raw, padded};
use crate::kit::{Keys, Table};

pub fn add(table: &mut Table) {
    tags(table);
    vectors(table);
    altered(table);
    gcm_keys(table);
    cbc_padding(table);
    cbc_tags(table);
}

/// One byte of tag is guessed after 128 tries; a library that lets the token choose its length gives everything away.
fn tags(table: &mut Table) {
    for (issuer, whole) in [("direct", 16), ("cbc", 32), ("nest", 16), ("agree", 16), ("wrap", 16), ("gcmkw", 16)] {
        for len in [0, 1, 4, 8, 12, whole - 1, whole + 1, 2 * whole] {
            table.row(format!("a tag of {len} bytes in a JWE of {issuer}"), issuer, DecryptionFailed, move |keys| {
                keys.token(issuer).jwe().changed(|jwe| jwe.tag.resize(len, 0))
            });
        }
    }
}

/// The content is sealed under the odd vector where the primitive can do that: only the rule refuses it.
fn vectors(table: &mut Table) {
    for len in [1, 8, 11, 13, 16] {
        table.row(format!("a GCM vector of {len} bytes, rightly used"), "direct", DecryptionFailed, move |keys| {
            let token = keys.token("direct");
            let iv = [7; 16];
            gcm(token.outer_header(), b"", &keys.secret("direct"), &iv[..len], &token.inside()).compact()
        });
    }
    table.row("a GCM vector of 128 bytes, rightly used", "direct", DecryptionFailed, |keys| {
        let token = keys.token("direct");
        gcm(token.outer_header(), b"", &keys.secret("direct"), &[7; 128], &token.inside()).compact()
    });
    for (issuer, len) in
        [("direct", 0), ("cbc", 0), ("cbc", 12), ("cbc", 15), ("cbc", 17), ("cbc", 32), ("nest", 0), ("wrap", 0)]
    {
        table.row(format!("a vector of {len} bytes in a JWE of {issuer}"), issuer, DecryptionFailed, move |keys| {
            keys.token(issuer).jwe().changed(|jwe| jwe.iv.resize(len, 0x42))
        });
    }
    table.row("a CBC vector of 17 bytes, rightly authenticated", "cbc", DecryptionFailed, |keys| {
        let token = keys.token("cbc");
        cbc(token.outer_header(), b"", &keys.secret("cbc"), &[7; 17], &padded(&token.inside())).compact()
    });
}

fn altered(table: &mut Table) {
    type Change = fn(&mut Jwe);
    let changes: [(&str, Change); 10] = [
        ("the first byte of the ciphertext", |jwe| jwe.ciphertext[0] ^= 1),
        ("the last byte of the ciphertext", |jwe| *jwe.ciphertext.last_mut().unwrap() ^= 1),
        ("the ciphertext, cut by a byte", |jwe| jwe.ciphertext.truncate(jwe.ciphertext.len() - 1)),
        ("the ciphertext, cut by a block", |jwe| jwe.ciphertext.truncate(jwe.ciphertext.len() - 16)),
        ("the ciphertext, longer by a block", |jwe| jwe.ciphertext.extend([0; 16])),
        ("the ciphertext, left out", |jwe| jwe.ciphertext.clear()),
        ("the vector", |jwe| jwe.iv[3] ^= 0x80),
        ("the first byte of the tag", |jwe| jwe.tag[0] ^= 1),
        ("the last byte of the tag", |jwe| *jwe.tag.last_mut().unwrap() ^= 1),
        ("the tag, all zero", |jwe| jwe.tag.fill(0)),
    ];
    for issuer in ["direct", "cbc", "nest", "x25519", "gcmkw"] {
        for (name, change) in changes {
            table.row(format!("{issuer}: altered {name}"), issuer, DecryptionFailed, move |keys| {
                keys.token(issuer).jwe().changed(change)
            });
        }
        // The header is additional data: no member may change, and not even their order.
        table.row(format!("{issuer}: a member added to the sealed header"), issuer, DecryptionFailed, move |keys| {
            keys.token(issuer).jwe().changed(|jwe| jwe.header = crate::kit::token::with(&jwe.header, "x", json!(1)))
        });
        table.row(format!("{issuer}: white space added to the sealed header"), issuer, DecryptionFailed, move |keys| {
            keys.token(issuer).jwe().changed(|jwe| jwe.header.push(b' '))
        });
    }
    for issuer in ["direct", "cbc", "nest", "gcmkw", "x25519"] {
        table.row(format!("{issuer}: sealed over no additional data"), issuer, DecryptionFailed, move |keys| {
            without_additional_data(keys, issuer)
        });
    }
    table.row("the ciphertext of one token under the header of another", "direct", DecryptionFailed, |keys| {
        let other = keys.token("direct").outer("typ", json!("JWT")).jwe();
        keys.token("direct").jwe().changed(|jwe| jwe.header = other.header)
    });
}

/// Sealed as if the header were not part of what is authenticated.
fn without_additional_data(keys: &Keys, issuer: &'static str) -> String {
    let token = keys.token(issuer);
    let mut sealed = token.jwe();
    if issuer == "cbc" {
        sealed.tag = cbc_tag(&sealed.cek[..32], "", &sealed.iv, &sealed.ciphertext)[..32].to_vec();
    } else {
        (sealed.ciphertext, sealed.tag) = gcm_raw(&sealed.cek, &sealed.iv, b"", &token.inside());
    }
    sealed.compact()
}

fn gcm_keys(table: &mut Table) {
    for (name, key) in [("zeros", [0; 32]), ("another secret", [9; 32])] {
        table.row(format!("sealed under {name}"), "direct", DecryptionFailed, move |keys| {
            let token = keys.token("direct");
            gcm(token.outer_header(), b"", &key, &IV[..12], &token.inside()).compact()
        });
    }
    for len in [1, 8, 24, 32, 40] {
        table.row(format!("an encrypted key of {len} bytes beside dir"), "direct", DecryptionFailed, move |keys| {
            keys.token("direct").jwe().changed(|jwe| jwe.encrypted_key = vec![1; len])
        });
    }
}

/// The blocks are authenticated rightly, as a holder of the key alone could, and padded wrongly: the one padding error
/// that there can be. It looks like a wrong tag.
fn cbc_padding(table: &mut Table) {
    for (name, last) in [
        ("zero", [0; 16]),
        ("more than a block", [17; 16]),
        ("255", [255; 16]),
        ("two, of which one", [9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1, 2]),
        ("sixteen, of which one is not", [16, 16, 16, 16, 16, 16, 16, 15, 16, 16, 16, 16, 16, 16, 16, 16]),
    ] {
        table.row(format!("authentic blocks whose padding is {name}"), "cbc", DecryptionFailed, move |keys| {
            let token = keys.token("cbc");
            let mut blocks = padded(&token.inside());
            let at = blocks.len() - 16;
            blocks[at..].copy_from_slice(&last);
            cbc(token.outer_header(), b"", &keys.secret("cbc"), &IV, &blocks).compact()
        });
    }
    for flip in [1, 2, 3, 4, 8, 15, 16, 31, 64, 127, 128, 200, 255] {
        table.row(format!("a padding oracle asked with {flip}"), "cbc", DecryptionFailed, move |keys| {
            keys.token("cbc").jwe().changed(|jwe| {
                let at = jwe.ciphertext.len() - 17;
                jwe.ciphertext[at] ^= flip;
            })
        });
    }
    table.row("a ciphertext of half a block", "cbc", DecryptionFailed, |keys| {
        let secret = keys.secret("cbc");
        keys.token("cbc").jwe().changed(|jwe| {
            jwe.ciphertext.truncate(8);
            jwe.tag = cbc_tag(&secret[..32], &crate::kit::b64(&jwe.header), &jwe.iv, &jwe.ciphertext)[..32].to_vec();
        })
    });
    table.row("a ciphertext of no block, rightly authenticated", "cbc", DecryptionFailed, |keys| {
        let secret = keys.secret("cbc");
        keys.token("cbc").jwe().changed(|jwe| {
            jwe.ciphertext.clear();
            jwe.tag = cbc_tag(&secret[..32], &crate::kit::b64(&jwe.header), &jwe.iv, b"")[..32].to_vec();
        })
    });
}

fn cbc_tags(table: &mut Table) {
    table.row("the second half of the MAC as tag", "cbc", DecryptionFailed, |keys| {
        let secret = keys.secret("cbc");
        keys.token("cbc").jwe().changed(|jwe| {
            jwe.tag = cbc_tag(&secret[..32], &crate::kit::b64(&jwe.header), &jwe.iv, &jwe.ciphertext)[32..].to_vec();
        })
    });
    table.row("the whole MAC as tag", "cbc", DecryptionFailed, |keys| {
        let secret = keys.secret("cbc");
        keys.token("cbc").jwe().changed(|jwe| {
            jwe.tag = cbc_tag(&secret[..32], &crate::kit::b64(&jwe.header), &jwe.iv, &jwe.ciphertext);
        })
    });
    table.row("a MAC under the half that encrypts", "cbc", DecryptionFailed, |keys| {
        let secret = keys.secret("cbc");
        keys.token("cbc").jwe().changed(|jwe| {
            jwe.tag = cbc_tag(&secret[32..], &crate::kit::b64(&jwe.header), &jwe.iv, &jwe.ciphertext)[..32].to_vec();
        })
    });
}
