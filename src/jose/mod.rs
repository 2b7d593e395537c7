//! RFC 7515–7519 mechanics without policy: taking tokens apart, keys, signatures, decryption, claims.
//!
//! Nothing here decides what is allowed. A caller names the algorithm, the key and the form it expects; a token's own
//! header is only ever compared with that. The room is pure: no I/O, no clock, no global configuration.
//!
//! The way of a token through the files: [`compact`] splits it and [`header`] reads its protected header; [`jwe`] opens
//! it with a key of [`decryption_key`]; [`verification_key`] checks its signature; [`claims`] reads what it says.
//! [`sign`] goes the other way, for development tokens and the gateway's own statements.
//!
//! josekit parses key material, verifies signatures and unwraps RSA content keys. Its token parser, contexts, key sets,
//! content decryption and claims helpers have known faults (truncated GCM tags, padding before MAC, panics on short
//! segments, `zip` without a bound), so none of them is used: those steps stand in this room, on OpenSSL's EVP.

pub mod alg;
pub mod base64url;
pub mod claims;
pub mod compact;
pub mod decryption_key;
pub mod embedded_key;
pub mod header;
pub mod json;
pub mod jwe;
pub mod jwk;
pub mod key_set;
pub mod sign;
pub mod verification_key;

mod aes_kw;
mod cipher;
mod content;
mod document;
mod ecdh;
mod elliptic;
mod encrypt;
mod generate;
mod hmac;
mod rsa;
#[cfg(test)]
mod vectors;

pub use alg::{ContentEncryption, KeyAlgorithm, SigningAlgorithm};
pub use claims::{Audiences, Claims, ClaimsError};
pub use compact::{Compact, CompactError, JweParts, JwsParts, split, split_proof};
pub use decryption_key::{DecryptionKey, DecryptionKeySet};
pub use document::{Items, Json, Members};
pub use embedded_key::EmbeddedKey;
pub use header::{HeaderError, JoseHeader, is_media_type, media_type};
pub use json::JsonError;
pub use jwe::{DecryptionFailed, decrypt};
pub use jwk::{KeyError, shared_secret, thumbprint};
pub use key_set::{KeySelectionError, KeySetError, VerificationKeySet};
pub use sign::{SignError, SigningKey};
pub use verification_key::{BadSignature, VerificationKey};
