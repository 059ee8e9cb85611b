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

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use serde_json::json;

    use super::*;
    use crate::agent::failure::{Failure, Late};
    use crate::agent::tests::request;
    use crate::telemetry::Population;

    /// Says these, and then nothing more, or nothing for ever.
    struct Says(Vec<Result<&'static str, Failure>>, bool);

    impl Agent for Says {
        fn run(&self, _request: RunRequest) -> EventStream {
            let event = |kind: &&str| Event::build(&json!({ "type": kind }));
            let said: Vec<_> =
                self.0.iter().map(|said| said.as_ref().map(event).map_err(|failure| failure.clone().into())).collect();
            match self.1 {
                true => Box::pin(stream::iter(said).chain(stream::pending())),
                false => Box::pin(stream::iter(said)),
            }
        }
    }

    /// The word of an answer that says this, is read to its end or for three events, and dropped.
    async fn outcome(said: Vec<Result<&'static str, Failure>>, goes_on: bool) -> (String, u64) {
        let metrics = Arc::new(Metrics::with_agents(["demo"]));
        let most = said.len() + usize::from(!goes_on);
        let observed = Observed::new(Arc::new(Says(said, goes_on)), "demo".into(), Arc::clone(&metrics));
        let mut answer = observed.run(request("hello"));
        for _ in 0..most {
            answer.next().await;
        }
        drop(answer);
        let text = metrics.encode(&Population::default());
        let counted = text.lines().filter_map(|line| {
            line.strip_prefix("lychgate_agent_runs_total{agent=\"demo\",outcome=\"")?.strip_suffix("\"} 1")
        });
        let counted: Vec<_> = counted.collect();
        assert_eq!(counted.len(), 1, "an answer is counted once: {text}");
        let begun = text
            .lines()
            .find_map(|line| line.strip_prefix("lychgate_agent_first_event_seconds_count{agent=\"demo\"} "));
        (counted[0].to_owned(), begun.unwrap().parse().unwrap())
    }

    #[tokio::test]
    async fn an_answer_is_counted_once_by_what_became_of_it() {
        let failed = |failure| vec![Ok("STEP_STARTED"), Err(failure)];
        let cases = [
            ("done", 1, vec![Ok("STEP_STARTED"), Ok("RUN_FINISHED")], false),
            ("error", 1, vec![Ok("RUN_ERROR")], false),
            ("failed", 1, vec![Ok("STEP_STARTED")], false),
            ("failed", 0, vec![], false),
            ("failed", 1, failed(Failure::Cut), false),
            ("timeout", 1, failed(Failure::Late(Late::Next)), false),
            ("unavailable", 0, vec![Err(Failure::Unreachable)], false),
            ("busy", 0, vec![Err(Failure::Busy { retry_after: std::time::Duration::ZERO })], false),
            ("failed", 0, vec![Err(Failure::Status { status: 429, retry_after: None, said: None })], false),
            ("stopped", 1, vec![Ok("STEP_STARTED")], true),
        ];
        for (word, begun, said, goes_on) in cases {
            assert_eq!(outcome(said, goes_on).await, (word.to_owned(), begun));
        }
    }
}
