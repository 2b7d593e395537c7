//! The one desk at which documents are asked for: one fetch of a URL at a time and one in a cooldown, over all sources.
//!
//! Two issuers may come to the same key set on different ways, by configuration and by discovery, and fifty tenants of
//! one provider share one. Each source has its own cooldown; this one is the URL's.

use super::client::{Client, Document, FetchError};
use super::source::Access;
use crate::clock::{Clock, UnixTime};
use reqwest::Url;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as Turn;

/// A place in the order of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// What is asked for, and how urgently.
pub(super) struct Order<'o> {
    pub(super) client: &'o Client,
    pub(super) timeout: Duration,
    pub(super) cooldown: Duration,
    /// An answer to a question put after this one was drawn will do.
    pub(super) ticket: Ticket,
    /// By an operator: no cooldown, and nothing that was fetched before.
    pub(super) ordered: bool,
    /// By a source without keys: what came within the cooldown is better than to wait for its end.
    pub(super) cold: bool,
}

impl Order<'_> {
    /// Whether the last answer will do.
    fn accepts(&self, last: &Recent, now: UnixTime) -> bool {
        let meanwhile = last.asked > self.ticket;
        meanwhile || (self.cold && !self.ordered && last.answer.is_ok() && now < last.until)
    }
}

/// The last answer from a URL.
struct Recent {
    asked: Ticket,
    until: UnixTime,
    answer: Result<Document, FetchError>,
}

type Counter = Arc<Turn<Option<Recent>>>;

/// The desk.
pub(super) struct Desk {
    clock: Arc<dyn Clock>,
    tickets: AtomicU64,
    counters: Mutex<HashMap<(Url, Access), Counter>>,
}

impl Desk {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tickets: AtomicU64::default(), counters: Mutex::default() }
    }

    /// The next ticket.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }

    /// The document at `url`: fetched, or shared with whoever asked for it at the same time.
    pub(super) async fn document(&self, url: &Url, order: &Order<'_>) -> Result<Document, FetchError> {
        loop {
            let counter = self.counter(url, order.client.access());
            let mut recent = counter.lock().await;
            let now = self.clock.now();
            if let Some(last) = recent.as_ref().filter(|last| order.accepts(last, now)) {
                return last.answer.clone();
            }
            let wait = recent.as_ref().map_or(Duration::ZERO, |last| last.until.since(now)).min(order.cooldown);
            if wait.is_zero() || order.ordered {
                let asked = self.ticket();
                let answer = order.client.document(url, order.timeout).await;
                *recent = Some(Recent { asked, until: now.plus(order.cooldown), answer: answer.clone() });
                return answer;
            }
            drop(recent); // an operator's order need not wait behind us
            tokio::time::sleep(wait).await;
        }
    }

    /// The counter of a URL. Those whose cooldown is over serve nobody any more: an issuer that names a new URL every
    /// time must not fill the memory.
    fn counter(&self, url: &Url, access: &Access) -> Counter {
        let now = self.clock.now();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|_, counter| {
            let in_use = Arc::strong_count(counter) > 1;
            in_use || counter.try_lock().is_ok_and(|recent| recent.as_ref().is_some_and(|last| last.until > now))
        });
        Arc::clone(counters.entry((url.clone(), access.clone())).or_default())
    }
}
