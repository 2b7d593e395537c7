//! Strict base64url (RFC 4648 §5, RFC 7515 §2): no padding, no white space, no spare bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The bytes of `text`; `None` unless `text` is the one canonical spelling of them.
///
/// A lenient reader gives one token many spellings, and each of them a fresh entry in every cache and replay table.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The canonical spelling of `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_canonical_base64url_is_refused() {
        assert_eq!(decode("QQ"), Some(vec![0x41]));
        for text in ["QR", "QQ==", "QQ=", "Q", " QQ", "QQ\n", "Q+", "Q/", "QUJ", "ü"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_example_of_rfc_7515_appendix_c() {
        assert_eq!(encode(&[3, 236, 255, 224, 193]), "A-z_4ME");
    }
}
