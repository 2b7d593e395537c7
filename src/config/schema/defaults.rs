//! `defaults`: what every route starts from; a route may tighten it, never loosen it.

use super::edge::Limits;
use super::identity::Identity;
use super::routes::AccessRules;
use schemars::JsonSchema;
use serde::Deserialize;

/// What every route starts from. A route may tighten these values, never loosen them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// The rules every token must pass.
    pub access: Option<AccessRules>,
    /// What every upstream is told.
    pub identity: Option<Identity>,
    /// The limits of every route.
    pub limits: Option<Limits>,
}
