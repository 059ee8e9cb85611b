//! A gateway that is killed in the middle of an answer: what was delivered is there again, the run has an end that says
//! why, no offset names two events, and the next run works (I7, R18).

use serde_json::{Value, json};

use super::backend::Answer;
use super::stage::{Kind, Random, Stage, asked};
use super::tab::{Progress, Tab};
use super::{LONG, SHORT};
use crate::golden_path::{kinds, told};

/// How often the gateway is killed.
const KILLS: usize = 6;

#[tokio::test]
async fn what_was_delivered_before_a_sigkill_is_there_after_it_and_the_run_has_ended_with_a_reason() {
    let mut random = Random::from_environment();
    let mut stage = Stage::start(Kind::Sqlite, LONG, &[]).await;
    let mut tab = Tab::new(*stage.gateway, "ann", asked("t1", "r0"));
    let mut whole = Vec::new();
    for round in 0..KILLS {
        let run = format!("r{round}");
        tab.asks(asked("t1", &run));
        let mut witness = Tab::new(*stage.gateway, "ann", asked("t1", &run));
        for _ in 0..3 {
            let heard = 1 + random.below(LONG.pieces / 4);
            stage.backend.allow(heard);
            tab.join(&mut random, Progress::Piece(heard)).await;
            tab.cut(&mut random).await;
        }
        let seen = 1 + random.below(LONG.pieces / 2);
        stage.backend.allow(seen);
        witness.join(&mut random, Progress::Piece(seen)).await;
        // Appends are under way when the gateway goes.
        stage.backend.allow(seen + random.below(LONG.pieces / 2));
        stage.kill().await;
        stage.backend.allow(0);

        tab.moves(*stage.gateway);
        tab.join(&mut random, Progress::Opened).await;
        tab.hear_out().await;
        is_ended_by_the_restart(&tab.events);
        let text = said(&tab.told());
        assert!(is_first_part(&text, LONG), "{text}");
        assert!(text.starts_with(&said(&witness.told())), "what one of us was given, all of us are");
        let end = tab.events.iter().find(|frame| frame["event"]["type"] == "TEXT_MESSAGE_END").unwrap();
        assert!(end["offset"].as_u64().unwrap() > witness.after, "an offset that was given away names another event");

        whole.extend([json!("count"), json!(text)]);
        let mut fresh = stage.gateway.connect("ann").await;
        let opened = fresh.open("t1").await;
        assert_eq!((&opened["epoch"], &opened["run"]), (&tab.epoch, &Value::Null));
        let messages: Vec<Value> =
            opened["messages"].as_array().unwrap().iter().map(|message| message["content"].clone()).collect();
        assert_eq!(messages, whole);
        tab.cut(&mut random).await;
    }
    tab.asks(asked("t1", "last"));
    stage.backend.allow_all();
    tab.join(&mut random, Progress::Opened).await;
    tab.hear_out().await;
    assert_eq!(said(&tab.told()), LONG.text(LONG.pieces), "the next run works");
}

#[tokio::test]
async fn a_run_that_was_asked_for_when_the_gateway_was_killed_is_started_once_and_ends_once() {
    let mut random = Random::from_environment();
    let mut stage = Stage::start(Kind::Sqlite, SHORT, &[]).await;
    stage.backend.allow_all();
    let mut tab = Tab::new(*stage.gateway, "ann", asked("t1", "r0"));
    for round in 0..KILLS {
        tab.asks(asked("t1", &format!("r{round}")));
        tab.join(&mut random, Progress::Opened).await;
        stage.kill().await;
        tab.moves(*stage.gateway);
        // It does not know whether it was heard, so it asks again: a new run, or one that the restart has ended.
        tab.insists = true;
        tab.join(&mut random, Progress::Opened).await;
        tab.hear_out().await;
        let kinds = kinds(&tab.events);
        assert_eq!(kinds.iter().filter(|kind| **kind == "RUN_STARTED").count(), 1, "{kinds:?}");
        match kinds.last() {
            Some(&"RUN_FINISHED") => assert_eq!(said(&tab.told()), SHORT.text(SHORT.pieces)),
            _ => is_ended_by_the_restart(&tab.events),
        }
        tab.cut(&mut random).await;
    }
}

fn is_ended_by_the_restart(events: &[Value]) {
    let end = &events.last().unwrap()["event"];
    assert_eq!((&end["type"], &end["code"]), (&json!("RUN_ERROR"), &json!("gateway_restarted")), "{end}");
    assert!(end["message"].as_str().unwrap().ends_with('.'), "{end}");
    let ends = told(events).iter().filter(|event| event["type"] == "TEXT_MESSAGE_END").count();
    let starts = told(events).iter().filter(|event| event["type"] == "TEXT_MESSAGE_START").count();
    assert_eq!(ends, starts, "what was open is closed");
}

fn said(told: &[Value]) -> String {
    told.iter().filter_map(|event| event["delta"].as_str()).collect()
}

fn is_first_part(text: &str, answer: Answer) -> bool {
    let pieces = text.split_whitespace().count();
    text == answer.text(pieces)
}
