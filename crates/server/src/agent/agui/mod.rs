//! Any agent that speaks AG-UI 1.0 over HTTP.
//!
//! ```text
//! RunRequest --input--> POST {url}
//!                          | text/event-stream: sse -> tidy (one event, no nulls) -> order (legal for a verifier) -> events
//! ```
//!
//! Events are passed on as they came wherever that does no harm. Nothing is read ahead, and nothing after the backend's
//! RUN_FINISHED or RUN_ERROR; dropping the stream closes the connection.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, future, stream};
use sse_stream::Sse;

use super::failure::Failure;
use super::http::{BadUrl, Endpoint, Kind, Reply};
use super::sse::{self, Broken};
use super::{Agent, AgentError, EventStream, RunRequest};
use crate::config::agents as config;
use crate::wire::event::Event;
use order::Order;
use tidy::Raw;

mod input;
mod order;
mod tidy;
mod whose;

/// An AG-UI agent and how to ask it.
pub(super) struct Agui {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    raw: Raw,
}

impl Agui {
    /// Checks the address; opens no connection.
    pub(super) fn new(config: &config::Agui) -> Result<Self, BadUrl> {
        let endpoint = Endpoint::new(config.url.as_str(), &[], "text/event-stream", &config.remote)?;
        let raw = if config.raw_events { Raw::Keep } else { Raw::Strip };
        Ok(Self { shared: Arc::new(Shared { endpoint, raw }) })
    }
}

impl Agent for Agui {
    fn run(&self, request: RunRequest) -> EventStream {
        let shared = self.shared.clone();
        Box::pin(stream::once(async move { shared.answer(request).await }).flatten())
    }
}

impl Shared {
    async fn answer(&self, request: RunRequest) -> EventStream {
        match self.endpoint.post(input::body(&request), &request).await {
            Ok(Reply { kind: Kind::Events, response }) => translate(Box::pin(response.bytes_stream()), self.raw),
            Ok(Reply { kind: Kind::Json, .. }) => fail(Failure::BadStream("is no event stream")),
            Err(error) => Box::pin(stream::iter([Err(error)])),
        }
    }
}

fn fail(failure: Failure) -> EventStream {
    Box::pin(stream::iter([Err(failure.into())]))
}

/// An agent whose RAW events stay here. It stands outside of the deadlines: an agent that sends nothing but RAW for a
/// while, as some frameworks do for minutes, is at work.
pub(super) struct WithoutRaw(pub(super) Arc<dyn Agent>);

impl Agent for WithoutRaw {
    fn run(&self, request: RunRequest) -> EventStream {
        let is_raw = |event: &Result<Event, AgentError>| matches!(event, Ok(event) if event.kind() == "RAW");
        Box::pin(self.0.run(request).filter(move |event| future::ready(!is_raw(event))))
    }
}

/// The events of an answer.
fn translate<S, E>(body: S, raw: Raw) -> EventStream
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    E: Send + 'static,
{
    let reader = Reader {
        body: Box::pin(sse::decode(body)),
        raw,
        order: Order::default(),
        ready: VecDeque::new(),
        state: State::Reading,
    };
    Box::pin(stream::unfold(reader, Reader::next))
}

struct Reader<S> {
    body: S,
    raw: Raw,
    order: Order,
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
        let taken = match self.body.next().await {
            Some(Ok(event)) => self.take(&event),
            Some(Err(Broken::TooLong)) => Err(Failure::BadStream("holds a piece that is too long")),
            Some(Err(Broken::Cut)) | None => Err(Failure::Cut),
        };
        taken.unwrap_or_else(State::Failed)
    }

    fn take(&mut self, event: &Sse) -> Result<State, Failure> {
        let json = match event.data.as_deref().map(str::trim) {
            None | Some("") => return Ok(State::Reading),
            Some(json) => json,
        };
        let tidy = tidy::read(json, self.raw)?;
        let is_end = matches!(tidy.event.kind(), "RUN_FINISHED" | "RUN_ERROR");
        let mut events = Vec::new();
        self.order.pass(tidy, &mut events)?;
        self.ready.extend(events);
        Ok(if is_end { State::Over } else { State::Reading })
    }
}

#[cfg(test)]
mod tests;
