//! `POST /v1/agui`: each rule of its stream, and what becomes of runs whose readers come and go.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::golden_path::{SLOW, slow_run};

pub(crate) mod client;

use client::{Answer, Ask, Sse};

/// What an AG-UI client posts.
pub(crate) fn input(thread: &str, run: &str, text: &str) -> Value {
    let message = json!({"id": format!("{run}-u"), "role": "user", "content": text});
    json!({"threadId": thread, "runId": run, "messages": [message], "tools": [], "context": [], "state": {}, "forwardedProps": {}})
}

/// Asks, and reads the head of the answer, which has to be a stream.
pub(crate) async fn stream(gateway: &Gateway, user: &str, thread: &str, run: &str, text: &str) -> Answer {
    let answer = Ask::post("/v1/agui", &input(thread, run, text)).by(gateway, user).send(gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer
}

/// As [`stream`], from an agent that takes its time: with [`SLOW`].
pub(crate) async fn slow_stream(gateway: &Gateway, user: &str, thread: &str, run: &str, text: &str) -> Answer {
    let answer = Ask::post("/v1/agui/slow", &input(thread, run, text)).by(gateway, user).send(gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer
}

/// The text of an answer, in however many pieces it came.
pub(crate) fn said(events: &[Sse]) -> String {
    events.iter().filter_map(|event| event.data["delta"].as_str()).collect()
}

pub(crate) fn kinds(events: &[Sse]) -> Vec<&str> {
    events.iter().map(|event| event.data["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_answer_is_a_stream_of_lines_that_end_in_lf_with_nothing_else_in_it() {
    let gateway = Gateway::start(&[]).await;
    let mut answer = stream(&gateway, "ann", "t1", "r1", "hello").await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.rest().await;
    assert!(!body.contains('\r') && !body.contains("[DONE]") && !body.contains("null"), "{body}");
    assert!(body.starts_with("data: {\"type\":\"RUN_STARTED\"") && body.ends_with("}\n\n"), "{body}");
    for block in body.trim_end().split("\n\n") {
        assert_eq!(block.lines().count(), 1, "{block}");
    }
}

#[tokio::test]
async fn offsets_travel_in_the_metadata_and_no_field_of_ours_stands_beside_it() {
    let gateway = Gateway::start(&[]).await;
    let events = stream(&gateway, "ann", "t1", "r1", "hello").await.events().await;
    let all = ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"];
    assert_eq!(kinds(&events), all);
    let offsets: Vec<_> =
        events.iter().map(|event| event.data["metadata"]["lychgate"]["offset"].as_u64().unwrap()).collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    for event in &events {
        assert!(
            event.data.get("offset").is_none() && event.data.get("thread").is_none() && event.id.is_none(),
            "{event:?}"
        );
    }
    assert_eq!((&events[0].data["threadId"], &events[0].data["runId"]), (&json!("t1"), &json!("r1")));
}

#[tokio::test]
async fn a_thread_and_a_run_that_the_client_does_not_name_are_named_by_us() {
    let gateway = Gateway::start(&[]).await;
    let body = json!({"messages": [{"id": "u1", "role": "user", "content": "hello"}]});
    let events = Ask::post("/v1/agui", &body).by(&gateway, "ann").send(&gateway).await.events().await;
    let started = &events[0].data;
    assert!(started["threadId"].as_str().unwrap().starts_with("thread_websocket_session_"), "{started}");
    assert!(started["runId"].as_str().unwrap().starts_with("run_"), "{started}");
    assert_eq!(events.last().unwrap().data["runId"], started["runId"]);
}

#[tokio::test]
async fn what_the_thread_knows_of_the_whole_history_is_not_added_again() {
    let gateway = Gateway::start(&[]).await;
    stream(&gateway, "ann", "t1", "r1", "first").await.events().await;
    let mut second = input("t1", "r2", "second");
    second["messages"].as_array_mut().unwrap().insert(0, json!({"id": "r1-u", "role": "user", "content": "first"}));
    let events = Ask::post("/v1/agui", &second).by(&gateway, "ann").send(&gateway).await.events().await;
    let added = &events[0].data["input"]["messages"];
    assert_eq!(*added, json!([{"id": "r2-u", "role": "user", "content": "second"}]));
}

#[tokio::test]
async fn an_error_of_the_agent_is_the_last_event() {
    let gateway = Gateway::start(&[]).await;
    let events = stream(&gateway, "ann", "t1", "r1", "error please").await.events().await;
    assert_eq!(kinds(&events).last(), Some(&"RUN_ERROR"));
    assert!(events.last().unwrap().data["code"].is_string());
}

#[tokio::test]
async fn a_reader_that_goes_stops_nothing_and_the_same_run_is_told_to_the_next_from_its_start() {
    let gateway = Gateway::start(&SLOW).await;
    let mut first = slow_stream(&gateway, "ann", "t1", "r1", "a long question for a slow answer").await;
    first.expect("TEXT_MESSAGE_CONTENT").await;
    first.reset();
    let mut second = slow_stream(&gateway, "ann", "t1", "r1", "a long question for a slow answer").await;
    let in_flight = second.events().await;
    assert_eq!(kinds(&in_flight)[0], "RUN_STARTED");
    assert_eq!(kinds(&in_flight).last(), Some(&"RUN_FINISHED"));
    let over = stream(&gateway, "ann", "t1", "r1", "hello").await.events().await;
    assert_eq!(said(&over), said(&in_flight), "a run that is over is told again from the log");
    assert!(said(&over).contains("a long question"), "and nothing was started anew");
}

#[tokio::test]
async fn a_run_of_a_tab_is_told_to_an_http_reader_and_the_other_way_round() {
    let gateway = Gateway::start(&SLOW).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    tab.say(slow_run("t1", "r1", "from the tab")).await;
    tab.expect_event("TEXT_MESSAGE_START").await;
    let events = stream(&gateway, "ann", "t1", "r1", "").await.events().await;
    assert_eq!(kinds(&events).last(), Some(&"RUN_FINISHED"));
    assert_eq!(tab.events_to_end().await.last().unwrap()["event"]["type"], "RUN_FINISHED");
    let mut reader = stream(&gateway, "ann", "t1", "r2", "from the reader").await;
    assert_eq!(tab.expect_event("RUN_STARTED").await["event"]["runId"], "r2");
    reader.events().await;
}

#[tokio::test]
async fn a_run_that_the_log_no_longer_holds_whole_is_a_conflict() {
    let gateway = Gateway::start(&["journal.max_events_per_thread = 16"]).await;
    for run in 0..8 {
        stream(&gateway, "ann", "t1", &format!("r{run}"), "hello").await.events().await;
    }
    let mut gone = Ask::post("/v1/agui", &input("t1", "r0", "hello")).by(&gateway, "ann").send(&gateway).await;
    assert_eq!(gone.status, 409);
    assert!(gone.json().await["message"].as_str().unwrap().contains("no longer held"));
    let held = stream(&gateway, "ann", "t1", "r7", "hello").await.events().await;
    assert_eq!(held.len(), 5);
}

#[tokio::test]
async fn a_refusal_before_the_first_byte_is_a_status_with_the_error_frame() {
    let gateway = Gateway::start(&[]).await;
    let mut unknown =
        Ask::post("/v1/agui/nobody", &input("t1", "r1", "hello")).by(&gateway, "ann").send(&gateway).await;
    assert_eq!(unknown.status, 502);
    assert_eq!(unknown.json().await["code"], "agent_unavailable");
    let mut first = stream(&gateway, "ann", "t1", "r1", "stall").await;
    first.expect("TEXT_MESSAGE_CONTENT").await;
    let mut busy = Ask::post("/v1/agui", &input("t1", "r2", "hello")).by(&gateway, "ann").send(&gateway).await;
    assert_eq!((busy.status, busy.header("retry-after")), (409, Some("1")));
    let error = busy.json().await;
    assert_eq!((&error["type"], &error["code"], &error["retry_in"]), (&json!("error"), &json!("busy"), &json!(1000)));
}

#[tokio::test]
async fn a_named_agent_answers_at_its_own_address() {
    let gateway = Gateway::start(&[]).await;
    let mut answer = Ask::post("/v1/agui/demo", &input("t1", "r1", "hello")).by(&gateway, "ann").send(&gateway).await;
    assert_eq!(answer.events().await.len(), 5);
}

#[tokio::test]
async fn a_run_is_told_again_from_disk_by_a_gateway_that_was_killed_and_started_again() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("http-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let path = format!("journal.directory = {directory:?}");
    let keys = [r#"journal.kind = "sqlite""#, r#"journal.durability = "full""#, &path, SLOW[0], SLOW[1]];
    let mut gateway = Gateway::start(&keys).await;
    slow_stream(&gateway, "ann", "t1", "r1", "an earlier question").await.events().await;
    let told = slow_stream(&gateway, "ann", "t1", "r2", "a question that outlives us").await.events().await;
    gateway.process.signal(Signal::KILL);
    gateway.process.end().await;
    let gateway = Gateway::start(&keys).await;
    let again = slow_stream(&gateway, "ann", "t1", "r2", "").await.events().await;
    assert_eq!(said(&again), said(&told));
    assert_eq!(again[0].data, told[0].data, "from its start, and from nothing before it");
    let history = Ask::get("/v1/threads/t1/messages").by(&gateway, "ann").send(&gateway).await.json().await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 4);
    drop(gateway);
    std::fs::remove_dir_all(&directory).unwrap();
}
