//! Client and server messages of `lychgate.v1`: the only file with their JSON shape.
//!
//! JSON text frames, one object each (protocol.md, section 1). Unknown fields are ignored; an unknown `type` from a
//! client is an error that names the ones we know.

use std::collections::BTreeMap;
use std::sync::Arc;

use lychgate_core::Usage;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub mod admin;
pub mod event;
pub mod fields;
#[cfg(test)]
mod golden;
pub mod http;
#[cfg(test)]
mod tests;
pub mod told;
#[cfg(test)]
mod typescript;

/// What a client says.
#[derive(Debug)]
pub enum Client {
    /// First frame, within five seconds; later, with a token, a refresh.
    Hello(Hello),
    /// Attach to `user:thread`; without a thread, to a new one.
    Open(Open),
    /// Detach; the slot is free now.
    Leave(Leave),
    /// Start a run on an open thread.
    Run(Box<Run>),
    /// Cancel a run.
    Stop(Stop),
    /// Alive, and processed up to these offsets.
    Ack(Ack),
}

/// The one field that is read first.
#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "type")]
    kind: Kind,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Hello,
    Open,
    Leave,
    Run,
    Stop,
    Ack,
}

impl Client {
    /// Reads one text frame: the `type` first, then the rest from the same text. An internally tagged enum would
    /// buffer the frame, and what we pass on as it came ([`RawValue`]) cannot be read from a buffer.
    ///
    /// # Errors
    /// Says what is wrong, where, and which types there are.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        is_object(text)?;
        let tag: Tag = serde_json::from_str(text)?;
        Ok(match tag.kind {
            Kind::Hello => Self::Hello(serde_json::from_str(text)?),
            Kind::Open => Self::Open(serde_json::from_str(text)?),
            Kind::Leave => Self::Leave(serde_json::from_str(text)?),
            Kind::Run => Self::Run(serde_json::from_str(text)?),
            Kind::Stop => Self::Stop(serde_json::from_str(text)?),
            Kind::Ack => Self::Ack(serde_json::from_str(text)?),
        })
    }
}

/// Says no to an array: serde would read its items as the fields of a struct, in the order of our source code.
fn is_object(text: &str) -> Result<(), serde_json::Error> {
    match text.trim_start().starts_with('[') {
        true => Err(serde::de::Error::custom("invalid type: sequence, expected an object")),
        false => Ok(()),
    }
}

/// Reads what must be an object, inside of another one.
fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    is_object(raw.get()).and_then(|()| serde_json::from_str(raw.get())).map_err(serde::de::Error::custom)
}

/// `leave` from a client.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Leave {
    /// Which thread.
    pub thread: String,
}

/// `stop` from a client.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Stop {
    /// On which thread.
    pub thread: String,
    /// Which run.
    pub run: String,
}

/// `hello` from a client.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Hello {
    /// A JWT, where the socket brought none with its request, or a fresh one.
    pub token: Option<String>,
    /// The connection that this one replaces.
    pub prev: Option<String>,
    /// How the tab names itself.
    pub client: Option<String>,
    /// Which SDK speaks, for logs.
    pub sdk: Option<String>,
    /// What counts as life: `app` or `ws` (the default).
    pub heartbeat: Option<String>,
}

/// `open` from a client.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Open {
    /// The thread; none for a new one.
    pub thread: Option<String>,
    /// The last offset that the client has processed.
    pub after: Option<u64>,
    /// The incarnation of the log that `after` belongs to.
    pub epoch: Option<String>,
    /// The client's name for this open, echoed.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
}

/// `run` from a client.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Run {
    /// On which thread.
    pub thread: String,
    /// Idempotency key, made by the client.
    pub run: String,
    /// AG-UI RunAgentInput less the ids.
    #[serde(deserialize_with = "object")]
    pub input: RunInput,
    /// Which agent; none for the default one.
    pub agent: Option<String>,
}

/// AG-UI RunAgentInput less the ids; what we do not read is passed on as it came.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct RunInput {
    /// New messages; known ids are ignored.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// Tools of the front end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "unknown[]"))]
    pub tools: Option<Box<RawValue>>,
    /// Context items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "unknown[]"))]
    pub context: Option<Box<RawValue>>,
    /// Shared state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "unknown"))]
    pub state: Option<Box<RawValue>>,
    /// Passed on to the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "unknown"))]
    pub forwarded_props: Option<Box<RawValue>>,
    /// Answers to interrupts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "unknown"))]
    pub resume: Option<Box<RawValue>>,
}

/// An AG-UI message: its head is read, the rest is kept as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(type = "{ id: string; role: string; [field: string]: unknown }"))]
pub struct Message {
    /// Unique in its thread.
    pub id: String,
    /// `user`, `assistant`, `tool`, `system`, `developer`, or a role that we do not know.
    pub role: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

/// `ack` from a client.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Ack {
    /// The last processed offset of each thread.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub at: BTreeMap<String, u64>,
    /// Whether a person sees the page.
    pub visible: Option<bool>,
}

/// What we say.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub enum Server<'a> {
    /// The connection is registered.
    Hello {
        /// Its id: the client's `prev` next time.
        connection: &'a str,
        /// The verified user.
        user: &'a str,
        /// Milliseconds between two pings.
        ping: u64,
        /// Unacknowledged events at most, per thread.
        window: u64,
        /// Seconds until the token expires.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_in: Option<u64>,
        /// The user's sessions against his limit.
        limits: Limits,
    },
    /// The connection is attached to a session.
    Opened(Opened<'a>),
    /// The connection is attached to a session no longer.
    Closed {
        /// Which thread.
        thread: &'a str,
        /// The client's name for the open that is over.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        /// Why, as a word of the table of closes in protocol.md.
        reason: &'a str,
        /// Whether and how to come back.
        reconnect: Reconnect,
        /// Milliseconds to wait before.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in: Option<u64>,
        /// For people.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
        /// How far reclaim had to go, where it took the session.
        #[serde(skip_serializing_if = "Option::is_none")]
        level: Option<&'a str>,
        /// What was known of the session then.
        #[serde(skip_serializing_if = "Option::is_none")]
        evidence: Option<Evidence>,
    },
    /// Advice, safe to ignore.
    Notice(Notice<'a>),
    /// Something was refused.
    Error {
        /// One word of protocol.md rule 13.
        code: &'a str,
        /// For people.
        message: &'a str,
        /// Which thread.
        #[serde(skip_serializing_if = "Option::is_none")]
        thread: Option<&'a str>,
        /// Which run.
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<&'a str>,
        /// The client's name for the open that is refused.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        /// Milliseconds to wait before trying again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in: Option<u64>,
    },
    /// Answer with `ack`.
    Ping,
}

impl Server<'_> {
    /// The frame's text.
    ///
    /// # Panics
    /// Never: these types have no map with keys that are not text and no fallible serialiser.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a frame of ours always serialises")
    }
}

/// `opened` to a client.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Opened<'a> {
    /// Which thread.
    pub thread: &'a str,
    /// The client's name for this open.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<&'a str>,
    /// The incarnation of the log.
    pub epoch: &'a str,
    /// Events follow from here, exclusive.
    pub after: u64,
    /// The last offset of the log.
    pub head: u64,
    /// The run in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<&'a str>,
    /// The user's sessions against his limit.
    pub limits: Limits,
    /// The client replaces what it has by `messages` (and `state`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub reset: bool,
    /// The thread's messages, with `reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<&'a [Arc<Message>]>,
    /// The thread's state, with `reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, type = "unknown"))]
    pub state: Option<&'a serde_json::Value>,
    /// There is older history than `messages`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub more: bool,
}

/// `notice` to a client.
#[derive(Debug, Serialize)]
#[serde(tag = "code", rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub enum Notice<'a> {
    /// The user's pressure band changed.
    Limit(Limits),
    /// The open waits.
    Queued {
        /// Which thread.
        thread: &'a str,
        /// The client's name for this open.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        /// 1 is next.
        position: usize,
        /// Milliseconds until it is served at the latest.
        deadline: u64,
    },
    /// The run waits for the one before it on its thread.
    #[serde(rename = "run_queued")]
    RunQueued {
        /// Which thread.
        thread: &'a str,
        /// Which run.
        run: &'a str,
        /// 1 is next.
        position: usize,
    },
    /// The run that was asked for is known, and over: what came of it is in the log.
    #[serde(rename = "run_ended")]
    RunEnded {
        /// Which thread.
        thread: &'a str,
        /// Which run.
        run: &'a str,
    },
    /// Move to another node.
    Reconnect {
        /// Why.
        why: &'a str,
        /// Milliseconds to wait before.
        retry_in: u64,
        /// Milliseconds until the socket is closed.
        deadline: u64,
    },
    /// The token expires soon.
    Expiring {
        /// Seconds.
        expires_in: u64,
    },
}

/// Whether and how a client comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Reconnect {
    /// At once, or after `retry_in`, and resume.
    Resume,
    /// When a person wants it.
    OnDemand,
    /// Not by itself.
    Never,
}

/// A user's sessions against his limit.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Limits {
    /// Sessions that he holds.
    pub used: usize,
    /// Sessions that he may hold.
    pub limit: usize,
    /// `ok`, `watch`, `warn`, `high` or `full`.
    #[cfg_attr(test, ts(type = "'ok' | 'watch' | 'warn' | 'high' | 'full'"))]
    pub level: &'static str,
    /// While the reserve takes newcomers: until when, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserve_until: Option<u64>,
}

impl From<Usage> for Limits {
    /// As of now: the gate knows how long the reserve is still open, the wire says until when.
    fn from(usage: Usage) -> Self {
        let reserve_until = usage.reserve_left.map(|left| unix_ms().saturating_add(millis(left)));
        Self { used: usage.used, limit: usage.limit, level: usage.level.as_str(), reserve_until }
    }
}

/// What was known of a session that had to go: which questions it left unanswered, how old its backlog was.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Evidence {
    /// Heartbeats in a row without an answer.
    pub missed_pings: u32,
    /// Pings of the last probe without an answer.
    pub missed_probes: u32,
    /// Milliseconds since the oldest unanswered one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered_for: Option<u64>,
    /// Milliseconds since anything was heard.
    pub silent_for: u64,
    /// Milliseconds in which bytes waited and the peer took none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_for: Option<u64>,
    /// Bytes that waited when it was last asked.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub queued_bytes: u32,
    /// Milliseconds in which the peer's kernel acknowledged nothing while bytes were in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unacked_for: Option<u64>,
}

impl From<lychgate_core::Evidence> for Evidence {
    fn from(evidence: lychgate_core::Evidence) -> Self {
        Self {
            missed_pings: evidence.missed_pings,
            missed_probes: evidence.missed_probes,
            unanswered_for: evidence.unanswered_for.map(millis),
            silent_for: millis(evidence.silent_for),
            blocked_for: evidence.blocked_for.map(millis),
            queued_bytes: evidence.backlog.queued_bytes,
            unacked_for: evidence.backlog.unacked_for.map(millis),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(bytes: &u32) -> bool {
    *bytes == 0
}

/// Now, in milliseconds since 1970, as every time on the wire and in the journal is told.
#[must_use]
pub fn unix_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// Whole milliseconds, rounded down; the most there is for what is more.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
