//! What the tests of all agents share: a question, and a reader that holds every answer to the rules of AG-UI.

use futures_util::StreamExt;
use lychgate_core::{ThreadId, UserId};
use serde_json::Value;

use super::*;

mod legal;
pub(super) mod server;

/// A run `r1` on thread `t1` whose user says `text`.
pub(super) fn request(text: &str) -> RunRequest {
    let message = Message {
        id: "u1".to_owned(),
        role: "user".to_owned(),
        rest: serde_json::Map::from_iter([("content".to_owned(), text.into())]),
    };
    RunRequest {
        plan: None,
        key: SessionKey::new(UserId::parse("ann").unwrap(), ThreadId::parse("t1").unwrap()),
        run: RunId::parse("r1").unwrap(),
        messages: vec![message.clone().into()],
        input: RunInput { messages: vec![message], ..RunInput::default() },
        trace: None,
    }
}

/// All events of an answer and the error at its end. Checks on the way that AG-UI's own verifier would accept them.
pub(super) async fn collect(mut events: EventStream) -> (Vec<Value>, Option<AgentError>) {
    let mut seen: Vec<Value> = Vec::new();
    let mut error = None;
    while let Some(event) = events.next().await {
        assert_eq!(error, None, "nothing follows an error");
        match event {
            Ok(event) => seen.push(serde_json::from_str(event.json().get()).unwrap()),
            Err(failed) => error = Some(failed),
        }
    }
    legal::assert_legal(&seen);
    let ended = seen.last().is_some_and(|last| last["type"] == "RUN_FINISHED" || last["type"] == "RUN_ERROR");
    assert_eq!(ended, error.is_none(), "a run is ended by an event or by an error: {seen:?} {error:?}");
    (seen, error)
}

pub(super) fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}
