//! What a route adds to the answers that cross the edge: headers about other origins, its own headers, its rate.
//!
//! The same go on what the upstream answers and on what the gateway refuses: a page must be able to read a refusal too.

use super::context::{Context, Verdict};
use crate::decision::{Edge, RoutePolicy};
use http::{HeaderName, HeaderValue, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

/// What a browser reads of other origins. An upstream's own are replaced: doubled, no browser would believe them.
const ABOUT_ORIGINS: &str = "access-control-";

/// The headers for a refusal by the route of `policy`.
pub(super) fn on_refusal(policy: Option<&RoutePolicy>, request: &RequestHeader) -> Vec<(HeaderName, HeaderValue)> {
    let Some(edge) = policy.map(|policy| &policy.edge) else { return Vec::new() };
    let mut headers = about_origins(edge, request);
    headers.extend(edge.response_headers.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))));
    headers
}

fn about_origins(edge: &Edge, request: &RequestHeader) -> Vec<(HeaderName, HeaderValue)> {
    edge.cors.as_ref().map(|cors| cors.answer_headers(request.headers.get(header::ORIGIN))).unwrap_or_default()
}

/// Puts the headers of the route on what its upstream answered.
pub(super) fn on_answer(response: &mut ResponseHeader, request: &RequestHeader, context: &Context) -> Result<()> {
    let Verdict::Permitted(permit) = &context.verdict else { return Ok(()) };
    for (name, value) in permit.rate().iter().flat_map(|rate| rate.headers()) {
        response.insert_header(name, value)?;
    }
    let Some(edge) = context.generation.snapshot.policy(permit.route()).map(|policy| &policy.edge) else {
        return Ok(());
    };
    if edge.cors.is_some() {
        replace_about_origins(response, about_origins(edge, request))?;
    }
    for (name, value) in &edge.response_headers {
        match value {
            Some(value) => response.insert_header(name.clone(), value.clone())?,
            None => drop(response.remove_header(name)),
        }
    }
    Ok(())
}

fn replace_about_origins(response: &mut ResponseHeader, ours: Vec<(HeaderName, HeaderValue)>) -> Result<()> {
    let theirs = |name: &&HeaderName| name.as_str().starts_with(ABOUT_ORIGINS);
    let theirs: Vec<HeaderName> = response.headers.keys().filter(theirs).cloned().collect();
    for name in theirs {
        response.remove_header(&name);
    }
    for (name, value) in ours {
        if name != header::VARY {
            response.insert_header(name, value)?;
        } else if !varies_by_origin(response) {
            // The upstream's answer may depend on more than the origin.
            response.append_header(name, value)?;
        }
    }
    Ok(())
}

fn varies_by_origin(response: &ResponseHeader) -> bool {
    let fields = response.headers.get_all(header::VARY).iter();
    let mut names = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    names.any(|name| name.eq_ignore_ascii_case(b"origin") || name == b"*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstreams_word_about_origins_is_replaced_and_its_vary_kept() {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Origin", "https://evil.test"),
            ("Access-Control-Allow-Credentials", "true"),
            ("Vary", "Accept-Encoding"),
        ] {
            response.append_header(name, value).unwrap();
        }
        let ours = || {
            vec![
                (header::VARY, HeaderValue::from_static("Origin")),
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://app.test")),
            ]
        };
        for _ in 0..2 {
            replace_about_origins(&mut response, ours()).unwrap();
            let values = |name: &str| -> Vec<_> { response.headers.get_all(name).iter().cloned().collect() };
            assert_eq!(values("access-control-allow-origin"), ["https://app.test"]);
            assert_eq!(values("access-control-allow-credentials").len(), 0);
            assert_eq!(values("vary"), ["Accept-Encoding", "Origin"]);
        }
    }
}
