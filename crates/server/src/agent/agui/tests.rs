//! What the translation of a stream promises, without sockets; `socket` has the same with them, `peer` with a real server.

use futures_util::{FutureExt, stream};
use proptest::collection;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::agent::AgentError;
use crate::agent::sse::Broken;
use crate::agent::tests::{collect, kinds, request};
use bytes::Bytes;

mod peer;
mod socket;

/// An SSE body of these events.
fn body(events: &[Value]) -> Vec<u8> {
    events.iter().flat_map(|event| format!("data: {event}\n\n").into_bytes()).collect()
}

fn started() -> Value {
    json!({ "type": "RUN_STARTED", "threadId": "theirs", "runId": "theirs" })
}

fn finished() -> Value {
    json!({ "type": "RUN_FINISHED", "threadId": "theirs", "runId": "theirs" })
}

/// A message `m` that says this, in one piece.
fn said(text: &str) -> [Value; 3] {
    [
        json!({ "type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant" }),
        json!({ "type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": text }),
        json!({ "type": "TEXT_MESSAGE_END", "messageId": "m" }),
    ]
}

/// A whole run that says this.
fn saying(text: &str) -> Vec<u8> {
    let events: Vec<Value> = [started()].into_iter().chain(said(text)).chain([finished()]).collect();
    body(&events)
}

/// All texts, joined.
fn text(events: &[Value]) -> String {
    let contents = events.iter().filter(|event| event["type"] == "TEXT_MESSAGE_CONTENT");
    contents.map(|event| event["delta"].as_str().unwrap()).collect()
}

async fn translated(bytes: impl Into<Vec<u8>>) -> (Vec<Value>, Option<AgentError>) {
    let pieces = stream::iter([Ok::<_, Broken>(Bytes::from(bytes.into()))]);
    collect(translate(pieces, Answer::new(Raw::Strip))).await
}

async fn code(bytes: impl Into<Vec<u8>>) -> String {
    translated(bytes).await.1.unwrap().code
}

#[tokio::test]
async fn a_run_is_passed_on_but_for_its_start_which_is_ours() {
    let (seen, error) = translated(saying("Grüße, 👋")).await;
    assert_eq!(error, None);
    let whole: Vec<Value> = said("Grüße, 👋").into_iter().chain([finished()]).collect();
    assert_eq!(seen, whole);
}

#[tokio::test]
async fn nothing_is_read_after_the_end() {
    for end in [finished(), json!({ "type": "RUN_ERROR", "message": "no" })] {
        let mut bytes = body(&[started(), end.clone()]);
        bytes.extend_from_slice(b"data: garbage\n\n");
        bytes.extend_from_slice(&body(&[started(), finished()]));
        let mut events = translate(stream::iter([Ok::<_, Broken>(Bytes::from(bytes))]), Answer::new(Raw::Strip));
        assert_eq!(events.next().await.unwrap().unwrap().kind(), end["type"]);
        assert!(events.next().await.is_none());
    }
}

#[tokio::test]
async fn comments_empty_events_and_other_fields_of_sse_are_no_events() {
    let mut bytes = b": ping\n\ndata:\n\ndata: \n\nevent: ping\nid: 7\nretry: 3\n\n".to_vec();
    bytes.extend_from_slice(&saying("hello"));
    let (seen, error) = translated(bytes).await;
    assert_eq!((text(&seen).as_str(), error), ("hello", None));
}

#[tokio::test]
async fn raw_events_stay_here_unless_they_are_wanted() {
    struct Given(Vec<u8>, Raw);

    impl Agent for Given {
        fn run(&self, _request: RunRequest) -> EventStream {
            translate(stream::iter([Ok::<_, Broken>(Bytes::from(self.0.clone()))]), Answer::new(self.1))
        }
    }

    let raw = json!({ "type": "RAW", "event": { "a": 1 } });
    let step = json!({ "type": "CUSTOM", "name": "n", "value": 1, "rawEvent": { "a": 1 } });
    let bytes = body(&[started(), raw.clone(), step.clone(), raw.clone(), finished()]);
    let (seen, _) = collect(WithoutRaw(Arc::new(Given(bytes.clone(), Raw::Strip))).run(request("hello"))).await;
    assert_eq!(seen, [json!({ "type": "CUSTOM", "name": "n", "value": 1 }), finished()]);
    let (seen, _) = collect(Given(bytes, Raw::Keep).run(request("hello"))).await;
    assert_eq!(seen, [raw.clone(), step, raw, finished()]);
}

#[tokio::test]
async fn an_error_of_the_backend_is_the_end_with_its_own_words() {
    let error = json!({ "type": "RUN_ERROR", "message": "the model is asleep", "code": "theirs" });
    let (seen, failed) = translated(body(&[started(), said("Hel")[0].clone(), error.clone()])).await;
    assert_eq!(failed, None);
    assert_eq!(kinds(&seen), ["TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "RUN_ERROR"]);
    assert_eq!(seen[2], error);
}

#[tokio::test]
async fn a_stream_without_an_end_is_cut() {
    for bytes in [&b""[..], b"data: {\"type\":\"RUN_FINI", b": nothing but comments\n\n"] {
        assert_eq!(code(bytes).await, "agent_eof");
    }
    assert_eq!(code(body(&[started(), said("Hel")[0].clone()])).await, "agent_eof");
}

/// Any event about one of few items, so that they meet often.
fn jumbled() -> impl Strategy<Value = Value> {
    let kinds = [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "TEXT_MESSAGE_CHUNK",
        "REASONING_START",
        "REASONING_END",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_CHUNK",
        "STEP_STARTED",
        "STEP_FINISHED",
        "SUBAGENT_STARTED",
        "SUBAGENT_FINISHED",
        "ACTIVITY_SNAPSHOT",
        "ACTIVITY_DELTA",
        "TOOL_CALL_RESULT",
        "REASONING_ENCRYPTED_VALUE",
        "MESSAGES_SNAPSHOT",
        "RUN_STARTED",
        "CUSTOM",
        "FROM_THE_FUTURE",
    ];
    let whose = || select(vec![None, None, Some("a"), Some("b")]);
    let ids = (select(vec!["a", "b"]), whose(), whose());
    (select(kinds.to_vec()), ids, any::<bool>()).prop_map(|(kind, (id, subagent, parent), chunk_has_id)| {
        let mut event =
            json!({"type": kind, "delta": "x", "name": "n", "value": 1, "toolCallName": "f", "stepName": id});
        if let Some(subagent) = subagent.filter(|_| kind != "MESSAGES_SNAPSHOT") {
            event["subagentRunId"] = subagent.into();
        }
        match (kind, parent) {
            ("TOOL_CALL_START", Some(parent)) => event["parentMessageId"] = parent.into(),
            ("SUBAGENT_STARTED", Some(parent)) => event["parentSubagentRunId"] = parent.into(),
            ("ACTIVITY_SNAPSHOT", Some(_)) => event["replace"] = false.into(),
            ("REASONING_ENCRYPTED_VALUE", parent) => {
                event["entityId"] = id.into();
                event["encryptedValue"] = "x".into();
                event["subtype"] = parent.map_or("message", |_| "tool-call").into();
            }
            ("MESSAGES_SNAPSHOT", parent) => event["messages"] = json!([spoken(id, subagent, parent)]),
            _ => {}
        }
        if kind.starts_with("ACTIVITY") {
            event["activityType"] = "x".into();
            event["content"] = json!({});
            event["patch"] = json!([]);
        }
        if kind == "TOOL_CALL_RESULT" {
            event["content"] = "x".into();
        }
        if !kind.ends_with("_CHUNK") || chunk_has_id {
            event["messageId"] = id.into();
            event["toolCallId"] = id.into();
        }
        if kind.starts_with("SUBAGENT") {
            event["subagentRunId"] = id.into();
        }
        if kind.starts_with("REASONING") {
            event["role"] = "reasoning".into();
        }
        event
    })
}

/// A message of a snapshot, with a call where it has a parent.
fn spoken(id: &str, subagent: Option<&str>, call: Option<&str>) -> Value {
    let function = json!({"name": "f", "arguments": "{}"});
    let calls: Vec<Value> =
        call.map(|id| json!({"id": id, "type": "function", "function": function})).into_iter().collect();
    let mut message = json!({"id": id, "role": "assistant", "content": "x", "toolCalls": calls});
    if let Some(subagent) = subagent {
        message["subagentRunId"] = subagent.into();
    }
    message
}

proptest! {
    #[test]
    fn in_whatever_order_events_come_what_is_passed_on_is_legal(events in collection::vec(jumbled(), 0..40)) {
        let events: Vec<Value> = events.into_iter().chain([finished()]).collect();
        // `collect` holds every answer to the rules of AG-UI.
        let _seen = translated(body(&events)).now_or_never().unwrap();
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(bytes in collection::vec(prop_oneof![
        jumbled().prop_map(|event| format!("data: {event}\n\n").into_bytes()),
        select(vec![&b"data: {"[..], b"\n", b"\r\n\r\n", b"data: ", b"\"type\":", b"null", b"[", b"\"", b"}"]).prop_map(<[u8]>::to_vec),
        collection::vec(any::<u8>(), 0..8),
    ], 0..24)) {
        let _seen = translated(bytes.concat()).now_or_never().unwrap();
    }
}
