//! AES ciphers fetched once for the process: an implicit fetch costs more than decrypting a token does.

use openssl::cipher::{Cipher, CipherRef};
use std::sync::OnceLock;

/// How AES is run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode {
    Ecb,
    Cbc,
    Gcm,
}

const NAMES: [[&str; 3]; 3] = [
    ["AES-128-ECB", "AES-192-ECB", "AES-256-ECB"],
    ["AES-128-CBC", "AES-192-CBC", "AES-256-CBC"],
    ["AES-128-GCM", "AES-192-GCM", "AES-256-GCM"],
];

/// AES in `mode` for keys of `key_len` bytes; `None` for a length AES does not have.
pub(super) fn aes(mode: Mode, key_len: usize) -> Option<&'static CipherRef> {
    static FETCHED: [[OnceLock<Option<Cipher>>; 3]; 3] = [const { [const { OnceLock::new() }; 3] }; 3];
    let row = match mode {
        Mode::Ecb => 0,
        Mode::Cbc => 1,
        Mode::Gcm => 2,
    };
    let column = match key_len {
        16 => 0,
        24 => 1,
        32 => 2,
        _ => return None,
    };
    FETCHED[row][column].get_or_init(|| Cipher::fetch(None, NAMES[row][column], None).ok()).as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cipher_exists_with_its_key_length() {
        for mode in [Mode::Ecb, Mode::Cbc, Mode::Gcm] {
            for len in [16, 24, 32] {
                assert_eq!(aes(mode, len).map(CipherRef::key_length), Some(len), "{mode:?} {len}");
            }
            assert!(aes(mode, 0).is_none() && aes(mode, 20).is_none());
        }
    }
}
