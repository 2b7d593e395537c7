//! Whose turn it is.

use super::Balance;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The choice among equals.
#[derive(Debug)]
pub(super) struct Balancer {
    policy: Balance,
    turn: AtomicUsize,
    /// What makes chance differ from process to process.
    seed: RandomState,
}

/// The part of a candidate that a hash may rest on: the same for all replicas.
pub(super) type Mark<'m> = (&'m str, Option<SocketAddr>);

impl Balancer {
    pub(super) fn new(policy: Balance) -> Self {
        Self { policy, turn: AtomicUsize::new(0), seed: RandomState::new() }
    }

    /// The position among `marks` for a request of `subject`, and the next turn if it is a choice and no mere look.
    pub(super) fn pick(&self, marks: &[Mark<'_>], subject: Option<&str>, choosing: bool) -> Option<usize> {
        if let (Balance::HashSubject, Some(subject)) = (self.policy, subject) {
            return (0..marks.len()).max_by_key(|at| weight(subject, &marks[*at]));
        }
        let turn = self.turn.load(Ordering::Relaxed);
        let turn = if choosing { self.turn.fetch_add(1, Ordering::Relaxed) } else { turn };
        let number = match self.policy {
            Balance::Random => usize::try_from(self.seed.hash_one(turn) >> 32).unwrap_or(turn),
            Balance::RoundRobin | Balance::HashSubject => turn,
        };
        number.checked_rem(marks.len())
    }
}

/// Rendezvous hashing: when a candidate goes, only its own subjects move.
fn weight(subject: &str, mark: &Mark<'_>) -> u64 {
    // The standard library's hasher has fixed keys, so that replicas agree.
    let mut hasher = DefaultHasher::new();
    (subject, mark).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: [Mark<'static>; 3] = [("a", None), ("b", None), ("c", None)];

    #[test]
    fn turns_go_round_and_a_look_takes_none() {
        let balancer = Balancer::new(Balance::RoundRobin);
        let looked: Vec<_> = (0..2).filter_map(|_| balancer.pick(&MARKS, Some("alice"), false)).collect();
        let chosen: Vec<_> = (0..4).filter_map(|_| balancer.pick(&MARKS, Some("alice"), true)).collect();
        assert_eq!((looked, chosen), (vec![0, 0], vec![0, 1, 2, 0]));
        assert_eq!(balancer.pick(&[], None, true), None);
    }

    #[test]
    fn chance_reaches_everyone() {
        let balancer = Balancer::new(Balance::Random);
        let mut seen = [false; 3];
        (0..200).filter_map(|_| balancer.pick(&MARKS, None, true)).for_each(|at| seen[at] = true);
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn a_subject_keeps_its_place_when_another_candidate_goes() {
        let balancer = Balancer::new(Balance::HashSubject);
        let subjects: Vec<String> = (0..60).map(|number| format!("subject {number}")).collect();
        let place = |marks: &[Mark<'static>], subject: &str| {
            balancer.pick(marks, Some(subject), true).map(|at| marks[at].0).unwrap()
        };
        for (gone, (name, ..)) in MARKS.iter().enumerate() {
            let mut left = MARKS.to_vec();
            left.remove(gone);
            for subject in &subjects {
                let before = place(&MARKS, subject);
                assert!(before == *name || place(&left, subject) == before);
            }
        }
        let places: std::collections::HashSet<_> = subjects.iter().map(|subject| place(&MARKS, subject)).collect();
        assert_eq!(places.len(), 3);
    }
}
