//! Answers of the admin API.

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::json;

pub(super) type Answer = Response<Vec<u8>>;

/// `value` as JSON.
pub(super) fn json_of(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(json) => answer(status, "application/json", json),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// A refusal; 401 with its challenge (RFC 6750 §3).
pub(super) fn refusal(status: StatusCode) -> Answer {
    let mut refusal = problem(status, None);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"admin\"");
        refusal.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    refusal
}

/// 400 and what is wrong.
pub(super) fn bad_request(detail: &str) -> Answer {
    problem(StatusCode::BAD_REQUEST, Some(detail))
}

/// 405 and what is allowed.
pub(super) fn not_allowed(method: &'static str) -> Answer {
    let mut refusal = problem(StatusCode::METHOD_NOT_ALLOWED, None);
    refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(method));
    refusal
}

/// Problem details (RFC 9457).
pub(super) fn problem(status: StatusCode, detail: Option<&str>) -> Answer {
    let mut problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
    });
    if let Some(detail) = detail {
        problem["detail"] = detail.into();
    }
    answer(status, "application/problem+json", problem.to_string().into_bytes())
}

/// Plain text.
pub(super) fn text(status: StatusCode, body: &str) -> Answer {
    answer(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
}

/// What was made, and where it is found (RFC 9110 §15.3.2).
pub(super) fn created(place: &str, body: &serde_json::Value) -> Answer {
    let mut created = answer(StatusCode::CREATED, "application/json", body.to_string().into_bytes());
    if let Ok(place) = HeaderValue::from_str(place) {
        created.headers_mut().insert(header::LOCATION, place);
    }
    created
}

/// Done, and nothing to show.
pub(super) fn no_content() -> Answer {
    let mut answer = Response::new(Vec::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// What can't be done now, and may be soon (RFC 9110 §10.2.3).
pub(super) fn unavailable(detail: &str) -> Answer {
    let mut refusal = problem(StatusCode::SERVICE_UNAVAILABLE, Some(detail));
    refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    refusal
}

/// Any other answer. None may be kept by a cache.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let length = body.len();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
