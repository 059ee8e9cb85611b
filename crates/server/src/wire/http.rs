//! Bodies of the HTTP routes: what they take and what they answer.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::event::Event;
use super::fields::Fields;
use super::{RunInput, is_object, object};

/// AG-UI RunAgentInput, as its HttpAgent posts it: a run's input together with its ids.
#[derive(Debug)]
pub struct RunAgentInput {
    /// The thread; none for a new one.
    pub thread: Option<String>,
    /// The run, which is the idempotency key; none for one of ours.
    pub run: Option<String>,
    /// The rest of it.
    pub input: RunInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ids {
    thread_id: Option<String>,
    run_id: Option<String>,
}

impl RunAgentInput {
    /// Reads a body.
    ///
    /// # Errors
    /// Says what is wrong and where.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let text = text(body)?;
        let Ids { thread_id: thread, run_id: run } = serde_json::from_str(text)?;
        Ok(Self { thread, run, input: without_nulls(serde_json::from_str(text)?) })
    }
}

/// The body of `POST /v1/threads/{thread}/runs`: the `run` frame less its thread.
#[derive(Debug, Deserialize)]
pub struct StartRun {
    /// Idempotency key, made by the client.
    pub run: String,
    /// AG-UI RunAgentInput less the ids.
    #[serde(deserialize_with = "object")]
    pub input: RunInput,
    /// Which agent; none for the default one.
    pub agent: Option<String>,
}

impl StartRun {
    /// Reads a body.
    ///
    /// # Errors
    /// Says what is wrong and where.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let read: Self = serde_json::from_str(text(body)?)?;
        Ok(Self { input: without_nulls(read.input), ..read })
    }
}

/// A run that was accepted.
#[derive(Debug, Serialize)]
pub struct Started<'a> {
    /// On which thread.
    pub thread: &'a str,
    /// Which run.
    pub run: &'a str,
    /// Where it waits for the run before it, 1 is next; absent once it is in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
}

/// The body of `POST /v1/admin/publish`.
#[derive(Debug)]
pub struct Publish {
    /// Whose.
    pub user: String,
    /// On which of his threads; none for each that he has open on this node.
    pub thread: Option<String>,
    /// Idempotency key.
    pub key: String,
    /// What to append.
    pub events: Vec<Event>,
}

#[derive(Deserialize)]
struct RawPublish<'a> {
    user: String,
    thread: Option<String>,
    key: String,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

impl Publish {
    /// Reads a body; nulls are left out of its events.
    ///
    /// # Errors
    /// Says what is wrong and where.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let RawPublish { user, thread, key, events } = serde_json::from_str(text(body)?)?;
        let read = |(index, raw): (usize, &RawValue)| {
            let fields: Result<Fields<'_>, _> = serde_json::from_str(raw.get());
            let event = fields.and_then(|fields| Event::parse(RawValue::from_string(fields.without_nulls())?));
            event.map_err(|error| serde::de::Error::custom(format_args!("`events[{index}]`: {error}")))
        };
        let events = events.into_iter().enumerate().map(read).collect::<Result<_, serde_json::Error>>()?;
        Ok(Self { user, thread, key, events })
    }
}

/// What became of a publication.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"threads": [{"thread": "t1", "head": 27}]}))]
pub struct Published {
    /// On each of the threads.
    pub threads: Vec<PublishedOn>,
}

/// What became of a publication on one thread.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PublishedOn {
    /// Which thread.
    pub thread: String,
    /// The offset of its last event; absent where it was there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
}

/// Some of a user's threads, the one that was active last first.
#[derive(Debug, Serialize)]
pub struct Threads<'a> {
    /// The threads.
    pub threads: Vec<Thread<'a>>,
    /// What to give as `before` for the rest; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One thread in a list.
#[derive(Debug, Serialize)]
pub struct Thread<'a> {
    /// Its id.
    pub thread: &'a str,
    /// The beginning of its first question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    /// When it began, in milliseconds since 1970.
    pub created: u64,
    /// When a run last started or ended on it, in milliseconds since 1970.
    pub written: u64,
    /// Messages that it holds, without those of the run in flight.
    pub messages: u64,
    /// The last offset of its log.
    pub head: u64,
    /// The run in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<&'a str>,
}

/// Some of a thread's messages, oldest first.
#[derive(Debug, Serialize)]
pub struct Messages {
    /// The messages.
    pub messages: Vec<Box<RawValue>>,
    /// What to give as `before` for older ones; absent at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Messages {
    /// A page of messages that were read from the newest on.
    #[must_use]
    pub fn of(mut newest_first: Vec<Box<RawValue>>, next: Option<String>) -> Self {
        newest_first.reverse();
        Self { messages: newest_first, next }
    }
}

/// What a reader of `GET /v1/threads/{thread}/events` replaces what it has by: the data of `event: reset`.
#[derive(Debug, Serialize)]
pub struct Reset<'a> {
    /// Which thread.
    pub thread: &'a str,
    /// The incarnation of the log.
    pub epoch: &'a str,
    /// Events follow from here, exclusive.
    pub after: u64,
    /// The messages up to there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<&'a RawValue>,
    /// The shared state up to there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'a RawValue>,
    /// There is older history than `messages`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

fn text(body: &[u8]) -> Result<&str, serde_json::Error> {
    let text = std::str::from_utf8(body).map_err(serde::de::Error::custom)?;
    is_object(text).map(|()| text)
}

/// AG-UI knows absent and never null, and its clients refuse the echo of a message that says null.
fn without_nulls(mut input: RunInput) -> RunInput {
    for message in &mut input.messages {
        message.rest.retain(|_, value| !value.is_null());
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_http_agent_posts_is_read_with_its_ids() {
        let body = r#"{"threadId":"t1","runId":"r1","protocolVersion":"1.0","tools":[],"context":[],"forwardedProps":{},
            "state":{"a":1},"messages":[{"id":"u1","role":"user","content":"hello","name":null}]}"#;
        let read = RunAgentInput::parse(body.as_bytes()).unwrap();
        assert_eq!((read.thread.as_deref(), read.run.as_deref()), (Some("t1"), Some("r1")));
        assert_eq!(read.input.state.unwrap().get(), r#"{"a":1}"#);
        let message = serde_json::to_string(&read.input.messages[0]).unwrap();
        assert_eq!(message, r#"{"id":"u1","role":"user","content":"hello"}"#);
    }

    #[test]
    fn a_publication_is_read_without_its_nulls_and_says_which_event_is_none() {
        let body = |events: &str| format!(r#"{{"user":"ann","key":"k1","events":{events}}}"#);
        let read = Publish::parse(body(r#"[{"type":"CUSTOM","name":"n","value":null,"timestamp":null}]"#).as_bytes());
        assert_eq!(read.unwrap().events[0].json().get(), r#"{"type":"CUSTOM","name":"n","value":null}"#);
        for (events, says) in
            [(r#"[{"type":"A"},{"no":1}]"#, "`events[1]`: missing field `type`"), ("[7]", "`events[0]`")]
        {
            let error = Publish::parse(body(events).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_or_no_text_says_so() {
        for (body, says) in
            [(&b"[]"[..], "expected an object"), (b"\"t\"", "invalid type"), (b"\xff", "utf-8"), (b"", "EOF")]
        {
            let error = RunAgentInput::parse(body).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(StartRun::parse(body).is_err());
        }
        let error = StartRun::parse(br#"{"run":"r1","input":{"messages":7}}"#).unwrap_err().to_string();
        assert!(error.contains("expected a sequence"), "{error}");
    }
}
