//! The table of recent claims, without a store behind it.

use super::*;
use crate::store::NonceKey;

type Table = Recent<()>;
const GIVE_BACK: IfUnknown = IfUnknown::GiveBack;

fn table() -> Table {
    Recent::new(100, Duration::from_secs(2))
}

fn nonce(id: &str) -> Nonce {
    Nonce { key: NonceKey::new("jti", "a", id), uses: 1, keep_until: at(100) }
}

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

fn fresh(answered: bool) -> Landing {
    Landing::Fresh { owner: 1001, epoch: at(0), answered }
}

const LOST: Landing = Landing::Lost { owner: Some(1001), epoch: UnixTime::from_seconds(0) };

/// Claims, ends as `landing`, and tells what the next claim may do.
fn after(table: &Table, nonce: Nonce, landing: Landing, if_unknown: IfUnknown) -> Admission {
    assert_eq!(table.begin(&[nonce], if_unknown, at(0)), Admission::Granted);
    table.land(&[nonce], landing, if_unknown, at(0));
    table.begin(&[nonce], GIVE_BACK, at(1))
}

#[test]
fn a_claim_of_ours_is_remembered_until_it_ends() {
    let table = table();
    assert_eq!(after(&table, nonce("a"), fresh(true), GIVE_BACK), Admission::Replayed(0));
    assert_eq!(table.begin(&[nonce("b"), nonce("a")], GIVE_BACK, at(100)), Admission::Replayed(1));
    assert_eq!(table.begin(&[nonce("a")], GIVE_BACK, at(106)), Admission::Granted);
}

#[test]
fn a_foreign_claim_is_remembered_for_a_moment_and_only_against_as_few_uses() {
    let table = table();
    assert_eq!(after(&table, nonce("a"), Landing::Replayed(0), GIVE_BACK), Admission::Replayed(0));
    let thrice = Nonce { uses: 3, ..nonce("a") };
    assert_eq!(table.begin(&[thrice], GIVE_BACK, at(1)), Admission::Granted);
    table.land(&[thrice], Landing::Replayed(0), GIVE_BACK, at(1));
    assert_eq!(table.begin(&[thrice], GIVE_BACK, at(2)), Admission::Replayed(0));
    assert_eq!(table.begin(&[nonce("a")], GIVE_BACK, at(3)), Admission::Granted);
}

#[test]
fn one_claim_of_a_nonce_is_on_its_way_at_a_time() {
    let table = table();
    assert_eq!(table.begin(&[nonce("a")], GIVE_BACK, at(0)), Admission::Granted);
    assert_eq!(table.begin(&[nonce("a"), nonce("b")], GIVE_BACK, at(0)), Admission::Busy(nonce("a").key));
    assert!(table.wait(&nonce("a").key, ()));
    assert!(!table.wait(&nonce("b").key, ()));
    table.overdue(&[nonce("a")], GIVE_BACK);
    assert_eq!(table.begin(&[nonce("a")], GIVE_BACK, at(0)), Admission::Unsettled);
    assert!(!table.wait(&nonce("a").key, ()));
}

#[test]
fn a_claim_whose_request_was_refused_is_given_back() {
    for (landing, late) in [(fresh(true), true), (fresh(false), false), (LOST, false), (LOST, true)] {
        let (table, nonce) = (table(), nonce("a"));
        assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Granted);
        if late {
            table.overdue(&[nonce], GIVE_BACK);
        }
        assert!(table.land(&[nonce], landing, GIVE_BACK, at(0)), "{landing:?}");
        assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Unsettled);
        let due = table.take_due(10, |_| true);
        assert_eq!(due, [Due { nonce, owner: 1001, epoch: at(0) }]);
        assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Busy(nonce.key));
        table.returned(due[0], Returned::Settled);
        assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Granted);
    }
}

#[test]
fn a_claim_that_a_request_rests_on_is_never_given_back() {
    for landing in [fresh(false), LOST] {
        assert_eq!(after(&table(), nonce("a"), landing, IfUnknown::Keep), Admission::Replayed(0));
    }
    for landing in [fresh(true), LOST] {
        let (table, nonce) = (table(), nonce("a"));
        assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Granted);
        table.overdue(&[nonce], GIVE_BACK);
        // Another request with the same token is let through without the store's answer.
        assert_eq!(table.begin(&[nonce], IfUnknown::Keep, at(0)), Admission::Unsettled);
        assert!(!table.land(&[nonce], landing, GIVE_BACK, at(0)));
        assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Replayed(0));
    }
    let (table, nonce) = (table(), nonce("a"));
    assert_eq!(after(&table, nonce, LOST, GIVE_BACK), Admission::Unsettled);
    assert_eq!(table.begin(&[nonce], IfUnknown::Keep, at(1)), Admission::Unsettled);
    assert_eq!(table.take_due(10, |_| true), []);
    assert_eq!(table.begin(&[nonce], GIVE_BACK, at(1)), Admission::Replayed(0));
}

#[test]
fn a_release_whose_answer_is_lost_is_not_tried_again() {
    let (table, nonce) = (table(), nonce("a"));
    assert_eq!(after(&table, nonce, fresh(true), GIVE_BACK), Admission::Replayed(0));
    let due = Due { nonce, owner: 1001, epoch: at(0) };
    assert!(table.give_up(due));
    assert_eq!(table.take_due(10, |_| true), [due]);
    table.returned(due, Returned::Lost);
    assert_eq!(table.take_due(10, |_| true), []);
    assert_eq!(table.begin(&[nonce], GIVE_BACK, at(1)), Admission::Replayed(0));
}

#[test]
fn a_release_that_was_not_sent_is_tried_again() {
    let (table, nonce) = (table(), nonce("a"));
    let due = Due { nonce, owner: 1001, epoch: at(0) };
    assert!(table.give_up(due));
    assert_eq!(table.take_due(10, |_| false), []);
    assert_eq!(table.take_due(10, |_| true), [due]);
    table.returned(due, Returned::NotSent);
    assert_eq!(table.take_due(10, |_| true), [due]);
}

#[test]
fn a_lost_answer_is_not_taken_back_where_an_earlier_claim_of_ours_may_be_forgotten() {
    let table: Table = Recent::new(1, Duration::from_secs(2));
    assert_eq!(after(&table, nonce("a"), fresh(true), GIVE_BACK), Admission::Replayed(0));
    assert_eq!(after(&table, nonce("b"), fresh(true), GIVE_BACK), Admission::Granted);
    table.land(&[nonce("b")], LOST, GIVE_BACK, at(1));
    assert_eq!(table.take_due(10, |_| true), [], "the claim in the store may be the good one");
    assert_eq!(table.begin(&[nonce("c")], GIVE_BACK, at(106)), Admission::Granted);
    table.land(&[nonce("c")], LOST, GIVE_BACK, at(106));
    assert_eq!(table.take_due(10, |_| true).len(), 1);
}

#[test]
fn a_counted_use_is_given_back_only_where_the_answer_is_known() {
    let (table, thrice) = (table(), Nonce { uses: 3, ..nonce("a") });
    assert_eq!(table.begin(&[thrice], GIVE_BACK, at(0)), Admission::Granted);
    assert!(!table.land(&[thrice], LOST, GIVE_BACK, at(0)));
    assert_eq!(table.begin(&[thrice], GIVE_BACK, at(0)), Admission::Granted);
    table.overdue(&[thrice], GIVE_BACK);
    assert!(table.land(&[thrice], fresh(true), GIVE_BACK, at(0)));
    assert_eq!(table.take_due(10, |_| true).len(), 1);
}

#[test]
fn a_claim_made_without_the_store_is_remembered_and_made_once() {
    let (table, nonce) = (table(), nonce("a"));
    assert_eq!(table.adopt(&[nonce], at(0)), None);
    assert_eq!(table.adopt(&[nonce], at(1)), Some(0));
    assert_eq!(table.begin(&[nonce], GIVE_BACK, at(1)), Admission::Replayed(0));
}

#[test]
fn a_claim_made_without_the_store_is_not_made_beside_one_that_is_on_its_way() {
    let (table, nonce) = (table(), nonce("a"));
    assert_eq!(table.begin(&[nonce], IfUnknown::Keep, at(0)), Admission::Granted);
    assert_eq!(table.adopt(&[nonce], at(0)), Some(0), "its request may yet be told that it is fresh");
    table.overdue(&[nonce], IfUnknown::Keep);
    assert_eq!(table.adopt(&[nonce], at(0)), None);
    assert_eq!(table.adopt(&[nonce], at(0)), Some(0));
    assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Replayed(0));
    // Whatever the store says to the late claim.
    table.land(&[nonce], Landing::Replayed(0), IfUnknown::Keep, at(0));
    assert_eq!(table.begin(&[nonce], GIVE_BACK, at(10)), Admission::Replayed(0));
}

#[test]
fn what_has_ended_makes_room() {
    let table: Table = Recent::new(8, Duration::from_secs(2));
    for round in 0..4 {
        for id in 0..8 {
            let nonce = Nonce { keep_until: at(10 * round + 1), ..nonce(&format!("{round} {id}")) };
            assert_eq!(table.begin(&[nonce], GIVE_BACK, at(10 * round)), Admission::Granted);
            table.land(&[nonce], fresh(true), GIVE_BACK, at(10 * round));
            assert_eq!(table.begin(&[nonce], GIVE_BACK, at(10 * round)), Admission::Replayed(0), "{round} {id}");
        }
    }
    assert!(table.lock().entries.len() <= 8);
}
