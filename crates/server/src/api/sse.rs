//! Server-sent events, as an unmodified AG-UI HttpAgent reads them: LF alone ends a line, every event is one `data:` line
//! of JSON, and there is no `[DONE]`.
//!
//! What that client makes of a stream is stricter than the format: a field that it does not know is cut out with a
//! warning, a null where none may stand fails the run, and a stream that is cut counts as a success. So our offset travels
//! in `metadata.lychgate`, and nulls do not travel.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::wire::fields::Fields;

/// A line that readers skip.
pub(super) fn comment(text: fmt::Arguments<'_>) -> Bytes {
    Bytes::from(format!(": {text}\n\n"))
}

/// An event of ours that is in no log.
pub(super) fn unlogged(event: &Value) -> Bytes {
    Bytes::from(format!("data: {event}\n\n"))
}

/// An event of the log, with its offset in `metadata.lychgate.offset`.
pub(super) fn logged(event: &str, offset: u64) -> Bytes {
    Bytes::from(format!("data: {}\n\n", with_offset(event, offset)))
}

/// An event of the log as it stands there, with an id to come back with.
pub(super) fn identified(event: &str, epoch: &str, offset: u64) -> Bytes {
    Bytes::from(format!("id: {epoch}.{offset}\ndata: {}\n\n", in_one_line(event)))
}

/// Something that is no event of the log, under a name of its own; with an id if a reader may come back from here.
pub(super) fn named(name: &str, id: Option<(&str, u64)>, json: &str) -> Bytes {
    let id = id.map_or_else(String::new, |(epoch, offset)| format!("id: {epoch}.{offset}\n"));
    Bytes::from(format!("event: {name}\n{id}data: {}\n\n", in_one_line(json)))
}

/// When the reader, who may be a browser's EventSource, comes back by itself after the stream has ended. It dispatches
/// nothing for a block without data.
pub(super) fn retry(after: Duration) -> Bytes {
    Bytes::from(format!("retry: {}\n\n", after.as_millis()))
}

/// Within JSON a line can end between two tokens alone, where a space says the same.
fn in_one_line(json: &str) -> Cow<'_, str> {
    match json.contains(['\n', '\r']) {
        true => Cow::Owned(json.replace(['\n', '\r'], " ")),
        false => Cow::Borrowed(json),
    }
}

/// Most events have neither metadata nor a null: ours is put before their last brace, and the rest is not even read.
fn with_offset(event: &str, offset: u64) -> String {
    let event = in_one_line(event);
    let is_plain = !event.contains("\"metadata\"") && !event.contains("null");
    match event.trim_end().strip_suffix('}').filter(|_| is_plain) {
        Some(open) => format!("{open},\"metadata\":{{\"lychgate\":{{\"offset\":{offset}}}}}}}"),
        None => {
            let fields = serde_json::from_str::<Fields<'_>>(&event).ok();
            // The log holds objects alone; what is none goes as it is.
            fields.and_then(|fields| with_offset_added(fields, offset)).unwrap_or_else(|| event.into_owned())
        }
    }
}

/// Ours is added to what stands in the metadata.
fn with_offset_added(fields: Fields<'_>, offset: u64) -> Option<String> {
    let (metadata, others): (Vec<_>, Vec<_>) = fields.0.into_iter().partition(|(name, _)| name == "metadata");
    let read = metadata.last().and_then(|(_, raw)| serde_json::from_str(raw.get()).ok());
    let mut metadata: Map<String, Value> = read.unwrap_or_default();
    match metadata.get_mut("lychgate") {
        Some(Value::Object(ours)) => {
            ours.insert("offset".to_owned(), Value::from(offset));
        }
        Some(_) | None => {
            metadata.insert("lychgate".to_owned(), json!({"offset": offset}));
        }
    }
    let others = Fields(others).without_nulls();
    Some(format!("{},\"metadata\":{}}}", others.strip_suffix('}')?, Value::from(metadata)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(bytes: &Bytes) -> Value {
        let text = std::str::from_utf8(bytes).unwrap();
        let line = text.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
        assert!(!line.contains(['\n', '\r']), "{line:?}");
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn the_offset_travels_in_the_metadata_and_no_other_field_is_added() {
        let event = r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m1","delta":"null and \"metadata\" }"}"#;
        let mut expected: Value = serde_json::from_str(event).unwrap();
        expected["metadata"] = json!({"lychgate": {"offset": 7}});
        assert_eq!(data(&logged(event, 7)), expected);
        let plain = r#"{"type":"STEP_STARTED","stepName":"a"}"#;
        let text =
            "data: {\"type\":\"STEP_STARTED\",\"stepName\":\"a\",\"metadata\":{\"lychgate\":{\"offset\":1}}}\n\n";
        assert_eq!(logged(plain, 1), text);
    }

    #[test]
    fn metadata_that_is_there_is_kept() {
        let event = r#"{"type":"RUN_ERROR","metadata":{"x":[null],"lychgate":{"retry_in":5}},"message":"no"}"#;
        let read = data(&logged(event, 9));
        assert_eq!(read["metadata"], json!({"x": [null], "lychgate": {"retry_in": 5, "offset": 9}}));
        for odd in [
            r#"{"type":"A","metadata":null}"#,
            r#"{"type":"A","metadata":[1]}"#,
            r#"{"type":"A","metadata":{"lychgate":1}}"#,
        ] {
            assert_eq!(data(&logged(odd, 2))["metadata"]["lychgate"], json!({"offset": 2}), "{odd}");
        }
    }

    #[test]
    fn no_null_travels_but_where_any_json_may_stand() {
        let read = data(&logged(r#"{"type":"TOOL_CALL_START","parentMessageId":null,"toolCallId":"c"}"#, 1));
        assert!(read.get("parentMessageId").is_none(), "{read}");
        for (event, field) in [
            (r#"{"type":"STATE_SNAPSHOT","snapshot":null}"#, "snapshot"),
            (r#"{"type":"CUSTOM","value":null}"#, "value"),
        ] {
            assert_eq!(data(&logged(event, 1)).get(field), Some(&Value::Null));
        }
    }

    #[test]
    fn an_event_that_was_written_over_many_lines_leaves_in_one() {
        let event = "{\r\n \"type\": \"CUSTOM\",\n \"value\": \"a\\nb\" }\n";
        assert_eq!(data(&logged(event, 1))["value"], "a\nb");
        let with_id = identified(event, "e1", 3);
        assert!(with_id.starts_with(b"id: e1.3\ndata: {"), "{with_id:?}");
        assert_eq!(with_id.iter().filter(|byte| **byte == b'\n').count(), 3);
        assert!(!with_id.contains(&b'\r'));
    }
}
