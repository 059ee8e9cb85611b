//! Any agent that speaks AG-UI 1.0 over HTTP.
//!
//! ```text
//! RunRequest --input--> POST {url}
//!                          | text/event-stream: sse -> tidy (one event, no nulls) -> order (legal for a verifier) -> events
//! ```
//!
//! Events are passed on as they came wherever that does no harm. Nothing is read ahead, and nothing after the backend's
//! RUN_FINISHED or RUN_ERROR; dropping the stream closes the connection.

use std::sync::Arc;

use futures_util::{StreamExt, future, stream};

use super::failure::Failure;
use super::http::{BadUrl, Endpoint, Kind, Reply};
use super::reader::{Dialect, State, fail, translate};
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
            Ok(Reply { kind: Kind::Events, response }) => {
                translate(Box::pin(response.bytes_stream()), Answer::new(self.raw))
            }
            Ok(Reply { kind: Kind::Json, .. }) => fail(Failure::BadStream("is no event stream")),
            Err(error) => fail(error),
        }
    }
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

/// One answer as it comes.
struct Answer {
    raw: Raw,
    order: Order,
}

impl Answer {
    fn new(raw: Raw) -> Self {
        Self { raw, order: Order::default() }
    }
}

impl Dialect for Answer {
    fn take(&mut self, data: &str, out: &mut Vec<Event>) -> Result<State, Failure> {
        let tidy = tidy::read(data, self.raw)?;
        let is_end = tidy.event.ends_run();
        let mut events = Vec::new();
        self.order.pass(tidy, &mut events)?;
        out.extend(events);
        Ok(if is_end { State::Over } else { State::Reading })
    }
}

#[cfg(test)]
mod tests;
