//! Verdicts, tried without a gateway: what clients were told, and when.

use super::*;

const MS: Duration = Duration::from_millis(1);

struct Story {
    ledger: Ledger,
    began: Instant,
}

/// A user with a limit of 3 sessions.
fn story() -> Story {
    let began = Instant::now();
    Story { ledger: Ledger::new("story", 0, began), began }
}

impl Story {
    fn at(&self, ms: u32) -> Instant {
        self.began + MS * ms
    }

    /// A tab connects; its socket has the number of the tab where tabs connect once and in order.
    fn connect(&mut self, tab: u32, ms: u32) -> usize {
        let limits = Limits { used: 0, limit: 3, level: "ok".to_owned(), reserve_until: None };
        self.ledger.connected(tab, Heartbeat::Application, &limits, self.at(ms))
    }

    /// A tab asks and is answered at once.
    fn open(&mut self, tab: u32, thread: u32, ms: u32) -> usize {
        let line = self.connect(tab, ms);
        self.ledger.asks(line, Thread::Named(thread), self.at(ms));
        self.opened(line, thread, ms);
        line
    }

    fn opened(&mut self, line: usize, thread: u32, ms: u32) {
        self.says(
            line,
            &format!(
                r#"{{"type":"opened","thread":"t{thread}","ref":"t{thread}","epoch":"e","after":0,"head":0,
                "limits":{{"used":3,"limit":3,"level":"full"}}}}"#
            ),
            ms,
        );
    }

    fn closed(&mut self, line: usize, thread: u32, reason: &str, ms: u32) {
        let frame = format!(r#"{{"type":"closed","thread":"t{thread}","reason":"{reason}","reconnect":"on_demand"}}"#);
        self.says(line, &frame, ms);
    }

    fn says(&mut self, line: usize, frame: &str, ms: u32) {
        let frame = Frame::parse(frame).unwrap();
        self.ledger.on_frame(line, &frame, self.at(ms));
    }

    fn table(&self) -> String {
        crate::report::table(std::slice::from_ref(&self.ledger.outcome))
    }

    fn is_kept(&self) -> bool {
        self.ledger.outcome.is_kept()
    }
}

#[test]
fn a_live_session_that_goes_while_a_dead_one_holds_a_slot_was_wrongly_evicted() {
    let mut story = story();
    let lines = [0, 1, 2].map(|tab| story.open(tab, tab, 0));
    let at = story.at(1_000);
    story.ledger.set_mood(lines[2], Mood::Silent, at);
    let newcomer = story.connect(9, 5_000);
    let at = story.at(5_000);
    story.ledger.asks(newcomer, Thread::Named(9), at);
    story.closed(lines[0], 0, "evicted", 6_000);
    assert!(story.table().contains("u0 t0 (evicted): it lives, and t2 is dead"), "{}", story.table());
}

#[test]
fn a_dead_session_that_goes_is_the_right_one() {
    let mut story = story();
    let lines = [0, 1, 2].map(|tab| story.open(tab, tab, 0));
    let at = story.at(1_000);
    story.ledger.set_mood(lines[2], Mood::Silent, at);
    story.closed(lines[2], 2, "evicted", 6_000);
    assert!(story.is_kept() && story.ledger.forced == 0, "{}", story.table());
}

#[test]
fn force_among_the_living_is_right_and_counted() {
    let mut story = story();
    let lines = [0, 1, 2].map(|tab| story.open(tab, tab, 0));
    story.closed(lines[0], 0, "evicted", 6_000);
    assert!(story.is_kept() && story.ledger.forced == 1, "{}", story.table());
}

#[test]
fn a_session_that_died_after_the_gateway_had_asked_accuses_nobody() {
    let mut story = story();
    let lines = [0, 1, 2].map(|tab| story.open(tab, tab, 0));
    let newcomer = story.connect(9, 5_000);
    let at = story.at(5_000);
    story.ledger.asks(newcomer, Thread::Named(9), at);
    let at = story.at(5_100);
    story.ledger.set_mood(lines[2], Mood::Silent, at);
    story.closed(lines[0], 0, "evicted", 6_000);
    assert!(story.is_kept(), "{}", story.table());
}

#[test]
fn a_session_with_a_run_that_goes_while_an_idle_one_is_left_was_wrongly_evicted() {
    let mut story = story();
    let lines = [0, 1, 2].map(|tab| story.open(tab, tab, 0));
    story.ledger.asks_run("t0", "r0");
    let started = r#"{"type":"event","thread":"t0","offset":1,"event":{"type":"RUN_STARTED","runId":"r0"}}"#;
    story.says(lines[0], started, 1_000);
    story.closed(lines[0], 0, "evicted", 6_000);
    assert!(story.table().contains("its run is in flight, and t1 has none"), "{}", story.table());
}

#[test]
fn whose_tab_answers_is_not_unresponsive() {
    let mut story = story();
    let line = story.open(0, 0, 0);
    story.closed(line, 0, "unresponsive", 6_000);
    assert!(story.table().contains("its tab answers"), "{}", story.table());
}

#[test]
fn a_frozen_page_is_live_only_by_its_pongs() {
    let mut story = story();
    let line = story.open(0, 0, 0);
    let at = story.at(100);
    story.ledger.set_mood(line, Mood::Frozen, at);
    story.closed(line, 0, "unresponsive", 6_000);
    assert!(story.is_kept(), "{}", story.table());
}

#[test]
fn an_error_that_names_an_open_is_a_refusal_and_a_place_in_the_queue_is_none() {
    let mut story = story();
    let line = story.connect(0, 0);
    let at = story.at(0);
    story.ledger.asks(line, Thread::Named(0), at);
    story.says(line, r#"{"type":"notice","code":"queued","thread":"t0","ref":"t0","position":1}"#, 10);
    assert!(story.is_kept() && story.ledger.waiting() == 1, "{}", story.table());
    story.says(line, r#"{"type":"error","code":"no_slot","message":"full","ref":"t0"}"#, 9_000);
    assert!(story.table().contains("u0 t0 was told no_slot: full"), "{}", story.table());
    assert_eq!(story.ledger.waiting(), 0);
}

#[test]
fn an_open_that_nobody_answers_is_a_refusal_unless_its_tab_fell_silent() {
    let mut story = story();
    let lines = [0, 1].map(|tab| story.connect(tab, 0));
    let at = story.at(0);
    story.ledger.asks(lines[0], Thread::Named(0), at);
    story.ledger.asks(lines[1], Thread::Named(1), at);
    story.ledger.set_mood(lines[1], Mood::Silent, at);
    story.ledger.give_up();
    assert!(story.table().contains("u0 t0 was never answered"), "{}", story.table());
    assert!(!story.table().contains("t1 was never"), "{}", story.table());
}

#[test]
fn more_sessions_than_the_limit_and_its_reserve_break_the_promise() {
    let mut story = story();
    let line = story.connect(0, 0);
    let limit =
        |used, until| format!(r#"{{"type":"notice","code":"limit","used":{used},"limit":3,"level":"full"{until}}}"#);
    story.says(line, &limit(8, r#","reserve_until":60000"#), 1);
    assert!(story.is_kept(), "{}", story.table());
    story.says(line, &limit(4, ""), 2);
    assert!(story.table().contains("u0 holds 4 sessions, 1 more than he may"), "{}", story.table());
}

#[test]
fn a_live_tab_that_loses_its_socket_without_a_reason_breaks_the_promise() {
    let mut story = story();
    let line = story.open(0, 0, 0);
    let at = story.at(10);
    story.ledger.on_ended(line, &Trouble::Ended(Ended::default()), at);
    assert!(story.table().contains("u0 c0 lives, and lost its socket"), "{}", story.table());
}

#[test]
fn a_socket_that_was_replaced_may_end() {
    let mut story = story();
    let line = story.open(0, 0, 0);
    story.ledger.replaced(line);
    let at = story.at(10);
    story.ledger.on_ended(line, &Trouble::Ended(Ended { code: Some(4510), reason: String::new() }), at);
    assert!(story.is_kept(), "{}", story.table());
}

#[test]
fn a_run_that_ended_although_it_was_wanted_is_found() {
    let mut story = story();
    let line = story.open(0, 0, 0);
    story.ledger.asks_run("t0", "r0");
    story.says(line, r#"{"type":"event","thread":"t0","offset":1,"event":{"type":"RUN_STARTED","runId":"r0"}}"#, 1);
    assert!(story.ledger.lost_runs().is_empty());
    story.says(line, r#"{"type":"event","thread":"t0","offset":2,"event":{"type":"RUN_ERROR","code":"x"}}"#, 2);
    assert_eq!(story.ledger.lost_runs(), ["t0"]);
    story.ledger.unwants_run("t0");
    assert!(story.ledger.lost_runs().is_empty());
}
