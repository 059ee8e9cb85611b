//! One run, from its claim to its terminal event.

use std::collections::HashSet;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

use futures_util::{FutureExt, StreamExt};
use lychgate_core::{RunId, SessionKey};
use tokio::time::Instant;

use super::attendance::Attendance;
use super::claim::Held;
use super::end::{End, cut_off, panicked};
use super::open_items::OpenItems;
use super::orders::{Orders, Why};
use super::publish::MAX_WAITING;
use super::{StartRun, events, refuse_saying, say_ended};
use crate::agent::{Agent, EventStream, RunRequest};
use crate::close::ErrorCode;
use crate::journal::{Journal, JournalError, Snapshot};
use crate::telemetry::logs::{self, RunStep};
use crate::telemetry::traces::{Context, RunTrace};
use crate::wire::event::Event;
use crate::wire::{Message, RunInput};

/// Events that are ready at once and go into one append, at most.
const BATCH: usize = 64;

/// A run whose RUN_STARTED is in the log.
pub(super) struct Run<'a> {
    pub(super) held: &'a Held,
    pub(super) id: RunId,
    /// The offset of its RUN_STARTED.
    pub(super) started_at: u64,
    /// When it was accepted.
    pub(super) began: Instant,
    pub(super) journal: &'a dyn Journal,
    /// What is open in the log.
    pub(super) open: OpenItems,
    /// Events that the agent gave and the log has not taken yet; outside of the future that may panic.
    pub(super) ready: Vec<Event>,
    /// Told when it is dropped.
    pub(super) trace: Option<Box<RunTrace>>,
    /// Its span, for its log lines.
    pub(super) span: Option<Context>,
}

/// What a run does next.
enum Turn {
    /// Append what its agent said.
    Gathered,
    /// Append what was published.
    Published,
    /// End.
    Over(End),
}

/// The task of a run.
pub(super) async fn run(mut held: Held, mut start: StartRun, orders: Arc<Orders>) {
    let Some(Accepted { agent, messages, started_at, mut trace }) = accept(&mut held, &mut start, &orders).await else {
        return;
    };
    let id = start.run.clone();
    let asks = trace.as_mut().map(|trace| trace.asks());
    let (key, plan, run, input) = (start.key, start.plan, start.run, start.input);
    let request = RunRequest { key, plan, run, messages, input, trace: asks };
    drop(start.reply);
    let runs = Arc::clone(&held.runs);
    let (open, ready, began) = (OpenItems::default(), Vec::new(), Instant::now());
    let span = trace.as_ref().map(|trace| trace.context());
    let journal = &*runs.journal;
    let mut run = Run { held: &held, id, started_at, began, journal, open, ready, trace, span };
    let end = AssertUnwindSafe(run.drive(&*agent, request, &orders)).catch_unwind().await;
    run.finish(end.unwrap_or_else(|_| End::Failed(panicked()))).await;
}

/// Everything before the agent is asked: find it, know the run, read the thread, append RUN_STARTED. None when there is
/// nothing to do, or the client was told why not.
async fn accept(held: &mut Held, start: &mut StartRun, orders: &Orders) -> Option<Accepted> {
    let (name, agent) = match held.runs.agent(start.agent.as_deref(), start.agents.as_deref()) {
        Ok(agent) => agent,
        Err(none) => {
            refuse_saying(start, orders, none.code(), &none.to_string());
            return None;
        }
    };
    let runs = Arc::clone(&held.runs);
    let read = async {
        match runs.journal.knows_run(&start.key, &start.run).await? {
            true => Ok(None),
            false => runs.journal.snapshot(&start.key).await.map(Some),
        }
    };
    let messages = match read.await {
        Ok(None) => {
            say_ended(start, orders);
            return None;
        }
        Ok(Some(snapshot)) => with_new_messages(snapshot, &mut start.input),
        Err(error) => {
            refuse_unwritten(start, orders, &error);
            return None;
        }
    };
    held.has_started(&start.run);
    let mut trace = start.trace.take().map(|asker| asker.begin(&start.key, &start.run, &name));
    let started = events::started(&start.key, &start.run, &start.input);
    let appending = Instant::now();
    let appended = runs.journal.append(&start.key, vec![started]).await;
    trace.iter_mut().for_each(|trace| trace.appended(1, appending, appended.is_ok()));
    let started_at = match appended {
        Ok(entries) => entries.first().map_or(0, |entry| entry.offset),
        Err(error) => {
            refuse_unwritten(start, orders, &error);
            return None;
        }
    };
    // RUN_STARTED is the answer to everybody.
    drop(orders.askers());
    logs::run(RunStep::Started, &start.key, &start.run, trace.as_ref().map(|trace| trace.context()));
    Some(Accepted { agent, messages, started_at, trace })
}

/// A run whose RUN_STARTED is in the log.
struct Accepted {
    agent: Arc<dyn Agent>,
    /// The whole thread, the new messages last.
    messages: Vec<Arc<Message>>,
    started_at: u64,
    trace: Option<Box<RunTrace>>,
}

fn refuse_unwritten(start: &StartRun, orders: &Orders, error: &JournalError) {
    logs::run(RunStep::Refused(error), &start.key, &start.run, None);
    refuse_saying(start, orders, ErrorCode::Internal, "The conversation cannot be written at the moment.");
}

/// Leaves in `input` the messages that the thread does not know, each once and without nulls, and returns all of them in
/// order.
fn with_new_messages(snapshot: Snapshot, input: &mut RunInput) -> Vec<Arc<Message>> {
    let mut messages = snapshot.messages;
    let mut new: HashSet<&str> = input.messages.iter().map(|message| message.id.as_str()).collect();
    for known in &messages {
        new.remove(known.id.as_str());
    }
    let is_new: Vec<bool> = input.messages.iter().map(|message| new.remove(message.id.as_str())).collect();
    let mut is_new = is_new.into_iter();
    input.messages.retain(|_| is_new.next() == Some(true));
    // A field that is null is one that is not there: AG-UI's own client refuses the null, in every tab, at every resume.
    input.messages.iter_mut().for_each(|message| message.rest.retain(|_, value| !value.is_null()));
    messages.extend(input.messages.iter().cloned().map(Arc::new));
    messages
}

impl Run<'_> {
    pub(super) fn key(&self) -> &SessionKey {
        &self.held.key
    }

    pub(super) fn id(&self) -> &RunId {
        &self.id
    }

    /// Asks the agent and appends what it says until something ends the run. An agent that goes quiet ends its stream
    /// itself: every configured one stands under the deadlines of `[agents]`. What was said before the end may still be
    /// in `ready`.
    async fn drive(&mut self, agent: &dyn Agent, request: RunRequest, orders: &Orders) -> End {
        let mut stream = agent.run(request);
        let mut attendance = Attendance::new(&self.held.runs, &self.held.key);
        loop {
            let turn = tokio::select! {
                biased;
                why = orders.ordered() => Turn::Over(End::Ordered(why)),
                () = attendance.is_over() => Turn::Over(End::Ordered(Why::Detached)),
                turn = self.turn(&mut stream, orders) => turn,
            };
            match turn {
                Turn::Over(end) => return end,
                Turn::Published => self.append_published(orders).await,
                Turn::Gathered => {
                    if let Err(error) = self.append_ready().await {
                        return End::JournalFailed(error);
                    }
                }
            }
            // An agent that never makes us wait must not keep a worker from everybody else.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// What comes first, in no fixed order: a backend that never stops publishing must not silence the agent.
    async fn turn(&mut self, stream: &mut EventStream, orders: &Orders) -> Turn {
        tokio::select! {
            () = orders.rung() => Turn::Published,
            end = self.gather(stream) => end.map_or(Turn::Gathered, Turn::Over),
        }
    }

    /// Takes what the agent has ready, at least one event, or its end.
    async fn gather(&mut self, stream: &mut EventStream) -> Option<End> {
        poll_fn(|context| {
            while self.ready.len() < BATCH {
                match stream.poll_next_unpin(context) {
                    Poll::Ready(Some(Ok(event))) => match self.heard(&event).kind() {
                        // Ours stands already.
                        "RUN_STARTED" => {}
                        "RUN_FINISHED" | "RUN_ERROR" => return Poll::Ready(Some(End::Said(event))),
                        _ => {
                            let event = events::with_our_ids(event, &self.held.key, &self.id);
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

    /// Notes when the agent's answer began.
    fn heard<'e>(&mut self, event: &'e Event) -> &'e Event {
        self.trace.iter_mut().for_each(|trace| trace.hears());
        event
    }

    async fn append_published(&self, orders: &Orders) {
        for _ in 0..MAX_WAITING {
            match self.held.next_publication() {
                Some(publication) => publication.append(self.journal).await,
                None => return,
            }
        }
        orders.ring();
    }

    async fn append_ready(&mut self) -> Result<(), JournalError> {
        let events = std::mem::take(&mut self.ready);
        let (count, appending) = (events.len(), self.trace.as_ref().map(|_| Instant::now()));
        let appended = self.journal.append(self.key(), events).await;
        if let (Some(trace), Some(since)) = (&mut self.trace, appending) {
            trace.appended(count, since, appended.is_ok());
        }
        let entries = appended?;
        for entry in &entries {
            self.open.follow(&entry.event);
        }
        Ok(())
    }
}
