//! What the engine's errors mean for the client and for the record.

use super::chunked;
use crate::decision::Reason;
use pingora::{Error, ErrorSource, ErrorType};

/// A body that was found to be too large on its way.
pub(super) const BODY_TOO_LARGE: ErrorType = ErrorType::Custom("body too large");

/// The reason for the answer to a request whose forwarding failed; `None` when the client is gone.
pub(super) fn reason(error: &Error) -> Option<Reason> {
    match error.esource() {
        ErrorSource::Downstream if chunked::is_faulty(error) => Some(Reason::BadFraming),
        ErrorSource::Downstream => of_client(error.etype()),
        ErrorSource::Upstream => Some(of_upstream(error.etype())),
        ErrorSource::Internal | ErrorSource::Unset => Some(Reason::UpstreamFailed),
    }
}

fn of_client(kind: &ErrorType) -> Option<Reason> {
    match kind {
        // A client that stopped sending or reading would not read the answer either.
        ErrorType::ReadError
        | ErrorType::WriteError
        | ErrorType::ReadTimedout
        | ErrorType::WriteTimedout
        | ErrorType::ConnectionClosed
        | ErrorType::H2Error => None,
        kind if *kind == BODY_TOO_LARGE => Some(Reason::BodyTooLarge),
        _ => Some(Reason::BadFraming),
    }
}

fn of_upstream(kind: &ErrorType) -> Reason {
    match kind {
        ErrorType::ConnectTimedout
        | ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::BindError
        | ErrorType::SocketError => Reason::UpstreamUnavailable,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout | ErrorType::TLSHandshakeTimedout => Reason::UpstreamTimeout,
        _ => Reason::UpstreamFailed,
    }
}

/// The value of the label in `tollgate_upstream_errors_total{kind}`; `None` when the fault is not the upstream's.
pub(super) fn upstream_kind(error: &Error) -> Option<&'static str> {
    if *error.esource() != ErrorSource::Upstream {
        return None;
    }
    Some(match of_upstream(error.etype()) {
        Reason::UpstreamUnavailable => "unreachable",
        Reason::UpstreamTimeout => "timeout",
        _ => "failed",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_gets_its_own_faults() {
        assert_eq!(reason(&Error::new_up(ErrorType::ConnectRefused)), Some(Reason::UpstreamUnavailable));
        assert_eq!(reason(&Error::new_up(ErrorType::ReadTimedout)), Some(Reason::UpstreamTimeout));
        assert_eq!(reason(&Error::new_up(ErrorType::InvalidHTTPHeader)), Some(Reason::UpstreamFailed));
        assert_eq!(reason(&Error::new_up(ErrorType::TLSHandshakeFailure)), Some(Reason::UpstreamFailed));
        assert_eq!(reason(&Error::new_down(ErrorType::ConnectionClosed)), None);
        assert_eq!(reason(&Error::new_down(BODY_TOO_LARGE)), Some(Reason::BodyTooLarge));
        assert_eq!(reason(&Error::new_down(ErrorType::InvalidHTTPHeader)), Some(Reason::BadFraming));
        let read =
            |kind: std::io::ErrorKind| Error::because(ErrorType::ReadError, "", std::io::Error::from(kind)).into_down();
        assert_eq!(reason(&read(std::io::ErrorKind::InvalidData)), Some(Reason::BadFraming));
        assert_eq!(reason(&read(std::io::ErrorKind::ConnectionReset)), None);
        assert_eq!(upstream_kind(&Error::new_down(ErrorType::ReadTimedout)), None);
    }
}
