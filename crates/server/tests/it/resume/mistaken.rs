//! Clients that name a place which is none of theirs: each is reset or told why not, and never served a hole (R19).

use serde_json::{Value, json};

use super::stage::{Kind, Stage, asked, for_each_journal};
use super::{MANY_TABS, SHORT};
use crate::gateway::Client;
use crate::golden_path::told;

for_each_journal![
    a_place_that_no_log_of_this_user_has_is_a_reset_and_what_follows_is_whole,
    an_after_that_is_no_offset_is_an_error_that_says_so_and_the_socket_stays,
    a_place_in_an_older_run_is_continued_whole_or_reset,
    the_same_thread_and_epoch_of_another_user_are_an_empty_thread,
];

/// The middle of an answer: 30 of 60 pieces are in the log.
async fn middle_of_an_answer(stage: &Stage) -> (Client, Value) {
    let mut ann = stage.gateway.connect("ann").await;
    let opened = ann.open("t1").await;
    ann.say(asked("t1", "r1")).await;
    stage.backend.allow(30);
    while !ann.expect("event").await["event"]["delta"].as_str().unwrap_or_default().split(' ').any(|word| word == "30")
    {
    }
    (ann, opened["epoch"].clone())
}

async fn a_place_that_no_log_of_this_user_has_is_a_reset_and_what_follows_is_whole(kind: Kind) {
    let stage = Stage::start(kind, SHORT, &MANY_TABS).await;
    let (_ann, epoch) = middle_of_an_answer(&stage).await;
    let places = [
        json!({"after": 33, "epoch": epoch}),
        json!({"after": 1_000_000, "epoch": epoch}),
        json!({"after": (1_u64 << 53) - 1, "epoch": epoch}),
        json!({"after": 1_u64 << 53, "epoch": epoch}),
        json!({"after": u64::MAX, "epoch": epoch}),
        json!({"after": 5, "epoch": "another"}),
        json!({"after": 5, "epoch": ""}),
        json!({"after": 5}),
        json!({"epoch": epoch}),
    ];
    let mut tabs = Vec::new();
    for place in places {
        let mut tab = stage.gateway.connect("ann").await;
        let mut open = json!({"type": "open", "thread": "t1"});
        open.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        let opened = tab.open_with(open).await;
        assert_eq!(
            (&opened["reset"], &opened["messages"], &opened["after"]),
            (&json!(true), &json!([]), &json!(0)),
            "{place}"
        );
        tabs.push((tab, place));
    }
    stage.backend.allow_all();
    for (mut tab, place) in tabs {
        let seen = told(&tab.events_to_end().await);
        assert_eq!((&seen[0]["type"], &seen[2]["delta"]), (&json!("RUN_STARTED"), &json!(SHORT.text(60))), "{place}");
    }
}

async fn an_after_that_is_no_offset_is_an_error_that_says_so_and_the_socket_stays(kind: Kind) {
    let stage = Stage::start(kind, SHORT, &[]).await;
    let (_ann, epoch) = middle_of_an_answer(&stage).await;
    let mut tab = stage.gateway.connect("ann").await;
    for after in [json!(-1), json!(1.5), json!("5"), json!([5]), json!({}), json!(true), json!(1e30)] {
        tab.say(json!({"type": "open", "thread": "t1", "after": after, "epoch": epoch})).await;
        let error = tab.expect_error("bad_frame").await;
        assert!(error["message"].as_str().unwrap().contains("u64"), "{error}");
    }
    let opened = tab.open_with(json!({"type": "open", "thread": "t1", "after": 5, "epoch": epoch})).await;
    assert_eq!((&opened["reset"], &opened["after"]), (&Value::Null, &json!(5)));
    assert_eq!(tab.expect("event").await["event"]["delta"].as_str().unwrap().split(' ').next(), Some("4"));
}

async fn a_place_in_an_older_run_is_continued_whole_or_reset(kind: Kind) {
    let stage = Stage::start(kind, SHORT, &[]).await;
    stage.backend.allow_all();
    let mut ann = stage.gateway.connect("ann").await;
    let opened = ann.open("t1").await;
    let mut events = Vec::new();
    for run in ["r1", "r2", "r3"] {
        ann.say(asked("t1", run)).await;
        events.extend(ann.events_to_end().await);
    }
    let whole = ann.open("t1").await["messages"].clone();
    assert_eq!(whole.as_array().unwrap().len(), 6);
    for after in [1, 2, 30, 64, 65, 100, 191] {
        let place = json!({"type": "open", "thread": "t1", "after": after, "epoch": opened["epoch"]});
        let opened = ann.open_with(place).await;
        if opened["reset"] == json!(true) {
            assert_eq!(opened["messages"], whole, "after {after}");
            ann.expect_nothing().await;
            continue;
        }
        let mut rest = Vec::new();
        while rest.last() != events.last() {
            rest.push(ann.expect("event").await);
        }
        let later: Vec<Value> = events.iter().filter(|frame| frame["offset"].as_u64() > Some(after)).cloned().collect();
        assert_eq!(told(&rest), told(&later), "after {after}");
    }
}

async fn the_same_thread_and_epoch_of_another_user_are_an_empty_thread(kind: Kind) {
    let stage = Stage::start(kind, SHORT, &[]).await;
    let (mut ann, epoch) = middle_of_an_answer(&stage).await;
    let mut bob = stage.gateway.connect("bob").await;
    for after in [0, 1, 5, 32] {
        let opened = bob.open_with(json!({"type": "open", "thread": "t1", "after": after, "epoch": epoch})).await;
        assert_eq!((&opened["head"], &opened["run"]), (&json!(0), &Value::Null), "{opened}");
        // Nothing is after 0 in a log that holds nothing: to go on from there is as right as to start over.
        assert!(opened["messages"].as_array().is_none_or(Vec::is_empty) && opened["after"] == 0, "{opened}");
    }
    stage.backend.allow_all();
    ann.expect_event("RUN_FINISHED").await;
    bob.expect_nothing().await;
}
