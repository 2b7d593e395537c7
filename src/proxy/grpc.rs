//! A refusal in the words of gRPC: HTTP status 200 and a header section alone, which carries the status (*Trailers-Only*
//! in "gRPC over HTTP2").

use http::{HeaderMap, HeaderValue, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

/// True when `session` carries a gRPC call, which always comes over HTTP/2.
pub(super) fn is_call(session: &ServerSession) -> bool {
    session.is_http2() && is_grpc(&session.req_header().headers)
}

/// True when the message is gRPC's, and not gRPC-Web's.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let named = media_type.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"));
    named && matches!(media_type.get(16), None | Some(b'+' | b';'))
}

/// Writes `refusal`, made for a client of plain HTTP, to the client of a call. Challenges and identifiers stay.
pub(super) async fn refuse(session: &mut ServerSession, refusal: ResponseHeader) -> Result<()> {
    let response = Box::new(translate(refusal)?);
    match session {
        // The section must end the stream, or it would be no Trailers-Only.
        ServerSession::H2(session) => session.write_response_header(response, true),
        other => other.write_response_header(response).await,
    }
}

fn translate(mut refusal: ResponseHeader) -> Result<ResponseHeader> {
    let status = refusal.status;
    refusal.remove_header(&header::CONTENT_LENGTH);
    refusal.insert_header("Content-Type", "application/grpc")?;
    refusal.insert_header("grpc-status", code(status).to_string())?;
    refusal.insert_header("grpc-message", status.canonical_reason().unwrap_or("Error"))?;
    refusal.set_status(StatusCode::OK)?;
    Ok(refusal)
}

/// The code of google.rpc.Code for an HTTP status.
fn code(status: StatusCode) -> u8 {
    match status.as_u16() {
        401 => 16,                   // UNAUTHENTICATED
        403 => 7,                    // PERMISSION_DENIED
        404 | 405 => 12,             // UNIMPLEMENTED
        413 | 414 | 429 | 431 => 8,  // RESOURCE_EXHAUSTED
        400 => 3,                    // INVALID_ARGUMENT
        421 | 502 | 503 | 504 => 14, // UNAVAILABLE
        _ => 2,                      // UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_by_its_media_type() {
        let is = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            is_grpc(&headers)
        };
        assert!(["application/grpc", "application/grpc+proto", "Application/gRPC;charset=utf-8"].into_iter().all(is));
        assert!(!["application/grpc-web", "application/grpcx", "application/json", ""].into_iter().any(is));
    }

    #[test]
    fn a_refusal_keeps_everything_but_its_form() {
        let mut refusal = ResponseHeader::build(401, None).unwrap();
        refusal.insert_header("Content-Type", "application/problem+json").unwrap();
        refusal.insert_header("Content-Length", "80").unwrap();
        refusal.insert_header("WWW-Authenticate", "Bearer").unwrap();
        let call = translate(refusal).unwrap();
        assert_eq!(call.status, StatusCode::OK);
        assert_eq!(call.headers["grpc-status"], "16");
        assert_eq!(call.headers["grpc-message"], "Unauthorized");
        assert_eq!(call.headers["content-type"], "application/grpc");
        assert_eq!(call.headers["www-authenticate"], "Bearer");
        assert!(!call.headers.contains_key("content-length"));
    }
}
