//! What is passed on, what is mended, and what ends the stream.

use super::super::tidy::Raw;
use super::*;
use crate::agent::AgentError;

fn passed(events: &[Value]) -> Result<Vec<Value>, String> {
    let mut order = Order::default();
    let mut out = Vec::new();
    for event in events {
        let tidy = tidy::read(&event.to_string(), Raw::Strip).unwrap();
        order.pass(tidy, &mut out).map_err(|failure| AgentError::from(failure).message)?;
    }
    Ok(out.iter().map(|event| serde_json::from_str(event.json().get()).unwrap()).collect())
}

fn event(kind: &str, id: &str) -> Value {
    match kind {
        "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT" => {
            json!({"type": kind, "messageId": id, "delta": "x"})
        }
        "TOOL_CALL_START" => json!({"type": kind, "toolCallId": id, "toolCallName": "f"}),
        "TOOL_CALL_ARGS" => json!({"type": kind, "toolCallId": id, "delta": "x"}),
        "TOOL_CALL_END" => json!({"type": kind, "toolCallId": id}),
        "STEP_STARTED" | "STEP_FINISHED" => json!({"type": kind, "stepName": id}),
        "SUBAGENT_STARTED" => json!({"type": kind, "subagentRunId": id, "name": "s"}),
        "SUBAGENT_FINISHED" => json!({"type": kind, "subagentRunId": id}),
        "REASONING_MESSAGE_START" => json!({"type": kind, "messageId": id, "role": "reasoning"}),
        _ => json!({"type": kind, "messageId": id}),
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[test]
fn what_is_in_order_and_what_is_unknown_passes() {
    let events = [
        event("STEP_STARTED", "s"),
        event("REASONING_START", "m"),
        event("REASONING_MESSAGE_START", "m"),
        event("REASONING_MESSAGE_CONTENT", "m"),
        event("REASONING_MESSAGE_END", "m"),
        event("REASONING_END", "m"),
        event("TEXT_MESSAGE_START", "m"),
        event("TOOL_CALL_START", "m"),
        event("TEXT_MESSAGE_CONTENT", "m"),
        event("TOOL_CALL_ARGS", "m"),
        event("TOOL_CALL_END", "m"),
        event("TEXT_MESSAGE_END", "m"),
        event("TEXT_MESSAGE_START", "m"),
        event("TEXT_MESSAGE_END", "m"),
        json!({"type": "FROM_THE_FUTURE", "messageId": "m"}),
        event("STEP_FINISHED", "s"),
    ];
    assert_eq!(passed(&events).unwrap(), events);
}

#[test]
fn beginning_twice_and_ending_what_is_not_open_is_left_out() {
    for (start, end) in [
        ("TEXT_MESSAGE_START", "TEXT_MESSAGE_END"),
        ("REASONING_START", "REASONING_END"),
        ("REASONING_MESSAGE_START", "REASONING_MESSAGE_END"),
        ("TOOL_CALL_START", "TOOL_CALL_END"),
        ("STEP_STARTED", "STEP_FINISHED"),
        ("SUBAGENT_STARTED", "SUBAGENT_FINISHED"),
    ] {
        let events = [end, start, start, end, end].map(|kind| event(kind, "x"));
        assert_eq!(kinds(&passed(&events).unwrap()), [start, end]);
    }
    let again = ["SUBAGENT_STARTED", "SUBAGENT_FINISHED", "SUBAGENT_STARTED"].map(|kind| event(kind, "x"));
    assert_eq!(passed(&again).unwrap().len(), 2, "a subagent begins once");
}

#[test]
fn a_message_that_was_never_begun_is_begun_for_whom_it_is() {
    let mut content = event("TEXT_MESSAGE_CONTENT", "m");
    content["subagentRunId"] = "s".into();
    let start = json!({"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant", "subagentRunId": "s"});
    assert_eq!(passed(&[content.clone(), content.clone()]).unwrap(), [start, content.clone(), content]);
    let thought = passed(&[event("REASONING_MESSAGE_CONTENT", "m")]).unwrap();
    assert_eq!(kinds(&thought), ["REASONING_MESSAGE_START", "REASONING_MESSAGE_CONTENT"]);
}

#[test]
fn a_tool_call_that_was_never_begun_ends_the_stream() {
    let error = passed(&[event("TOOL_CALL_ARGS", "c")]).unwrap_err();
    assert_eq!(error, "The agent's answer goes on with a tool call that it never began.");
}

#[test]
fn what_is_open_at_the_end_is_ended_innermost_first_and_for_whom_it_began() {
    let mut step = event("STEP_STARTED", "x");
    step["subagentRunId"] = "s".into();
    let events = [
        json!({"type": "RUN_STARTED", "threadId": "theirs", "runId": "theirs"}),
        event("STEP_STARTED", "x"),
        event("SUBAGENT_STARTED", "s"),
        step,
        event("TEXT_MESSAGE_START", "m"),
        json!({"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}),
    ];
    let ends = &passed(&events).unwrap()[4..];
    assert_eq!(
        kinds(ends),
        ["TEXT_MESSAGE_END", "STEP_FINISHED", "SUBAGENT_FINISHED", "STEP_FINISHED", "RUN_FINISHED"]
    );
    assert_eq!((&ends[1]["subagentRunId"], &ends[3]["subagentRunId"]), (&json!("s"), &Value::Null));
}

#[test]
fn every_chunk_says_what_it_goes_on_with() {
    let tool = |fields: Value| {
        let mut chunk = json!({"type": "TOOL_CALL_CHUNK"});
        chunk.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        chunk
    };
    let events = [
        json!({"type": "TEXT_MESSAGE_CHUNK", "messageId": "m\"1", "delta": "a"}),
        tool(json!({"toolCallId": "c", "toolCallName": "f"})),
        json!({"type": "TEXT_MESSAGE_CHUNK", "delta": "b"}),
        tool(json!({"toolCallId": "c", "delta": "1"})),
        tool(json!({"delta": "2"})),
    ];
    let passed = passed(&events).unwrap();
    assert!(passed.iter().filter(|event| event["type"] == "TEXT_MESSAGE_CHUNK").all(|it| it["messageId"] == "m\"1"));
    for chunk in passed.iter().filter(|event| event["type"] == "TOOL_CALL_CHUNK") {
        assert_eq!((&chunk["toolCallId"], &chunk["toolCallName"]), (&json!("c"), &json!("f")));
    }
}

#[test]
fn chunks_that_nobody_could_place_end_the_stream() {
    for events in [
        vec![json!({"type": "TEXT_MESSAGE_CHUNK", "delta": "a"})],
        vec![json!({"type": "TOOL_CALL_CHUNK", "toolCallId": "c", "delta": "a"})],
        vec![event("TEXT_MESSAGE_START", "m"), json!({"type": "TEXT_MESSAGE_CHUNK", "messageId": "m"})],
    ] {
        assert!(passed(&events).is_err(), "{events:?}");
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let many = |kind: &str, n: usize| (0..n).map(|n| event(kind, &n.to_string())).collect::<Vec<_>>();
    assert!(passed(&many("TEXT_MESSAGE_START", MAX_OPEN)).is_ok());
    assert!(passed(&many("TEXT_MESSAGE_START", MAX_OPEN + 1)).is_err());
    let one_after_the_other =
        (0..=MAX_OPEN).flat_map(|n| ["SUBAGENT_STARTED", "SUBAGENT_FINISHED"].map(|kind| event(kind, &n.to_string())));
    assert!(passed(&one_after_the_other.collect::<Vec<_>>()).is_err());
    assert!(passed(&[event("TEXT_MESSAGE_START", &"x".repeat(MAX_ID_BYTES + 1))]).is_err());
}

fn of(mut event: Value, subagent: &str) -> Value {
    event["subagentRunId"] = subagent.into();
    event
}

#[test]
fn what_another_subagent_says_of_a_message_is_its_beginners() {
    let events = [
        of(event("TEXT_MESSAGE_START", "m"), "s"),
        of(event("TEXT_MESSAGE_CONTENT", "m"), "t"),
        of(event("TEXT_MESSAGE_CONTENT", "m"), "s"),
        of(event("TEXT_MESSAGE_END", "m"), "t"),
        of(event("TEXT_MESSAGE_START", "m"), "t"),
        event("TOOL_CALL_START", "m"),
        of(event("TOOL_CALL_ARGS", "m"), "t"),
    ];
    let said: Vec<Value> = passed(&events).unwrap().iter().map(|event| event["subagentRunId"].clone()).collect();
    assert_eq!(said, [json!("s"), Value::Null, json!("s"), Value::Null, Value::Null, Value::Null, Value::Null]);
}

#[test]
fn a_snapshot_says_anew_whose_everything_is() {
    let message = json!({"id": "m", "role": "assistant", "subagentRunId": "t", "toolCalls": [{"id": "c"}]});
    let events = [
        of(event("TEXT_MESSAGE_START", "m"), "s"),
        json!({"type": "MESSAGES_SNAPSHOT", "messages": [message]}),
        of(event("TEXT_MESSAGE_CONTENT", "m"), "t"),
        of(event("TEXT_MESSAGE_END", "m"), "s"),
        of(event("TOOL_CALL_START", "c"), "t"),
    ];
    let passed = passed(&events).unwrap();
    assert_eq!((&passed[2]["subagentRunId"], &passed[3]["subagentRunId"]), (&json!("t"), &Value::Null));
    assert_eq!(passed[4]["subagentRunId"], "t");
}

#[test]
fn chunks_of_two_subagents_do_not_get_mixed_up() {
    let chunk = |id: Option<&str>| match id {
        Some(id) => json!({"type": "TEXT_MESSAGE_CHUNK", "messageId": id, "delta": "x"}),
        None => json!({"type": "TEXT_MESSAGE_CHUNK", "delta": "x"}),
    };
    let events = [
        of(chunk(Some("a")), "s"),
        of(chunk(Some("b")), "t"),
        of(chunk(None), "s"),
        chunk(Some("b")),
        of(chunk(Some("a")), "t"),
    ];
    let seen = passed(&events).unwrap();
    let said: Vec<_> = seen.iter().map(|event| (&event["messageId"], &event["subagentRunId"])).collect();
    let (a, b) = ((&json!("a"), &json!("s")), (&json!("b"), &json!("t")));
    assert_eq!(said, [a, b, a, b, a]);
    let ambiguous = [of(chunk(Some("a")), "s"), of(chunk(Some("b")), "t"), chunk(None)];
    assert!(passed(&ambiguous).is_err());
}

#[test]
fn a_parent_that_never_began_is_left_out() {
    let mut child = event("SUBAGENT_STARTED", "t");
    child["parentSubagentRunId"] = "s".into();
    assert_eq!(passed(&[child.clone()]).unwrap(), [event("SUBAGENT_STARTED", "t")]);
    let parent = event("SUBAGENT_STARTED", "s");
    assert_eq!(passed(&[parent.clone(), child.clone()]).unwrap(), [parent, child]);
}

#[test]
fn a_tool_call_that_moves_to_another_subagents_message_ends_the_stream() {
    let mut call = event("TOOL_CALL_START", "c");
    call["parentMessageId"] = "m".into();
    let begun = [event("TOOL_CALL_START", "c"), event("TOOL_CALL_END", "c"), of(event("TEXT_MESSAGE_START", "m"), "s")];
    let error = passed(&[&begun[..], &[call]].concat()).unwrap_err();
    assert_eq!(error, "The agent's answer moves a tool call from one subagent to another.");
}
