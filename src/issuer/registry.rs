//! All issuers, and the choice of the one whose contract a token is judged by.

use super::{IssuerId, IssuerProfile};
use crate::jose::JoseHeader;
use std::sync::Arc;

/// All issuers of one generation of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    profiles: Vec<Arc<IssuerProfile>>,
}

/// Why no issuer was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchosen {
    /// No issuer of the route makes tokens of this form.
    #[error("no issuer of the route makes tokens of this form")]
    WrongForm,
    /// None of the issuers of this form can be the one.
    #[error("no issuer of the route can have made this token")]
    Unknown,
}

impl Registry {
    /// The registry of `profiles`, in the order of their ids.
    #[must_use]
    pub fn new(profiles: Vec<Arc<IssuerProfile>>) -> Self {
        Self { profiles }
    }

    /// The profile of `id`. Ids come from the same configuration, so it is there; a foreign id finds nothing.
    #[must_use]
    pub fn profile(&self, id: IssuerId) -> Option<&Arc<IssuerProfile>> {
        self.profiles.get(id.index())
    }

    /// All profiles with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (IssuerId, &Arc<IssuerProfile>)> {
        self.profiles.iter().enumerate().map(|(index, profile)| (IssuerId::new(index), profile))
    }

    /// Chooses among `candidates` for a JWS, by its not yet verified `iss`.
    ///
    /// The choice is no trust: the chosen contract is then enforced in full, and the verified `iss` compared again.
    /// `iss` is `None` where the payload could not be read; then only a sole candidate can be meant.
    pub fn choose_signed(&self, candidates: &[IssuerId], iss: Option<&str>) -> Result<IssuerId, Unchosen> {
        let of_form = self.of_form(candidates, false)?;
        match iss {
            Some(iss) => self.with_issuer(&of_form, iss).ok_or(Unchosen::Unknown),
            None => sole(&of_form).ok_or(Unchosen::Unknown),
        }
    }

    /// Chooses among `candidates` for a JWE: by its replicated `iss` (RFC 7519 §5.3), else by the `kid` of a
    /// decryption key, else the only issuer of an encrypted form.
    pub fn choose_encrypted(&self, candidates: &[IssuerId], header: &JoseHeader) -> Result<IssuerId, Unchosen> {
        let of_form = self.of_form(candidates, true)?;
        if let Some(iss) = header.iss.as_deref() {
            return self.with_issuer(&of_form, iss).ok_or(Unchosen::Unknown);
        }
        if let Some(kid) = header.kid.as_deref() {
            let holds = |id: &IssuerId| {
                let keys = self.profile(*id).and_then(|profile| profile.keys.decryption());
                keys.is_some_and(|keys| keys.has_kid(kid))
            };
            let holders: Vec<IssuerId> = of_form.iter().copied().filter(holds).collect();
            if let Some(id) = sole(&holders) {
                return Ok(id);
            }
        }
        sole(&of_form).ok_or(Unchosen::Unknown)
    }

    fn of_form(&self, candidates: &[IssuerId], encrypted: bool) -> Result<Vec<IssuerId>, Unchosen> {
        let fits = |id: &IssuerId| self.profile(*id).is_some_and(|p| p.contract.form.is_encrypted() == encrypted);
        let found: Vec<IssuerId> = candidates.iter().copied().filter(fits).collect();
        if found.is_empty() { Err(Unchosen::WrongForm) } else { Ok(found) }
    }

    fn with_issuer(&self, candidates: &[IssuerId], iss: &str) -> Option<IssuerId> {
        let named = |id: &&IssuerId| self.profile(**id).is_some_and(|profile| &*profile.issuer == iss);
        candidates.iter().find(named).copied()
    }
}

fn sole(ids: &[IssuerId]) -> Option<IssuerId> {
    match ids {
        [id] => Some(*id),
        _ => None,
    }
}
