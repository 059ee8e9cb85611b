use lychgate_core::ThreadId;

use super::*;
use crate::cluster::lease::Standing;

fn claim(number: u64) -> Claim {
    let facts = Facts { thread: ThreadId::parse("t").unwrap(), standing: Standing::Plain };
    Claim { lease: LeaseId { life: 1, number }, user: UserId::parse("u").unwrap(), facts, limit: 1 }
}

/// A ledger with these leases held in its first term.
fn holding(numbers: std::ops::Range<u64>) -> Ledger {
    let mut ledger = Ledger::new();
    ledger.begin_term(1);
    for number in numbers {
        ledger.begin(&claim(number));
        ledger.sent(claim(number).lease);
        assert!(ledger.granted(claim(number).lease, 1));
    }
    ledger
}

fn asserted(ledger: &Ledger) -> Vec<u64> {
    let number = |job: Job| match job {
        Job::Assert { lease, .. } => Some(lease.number),
        Job::Release { .. } => None,
    };
    ledger.jobs(usize::MAX).into_iter().filter_map(number).collect()
}

#[test]
fn a_new_data_set_is_told_everything_that_is_held_and_only_then_is_all_told() {
    let mut ledger = holding(0..3);
    assert!(ledger.is_told() && ledger.jobs(9).is_empty());
    ledger.begin_term(2);
    assert_eq!(asserted(&ledger), [0, 1, 2]);
    for number in 0..3 {
        assert!(!ledger.is_told());
        assert!(ledger.granted(claim(number).lease, 2));
    }
    assert!(ledger.is_told());
}

#[test]
fn what_the_data_set_before_granted_is_told_to_the_one_after_it() {
    let mut ledger = holding(0..0);
    ledger.begin(&claim(7));
    ledger.sent(claim(7).lease);
    ledger.begin_term(2);
    assert!(!ledger.granted(claim(7).lease, 1));
    assert_eq!(asserted(&ledger), [7]);
}

#[test]
fn not_all_is_told_while_a_grant_of_the_data_set_before_may_be_on_its_way() {
    let asked = || {
        let mut ledger = holding(0..0);
        ledger.begin(&claim(7));
        ledger.sent(claim(7).lease);
        ledger.begin_term(2);
        assert!(!ledger.is_told() && ledger.jobs(9).is_empty());
        ledger
    };
    let mut granted = asked();
    assert!(!granted.granted(claim(7).lease, 1), "there is something to tell");
    assert!(!granted.is_told());
    assert!(granted.granted(claim(7).lease, 2));
    assert!(granted.is_told());
    let ends: [fn(&mut Ledger, LeaseId); 5] =
        [Ledger::declined, Ledger::denied, Ledger::doubt, Ledger::release, |ledger, lease| _ = ledger.taken(lease)];
    for end in ends {
        let mut ledger = asked();
        end(&mut ledger, claim(7).lease);
        assert!(ledger.is_told());
    }
}

#[test]
fn a_question_that_was_declined_is_no_question_to_give_back() {
    let mut ledger = holding(0..0);
    ledger.begin(&claim(1));
    ledger.sent(claim(1).lease);
    ledger.declined(claim(1).lease);
    assert!(ledger.abandon(claim(1).lease) && ledger.is_empty());
    assert!(ledger.jobs(9).is_empty());
}

#[test]
fn an_abandoned_question_is_given_back_only_where_it_may_have_arrived() {
    let mut ledger = holding(0..0);
    ledger.begin(&claim(1));
    ledger.abandon(claim(1).lease);
    assert!(ledger.jobs(9).is_empty() && ledger.is_empty());
    ledger.begin(&claim(2));
    ledger.sent(claim(2).lease);
    ledger.abandon(claim(2).lease);
    let Claim { lease, user, .. } = claim(2);
    assert_eq!(ledger.jobs(9), [Job::Release { lease, user }]);
    ledger.released(lease);
    assert!(ledger.jobs(9).is_empty());
}

#[test]
fn a_session_admitted_in_doubt_is_told_and_one_given_up_in_doubt_is_given_back() {
    let mut ledger = holding(0..0);
    for number in [1, 2] {
        ledger.begin(&claim(number));
        ledger.sent(claim(number).lease);
        ledger.doubt(claim(number).lease);
    }
    assert!(ledger.jobs(9).is_empty());
    ledger.keep(claim(1));
    ledger.release(claim(2).lease);
    assert_eq!((asserted(&ledger), ledger.undone()), (vec![1], 1));
}

#[test]
fn a_question_repeated_in_doubt_and_denied_is_given_back_all_the_same() {
    let mut ledger = holding(0..0);
    ledger.begin(&claim(1));
    ledger.sent(claim(1).lease);
    ledger.doubt(claim(1).lease);
    ledger.begin(&claim(1));
    ledger.denied(claim(1).lease);
    assert_eq!((ledger.len(), ledger.undone()), (0, 1));
}

#[test]
fn a_lease_that_is_over_is_said_once_and_never_told_again() {
    let mut ledger = holding(0..1);
    ledger.begin_term(2);
    assert_eq!(ledger.taken(claim(0).lease), Some(claim(0).user));
    assert_eq!(ledger.taken(claim(0).lease), None);
    assert!(ledger.granted(claim(0).lease, 2));
    assert!(ledger.is_told() && ledger.jobs(9).is_empty() && ledger.is_empty());
}

#[test]
fn refreshes_go_round_all_leases_and_leave_none_out() {
    let mut ledger = holding(0..10);
    let mut seen = Vec::new();
    for _ in 0..5 {
        ledger.refresh(2);
        let now = asserted(&ledger);
        now.iter().for_each(|number| _ = ledger.granted(claim(*number).lease, 1));
        seen.extend(now);
    }
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    // At the end it begins again: once with nothing, then with the first.
    ledger.refresh(2);
    ledger.refresh(2);
    assert_eq!(asserted(&ledger), [0, 1]);
}

#[test]
fn places_to_give_back_are_bounded_and_the_oldest_is_forgotten() {
    let mut ledger = holding(0..MAX_UNDONE as u64 + 2);
    (0..MAX_UNDONE as u64 + 2).for_each(|number| ledger.release(claim(number).lease));
    assert_eq!(ledger.undone(), MAX_UNDONE);
    assert!(matches!(ledger.jobs(1)[..], [Job::Release { lease: LeaseId { number: 2, .. }, .. }]));
}
