//! Runs as a client sees them: refused, repeated, stopped.

use serde_json::json;

use crate::gateway::client::run_frame;
use crate::gateway::{Gateway, Heard};
use crate::golden_path::{SLOW, kinds, slow_run};

#[tokio::test]
async fn a_run_on_a_thread_that_is_not_open_is_refused_by_name() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    client.run("t1", "r1", "hello").await;
    let error = client.expect_error("not_open").await;
    assert_eq!((&error["thread"], &error["run"]), (&json!("t1"), &json!("r1")));
}

#[tokio::test]
async fn a_second_run_while_one_is_in_flight_is_told_when_to_come_back() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.run("t1", "r1", "stall").await;
    client.expect_event("TEXT_MESSAGE_CONTENT").await;
    client.run("t1", "r2", "hello").await;
    let error = client.expect_error("busy").await;
    assert_eq!((&error["thread"], &error["run"]), (&json!("t1"), &json!("r2")));
    assert!(error["retry_in"].as_u64().unwrap() > 0);
    client.open("t2").await;
    assert_eq!(client.ask("t2", "r2", "hello").await.len(), 5, "another thread is not busy");
}

#[tokio::test]
async fn the_same_run_again_is_a_no_op_in_flight_and_after() {
    let gateway = Gateway::start(&SLOW).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.say(slow_run("t1", "r1", "hello")).await;
    client.say(slow_run("t1", "r1", "hello")).await;
    let mut events = client.events_to_end().await;
    client.run("t1", "r1", "hello").await;
    events.extend(client.ask("t1", "r2", "again").await);
    let started: Vec<_> =
        events.iter().filter(|frame| frame["event"]["type"] == "RUN_STARTED").map(|f| &f["event"]["runId"]).collect();
    assert_eq!(started, ["r1", "r2"]);
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_message_that_the_thread_knows_is_not_added_again() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.ask("t1", "r1", "first").await;
    let mut run = run_frame("t1", "r2", "second");
    let known = json!({"id": "r1-u", "role": "user", "content": "first, changed"});
    run["input"]["messages"].as_array_mut().unwrap().insert(0, known);
    client.say(run).await;
    let events = client.events_to_end().await;
    assert_eq!(events[0]["event"]["input"]["messages"], json!([{"id": "r2-u", "role": "user", "content": "second"}]));
    let opened = client.open("t1").await;
    let told: Vec<_> = opened["messages"].as_array().unwrap().iter().map(|message| &message["content"]).collect();
    assert_eq!(told[0], "first");
    assert_eq!(told.len(), 4);
}

#[tokio::test]
async fn a_run_that_is_stopped_finishes_as_cancelled_and_the_next_one_works() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.run("t1", "r1", "stall").await;
    client.expect_event("TEXT_MESSAGE_CONTENT").await;
    client.say(json!({"type": "stop", "thread": "t1", "run": "another"})).await;
    client.say(json!({"type": "stop", "thread": "t1", "run": "r1"})).await;
    let events = client.events_to_end().await;
    assert_eq!(kinds(&events), ["TEXT_MESSAGE_END", "RUN_FINISHED"], "what is open is closed first");
    assert_eq!(events[1]["event"]["outcome"], json!({"type": "cancelled"}));
    client.say(json!({"type": "stop", "thread": "t1", "run": "r1"})).await;
    assert_eq!(client.ask("t1", "r2", "hello").await.len(), 5);
}

#[tokio::test]
async fn any_tab_of_the_user_may_stop_a_run_and_all_tabs_hear_of_it() {
    let gateway = Gateway::start(&[]).await;
    let mut asking = gateway.connect("ann").await;
    let mut stopping = gateway.connect("ann").await;
    asking.open("t1").await;
    asking.run("t1", "r1", "stall").await;
    asking.expect_event("TEXT_MESSAGE_CONTENT").await;
    stopping.say(json!({"type": "stop", "thread": "t1", "run": "r1"})).await;
    assert_eq!(asking.events_to_end().await.last().unwrap()["event"]["outcome"]["type"], "cancelled");
}

#[tokio::test]
async fn a_tool_and_its_steps_are_seen_by_the_client() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    let events = client.ask("t1", "r1", "use a tool please").await;
    let kinds = kinds(&events);
    for kind in ["STEP_STARTED", "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    assert_eq!(kinds.last(), Some(&"RUN_FINISHED"));
    let heard = client.open("t1").await;
    assert_ne!(heard["messages"], json!([]));
    client.say(json!({"type": "leave", "thread": "t1"})).await;
    assert!(
        matches!(client.hear().await, Heard::Frame(frame) if frame["type"] == "closed" && frame["reason"] == "done")
    );
}
