//! `/api/revocations`: what was revoked, revoking more, taking it back; and `/api/revoke` for those who hold the token
//! itself (RFC 7009).

use super::Admin;
use super::answer::{Answer, answer, created, no_content, not_allowed, problem, refusal, unavailable};
use super::api::json_fault;
use crate::authn::revocation::{NotKept, NotRevocable, revocation_of};
use crate::authn::token::TokenError;
use crate::clock::UnixTime;
use crate::decision::Snapshot;
use crate::issuer::IssuerProfile;
use crate::jose::claims::MAX_SECONDS;
use crate::observe::Silent;
use crate::request::form::parameter;
use crate::store::{IssuerTag, Revocation, RevocationId, RevocationKey, RevocationKind, Target};
use http::{Method, StatusCode};
use log::info;
use serde::Deserialize;
use serde_json::{Value, json};

/// Where the list is.
const LIST: &str = "/api/revocations";
/// Where a token is handed in.
const REVOKE: &str = "/api/revoke";
/// Revocations in one answer, if nothing is asked.
const PAGE: usize = 1_000;
/// The most in one answer.
const MAX_PAGE: usize = 10_000;

/// True when a path is one of these calls.
pub(super) fn serves(path: &str) -> bool {
    path == REVOKE || path.strip_prefix(LIST).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a call of somebody who may make it.
pub(super) async fn call(admin: &Admin, method: &Method, path: &str, query: &str, body: &[u8]) -> Answer {
    if !admin.memory.revocations.is_kept() {
        let detail = "the embedded store keeps revocations in `store.revocations_file` alone, and none is configured";
        return problem(StatusCode::CONFLICT, Some(detail));
    }
    let id = path.strip_prefix(LIST).and_then(|rest| rest.strip_prefix('/'));
    let answered = match (path, id, method) {
        (REVOKE, _, &Method::POST) => hand_in(admin, body).await,
        (REVOKE, ..) => Err(Fault::NotAllowed("POST")),
        (_, Some(id), &Method::GET) => show(admin, id),
        (_, Some(id), &Method::DELETE) => take_back(admin, id).await,
        (_, Some(_), _) => Err(Fault::NotAllowed("GET, DELETE")),
        (_, None, &Method::GET) => list(admin, query),
        (_, None, &Method::POST) => revoke(admin, body).await,
        (_, None, _) => Err(Fault::NotAllowed("GET, POST")),
    };
    answered.unwrap_or_else(Answer::from)
}

/// Why a call was not carried out.
enum Fault {
    /// It makes no sense.
    Bad(String),
    /// A token that was handed in can't be revoked (RFC 7009 §2.2.1).
    Token(&'static str),
    /// There is no such revocation.
    Unknown,
    /// Something else is done here, by these methods.
    NotAllowed(&'static str),
    /// It can't be done now.
    Unavailable(String),
    /// The system has no randomness for an id.
    Randomness,
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Bad(detail) => problem(StatusCode::BAD_REQUEST, Some(&detail)),
            Fault::Token(error) => {
                let body = json!({ "error": error }).to_string().into_bytes();
                answer(StatusCode::BAD_REQUEST, "application/json", body)
            }
            Fault::Unknown => refusal(StatusCode::NOT_FOUND),
            Fault::NotAllowed(methods) => not_allowed(methods),
            Fault::Unavailable(detail) => unavailable(&detail),
            Fault::Randomness => refusal(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// What `POST /api/revocations` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    issuer: String,
    jti: Option<String>,
    sid: Option<String>,
    client_id: Option<String>,
    sub: Option<String>,
    issued_before: Option<i64>,
    expires_at: Option<i64>,
}

impl Asked {
    /// What is meant; `None` where it is none of the five, or more than one.
    fn target(&self) -> Result<Target<'_>, Fault> {
        let issued_before = self.issued_before.map(|seconds| moment("issued_before", seconds)).transpose()?;
        let texts = [&self.jti, &self.sid, &self.client_id, &self.sub].map(Option::as_deref);
        if texts.contains(&Some("")) {
            return Err(bad("an empty identifier names nobody"));
        }
        match (texts, issued_before) {
            ([Some(jti), None, None, None], None) => Ok(Target::Token(jti)),
            ([None, Some(sid), None, None], None) => Ok(Target::Session(sid)),
            ([None, None, Some(client), None], None) => Ok(Target::Client(client)),
            ([None, None, None, Some(subject)], Some(issued_before)) => Ok(Target::Subject { subject, issued_before }),
            ([None, None, None, None], Some(issued_before)) => Ok(Target::Issuer { issued_before }),
            _ => {
                Err(bad("beside `issuer` there must be one of: `jti`; `sid`; `client_id`; `sub` and `issued_before`; \
                          `issued_before`"))
            }
        }
    }
}

async fn revoke(admin: &Admin, body: &[u8]) -> Result<Answer, Fault> {
    let asked: Asked = serde_json::from_slice(body).map_err(|fault| bad(&json_fault("a revocation", &fault)))?;
    let (snapshot, now) = (admin.source.snapshot(), admin.clock.now());
    let profile = issuer(&snapshot, &asked.issuer)?;
    let expires_at = expiry(&asked, profile, now)?;
    let revocation = Revocation::new(new_id()?, &profile.issuer, asked.target()?, expires_at, now);
    enter(admin, revocation, now).await?;
    info!("revocations: {} by {} of issuer {}", revocation.id, revocation.kind.name(), profile.name);
    let place = format!("{LIST}/{}", revocation.id);
    Ok(created(&place, &json!({ "id": revocation.id.to_string(), "expires_at": expires_at.as_seconds() })))
}

/// When the last token concerned has expired: as written, or by the issuer's contract.
fn expiry(asked: &Asked, profile: &IssuerProfile, now: UnixTime) -> Result<UnixTime, Fault> {
    let expires_at = match (asked.expires_at, profile.contract.max_lifetime) {
        (Some(seconds), _) => moment("expires_at", seconds)?,
        (None, Some(lifetime)) => now.plus(lifetime).plus(profile.contract.leeway),
        (None, None) => {
            return Err(bad("`expires_at` is missing: the issuer has no `max_lifetime` that would tell it"));
        }
    };
    if expires_at <= now {
        return Err(bad("`expires_at` has passed: there is no token left to revoke"));
    }
    Ok(expires_at)
}

fn moment(name: &str, seconds: i64) -> Result<UnixTime, Fault> {
    if (0..=MAX_SECONDS).contains(&seconds) {
        return Ok(UnixTime::from_seconds(seconds));
    }
    Err(bad(&format!("`{name}` is not a time in seconds since 1970")))
}

/// RFC 7009 §2.1. A token that proves nothing is answered 200 too (§2.2): it does not count anywhere.
async fn hand_in(admin: &Admin, body: &[u8]) -> Result<Answer, Fault> {
    let token = parameter(body, "token").ok().flatten().filter(|token| !token.is_empty());
    let token = token.ok_or(Fault::Token("invalid_request"))?;
    let (snapshot, now) = (admin.source.snapshot(), admin.clock.now());
    match revocation_of(&snapshot.issuers, &token, new_id()?, now, &Silent) {
        Ok(revocation) => {
            enter(admin, revocation, now).await?;
            info!("revocations: {} of a token that was handed in", revocation.id);
            Ok(json_answer(&json!({ "revoked": true, "id": revocation.id.to_string() })))
        }
        Err(NotRevocable::Token(TokenError::KeysUnavailable)) => {
            Err(Fault::Unavailable("the issuer's keys can't be had".to_owned()))
        }
        Err(NotRevocable::Unidentified | NotRevocable::Timeless) => Err(Fault::Token("unsupported_token_type")),
        Err(NotRevocable::Token(_) | NotRevocable::Expired) => Ok(json_answer(&json!({ "revoked": false }))),
    }
}

async fn take_back(admin: &Admin, id: &str) -> Result<Answer, Fault> {
    let id = id.parse().map_err(|_| Fault::Unknown)?;
    let taken = admin.memory.revocations.take_back(id, admin.clock.now()).await;
    kept(taken.ok_or(Fault::Unknown)?, id)?;
    info!("revocations: {id} taken back");
    Ok(no_content())
}

async fn enter(admin: &Admin, revocation: Revocation, now: UnixTime) -> Result<(), Fault> {
    kept(admin.memory.revocations.revoke(revocation, now).await, revocation.id)
}

fn kept(outcome: Result<(), NotKept>, id: RevocationId) -> Result<(), Fault> {
    outcome.map_err(|fault| {
        log::error!("revocations: {id}: {fault}");
        Fault::Unavailable(format!("{id}: {fault}"))
    })
}

fn show(admin: &Admin, id: &str) -> Result<Answer, Fault> {
    let found = id.parse().ok().and_then(|id| admin.memory.revocations.get(id));
    let revocation = found.ok_or(Fault::Unknown)?;
    Ok(json_answer(&described(&revocation, &admin.source.snapshot())))
}

/// The list, by pages.
fn list(admin: &Admin, query: &str) -> Result<Answer, Fault> {
    let snapshot = admin.source.snapshot();
    let question = Question::parse(query, &snapshot)?;
    let (list, now) = (&admin.memory.revocations, admin.clock.now());
    list.purge(now);
    // One more than asked tells whether there is more.
    let mut page = list.page(question.after, question.limit + 1, |one| question.means(one));
    let more = page.len() > question.limit;
    page.truncate(question.limit);
    let next = page.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(json_answer(&json!({
        "revocations": page.iter().map(|one| described(one, &snapshot)).collect::<Vec<_>>(),
        "total": list.len(),
        "age_seconds": list.age(now).map(|age| age.as_secs_f64()),
        "next": next,
    })))
}

/// `?limit=N&after=ID`. Since what a record names is hashed, `?issuer=NAME` and one of `jti`, `sid`, `client_id` and
/// `sub` ask whether there is one.
struct Question {
    limit: usize,
    after: Option<RevocationId>,
    issuer: Option<IssuerTag>,
    key: Option<RevocationKey>,
}

impl Question {
    fn parse(query: &str, snapshot: &Snapshot) -> Result<Self, Fault> {
        let ask = |name: &str| parameter(query.as_bytes(), name).map_err(|fault| bad(&fault.to_string()));
        let limit = ask("limit")?.map_or(Ok(PAGE), |limit| limit.parse());
        let limit = limit.ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
        let limit = limit.ok_or_else(|| bad(&format!("`limit` is a number from 1 to {MAX_PAGE}")))?;
        let after = ask("after")?.map(|id| id.parse()).transpose();
        let after = after.map_err(|_| bad("`after` is not the id of a revocation"))?;
        let tag = |name: String| issuer(snapshot, &name).map(|profile| IssuerTag::new(&profile.issuer));
        let issuer = ask("issuer")?.map(tag).transpose()?;
        let mut key = None;
        for kind in [RevocationKind::Token, RevocationKind::Session, RevocationKind::Client, RevocationKind::Subject] {
            if let Some(value) = ask(kind.name())? {
                let issuer = issuer.ok_or_else(|| bad("an identifier means something beside its `issuer` alone"))?;
                key = Some(RevocationKey::new(kind, issuer, &value));
            }
        }
        Ok(Self { limit, after, issuer, key })
    }

    fn means(&self, one: &Revocation) -> bool {
        self.issuer.is_none_or(|issuer| one.issuer == issuer) && self.key.is_none_or(|key| one.key == key)
    }
}

fn described(revocation: &Revocation, snapshot: &Snapshot) -> Value {
    let mut issuers = snapshot.issuers.iter().map(|(_, profile)| profile);
    let issuer = issuers.find(|profile| IssuerTag::new(&profile.issuer) == revocation.issuer);
    let mut described = json!({
        "id": revocation.id.to_string(),
        "issuer": issuer.map(|profile| &*profile.name),
        "by": revocation.kind.name(),
        "revoked_at": revocation.revoked_at.as_seconds(),
        "expires_at": revocation.expires_at.as_seconds(),
    });
    if let Some(moment) = revocation.issued_before {
        described["issued_before"] = moment.as_seconds().into();
    }
    described
}

fn issuer<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s IssuerProfile, Fault> {
    let mut issuers = snapshot.issuers.iter().map(|(_, profile)| &**profile);
    issuers.find(|profile| &*profile.name == name).ok_or_else(|| bad("no issuer of the configuration has this name"))
}

fn new_id() -> Result<RevocationId, Fault> {
    RevocationId::random().map_err(|_| Fault::Randomness)
}

fn bad(detail: &str) -> Fault {
    Fault::Bad(detail.to_owned())
}

fn json_answer(body: &Value) -> Answer {
    answer(StatusCode::OK, "application/json", body.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(body: &str) -> Option<RevocationKind> {
        let asked: Asked = serde_json::from_str(body).ok()?;
        asked.target().ok().map(|target| target.kind())
    }

    #[test]
    fn a_body_names_one_of_five_things() {
        for (body, kind) in [
            (r#"{"issuer":"i","jti":"x"}"#, RevocationKind::Token),
            (r#"{"issuer":"i","sid":"x"}"#, RevocationKind::Session),
            (r#"{"issuer":"i","client_id":"x","expires_at":9}"#, RevocationKind::Client),
            (r#"{"issuer":"i","sub":"x","issued_before":9}"#, RevocationKind::Subject),
            (r#"{"issuer":"i","issued_before":9}"#, RevocationKind::Issuer),
        ] {
            assert_eq!(target(body), Some(kind), "{body}");
        }
    }

    #[test]
    fn a_body_that_means_nothing_or_two_things_is_refused() {
        for body in [
            "{}",
            r#"{"issuer":"i"}"#,
            r#"{"jti":"x"}"#,
            r#"{"issuer":"i","sub":"x"}"#,
            r#"{"issuer":"i","jti":"x","sid":"y"}"#,
            r#"{"issuer":"i","jti":"x","issued_before":9}"#,
            r#"{"issuer":"i","jti":""}"#,
            r#"{"issuer":"i","jti":7}"#,
            r#"{"issuer":"i","jti":"x","jti":"y"}"#,
            r#"{"issuer":"i","jti":"x","because":"y"}"#,
            r#"{"issuer":"i","issued_before":-1}"#,
            r#"{"issuer":"i","issued_before":1700000000000}"#,
            r#"{"issuer":"i","issued_before":1.5}"#,
        ] {
            assert_eq!(target(body), None, "{body}");
        }
    }

    #[test]
    fn the_calls_are_told_from_their_neighbours() {
        for path in ["/api/revocations", "/api/revocations/1", "/api/revocations/", "/api/revoke"] {
            assert!(serves(path), "{path}");
        }
        for path in ["/api/revocationsx", "/api/revoke/", "/api", "/"] {
            assert!(!serves(path), "{path}");
        }
    }
}
