//! The AG-UI 1.0 events that our own backends emit: one function each, so that the field names stand in one place.
//!
//! Names and fields as in the types of npm `@ag-ui/core` 1.0.0. Optional fields that are empty are left out, never null.

use serde_json::{Value, json};

use super::RunRequest;
use crate::wire::event::Event;

pub(super) fn text_start(id: &str) -> Event {
    Event::build(&json!({ "type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant" }))
}

pub(super) fn text(id: &str, delta: &str) -> Event {
    Event::build(&json!({ "type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": delta }))
}

pub(super) fn text_end(id: &str) -> Event {
    Event::build(&json!({ "type": "TEXT_MESSAGE_END", "messageId": id }))
}

/// Opens a reasoning span; a message goes inside it.
pub(super) fn reasoning_start(id: &str) -> Event {
    Event::build(&json!({ "type": "REASONING_START", "messageId": id }))
}

pub(super) fn reasoning_message_start(id: &str) -> Event {
    Event::build(&json!({ "type": "REASONING_MESSAGE_START", "messageId": id, "role": "reasoning" }))
}

pub(super) fn reasoning(id: &str, delta: &str) -> Event {
    Event::build(&json!({ "type": "REASONING_MESSAGE_CONTENT", "messageId": id, "delta": delta }))
}

pub(super) fn reasoning_message_end(id: &str) -> Event {
    Event::build(&json!({ "type": "REASONING_MESSAGE_END", "messageId": id }))
}

pub(super) fn reasoning_end(id: &str) -> Event {
    Event::build(&json!({ "type": "REASONING_END", "messageId": id }))
}

/// `parent` is the assistant message that the call becomes part of.
pub(super) fn tool_start(id: &str, name: &str, parent: &str) -> Event {
    Event::build(&json!({
        "type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": name, "parentMessageId": parent
    }))
}

pub(super) fn tool_args(id: &str, delta: &str) -> Event {
    Event::build(&json!({ "type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": delta }))
}

pub(super) fn tool_end(id: &str) -> Event {
    Event::build(&json!({ "type": "TOOL_CALL_END", "toolCallId": id }))
}

/// `message` is the id of the tool message that the result becomes.
pub(super) fn tool_result(id: &str, message: &str, content: &str) -> Event {
    Event::build(&json!({
        "type": "TOOL_CALL_RESULT", "messageId": message, "toolCallId": id, "content": content, "role": "tool"
    }))
}

pub(super) fn step_started(name: &str) -> Event {
    Event::build(&json!({ "type": "STEP_STARTED", "stepName": name }))
}

pub(super) fn step_finished(name: &str) -> Event {
    Event::build(&json!({ "type": "STEP_FINISHED", "stepName": name }))
}

/// The end of a run that succeeded; `usage` is a list of AG-UI `TokenUsage`, one per model.
pub(super) fn run_finished(request: &RunRequest, usage: Option<Value>) -> Event {
    let mut event = json!({
        "type": "RUN_FINISHED",
        "threadId": request.key.thread().as_str(),
        "runId": request.run.as_str(),
    });
    if let Some(usage) = usage {
        event["usage"] = usage;
    }
    Event::build(&event)
}
