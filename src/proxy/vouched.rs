//! A connection that only a client certificate opened. The handshake has verified it once; when it is revoked or ends,
//! the connection ends with it, whatever its client goes on sending.

use super::arrivals::REFUSED;
use super::watched::Watch;
use crate::clock::Clock;
use crate::telemetry::Metrics;
use crate::tls::{Handshake, PresentedCertificate};
use pingora::protocols::Stream;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Ends a connection whose certificate a handshake would not accept any more.
#[derive(Clone)]
pub(super) struct Vouched {
    certificate: Arc<PresentedCertificate>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Vouched {
    /// The watch over `stream`; `None` where a client may come without a certificate.
    pub(super) fn of(stream: &Stream, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> Option<Self> {
        let tls = stream.get_ssl_digest()?;
        let certificate = tls.extension.get::<Handshake>()?.client_certificate.clone()?;
        let watch = Self { certificate, clock: Arc::clone(clock), metrics: Arc::clone(metrics) };
        watch.certificate.is_required().then_some(watch)
    }

    /// True once it must end; that is counted with the handshakes that are refused.
    pub(super) fn is_over(&self) -> bool {
        let over = self.certificate.is_missed(self.clock.now());
        if over {
            self.metrics.handshake("none", REFUSED);
        }
        over
    }
}

impl Watch for Vouched {
    fn after(&mut self, _: &[u8]) -> io::Result<()> {
        if self.is_over() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl fmt::Debug for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vouched").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
