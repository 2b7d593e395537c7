//! What the audit log is told of a decision.

use super::context::Context;
use super::{Gateway, Judged, Shared};
use crate::authn::NotReplayed;
use crate::clock::UnixTime;
use crate::decision::{Denial, Permit, Reason, Snapshot, Trace};
use crate::issuer::IssuerId;
use crate::jose::{Claims, Json};
use crate::telemetry::{AuditRecord, Outcome};
use http::request::Parts;
use std::net::{IpAddr, Ipv4Addr};

impl Gateway {
    /// A trace for the decision, where the audit log wants one.
    pub(super) fn trace(&self) -> Trace {
        let wanted = self.shared.audit.as_ref().is_some_and(|audit| audit.wants_trace());
        if wanted { Trace::on() } else { Trace::off() }
    }

    /// Records one decision. Waits for a place in the queue where the policy says so, and never for long.
    pub(super) async fn audit(
        &self,
        request: &Parts,
        context: &Context,
        judged: &Result<Judged, Denial>,
        trace: &Trace,
    ) {
        let Some(audit) = &self.shared.audit else { return };
        let snapshot = &context.generation.snapshot;
        let base = AuditRecord {
            time: context.time,
            outcome: Outcome::Public,
            reason: None,
            route: "none",
            issuer: "none",
            subject: None,
            token_id: None,
            unproven: None,
            request_id: context.request_id.as_str(),
            client: context.arrival.as_ref().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |arrival| arrival.client),
            method: request.method.as_str(),
            path: request.uri.path(),
            trace: Some(trace),
        };
        let record = match judged {
            Ok(Judged::Permit(permit)) => permitted(base, permit, snapshot),
            // A question about the route, which the gateway answers itself.
            Ok(Judged::Preflight(preflight)) => {
                AuditRecord { route: snapshot.route_name(Some(preflight.route)), ..base }
            }
            Err(denial) => denied(base, denial, snapshot),
        };
        audit.record(&record).await;
    }
}

fn permitted<'a>(base: AuditRecord<'a>, permit: &'a Permit, snapshot: &'a Snapshot) -> AuditRecord<'a> {
    let claims = permit.token().map(|token| &**token.claims());
    let unproven = permit.freshness().and_then(NotReplayed::unproven);
    AuditRecord {
        outcome: Outcome::permitted(permit),
        reason: permit.report().and_then(|report| report.would_deny).map(Reason::label),
        route: snapshot.route_name(Some(permit.route())),
        unproven: unproven.map(crate::store::StoreError::label),
        ..about(base, permit.issuer(), claims, snapshot)
    }
}

fn denied<'a>(base: AuditRecord<'a>, denial: &'a Denial, snapshot: &'a Snapshot) -> AuditRecord<'a> {
    AuditRecord {
        outcome: Outcome::refused(denial.reason),
        reason: Some(denial.reason.label()),
        route: snapshot.route_name(denial.route),
        ..about(base, denial.issuer, denial.claims.as_deref(), snapshot)
    }
}

fn about<'a>(
    base: AuditRecord<'a>,
    issuer: Option<IssuerId>,
    claims: Option<&'a Claims>,
    snapshot: &'a Snapshot,
) -> AuditRecord<'a> {
    let profile = issuer.and_then(|issuer| snapshot.issuers.profile(issuer));
    let token_id = claims.zip(profile).and_then(|(claims, profile)| claims.lookup(&profile.contract.id_claim));
    AuditRecord {
        issuer: snapshot.issuer_name(issuer),
        subject: claims.and_then(Claims::subject),
        token_id: token_id.and_then(Json::as_str),
        ..base
    }
}

/// Records what was refused before a decision could be asked: a faulty head, or a token sent in the clear, which must be
/// taken for stolen.
pub(super) async fn refused_unasked(
    shared: &Shared,
    (time, request_id): (UnixTime, &str),
    (method, path): (&str, &str),
    client: IpAddr,
    reason: Reason,
) {
    let Some(audit) = &shared.audit else { return };
    let record = AuditRecord {
        time,
        outcome: Outcome::refused(reason),
        reason: Some(reason.label()),
        route: "none",
        issuer: "none",
        subject: None,
        token_id: None,
        unproven: None,
        request_id,
        client,
        method,
        path,
        trace: None,
    };
    audit.record(&record).await;
}
