//! Client certificates as keys of tokens (RFC 8705 §3), from our own handshake or from a trusted proxy's header
//! (RFC 9440).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use openssl::sha::sha256;
use openssl::x509::X509;

/// The header field in which a TLS-terminating proxy tells the client's certificate (RFC 9440 §2.2).
pub const CLIENT_CERT: &str = "client-cert";

/// The longest field that is read: a certificate of 8 KiB in base64.
const MAX_FIELD_LEN: usize = 11 * 1024;

/// Structured fields (RFC 8941 §4.2.7) want readers to put up with missing padding and with spare bits.
const BYTE_SEQUENCE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// SHA-256 over the DER form of a certificate.
pub type CertificateDigest = [u8; 32];

/// Why a `Client-Cert` field tells no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientCertError {
    /// The field occurs more than once: one of them may be the client's own.
    #[error("the Client-Cert field occurs more than once")]
    Several,
    /// Not one Byte Sequence (RFC 8941 §3.3.5): base64 between colons.
    #[error("the Client-Cert field is not one byte sequence")]
    Malformed,
    /// The bytes are not one X.509 certificate in DER.
    #[error("the Client-Cert field holds no certificate")]
    NoCertificate,
}

/// The certificate that a proxy says the client presented, by digest; `None` where the field is absent.
///
/// The caller asks this only of proxies it trusts: anybody can write the field.
pub fn forwarded_certificate(headers: &HeaderMap) -> Result<Option<CertificateDigest>, ClientCertError> {
    let mut fields = headers.get_all(CLIENT_CERT).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(ClientCertError::Several);
    }
    let der = byte_sequence(field.as_bytes()).ok_or(ClientCertError::Malformed)?;
    let whole = X509::from_der(&der).and_then(|certificate| certificate.to_der());
    // Bytes behind the certificate would change its digest, and a lenient reader would not see them.
    match whole {
        Ok(canonical) if canonical == der => Ok(Some(sha256(&der))),
        _ => Err(ClientCertError::NoCertificate),
    }
}

fn byte_sequence(field: &[u8]) -> Option<Vec<u8>> {
    let inner = field.trim_ascii().strip_prefix(b":")?.strip_suffix(b":")?;
    if inner.is_empty() || field.len() > MAX_FIELD_LEN { None } else { BYTE_SEQUENCE.decode(inner).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// The certificate of RFC 9440 appendix A, as RFC 9421 §B.3 writes it into the field.
    const EXAMPLE: &str = "MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBg\
        NVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0\
        CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyM\
        HAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwI\
        wHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TA\
        iEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=";

    fn read(fields: &[&str]) -> Result<Option<CertificateDigest>, ClientCertError> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(CLIENT_CERT, HeaderValue::from_str(field).unwrap());
        }
        forwarded_certificate(&headers)
    }

    #[test]
    fn the_example_of_rfc_9440_appendix_a() {
        let der = BYTE_SEQUENCE.decode(EXAMPLE).unwrap();
        let subject = X509::from_der(&der).unwrap();
        assert_eq!(subject.subject_name().entries().next().unwrap().data().as_slice(), b"BC");
        assert_eq!(read(&[&format!(":{EXAMPLE}:")]), Ok(Some(sha256(&der))));
        assert_eq!(read(&[&format!(" :{}: ", EXAMPLE.trim_end_matches('='))]), Ok(Some(sha256(&der))));
    }

    #[test]
    fn no_field_is_no_certificate() {
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn two_fields_are_never_one() {
        let field = format!(":{EXAMPLE}:");
        assert_eq!(read(&[&field, &field]), Err(ClientCertError::Several));
        assert_eq!(read(&[&format!("{field}, {field}")]), Err(ClientCertError::Malformed));
    }

    #[test]
    fn what_is_no_byte_sequence_is_refused() {
        for field in ["", ":", "::", EXAMPLE, &format!(":{EXAMPLE}"), ":a b:", ":a_-b:", "?1", ":AQ:;x=1"] {
            assert_eq!(read(&[field]), Err(ClientCertError::Malformed), "{field}");
        }
        assert_eq!(read(&[&format!(":{}:", "A".repeat(MAX_FIELD_LEN))]), Err(ClientCertError::Malformed));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let mut der = BYTE_SEQUENCE.decode(EXAMPLE).unwrap();
        der.push(0);
        for bytes in [&b"x"[..], &der, &der[..100]] {
            let field = format!(":{}:", BYTE_SEQUENCE.encode(bytes));
            assert_eq!(read(&[&field]), Err(ClientCertError::NoCertificate));
        }
    }
}
