//! Backends that answer: run input in, a stream of AG-UI events out.
//!
//! An agent yields the events between RUN_STARTED (which [`crate::run`] writes) and the end. It may yield RUN_FINISHED
//! or RUN_ERROR itself; when its stream ends without, or fails, [`crate::run`] writes the terminal event. Dropping the
//! stream cancels the work.
//!
//! ```text
//! registry --named--> guard( deadline( demo | openai | agui )) --events--> run
//!                                             |        |
//!                 identity -> http (status, Retry-After) -> sse (bounded lines) -> chunk -> answer | tidy -> order
//! ```
//!
//! A backend that fails yields one [`AgentError`] and nothing after it; what was open then (a message, a tool call) stays
//! open in its stream, because only [`crate::run`] knows whether a half message is worth closing.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use lychgate_core::{RunId, SessionKey};

use crate::telemetry::traces::Parent;
use crate::wire::event::Event;
use crate::wire::{Message, RunInput};

mod agui;
mod breaker;
mod deadline;
mod demo;
mod emit;
mod failure;
mod guard;
mod http;
mod identity;
mod observed;
mod openai;
mod reader;
mod registry;
mod secrets;
mod sse;

pub use http::BadUrl;
pub use observed::Observed;
pub use registry::{AgentHealth, Agents, AgentsError, LastError, UnknownAgent};

/// Everything that an agent needs to answer.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// Whose thread.
    pub key: SessionKey,
    /// The plan that the user's token names; for the backend, which is told for whom it works.
    pub plan: Option<Box<str>>,
    /// Which run.
    pub run: RunId,
    /// The thread's messages so far, the new ones last.
    pub messages: Vec<Arc<Message>>,
    /// The input as the client gave it; its `messages` are the new ones only.
    pub input: RunInput,
    /// The span that asks, for a backend that is traced too; none where nothing is.
    pub trace: Option<Parent>,
}

/// Why a backend gave no answer, or only a part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AgentError {
    /// A word for programs: `agent_unavailable`, `agent_timeout`, `agent_http_429`, `agent_bad_stream`, ...
    pub code: String,
    /// A plain sentence for people; holds no secret.
    pub message: String,
    /// When the backend wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// The answer as it comes.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<Event, AgentError>> + Send>>;

/// A backend.
pub trait Agent: Send + Sync + 'static {
    /// Starts to answer. Errors come through the stream; nothing is yielded after the first.
    fn run(&self, request: RunRequest) -> EventStream;
}

#[cfg(test)]
mod tests;
