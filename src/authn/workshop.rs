//! Where cryptography that takes long is done.
//!
//! A request shares its thread with others, and what takes a third of a millisecond or more keeps all of them waiting:
//! an RSA private key, anything on P-384 or P-521, a public RSA key beyond 4096 bits. The decision hands such work to a
//! [`Workshop`]; the gateway's is a pool of threads with a bounded queue, so that a flood of dear tokens takes time from
//! nobody but their senders.

use crate::observe::{ClaimResult, Observer};
use async_trait::async_trait;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A piece of work.
pub type Work = Box<dyn FnOnce() + Send>;

/// The work was not done: there is no room for it, or it came to grief.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work was not done")]
pub struct NotDone;

/// Who does what takes long.
#[async_trait]
pub trait Workshop: Send + Sync {
    /// Does `work`, and is ready when it is done. If nobody waits for it any more, it need not be begun.
    async fn run(&self, work: Work) -> Result<(), NotDone>;

    /// How much work waits to be begun.
    fn waiting(&self) -> usize {
        0
    }
}

impl fmt::Debug for dyn Workshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workshop").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// Does everything at once, where it is asked: for one who asks alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnTheSpot;

#[async_trait]
impl Workshop for OnTheSpot {
    async fn run(&self, work: Work) -> Result<(), NotDone> {
        work();
        Ok(())
    }
}

/// Has `work` done in `workshop`. What it tells its observer is told to `observer` when it is done.
pub(super) async fn ask<T: Send + 'static>(
    workshop: &dyn Workshop,
    observer: &dyn Observer,
    work: impl FnOnce(&dyn Observer) -> T + Send + 'static,
) -> Result<T, NotDone> {
    let done = Arc::new(Mutex::new(None));
    let place = Arc::clone(&done);
    let work = move || {
        let notes = Notes::default();
        let result = work(&notes);
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some((result, notes));
    };
    workshop.run(Box::new(work)).await?;
    let (result, notes) = done.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(NotDone)?;
    notes.tell(observer);
    Ok(result)
}

/// What work tells its observer, until it is done: the observer of a request does not leave the request.
#[derive(Default)]
struct Notes(Mutex<Vec<(&'static str, Duration)>>);

impl Notes {
    fn tell(self, observer: &dyn Observer) {
        for (algorithm, took) in self.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
            observer.verified(algorithm, took);
        }
    }
}

impl Observer for Notes {
    fn verified(&self, algorithm: &'static str, took: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((algorithm, took));
    }

    /// No cryptography claims anything, or asks the cache.
    fn claimed(&self, _: &'static str, _: ClaimResult) {}
    fn verdict_cache(&self, _: &'static str) {}
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::observe::Silent;

    /// Everything these tests await answers at once.
    pub(in crate::authn) fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
        }
    }

    /// A workshop that is full, or that loses what it was given.
    struct Bad {
        takes: bool,
    }

    #[async_trait]
    impl Workshop for Bad {
        async fn run(&self, _: Work) -> Result<(), NotDone> {
            if self.takes { Ok(()) } else { Err(NotDone) }
        }
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<&'static str>>);

    impl Observer for Heard {
        fn verified(&self, algorithm: &'static str, _: Duration) {
            self.0.lock().unwrap().push(algorithm);
        }
        fn claimed(&self, _: &'static str, _: ClaimResult) {}
        fn verdict_cache(&self, _: &'static str) {}
    }

    #[test]
    fn the_result_comes_back_and_what_was_measured_with_it() {
        let heard = Heard::default();
        let work = |observer: &dyn Observer| {
            observer.verified("RSA-OAEP", Duration::ZERO);
            7
        };
        assert_eq!(block_on(ask(&OnTheSpot, &heard, work)), Ok(7));
        assert_eq!(*heard.0.lock().unwrap(), ["RSA-OAEP"]);
    }

    #[test]
    fn work_that_was_not_done_has_no_result() {
        for takes in [true, false] {
            assert_eq!(block_on(ask(&Bad { takes }, &Silent, |_| 7)), Err(NotDone));
        }
    }
}
