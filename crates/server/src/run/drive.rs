//! One run, from its claim to its terminal event.

use std::collections::HashSet;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

use futures_util::{FutureExt, StreamExt};
use lychgate_core::{RunId, SessionKey};

use super::ending::{Ending, Why};
use super::open_items::OpenItems;
use super::{Held, StartRun, events, refuse_saying};
use crate::agent::{Agent, AgentError, EventStream, RunRequest};
use crate::close::ErrorCode;
use crate::journal::{Journal, JournalError, Snapshot};
use crate::wire::event::Event;
use crate::wire::{Message, RunInput};

/// Events that are ready at once and go into one append, at most.
const BATCH: usize = 64;

/// What ends a run.
enum End {
    /// The agent said so: its own RUN_FINISHED or RUN_ERROR.
    Said(Event),
    /// It failed, fell silent, stopped in the middle, or panicked.
    Failed(AgentError),
    /// Somebody else ended it.
    Ordered(Why),
    /// The journal takes no more.
    JournalFailed(JournalError),
}

/// A run whose RUN_STARTED is in the log.
struct Run<'a> {
    held: &'a Held,
    journal: &'a dyn Journal,
    /// What is open in the log.
    open: OpenItems,
    /// Events that the agent gave and the log has not taken yet; outside of the future that may panic.
    ready: Vec<Event>,
}

/// The task of a run.
pub(super) async fn run(mut held: Held, mut start: StartRun, ending: Arc<Ending>) {
    let Some((agent, messages)) = accept(&mut held, &mut start).await else {
        return;
    };
    let request = RunRequest { key: start.key, plan: start.plan, run: start.run, messages, input: start.input };
    drop(start.reply);
    let runs = Arc::clone(&held.runs);
    let mut run = Run { held: &held, journal: &*runs.journal, open: OpenItems::default(), ready: Vec::new() };
    let end = AssertUnwindSafe(run.drive(&*agent, request, &ending)).catch_unwind().await;
    run.finish(end.unwrap_or_else(|_| End::Failed(panicked()))).await;
}

/// Everything before the agent is asked: find it, know the run, read the thread, append RUN_STARTED. None when there is
/// nothing to do, or the client was told why not.
async fn accept(held: &mut Held, start: &mut StartRun) -> Option<(Arc<dyn Agent>, Vec<Arc<Message>>)> {
    let Some(agent) = (held.runs.find_agent)(start.agent.as_deref()) else {
        refuse_saying(start, ErrorCode::AgentUnavailable, "There is no agent of this name.");
        return None;
    };
    let runs = Arc::clone(&held.runs);
    let read = async {
        match runs.journal.knows_run(&start.key, &start.run).await? {
            true => Ok(None),
            false => runs.journal.snapshot(&start.key).await.map(Some),
        }
    };
    let messages = match read.await {
        Ok(None) => return None,
        Ok(Some(snapshot)) => with_new_messages(snapshot, &mut start.input),
        Err(error) => {
            refuse_unwritten(start, &error);
            return None;
        }
    };
    held.has_started();
    let started = events::started(&start.key, &start.run, &start.input);
    if let Err(error) = runs.journal.append(&start.key, vec![started]).await {
        refuse_unwritten(start, &error);
        return None;
    }
    tracing::debug!(key = %start.key, run = %start.run, "run started");
    Some((agent, messages))
}

fn refuse_unwritten(start: &StartRun, error: &JournalError) {
    tracing::warn!(key = %start.key, run = %start.run, %error, "a run could not be started");
    refuse_saying(start, ErrorCode::Internal, "The conversation cannot be written at the moment.");
}

/// Leaves in `input` the messages that the thread does not know, each once, and returns all of them in order.
fn with_new_messages(snapshot: Snapshot, input: &mut RunInput) -> Vec<Arc<Message>> {
    let mut messages = snapshot.messages;
    let mut new: HashSet<&str> = input.messages.iter().map(|message| message.id.as_str()).collect();
    for known in &messages {
        new.remove(known.id.as_str());
    }
    let is_new: Vec<bool> = input.messages.iter().map(|message| new.remove(message.id.as_str())).collect();
    let mut is_new = is_new.into_iter();
    input.messages.retain(|_| is_new.next() == Some(true));
    messages.extend(input.messages.iter().cloned().map(Arc::new));
    messages
}

fn panicked() -> AgentError {
    AgentError { code: "internal".to_owned(), message: "The agent failed unexpectedly.".to_owned(), retry_after: None }
}

fn cut_off() -> AgentError {
    AgentError {
        code: "agent_eof".to_owned(),
        message: "The agent's answer ended in the middle.".to_owned(),
        retry_after: None,
    }
}

impl Run<'_> {
    fn key(&self) -> &SessionKey {
        &self.held.key
    }

    fn id(&self) -> &RunId {
        &self.held.run
    }

    /// Asks the agent and appends what it says until something ends the run. An agent that goes quiet ends its stream
    /// itself: every configured one stands under the deadlines of `[agents]`. What was said before the end may still be
    /// in `ready`.
    async fn drive(&mut self, agent: &dyn Agent, request: RunRequest, ending: &Ending) -> End {
        let mut stream = agent.run(request);
        loop {
            let end = tokio::select! {
                biased;
                why = ending.ordered() => Some(End::Ordered(why)),
                end = self.gather(&mut stream) => end,
            };
            if let Some(end) = end {
                return end;
            }
            if let Err(error) = self.append_ready().await {
                return End::JournalFailed(error);
            }
            // An agent that never makes us wait must not keep a worker from everybody else.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Takes what the agent has ready, at least one event, or its end.
    async fn gather(&mut self, stream: &mut EventStream) -> Option<End> {
        poll_fn(|context| {
            while self.ready.len() < BATCH {
                match stream.poll_next_unpin(context) {
                    Poll::Ready(Some(Ok(event))) => match event.kind() {
                        // Ours stands already.
                        "RUN_STARTED" => {}
                        "RUN_FINISHED" | "RUN_ERROR" => return Poll::Ready(Some(End::Said(event))),
                        _ => {
                            let event = events::with_our_ids(event, &self.held.key, &self.held.run);
                            self.ready.push(event);
                        }
                    },
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(End::Failed(error))),
                    Poll::Ready(None) => return Poll::Ready(Some(End::Failed(cut_off()))),
                    Poll::Pending if self.ready.is_empty() => return Poll::Pending,
                    Poll::Pending => break,
                }
            }
            Poll::Ready(None)
        })
        .await
    }

    async fn append_ready(&mut self) -> Result<(), JournalError> {
        let events = std::mem::take(&mut self.ready);
        let entries = self.journal.append(self.key(), events).await?;
        for entry in &entries {
            self.open.follow(&entry.event);
        }
        Ok(())
    }

    /// Writes the end: what is ready, what closes the rest, the terminal event. Where the log does not take all of it,
    /// the end alone.
    async fn finish(mut self, end: End) {
        let (terminal, ready) = match end {
            End::Said(event) => (events::with_our_ids(event, self.key(), self.id()), true),
            End::Failed(error) => {
                tracing::info!(key = %self.key(), run = %self.id(), %error, "run failed");
                (events::failed(&error), true)
            }
            End::Ordered(Why::Stopped) => (events::cancelled(self.key(), self.id()), true),
            End::Ordered(Why::GatewayStopping) => (events::failed(&stopping()), true),
            End::JournalFailed(error) => {
                tracing::warn!(key = %self.key(), run = %self.id(), %error, "run cut short");
                (events::failed(&unwritten()), false)
            }
        };
        self.held.is_ending();
        let ready = if ready { std::mem::take(&mut self.ready) } else { Vec::new() };
        let mut open = self.open.clone();
        ready.iter().for_each(|event| open.follow(event));
        let whole = ready.into_iter().chain(open.closers()).chain([terminal]).collect();
        let closed = || self.open.closers().chain([events::failed(&unwritten())]).collect();
        let alone = || vec![events::failed(&unwritten())];
        if self.try_end(whole).await || self.try_end(closed()).await || self.try_end(alone()).await {
            tracing::debug!(key = %self.key(), run = %self.id(), "run ended");
        } else {
            tracing::error!(key = %self.key(), run = %self.id(), "a run has no end in the log");
        }
    }

    async fn try_end(&self, events: Vec<Event>) -> bool {
        self.journal.append(self.key(), events).await.is_ok()
    }
}

fn stopping() -> AgentError {
    AgentError {
        code: "gateway_stopping".to_owned(),
        message: "The gateway stopped before the answer was complete.".to_owned(),
        retry_after: None,
    }
}

fn unwritten() -> AgentError {
    AgentError {
        code: "internal".to_owned(),
        message: "The answer could not be written any further.".to_owned(),
        retry_after: None,
    }
}
