//! Where a request looks: which keys are revoked, spread over many small maps that are replaced whole.
//!
//! Readers take no lock and write to no shared cache line. Writers copy the small map they change, so that a list of
//! 100,000 costs a change no more than one of 400 does.

use crate::clock::UnixTime;
use crate::store::{Revocation, RevocationId, RevocationKey, RevocationKind};
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One for each value of a key's first byte.
const SHARDS: usize = 256;

/// The index. One writer at a time: [`Self::change`] is called under the list's lock.
pub(super) struct Index {
    shards: Vec<ArcSwap<Shard>>,
    /// How many rules there are of each kind: a kind without any costs a request nothing.
    populations: [AtomicUsize; RevocationKind::ALL.len()],
}

type Shard = HashMap<RevocationKey, Rules, BuildHasherDefault<Leading>>;

/// What is revoked under one key. Nearly always one rule, which then needs no allocation of its own.
#[derive(Clone)]
enum Rules {
    One(Rule),
    /// Somebody logs out everywhere a hundred times a day: a look-up asks only those that no other rule covers.
    Many {
        all: Vec<Rule>,
        uncovered: Vec<Rule>,
    },
}

/// One revocation, as far as a look-up needs it.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// Which one it is.
    pub(super) id: RevocationId,
    /// Only tokens issued before this moment are meant.
    pub(super) issued_before: Option<UnixTime>,
    /// The moment at which the last token it concerns has expired.
    pub(super) expires_at: UnixTime,
}

impl Rule {
    /// True when whatever `other` concerns, now or later, this one concerns too.
    fn covers(&self, other: &Self) -> bool {
        let reaches = match (self.issued_before, other.issued_before) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => own >= other,
        };
        reaches && self.expires_at >= other.expires_at
    }
}

impl Rules {
    fn of(all: Vec<Rule>) -> Option<Self> {
        let mut uncovered = Vec::new();
        for rule in &all {
            add_uncovered(&mut uncovered, *rule);
        }
        match all.as_slice() {
            [] => None,
            [rule] => Some(Self::One(*rule)),
            _ => Some(Self::Many { all, uncovered }),
        }
    }

    fn all(&self) -> &[Rule] {
        match self {
            Self::One(rule) => std::slice::from_ref(rule),
            Self::Many { all, .. } => all,
        }
    }

    fn uncovered(&self) -> &[Rule] {
        match self {
            Self::One(rule) => std::slice::from_ref(rule),
            Self::Many { uncovered, .. } => uncovered,
        }
    }

    fn add(&mut self, rule: Rule) {
        match self {
            Self::One(first) => {
                let (all, mut uncovered) = (vec![*first, rule], vec![*first]);
                add_uncovered(&mut uncovered, rule);
                *self = Self::Many { all, uncovered };
            }
            Self::Many { all, uncovered } => {
                all.push(rule);
                add_uncovered(uncovered, rule);
            }
        }
    }
}

fn add_uncovered(uncovered: &mut Vec<Rule>, rule: Rule) {
    if !uncovered.iter().any(|other| other.covers(&rule)) {
        uncovered.retain(|other| !rule.covers(other));
        uncovered.push(rule);
    }
}

impl Index {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| ArcSwap::from_pointee(Shard::default())).collect();
        Self { shards, populations: Default::default() }
    }

    /// True when no rule of this kind exists.
    pub(super) fn is_empty(&self, kind: RevocationKind) -> bool {
        self.populations[kind.index()].load(Ordering::Acquire) == 0
    }

    /// The first rule under `key` of which `applies` is true.
    pub(super) fn find(&self, key: RevocationKey, mut applies: impl FnMut(&Rule) -> bool) -> Option<RevocationId> {
        let shard = self.shards.get(shard_of(key))?.load();
        shard.get(&key)?.uncovered().iter().find(|rule| applies(rule)).map(|rule| rule.id)
    }

    /// Enters `added` and strikes out `removed`, each small map once.
    pub(super) fn change(&self, added: &[Revocation], removed: &[Revocation]) {
        let mut by_shard: BTreeMap<usize, (Vec<&Revocation>, Vec<&Revocation>)> = BTreeMap::new();
        for revocation in added {
            by_shard.entry(shard_of(revocation.key)).or_default().0.push(revocation);
            // Counted before it can be found: a reader that skips a kind must not skip its first rule.
            self.populations[revocation.kind.index()].fetch_add(1, Ordering::Release);
        }
        for revocation in removed {
            by_shard.entry(shard_of(revocation.key)).or_default().1.push(revocation);
        }
        for (shard, (added, removed)) in by_shard {
            let Some(place) = self.shards.get(shard) else { continue };
            let mut copy = Shard::clone(&place.load());
            for revocation in removed {
                strike_out(&mut copy, revocation);
            }
            for revocation in added {
                enter(&mut copy, revocation);
            }
            place.store(Arc::new(copy));
        }
        for revocation in removed {
            self.populations[revocation.kind.index()].fetch_sub(1, Ordering::Release);
        }
    }
}

fn shard_of(key: RevocationKey) -> usize {
    usize::from(key.as_bytes()[0])
}

fn enter(shard: &mut Shard, revocation: &Revocation) {
    let Revocation { id, issued_before, expires_at, .. } = *revocation;
    let rule = Rule { id, issued_before, expires_at };
    match shard.get_mut(&revocation.key) {
        None => drop(shard.insert(revocation.key, Rules::One(rule))),
        Some(rules) => rules.add(rule),
    }
}

fn strike_out(shard: &mut Shard, revocation: &Revocation) {
    let Some(rules) = shard.get_mut(&revocation.key) else { return };
    let rest = rules.all().iter().filter(|rule| rule.id != revocation.id).copied().collect();
    match Rules::of(rest) {
        Some(rest) => *rules = rest,
        None => drop(shard.remove(&revocation.key)),
    }
}

/// A key is random already; eight of its bytes that did not choose the shard are its hash.
#[derive(Default)]
struct Leading(u64);

impl Hasher for Leading {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((_, tail)) = bytes.split_last_chunk::<8>() {
            self.0 = u64::from_le_bytes(*tail);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Target;

    fn revocation(id: u128, token: &str) -> Revocation {
        let time = UnixTime::from_seconds(10);
        Revocation::new(RevocationId::from_bits(id), "https://i", Target::Token(token), time, time)
    }

    fn found(index: &Index, token: &str) -> Option<RevocationId> {
        index.find(revocation(0, token).key, |_| true)
    }

    #[test]
    fn what_was_entered_is_found_until_it_is_struck_out() {
        let index = Index::new();
        let all: Vec<_> = (0..2000).map(|n| revocation(n, &n.to_string())).collect();
        index.change(&all, &[]);
        assert!(all.iter().all(|one| index.find(one.key, |_| true) == Some(one.id)));
        assert!(found(&index, "2000").is_none());
        index.change(&[], &all[..1000]);
        assert!(found(&index, "999").is_none() && found(&index, "1000").is_some());
        assert!(!index.is_empty(RevocationKind::Token) && index.is_empty(RevocationKind::Session));
        index.change(&[], &all[1000..]);
        assert!(index.is_empty(RevocationKind::Token) && found(&index, "1000").is_none());
    }

    #[test]
    fn a_look_up_asks_only_what_no_other_rule_covers() {
        let at = UnixTime::from_seconds;
        let dated = |id, issued_before, expires_at| {
            let target = Target::Issuer { issued_before: at(issued_before) };
            Revocation::new(RevocationId::from_bits(id), "https://i", target, at(expires_at), at(0))
        };
        let index = Index::new();
        let key = dated(0, 0, 0).key;
        let asked = || {
            let mut asked = Vec::new();
            index.find(key, |rule| {
                asked.push(rule.id);
                false
            });
            asked.sort();
            asked
        };
        let [early, late, long] = [dated(1, 10, 20), dated(2, 11, 21), dated(3, 9, 30)];
        index.change(&[early, late, long], &[]);
        assert_eq!(asked(), [late.id, long.id]);
        index.change(&[], &[late]);
        assert_eq!(asked(), [early.id, long.id], "what was covered counts again");
        index.change(&[], &[long]);
        assert_eq!(asked(), [early.id]);
    }

    #[test]
    fn rules_under_one_key_come_and_go_one_by_one() {
        let index = Index::new();
        let all = [revocation(1, "x"), revocation(2, "x"), revocation(3, "x")];
        index.change(&all, &[]);
        index.change(&[], &all[..1]);
        assert_eq!(found(&index, "x"), Some(all[1].id));
        index.change(&[], &all[1..2]);
        assert_eq!(found(&index, "x"), Some(all[2].id));
        index.change(&[], &all[2..]);
        assert_eq!(found(&index, "x"), None);
    }
}
