//! Carrying out a log-out notice: validated, counted once, and entered into the list.

use super::{LogoutError, LogoutToken, NotKept, Revocations};
use crate::authn::workshop::{self, NotDone, Workshop};
use crate::clock::UnixTime;
use crate::issuer::{IssuerId, Registry};
use crate::observe::Observer;
use crate::store::{ClaimAnswer, IfUnknown, Revocation, Store};

/// Why a notice was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutRefusal {
    /// It proves nothing, or is not meant for us.
    #[error(transparent)]
    Invalid(#[from] LogoutError),
    /// It was carried out before (§2.6 step 8).
    #[error("carried out before")]
    Repeated,
    /// There is no room for the cryptography it takes. The provider may send the notice again.
    #[error(transparent)]
    NotVerified(#[from] NotDone),
    /// The revocation could not be kept. The provider may send the notice again.
    #[error(transparent)]
    NotKept(#[from] NotKept),
}

/// Carries out the notice `token` (OpenID Connect Back-Channel Logout 1.0 §2.6, §2.7).
///
/// What a notice does depends on nothing but the notice, so that one that is carried out twice does no harm: where the
/// store can't say whether it came before, it is carried out.
pub async fn log_out(
    registry: &Registry,
    revocations: &Revocations,
    (store, workshop): (&dyn Store, &dyn Workshop),
    token: &str,
    now: UnixTime,
    observer: &dyn Observer,
) -> Result<(IssuerId, Revocation), LogoutRefusal> {
    let (registry, token) = (registry.clone(), token.to_owned());
    // Notices are rare, and which of them is dear is told by the keys alone: all are verified in the workshop.
    let verify = move |observer: &dyn Observer| LogoutToken::verify(&registry, &token, now, observer);
    let notice = workshop::ask(workshop, observer, verify).await??;
    if !revocations.is_kept() {
        return Err(NotKept::NoPlace.into());
    }
    let receipt = match store.claim(&[notice.nonce()], now, IfUnknown::Keep).await {
        ClaimAnswer::Fresh { receipt, .. } => Some(receipt),
        ClaimAnswer::Replayed { .. } => return Err(LogoutRefusal::Repeated),
        ClaimAnswer::Unknown(_) => None,
    };
    let revocation = notice.revocation(now);
    let kept = revocations.revoke(revocation, now).await;
    if let (Err(_), Some(receipt)) = (kept, &receipt) {
        store.release(receipt).await;
    }
    kept?;
    Ok((notice.issuer(), revocation))
}

#[cfg(test)]
mod tests {
    use super::super::logout_token::tests::{NOW, Provider, notice};
    use super::super::tests::{at, block_on};
    use super::*;
    use crate::authn::OnTheSpot;
    use crate::observe::Silent;
    use crate::store::{Change, EmbeddedStore, Mark, Page, RevocationStore, StoreError, Watched};
    use async_trait::async_trait;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    #[derive(Default)]
    struct Disk {
        full: AtomicBool,
    }

    #[async_trait]
    impl RevocationStore for Disk {
        async fn append(&self, _: &[Change]) -> Result<(), StoreError> {
            if self.full.load(Ordering::Relaxed) { Err(StoreError::Refused) } else { Ok(()) }
        }

        async fn page(&self, _: Option<&str>) -> Result<Page, StoreError> {
            let mark = Mark { epoch: at(0), changes: 0 };
            Ok(Page { mark, changes: Vec::new(), unreadable: 0, next: None })
        }

        async fn watch(&self, _: Duration) -> Result<Watched, StoreError> {
            Err(StoreError::Timeout)
        }

        fn is_shared(&self) -> bool {
            false
        }
    }

    struct Scene {
        provider: Provider,
        disk: Arc<Disk>,
        list: Revocations,
        store: EmbeddedStore,
    }

    impl Scene {
        fn new() -> Self {
            let disk = Arc::new(Disk::default());
            let list = Revocations::new(Arc::<Disk>::clone(&disk), Duration::MAX);
            Self { provider: Provider::new(None), disk, list, store: EmbeddedStore::new(10, at(0)) }
        }

        fn send(&self, list: &Revocations) -> Result<(), LogoutRefusal> {
            let token = self.provider.sign(&self.provider.header(), &notice());
            let registry = &self.provider.registry;
            let helpers = (&self.store as &dyn Store, &OnTheSpot as &dyn Workshop);
            block_on(log_out(registry, list, helpers, &token, at(NOW), &Silent)).map(|_| ())
        }
    }

    #[test]
    fn a_notice_is_carried_out_once() {
        let scene = Scene::new();
        assert_eq!(scene.send(&scene.list), Ok(()));
        assert_eq!(scene.list.len(), 1);
        assert_eq!(scene.send(&scene.list), Err(LogoutRefusal::Repeated));
        assert_eq!(scene.list.len(), 1);
    }

    #[test]
    fn a_notice_that_could_not_be_kept_may_come_again() {
        let scene = Scene::new();
        scene.disk.full.store(true, Ordering::Relaxed);
        let refusal = LogoutRefusal::NotKept(NotKept::HereOnly(StoreError::Refused));
        assert_eq!(scene.send(&scene.list), Err(refusal));
        scene.disk.full.store(false, Ordering::Relaxed);
        assert_eq!(scene.send(&scene.list), Ok(()));
        assert_eq!(scene.list.len(), 1, "twice carried out is one revocation");
        assert_eq!(scene.send(&Revocations::unkept()), Err(LogoutRefusal::NotKept(NotKept::NoPlace)));
    }
}
