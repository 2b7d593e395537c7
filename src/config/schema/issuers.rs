//! `issuers`: whose tokens are believed, and what they look like.

use super::fetch::{Fetch, IssuerKeys};
use super::value::{ClaimPath, Duration, Line, List, Name, SecretRef, Size};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// One issuer and the contract its tokens keep.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The issuer's name.
    #[schemars(required)]
    pub name: Option<Name>,
    /// The exact value of the claim `iss`.
    #[schemars(required, extend("examples" = ["https://idp.example.com"]))]
    pub issuer: Option<Line>,
    /// The audiences of which a token must name at least one in `aud`.
    #[schemars(required, length(min = 1))]
    pub audiences: Option<List<Line>>,
    /// Where the issuer's keys come from: exactly one of its keys. Sealed tokens may name `token.decryption_keys`
    /// instead.
    pub keys: Option<IssuerKeys>,
    /// How keys are fetched, where `keys` has `discovery` or `jwks_uri`.
    pub fetch: Option<Fetch>,
    /// What the issuer's tokens look like; anything else is refused before any cryptography.
    #[schemars(required)]
    pub token: Option<Token>,
}

/// The form of an issuer's tokens.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// How a token is built. Default: signed.
    pub form: Option<Form>,
    /// The signature algorithms accepted (JWS `alg`). Mandatory for signed and nested tokens.
    #[schemars(length(min = 1))]
    pub signing_algorithms: Option<List<SigningAlgorithm>>,
    /// The key management algorithms accepted (JWE `alg`). Mandatory for nested and sealed tokens.
    #[schemars(length(min = 1))]
    pub key_algorithms: Option<List<KeyAlgorithm>>,
    /// The content encryptions accepted (JWE `enc`). Mandatory for nested and sealed tokens.
    #[schemars(length(min = 1))]
    pub content_encryptions: Option<List<ContentEncryption>>,
    /// The private or symmetric keys that open nested tokens: a JWK or a JWKS.
    pub decryption_keys: Option<SecretRef>,
    /// The values of `typ` accepted. Default: `at+jwt`, `JWT` or none.
    #[schemars(length(min = 1))]
    pub types: Option<List<Line>>,
    /// The claim that holds the scopes, as a string or a list. Default: scope.
    pub scope_claim: Option<ClaimPath>,
    /// The claim that identifies the token. Default: jti.
    pub id_claim: Option<ClaimPath>,
    /// The longest time from `iat` to `exp`; makes `iat` mandatory.
    pub max_lifetime: Option<Duration>,
    /// How far the issuer's clock may be off. Default: 10s.
    pub leeway: Option<Duration>,
    /// The largest token accepted. Default: 8KiB.
    pub max_size: Option<Size>,
    /// Claims a token must have besides `iss`, `aud` and `exp`.
    pub required_claims: Option<List<ClaimPath>>,
}

/// How a token is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A JWS.
    Signed,
    /// A JWE around a JWS.
    Nested,
    /// A symmetric JWE with the claims inside.
    Sealed,
}

/// Gives a name out of a closed list of `jose` its place in the schema. The list itself exists once, there.
macro_rules! listed_name {
    ($(#[$doc:meta])* $name:ident, $list:ty, $is:literal, aliases: $aliases:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub $list);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = Cow::<'de, str>::deserialize(deserializer)?;
                <$list>::from_name(&name).map(Self).ok_or_else(|| serde::de::Error::custom(concat!("not ", $is)))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut names: Vec<&str> = <$list>::ALL.iter().map(|algorithm| algorithm.name()).collect();
                names.extend::<[&str; _]>($aliases);
                json_schema!({ "type": "string", "x-is": $is, "enum": names })
            }
        }
    };
}

listed_name! {
    /// A JWS `alg`.
    SigningAlgorithm, crate::jose::SigningAlgorithm, "a signature algorithm known here", aliases: ["Ed25519"]
}
listed_name! {
    /// A JWE `alg`.
    KeyAlgorithm, crate::jose::KeyAlgorithm, "a key management algorithm known here", aliases: []
}
listed_name! {
    /// A JWE `enc`.
    ContentEncryption, crate::jose::ContentEncryption, "a content encryption known here", aliases: []
}
