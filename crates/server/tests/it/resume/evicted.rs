//! A session that is taken away in the middle of an answer: the answer goes on, and is whole for who comes back.

use serde_json::{Value, json};

use super::SHORT;
use super::stage::{Kind, Random, Stage, asked, for_each_journal};
use super::tab::{Progress, Tab};
use crate::golden_path::told;

/// Room for one session, and no patience.
const ONE_SESSION: [&str; 4] = [
    "limits.max_sessions_per_user = 1",
    "limits.reserve_sessions = 0",
    r#"limits.ladder_deadline = "1s""#,
    r#"limits.queue_deadline = "1s""#,
];

for_each_journal![
    an_answer_whose_tab_was_evicted_is_complete_when_it_comes_back,
    an_answer_that_was_evicted_from_a_socket_that_stays_is_complete_when_it_is_opened_again,
];

async fn an_answer_whose_tab_was_evicted_is_complete_when_it_comes_back(kind: Kind) {
    let mut random = Random::from_environment();
    let stage = Stage::start(kind, SHORT, &ONE_SESSION).await;
    let mut tab = Tab::new(*stage.gateway, "ann", asked("t1", "r1"));
    stage.backend.allow(20);
    tab.join(&mut random, Progress::Piece(10)).await;
    let mut other = stage.gateway.connect("ann").await;
    tokio::join!(other.open("t2"), tab.hear_eviction());
    stage.backend.allow(40);
    tab.join(&mut random, Progress::Piece(30)).await;
    stage.backend.allow_all();
    tab.hear_out().await;
    is_whole(&tab.told());
    assert_eq!(stage.backend.asked(), 1, "an eviction is no stop, and the run was not started again");
}

async fn an_answer_that_was_evicted_from_a_socket_that_stays_is_complete_when_it_is_opened_again(kind: Kind) {
    let stage = Stage::start(kind, SHORT, &ONE_SESSION).await;
    let mut client = stage.gateway.connect("ann").await;
    let opened = client.open("t1").await;
    client.say(asked("t1", "r1")).await;
    stage.backend.allow(20);
    let mut events = vec![client.expect_event("RUN_STARTED").await];
    client.say(json!({"type": "open", "thread": "t2"})).await;
    loop {
        let frame = client.expect_one_of(&["event", "closed", "opened"]).await;
        match frame["type"].as_str().unwrap() {
            "event" => events.push(frame),
            "closed" => assert_eq!((&frame["thread"], &frame["reason"]), (&json!("t1"), &json!("evicted"))),
            _ => break assert_eq!(frame["thread"], "t2"),
        }
    }
    stage.backend.allow(40);
    let open =
        json!({"type": "open", "thread": "t1", "after": events.last().unwrap()["offset"], "epoch": opened["epoch"]});
    client.say(open).await;
    assert_eq!(client.expect("closed").await["thread"], "t2", "it has nothing in flight");
    assert_eq!(client.expect("opened").await["reset"], Value::Null);
    stage.backend.allow_all();
    events.extend(client.events_to_end().await);
    is_whole(&told(&events));
}

fn is_whole(told: &[Value]) {
    let kinds: Vec<&str> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let once = ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"];
    assert_eq!(kinds, once);
    assert_eq!(told[2]["delta"], SHORT.text(SHORT.pieces));
}
