//! What we ask: AG-UI's RunAgentInput.
//!
//! AG-UI 1.0 lets `tools`, `context`, `state` and `forwardedProps` be missing and forbids null for them; servers from
//! before refuse a request without them. So all four are always there, empty where the client gave none.

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::agent::RunRequest;
use crate::wire::Message;

const PROTOCOL_VERSION: &str = "1.0";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunAgentInput<'a> {
    thread_id: &'a str,
    run_id: &'a str,
    protocol_version: &'a str,
    messages: Vec<WithoutNulls<'a>>,
    tools: Cow<'a, RawValue>,
    context: Cow<'a, RawValue>,
    state: Cow<'a, RawValue>,
    forwarded_props: Cow<'a, RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<&'a RawValue>,
}

/// The body of the request, as JSON text: all messages of the thread, and the rest as the client gave it.
pub(super) fn body(request: &RunRequest) -> Vec<u8> {
    let input = &request.input;
    let body = RunAgentInput {
        thread_id: request.key.thread().as_str(),
        run_id: request.run.as_str(),
        protocol_version: PROTOCOL_VERSION,
        messages: request.messages.iter().map(WithoutNulls).collect(),
        tools: given_or(&input.tools, "[]"),
        context: given_or(&input.context, "[]"),
        state: given_or(&input.state, "{}"),
        forwarded_props: given_or(&input.forwarded_props, "{}"),
        resume: given(&input.resume),
    };
    serde_json::to_vec(&body).expect("text and JSON serialise")
}

fn given(field: &Option<Box<RawValue>>) -> Option<&RawValue> {
    field.as_deref().filter(|raw| raw.get() != "null")
}

fn given_or<'a>(field: &'a Option<Box<RawValue>>, empty: &'static str) -> Cow<'a, RawValue> {
    match given(field) {
        Some(raw) => Cow::Borrowed(raw),
        None => Cow::Owned(RawValue::from_string(empty.to_owned()).expect("an empty list or object is JSON")),
    }
}

/// A message whose optional fields are missing where they are null: clients write `"content": null`, AG-UI 1.0 has no such
/// message.
struct WithoutNulls<'a>(&'a Arc<Message>);

impl Serialize for WithoutNulls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &message.id)?;
        map.serialize_entry("role", &message.role)?;
        for (key, value) in message.rest.iter().filter(|(_, value)| !value.is_null()) {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::agent::tests::request;

    fn asked(request: &RunRequest) -> Value {
        serde_json::from_slice(&body(request)).unwrap()
    }

    #[test]
    fn what_a_client_left_out_or_gave_as_null_is_there_and_empty() {
        let bare = json!({
            "threadId": "t1", "runId": "r1", "protocolVersion": "1.0",
            "messages": [{ "id": "u1", "role": "user", "content": "hello" }],
            "tools": [], "context": [], "state": {}, "forwardedProps": {},
        });
        let mut run = request("hello");
        assert_eq!(asked(&run), bare);
        run.input = serde_json::from_value(json!({ "tools": null, "state": null, "resume": null })).unwrap();
        assert_eq!(asked(&run), bare);
    }

    #[test]
    fn what_a_client_gave_is_passed_on_to_the_letter() {
        let given = json!({
            "tools": [{ "name": "f", "description": "", "parameters": { "type": "object" } }],
            "context": [{ "description": "d", "value": "v" }],
            "state": [1, null, { "deep": null }],
            "forwardedProps": "anything",
            "resume": [{ "interruptId": "i", "status": "resolved" }],
        });
        let mut run = request("hello");
        run.input = serde_json::from_value(given.clone()).unwrap();
        let asked = asked(&run);
        for (key, value) in given.as_object().unwrap() {
            assert_eq!(&asked[key], value);
        }
    }

    #[test]
    fn a_message_has_no_nulls_and_keeps_everything_else() {
        let mut run = request("hello");
        let call = json!({ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } });
        let message = json!({ "id": "a1", "role": "assistant", "content": null, "name": null, "toolCalls": [call] });
        run.messages = vec![Arc::new(serde_json::from_value(message).unwrap())];
        assert_eq!(asked(&run)["messages"], json!([{ "id": "a1", "role": "assistant", "toolCalls": [call] }]));
    }
}
