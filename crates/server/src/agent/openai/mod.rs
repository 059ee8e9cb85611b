//! Any endpoint that speaks the OpenAI chat-completions protocol.
//!
//! ```text
//! RunRequest --request--> POST {base_url}/chat/completions
//!                              | text/event-stream: sse -> chunk -> answer -> events
//!                              ' application/json:         chunk -> answer -> events
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::failure::Failure;
use super::http::{BadUrl, Endpoint, Kind, Reply};
use super::reader::{Dialect, State, fail, translate};
use super::sse::MAX_EVENT_BYTES;
use super::{Agent, EventStream, RunRequest};
use crate::config::agents as config;
use crate::outbound::{Body, read_up_to};
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
            Err(error) => fail(error),
        }
    }
}

/// The events of an answer that came in one piece.
fn whole(body: Body, mut answer: Answer) -> EventStream {
    let mut events = Vec::new();
    let end = match body {
        Body::Whole(bytes) => read(&bytes).and_then(|chunk| answer.add(chunk, &mut events)),
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

impl Dialect for Answer {
    fn patience(&self) -> Option<Duration> {
        self.is_finished().then_some(USAGE_TIMEOUT)
    }

    fn take(&mut self, data: &str, out: &mut Vec<Event>) -> Result<State, Failure> {
        if data == "[DONE]" {
            self.finish(out);
            return Ok(State::Over);
        }
        read(data.as_bytes()).and_then(|chunk| self.add(chunk, out))?;
        Ok(State::Reading)
    }

    /// Where the answer is complete, what follows it may be missing or broken.
    fn end(&mut self, how: Failure, out: &mut Vec<Event>) -> State {
        match self.is_finished() {
            true => {
                self.finish(out);
                State::Over
            }
            false => State::Failed(how),
        }
    }
}

#[cfg(test)]
mod tests;
