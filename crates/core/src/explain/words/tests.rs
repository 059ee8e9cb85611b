use super::*;
use crate::gate::io::Eviction;
use crate::id::ThreadId;

fn evicted(reason: EvictReason, level: ReclaimLevel, evidence: Evidence) -> String {
    let cause = Cause::Newcomer(ThreadId::parse("t21").unwrap());
    Verdict::Evicted(reason, Box::new(Reclaimed { eviction: Eviction { level, evidence }, cause })).sentence()
}

#[test]
fn a_dead_session_says_what_went_unanswered_for_how_long_and_who_got_its_slot() {
    let evidence = Evidence {
        missed_probes: 2,
        missed_pings: 3,
        unanswered_for: Some(Duration::from_millis(1_400)),
        silent_for: Duration::from_secs(61),
        ..Evidence::default()
    };
    assert_eq!(
        evicted(EvictReason::Unresponsive, ReclaimLevel::Aggressive, evidence),
        "Nobody answered two pings of a probe over 1.4 s; 3 heartbeats before went unanswered; 61 s of silence; so its \
         session was closed as dead, and its slot went to the thread \"t21\" (aggressive)."
    );
    assert_eq!(
        Verdict::Dead(ZombieKind::HalfOpen, Box::new(Evidence { missed_probes: 0, ..evidence })).sentence(),
        "Nobody answered 3 heartbeats in a row over 1.4 s; 61 s of silence; so the connection was declared dead (half open)."
    );
}

#[test]
fn a_live_session_that_gave_way_is_not_called_dead() {
    let evidence = Evidence { answered_in: Some(Duration::from_millis(12)), ..Evidence::default() };
    assert_eq!(
        evicted(EvictReason::MadeRoom, ReclaimLevel::Force, evidence),
        "No dead session was left to take, and this live one was the first to give way (it answered the last ping within \
         12 ms; 0 ms of silence), and its slot went to the thread \"t21\" (force)."
    );
    assert_eq!(
        evicted(EvictReason::MadeRoom, ReclaimLevel::Moderate, Evidence::default()),
        "No connection showed the session any more, so it was closed, and its slot went to the thread \"t21\" (moderate)."
    );
}

#[test]
fn a_stalled_peer_says_how_long_it_took_nothing() {
    let evidence = Evidence { blocked_for: Some(Duration::from_secs(31)), ..Evidence::default() };
    let said = Verdict::Dead(ZombieKind::Stalled, Box::new(evidence)).sentence();
    assert!(said.starts_with("The client took no byte for 31 s; "), "{said}");
}

#[test]
fn whatever_ended_says_who_or_what_ended_it() {
    let ended = |reason| Verdict::Released(reason).sentence();
    assert_eq!(ended(EvictReason::ByAdmin), "The session ended: an operator ended it by hand.");
    assert_eq!(ended(EvictReason::LingerEnded), "The session ended: no connection came back to it in time.");
    let closed = Verdict::Closed(EvictReason::Revoked).sentence();
    assert_eq!(closed, "The connection was closed: what had let the user in was revoked.");
}

#[test]
fn whoever_was_refused_reads_why_and_when_to_come_back() {
    let said = Verdict::Refused(Refusal::Draining { retry_in: Duration::from_secs(5) }).sentence();
    assert_eq!(said, "Refused, because this node is being drained: come back after 5.0 s.");
}

#[test]
fn times_are_told_as_people_say_them() {
    let said = [0, 999, 1_000, 9_999, 10_000, 119_999, 120_000, 7_200_000].map(|ms| span(Duration::from_millis(ms)));
    assert_eq!(said, ["0 ms", "999 ms", "1.0 s", "9.9 s", "10 s", "119 s", "2 min", "2 h"]);
}
