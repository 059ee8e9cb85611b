//! One event as the backend wrote it in, one that AG-UI 1.0 knows how to read out.
//!
//! An event stays as it came, unknown types and fields included, but for three things: fields that are null are left out
//! (1.0 forbids them, and servers from before write them), `rawEvent` is left out unless configured, and line breaks
//! between its tokens become blanks, because an event may be sent on as one line. A client's verifier throws at a known
//! event without its texts, on every replay again; so the run ends here instead.

use std::borrow::Cow;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::agent::failure::Failure;
use crate::wire::event::Event;

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
    /// Which subagent it belongs to; none for the agent itself.
    pub(super) subagent: Option<String>,
    /// Of TOOL_CALL_START and TOOL_CALL_CHUNK: which tool.
    pub(super) tool: Option<String>,
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
    let Head { kind, subagent_run_id, tool_call_name } = serde_json::from_str(json).map_err(unreadable)?;
    let before = fields.len();
    fields.retain(|(name, value)| keeps(&kind, name, value.get(), raw));
    if !texts(&kind).iter().all(|name| fields.iter().any(|(other, value)| other == name && is_text(value.get()))) {
        return Err(match &*kind {
            "RUN_ERROR" => Failure::Reported { said: None },
            _ => Failure::BadStream("holds an event without what belongs to it"),
        });
    }
    let whole = match fields.len() == before {
        true => RawValue::from_string(json.replace(['\r', '\n'], " ")),
        false => to_raw_value(&Fields(fields)),
    };
    let event = whole.and_then(Event::parse).map_err(unreadable)?;
    Ok(Tidy { event, subagent: subagent_run_id.map(Cow::into_owned), tool: tool_call_name.map(Cow::into_owned) })
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
    subagent_run_id: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    tool_call_name: Option<Cow<'a, str>>,
}

/// The fields of an object as they are written, in their order. Not a list: serde would read one as a struct's fields.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an event, which is an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(json: &str) -> Result<String, String> {
        let tidy = read(json, Raw::Strip);
        tidy.map(|tidy| tidy.event.json().get().to_owned())
            .map_err(|failure| crate::agent::AgentError::from(failure).code)
    }

    #[test]
    fn an_event_stays_as_it_came_with_all_that_nobody_knows() {
        for json in [
            r#"{"type":"TEXT_MESSAGE_CONTENT","delta":"\ud83d \u00e4","messageId":"m","x":{"b":null,"a":1.0}}"#,
            r#"{"type":"FROM_THE_FUTURE","value":[1e400]}"#,
            r#"{ "messageId" : "m" , "type" : "TEXT_MESSAGE_END" }"#,
        ] {
            assert_eq!(tidied(json).unwrap(), json);
        }
    }

    #[test]
    fn nulls_and_raw_payloads_are_left_out_and_meaning_is_not() {
        for (json, expected) in [
            (
                r#"{"type":"RUN_FINISHED","threadId":"t","runId":"r","result":null,"rawEvent":{"a":1},"z":[null]}"#,
                r#"{"type":"RUN_FINISHED","threadId":"t","runId":"r","z":[null]}"#,
            ),
            (
                r#"{"type":"CUSTOM","name":"n","value":null,"other":null}"#,
                r#"{"type":"CUSTOM","name":"n","value":null}"#,
            ),
            (r#"{"type":"STATE_SNAPSHOT","snapshot":null}"#, r#"{"type":"STATE_SNAPSHOT","snapshot":null}"#),
        ] {
            assert_eq!(tidied(json).unwrap(), expected);
        }
        let kept = read(r#"{"type":"RAW","event":{},"rawEvent":1}"#, Raw::Keep).unwrap();
        assert_eq!(kept.event.json().get(), r#"{"type":"RAW","event":{},"rawEvent":1}"#);
    }

    #[test]
    fn an_event_on_many_lines_is_passed_on_as_one() {
        let line = tidied("{\n  \"type\": \"CUSTOM\",\r\n  \"name\": \"a\\nb\", \"value\": 1\n}").unwrap();
        assert!(!line.contains(['\n', '\r']) && line.contains(r#""a\nb""#), "{line}");
    }

    #[test]
    fn what_is_no_event_ends_the_stream() {
        for json in [
            "[]",
            "5",
            "null",
            "\"RUN_STARTED\"",
            "[DONE]",
            "{",
            "{}",
            r#"{"type":""}"#,
            r#"{"type":null}"#,
            r#"{"type":["RUN_FINISHED"]}"#,
            r#"{"type":"CUSTOM","name":"n"} {"#,
            r#"["RUN_FINISHED","t","r"]"#,
            r#"{"type":"CUSTOM","type":"RUN_FINISHED"}"#,
            r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m"}"#,
            r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":null}"#,
            r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":7,"delta":"x"}"#,
            r#"{"type":"TOOL_CALL_START","toolCallId":"c"}"#,
        ] {
            assert_eq!(tidied(json), Err("agent_bad_stream".to_owned()), "{json}");
        }
        assert_eq!(tidied(r#"{"type":"RUN_ERROR"}"#), Err("agent_error".to_owned()));
    }

    #[test]
    fn an_event_is_no_deeper_than_others_can_read() {
        let nested = |depth: usize| {
            let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"type":"CUSTOM","name":"\"{{","value":{value},"text":"{}"}}"#, "[".repeat(1000))
        };
        assert!(tidied(&nested(MAX_DEPTH - 1)).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH - 2)).is_ok());
        assert_eq!(tidied(&nested(MAX_DEPTH)), Err("agent_bad_stream".to_owned()));
        assert_eq!(tidied(&nested(300_000)), Err("agent_bad_stream".to_owned()));
    }
}
