//! Reads a streamed answer: one event of the server at a time, in the dialect of its agent.
//!
//! ```text
//! bytes --sse--> data --Dialect--> events, one by one
//!            '-- cut, too long --> Dialect::end: over all the same, or one failure
//! ```
//!
//! Nothing is read ahead: the next bytes are asked for when the consumer has taken all events of the last ones. Dropping
//! the stream closes the connection, which is how these servers learn that nobody waits any more.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use sse_stream::Sse;

use super::failure::Failure;
use super::sse::{self, Broken};
use super::{AgentError, EventStream};
use crate::wire::event::Event;

/// How far an answer has come.
pub(super) enum State {
    /// There is more to read.
    Reading,
    /// Told once, after the events that came before it.
    Failed(Failure),
    /// It is complete; nothing more is read.
    Over,
}

/// What one kind of agent says in its server-sent events.
pub(super) trait Dialect: Send + 'static {
    /// How long the next event may take, where the answer may be complete already. None: as long as the agent's
    /// deadlines allow.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Translates the data of one event, which is not empty; adds to `out` also where it fails.
    fn take(&mut self, data: &str, out: &mut Vec<Event>) -> Result<State, Failure>;

    /// The body ended without a word, or the patience did; `how` is what that means for an answer that is incomplete.
    fn end(&mut self, how: Failure, _out: &mut Vec<Event>) -> State {
        State::Failed(how)
    }
}

/// The events of a streamed answer.
pub(super) fn translate<S, E>(body: S, dialect: impl Dialect) -> EventStream
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    E: Send + 'static,
{
    let reader = Reader { body: Box::pin(sse::decode(body)), dialect, ready: VecDeque::new(), state: State::Reading };
    Box::pin(stream::unfold(reader, Reader::next))
}

/// The events of an answer that failed before it began.
pub(super) fn fail(error: impl Into<AgentError>) -> EventStream {
    Box::pin(stream::iter([Err(error.into())]))
}

struct Reader<S, D> {
    body: S,
    dialect: D,
    ready: VecDeque<Event>,
    state: State,
}

impl<S, D> Reader<S, D>
where
    S: Stream<Item = Result<Sse, Broken>> + Unpin,
    D: Dialect,
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
        let next = match self.dialect.patience() {
            Some(patience) => tokio::time::timeout(patience, self.body.next()).await.ok().flatten(),
            None => self.body.next().await,
        };
        let mut events = Vec::new();
        let state = match next {
            Some(Ok(event)) => match event.data.as_deref().map(str::trim) {
                None | Some("") => State::Reading,
                Some(data) => self.dialect.take(data, &mut events).unwrap_or_else(State::Failed),
            },
            Some(Err(Broken::TooLong)) => {
                self.dialect.end(Failure::BadStream("holds a piece that is too long"), &mut events)
            }
            Some(Err(Broken::Cut)) | None => self.dialect.end(Failure::Cut, &mut events),
        };
        self.ready.extend(events);
        state
    }
}
