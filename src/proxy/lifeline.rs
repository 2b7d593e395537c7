//! How long a request may live, told by the request and kept by its guard.
//!
//! The engine has time-outs for single reads and writes only, and no way to end a request from outside. So each request
//! runs under a guard that drops it when its time is up, which closes its connection, or resets its HTTP/2 stream.

use crate::clock::Stopwatch;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

tokio::task_local! {
    static LIFELINE: Arc<Lifeline>;
}

/// Answers how much longer a request may live, or at least until it is to be asked again; `None` ends it.
pub(super) type Term = Box<dyn Fn() -> Option<Duration> + Send>;

/// The least a body must bring within each span of the time it has: less is a client that holds a place.
const LEAST: usize = 1024;

/// What one request and its guard share.
#[derive(Default)]
pub(super) struct Lifeline {
    term: Mutex<Option<Term>>,
    body: Mutex<Option<Body>>,
    changed: Notify,
}

impl Lifeline {
    /// That of the request served by this task; none outside a guard.
    pub(super) fn of_this_task() -> Option<Arc<Self>> {
        LIFELINE.try_with(Arc::clone).ok()
    }

    /// Lets the request live for as long as it takes. Where nothing limited it nothing changes, and the guard is left
    /// alone: woken, it would go through the whole request once more.
    pub(super) fn release(&self) {
        if self.term().take().is_some() {
            self.changed.notify_one();
        }
    }

    /// Lets the request live for `limit` from now.
    pub(super) fn limit(&self, limit: Duration) {
        let watch = Stopwatch::start();
        self.follow(Box::new(move || Some(limit.saturating_sub(watch.elapsed())).filter(|left| !left.is_zero())));
    }

    /// Lets the request live for as long as `term` says.
    pub(super) fn follow(&self, term: Term) {
        *self.term() = Some(term);
        self.changed.notify_one();
    }

    fn term(&self) -> MutexGuard<'_, Option<Term>> {
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the request live only while its body comes: it may stand still for `patience`, and not trickle.
    pub(super) fn await_body(&self, patience: Duration) {
        let now = Stopwatch::start();
        *self.body() = Some(Body { patience, last: now, span: now, received: 0 });
        self.changed.notify_one();
    }

    /// So many bytes of the body have come; with the `end` none is awaited any more.
    pub(super) fn body_went_on(&self, bytes: usize, end: bool) {
        let mut body = self.body();
        match &mut *body {
            Some(_) if end => *body = None,
            Some(body) if bytes > 0 => {
                body.last = Stopwatch::start();
                body.received = body.received.saturating_add(bytes);
            }
            _ => {}
        }
    }

    fn body(&self) -> MutexGuard<'_, Option<Body>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait before asking again: for ever where nothing limits the request.
    fn ask(&self) -> Option<Wait> {
        let body = self.body().as_mut().map_or(Some(Wait::Forever), |body| body.left().map(Wait::For))?;
        let term = self.term();
        let term = term.as_ref().map_or(Some(Wait::Forever), |term| term().map(Wait::For))?;
        Some(term.min(body))
    }
}

/// The shorter one is the smaller one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wait {
    For(Duration),
    Forever,
}

/// A body that is awaited.
struct Body {
    /// How long it may stand still.
    patience: Duration,
    last: Stopwatch,
    /// Since when `received` counts.
    span: Stopwatch,
    received: usize,
}

impl Body {
    fn left(&mut self) -> Option<Duration> {
        if self.span.elapsed() >= self.patience {
            if self.received < LEAST {
                return None;
            }
            (self.span, self.received) = (Stopwatch::start(), 0);
        }
        let still = self.patience.saturating_sub(self.last.elapsed());
        Some(still.min(self.patience.saturating_sub(self.span.elapsed()))).filter(|left| !left.is_zero())
    }
}

/// Runs `work` under `lifeline`; `None` when it was ended.
pub(super) async fn guard<T>(lifeline: &Arc<Lifeline>, work: impl Future<Output = T>) -> Option<T> {
    let work = LIFELINE.scope(Arc::clone(lifeline), work);
    tokio::pin!(work);
    loop {
        let wait = lifeline.ask()?;
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = lifeline.changed.notified() => {}
            // A busy stream yields when it has used up its share of the thread, and a timer that had to keep to that
            // share would never be seen to end.
            () = tokio::task::unconstrained(pass(wait)) => {}
        }
    }
}

async fn pass(wait: Wait) {
    match wait {
        Wait::Forever => std::future::pending().await,
        Wait::For(time) => tokio::time::sleep(time).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_without_a_limit_is_done() {
        assert_eq!(guard(&Arc::default(), async { 7 }).await, Some(7));
    }

    #[tokio::test]
    async fn work_within_its_limit_is_done() {
        let lifeline = Arc::new(Lifeline::default());
        lifeline.limit(Duration::from_secs(3600));
        let work = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            7
        };
        assert_eq!(guard(&lifeline, work).await, Some(7));
    }

    #[tokio::test]
    async fn work_past_its_limit_is_ended() {
        let lifeline = Arc::new(Lifeline::default());
        lifeline.limit(Duration::from_millis(1));
        assert_eq!(guard(&lifeline, std::future::pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn work_can_release_and_bind_itself() {
        let lifeline = Arc::new(Lifeline::default());
        lifeline.limit(Duration::from_secs(3600));
        let work = async {
            let mine = Lifeline::of_this_task().unwrap();
            mine.release();
            tokio::task::yield_now().await;
            mine.follow(Box::new(|| None));
            std::future::pending::<()>().await;
        };
        assert_eq!(guard(&lifeline, work).await, None);
    }

    #[tokio::test]
    async fn work_whose_body_stands_still_is_ended() {
        let lifeline = Arc::new(Lifeline::default());
        lifeline.await_body(Duration::from_millis(1));
        assert_eq!(guard(&lifeline, std::future::pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn work_whose_body_trickles_is_ended_and_one_whose_body_came_is_not() {
        let lifeline = Arc::new(Lifeline::default());
        lifeline.await_body(Duration::from_millis(20));
        let trickle = async {
            loop {
                Lifeline::of_this_task().unwrap().body_went_on(1, false);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert_eq!(guard::<()>(&lifeline, trickle).await, None);
        lifeline.await_body(Duration::from_millis(20));
        let whole = async {
            Lifeline::of_this_task().unwrap().body_went_on(1, true);
            tokio::time::sleep(Duration::from_millis(60)).await;
        };
        assert_eq!(guard(&lifeline, whole).await, Some(()));
    }

    #[tokio::test]
    async fn busy_work_is_ended_too() {
        let lifeline = Arc::new(Lifeline::default());
        lifeline.limit(Duration::from_millis(1));
        let busy = async {
            loop {
                tokio::task::consume_budget().await;
            }
        };
        assert_eq!(guard::<()>(&lifeline, busy).await, None);
    }
}
