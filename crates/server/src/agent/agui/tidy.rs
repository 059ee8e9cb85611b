//! One event as the backend wrote it in, one that AG-UI 1.0 knows how to read out.
//!
//! An event stays as it came, unknown types and fields included, but for three things: fields that are null are left out,
//! also inside of its messages and interrupts (1.0 forbids them, and servers from before write them; [`nulls`]), `rawEvent` is left out unless configured, and line breaks
//! between its tokens become blanks, because an event may be sent on as one line. A client's verifier throws at a known
//! event without its texts, on every replay again; so the run ends here instead.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::agent::failure::Failure;
use crate::wire::event::Event;
use nulls::Fields;

mod nulls;

/// Lists and objects inside of each other, at most: as deep as everybody else who reads JSON here goes (R31).
const MAX_DEPTH: usize = 128;

/// What becomes of the payloads of a backend's own model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    Keep,
    Strip,
}

/// An event that can be passed on, and what [`super::order`] reads of it beside its head.
#[derive(Debug)]
pub(super) struct Tidy {
    pub(super) event: Event,
    /// Of TOOL_CALL_START and TOOL_CALL_CHUNK: which tool.
    pub(super) tool: Option<String>,
    /// Of SUBAGENT_STARTED: which subagent began it.
    pub(super) parent: Option<String>,
}

/// Fields that have a meaning when they are null.
const NULL_IS_A_VALUE: [(&str, &str); 3] = [("STATE_SNAPSHOT", "snapshot"), ("CUSTOM", "value"), ("RAW", "event")];

/// Reads one event.
pub(super) fn read(json: &str, raw: Raw) -> Result<Tidy, Failure> {
    let unreadable = |error: serde_json::Error| {
        tracing::debug!(%error, "an agent's event could not be read");
        Failure::BadStream("cannot be read")
    };
    let Fields(mut fields) = serde_json::from_str(json).map_err(unreadable)?;
    if fields.iter().any(|(_, value)| is_too_deep(value.get())) {
        return Err(Failure::BadStream("is nested too deeply"));
    }
    let Head { kind, tool_call_name, parent_subagent_run_id } = serde_json::from_str(json).map_err(unreadable)?;
    let before = fields.len();
    fields.retain(|(name, value)| keeps(&kind, name, value.get(), raw));
    let as_they_came = !nulls::leave_out(&kind, &mut fields).map_err(unreadable)? && fields.len() == before;
    if !texts(&kind).iter().all(|name| fields.iter().any(|(other, value)| other == name && is_text(value.get()))) {
        return Err(match &*kind {
            "RUN_ERROR" => Failure::Reported { said: None },
            _ => Failure::BadStream("holds an event without what belongs to it"),
        });
    }
    let whole = match as_they_came {
        true => RawValue::from_string(json.replace(['\r', '\n'], " ")),
        false => to_raw_value(&Fields(fields)),
    };
    let event = whole.and_then(Event::parse).map_err(unreadable)?;
    let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
    Ok(Tidy { event, tool: owned(tool_call_name), parent: owned(parent_subagent_run_id) })
}

/// The event without this field; everything else stays to the letter.
pub(super) fn without(event: &Event, name: &str) -> Result<Event, Failure> {
    let shorter = serde_json::from_str(event.json().get()).and_then(|Fields(mut fields)| {
        fields.retain(|(other, _)| other != name);
        to_raw_value(&Fields(fields)).and_then(Event::parse)
    });
    shorter.map_err(|_| Failure::BadStream("cannot be read"))
}

fn keeps(kind: &str, name: &str, value: &str, raw: Raw) -> bool {
    match (name, value) {
        (name, "null") => NULL_IS_A_VALUE.contains(&(kind, name)),
        ("rawEvent", _) => raw == Raw::Keep,
        _ => true,
    }
}

/// What an event of this type cannot do without: the fields that are texts in the schemas of npm `@ag-ui/core` 1.0.0.
fn texts(kind: &str) -> &'static [&'static str] {
    match kind {
        "TEXT_MESSAGE_START" | "TEXT_MESSAGE_END" | "REASONING_START" | "REASONING_END" | "REASONING_MESSAGE_END" => {
            &["messageId"]
        }
        "REASONING_MESSAGE_START" => &["messageId", "role"],
        "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT" => &["messageId", "delta"],
        "TOOL_CALL_START" => &["toolCallId", "toolCallName"],
        "TOOL_CALL_ARGS" => &["toolCallId", "delta"],
        "TOOL_CALL_END" => &["toolCallId"],
        "TOOL_CALL_RESULT" => &["messageId", "toolCallId"],
        "STEP_STARTED" | "STEP_FINISHED" => &["stepName"],
        "SUBAGENT_STARTED" => &["subagentRunId", "name"],
        "SUBAGENT_FINISHED" => &["subagentRunId"],
        "SUBAGENT_ERROR" => &["subagentRunId", "message"],
        "ACTIVITY_SNAPSHOT" | "ACTIVITY_DELTA" => &["messageId", "activityType"],
        "REASONING_ENCRYPTED_VALUE" => &["subtype", "entityId", "encryptedValue"],
        "CUSTOM" => &["name"],
        "RUN_ERROR" => &["message"],
        _ => &[],
    }
}

fn is_text(json: &str) -> bool {
    json.starts_with('"')
}

fn is_too_deep(json: &str) -> bool {
    if json.len() < MAX_DEPTH || !json.starts_with(['{', '[']) {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth -= 1,
            (true | false, _) => {}
        }
        if depth >= MAX_DEPTH {
            return true;
        }
    }
    false
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    tool_call_name: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    parent_subagent_run_id: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests;
