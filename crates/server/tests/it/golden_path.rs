//! The golden path of docs/protocol.md, letter by letter, and what must hold when tabs come, go and break.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::gateway::client::run_frame;
use crate::gateway::{Call, Client, Gateway};

/// An agent that takes its time, so that there is a middle of an answer.
pub(crate) const SLOW: [&str; 2] = [r#"agents.slow.kind = "demo""#, r#"agents.slow.delay = "5ms""#];

/// A question whose answer has many words.
const LONG: &str = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
    seventeen eighteen nineteen twenty";

pub(crate) fn slow_run(thread: &str, run: &str, text: &str) -> Value {
    let mut frame = run_frame(thread, run, text);
    frame["agent"] = json!("slow");
    frame
}

pub(crate) fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|frame| frame["event"]["type"].as_str().unwrap()).collect()
}

/// Offsets rise, and what one who joined late got in larger pieces is what the others got in small ones.
pub(crate) fn told(events: &[Value]) -> Vec<Value> {
    let offsets: Vec<u64> = events.iter().map(|frame| frame["offset"].as_u64().unwrap()).collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    let mut told: Vec<Value> = Vec::new();
    for frame in events {
        let event = frame["event"].clone();
        match told.last_mut() {
            Some(last) if event["type"] == "TEXT_MESSAGE_CONTENT" && last["type"] == event["type"] => {
                let joined = [last["delta"].as_str().unwrap(), event["delta"].as_str().unwrap()].concat();
                last["delta"] = json!(joined);
            }
            Some(_) | None => told.push(event),
        }
    }
    told
}

#[tokio::test]
async fn the_golden_path_letter_by_letter() {
    let gateway = Gateway::start(&[]).await;
    let mut ann = gateway.connect("ann").await;
    let mut hello = ann.hello.clone();
    assert!(hello["connection"].as_str().unwrap().starts_with("c_"));
    assert!((3590..=3600).contains(&hello["expires_in"].as_u64().unwrap()), "{hello}");
    hello["connection"].take();
    hello["expires_in"].take();
    let limits = json!({"used": 0, "limit": 20, "level": "ok"});
    let expected = json!({
        "type": "hello", "connection": null, "user": "ann", "ping": 20_000, "window": 512, "expires_in": null,
        "limits": limits,
    });
    assert_eq!(hello, expected);

    let mut opened = ann.open("t1").await;
    assert!(!opened["epoch"].take().as_str().unwrap().is_empty());
    let limits = json!({"used": 1, "limit": 20, "level": "ok"});
    let expected = json!({
        "type": "opened", "thread": "t1", "epoch": null, "after": 0, "head": 0, "reset": true, "messages": [],
        "limits": limits,
    });
    assert_eq!(opened, expected);

    let events = ann.ask("t1", "r1", "hello").await;
    let question = json!([{"id": "r1-u", "role": "user", "content": "hello"}]);
    let expected = json!([
        {"type": "RUN_STARTED", "threadId": "t1", "runId": "r1",
         "input": {"threadId": "t1", "runId": "r1", "messages": question}},
        {"type": "TEXT_MESSAGE_START", "messageId": "r1-m1", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "r1-m1",
         "delta": "You said \"hello\", and it came through well."},
        {"type": "TEXT_MESSAGE_END", "messageId": "r1-m1"},
        {"type": "RUN_FINISHED", "threadId": "t1", "runId": "r1"},
    ]);
    assert_eq!(json!(told(&events)), expected);
    assert!(events.iter().all(|frame| frame["thread"] == "t1"));
    assert_eq!(events[0]["offset"], 1);
}

#[tokio::test]
async fn a_token_is_taken_from_header_subprotocol_or_hello() {
    let gateway = Gateway::start(&[]).await;
    let token = gateway.token("ann");
    let calls = [
        (Call::with_token(&token), json!({"type": "hello"})),
        (
            Call::without_token().header("sec-websocket-protocol", &format!("lychgate.v1, lychgate.bearer.{token}")),
            json!({"type": "hello"}),
        ),
        (Call::without_token(), json!({"type": "hello", "token": token})),
    ];
    for (call, hello) in calls {
        let mut client = call.dial(&gateway).await.unwrap();
        assert_eq!(client.headers["sec-websocket-protocol"], "lychgate.v1", "a token is never echoed");
        client.say(hello).await;
        assert_eq!(client.expect("hello").await["user"], "ann");
    }
}

#[tokio::test]
async fn the_token_of_the_request_counts_before_that_of_hello() {
    let gateway = Gateway::start(&[]).await;
    let hello = json!({"type": "hello", "token": gateway.token("bob")});
    assert_eq!(gateway.connect_with("ann", hello).await.hello["user"], "ann");
}

#[tokio::test]
async fn an_open_without_a_thread_makes_one_and_the_same_ref_is_the_same_open() {
    let gateway = Gateway::start(&[]).await;
    let mut first = gateway.connect("ann").await;
    let open = json!({"type": "open", "ref": "tab 1"});
    let opened = first.open_with(open.clone()).await;
    assert_eq!(opened["ref"], "tab 1");
    assert!(opened["thread"].as_str().unwrap().starts_with("thread_websocket_session_"), "{opened}");

    let again = first.open_with(open.clone()).await;
    assert_eq!((&again["thread"], &again["limits"]["used"]), (&opened["thread"], &json!(1)));

    let mut second = gateway.connect_with("ann", json!({"type": "hello", "prev": first.hello["connection"]})).await;
    let again = second.open_with(open).await;
    assert_eq!((&again["thread"], &again["limits"]["used"]), (&opened["thread"], &json!(1)));

    let other = second.open_with(json!({"type": "open", "ref": "tab 2"})).await;
    assert_ne!(other["thread"], opened["thread"]);
    assert_eq!(other["limits"]["used"], 2);
}

#[tokio::test]
async fn all_tabs_of_a_thread_see_the_same_events() {
    let gateway = Gateway::start(&SLOW).await;
    let mut asking = gateway.connect("ann").await;
    let mut watching = gateway.connect("ann").await;
    asking.open("t1").await;
    assert_eq!(watching.open("t1").await["limits"]["used"], 1, "a second tab needs no second slot");
    asking.say(slow_run("t1", "r1", "hello there")).await;
    let (asked, watched) = (asking.events_to_end().await, watching.events_to_end().await);
    assert_eq!(asked, watched);
    assert!(kinds(&asked).iter().filter(|kind| **kind == "TEXT_MESSAGE_CONTENT").count() > 3);
}

#[tokio::test]
async fn a_late_tab_sees_the_question_and_the_rest_of_the_answer() {
    let gateway = Gateway::start(&SLOW).await;
    let mut asking = gateway.connect("ann").await;
    asking.open("t1").await;
    asking.ask("t1", "r1", "before").await;
    asking.say(slow_run("t1", "r2", LONG)).await;
    asking.expect_event("TEXT_MESSAGE_CONTENT").await;
    let mut late = gateway.connect("ann").await;
    let opened = late.open("t1").await;
    assert_eq!((&opened["reset"], &opened["run"]), (&json!(true), &json!("r2")));
    let roles: Vec<_> = opened["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant"], "a reset is cut at the boundary of a run");
    let events = late.events_to_end().await;
    assert_eq!(events[0]["event"]["type"], "RUN_STARTED");
    assert_eq!(events[0]["event"]["input"]["messages"][0]["content"], LONG);
    let answer = &told(&events)[2];
    assert_eq!(answer["delta"], format!("You said \"{LONG}\", and it came through well."));
}

/// Opens a thread where the client left off.
async fn resume(gateway: &Gateway, hello: Value, opened: &Value, after: u64) -> Client {
    let mut client = gateway.connect_with("ann", hello).await;
    let open = json!({"type": "open", "thread": opened["thread"], "after": after, "epoch": opened["epoch"]});
    let answer = client.open_with(open).await;
    assert_eq!((&answer["after"], &answer["epoch"], &answer["reset"]), (&json!(after), &opened["epoch"], &Value::Null));
    client
}

#[tokio::test]
async fn an_answer_that_was_cut_twenty_times_arrives_once_and_in_order() {
    let gateway = Gateway::start(&SLOW).await;
    let mut random = TestRunner::deterministic();
    let mut pick = |below: usize| (0..below).new_tree(&mut random).unwrap().current();
    let mut cuts = 0;
    while cuts < 20 {
        let thread = format!("t{cuts}");
        let mut undisturbed = gateway.connect("ann").await;
        undisturbed.open(&thread).await;
        let mut client = gateway.connect("ann").await;
        let opened = client.open(&thread).await;
        client.say(slow_run(&thread, "r1", LONG)).await;
        let mut events: Vec<Value> = Vec::new();
        let mut left = pick(8);
        while !matches!(kinds(&events).last(), Some(&"RUN_FINISHED")) {
            if left == 0 && !events.is_empty() {
                let hello = match pick(2) {
                    0 => json!({"type": "hello"}),
                    _ => json!({"type": "hello", "prev": client.hello["connection"]}),
                };
                client.reset();
                let after = events.last().unwrap()["offset"].as_u64().unwrap();
                client = resume(&gateway, hello, &opened, after).await;
                left = pick(8);
                cuts += 1;
            }
            events.push(client.expect("event").await);
            left = left.saturating_sub(1);
        }
        assert_eq!(told(&events), told(&undisturbed.events_to_end().await));
    }
}

#[tokio::test]
async fn a_place_that_the_log_does_not_know_is_a_reset() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    let opened = client.open("t1").await;
    client.ask("t1", "r1", "hello").await;
    let epoch = opened["epoch"].as_str().unwrap();
    for (after, epoch) in [(1, "another"), (99, epoch), (u64::MAX, epoch)] {
        let open = json!({"type": "open", "thread": "t1", "after": after, "epoch": epoch});
        let opened = client.open_with(open).await;
        assert_eq!((&opened["reset"], opened["messages"].as_array().unwrap().len()), (&json!(true), 2), "{opened}");
    }
    let opened = client.open_with(json!({"type": "open", "thread": "t1", "after": 4, "epoch": epoch})).await;
    assert_eq!((&opened["reset"], &opened["after"]), (&Value::Null, &json!(4)));
    assert_eq!(client.expect("event").await["event"]["type"], "RUN_FINISHED");
}

#[tokio::test]
async fn a_run_survives_the_loss_of_its_only_socket() {
    let gateway = Gateway::start(&SLOW).await;
    let mut client = gateway.connect("ann").await;
    let opened = client.open("t1").await;
    client.say(slow_run("t1", "r1", LONG)).await;
    let first = client.expect_event("RUN_STARTED").await;
    client.reset();
    gateway.metric_becomes("lychgate_connections", |count| count == 0.0).await;
    gateway.metric_becomes("lychgate_runs", |count| count == 0.0).await;
    let mut client = resume(&gateway, json!({"type": "hello"}), &opened, 1).await;
    let mut events = vec![first];
    events.extend(client.events_to_end().await);
    assert_eq!(told(&events).last().unwrap()["type"], "RUN_FINISHED");
    assert_eq!(told(&events)[2]["delta"], format!("You said \"{LONG}\", and it came through well."));
}

#[tokio::test]
async fn nobody_sees_the_thread_of_another_user() {
    let gateway = Gateway::start(&[]).await;
    let mut ann = gateway.connect("ann").await;
    let mut bob = gateway.connect("bob").await;
    let opened = ann.open("t1").await;
    bob.open("t1").await;
    ann.ask("t1", "r1", "the secret of ann").await;
    let resumed = json!({"type": "open", "thread": "t1", "after": 1, "epoch": opened["epoch"]});
    for open in [json!({"type": "open", "thread": "t1"}), resumed] {
        let opened = bob.open_with(open).await;
        assert_eq!((&opened["head"], &opened["messages"], &opened["run"]), (&json!(0), &json!([]), &Value::Null));
    }
    bob.say(json!({"type": "stop", "thread": "t1", "run": "r1"})).await;
    let events = bob.ask("t1", "r1", "hello").await;
    assert_eq!(events[0]["event"]["input"]["messages"][0]["content"], "hello", "the id of a run is no secret");
    assert!(!json!(events).to_string().contains("secret of ann"));
    ann.expect_nothing().await;
}

#[tokio::test]
async fn the_tab_that_comes_back_replaces_its_own_socket_and_keeps_its_slots() {
    let gateway = Gateway::start(&[]).await;
    let mut old = gateway.connect("ann").await;
    let mut other = gateway.connect("ann").await;
    old.open("t1").await;
    old.open("t2").await;
    other.open("t3").await;
    let mut new = gateway.connect_with("ann", json!({"type": "hello", "prev": old.hello["connection"]})).await;
    assert_eq!(new.hello["limits"]["used"], 3);
    assert_eq!(old.expect_close(4510).await, json!({"reason": "superseded", "reconnect": false}));
    assert_eq!(new.open("t1").await["limits"]["used"], 3);
    assert_eq!(new.open("t2").await["limits"]["used"], 3);
    assert_eq!(new.ask("t1", "r1", "hello").await.last().unwrap()["event"]["type"], "RUN_FINISHED");
    other.expect_nothing().await;
}

#[tokio::test]
async fn a_prev_that_is_foreign_or_unknown_is_ignored() {
    let gateway = Gateway::start(&[]).await;
    let mut ann = gateway.connect("ann").await;
    ann.open("t1").await;
    let unknown = "c_00000000000000000000000000000000";
    for prev in [ann.hello["connection"].as_str().unwrap(), unknown, "", "\u{0}", "no id at all"] {
        let bob = gateway.connect_with("bob", json!({"type": "hello", "prev": prev})).await;
        assert_eq!(bob.hello["limits"]["used"], 0);
    }
    assert_eq!(ann.ask("t1", "r1", "hello").await.len(), 5);
}

#[tokio::test]
async fn leaving_frees_the_slot_and_other_tabs_stay() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    let mut other = gateway.connect("ann").await;
    client.open("t1").await;
    assert_eq!(client.open("t2").await["limits"]["used"], 2);
    other.open("t2").await;
    client.say(json!({"type": "leave", "thread": "t1"})).await;
    client.say(json!({"type": "leave", "thread": "t2"})).await;
    client.say(json!({"type": "open", "thread": "t3"})).await;
    let opened = loop {
        match client.frame().await {
            frame if frame["type"] == "opened" => break frame,
            frame => assert_eq!(frame["type"], "closed", "{frame}"),
        }
    };
    assert_eq!(opened["limits"]["used"], 2, "t2 is still held by the other tab");
    client.run("t1", "r1", "hello").await;
    assert_eq!(client.expect_error("not_open").await["thread"], "t1");
    assert_eq!(other.ask("t2", "r1", "hello").await.len(), 5);
}

#[tokio::test]
async fn a_client_that_closes_gives_its_slots_back_at_once_and_one_that_is_lost_after_the_linger() {
    let gateway = Gateway::start(&[r#"limits.linger = "500ms""#]).await;
    let mut watching = gateway.connect("ann").await;
    let mut closing = gateway.connect("ann").await;
    closing.open("t1").await;
    closing.close().await;
    assert_eq!(watching.open("t2").await["limits"]["used"], 1);
    let mut lost = gateway.connect("ann").await;
    lost.open("t3").await;
    lost.reset();
    gateway.metric_becomes("lychgate_sessions", |count| count == 1.0).await;
}

#[tokio::test]
async fn a_window_that_is_closed_holds_events_back_until_the_ack() {
    let gateway = Gateway::start(&["websocket.window = 3"]).await;
    let hello = json!({"type": "hello", "heartbeat": "app"});
    let mut client = gateway.connect_with("ann", hello).await;
    client.open("t1").await;
    client.run("t1", "r1", "hello").await;
    for offset in 1..=3 {
        assert_eq!(client.expect("event").await["offset"], offset);
    }
    gateway.metric_becomes("lychgate_runs", |count| count == 0.0).await;
    client.expect_nothing().await;
    client.say(json!({"type": "ack", "at": {"t1": 3}})).await;
    assert_eq!(client.events_to_end().await.last().unwrap()["offset"], 5);
}

#[tokio::test]
async fn a_token_that_expires_closes_with_4004_and_a_refresh_prevents_it() {
    let gateway = Gateway::start(&[r#"auth.jwt.leeway = "0s""#, r#"auth.expiry_grace = "0s""#]).await;
    let mut claims = crate::gateway::claims("ann");
    claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 2);
    let hello = json!({"type": "hello", "token": crate::gateway::token(&claims)});
    let mut refreshed = Call::without_token().dial(&gateway).await.unwrap();
    let mut expiring = Call::without_token().dial(&gateway).await.unwrap();
    refreshed.say(hello.clone()).await;
    expiring.say(hello).await;
    refreshed.expect("hello").await;
    expiring.expect("hello").await;
    refreshed.say(json!({"type": "hello", "token": gateway.token("ann")})).await;
    assert_eq!(expiring.expect_close(4004).await, json!({"reason": "token_expired", "reconnect": true}));
    refreshed.open("t1").await;
}
