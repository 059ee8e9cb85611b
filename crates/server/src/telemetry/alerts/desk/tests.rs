use super::*;

const REPEAT: Duration = Duration::from_secs(600);

fn change(alert: &'static str, user: Option<&str>, state: State) -> Change {
    let severity = named(alert).unwrap().severity;
    let user = user.map(|user| UserId::parse(user).unwrap());
    Change { alert, severity, user, state, value: 0.5, since: Timestamp::UNIX_EPOCH }
}

fn begins(user: &str) -> Change {
    change("LychgateUserAt50", Some(user), State::Firing)
}

fn ends(user: &str) -> Change {
    change("LychgateUserAt50", Some(user), State::Resolved)
}

fn desk() -> Desk {
    Desk::new(Severity::Info, true, REPEAT)
}

/// What there is to tell, all of it taken (or given up).
fn news(desk: &mut Desk, second: u64, is_taken: bool) -> Vec<(&'static str, State, usize)> {
    let now = Duration::from_secs(second);
    let reports = desk.news(now);
    reports.iter().for_each(|report| desk.settle(report, is_taken.then_some(now)));
    reports.into_iter().map(|it| (it.alert.name, it.state, it.about.len())).collect()
}

#[test]
fn a_storm_of_users_is_one_report_and_each_is_told_once() {
    let mut desk = desk();
    for n in 0..500 {
        assert!(desk.changed(&begins(&format!("u{n}"))));
    }
    assert_eq!(news(&mut desk, 1, true), [("LychgateUserAt50", State::Firing, 500)]);
    assert_eq!(news(&mut desk, 2, true), []);
    desk.changed(&ends("u7"));
    desk.changed(&begins("late"));
    assert_eq!(
        news(&mut desk, 3, true),
        [("LychgateUserAt50", State::Firing, 1), ("LychgateUserAt50", State::Resolved, 1)]
    );
}

#[test]
fn what_began_and_ended_before_anybody_was_told_is_not_told() {
    let mut desk = desk();
    desk.changed(&begins("ann"));
    desk.changed(&ends("ann"));
    assert_eq!(news(&mut desk, 1, true), []);
    assert_eq!(desk.repeats_at(), None);
}

#[test]
fn a_firing_that_flaps_is_told_once() {
    let mut desk = desk();
    desk.changed(&begins("ann"));
    assert_eq!(news(&mut desk, 1, true).len(), 1);
    for _ in 0..10 {
        desk.changed(&ends("ann"));
        desk.changed(&begins("ann"));
    }
    assert_eq!(news(&mut desk, 2, true), []);
}

#[test]
fn an_alert_that_goes_on_is_repeated_after_a_time_and_a_recovery_ends_that() {
    let mut desk = desk();
    desk.changed(&change("LychgateNotReady", None, State::Firing));
    assert_eq!(desk.repeats_at(), None, "what was never told is gathered first, however long the process runs");
    assert_eq!(news(&mut desk, 1, true).len(), 1);
    assert_eq!(desk.repeats_at(), Some(Duration::from_secs(601)));
    assert_eq!(news(&mut desk, 600, true), []);
    assert_eq!(news(&mut desk, 601, true), [("LychgateNotReady", State::Firing, 1)]);
    desk.changed(&change("LychgateNotReady", None, State::Resolved));
    assert_eq!(news(&mut desk, 602, true), [("LychgateNotReady", State::Resolved, 1)]);
    assert_eq!((news(&mut desk, 5_000, true), desk.repeats_at()), (vec![], None));
}

#[test]
fn what_was_given_up_is_part_of_the_next_message() {
    let mut desk = desk();
    desk.changed(&begins("ann"));
    assert_eq!(news(&mut desk, 1, false).len(), 1);
    desk.changed(&begins("bob"));
    assert_eq!(news(&mut desk, 2, true), [("LychgateUserAt50", State::Firing, 2)]);
    desk.changed(&ends("ann"));
    assert_eq!(news(&mut desk, 3, false), [("LychgateUserAt50", State::Resolved, 1)]);
    assert_eq!(news(&mut desk, 4, true), [("LychgateUserAt50", State::Resolved, 1)]);
}

#[test]
fn what_changes_while_it_is_being_told_is_told_after_that() {
    let mut desk = desk();
    desk.changed(&begins("ann"));
    let said = desk.news(Duration::ZERO);
    desk.changed(&ends("ann"));
    desk.settle(&said[0], Some(Duration::ZERO));
    assert_eq!(news(&mut desk, 1, true), [("LychgateUserAt50", State::Resolved, 1)]);

    desk.changed(&begins("bob"));
    let said = desk.news(Duration::ZERO);
    desk.changed(&ends("bob"));
    desk.settle(&said[0], None);
    assert_eq!(news(&mut desk, 2, true), [], "nobody heard that it began");
    assert!(desk.topics.is_empty());
}

#[test]
fn a_repetition_that_fails_does_not_lose_the_recovery() {
    let mut desk = desk();
    desk.changed(&begins("ann"));
    news(&mut desk, 1, true);
    assert_eq!(news(&mut desk, 700, false), [("LychgateUserAt50", State::Firing, 1)]);
    desk.changed(&ends("ann"));
    assert_eq!(news(&mut desk, 701, true), [("LychgateUserAt50", State::Resolved, 1)]);
}

#[test]
fn a_webhook_hears_what_it_wants() {
    let node = change("LychgateUserAt50", None, State::Firing);
    let mut named = Desk::new(Severity::Info, true, REPEAT);
    assert!(!named.changed(&node) && named.changed(&begins("ann")), "told by name, not twice");
    let mut nameless = Desk::new(Severity::Info, false, REPEAT);
    assert!(nameless.changed(&node) && !nameless.changed(&begins("ann")));
    let mut pager = Desk::new(Severity::Critical, true, REPEAT);
    assert!(!pager.changed(&begins("ann")) && pager.changed(&change("LychgateNotReady", None, State::Firing)));
}
