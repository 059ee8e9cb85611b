use super::*;
use crate::nodes::history::{around, busy_since};

/// Three nodes, two sessions and none in reserve; user 9 never has to make room.
fn rules() -> Rules {
    Rules { nodes: 3, limit: 2, reserve: 0, never_full: [9].into() }
}

/// A history of user 0: one entry each second. `a1` asks for session 1, `o1` is told that it is open, `e1` that it made
/// room, `r1` leaves, `c1` is cut, `x1` is refused, `g1` gives up; sessions below 10 are on node 0, others on the node of
/// their tens. `!` the fault begins, `.` it is healed, `/` nobody comes any more,
/// `k2` node 2 is killed.
fn history(text: &str) -> Vec<Entry> {
    let entry = |(index, word): (usize, &str)| {
        let at = Duration::from_secs(index as u64);
        let number = || word[1..].parse::<u64>().unwrap();
        let step = match &word[..1] {
            "!" => return Entry { at, what: What::Faulty },
            "." => return Entry { at, what: What::Healed },
            "/" => return Entry { at, what: What::Over },
            "k" => return Entry { at, what: What::Died { node: number() as usize } },
            "a" => Step::Asked,
            "o" => Step::Admitted,
            "e" => Step::Evicted,
            "r" => Step::Released,
            "c" => Step::Cut("on purpose".to_owned()),
            "x" => Step::Refused("no_slot".to_owned()),
            "g" => Step::GivenUp,
            other => panic!("no step is called {other}"),
        };
        let node = (number() / 10) as usize;
        Entry { at, what: What::Session { user: 0, session: number(), node, step } }
    };
    text.split_whitespace().enumerate().map(entry).collect()
}

fn judged(text: &str) -> Verdict {
    judge(&history(text), &rules())
}

fn broken(text: &str) -> String {
    let verdict = judged(text);
    verdict.breaches.iter().map(|breach| breach.sentence.as_str()).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_newcomer_above_the_limit_for_whom_nobody_goes_is_found() {
    assert!(broken("a1 o1 a2 o2 a3 o3").contains("holds 3 sessions, and may hold 2"));
    assert_eq!(judged("a1 o1 a2 o2 a3 o3").over, 1);
}

#[test]
fn a_victim_that_hears_of_it_after_the_newcomer_does_is_no_excess() {
    let verdict = judged("a1 o1 a2 o2 a13 o13 e1");
    assert_eq!((verdict.over, verdict.wrongly_closed, verdict.admitted), (0, 0, 3));
    assert_eq!(verdict.breaches, []);
}

#[test]
fn one_victim_does_not_answer_for_two_newcomers() {
    assert!(broken("a1 o1 a2 o2 a13 o13 a14 o14 e1").contains("session 14 is one too many"));
    assert_eq!(broken("a1 o1 a2 o2 a13 o13 a14 o14 e1 e2"), "");
}

#[test]
fn a_newcomer_is_not_his_own_victim() {
    assert!(broken("a1 o1 a2 o2 a3 o3 e3").contains("session 3 is one too many"));
}

#[test]
fn while_redis_is_unknown_each_node_may_admit_by_its_own_count_and_no_more() {
    let six = "a1 o1 a2 o2 ! a13 o13 a14 o14 a25 o25 a26 o26";
    assert_eq!((broken(six), judged(six).over), (String::new(), 4));
    assert!(broken(&format!("{six} a7 o7")).contains("may hold 6 while Redis is unknown"));
}

#[test]
fn what_is_too_much_after_a_fault_may_not_grow_and_what_went_does_not_come_back() {
    let healed = "a1 o1 a2 o2 ! a13 o13 a14 o14 .";
    assert!(broken(&format!("{healed} a25 o25")).contains("may hold 4 while everybody can be asked"));
    assert_eq!(broken(&format!("{healed} a25 o25 e1 r2 a26 o26 e13")), "");
    assert!(broken(&format!("{healed} r1 a25 o25")).contains("may hold 3"));
}

#[test]
fn where_a_busy_machine_hid_redis_after_a_fault_nobody_rises_above_what_each_node_admits() {
    let entries = history("a1 o1 a2 o2 ! . a13 o13");
    let since = |times: &[u64]| {
        let times: Vec<_> = times.iter().copied().map(Duration::from_secs).collect();
        judge(&busy_since(entries.clone(), &times), &rules()).breaches.len()
    };
    assert_eq!((since(&[]), since(&[5]), since(&[7])), (1, 0, 1));
    assert_eq!(since(&[0]), 1, "it was over when the fault was healed");
}

#[test]
fn who_is_told_late_what_he_was_given_before_the_fault_ended_is_no_growth() {
    assert_eq!(broken("a1 o1 a2 o2 ! a13 . o13"), "");
}

#[test]
fn who_comes_in_when_the_play_is_over_is_counted_no_more() {
    assert_eq!(broken("a1 o1 a2 o2 a13 / o13 r1"), "");
    assert!(broken("a1 o1 a2 o2 a13 o13 / r1").contains("one too many"));
}

#[test]
fn sessions_of_a_killed_node_count_no_more_and_nobody_wronged_them() {
    assert_eq!(broken("a11 o11 a2 o2 a12 k1 a3 o3 c11 o12 c12"), "");
    assert!(broken("a11 o11 a2 o2 k2 a3 o3").contains("one too many"), "another node was killed");
}

#[test]
fn refusals_and_sessions_that_are_cut_are_found() {
    assert_eq!(broken("a1 x1"), "user 0 was refused by node 0: no_slot");
    assert!(broken("a1 o1 c1").contains("lost session 1 though nobody needed its place: on purpose"));
    let verdict = judged("a1 x1 a2 o2 c2 a3 g3");
    assert_eq!((verdict.tried, verdict.refused, verdict.wrongly_closed), (2, 1, 1));
}

#[test]
fn who_has_room_for_all_of_his_sessions_loses_none() {
    let mut entries = history("a1 o1 a2 o2 e1");
    for entry in &mut entries {
        if let What::Session { user, .. } = &mut entry.what {
            *user = 9;
        }
    }
    let verdict = judge(&entries, &rules());
    assert!(verdict.breaches[0].sentence.contains("has room for all"), "{verdict:?}");
}

#[test]
fn a_breach_is_shown_with_what_happened_around_it_on_one_screen() {
    let noise = (100..200).map(|n| format!("a{n} g{n}")).collect::<Vec<_>>().join(" ");
    let entries = history(&format!("{noise} a1 o1 a2 o2 ! a3 x3 {noise}"));
    let verdict = judge(&entries, &rules());
    let shown = around(&entries, &verdict.breaches[0]);
    assert!(shown.starts_with("user 0 was refused"), "{shown}");
    assert!(shown.contains("-- the fault begins") && shown.lines().count() < 40, "{shown}");
    assert!(shown.lines().any(|line| line.starts_with('>') && line.contains("refused: no_slot")), "{shown}");
}
