//! The events that a run writes itself, in the shapes of AG-UI 1.0.

use std::collections::BTreeMap;

use lychgate_core::{RunId, SessionKey};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::agent::AgentError;
use crate::wire::RunInput;
use crate::wire::event::Event;

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
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        event["metadata"] = json!({"lychgate": {"retry_in": after}});
    }
    Event::build(&event)
}

/// The event with our thread and run in place of whatever a backend calls them.
pub(super) fn with_our_ids(event: Event, key: &SessionKey, run: &RunId) -> Event {
    let is_about_run = event.kind() == "RUN_FINISHED" || event.head().run_id.is_some();
    if !is_about_run {
        return event;
    }
    let Ok(mut fields) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(event.json().get()) else {
        return event;
    };
    let ours = [("threadId", key.thread().as_str()), ("runId", run.as_str())];
    let text = |id: &str| to_raw_value(&Value::from(id)).expect("text serialises");
    let is_ours = |(field, id): &(&str, &str)| fields.get(*field).is_some_and(|raw| raw.get() == text(id).get());
    if ours.iter().all(is_ours) {
        return event;
    }
    for (field, id) in ours {
        fields.insert(field.to_owned(), text(id));
    }
    Event::build(&fields)
}
