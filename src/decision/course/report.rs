//! What a route in report mode asks: the same as any other, of which nothing is spent and nothing is kept.

use super::Course;
use crate::authn::{ProofOfPossession, Verified};
use crate::decision::{Guard, Memory, Reason, Report};
use crate::identity::TokenHandling;

impl Course<'_> {
    /// What [`Self::claim`] would say. In a real request too nothing is claimed: the caller may come again once the route
    /// enforces what it reports.
    pub(in crate::decision) async fn peek(
        &mut self,
        guard: &Guard,
        token: &Verified,
        possession: &ProofOfPossession,
    ) -> Result<(), Reason> {
        let live = self.memory;
        if let Memory::Live(memory) = live {
            self.memory = Memory::Peek(memory);
        }
        let answer = self.claim(guard, token, possession).await;
        self.memory = live;
        answer.map(drop)
    }

    /// What a route that only reports has found. What is not about the credential is refused there too.
    pub(in crate::decision) fn report(&mut self, found: Result<(), Reason>) -> Result<Report, Reason> {
        let would_deny = found.err();
        self.trace.peeked(self.claims.clone());
        match would_deny {
            Some(reason) if !reason.is_about_credential() => Err(reason),
            _ => Ok(Report { would_deny, issuer: self.issuer }),
        }
    }

    /// What the route's configuration says of the token.
    pub(in crate::decision) fn token_handling(&self) -> TokenHandling {
        self.snapshot.identities.get(self.routed().index()).map(|plan| plan.token).unwrap_or_default()
    }
}
