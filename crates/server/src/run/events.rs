//! The events that a run writes itself, in the shapes of AG-UI 1.0.

use std::collections::BTreeMap;

use lychgate_core::{RunId, SessionKey};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::agent::AgentError;
use crate::wire::event::Event;
use crate::wire::{RunInput, millis};

/// Longest text of a RUN_ERROR; a backend's own words may be a whole page.
const MAX_MESSAGE_CHARS: usize = 1_024;

/// RUN_STARTED with the input that the agent is given; its messages are the new ones.
pub(super) fn started(key: &SessionKey, run: &RunId, input: &RunInput) -> Event {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Started<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        thread_id: &'a str,
        run_id: &'a str,
        input: Input<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Input<'a> {
        thread_id: &'a str,
        run_id: &'a str,
        #[serde(flatten)]
        input: &'a RunInput,
    }
    let (thread_id, run_id) = (key.thread().as_str(), run.as_str());
    Event::build(&Started { kind: "RUN_STARTED", thread_id, run_id, input: Input { thread_id, run_id, input } })
}

/// RUN_FINISHED of a run that is done.
pub(super) fn finished(key: &SessionKey, run: &RunId) -> Event {
    Event::build(&json!({"type": "RUN_FINISHED", "threadId": key.thread().as_str(), "runId": run.as_str()}))
}

/// RUN_FINISHED, outcome cancelled.
pub(super) fn cancelled(key: &SessionKey, run: &RunId) -> Event {
    Event::build(&json!({
        "type": "RUN_FINISHED",
        "threadId": key.thread().as_str(),
        "runId": run.as_str(),
        "outcome": {"type": "cancelled"},
    }))
}

/// RUN_ERROR. When to ask again travels in `metadata.lychgate.retry_in`, in milliseconds: AG-UI has no field for it.
pub(super) fn failed(error: &AgentError) -> Event {
    let message = match error.message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => &error.message[..end],
        None => &error.message,
    };
    let mut event = json!({"type": "RUN_ERROR", "code": error.code, "message": message});
    if let Some(after) = error.retry_after {
        let after = millis(after);
        event["metadata"] = json!({"lychgate": {"retry_in": after}});
    }
    Event::build(&event)
}

/// The event with our thread and run in place of whatever a backend calls them: RUN_FINISHED always says both, any other
/// event what it says anyway.
pub(super) fn with_our_ids(event: Event, key: &SessionKey, run: &RunId) -> Event {
    let is_end = event.kind() == "RUN_FINISHED";
    // The text is searched first: most events are pieces of an answer, and are not read twice.
    let names_any = |json: &str| json.contains("\"threadId\"") || json.contains("\"runId\"");
    if !is_end && !names_any(event.json().get()) {
        return event;
    }
    let Ok(mut fields) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(event.json().get()) else {
        return event;
    };
    let ours = [("threadId", key.thread().as_str()), ("runId", run.as_str())];
    let text = |id: &str| to_raw_value(&Value::from(id)).expect("text serialises");
    let is_theirs = |(field, id): &(&str, &str)| match fields.get(*field) {
        Some(raw) => raw.get() != text(id).get(),
        None => is_end,
    };
    let theirs: Vec<_> = ours.into_iter().filter(is_theirs).collect();
    if theirs.is_empty() {
        return event;
    }
    fields.extend(theirs.into_iter().map(|(field, id)| (field.to_owned(), text(id))));
    Event::build(&fields)
}

#[cfg(test)]
mod tests {
    use lychgate_core::{ThreadId, UserId};

    use super::*;

    #[test]
    fn whatever_a_backend_calls_its_thread_and_run_reaches_nobody() {
        let key = SessionKey::new(UserId::parse("ann").unwrap(), ThreadId::parse("t1").unwrap());
        let run = RunId::parse("r1").unwrap();
        for (theirs, ours) in [
            (json!({"type": "RUN_FINISHED"}), json!({"type": "RUN_FINISHED", "threadId": "t1", "runId": "r1"})),
            (
                json!({"type": "A", "runId": "x", "threadId": null}),
                json!({"type": "A", "runId": "r1", "threadId": "t1"}),
            ),
            (json!({"type": "A", "threadId": "x"}), json!({"type": "A", "threadId": "t1"})),
            (json!({"type": "A", "runId": "x"}), json!({"type": "A", "runId": "r1"})),
            (json!({"type": "A", "value": {"threadId": "x"}}), json!({"type": "A", "value": {"threadId": "x"}})),
            (json!({"type": "A", "delta": "\"runId\""}), json!({"type": "A", "delta": "\"runId\""})),
        ] {
            let event = with_our_ids(Event::build(&theirs), &key, &run);
            assert_eq!(serde_json::from_str::<Value>(event.json().get()).unwrap(), ours);
        }
    }
}
