//! The trace of one run: what is noted while it is under way, and told when it is over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lychgate_core::{ConnectionId, RunId, SessionKey};
use tokio::time::Instant;

use super::{Context, InFlight, Kind, Parent, Span, SpanId, Traces, child, lock};

/// Characters of the word of a failure: an agent may have made it up.
const MAX_WORD_CHARS: usize = 64;

/// One run under way. Dropping it tells its spans; without an [`RunTrace::ended`] before, as a run that was given up.
#[derive(Debug)]
pub struct RunTrace {
    traces: Arc<Traces>,
    key: SessionKey,
    run: RunId,
    agent: Box<str>,
    /// The connection that asked for it.
    parent: SpanId,
    context: Context,
    /// The request to the agent.
    asks: Context,
    /// What goes along with it.
    state: Option<Box<str>>,
    began: SystemTime,
    asked: Option<SystemTime>,
    first_event: Option<SystemTime>,
    answered: Option<SystemTime>,
    appends: Appends,
    outcome: Option<&'static str>,
    failed: Option<String>,
}

/// All appends of a run: a span for each would be one per token.
#[derive(Debug, Default)]
struct Appends {
    first: Option<SystemTime>,
    last: Option<SystemTime>,
    count: u64,
    events: u64,
    total: Duration,
    longest: Duration,
    failed: u64,
}

impl Traces {
    /// What a run has to know that this connection asks for; none where nothing is traced.
    #[must_use]
    pub fn asker(self: &Arc<Self>, connection: ConnectionId) -> Option<Box<Asker>> {
        let parent = self.of(connection)?;
        Some(Box::new(Asker { traces: Arc::clone(self), parent }))
    }
}

/// Who asks for a run.
#[derive(Debug)]
pub struct Asker {
    traces: Arc<Traces>,
    parent: Parent,
}

impl Asker {
    /// The run begins.
    #[must_use]
    pub fn begin(self, key: &SessionKey, run: &RunId, agent: &str) -> Box<RunTrace> {
        let Self { traces, parent: Parent { context: by, state } } = self;
        let context = child(by);
        if context.sampled {
            lock(&traces.runs).insert(key.clone(), InFlight { context, links: Vec::new() });
        }
        Box::new(RunTrace {
            traces,
            key: key.clone(),
            run: run.clone(),
            agent: agent.into(),
            parent: by.span,
            context,
            asks: child(context),
            state,
            began: SystemTime::now(),
            asked: None,
            first_event: None,
            answered: None,
            appends: Appends::default(),
            outcome: None,
            failed: None,
        })
    }
}

impl RunTrace {
    /// The run's own span, for its log lines.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context
    }

    /// The agent is asked now; what it is told of this trace. It hears of a trace that is not kept as well, so that it
    /// does not keep its own part of it either.
    pub fn asks(&mut self) -> Parent {
        self.asked = Some(SystemTime::now());
        Parent { context: self.asks, state: self.state.clone() }
    }

    /// The agent said something.
    pub fn hears(&mut self) {
        self.first_event.get_or_insert_with(SystemTime::now);
    }

    /// So many events went to the journal, since then; whether it took them.
    pub fn appended(&mut self, events: usize, since: Instant, is_taken: bool) {
        let (took, now) = (since.elapsed(), SystemTime::now());
        let appends = &mut self.appends;
        appends.first.get_or_insert_with(|| now.checked_sub(took).unwrap_or(now));
        appends.last = Some(now);
        appends.count += 1;
        appends.total += took;
        appends.longest = appends.longest.max(took);
        match is_taken {
            true => appends.events += events as u64,
            false => appends.failed += 1,
        }
    }

    /// Nobody listens to the agent any more: how the run ends, as a word, and where it failed the word of the failure.
    pub fn ended(&mut self, outcome: &'static str, failed: Option<&str>) {
        self.answered = Some(SystemTime::now());
        self.outcome = Some(outcome);
        self.failed = failed.map(|word| word.chars().take(MAX_WORD_CHARS).collect());
    }

    fn agent_span(&self) -> Option<Span> {
        let mut span = Span::within("agent", self.asks, self.context.span, self.asked?).with("agent", &*self.agent);
        span.kind = Kind::Client;
        span.end = self.answered.unwrap_or(span.end);
        span.moments.extend(self.first_event.map(|at| ("first_event", at)));
        span.failed = self.failed.clone();
        Some(span)
    }

    fn journal_span(&self) -> Option<Span> {
        let Appends { first, last, count, events, total, longest, failed } = &self.appends;
        let mut span = Span::within("journal", child(self.context), self.context.span, (*first)?)
            .with("appends", *count)
            .with("events", *events)
            .with("total_ms", *total)
            .with("longest_ms", *longest);
        span.end = last.unwrap_or(span.end);
        if *failed > 0 {
            span.attributes.push(("failed_appends", (*failed).into()));
            span.failed = Some("journal_unavailable".to_owned());
        }
        Some(span)
    }
}

impl Drop for RunTrace {
    fn drop(&mut self) {
        if !self.context.sampled {
            return;
        }
        let in_flight = lock(&self.traces.runs).remove(&self.key);
        [self.agent_span(), self.journal_span()].into_iter().flatten().for_each(|span| self.traces.tell(span));
        let mut span = Span::within("run", self.context, self.parent, self.began)
            .of_session(&self.key)
            .with("run", self.run.as_str())
            .with("agent", &*self.agent)
            .with("outcome", self.outcome.unwrap_or("given_up"));
        span.failed = self.failed.take();
        span.links = in_flight.map(|run| run.links).unwrap_or_default();
        self.traces.tell(span);
    }
}
