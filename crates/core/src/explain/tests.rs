use std::time::Duration;

use super::*;
use crate::id::SessionKey;
use crate::reclaim::ReclaimLevel;

fn key(user: &str, thread: &str) -> SessionKey {
    SessionKey::new(UserId::parse(user).unwrap(), ThreadId::parse(thread).unwrap())
}

fn evicted(user: &str, n: u64) -> Event {
    let evidence = Evidence { missed_probes: 2, ..Evidence::default() };
    Event::SessionEvicted {
        key: key(user, &format!("t{n}")),
        reason: EvictReason::Unresponsive,
        eviction: Eviction { level: ReclaimLevel::Aggressive, evidence },
        cause: Cause::Pressure,
    }
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

#[test]
fn the_newest_decisions_are_kept_with_their_evidence_and_the_older_ones_are_counted() {
    let mut ledger = Ledger::new(1 << 20, 7);
    for n in 0..40 {
        ledger.record(Time::from_micros(n), &evicted("ann", n));
    }
    let known = ledger.explain(&user("ann")).unwrap();
    assert_eq!((known.decisions.len(), known.dropped), (DECISIONS_PER_USER, 8));
    assert_eq!(known.decisions[0].thread.as_ref().map(ThreadId::as_str), Some("t8"));
    let Verdict::Evicted(EvictReason::Unresponsive, reclaimed) = &known.decisions[31].verdict else {
        panic!("an eviction: {:?}", known.decisions[31]);
    };
    let eviction = reclaimed.eviction;
    assert_eq!((eviction.level, eviction.evidence.missed_probes), (ReclaimLevel::Aggressive, 2));
}

#[test]
fn within_its_budget_the_user_who_was_active_longest_ago_is_dropped_first_and_counted() {
    let mut one = Ledger::new(1 << 20, 7);
    one.record(Time::ZERO, &evicted("u0", 0));
    let mut ledger = Ledger::new(one.bytes() * 3, 7);
    for name in ["u0", "u1", "u2"] {
        ledger.record(Time::ZERO, &evicted(name, 0));
    }
    assert_eq!(ledger.dropped_users(), 0);
    ledger.record(Time::ZERO, &evicted("u0", 1));
    assert_eq!(ledger.dropped_users(), 1);
    let known: Vec<_> = ["u0", "u1", "u2"].map(|name| ledger.explain(&user(name)).is_some()).into();
    assert_eq!(known, [true, false, true]);
}

#[test]
fn the_count_of_bytes_is_what_the_records_take_and_never_exceeds_the_budget() {
    let budget = 40_000;
    let mut ledger = Ledger::new(budget, 7);
    for n in 0..2_000 {
        ledger.record(Time::from_micros(n), &evicted(&format!("user-{}", n * 31 % 97), n));
        assert!(ledger.bytes() <= budget);
    }
    let counted: usize = ledger.rings.iter().map(|(user, ring)| user_bytes(user) + ring.bytes()).sum();
    assert_eq!(ledger.bytes(), counted);
}

#[test]
fn a_tab_that_opens_what_it_has_open_pushes_nothing_out() {
    let mut ledger = Ledger::new(1 << 20, 7);
    ledger.record(Time::ZERO, &evicted("ann", 0));
    let attached = |path| Event::SessionAttached {
        key: key("ann", "t1"),
        connection: ConnectionId::from_random(1),
        path,
        waited: Duration::ZERO,
    };
    ledger.record(Time::ZERO, &attached(AdmissionPath::Takeover));
    for n in 0..100 {
        ledger.record(Time::from_micros(n), &attached(AdmissionPath::Attach));
    }
    let known = ledger.explain(&user("ann")).unwrap();
    assert_eq!((known.decisions.len(), known.dropped), (2, 0));
    assert_eq!((known.decisions[1].at, known.decisions[1].again), (Time::from_micros(99), 100));
}

fn closed(connection: u128, reason: Option<EvictReason>) -> Event {
    Event::Disconnected { user: user("ann"), connection: ConnectionId::from_random(connection), reason }
}

#[test]
fn a_connection_that_we_closed_is_told_once_with_the_reason_and_one_that_left_is_not() {
    let ours = [
        EvictReason::Revoked,
        EvictReason::LoggedOut,
        EvictReason::TokenExpired,
        EvictReason::Draining,
        EvictReason::ByAdmin,
        EvictReason::MadeRoomForConnection,
        EvictReason::Slow,
        EvictReason::Unresponsive,
    ];
    for reason in ours {
        let mut ledger = Ledger::new(1 << 20, 7);
        ledger.record(Time::ZERO, &closed(1, Some(reason)));
        let known = ledger.explain(&user("ann")).unwrap();
        assert_eq!(known.decisions[0].verdict, Verdict::Closed(reason));
        assert_eq!(known.decisions[0].connection, Some(ConnectionId::from_random(1)));
    }
    let theirs = [EvictReason::Left, EvictReason::ClientClosed, EvictReason::LingerEnded];
    let told = [EvictReason::Superseded, EvictReason::MadeRoom];
    let mut ledger = Ledger::new(1 << 20, 7);
    ledger.record(Time::ZERO, &closed(1, None));
    for reason in theirs.into_iter().chain(told) {
        ledger.record(Time::ZERO, &closed(1, Some(reason)));
    }
    assert_eq!(ledger.explain(&user("ann")), None);
    let (kind, evidence) = (ZombieKind::HalfOpen, Evidence::default());
    let dead = Event::Zombie { user: user("ann"), connection: ConnectionId::from_random(1), kind, evidence };
    ledger.record(Time::ZERO, &dead);
    ledger.record(Time::ZERO, &closed(1, Some(EvictReason::Unresponsive)));
    assert_eq!(ledger.explain(&user("ann")).unwrap().decisions.len(), 1, "that it is dead says why it was closed");
    ledger.record(Time::ZERO, &closed(2, Some(EvictReason::Unresponsive)));
    assert_eq!(ledger.explain(&user("ann")).unwrap().decisions.len(), 2, "another one is another one");
}

#[test]
fn connections_that_are_closed_without_end_push_out_decisions_of_their_user_alone() {
    let mut ledger = Ledger::new(1 << 20, 7);
    ledger.record(Time::ZERO, &evicted("bob", 0));
    for n in 0..1_000 {
        ledger.record(Time::ZERO, &closed(n, Some(EvictReason::MadeRoomForConnection)));
    }
    let known = ledger.explain(&user("ann")).unwrap();
    assert_eq!((known.decisions.len(), known.dropped), (DECISIONS_PER_USER, 968));
    assert_eq!(ledger.explain(&user("bob")).unwrap().dropped, 0);
}

#[test]
fn what_is_no_decision_leaves_no_trace() {
    let mut ledger = Ledger::new(1 << 20, 7);
    ledger.record(Time::ZERO, &Event::SessionLingers { key: key("ann", "t1") });
    assert_eq!((ledger.explain(&user("ann")), ledger.bytes()), (None, 0));
}

#[test]
fn a_budget_that_holds_nobody_holds_nobody() {
    let mut ledger = Ledger::new(10, 7);
    ledger.record(Time::ZERO, &evicted("ann", 1));
    assert_eq!((ledger.explain(&user("ann")), ledger.bytes(), ledger.dropped_users()), (None, 0, 1));
}
