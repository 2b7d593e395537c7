//! The gateway's own endpoints on the public listeners, under `/.tollgate/`.

use super::ingress::{self, Arrival};
use super::{Context, Gateway, respond};
use crate::authn::revocation::{LogoutRefusal, NotKept, log_out};
use crate::decision::{Denial, Reason};
use crate::limit::{ClientNetwork, Counted, Per, RateRule};
use crate::observe::Observer as _;
use crate::request::form::parameter;
use crate::store::Counting;
use http::{HeaderMap, Method, StatusCode, header};
use log::{info, warn};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use std::time::Duration;

/// Where an identity provider sends its log-out notices.
const LOGOUT: &[u8] = b"/.tollgate/backchannel-logout";
/// The largest notice with its form around it.
const MAX_FORM: usize = 64 * 1024;
/// How long it may take to arrive.
const FORM_TIME: Duration = Duration::from_secs(10);

/// How many notices of one client may be refused: each costs us a signature, and an honest provider has none refused.
const REFUSED_NOTICES: RateRule = RateRule { per: Per::Client, requests: 60, period: Duration::from_secs(60) };
/// What they are counted under: no route is called so.
const OF_NOTICES: &str = "/.tollgate/backchannel-logout";

/// One of our own endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// OpenID Connect Back-Channel Logout 1.0.
    Logout,
}

impl Own {
    /// The endpoint a request is for. Only the exact path counts: no other spelling of it is served by anybody.
    pub(super) fn of(request: &RequestHeader) -> Option<Self> {
        let (path, _) = ingress::target(request).ok()?;
        (path == LOGOUT).then_some(Self::Logout)
    }
}

impl Gateway {
    /// Serves `own`. `Err`: the request is refused as any other would be.
    pub(super) async fn serve(
        &self,
        own: Own,
        session: &mut ServerSession,
        context: &mut Context,
    ) -> Result<Result<StatusCode, Denial>> {
        let arrival = context.arrival.insert(Arrival::of(session, &self.shared.listeners, context.time));
        if let Err(reason) = ingress::check_framing(session, self.shared.settings.max_header) {
            return Ok(Err(reason.into()));
        }
        if session.req_header().method != Method::POST {
            let allow = vec![Method::POST];
            return Ok(Err(Denial { allow, ..Denial::new(Reason::MethodNotAllowed) }));
        }
        let Own::Logout = own;
        let (limits, client) = (&self.shared.memory.limits, ClientNetwork::from(arrival.client).to_string());
        let counted = Counted { route: OF_NOTICES, issuer: "", what: &client };
        // Counted before, and taken back after a sound one: else as many could come at once as a client can send.
        let verdict = limits.count(&counted, &REFUSED_NOTICES, context.time, Counting::Count);
        if !verdict.allowed {
            self.shared.metrics.rate_limited("none", Per::Client.name());
            let retry_after = Some(verdict.retry_after);
            return Ok(Err(Denial { retry_after, ..Denial::new(Reason::RateLimited) }));
        }
        let status = match self.form(session).await {
            Ok(form) => self.log_out(&form, context).await,
            Err(status) => status,
        };
        if status == StatusCode::OK {
            limits.uncount(&counted, &REFUSED_NOTICES);
        }
        let hsts = context.hsts(None);
        let to = respond::Addressee { request_id: context.request_id.as_str(), hsts, also: &[] };
        respond::acknowledge(session, status, to).await?;
        Ok(Ok(status))
    }

    /// 200 for a notice that was carried out, 400 for one that was not (§2.8). Why is for the operator alone.
    async fn log_out(&self, form: &[u8], context: &Context) -> StatusCode {
        let Ok(Some(token)) = parameter(form, "logout_token") else { return StatusCode::BAD_REQUEST };
        let (shared, snapshot) = (&self.shared, &context.generation.snapshot);
        let list = &shared.memory.revocations;
        let helpers = (&**shared.memory.replay.store(), &*shared.memory.workshop);
        match log_out(&snapshot.issuers, list, helpers, &token, context.time, &*shared.metrics).await {
            Ok((issuer, made)) => {
                let (issuer, by) = (snapshot.issuer_name(Some(issuer)), made.kind.name());
                info!("revocations: {} by {by}, log-out notice of issuer {issuer}", made.id);
                StatusCode::OK
            }
            Err(LogoutRefusal::NotKept(NotKept::NoPlace)) => {
                warn!("log-out notice refused: the embedded store has no `store.revocations_file`");
                StatusCode::BAD_REQUEST
            }
            Err(refusal @ LogoutRefusal::NotVerified(_)) => {
                warn!("log-out notice refused: {refusal}");
                StatusCode::SERVICE_UNAVAILABLE
            }
            Err(refusal) => {
                info!("log-out notice refused: {refusal}");
                StatusCode::BAD_REQUEST
            }
        }
    }

    /// The body of a form, whole.
    async fn form(&self, session: &mut ServerSession) -> Result<Vec<u8>, StatusCode> {
        if !is_form(&session.req_header().headers) {
            return Err(StatusCode::BAD_REQUEST);
        }
        let read = async {
            let mut form = Vec::new();
            while let Some(part) = session.read_request_body().await.map_err(|_| StatusCode::BAD_REQUEST)? {
                if form.len() + part.len() > MAX_FORM {
                    return Err(StatusCode::PAYLOAD_TOO_LARGE);
                }
                form.extend_from_slice(&part);
            }
            Ok(form)
        };
        tokio::time::timeout(FORM_TIME, read).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let field = headers.get(header::CONTENT_TYPE).and_then(|field| field.to_str().ok()).unwrap_or_default();
    let media_type = field.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_the_exact_path_is_an_endpoint() {
        let own = |target: &str| Own::of(&RequestHeader::build("POST", target.as_bytes(), None).unwrap());
        assert_eq!(own("/.tollgate/backchannel-logout"), Some(Own::Logout));
        assert_eq!(own("/.tollgate/backchannel-logout?x"), Some(Own::Logout));
        assert_eq!(own("https://api.test/.tollgate/backchannel-logout"), Some(Own::Logout));
        for target in ["/.tollgate/backchannel-logout/", "/.tollgate/", "/.tollgate/backchannel%2dlogout", "/"] {
            assert_eq!(own(target), None, "{target}");
        }
    }

    #[test]
    fn a_form_says_that_it_is_one() {
        let is = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            is_form(&headers)
        };
        assert!(is("application/x-www-form-urlencoded") && is("Application/X-WWW-Form-URLencoded; charset=UTF-8"));
        assert!(!is("application/json") && !is("") && !is_form(&HeaderMap::new()));
    }
}
