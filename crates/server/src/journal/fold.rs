//! Pure: events in, the messages and the shared state of the conversation out, in the shapes of AG-UI 1.0.
//!
//! ```text
//! RUN_STARTED.input.messages --> user, tool, ...          TEXT_MESSAGE_*  --> assistant.content
//! REASONING_MESSAGE_*        --> reasoning                TOOL_CALL_*     --> assistant.toolCalls
//! MESSAGES_SNAPSHOT          --> all of them anew         TOOL_CALL_RESULT --> tool
//! STATE_SNAPSHOT             --> the state anew           STATE_DELTA      --> the state, patched (RFC 6902)
//! ```
//!
//! A [`History`] is all that is carried from event to event, so a log may be folded in any pieces. What has no message
//! (steps, raw and custom events, activities, encrypted reasoning) leaves no trace here. An event of the wrong shape is
//! skipped: it was delivered as it is, and history is no place to refuse it.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::wire::Message;
use crate::wire::event::Event;

pub mod state;

/// A conversation without its events. Cloning copies no text.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// All messages, oldest first.
    pub messages: Vec<Arc<Message>>,
    /// The state that agent and front end share; none until an agent told it, and none again when it grew beyond
    /// [`state::MAX_BYTES`] or [`state::MAX_DEPTH`].
    pub state: Option<Arc<Value>>,
}

/// Adds what one event says. Messages and a state that are shared elsewhere are copied before they change.
pub fn fold(history: &mut History, event: &Event) {
    let messages = &mut history.messages;
    match event.kind() {
        "STATE_SNAPSHOT" => state::replace(&mut history.state, event),
        "STATE_DELTA" => state::patch(&mut history.state, event),
        "RUN_STARTED" => run_started(messages, event),
        "MESSAGES_SNAPSHOT" => messages_snapshot(messages, event),
        "TEXT_MESSAGE_START" | "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK" => text(messages, event, "assistant"),
        "REASONING_MESSAGE_START" | "REASONING_MESSAGE_CONTENT" | "REASONING_MESSAGE_CHUNK" => {
            text(messages, event, "reasoning");
        }
        "TOOL_CALL_START" | "TOOL_CALL_ARGS" | "TOOL_CALL_CHUNK" => tool_call(messages, event),
        "TOOL_CALL_RESULT" => tool_result(messages, event),
        _ => {}
    }
}

fn body<T: DeserializeOwned>(event: &Event) -> Option<T> {
    serde_json::from_str(event.json().get()).ok()
}

fn run_started(messages: &mut Vec<Arc<Message>>, event: &Event) {
    #[derive(Deserialize)]
    struct Started {
        input: Option<Input>,
    }
    #[derive(Deserialize)]
    struct Input {
        #[serde(default)]
        messages: Vec<Message>,
    }
    let input = body::<Started>(event).and_then(|started| started.input);
    for message in input.map(|input| input.messages).unwrap_or_default() {
        if position(messages, &message.id).is_none() {
            messages.push(Arc::new(message));
        }
    }
}

fn messages_snapshot(messages: &mut Vec<Arc<Message>>, event: &Event) {
    #[derive(Deserialize)]
    struct Replaced {
        messages: Vec<Message>,
    }
    if let Some(replaced) = body::<Replaced>(event) {
        *messages = replaced.messages.into_iter().map(Arc::new).collect();
    }
}

/// START, CONTENT or CHUNK of a text: all three open the message where it is missing and add what they carry. A chunk
/// without an id goes on with the last message.
fn text(messages: &mut Vec<Arc<Message>>, event: &Event, default_role: &str) {
    #[derive(Deserialize)]
    struct Text {
        role: Option<String>,
        name: Option<String>,
        delta: Option<String>,
    }
    let Some(text) = body::<Text>(event) else { return };
    let index = match &event.head().message_id {
        None => messages.len().checked_sub(1),
        Some(id) => position(messages, id).or_else(|| {
            let role = text.role.as_deref().unwrap_or(default_role);
            let name = text.name.map(|name| ("name".to_owned(), Value::String(name)));
            messages.push(Arc::new(Message {
                id: id.clone(),
                role: role.to_owned(),
                rest: name.into_iter().collect(),
            }));
            Some(messages.len() - 1)
        }),
    };
    let Some(message) = index.and_then(|index| messages.get_mut(index)) else {
        return;
    };
    let content = Arc::make_mut(message).rest.entry("content").or_insert_with(|| Value::String(String::new()));
    if let (Value::String(content), Some(delta)) = (content, &text.delta) {
        content.push_str(delta);
    }
}

/// START, ARGS or CHUNK of a call. A call without a known parent gets an assistant message of its own, named as the
/// AG-UI client names it: after the parent, or after the call.
fn tool_call(messages: &mut Vec<Arc<Message>>, event: &Event) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Call {
        tool_call_name: Option<String>,
        parent_message_id: Option<String>,
        delta: Option<String>,
    }
    let Some(call) = body::<Call>(event) else { return };
    let id = event.head().tool_call_id.as_deref();
    if let (Some(id), Some(name)) = (id, &call.tool_call_name)
        && call_arguments(messages, Some(id)).is_none()
    {
        let parent = call.parent_message_id.as_deref().unwrap_or(id);
        open_call(messages, parent, id, name);
    }
    if let (Some(delta), Some(Value::String(arguments))) = (call.delta, call_arguments(messages, id)) {
        arguments.push_str(&delta);
    }
}

fn open_call(messages: &mut Vec<Arc<Message>>, parent: &str, id: &str, name: &str) {
    let index = position(messages, parent).unwrap_or_else(|| {
        messages.push(Arc::new(Message { id: parent.to_owned(), role: "assistant".to_owned(), rest: Map::new() }));
        messages.len() - 1
    });
    let calls = Arc::make_mut(&mut messages[index]).rest.entry("toolCalls").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(calls) = calls {
        calls.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": ""}}));
    }
}

/// The arguments of the call with this id, newest first; without an id, of the last call.
fn call_arguments<'a>(messages: &'a mut [Arc<Message>], id: Option<&str>) -> Option<&'a mut Value> {
    let has_call = |message: &Message| {
        let calls = message.rest.get("toolCalls").and_then(Value::as_array)?;
        match id {
            None => calls.len().checked_sub(1),
            Some(id) => calls.iter().position(|call| call["id"] == id),
        }
    };
    let (index, call) =
        messages.iter().enumerate().rev().find_map(|(index, message)| Some((index, has_call(message)?)))?;
    let calls = Arc::make_mut(&mut messages[index]).rest.get_mut("toolCalls")?;
    calls.get_mut(call)?.get_mut("function")?.get_mut("arguments")
}

fn tool_result(messages: &mut Vec<Arc<Message>>, event: &Event) {
    #[derive(Deserialize)]
    struct Answer {
        content: Value,
    }
    let head = event.head();
    let (Some(id), Some(call), Some(answer)) = (&head.message_id, &head.tool_call_id, body::<Answer>(event)) else {
        return;
    };
    if position(messages, id).is_some() {
        return;
    }
    let rest = [("toolCallId".to_owned(), Value::String(call.clone())), ("content".to_owned(), answer.content)];
    messages.push(Arc::new(Message { id: id.clone(), role: "tool".to_owned(), rest: rest.into_iter().collect() }));
}

/// Searched from the end: events speak of what is new.
fn position(messages: &[Arc<Message>], id: &str) -> Option<usize> {
    messages.iter().rposition(|message| message.id == id)
}

/// How many of the oldest messages are too many. `bytes` is at least what all of them have.
pub(super) fn surplus(messages: &[Arc<Message>], max_messages: usize, max_bytes: usize, bytes: u64) -> usize {
    let mut gone = messages.len().saturating_sub(max_messages);
    if bytes > max_bytes as u64 {
        let mut room = max_bytes;
        let fits = |message: &&Arc<Message>| {
            let size = serde_json::to_string(message).map_or(0, |json| json.len());
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        };
        // The last one stays, however long it is: a thread never forgets what was said just now.
        let kept = messages.iter().rev().take_while(fits).count().max(1);
        gone = gone.max(messages.len().saturating_sub(kept));
    }
    if gone > 0 {
        // Models refuse a history that begins with the result of a call that it does not show.
        gone += messages[gone..].iter().take_while(|message| message.role == "tool").count();
    }
    gone
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(events: &[Value]) -> Value {
        serde_json::to_value(&history(events).messages).unwrap()
    }

    fn history(events: &[Value]) -> History {
        let mut history = History::default();
        for event in events {
            fold(&mut history, &Event::build(event));
        }
        history
    }

    #[test]
    fn a_question_and_its_streamed_answer_become_two_messages() {
        let question = json!({"id": "u1", "role": "user", "content": "hello"});
        let messages = folded(&[
            json!({"type": "RUN_STARTED", "threadId": "t", "runId": "r", "input": {"messages": [question.clone()]}}),
            json!({"type": "TEXT_MESSAGE_START", "messageId": "m1", "role": "assistant"}),
            json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": "Good "}),
            json!({"type": "TEXT_MESSAGE_CHUNK", "messageId": "m1", "delta": "mor"}),
            json!({"type": "TEXT_MESSAGE_CHUNK", "delta": "ning"}),
            json!({"type": "TEXT_MESSAGE_END", "messageId": "m1"}),
            json!({"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}),
            json!({"type": "RUN_STARTED", "threadId": "t", "runId": "r2", "input": {"messages": [question.clone()]}}),
        ]);
        let answer = json!({"id": "m1", "role": "assistant", "content": "Good morning"});
        assert_eq!(messages, json!([question, answer]));
    }

    #[test]
    fn tool_calls_stand_in_the_assistant_message_and_results_in_tool_messages() {
        let messages = folded(&[
            json!({"type": "TEXT_MESSAGE_START", "messageId": "m1"}),
            json!({"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "add", "parentMessageId": "m1"}),
            json!({"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": "{\"a\":"}),
            json!({"type": "TOOL_CALL_START", "toolCallId": "c2", "toolCallName": "now"}),
            json!({"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": "1}"}),
            json!({"type": "TOOL_CALL_CHUNK", "delta": "{}"}),
            json!({"type": "TOOL_CALL_END", "toolCallId": "c1"}),
            json!({"type": "TOOL_CALL_RESULT", "messageId": "t1", "toolCallId": "c1", "content": "2"}),
        ]);
        let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        let expected = json!([
            {"id": "m1", "role": "assistant", "content": "", "toolCalls": [call("c1", "add", "{\"a\":1}")]},
            {"id": "c2", "role": "assistant", "toolCalls": [call("c2", "now", "{}")]},
            {"id": "t1", "role": "tool", "toolCallId": "c1", "content": "2"},
        ]);
        assert_eq!(messages, expected);
    }

    #[test]
    fn reasoning_is_a_message_of_its_own_and_a_snapshot_replaces_all() {
        let reasoning = [
            json!({"type": "REASONING_START", "messageId": "g1"}),
            json!({"type": "REASONING_MESSAGE_START", "messageId": "g1", "role": "reasoning"}),
            json!({"type": "REASONING_MESSAGE_CONTENT", "messageId": "g1", "delta": "hm"}),
        ];
        assert_eq!(folded(&reasoning), json!([{"id": "g1", "role": "reasoning", "content": "hm"}]));
        let kept = json!([{"id": "x", "role": "system", "content": "only me"}]);
        let snapshot = json!({"type": "MESSAGES_SNAPSHOT", "messages": kept.clone()});
        assert_eq!(folded(&[reasoning.as_slice(), &[snapshot]].concat()), kept);
    }

    #[test]
    fn events_of_the_wrong_shape_leave_history_as_it_was() {
        let events = [
            json!({"type": "TEXT_MESSAGE_CHUNK", "delta": "nowhere"}),
            json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": 5}),
            json!({"type": "TOOL_CALL_ARGS", "toolCallId": "c", "delta": "x"}),
            json!({"type": "TOOL_CALL_RESULT", "toolCallId": "c"}),
            json!({"type": "MESSAGES_SNAPSHOT", "messages": "none"}),
            json!({"type": "RUN_STARTED", "input": []}),
            json!({"type": "SOMETHING_NEW"}),
        ];
        assert_eq!(folded(&events), json!([]));
    }

    fn any_event() -> impl Strategy<Value = Value> {
        let id = "[ab]";
        prop_oneof![
            (id).prop_map(|m| json!({"type": "TEXT_MESSAGE_START", "messageId": m})),
            (id, "[a-z]{0,3}").prop_map(|(m, d)| json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": m, "delta": d})),
            "[a-z]{0,3}".prop_map(|d| json!({"type": "TEXT_MESSAGE_CHUNK", "delta": d})),
            (id, id).prop_map(
                |(c, p)| json!({"type": "TOOL_CALL_START", "toolCallId": c, "toolCallName": "f", "parentMessageId": p})
            ),
            (id, "[a-z]{0,3}").prop_map(|(c, d)| json!({"type": "TOOL_CALL_ARGS", "toolCallId": c, "delta": d})),
            "[a-z]{0,3}".prop_map(|d| json!({"type": "TOOL_CALL_CHUNK", "delta": d})),
            (id, id).prop_map(
                |(m, c)| json!({"type": "TOOL_CALL_RESULT", "messageId": m, "toolCallId": c, "content": "r"})
            ),
            (id).prop_map(
                |m| json!({"type": "RUN_STARTED", "input": {"messages": [{"id": m, "role": "user", "content": "q"}]}})
            ),
            (id).prop_map(|m| json!({"type": "STATE_SNAPSHOT", "snapshot": {m: 1}})),
            (id).prop_map(
                |m| json!({"type": "STATE_DELTA", "delta": [{"op": "add", "path": format!("/{m}"), "value": [m]}]})
            ),
            (id).prop_map(
                |m| json!({"type": "MESSAGES_SNAPSHOT", "messages": [{"id": m, "role": "user", "content": "s"}]})
            ),
        ]
    }

    proptest! {
        #[test]
        fn folding_in_any_split_equals_folding_at_once(events in prop::collection::vec(any_event(), 0..40), cut in any::<prop::sample::Index>()) {
            let at_once = folded(&events);
            let (front, back) = events.split_at(cut.index(events.len() + 1));
            // The split goes through JSON, as it does between a snapshot and a client.
            let messages = serde_json::from_value::<Vec<Message>>(folded(front)).unwrap().into_iter().map(Arc::new).collect();
            let mut split = History { messages, state: history(front).state };
            let shared = split.clone();
            let before = serde_json::to_value(&shared.messages).unwrap();
            for event in back {
                fold(&mut split, &Event::build(event));
            }
            prop_assert_eq!(serde_json::to_value(&split.messages).unwrap(), at_once);
            prop_assert_eq!(split.state, history(&events).state);
            prop_assert_eq!(serde_json::to_value(&shared.messages).unwrap(), before, "a shared message changed");
            prop_assert_eq!(shared.state, history(front).state, "a shared state changed");
        }
    }
}
