//! One span: what is told about a piece of work once it is over.

use std::time::{Duration, SystemTime};

use lychgate_core::{SessionKey, UserId};

use crate::wire::millis;

use super::{Context, SpanId};

/// A piece of work that is over.
#[derive(Clone, Debug)]
pub struct Span {
    /// What it was.
    pub name: &'static str,
    /// Whose work it was.
    pub kind: Kind,
    /// Where it stands.
    pub context: Context,
    /// What it is a part of; none for the first of its trace.
    pub parent: Option<SpanId>,
    /// The parent is another program's.
    pub is_parent_remote: bool,
    /// From.
    pub start: SystemTime,
    /// To.
    pub end: SystemTime,
    /// What is known of it. Ids and fixed words, never a text of a conversation.
    pub attributes: Vec<(&'static str, Value)>,
    /// What happened within it, and when.
    pub moments: Vec<(&'static str, SystemTime)>,
    /// Spans of other traces that it has to do with.
    pub links: Vec<Context>,
    /// Why it failed, as a fixed word; none where it did not.
    pub failed: Option<String>,
}

/// Whose work a span is, as OpenTelemetry tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours, asked for by a client.
    Server,
    /// Ours, asked of somebody else.
    Client,
    /// Ours alone.
    Internal,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Duration> for Value {
    /// In milliseconds.
    fn from(time: Duration) -> Self {
        millis(time).into()
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl Span {
    /// A span within `parent`, from then until now, of which nothing else is known yet.
    pub(super) fn within(name: &'static str, context: Context, parent: SpanId, start: SystemTime) -> Self {
        Self {
            name,
            kind: Kind::Internal,
            context,
            parent: Some(parent),
            is_parent_remote: false,
            start,
            end: SystemTime::now().max(start),
            attributes: Vec::new(),
            moments: Vec::new(),
            links: Vec::new(),
            failed: None,
        }
    }

    /// With something that is known of it.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Whose it is, by the names that the logs use.
    #[must_use]
    pub(super) fn of_user(self, user: &UserId) -> Self {
        self.with("user", user.as_str())
    }

    /// Whose session it is about, by the names that the logs use.
    #[must_use]
    pub(super) fn of_session(self, key: &SessionKey) -> Self {
        let thread = key.thread().as_str();
        self.of_user(key.user()).with("thread", thread).with("isolation_key", &*key.to_string())
    }
}
