//! A crowd of clients that show the same one-time tokens to two gateways at the same time, whatever happens meanwhile.

#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

use crate::common::{Client, Connection, Gateway, Issuer, until};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::Duration;
use tollgate::clock::Stopwatch;

/// Clients at each gateway.
pub const PRESENTERS: usize = 8;
/// Tokens after which the clients wait for each other, so that none falls behind the others' traces.
const BLOCK: usize = 8;
/// What a client that was told to come back later waits before its next request.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a client that wants to know the fate of its token asks for it.
const PERSEVERANCE: Duration = Duration::from_secs(30);

/// How often a client shows a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Showing {
    /// Once.
    Once,
    /// Again and again while the answer is 503, as a client does that believes `Retry-After`.
    UntilKnown,
}

/// Tokens, and the gateways they are shown to. A token is made when the first client wants it.
pub struct Crowd<'a> {
    name: &'a str,
    issuer: &'a Issuer,
    gateways: &'a [Gateway; 2],
    tokens: Vec<OnceLock<String>>,
}

/// How far the crowd has come.
#[derive(Default)]
pub struct Progress {
    answered: AtomicUsize,
    accepted: AtomicUsize,
    unavailable: [AtomicUsize; 2],
}

/// What became of the tokens.
pub struct Outcome {
    /// How often each was accepted.
    pub accepted: Vec<usize>,
    /// How many requests were made.
    pub requests: usize,
    /// Every status that came.
    pub statuses: Vec<u16>,
    /// How long the longest request took.
    pub slowest: Duration,
}

/// One request.
struct Shown {
    token: usize,
    status: u16,
    took: Duration,
}

impl<'a> Crowd<'a> {
    /// A crowd with so many tokens, whose subjects are `NAME-0` and so on.
    pub fn new(name: &'a str, issuer: &'a Issuer, gateways: &'a [Gateway; 2], tokens: usize) -> Self {
        Self { name, issuer, gateways, tokens: (0..tokens).map(|_| OnceLock::new()).collect() }
    }

    fn token(&self, number: usize) -> &str {
        self.tokens[number].get_or_init(|| self.issuer.token(&format!("{}-{number}", self.name)))
    }

    /// Every client shows every token; `meanwhile` runs beside them.
    pub fn show(&self, showing: Showing, meanwhile: impl FnOnce(&Progress)) -> Outcome {
        let (progress, barrier) = (Progress::default(), Barrier::new(2 * PRESENTERS));
        let shown = thread::scope(|scope| {
            let presenters: Vec<_> = (0..2 * PRESENTERS)
                .map(|presenter| {
                    let client = self.gateways[presenter % 2].client();
                    let (progress, barrier) = (&progress, &barrier);
                    scope.spawn(move || self.present(presenter, &client, showing, progress, barrier))
                })
                .collect();
            meanwhile(&progress);
            presenters.into_iter().flat_map(|presenter| presenter.join().unwrap()).collect::<Vec<Shown>>()
        });
        self.outcome(&shown)
    }

    /// Shows the tokens that `wanted` names to both gateways, one after the other; how often each was accepted.
    pub fn show_again(&self, wanted: impl Fn(usize) -> bool) -> Outcome {
        let progress = Progress::default();
        let clients = [0, 1].map(|gateway: usize| self.gateways[gateway].client());
        let mut connections = clients.each_ref().map(|client| client.connect().unwrap());
        let mut shown = Vec::new();
        for number in (0..self.tokens.len()).filter(|number| wanted(*number)) {
            for (gateway, connection) in connections.iter_mut().enumerate() {
                shown.extend(self.show_one(number, connection, Showing::UntilKnown, &progress, gateway));
            }
        }
        self.outcome(&shown)
    }

    /// One client. It never panics, because others wait for it.
    fn present(
        &self,
        presenter: usize,
        client: &Client,
        showing: Showing,
        progress: &Progress,
        barrier: &Barrier,
    ) -> Vec<Shown> {
        let mut shown = Vec::new();
        let mut connection = client.connect();
        for start in (0..self.tokens.len()).step_by(BLOCK) {
            barrier.wait();
            let block = BLOCK.min(self.tokens.len() - start);
            // By turns: all show the same token, or each begins with another, so that one token is shown to both
            // gateways at once and each gateway has many on the way.
            let first = if (start / BLOCK).is_multiple_of(2) { 0 } else { presenter / 2 };
            for place in 0..block {
                let number = start + (first + place) % block;
                match &mut connection {
                    Ok(open) => shown.extend(self.show_one(number, open, showing, progress, presenter % 2)),
                    Err(_) => shown.push(Shown { token: number, status: 0, took: Duration::ZERO }),
                }
                if shown.last().is_some_and(|shown| shown.status == 0) {
                    connection = client.connect();
                }
            }
        }
        shown
    }

    fn show_one(
        &self,
        number: usize,
        connection: &mut Connection,
        showing: Showing,
        progress: &Progress,
        gateway: usize,
    ) -> Vec<Shown> {
        let (token, asked) = (self.token(number), Stopwatch::start());
        let mut shown = Vec::new();
        loop {
            let watch = Stopwatch::start();
            let status = connection.get("/once", Some(token)).map_or(0, |answer| answer.status);
            shown.push(Shown { token: number, status, took: watch.elapsed() });
            progress.note(status, gateway);
            if status == 503 {
                thread::sleep(PAUSE);
            }
            if status != 503 || showing == Showing::Once || asked.elapsed() > PERSEVERANCE {
                return shown;
            }
        }
    }

    fn outcome(&self, shown: &[Shown]) -> Outcome {
        let mut accepted = vec![0; self.tokens.len()];
        for shown in shown.iter().filter(|shown| shown.status == 200) {
            accepted[shown.token] += 1;
        }
        let mut statuses: Vec<u16> = shown.iter().map(|shown| shown.status).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let slowest = shown.iter().map(|shown| shown.took).max().unwrap_or_default();
        Outcome { accepted, requests: shown.len(), statuses, slowest }
    }
}

impl Progress {
    fn note(&self, status: u16, gateway: usize) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        match status {
            200 => _ = self.accepted.fetch_add(1, Ordering::Relaxed),
            503 => _ = self.unavailable[gateway].fetch_add(1, Ordering::Relaxed),
            _ => {}
        }
    }

    /// How many tokens were accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits for so many answers in all; how long does not matter as long as answers come.
    pub fn until_answered(&self, wanted: usize) {
        Self::until_grown(wanted, "another answer", || self.answered.load(Ordering::Relaxed));
    }

    /// Waits until so many tokens more were accepted.
    pub fn until_accepted(&self, more: usize) {
        Self::until_grown(self.accepted() + more, "another token is accepted", || self.accepted());
    }

    /// Waits until each gateway has answered 503 so many times more.
    pub fn until_unavailable(&self, more: usize) {
        let before = self.unavailable.each_ref().map(|count| count.load(Ordering::Relaxed));
        for (count, before) in self.unavailable.iter().zip(before) {
            Self::until_grown(before + more, "another 503", || count.load(Ordering::Relaxed));
        }
    }

    fn until_grown(wanted: usize, what: &str, count: impl Fn() -> usize) {
        while count() < wanted {
            let before = count();
            until(what, || (count() > before).then_some(()));
        }
    }
}
