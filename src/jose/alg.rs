//! The closed lists of algorithms (RFC 7518 §3.1, §4.1, §5.1; RFC 8037; RFC 9864).
//!
//! Each list exists once. What is not in it can't be configured and can't be named by a token: `none`, RSA1_5 and
//! PBES2 are not refused somewhere, they do not exist.

use std::fmt;

/// Declares an enum whose variants and wire names stand in one place.
macro_rules! closed_list {
    ($(#[$meta:meta])* $list:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $list { $($(#[$doc])* $variant,)+ }

        impl $list {
            /// Every member, in the order of the RFC's table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            fn by_wire_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $list {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

closed_list! {
    /// JWS `alg` (RFC 7518 §3.1, RFC 8037 §3.1).
    SigningAlgorithm {
        /// HMAC with SHA-256.
        HS256 = "HS256",
        /// HMAC with SHA-384.
        HS384 = "HS384",
        /// HMAC with SHA-512.
        HS512 = "HS512",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        RS256 = "RS256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        RS384 = "RS384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        RS512 = "RS512",
        /// RSASSA-PSS with SHA-256 and a 32-byte salt.
        PS256 = "PS256",
        /// RSASSA-PSS with SHA-384 and a 48-byte salt.
        PS384 = "PS384",
        /// RSASSA-PSS with SHA-512 and a 64-byte salt.
        PS512 = "PS512",
        /// ECDSA on P-256 with SHA-256.
        ES256 = "ES256",
        /// ECDSA on P-384 with SHA-384.
        ES384 = "ES384",
        /// ECDSA on P-521 with SHA-512.
        ES512 = "ES512",
        /// Ed25519. Ed448 is not supported under this name.
        EdDSA = "EdDSA",
    }
}

closed_list! {
    /// JWE `alg`: how the content encryption key travels (RFC 7518 §4.1).
    KeyAlgorithm {
        /// The shared key is the content encryption key.
        Dir = "dir",
        /// AES Key Wrap, 128-bit key.
        A128KW = "A128KW",
        /// AES Key Wrap, 192-bit key.
        A192KW = "A192KW",
        /// AES Key Wrap, 256-bit key.
        A256KW = "A256KW",
        /// AES-GCM key wrap, 128-bit key.
        A128GCMKW = "A128GCMKW",
        /// AES-GCM key wrap, 192-bit key.
        A192GCMKW = "A192GCMKW",
        /// AES-GCM key wrap, 256-bit key.
        A256GCMKW = "A256GCMKW",
        /// RSAES-OAEP with SHA-1 and MGF1-SHA-1.
        RsaOaep = "RSA-OAEP",
        /// RSAES-OAEP with SHA-256 and MGF1-SHA-256.
        RsaOaep256 = "RSA-OAEP-256",
        /// ECDH-ES whose result is the content encryption key.
        EcdhEs = "ECDH-ES",
        /// ECDH-ES, then A128KW.
        EcdhEsA128KW = "ECDH-ES+A128KW",
        /// ECDH-ES, then A192KW.
        EcdhEsA192KW = "ECDH-ES+A192KW",
        /// ECDH-ES, then A256KW.
        EcdhEsA256KW = "ECDH-ES+A256KW",
    }
}

closed_list! {
    /// JWE `enc`: how the content is encrypted (RFC 7518 §5.1).
    ContentEncryption {
        /// AES-GCM, 128-bit key.
        A128GCM = "A128GCM",
        /// AES-GCM, 192-bit key.
        A192GCM = "A192GCM",
        /// AES-GCM, 256-bit key.
        A256GCM = "A256GCM",
        /// AES-128-CBC with HMAC-SHA-256.
        A128CbcHs256 = "A128CBC-HS256",
        /// AES-192-CBC with HMAC-SHA-384.
        A192CbcHs384 = "A192CBC-HS384",
        /// AES-256-CBC with HMAC-SHA-512.
        A256CbcHs512 = "A256CBC-HS512",
    }
}

impl SigningAlgorithm {
    /// The algorithm of this wire name. `Ed25519` (RFC 9864 §2.2) means the same as `EdDSA` here.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "Ed25519" { Some(Self::EdDSA) } else { Self::by_wire_name(name) }
    }

    /// Whether signer and verifier share one secret.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }

    /// Whether the key is an RSA key.
    #[must_use]
    pub const fn is_rsa(self) -> bool {
        matches!(self, Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512)
    }

    /// Whether it computes on P-384 or P-521, where it takes a multiple of what it takes on P-256.
    #[must_use]
    pub const fn is_on_large_curve(self) -> bool {
        matches!(self, Self::ES384 | Self::ES512)
    }

    /// The exact signature length in bytes; `None` for RSA, where it is the length of the modulus.
    #[must_use]
    pub const fn signature_len(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 | Self::ES256 | Self::EdDSA => Some(64),
            Self::ES384 => Some(96),
            Self::ES512 => Some(132),
            _ => None,
        }
    }
}

impl KeyAlgorithm {
    /// The algorithm of this wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::by_wire_name(name)
    }

    /// Whether both sides share one secret, so that a token that opens can only come from a holder of it.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        !matches!(self, Self::RsaOaep | Self::RsaOaep256) && !self.is_ecdh()
    }

    /// Whether the key is agreed by ECDH-ES (RFC 7518 §4.6).
    #[must_use]
    pub const fn is_ecdh(self) -> bool {
        matches!(self, Self::EcdhEs | Self::EcdhEsA128KW | Self::EcdhEsA192KW | Self::EcdhEsA256KW)
    }

    /// The length in bytes of the AES key that wraps the content key; `None` where nothing is wrapped with AES.
    #[must_use]
    pub const fn wrapping_key_len(self) -> Option<usize> {
        match self {
            Self::A128KW | Self::A128GCMKW | Self::EcdhEsA128KW => Some(16),
            Self::A192KW | Self::A192GCMKW | Self::EcdhEsA192KW => Some(24),
            Self::A256KW | Self::A256GCMKW | Self::EcdhEsA256KW => Some(32),
            Self::Dir | Self::RsaOaep | Self::RsaOaep256 | Self::EcdhEs => None,
        }
    }
}

impl ContentEncryption {
    /// The encryption of this wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::by_wire_name(name)
    }

    /// Whether this is AES-GCM; else it is AES-CBC with HMAC.
    #[must_use]
    pub const fn is_gcm(self) -> bool {
        matches!(self, Self::A128GCM | Self::A192GCM | Self::A256GCM)
    }

    /// The length of the content encryption key in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::A128GCM => 16,
            Self::A192GCM => 24,
            Self::A256GCM | Self::A128CbcHs256 => 32,
            Self::A192CbcHs384 => 48,
            Self::A256CbcHs512 => 64,
        }
    }

    /// The only legal length of the initialization vector in bytes.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        if self.is_gcm() { 12 } else { 16 }
    }

    /// The only legal length of the authentication tag in bytes.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        if self.is_gcm() { 16 } else { self.key_len() / 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_member() {
        assert!(SigningAlgorithm::ALL.iter().all(|alg| SigningAlgorithm::from_name(alg.name()) == Some(*alg)));
        assert!(KeyAlgorithm::ALL.iter().all(|alg| KeyAlgorithm::from_name(alg.name()) == Some(*alg)));
        assert!(ContentEncryption::ALL.iter().all(|enc| ContentEncryption::from_name(enc.name()) == Some(*enc)));
    }

    #[test]
    fn ed25519_is_eddsa() {
        assert_eq!(SigningAlgorithm::from_name("Ed25519"), Some(SigningAlgorithm::EdDSA));
    }

    #[test]
    fn dangerous_names_do_not_exist() {
        for name in ["none", "None", "NONE", "", "hs256", "ES256K", "Ed448"] {
            assert_eq!(SigningAlgorithm::from_name(name), None, "{name}");
        }
        for name in ["RSA1_5", "PBES2-HS256+A128KW", "RSA-OAEP-512", "DIR"] {
            assert_eq!(KeyAlgorithm::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn only_shared_keys_count_as_symmetric() {
        let symmetric: Vec<_> = KeyAlgorithm::ALL.iter().filter(|alg| alg.is_symmetric()).map(|a| a.name()).collect();
        assert_eq!(symmetric, ["dir", "A128KW", "A192KW", "A256KW", "A128GCMKW", "A192GCMKW", "A256GCMKW"]);
    }
}
