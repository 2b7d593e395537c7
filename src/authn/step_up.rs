//! Step-up (RFC 9470): what a route asks of the user's authentication beyond "there was one".

use crate::clock::UnixTime;
use crate::jose::{Claims, Json};
use std::sync::Arc;
use std::time::Duration;

/// What one route asks of the authentication behind a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUp {
    acr_values: Vec<String>,
    acr_text: Option<Arc<str>>,
    max_age: Option<Duration>,
    amr: Vec<String>,
}

/// Why a demand is none that a client could act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepUpError {
    /// Neither `acr_values` nor `max_age`: a client can ask an authorization server for these two only (RFC 9470 §4).
    #[error("asks nothing a client could act on: name acr_values or max_age")]
    NotActionable,
    /// A value that can't stand in a space-separated list inside a quoted string.
    #[error("{0:?} can't stand in a challenge: printable ASCII without space, quote and backslash")]
    BadValue(String),
}

/// What the authentication lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Insufficient {
    /// `acr` is none of the route's.
    #[error("acr is none of the route's")]
    Context,
    /// `auth_time` is absent, too long ago, or lies ahead.
    #[error("the user has not authenticated recently enough")]
    Age,
    /// `amr` lacks a method.
    #[error("amr lacks a method")]
    Methods,
}

impl StepUp {
    /// One of `acr_values`, at most `max_age` ago, by every method of `amr`.
    pub fn new(acr_values: Vec<String>, max_age: Option<Duration>, amr: Vec<String>) -> Result<Self, StepUpError> {
        if acr_values.is_empty() && max_age.is_none() {
            return Err(StepUpError::NotActionable);
        }
        let writable = |value: &String| {
            !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
        };
        if let Some(bad) = acr_values.iter().find(|value| !writable(value)) {
            return Err(StepUpError::BadValue(bad.clone()));
        }
        let acr_text = (!acr_values.is_empty()).then(|| acr_values.join(" ").into());
        Ok(Self { acr_values, acr_text, max_age, amr })
    }

    /// The acceptable values of `acr` separated by spaces, as the challenge lists them (RFC 9470 §3).
    #[must_use]
    pub fn acr_text(&self) -> Option<&Arc<str>> {
        self.acr_text.as_ref()
    }

    /// The longest time since the user authenticated.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// The methods, all of which must have been used.
    #[must_use]
    pub fn methods(&self) -> &[String] {
        &self.amr
    }

    /// Judges the authentication that `claims` tell of: `acr`, `auth_time` (RFC 9068 §2.2.1) and `amr` (RFC 8176).
    pub fn check(&self, claims: &Claims, now: UnixTime, leeway: Duration) -> Result<(), Insufficient> {
        let of_route = |acr: &str| self.acr_values.iter().any(|value| value == acr);
        if !self.acr_values.is_empty() && !claims.text("acr").is_some_and(of_route) {
            return Err(Insufficient::Context);
        }
        if let Some(max_age) = self.max_age {
            let recent = |time: UnixTime| now <= time.plus(max_age).plus(leeway) && time <= now.plus(leeway);
            if !claims.authenticated_at().is_some_and(recent) {
                return Err(Insufficient::Age);
            }
        }
        let used = claims.get("amr").and_then(Json::as_array);
        let was_used = |method: &String| used.is_some_and(|mut used| used.any(|one| one.as_str() == Some(method)));
        if self.amr.iter().all(was_used) { Ok(()) } else { Err(Insufficient::Methods) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEEWAY: Duration = Duration::from_secs(10);

    fn step_up() -> StepUp {
        let values = vec!["urn:loa:2".to_owned(), "urn:loa:3".to_owned()];
        StepUp::new(values, Some(Duration::from_secs(600)), vec!["otp".to_owned()]).unwrap()
    }

    fn check(claims: &str) -> Result<(), Insufficient> {
        step_up().check(&Claims::parse(claims.as_bytes()).unwrap(), UnixTime::from_seconds(10_000), LEEWAY)
    }

    #[test]
    fn an_authentication_that_has_all_is_enough() {
        assert_eq!(check(r#"{"acr":"urn:loa:2","auth_time":9500,"amr":["pwd","otp"]}"#), Ok(()));
        assert_eq!(check(r#"{"acr":"urn:loa:3","auth_time":9390,"amr":["otp"]}"#), Ok(()));
        assert_eq!(check(r#"{"acr":"urn:loa:3","auth_time":10010,"amr":["otp"]}"#), Ok(()));
    }

    #[test]
    fn each_lack_is_named() {
        for (claims, lack) in [
            (r#"{"auth_time":9500,"amr":["otp"]}"#, Insufficient::Context),
            (r#"{"acr":"urn:loa:1","auth_time":9500,"amr":["otp"]}"#, Insufficient::Context),
            (r#"{"acr":"urn:loa:2 urn:loa:3","auth_time":9500,"amr":["otp"]}"#, Insufficient::Context),
            (r#"{"acr":"urn:loa:2","amr":["otp"]}"#, Insufficient::Age),
            (r#"{"acr":"urn:loa:2","auth_time":9389,"amr":["otp"]}"#, Insufficient::Age),
            (r#"{"acr":"urn:loa:2","auth_time":10011,"amr":["otp"]}"#, Insufficient::Age),
            (r#"{"acr":"urn:loa:2","auth_time":9500}"#, Insufficient::Methods),
            (r#"{"acr":"urn:loa:2","auth_time":9500,"amr":["pwd"]}"#, Insufficient::Methods),
            (r#"{"acr":"urn:loa:2","auth_time":9500,"amr":"otp"}"#, Insufficient::Methods),
        ] {
            assert_eq!(check(claims), Err(lack), "{claims}");
        }
    }

    #[test]
    fn a_demand_no_client_could_act_on_is_refused() {
        assert_eq!(StepUp::new(vec![], None, vec!["otp".into()]), Err(StepUpError::NotActionable));
        for bad in ["", "a b", "a\"b", "a\\b", "é"] {
            assert_eq!(StepUp::new(vec![bad.into()], None, vec![]), Err(StepUpError::BadValue(bad.into())));
        }
        assert_eq!(step_up().acr_text().map(|text| &**text), Some("urn:loa:2 urn:loa:3"));
    }
}
