//! What the translation of a stream promises, without sockets; `socket` has the same with them, `peer` with a real server.

use futures_util::stream;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::agent::AgentError;
use crate::agent::secrets::Secrets;
use crate::agent::sse::Broken;
use crate::agent::tests::{collect, kinds, request};
use bytes::Bytes;

mod peer;
mod socket;

/// All deltas of this type, joined.
fn joined(events: &[Value], kind: &str) -> String {
    let deltas = events.iter().filter(|event| event["type"] == kind);
    deltas.map(|event| event["delta"].as_str().unwrap()).collect()
}

/// An SSE body of these chunks, without `[DONE]`.
fn body(chunks: &[Value]) -> Vec<u8> {
    chunks.iter().flat_map(|chunk| format!("data: {chunk}\n\n").into_bytes()).collect()
}

fn delta(delta: Value) -> Value {
    json!({ "model": "m", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

fn finish(reason: &str) -> Value {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
}

fn call(index: u64, id: Value, name: Value, arguments: Value) -> Value {
    delta(json!({ "tool_calls": [{ "index": index, "id": id, "function": { "name": name, "arguments": arguments } }] }))
}

fn the_key() -> Secrets {
    Secrets::new(&config::Remote { api_key: config::ApiKey::parse("the-key"), ..config::Remote::default() })
}

async fn translated(pieces: Vec<Vec<u8>>) -> (Vec<Value>, Option<AgentError>) {
    let pieces = pieces.into_iter().map(|piece| Ok::<_, Broken>(Bytes::from(piece)));
    collect(translate(stream::iter(pieces), Answer::new(request("hello"), the_key()))).await
}

async fn answered(chunks: &[Value]) -> Vec<Value> {
    let (events, error) = translated(vec![body(chunks)]).await;
    assert_eq!(error, None);
    events
}

async fn failed(body: &[u8]) -> AgentError {
    translated(vec![body.to_vec()]).await.1.unwrap()
}

#[tokio::test]
async fn text_becomes_one_message_and_usage_ends_the_run() {
    let events = answered(&[
        delta(json!({ "role": "assistant", "content": "" })),
        delta(json!({ "content": "Hel" })),
        delta(json!({ "content": "lo" })),
        finish("stop"),
        json!({ "choices": [], "usage": {
            "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
            "prompt_tokens_details": { "cached_tokens": 3 }, "completion_tokens_details": { "reasoning_tokens": 2 }
        } }),
    ])
    .await;
    assert_eq!(
        Value::Array(events),
        json!([
            { "type": "TEXT_MESSAGE_START", "messageId": "r1-m1", "role": "assistant" },
            { "type": "TEXT_MESSAGE_CONTENT", "messageId": "r1-m1", "delta": "Hel" },
            { "type": "TEXT_MESSAGE_CONTENT", "messageId": "r1-m1", "delta": "lo" },
            { "type": "TEXT_MESSAGE_END", "messageId": "r1-m1" },
            { "type": "RUN_FINISHED", "threadId": "t1", "runId": "r1", "usage": [{
                "model": "m", "inputTokens": 11, "outputTokens": 7, "totalTokens": 18,
                "cachedInputTokens": 3, "reasoningTokens": 2
            }] },
        ])
    );
}

#[tokio::test]
async fn usage_beside_choices_is_read_too() {
    let mut last = finish("stop");
    last["usage"] = json!({ "prompt_tokens": 1 });
    let events = answered(&[delta(json!({ "content": "x" })), last]).await;
    assert_eq!(events.last().unwrap()["usage"], json!([{ "model": "m", "inputTokens": 1 }]));
}

#[tokio::test]
async fn interleaved_tool_calls_are_told_apart_by_their_index() {
    let events = answered(&[
        delta(json!({ "content": "Let me look." })),
        call(0, json!("call_a"), json!("weather"), json!("")),
        call(1, json!("call_b"), json!("time"), json!("{\"z")),
        call(0, Value::Null, Value::Null, json!("{\"city\":")),
        call(1, Value::Null, Value::Null, json!("\":1}")),
        call(0, Value::Null, Value::Null, json!("\"SF\"}")),
        finish("tool_calls"),
    ])
    .await;
    assert_eq!(
        kinds(&events)[2..],
        [
            "TEXT_MESSAGE_END",
            "TOOL_CALL_START",
            "TOOL_CALL_START",
            "TOOL_CALL_ARGS",
            "TOOL_CALL_ARGS",
            "TOOL_CALL_ARGS",
            "TOOL_CALL_ARGS",
            "TOOL_CALL_END",
            "TOOL_CALL_END",
            "RUN_FINISHED"
        ]
    );
    assert_eq!(
        events[3],
        json!({ "type": "TOOL_CALL_START", "toolCallId": "call_a", "toolCallName": "weather", "parentMessageId": "r1-m1" })
    );
    assert_eq!(arguments(&events, "call_a"), r#"{"city":"SF"}"#);
    assert_eq!(arguments(&events, "call_b"), r#"{"z":1}"#);
}

fn arguments(events: &[Value], id: &str) -> String {
    let own: Vec<Value> = events.iter().filter(|event| event["toolCallId"] == id).cloned().collect();
    joined(&own, "TOOL_CALL_ARGS")
}

#[tokio::test]
async fn calls_without_ids_get_ids_and_share_one_parent() {
    let events = answered(&[
        delta(json!({ "tool_calls": [
            { "function": { "name": "a", "arguments": { "x": 1 } } },
            { "function": { "name": "b", "arguments": null } },
        ] })),
        finish("tool_calls"),
    ])
    .await;
    let starts: Vec<&Value> = events.iter().filter(|event| event["type"] == "TOOL_CALL_START").collect();
    assert_eq!(starts.len(), 2);
    assert_ne!(starts[0]["toolCallId"], starts[1]["toolCallId"]);
    assert_eq!(starts[0]["parentMessageId"], starts[1]["parentMessageId"]);
    assert_eq!(joined(&events, "TOOL_CALL_ARGS"), r#"{"x":1}"#);
}

#[tokio::test]
async fn calls_that_share_an_index_are_told_apart_by_their_id() {
    let events = answered(&[
        call(0, json!("one"), json!("f"), json!("{}")),
        call(0, json!("two"), json!("g"), json!("{}")),
        finish("tool_calls"),
    ])
    .await;
    assert_eq!(arguments(&events, "one"), "{}");
    assert_eq!(arguments(&events, "two"), "{}");
}

#[tokio::test]
async fn an_id_that_two_calls_share_is_replaced() {
    let events = answered(&[
        call(0, json!("same"), json!("f"), json!("{}")),
        call(1, json!("same"), json!("g"), json!("[]")),
        finish("tool_calls"),
    ])
    .await;
    assert_eq!(arguments(&events, "same"), "{}");
    assert_eq!(joined(&events, "TOOL_CALL_ARGS"), "{}[]");
}

#[tokio::test]
async fn arguments_that_come_before_the_name_wait_for_it() {
    let events = answered(&[
        call(0, json!("c"), Value::Null, json!("{\"a\"")),
        call(0, Value::Null, json!("f"), json!(":1}")),
        call(1, json!("nameless"), Value::Null, json!("{}")),
        finish("tool_calls"),
    ])
    .await;
    assert_eq!(kinds(&events), ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "RUN_FINISHED"]);
    assert_eq!(arguments(&events, "c"), r#"{"a":1}"#);
}

#[tokio::test]
async fn an_answer_that_calls_tools_without_end_is_given_up() {
    let chunks: Vec<Value> = (0..1_000).map(|n| call(n, Value::Null, json!("f"), json!(""))).collect();
    assert_eq!(failed(&body(&chunks)).await.code, "agent_bad_stream");
}

#[tokio::test]
async fn reasoning_is_a_span_of_its_own_under_both_names() {
    for name in ["reasoning_content", "reasoning"] {
        let events = answered(&[
            delta(json!({ name: "Hm, " })),
            delta(json!({ name: "well." })),
            delta(json!({ name: null, "content": "42" })),
            finish("stop"),
        ])
        .await;
        assert_eq!(
            kinds(&events),
            [
                "REASONING_START",
                "REASONING_MESSAGE_START",
                "REASONING_MESSAGE_CONTENT",
                "REASONING_MESSAGE_CONTENT",
                "REASONING_MESSAGE_END",
                "REASONING_END",
                "TEXT_MESSAGE_START",
                "TEXT_MESSAGE_CONTENT",
                "TEXT_MESSAGE_END",
                "RUN_FINISHED"
            ]
        );
        assert_eq!(events[1]["role"], "reasoning");
        assert_eq!(joined(&events, "REASONING_MESSAGE_CONTENT"), "Hm, well.");
        assert_eq!(joined(&events, "TEXT_MESSAGE_CONTENT"), "42");
    }
}

#[tokio::test]
async fn reasoning_that_is_sent_under_both_names_is_shown_once() {
    let both = json!({ "reasoning": "once", "reasoning_content": "once" });
    let events = answered(&[delta(both), finish("stop")]).await;
    assert_eq!(joined(&events, "REASONING_MESSAGE_CONTENT"), "once");
}

#[tokio::test]
async fn a_refusal_is_text_and_other_choices_are_not_read() {
    let events = answered(&[
        json!({ "choices": [{ "index": 1, "delta": { "content": "other" }, "finish_reason": "stop" }] }),
        delta(json!({ "refusal": "No." })),
        finish("content_filter"),
    ])
    .await;
    assert_eq!(joined(&events, "TEXT_MESSAGE_CONTENT"), "No.");
}

#[tokio::test]
async fn an_error_inside_the_stream_ends_the_run_without_the_key() {
    for error in [
        json!({ "error": { "message": "the-key is overloaded", "code": 502 } }),
        json!({ "error": "the-key is overloaded" }),
        json!({ "object": "error", "message": "the-key is overloaded" }),
    ] {
        let error = failed(&body(&[delta(json!({ "content": "Hel" })), error])).await;
        assert_eq!(error.code, "agent_error");
        assert_eq!(error.message, "The agent reported an error: [hidden] is overloaded");
    }
    assert_eq!(failed(&body(&[finish("error")])).await.code, "agent_error");
}

#[tokio::test]
async fn half_a_stream_is_an_error_and_a_missing_done_is_none() {
    let half = body(&[delta(json!({ "content": "Hel" }))]);
    assert_eq!(failed(&half).await.code, "agent_eof");
    assert_eq!(failed(&half[..half.len() - 9]).await.code, "agent_eof");
    assert_eq!(failed(b"").await.code, "agent_eof");
    assert_eq!(failed(b": only comments\n\n").await.code, "agent_eof");
    answered(&[delta(json!({ "content": "Hello" })), finish("stop")]).await;

    let mut done = half;
    done.extend_from_slice(b"data: [DONE]\n\n");
    let (events, error) = translated(vec![done]).await;
    assert_eq!((joined(&events, "TEXT_MESSAGE_CONTENT").as_str(), error), ("Hel", None));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_keeps_the_connection_after_its_answer_does_not_keep_the_run() {
    let told = Bytes::from(body(&[delta(json!({ "content": "Hello" })), finish("stop")]));
    let stays_open = stream::iter([Ok::<_, Broken>(told)]).chain(stream::pending());
    let (events, error) = collect(translate(stays_open, Answer::new(request("hello"), Secrets::default()))).await;
    assert_eq!((joined(&events, "TEXT_MESSAGE_CONTENT").as_str(), error), ("Hello", None));
}

#[tokio::test]
async fn data_that_is_no_chunk_is_a_bad_stream() {
    for data in ["hello", "[]", "{\"choices\":7}", "{\"choices\":[", "\"x\""] {
        let error = failed(format!("data: {data}\n\n").as_bytes()).await;
        assert_eq!(error.code, "agent_bad_stream", "{data}");
    }
    let deep = format!("data: {{\"error\":{}\n\n", "[".repeat(100_000));
    assert_eq!(failed(deep.as_bytes()).await.code, "agent_bad_stream");
}

#[tokio::test]
async fn a_line_of_two_mebibytes_ends_the_run_and_is_not_kept() {
    let pieces = std::iter::once(b"data: ".to_vec()).chain(std::iter::repeat_n(vec![b'x'; 4096], 512));
    let (_, error) = translated(pieces.collect()).await;
    assert_eq!(error.unwrap().code, "agent_bad_stream");
}

/// Everything at once: a BOM, all three line ends, comments, names of events, text, reasoning, calls, bytes that are no UTF-8.
fn awkward() -> Vec<u8> {
    let mut bytes = b"\xEF\xBB\xBF: hello\r\n\r\nevent: message\rdata: ".to_vec();
    bytes.extend(delta(json!({ "reasoning": "Grübeln …" })).to_string().into_bytes());
    bytes.extend(b"\r\rid: 7\r\ndata:");
    bytes.extend(delta(json!({ "content": "naïve 🪦 tëxt" })).to_string().into_bytes());
    bytes.extend(b"\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"<\xFF\xFE>\"}}]}\r\n\r\n");
    bytes.extend(body(&[call(0, json!("c1"), json!("f"), json!("{\"a\":\"ß\"}")), finish("stop")]));
    bytes.extend(b"data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\r\rdata: [DONE]\r\r");
    bytes
}

async fn awkward_events() -> Vec<Value> {
    let (events, error) = translated(vec![awkward()]).await;
    assert_eq!(error, None);
    events
}

#[tokio::test]
async fn a_byte_order_mark_lone_carriage_returns_and_invalid_utf8_are_survived() {
    let events = awkward_events().await;
    assert_eq!(joined(&events, "REASONING_MESSAGE_CONTENT"), "Grübeln …");
    assert_eq!(joined(&events, "TEXT_MESSAGE_CONTENT"), "naïve 🪦 tëxt<\u{FFFD}\u{FFFD}>");
    assert_eq!(events.last().unwrap()["usage"], json!([{ "model": "m", "inputTokens": 1 }]));
}

#[tokio::test]
async fn a_stream_means_the_same_wherever_it_is_cut_in_two() {
    let (whole, bytes) = (awkward_events().await, awkward());
    for at in 0..=bytes.len() {
        let (events, error) = translated(vec![bytes[..at].to_vec(), bytes[at..].to_vec()]).await;
        assert_eq!((&events, error), (&whole, None), "cut at byte {at}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_stream_means_the_same_however_it_is_cut(sizes in prop::collection::vec(0_usize..40, 1..64)) {
        let mut rest = awkward();
        let mut pieces = Vec::new();
        for size in sizes.into_iter().cycle().take(400) {
            let tail = rest.split_off(size.min(rest.len()));
            pieces.push(std::mem::replace(&mut rest, tail));
        }
        pieces.push(rest);
        let (cut, whole) = runtime().block_on(async { (translated(pieces).await, awkward_events().await) });
        prop_assert_eq!(cut, (whole, None));
    }

    #[test]
    fn no_bytes_of_a_server_panic_or_break_the_rules_of_ag_ui(
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            Just(b"data: ".to_vec()),
            Just(b"\n\n".to_vec()),
            (0_u64..3, any::<bool>(), any::<bool>(), "[{}a]{0,3}").prop_map(|(index, id, name, arguments)| {
                let (id, name) = (id.then_some("same"), name.then_some("f"));
                body(&[call(index, json!(id), json!(name), json!(arguments))])
            }),
            Just(body(&[delta(json!({ "content": "x", "reasoning": "y" }))])),
            Just(body(&[finish("stop")])),
        ], 0..24)
    ) {
        runtime().block_on(translated(pieces));
    }
}
