//! An agent whose answers are timed and counted.
//!
//! ```text
//! run --> Observed( guard( deadline( backend ))) --events--> run
//!            '--first event after, what became of it--> metrics
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::time::Instant;

use super::{Agent, AgentError, EventStream, RunRequest};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::AgentOutcome;
use crate::wire::event::Event;

/// Around an agent of the configuration, which does all the work.
pub struct Observed {
    agent: Arc<dyn Agent>,
    name: Arc<str>,
    metrics: Arc<Metrics>,
}

impl Observed {
    /// Tells `metrics`, which have to know an agent of this name.
    #[must_use]
    pub fn new(agent: Arc<dyn Agent>, name: Arc<str>, metrics: Arc<Metrics>) -> Self {
        Self { agent, name, metrics }
    }
}

impl Agent for Observed {
    fn run(&self, request: RunRequest) -> EventStream {
        let (name, metrics) = (Arc::clone(&self.name), Arc::clone(&self.metrics));
        // Before the agent is asked: should that panic, the answer counts as failed.
        let mut answer = Answer {
            events: None,
            asked: Instant::now(),
            has_begun: false,
            outcome: AgentOutcome::Failed,
            name,
            metrics,
        };
        answer.events = Some(self.agent.run(request));
        answer.outcome = AgentOutcome::Stopped;
        Box::pin(answer)
    }
}

/// An answer as it comes; counted when it is dropped, because that is how every one of them ends.
struct Answer {
    events: Option<EventStream>,
    asked: Instant,
    has_begun: bool,
    /// What it would be if it ended now.
    outcome: AgentOutcome,
    name: Arc<str>,
    metrics: Arc<Metrics>,
}

impl Stream for Answer {
    type Item = Result<Event, AgentError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        let next = ready!(events.as_mut().poll_next(cx));
        match &next {
            Some(Ok(event)) => {
                if !std::mem::replace(&mut self.has_begun, true) {
                    self.metrics.on_first_event(&self.name, self.asked.elapsed());
                }
                match event.kind() {
                    "RUN_FINISHED" => self.outcome = AgentOutcome::Done,
                    "RUN_ERROR" => self.outcome = AgentOutcome::Error,
                    _ => {}
                }
            }
            Some(Err(error)) => self.outcome = outcome_of(&error.code),
            // It was finished before, or it ended in the middle.
            None if self.outcome == AgentOutcome::Stopped => self.outcome = AgentOutcome::Failed,
            None => {}
        }
        Poll::Ready(next)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.metrics.on_agent_run(&self.name, self.outcome);
    }
}

/// The codes are those of `Failure`; a status that a backend chose is one of many, and no word of ours.
fn outcome_of(code: &str) -> AgentOutcome {
    match code {
        "agent_timeout" => AgentOutcome::Timeout,
        "agent_unavailable" => AgentOutcome::Unavailable,
        "agent_busy" => AgentOutcome::Busy,
        "agent_error" => AgentOutcome::Error,
        _ => AgentOutcome::Failed,
    }
}
