//! The gateway's workshop: threads beside those that serve requests, and a bounded queue before them.

use crate::authn::{NotDone, Work, Workshop};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// How much work may wait for each thread. With RSA keys of 2048 bits that is some 40 ms of it: who would wait longer is
/// told to come back instead.
pub(super) const QUEUE_PER_THREAD: usize = 128;

/// Threads that do cryptography, and nothing else.
pub(super) struct CryptoPool {
    queue: Arc<Queue>,
}

struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    limit: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Order>,
    next: u64,
    closed: bool,
}

struct Order {
    ticket: u64,
    work: Work,
    done: oneshot::Sender<()>,
}

impl CryptoPool {
    /// A pool of `threads`, before which `limit` pieces of work may wait.
    pub(super) fn start(threads: usize, limit: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue { state: Mutex::default(), filled: Condvar::new(), limit });
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name(format!("crypto-{number}")).spawn(move || queue.serve())?;
        }
        Ok(Self { queue })
    }
}

impl Drop for CryptoPool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.filled.notify_all();
    }
}

#[async_trait]
impl Workshop for CryptoPool {
    async fn run(&self, work: Work) -> Result<(), NotDone> {
        let (done, finished) = oneshot::channel();
        let place = self.queue.enter(work, done)?;
        let result = finished.await;
        drop(place);
        // Work that panicked has told nobody that it is done.
        result.map_err(|_| NotDone)
    }

    fn waiting(&self) -> usize {
        self.queue.lock().waiting.len()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, work: Work, done: oneshot::Sender<()>) -> Result<Place, NotDone> {
        let mut state = self.lock();
        if state.waiting.len() >= self.limit {
            return Err(NotDone);
        }
        let ticket = state.next;
        state.next += 1;
        state.waiting.push_back(Order { ticket, work, done });
        drop(state);
        self.filled.notify_one();
        Ok(Place { queue: Arc::clone(self), ticket })
    }

    /// What each thread does, until the pool is closed.
    fn serve(&self) {
        while let Some(Order { work, done, .. }) = self.next() {
            // A panic must not cost the pool a thread: whoever asked learns that his work was not done.
            if catch_unwind(AssertUnwindSafe(work)).is_ok() {
                let _ = done.send(());
            }
        }
    }

    fn next(&self) -> Option<Order> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(order) = state.waiting.pop_front() {
                return Some(order);
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A place in the queue. Whoever goes away leaves it.
struct Place {
    queue: Arc<Queue>,
    ticket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        // Tickets ascend. What is begun is not in the queue any more.
        let place = state.waiting.binary_search_by_key(&self.ticket, |order| order.ticket);
        let left = place.ok().and_then(|place| state.waiting.remove(place));
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};

    type Running = tokio::task::JoinHandle<Result<(), NotDone>>;

    /// A pool of one thread that is busy until the sender is dropped.
    fn busy(limit: usize) -> (Arc<CryptoPool>, mpsc::Sender<()>, Running) {
        let pool = Arc::new(CryptoPool::start(1, limit).unwrap());
        let (release, blocked) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let asked = Arc::clone(&pool);
        let work = move || {
            begun.send(()).unwrap();
            let _ = blocked.recv();
        };
        let first = tokio::spawn(async move { asked.run(Box::new(work)).await });
        tokio::task::block_in_place(|| has_begun.recv().unwrap());
        (pool, release, first)
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_queue_takes_no_more_and_what_waits_is_done_in_its_turn() {
        let (pool, release, first) = busy(2);
        let done = Arc::new(AtomicUsize::new(0));
        let step = || {
            let done = Arc::clone(&done);
            pool.run(Box::new(move || done.store(done.load(Ordering::SeqCst) + 1, Ordering::SeqCst)))
        };
        let (mut one, mut two) = (Box::pin(step()), Box::pin(step()));
        assert!(poll(one.as_mut()).is_pending() && poll(two.as_mut()).is_pending());
        assert_eq!((pool.waiting(), step().await), (2, Err(NotDone)));
        drop(release);
        assert_eq!((one.await, two.await, first.await.unwrap()), (Ok(()), Ok(()), Ok(())));
        assert_eq!((done.load(Ordering::SeqCst), pool.waiting()), (2, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_goes_away_leaves_his_place_and_his_work_is_not_done() {
        let (pool, release, first) = busy(1);
        let done = Arc::new(AtomicUsize::new(0));
        let step = || {
            let done = Arc::clone(&done);
            pool.run(Box::new(move || done.store(done.load(Ordering::SeqCst) + 1, Ordering::SeqCst)))
        };
        let mut gone = Box::pin(step());
        assert!(poll(gone.as_mut()).is_pending());
        drop(gone);
        assert_eq!(pool.waiting(), 0);
        let mut next = Box::pin(step());
        assert!(poll(next.as_mut()).is_pending());
        drop(release);
        assert_eq!((next.await, first.await.unwrap()), (Ok(()), Ok(())));
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_panic_costs_neither_a_thread_nor_the_next_one_his_work() {
        let pool = CryptoPool::start(1, 1).unwrap();
        assert_eq!(pool.run(Box::new(|| std::panic::resume_unwind(Box::new("on purpose")))).await, Err(NotDone));
        assert_eq!(pool.run(Box::new(|| {})).await, Ok(()));
    }
}
