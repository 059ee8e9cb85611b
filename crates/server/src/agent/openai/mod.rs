//! Any endpoint that speaks the OpenAI chat-completions protocol.
//!
//! ```text
//! RunRequest --request--> POST {base_url}/chat/completions
//!                              | text/event-stream: sse -> chunk -> answer -> events
//!                              ' application/json:         chunk -> answer -> events
//! ```
//!
//! Nothing is read ahead: the next bytes are asked for when the consumer has taken all events of the last ones. Dropping
//! the stream closes the connection, which is how these servers learn that nobody waits any more.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use sse_stream::Sse;

use super::failure::Failure;
use super::http::{BadUrl, Body, Endpoint, Kind, Reply, read_up_to};
use super::sse::{self, Broken, MAX_EVENT_BYTES};
use super::{Agent, AgentError, EventStream, RunRequest};
use crate::config::agents as config;
use crate::wire::event::Event;
use answer::Answer;

mod answer;
mod chunk;
mod request;

/// How long we wait for usage and `[DONE]` after the backend said that the answer is complete. Some servers send neither
/// and keep the connection open.
const USAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// Some servers ignore that a stream was asked for.
const ACCEPT: &str = "text/event-stream, application/json";

/// An endpoint and how to ask it. Asking for `stream_options.include_usage` is part of every request.
pub(super) struct OpenAi {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    config: config::OpenAi,
}

impl OpenAi {
    /// Checks the address; opens no connection.
    pub(super) fn new(config: &config::OpenAi) -> Result<Self, BadUrl> {
        let path = ["chat", "completions"];
        let endpoint = Endpoint::new(config.base_url.as_str(), &path, ACCEPT, &config.remote)?;
        let config = config.clone();
        Ok(Self { shared: Arc::new(Shared { endpoint, config }) })
    }
}

impl Agent for OpenAi {
    fn run(&self, request: RunRequest) -> EventStream {
        let shared = self.shared.clone();
        Box::pin(stream::once(async move { shared.answer(request).await }).flatten())
    }
}

impl Shared {
    async fn answer(&self, request: RunRequest) -> EventStream {
        let body = request::body(&self.config, &request);
        let reply = self.endpoint.post(body, &request).await;
        let answer = Answer::new(request, self.endpoint.secrets().clone());
        match reply {
            Ok(Reply { kind: Kind::Events, response }) => translate(Box::pin(response.bytes_stream()), answer),
            Ok(Reply { kind: Kind::Json, response }) => whole(read_up_to(response, MAX_EVENT_BYTES).await, answer),
            Err(error) => Box::pin(stream::iter([Err(error)])),
        }
    }
}

/// The events of a streamed answer.
fn translate<S, E>(body: S, answer: Answer) -> EventStream
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    E: Send + 'static,
{
    let reader = Reader { body: Box::pin(sse::decode(body)), answer, ready: VecDeque::new(), state: State::Reading };
    Box::pin(stream::unfold(reader, Reader::next))
}

/// The events of an answer that came in one piece.
fn whole(body: Body, mut answer: Answer) -> EventStream {
    let mut events = Vec::new();
    let end = match body {
        Body::Whole(bytes) => read(&bytes).and_then(|chunk| answer.take(chunk, &mut events)),
        Body::TooLong => Err(Failure::BadStream("is too long")),
        Body::Broken => Err(Failure::Cut),
    };
    if end.is_ok() {
        answer.finish(&mut events);
    }
    let error = end.err().map(|failure| Err(failure.into()));
    Box::pin(stream::iter(events.into_iter().map(Ok).chain(error)))
}

fn read(json: &[u8]) -> Result<chunk::Chunk, Failure> {
    // A list would be read as the fields of a chunk in their order.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(Failure::BadStream("cannot be read"));
    }
    serde_json::from_slice(json).map_err(|error| {
        tracing::debug!(%error, "an agent's chunk could not be read");
        Failure::BadStream("cannot be read")
    })
}

struct Reader<S> {
    body: S,
    answer: Answer,
    ready: VecDeque<Event>,
    state: State,
}

enum State {
    Reading,
    /// Told once, after what is ready.
    Failed(Failure),
    Over,
}

impl<S> Reader<S>
where
    S: Stream<Item = Result<Sse, Broken>> + Unpin,
{
    async fn next(mut self) -> Option<(Result<Event, AgentError>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            match mem::replace(&mut self.state, State::Over) {
                State::Reading => self.state = self.step().await,
                State::Failed(failure) => return Some((Err(failure.into()), self)),
                State::Over => return None,
            }
        }
    }

    /// Reads one event of the server.
    async fn step(&mut self) -> State {
        let next = match self.answer.is_finished() {
            true => tokio::time::timeout(USAGE_TIMEOUT, self.body.next()).await.ok().flatten(),
            false => self.body.next().await,
        };
        let mut events = Vec::new();
        let state = match next {
            Some(Ok(event)) => self.take(&event, &mut events),
            // The answer is complete; what follows it may be missing or broken.
            Some(Err(_)) | None if self.answer.is_finished() => self.finish(&mut events),
            Some(Err(Broken::TooLong)) => State::Failed(Failure::BadStream("holds a piece that is too long")),
            Some(Err(Broken::Cut)) | None => State::Failed(Failure::Cut),
        };
        self.ready.extend(events);
        state
    }

    fn take(&mut self, event: &Sse, out: &mut Vec<Event>) -> State {
        let taken = match event.data.as_deref().map(str::trim) {
            None | Some("") => Ok(()),
            Some("[DONE]") => return self.finish(out),
            Some(json) => read(json.as_bytes()).and_then(|chunk| self.answer.take(chunk, out)),
        };
        match taken {
            Ok(()) => State::Reading,
            Err(failure) => State::Failed(failure),
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> State {
        self.answer.finish(out);
        State::Over
    }
}

#[cfg(test)]
mod tests;
