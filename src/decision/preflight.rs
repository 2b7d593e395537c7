//! The question a browser asks before it lets a page send a request to another origin (WHATWG Fetch §3.2.2).

use super::course::Course;
use super::{Denial, Memory, Reason, Snapshot, Trace};
use crate::observe::Observer;
use crate::request::Facts;
use crate::route::{RouteId, cors};
use http::{HeaderName, HeaderValue};

/// The answer to a preflight: it needs no token, and reaches no upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The route of the request that is asked about.
    pub route: RouteId,
    /// The headers that allow it, or do not.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Answers a preflight for a route that speaks for its upstream in these matters; `None` for every other request,
/// which then goes through [`decide`](super::decide()).
///
/// It takes the same first steps as that: path, host, route (by the method that is asked about), lock-out and rate by
/// client.
pub async fn preflight(
    snapshot: &Snapshot,
    memory: Memory<'_>,
    facts: &Facts<'_>,
    observer: &dyn Observer,
    trace: &mut Trace,
) -> Option<Result<Preflight, Denial>> {
    let asked = cors::preflight_method(facts.method, facts.headers)?;
    let meant = Facts { method: &asked, ..facts.clone() };
    let mut course = Course::new(snapshot, memory, &meant, observer, trace);
    match walk(&mut course).await {
        Ok(answer) => answer.map(Ok),
        // Without a route nobody has said that the gateway answers: an upstream may have its own OPTIONS.
        Err(_) if course.is_unrouted() => None,
        Err(reason) => Some(Err(course.denial(reason))),
    }
}

async fn walk(course: &mut Course<'_>) -> Result<Option<Preflight>, Reason> {
    let path = course.path()?;
    let host = course.host()?;
    let (policy, _) = course.route(&host, &path)?;
    let Some(cors) = &policy.edge.cors else { return Ok(None) };
    course.admit(policy).await?;
    Ok(Some(Preflight { route: course.routed(), headers: cors.preflight_headers(course.headers()) }))
}
