//! `GET /.tollgate/healthz` on the public listeners: what balancers ask before they send anybody here.

use super::ingress;
use http::{Method, StatusCode};
use pingora::http::RequestHeader;

const PATH: &[u8] = b"/.tollgate/healthz";

/// True when `request` is that question. Only the exact path counts, for whatever host: a balancer asks an address.
pub(super) fn is_asked(request: &RequestHeader) -> bool {
    let asks = matches!(request.method, Method::GET | Method::HEAD);
    asks && ingress::target(request).is_ok_and(|(path, _)| path == PATH)
}

/// The answer: nobody new is wanted once the process is about to end.
pub(super) fn status(draining: bool) -> StatusCode {
    if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_question_is_answered() {
        let asked =
            |method: &str, target: &str| is_asked(&RequestHeader::build(method, target.as_bytes(), None).unwrap());
        assert!(asked("GET", "/.tollgate/healthz") && asked("HEAD", "/.tollgate/healthz?x"));
        assert!(!asked("POST", "/.tollgate/healthz"));
        for target in ["/.tollgate/healthz/", "/.tollgate/", "/.tollgate/health%7a", "/"] {
            assert!(!asked("GET", target), "{target}");
        }
    }
}
