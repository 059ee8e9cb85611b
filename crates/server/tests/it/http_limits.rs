//! Readers over HTTP at the limits: the slot that they take and give back, the queue, slow readers, the end of the node,
//! and what a backend publishes.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::gateway::{Gateway, Heard};
use crate::golden_path::SLOW;
use crate::http::client::Ask;
use crate::http::{input, kinds, slow_stream, stream};

/// One session, and nothing that helps beyond it.
const ONE: [&str; 2] = ["limits.max_sessions_per_user = 1", "limits.reserve_sessions = 0"];

fn with<'a>(keys: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [keys, more].concat()
}

#[tokio::test]
async fn a_reader_takes_a_slot_until_its_answer_ends_and_no_linger_follows() {
    let gateway = Gateway::start(&with(&ONE, &SLOW)).await;
    let mut reader = slow_stream(&gateway, "ann", "t1", "r1", "a question with a slow answer").await;
    reader.expect("TEXT_MESSAGE_CONTENT").await;
    assert_eq!(gateway.metric("lychgate_sessions").await, 1.0);
    reader.expect("RUN_FINISHED").await;
    // Its end may still be on its way; the slot is free all the same.
    let tab = gateway.connect("ann").await;
    assert_eq!(tab.hello["limits"]["used"], 0);
}

#[tokio::test]
async fn a_reader_that_goes_gives_its_slot_back_at_once() {
    let gateway = Gateway::start(&ONE).await;
    let mut reader = stream(&gateway, "ann", "t1", "r1", "stall").await;
    reader.expect("TEXT_MESSAGE_CONTENT").await;
    reader.reset();
    // Less than any linger, which would be 10 s.
    gateway.metric_becomes("lychgate_sessions", |count| count == 0.0).await;
    gateway.metric_becomes("lychgate_runs", |count| count == 1.0).await;
}

#[tokio::test]
async fn at_the_limit_a_reader_makes_room_like_every_newcomer() {
    let gateway = Gateway::start(&ONE).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    let reading = async { stream(&gateway, "ann", "t2", "r2", "hello").await.events().await };
    // The tab lives and answers the probe, and is the least valuable all the same: nothing runs on it.
    let (events, closed) = tokio::join!(reading, tab.expect("closed"));
    assert_eq!(kinds(&events).last(), Some(&"RUN_FINISHED"));
    assert_eq!((&closed["thread"], &closed["reason"]), (&json!("t1"), &json!("evicted")));
}

#[tokio::test]
async fn whoever_asks_an_agent_that_there_is_not_pushes_nobody_out() {
    let gateway = Gateway::start(&ONE).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    let ask = Ask::post("/v1/agui/nobody", &input("t2", "r1", "hello")).by(&gateway, "ann");
    assert_eq!(ask.send(&gateway).await.status, 502);
    assert_eq!(tab.ask("t1", "r2", "hello").await.len(), 5, "its session is still its own");
}

#[tokio::test]
async fn behind_a_run_a_reader_waits_in_the_queue_and_its_waiting_shows_as_comments() {
    let gateway =
        Gateway::start(&with(&ONE, &[r#"limits.queue_deadline = "2s""#, r#"limits.ladder_deadline = "1s""#])).await;
    let mut first = stream(&gateway, "ann", "t1", "r1", "stall").await;
    first.expect("TEXT_MESSAGE_CONTENT").await;
    let mut second = stream(&gateway, "ann", "t2", "r2", "hello").await;
    let waiting = second.next().await.unwrap();
    assert!(waiting.comment.unwrap().starts_with("queued, position 1"), "nothing but comments before RUN_STARTED");
    let events = second.events().await;
    assert_eq!((kinds(&events)[0], *kinds(&events).last().unwrap()), ("RUN_STARTED", "RUN_FINISHED"));
    // The session that answered longest had to go in the end; its run goes on, and its reader is told why.
    let end = first.events().await.pop().unwrap();
    assert_eq!((&end.data["type"], &end.data["code"]), (&json!("RUN_ERROR"), &json!("evicted")));
    assert!(end.data["message"].as_str().unwrap().len() > 10);
    assert!(end.data.get("threadId").is_none() && end.data["metadata"].is_null(), "it stands in no log: {}", end.data);
    gateway.metric_becomes("lychgate_runs", |count| count == 1.0).await;
}

#[tokio::test]
async fn a_reader_that_is_refused_while_it_waits_hears_a_whole_run_that_failed() {
    let keys = [r#"limits.force = "never""#, r#"limits.queue_deadline = "1s""#, r#"limits.ladder_deadline = "1s""#];
    let gateway = Gateway::start(&with(&ONE, &keys)).await;
    let mut first = stream(&gateway, "ann", "t1", "r1", "stall").await;
    first.expect("TEXT_MESSAGE_CONTENT").await;
    let mut second = Ask::post("/v1/agui", &input("t2", "r2", "hello")).by(&gateway, "ann").send(&gateway).await;
    match second.status {
        // It was told that it waits, so that the head was gone.
        200 => {
            let events = second.events().await;
            assert_eq!(kinds(&events), ["RUN_STARTED", "RUN_ERROR"]);
            assert_eq!((&events[0].data["threadId"], &events[0].data["runId"]), (&json!("t2"), &json!("r2")));
            assert_eq!(events[1].data["code"], "no_slot");
            assert!(events[1].data["metadata"]["lychgate"]["retry_in"].as_u64().unwrap() > 0);
        }
        status => {
            assert_eq!((status, second.json().await["code"].clone()), (503, json!("no_slot")));
        }
    }
}

#[tokio::test]
async fn connections_that_a_user_leaves_open_after_his_requests_are_bounded_like_those_of_strangers() {
    let gateway = Gateway::start(&["server.max_unidentified = 4", r#"server.header_timeout = "60s""#]).await;
    let mut left_open = Vec::new();
    for _ in 0..12 {
        let ask = Ask::get("/v1/threads").kept_alive().by(&gateway, "ann");
        let answer = ask.send(&gateway).await;
        assert_eq!(answer.status, 200);
        left_open.push(answer);
    }
    gateway.connect("bob").await.open("t1").await;
    for oldest in &mut left_open[..8] {
        oldest.end().await;
    }
    gateway.metric_becomes("lychgate_unidentified_sockets", |count| count <= 4.0).await;
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_paused_and_disturbs_nobody() {
    let keys =
        [r#"agents.demo.delay = "0s""#, "websocket.outbox_bytes = 4096", "websocket.max_message_bytes = 8388608"];
    let gateway = Gateway::start(&keys).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    // More than kernels and buffers take: the question is told back in RUN_STARTED.
    let long = "x".repeat(4 * 1024 * 1024);
    let body = input("t1", "r1", &format!("stall {long}"));
    let stopped = Ask::post("/v1/agui", &body).by(&gateway, "ann").with_receive_buffer(4096).start(&gateway).await;
    tab.expect_event("TEXT_MESSAGE_CONTENT").await;
    tab.say(json!({"type": "stop", "thread": "t1", "run": "r1"})).await;
    assert_eq!(tab.events_to_end().await.last().unwrap()["event"]["type"], "RUN_FINISHED");
    assert_eq!(tab.ask("t1", "r2", "hello").await.len(), 5, "the others are not delayed");
    let mut stopped = stopped;
    stopped.catch_up().await;
    let events = stopped.events().await;
    assert_eq!((kinds(&events)[0], *kinds(&events).last().unwrap()), ("RUN_STARTED", "RUN_FINISHED"));
    assert_eq!(events.last().unwrap().data["runId"], "r1", "its own run, and nothing of the next one");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_for_too_long_is_let_go() {
    let keys = [
        "websocket.outbox_bytes = 4096",
        "websocket.max_message_bytes = 8388608",
        r#"limits.linger = "100ms""#,
        r#"liveness.write_stall = "1s""#,
        r#"liveness.ping_interval = "300ms""#,
        r#"liveness.ping_answer = "200ms""#,
    ];
    let gateway = Gateway::start(&keys).await;
    let body = input("t1", "r1", &format!("stall {}", "x".repeat(6 * 1024 * 1024)));
    let stopped = Ask::post("/v1/agui", &body).by(&gateway, "ann").with_receive_buffer(4096).start(&gateway).await;
    gateway.metric_becomes("lychgate_sessions", |count| count == 1.0).await;
    gateway.metric_becomes("lychgate_sessions", |count| count == 0.0).await;
    gateway.metric_becomes("lychgate_connections", |count| count == 0.0).await;
    drop(stopped);
}

#[tokio::test]
async fn a_reader_on_a_thin_line_is_let_be_as_long_as_it_takes_something() {
    const LONG: usize = 12 * 1024 * 1024;
    let keys = [
        "websocket.max_message_bytes = 16777216",
        "journal.max_bytes_per_thread = 33554432",
        r#"liveness.write_stall = "3s""#,
        r#"liveness.ping_interval = "300ms""#,
        r#"liveness.ping_answer = "200ms""#,
    ];
    let gateway = Gateway::start(&keys).await;
    let body = input("t1", "r1", &format!("stall {}", "x".repeat(LONG)));
    let mut thin = Ask::post("/v1/agui", &body).by(&gateway, "ann").with_receive_buffer(4096).start(&gateway).await;
    // What the kernels do not take at once lasts for more than the stall.
    thin.trickle(LONG, 128 * 1024, Duration::from_millis(100)).await;
    thin.read_until("TEXT_MESSAGE_CONTENT").await;
}

#[tokio::test]
async fn a_quiet_answer_is_kept_alive_by_comments_and_its_reader_by_taking_them() {
    let keys =
        [r#"liveness.ping_interval = "200ms""#, r#"liveness.ping_answer = "150ms""#, "liveness.missed_pings = 2"];
    let gateway = Gateway::start(&keys).await;
    let mut reader = stream(&gateway, "ann", "t1", "r1", "stall").await;
    reader.expect("TEXT_MESSAGE_CONTENT").await;
    // Far more heartbeats than a reader may miss.
    for _ in 0..8 {
        assert_eq!(reader.next().await.unwrap().comment.as_deref(), Some("ping"));
    }
    assert_eq!(gateway.metric("lychgate_sessions").await, 1.0);
}

#[tokio::test]
async fn a_drain_ends_every_answer_with_a_reason() {
    let mut gateway = Gateway::start(&[]).await;
    let mut reader = stream(&gateway, "ann", "t1", "r1", "stall").await;
    reader.expect("TEXT_MESSAGE_CONTENT").await;
    gateway.process.signal(Signal::TERM);
    let events = reader.events().await;
    let end = &events.last().unwrap().data;
    assert_eq!((&end["type"], &end["code"]), (&json!("RUN_ERROR"), &json!("gateway_stopping")));
    assert_eq!(gateway.process.end().await.0, Some(0));
}

#[tokio::test]
async fn a_token_that_expires_ends_the_answer_with_its_reason() {
    let gateway = Gateway::start(&[r#"auth.jwt.leeway = "0s""#, r#"auth.expiry_grace = "0s""#]).await;
    let mut claims = crate::gateway::claims("ann");
    claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 2);
    let token = crate::gateway::token(&claims);
    let ask = Ask::post("/v1/agui", &input("t1", "r1", "stall")).header("authorization", format!("Bearer {token}"));
    let events = ask.send(&gateway).await.events().await;
    assert_eq!(
        (&events.last().unwrap().data["type"], &events.last().unwrap().data["code"]),
        (&json!("RUN_ERROR"), &json!("token_expired"))
    );
}

#[tokio::test]
async fn a_reader_of_what_runs_is_told_why_it_had_to_go() {
    let gateway =
        Gateway::start(&with(&ONE, &[r#"limits.queue_deadline = "2s""#, r#"limits.ladder_deadline = "1s""#])).await;
    let mut first = stream(&gateway, "ann", "t1", "r1", "stall").await;
    first.expect("TEXT_MESSAGE_CONTENT").await;
    first.reset();
    let mut reader = Ask::get("/v1/threads/t1/events").by(&gateway, "ann").send(&gateway).await;
    reader.expect("TEXT_MESSAGE_CONTENT").await;
    let mut tab = gateway.connect("ann").await;
    tab.say(json!({"type": "open", "thread": "t2"})).await;
    let opened = async { while !matches!(tab.hear().await, Heard::Frame(frame) if frame["type"] == "opened") {} };
    let (mut events, ()) = tokio::join!(reader.events(), opened);
    let end = events.pop().unwrap();
    assert_eq!((end.name.as_deref(), &end.data["code"]), (Some("closed"), &json!("evicted")));
    let wait = events.pop().unwrap().retry;
    assert_eq!(wait, Some(3_600_000), "an EventSource does not come back to push the newer one out");
}

#[tokio::test]
async fn readers_of_what_runs_are_sent_away_by_a_drain_each_with_a_time_of_his_own() {
    let mut gateway = Gateway::start(&[]).await;
    let mut first = stream(&gateway, "ann", "t1", "r1", "stall").await;
    first.expect("TEXT_MESSAGE_CONTENT").await;
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut reader = Ask::get("/v1/threads/t1/events").by(&gateway, "ann").send(&gateway).await;
        reader.expect("TEXT_MESSAGE_CONTENT").await;
        readers.push(reader);
    }
    gateway.process.signal(Signal::TERM);
    let mut waits = Vec::new();
    for mut reader in readers {
        waits.push(reader.events().await.iter().rev().find_map(|event| event.retry).unwrap());
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 2, "{waits:?}");
}

fn publication(user: &str, thread: Option<&str>, key: &str, value: &str) -> serde_json::Value {
    let mut body = json!({"user": user, "key": key, "events": [
        {"type": "CUSTOM", "name": "order", "value": value, "timestamp": null},
        {"type": "CUSTOM", "name": "order", "value": null},
    ]});
    if let Some(thread) = thread {
        body["thread"] = json!(thread);
    }
    body
}

#[tokio::test]
async fn what_a_backend_publishes_is_seen_by_a_tab_once_however_often_it_is_said() {
    let gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect("ann").await;
    tab.open("t1").await;
    let publish = || Ask::post("/v1/admin/publish", &publication("ann", Some("t1"), "k1", "shipped"));
    let mut first = publish().by_operator().send_to_admin(&gateway).await;
    let events = tab.events_to_end().await;
    assert_eq!((first.status, first.json().await), (200, json!({"threads": [{"thread": "t1", "head": 4}]})));
    let told: Vec<_> = events.iter().map(|frame| frame["event"]["type"].as_str().unwrap()).collect();
    assert_eq!(told, ["RUN_STARTED", "CUSTOM", "CUSTOM", "RUN_FINISHED"], "at rest it is a run of its own");
    assert_eq!(events[1]["event"], json!({"type": "CUSTOM", "name": "order", "value": "shipped"}), "without its nulls");
    assert_eq!(events[2]["event"]["value"], json!(null), "but where any JSON may stand");
    assert_eq!(
        publish().by_operator().send_to_admin(&gateway).await.json().await,
        json!({"threads": [{"thread": "t1"}]})
    );
    tab.expect_nothing().await;
}

#[tokio::test]
async fn a_publication_for_a_user_reaches_every_thread_that_he_has_open_and_nobody_elses() {
    let gateway = Gateway::start(&[]).await;
    let mut ann = gateway.connect("ann").await;
    let mut bob = gateway.connect("bob").await;
    ann.open("t1").await;
    ann.open("t2").await;
    bob.open("t1").await;
    let ask = Ask::post("/v1/admin/publish", &publication("ann", None, "k1", "for all"));
    let told = ask.by_operator().send_to_admin(&gateway).await.json().await;
    assert_eq!(told["threads"].as_array().unwrap().len(), 2, "{told}");
    let mut threads = Vec::new();
    for _ in 0..2 {
        threads.push(ann.events_to_end().await[1]["thread"].as_str().unwrap().to_owned());
    }
    threads.sort_unstable();
    assert_eq!(threads, ["t1", "t2"]);
    bob.expect_nothing().await;
    let nobody = Ask::post("/v1/admin/publish", &publication("eve", None, "k1", "for nobody"));
    assert_eq!(nobody.by_operator().send_to_admin(&gateway).await.json().await, json!({"threads": []}));
}

#[tokio::test]
async fn a_publication_into_a_run_stands_between_its_events_and_its_reader_sees_it() {
    let gateway = Gateway::start(&[]).await;
    let mut reader = stream(&gateway, "ann", "t1", "r1", "stall").await;
    reader.expect("TEXT_MESSAGE_CONTENT").await;
    let ask = Ask::post("/v1/admin/publish", &publication("ann", Some("t1"), "k1", "meanwhile"));
    assert_eq!(ask.by_operator().send_to_admin(&gateway).await.status, 200);
    assert_eq!(reader.expect("CUSTOM").await.data["value"], "meanwhile");
    let stop = Ask::new("DELETE", "/v1/threads/t1/runs/r1").by(&gateway, "ann").send(&gateway).await;
    assert_eq!(stop.status, 204);
    assert_eq!(kinds(&reader.events().await).last(), Some(&"RUN_FINISHED"));
}

#[tokio::test]
async fn a_publication_that_is_none_is_refused_with_what_is_wrong() {
    let gateway = Gateway::start(&[]).await;
    let event = json!({"type": "CUSTOM", "name": "n", "value": 1});
    let body = |events: serde_json::Value| json!({"user": "ann", "thread": "t1", "key": "k", "events": events});
    let many: Vec<_> = (0..257).map(|_| event.clone()).collect();
    let cases = [
        (json!([]), "expected an object"),
        (json!({"thread": "t1", "key": "k", "events": []}), "missing field `user`"),
        (json!({"user": "", "thread": "t1", "key": "k", "events": [event]}), "`user` is empty"),
        (json!({"user": "ann", "thread": "t1", "key": "", "events": [event]}), "`key` must have 1 to 256 bytes"),
        (json!({"user": "ann", "thread": "t1", "key": "k".repeat(257), "events": [event]}), "`key` must have"),
        (body(json!([])), "1 to 256 events"),
        (body(json!(many)), "1 to 256 events"),
        (body(json!([event, {"name": "x"}])), "`events[1]`: missing field `type`"),
        (body(json!([7])), "`events[0]`"),
        (body(json!([{"type": "RUN_STARTED", "threadId": "t1", "runId": "r"}])), "RUN_STARTED"),
        (body(json!([{"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}])), "TEXT_MESSAGE_END"),
    ];
    for (body, says) in cases {
        let mut answer = Ask::post("/v1/admin/publish", &body).by_operator().send_to_admin(&gateway).await;
        let error = answer.json().await;
        assert_eq!((answer.status, &error["code"]), (400, &json!("bad_frame")), "{error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
    let large = Ask::new("POST", "/v1/admin/publish")
        .body(vec![b' '; 1024 * 1024 + 1])
        .by_operator()
        .send_to_admin(&gateway)
        .await;
    assert_eq!(large.status, 413);
    let page = Ask::post("/v1/admin/publish", &body(json!([event]))).header("origin", "http://127.0.0.1:9");
    assert_eq!(page.by_operator().send_to_admin(&gateway).await.status, 403, "a page in a browser is no backend");
    let user = Ask::post("/v1/admin/publish", &body(json!([event]))).by(&gateway, "ann").send(&gateway).await;
    assert_eq!(user.status, 404, "it is not among the routes for users");
}

#[tokio::test]
async fn a_run_that_waits_for_the_one_before_it_says_so() {
    let gateway = Gateway::start(&["runs.max_queued_per_thread = 2"]).await;
    let mut first = stream(&gateway, "ann", "t1", "r1", "stall").await;
    first.expect("TEXT_MESSAGE_CONTENT").await;
    let mut second = stream(&gateway, "ann", "t1", "r2", "hello").await;
    assert!(second.next().await.unwrap().comment.unwrap().contains("waits for the one before it, position 1"));
    let run = json!({"run": "r3", "input": {"messages": []}});
    let mut third = Ask::post("/v1/threads/t1/runs", &run).by(&gateway, "ann").send(&gateway).await;
    assert_eq!((third.status, third.json().await["position"].clone()), (202, json!(2)));
    let stop = Ask::new("DELETE", "/v1/threads/t1/runs/r1").by(&gateway, "ann").send(&gateway).await;
    assert_eq!(stop.status, 204);
    let events = second.events().await;
    assert_eq!((kinds(&events)[0], &events[0].data["runId"]), ("RUN_STARTED", &json!("r2")));
}
