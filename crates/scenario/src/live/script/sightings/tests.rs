//! Verdicts, tried without a gateway: what clients were told, and when.

use std::time::Duration;

use super::*;
use crate::client::frame::Frame;
use crate::client::{Ended, Mishap};

const MS: Duration = Duration::from_millis(1);

struct Story {
    sightings: Sightings,
    began: Instant,
}

/// A user with a limit of 3 sessions.
fn story() -> Story {
    let began = Instant::now();
    Story { sightings: Sightings::new("story", 0, 64, began), began }
}

impl Story {
    fn at(&self, ms: u32) -> Instant {
        self.began + MS * ms
    }

    /// A tab connects; its socket has the number of the tab where tabs connect once and in order.
    fn connect(&mut self, tab: u32, ms: u32) -> usize {
        let limits = Limits { used: 0, limit: 3, level: "ok".to_owned(), reserve_until: None };
        self.sightings.connected(tab, Heartbeat::Application, &limits, self.at(ms))
    }

    /// A tab asks and is answered at once.
    fn open(&mut self, tab: u32, thread: u32, ms: u32) -> usize {
        let line = self.ask(tab, thread, ms);
        self.opened(line, thread, ms);
        line
    }

    /// A tab connects and asks, and has no answer yet.
    fn ask(&mut self, tab: u32, thread: u32, ms: u32) -> usize {
        let line = self.connect(tab, ms);
        let at = self.at(ms);
        self.sightings.asks(line, Thread::Named(thread), at);
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
        self.sightings.on_frame(line, &frame, self.at(ms));
    }

    /// A tab answers, and loses its socket with a close code.
    fn ends(&mut self, line: usize, code: u16, ms: u32) {
        let at = self.at(ms);
        let mishap = Mishap::Ended(Ended { code: Some(code), reason: String::new() });
        self.sightings.on_ended(line, &mishap, at);
    }

    fn table(&self) -> String {
        crate::report::table(std::slice::from_ref(&self.sightings.outcome))
    }

    fn is_kept(&self) -> bool {
        self.sightings.outcome.is_kept()
    }
}

#[test]
fn a_live_session_that_goes_while_a_dead_one_holds_a_slot_was_wrongly_evicted() {
    let mut story = story();
    let lines = [0, 1, 2].map(|tab| story.open(tab, tab, 0));
    let at = story.at(1_000);
    story.sightings.set_mood(lines[2], Mood::Silent, at);
    let newcomer = story.connect(9, 5_000);
    let at = story.at(5_000);
    story.sightings.asks(newcomer, Thread::Named(9), at);
    story.closed(lines[0], 0, "evicted", 6_000);
    assert!(story.table().contains("u0 t0 (evicted): it lives, and t2 is dead"), "{}", story.table());
}

#[test]
fn a_dead_session_that_goes_is_the_right_one() {
    let mut story = story();
    let lines = [0, 1, 2].map(|tab| story.open(tab, tab, 0));
    let at = story.at(1_000);
    story.sightings.set_mood(lines[2], Mood::Silent, at);
    story.closed(lines[2], 2, "evicted", 6_000);
    assert!(story.is_kept() && story.sightings.forced == 0, "{}", story.table());
}

#[test]
fn force_among_the_living_is_right_and_counted() {
    let mut story = story();
    let lines = [0, 1, 2].map(|tab| story.open(tab, tab, 0));
    story.closed(lines[0], 0, "evicted", 6_000);
    assert!(story.is_kept() && story.sightings.forced == 1, "{}", story.table());
}

#[test]
fn a_session_that_died_after_the_gateway_had_asked_accuses_nobody() {
    let mut story = story();
    let lines = [0, 1, 2].map(|tab| story.open(tab, tab, 0));
    let newcomer = story.connect(9, 5_000);
    let at = story.at(5_000);
    story.sightings.asks(newcomer, Thread::Named(9), at);
    let at = story.at(5_100);
    story.sightings.set_mood(lines[2], Mood::Silent, at);
    story.closed(lines[0], 0, "evicted", 6_000);
    assert!(story.is_kept(), "{}", story.table());
}

#[test]
fn a_session_with_a_run_that_goes_while_an_idle_one_is_left_was_wrongly_evicted() {
    let mut story = story();
    let lines = [0, 1, 2].map(|tab| story.open(tab, tab, 0));
    story.sightings.asks_run("t0", "r0");
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
    story.sightings.set_mood(line, Mood::Frozen, at);
    story.closed(line, 0, "unresponsive", 6_000);
    assert!(story.is_kept(), "{}", story.table());
}

#[test]
fn an_error_that_names_an_open_is_a_refusal_and_a_place_in_the_queue_is_none() {
    let mut story = story();
    let line = story.connect(0, 0);
    let at = story.at(0);
    story.sightings.asks(line, Thread::Named(0), at);
    story.says(line, r#"{"type":"notice","code":"queued","thread":"t0","ref":"t0","position":1}"#, 10);
    assert!(story.is_kept() && story.sightings.waiting() == 1, "{}", story.table());
    story.says(line, r#"{"type":"error","code":"no_slot","message":"full","ref":"t0"}"#, 9_000);
    assert!(story.table().contains("u0 t0 was told no_slot: full"), "{}", story.table());
    assert_eq!(story.sightings.waiting(), 0);
}

#[test]
fn an_open_that_nobody_answers_is_a_refusal_unless_its_tab_fell_silent() {
    let mut story = story();
    let lines = [0, 1].map(|tab| story.connect(tab, 0));
    let at = story.at(0);
    story.sightings.asks(lines[0], Thread::Named(0), at);
    story.sightings.asks(lines[1], Thread::Named(1), at);
    story.sightings.set_mood(lines[1], Mood::Silent, at);
    story.sightings.give_up();
    assert!(story.table().contains("u0 t0 was never answered"), "{}", story.table());
    assert!(!story.table().contains("t1 was never"), "{}", story.table());
}

#[test]
fn an_open_that_is_answered_after_more_than_ten_seconds_is_a_refusal() {
    let mut story = story();
    let line = story.ask(0, 0, 0);
    story.opened(line, 0, 10_001);
    assert!(story.table().contains("u0 t0 was answered after 10.0s, 10s are promised"), "{}", story.table());
}

#[test]
fn an_open_may_wait_longer_by_the_stalls_of_the_plan() {
    let mut story = story();
    let line = story.ask(0, 0, 0);
    story.sightings.stalls(MS * 60_000);
    story.opened(line, 0, 69_000);
    assert!(story.is_kept(), "{}", story.table());
    let line = story.ask(1, 1, 70_000);
    story.opened(line, 1, 81_000);
    assert!(!story.is_kept(), "a stall before the open excuses nothing");
}

#[test]
fn an_answer_that_its_own_tab_did_not_read_is_not_late() {
    let mut story = story();
    let line = story.ask(0, 0, 0);
    for (reads, ms) in [(false, 10), (true, 60_000)] {
        let at = story.at(ms);
        story.sightings.set_reading(line, reads, at);
    }
    story.opened(line, 0, 60_001);
    assert!(story.is_kept(), "{}", story.table());
}

#[test]
fn more_sessions_than_a_plan_can_allow_break_the_promise() {
    let mut story = story();
    story.sightings.most_sessions = 8;
    let line = story.connect(0, 0);
    let limit =
        |used, until| format!(r#"{{"type":"notice","code":"limit","used":{used},"limit":3,"level":"full"{until}}}"#);
    story.says(line, &limit(8, r#","reserve_until":60000"#), 1);
    assert!(story.is_kept(), "{}", story.table());
    story.says(line, &limit(9, ""), 2);
    assert!(story.table().contains("u0 holds 9 sessions, and 8 are the most that he may"), "{}", story.table());
}

#[test]
fn a_live_tab_that_loses_its_socket_without_a_reason_breaks_the_promise() {
    let mut story = story();
    let line = story.open(0, 0, 0);
    let at = story.at(10);
    story.sightings.on_ended(line, &Mishap::Ended(Ended::default()), at);
    assert!(story.table().contains("u0 c0 lives, and lost its socket"), "{}", story.table());
}

#[test]
fn a_socket_that_was_replaced_may_end() {
    let mut story = story();
    let line = story.open(0, 0, 0);
    story.sightings.replaced(line);
    let at = story.at(10);
    story.sightings.on_ended(line, &Mishap::Ended(Ended { code: Some(4510), reason: String::new() }), at);
    assert!(story.is_kept(), "{}", story.table());
}

#[test]
fn a_run_that_ended_although_it_was_wanted_is_found() {
    let mut story = story();
    let line = story.open(0, 0, 0);
    story.sightings.asks_run("t0", "r0");
    story.says(line, r#"{"type":"event","thread":"t0","offset":1,"event":{"type":"RUN_STARTED","runId":"r0"}}"#, 1);
    assert!(story.sightings.lost_runs().is_empty());
    story.says(line, r#"{"type":"event","thread":"t0","offset":2,"event":{"type":"RUN_ERROR","code":"x"}}"#, 2);
    assert_eq!(story.sightings.lost_runs(), ["t0"]);
    story.sightings.unwants_run("t0");
    assert!(story.sightings.lost_runs().is_empty());
}

#[test]
fn an_open_that_loses_its_slot_to_a_newer_one_was_admitted() {
    let mut story = story();
    let first = story.ask(0, 0, 0);
    for tab in [1, 2, 3] {
        story.ask(tab, tab, 1);
    }
    story.closed(first, 0, "evicted", 5);
    assert!(story.is_kept(), "{}", story.table());
}

#[test]
fn an_open_that_is_evicted_although_nobody_asked_after_it_is_a_refusal() {
    let mut story = story();
    for tab in [1, 2, 3] {
        story.open(tab, tab, 0);
    }
    let last = story.ask(4, 4, 5);
    story.closed(last, 4, "evicted", 10);
    assert!(story.table().contains("u0 t4 was closed as evicted"), "{}", story.table());
}

#[test]
fn an_open_that_is_evicted_while_a_slot_is_free_or_held_by_the_dead_is_a_refusal() {
    let mut story = story();
    let first = story.ask(0, 0, 0);
    for tab in [1, 2] {
        story.ask(tab, tab, 1);
    }
    story.closed(first, 0, "evicted", 5);
    assert!(!story.is_kept(), "two of three slots are taken");

    let mut story = self::story();
    let dead = story.open(9, 9, 0);
    let at = story.at(1);
    story.sightings.set_mood(dead, Mood::Silent, at);
    let first = story.ask(0, 0, 4_000);
    for tab in [1, 2] {
        story.ask(tab, tab, 4_001);
    }
    story.closed(first, 0, "evicted", 4_005);
    assert!(!story.is_kept(), "one of three slots is held by the dead");
}

#[test]
fn an_open_of_a_tab_that_fell_silent_is_nobodys_refusal() {
    let mut story = story();
    let line = story.ask(0, 0, 0);
    let at = story.at(1);
    story.sightings.set_mood(line, Mood::Silent, at);
    story.closed(line, 0, "unresponsive", 5_000);
    assert!(story.is_kept(), "{}", story.table());
}

#[test]
fn a_token_expires_only_where_the_plan_says_so() {
    let mut story = story();
    let lines = [0, 1].map(|tab| story.open(tab, tab, 0));
    story.sightings.expires(lines[0]);
    story.ends(lines[0], 4004, 10);
    assert!(story.is_kept(), "{}", story.table());
    story.ends(lines[1], 4004, 10);
    assert!(story.table().contains("u0 c1 lives, and lost its socket"), "{}", story.table());
}

#[test]
fn nobody_is_drained_away_in_a_live_plan() {
    let mut story = story();
    let line = story.open(0, 0, 0);
    story.ends(line, 4001, 10);
    assert!(!story.is_kept(), "{}", story.table());
}

#[test]
fn a_socket_that_shows_a_thread_is_evicted_only_by_the_bound_on_connections() {
    let mut story = story();
    let lines = [0, 1].map(|tab| story.open(tab, tab, 0));
    story.closed(lines[0], 0, "evicted", 10);
    story.ends(lines[0], 4511, 11);
    assert!(story.is_kept(), "its thread was told before: {}", story.table());
    story.sightings.most_lines = 1;
    story.ends(lines[1], 4511, 12);
    assert!(story.is_kept(), "the bound was reached: {}", story.table());
    story.sightings.most_lines = 64;
    let line = story.open(2, 2, 20);
    story.ends(line, 4511, 30);
    assert!(story.table().contains("u0 c2 lives, and lost its socket"), "{}", story.table());
}

#[test]
fn a_word_that_cannot_be_right_breaks_the_promise() {
    let words = lychgate::close::Close::ALL.map(|row| row.closing().reason);
    for word in words.into_iter().chain(["kicked"]) {
        let mut story = story();
        let line = story.open(0, 0, 0);
        let at = story.at(1);
        // Dead, so that the words for the dead are right.
        story.sightings.set_mood(line, Mood::Silent, at);
        story.closed(line, 0, word, 6_000);
        let may_be_right = ["unresponsive", "slow", "evicted"].contains(&word);
        assert_eq!(story.is_kept(), may_be_right, "{word}: {}", story.table());
    }
}

#[test]
fn a_word_that_the_plan_asked_for_is_right() {
    let mut story = story();
    let lines = [0, 1].map(|tab| story.open(tab, tab, 0));
    story.sightings.expires(lines[0]);
    story.sightings.replaced(lines[1]);
    story.closed(lines[0], 0, "token_expired", 10);
    story.closed(lines[1], 1, "superseded", 10);
    assert!(story.is_kept(), "{}", story.table());
}

#[test]
fn the_answer_to_a_leave_is_right() {
    let mut story = story();
    let line = story.open(0, 0, 0);
    let at = story.at(5);
    story.sightings.leaves(line, Thread::Named(0), "t0", at);
    story.closed(line, 0, "done", 10);
    assert!(story.is_kept(), "{}", story.table());
}
