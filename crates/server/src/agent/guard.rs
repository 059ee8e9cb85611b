//! What a backend is spared, and what we are spared of it: a bound on runs at once, and a breaker.
//!
//! ```text
//! run --as many as may be?--> agent_busy      --down?--> agent_unavailable      --> the agent
//! ```
//!
//! Both refuse at once and say when to come back. Nobody waits in a queue here: it would have to be bounded too, and a
//! person who waits in it sees nothing.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::breaker::{Breaker, BreakerState, Leave, Verdict, spread};
use super::failure::Failure;
use super::{Agent, AgentError, EventStream, LastError, RunRequest};
use crate::config::agents as config;
use crate::wire::event::Event;
use crate::wire::unix_ms;

/// When to come back to an agent that is busy, give or take a fifth.
const BUSY: Duration = Duration::from_secs(2);

/// Characters of an agent's own words that are kept of its last failure.
const MAX_REPORTED: usize = 512;

/// An agent that is asked only while it is up and has room.
pub(super) struct Guarded {
    agent: Arc<dyn Agent>,
    room: Arc<Semaphore>,
    max: usize,
    gauge: Arc<Gauge>,
}

/// The breaker of one agent, its name for the log, and what it failed with last.
struct Gauge {
    name: String,
    breaker: Mutex<Breaker>,
    last_error: Mutex<Option<LastError>>,
}

impl Guarded {
    /// At most `max` runs at once.
    pub(super) fn new(name: &str, agent: Arc<dyn Agent>, max: usize, breaker: config::Breaker) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        let gauge =
            Gauge { name: name.to_owned(), breaker: Mutex::new(Breaker::new(breaker)), last_error: Mutex::default() };
        Self { agent, room: Arc::new(Semaphore::new(max)), max, gauge: Arc::new(gauge) }
    }

    pub(super) fn state(&self) -> BreakerState {
        self.gauge.lock().state()
    }

    /// Whether a run that came now would ask the agent.
    pub(super) fn would_ask(&self) -> bool {
        self.gauge.lock().would_ask(Instant::now())
    }

    /// How long it is spared still, while it counts as down.
    pub(super) fn opens_for(&self) -> Option<Duration> {
        self.gauge.lock().opens_for(Instant::now())
    }

    /// What it failed with last; what it was not asked for, because it was busy or spared, is none of its failures.
    pub(super) fn last_error(&self) -> Option<LastError> {
        self.gauge.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As if the agent had never failed.
    pub(super) fn restart(&self) {
        self.gauge.restart();
    }

    /// Runs whose stream has not been dropped.
    pub(super) fn in_flight(&self) -> usize {
        self.max - self.room.available_permits()
    }
}

impl Agent for Guarded {
    fn run(&self, request: RunRequest) -> EventStream {
        let refuse = |failure: Failure| -> EventStream { Box::pin(stream::iter([Err(failure.into())])) };
        let Ok(place) = self.room.clone().try_acquire_owned() else {
            return refuse(Failure::Busy { retry_after: spread(BUSY) });
        };
        let leave = match self.gauge.ask() {
            Ok(leave) => leave,
            Err(wait) => return refuse(Failure::Down { retry_after: wait }),
        };
        // Before the agent is asked: should that panic, the drop tells that nothing is known.
        let mut watched =
            Watched { events: Box::pin(stream::empty()), told: None, leave, gauge: self.gauge.clone(), _place: place };
        watched.events = self.agent.run(request);
        Box::pin(watched)
    }
}

impl Gauge {
    fn lock(&self) -> MutexGuard<'_, Breaker> {
        // Each change is made in one step, so that a breaker is whole whoever panicked.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) -> Result<Leave, Duration> {
        self.change(|breaker| breaker.ask(Instant::now()))
    }

    fn restart(&self) {
        self.change(Breaker::restart);
    }

    fn failed(&self, error: &AgentError) {
        let last = LastError { unix_ms: unix_ms(), error: error.clone() };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    fn hear(&self, leave: Leave, verdict: Verdict) {
        self.change(|breaker| breaker.hear(leave, verdict, Instant::now()));
    }

    /// Changes the breaker and tells the log if its state is another one now.
    fn change<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.lock();
        let before = breaker.state();
        let result = change(&mut breaker);
        let state = breaker.state();
        drop(breaker);
        let agent = self.name.as_str();
        if state != before {
            match state {
                BreakerState::Open => tracing::warn!(agent, "an agent counts as down and is not asked for a while"),
                BreakerState::Probing => tracing::info!(agent, "one run tries whether an agent is back"),
                BreakerState::Closed => tracing::info!(agent, "an agent is back"),
            }
        }
        result
    }
}

/// The answer, until the breaker has heard what it says of the backend.
struct Watched {
    events: EventStream,
    told: Option<Verdict>,
    leave: Leave,
    gauge: Arc<Gauge>,
    /// Given back when this is dropped.
    _place: OwnedSemaphorePermit,
}

impl Watched {
    /// The first thing that is known about a backend counts: one that fails in the middle of an answer was up.
    fn tell(&mut self, verdict: Verdict) {
        if self.told.is_none() {
            self.told = Some(verdict);
            self.gauge.hear(self.leave, verdict);
        }
    }
}

impl Stream for Watched {
    type Item = Result<Event, AgentError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.events.as_mut().poll_next(cx));
        match &next {
            Some(Err(error)) => self.gauge.failed(error),
            Some(Ok(event)) if event.kind() == "RUN_ERROR" => self.gauge.failed(&reported(event)),
            Some(Ok(_)) | None => {}
        }
        self.tell(match &next {
            Some(Err(error)) if says_down(error) => Verdict::Down,
            Some(Ok(_) | Err(_)) | None => Verdict::Up,
        });
        Poll::Ready(next)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tell(Verdict::Unknown);
    }
}

/// What an agent said itself of its failure, cut: it is told to its user as well.
fn reported(event: &Event) -> AgentError {
    let said: Reported = serde_json::from_str(event.json().get()).unwrap_or_default();
    let cut = |text: Option<String>| text.map(|text| text.chars().take(MAX_REPORTED).collect::<String>());
    AgentError {
        code: cut(said.code).unwrap_or_else(|| "agent_error".to_owned()),
        message: cut(said.message).unwrap_or_else(|| "The agent reported an error.".to_owned()),
        retry_after: None,
    }
}

#[derive(Default, Deserialize)]
struct Reported {
    code: Option<String>,
    message: Option<String>,
}

/// Whether an error in place of an answer says that the backend is down. What it refuses (4xx) it refuses because it is up.
fn says_down(error: &AgentError) -> bool {
    let status = error.code.strip_prefix("agent_http_");
    matches!(error.code.as_str(), "agent_unavailable" | "agent_timeout") || status.is_some_and(|it| it.starts_with('5'))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::{StreamExt, future};

    use super::*;
    use crate::agent::failure::Late;
    use crate::agent::tests::request;
    use crate::agent::{deadline::Deadline, emit};

    /// Answers every run with the same, and counts how often it was asked.
    struct Fake {
        asked: AtomicUsize,
        answer: Mutex<Answer>,
    }

    #[derive(Clone)]
    enum Answer {
        Fails(Failure),
        Begins,
        Says(Failure),
        Silent,
        Panics,
    }

    impl Agent for Fake {
        fn run(&self, _request: RunRequest) -> EventStream {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let begun = || Ok(emit::text_start("m"));
            match self.answer.lock().unwrap().clone() {
                Answer::Fails(failure) => Box::pin(stream::iter([Err(failure.into())])),
                Answer::Begins => Box::pin(stream::iter([begun()]).chain(stream::pending())),
                Answer::Says(failure) => Box::pin(stream::iter([begun(), Err(failure.into())])),
                Answer::Silent => Box::pin(stream::pending()),
                Answer::Panics => panic!("on purpose"),
            }
        }
    }

    struct World {
        fake: Arc<Fake>,
        guarded: Guarded,
    }

    fn world(max: usize, answer: Answer) -> World {
        let fake = Arc::new(Fake { asked: AtomicUsize::new(0), answer: Mutex::new(answer) });
        let wait = Duration::from_secs(30);
        let agent = Arc::new(Deadline::new(fake.clone(), wait, wait));
        World { fake, guarded: Guarded::new("fake", agent, max, config::Breaker::default()) }
    }

    impl World {
        fn run(&self) -> EventStream {
            self.guarded.run(request("hello"))
        }

        /// The first thing that a run gives.
        async fn first(&self) -> Result<String, AgentError> {
            self.run().next().await.unwrap().map(|event| event.kind().to_owned())
        }

        fn answers(&self, answer: Answer) {
            *self.fake.answer.lock().unwrap() = answer;
        }

        fn asked(&self) -> usize {
            self.fake.asked.load(Ordering::SeqCst)
        }

        async fn fail(&self, times: usize) {
            for _ in 0..times {
                self.first().await.unwrap_err();
            }
        }
    }

    fn status(status: u16) -> Failure {
        Failure::Status { status, retry_after: None, said: None }
    }

    #[tokio::test]
    async fn one_run_too_many_is_told_at_once_when_to_come_back_and_a_dropped_one_makes_room() {
        let world = world(2, Answer::Begins);
        let (one, two) = (world.run(), world.run());
        assert_eq!(world.guarded.in_flight(), 2);
        let error = world.first().await.unwrap_err();
        assert_eq!((error.code.as_str(), world.asked()), ("agent_busy", 2));
        assert!((1..=3).contains(&error.retry_after.unwrap().as_secs()), "{error:?}");
        drop(one);
        assert!(world.first().await.is_ok());
        drop(two);
        assert_eq!(world.guarded.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_is_down_is_not_asked_until_one_run_has_tried() {
        for failure in [Failure::Unreachable, Failure::HungUp, Failure::Late(Late::Connect), status(500), status(503)] {
            let world = world(8, Answer::Fails(failure));
            world.fail(5).await;
            assert_eq!((world.guarded.state(), world.asked()), (BreakerState::Open, 5));
            let error = world.first().await.unwrap_err();
            assert_eq!((error.code.as_str(), world.asked()), ("agent_unavailable", 5));
            tokio::time::advance(error.retry_after.unwrap()).await;
            world.answers(Answer::Begins);
            assert!(world.first().await.is_ok());
            assert_eq!((world.guarded.state(), world.asked()), (BreakerState::Closed, 6));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_nobody_asks_counts_as_down_no_longer_than_it_is_spared() {
        let world = world(8, Answer::Fails(Failure::Unreachable));
        world.fail(5).await;
        assert!(!world.guarded.would_ask());
        tokio::time::advance(Duration::from_secs(13)).await;
        assert!(world.guarded.would_ask());
        assert_eq!(world.asked(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_does_not_begin_in_time_counts_as_down() {
        let world = world(8, Answer::Silent);
        for run in future::join_all((0..5).map(|_| world.first())).await {
            assert_eq!(run.unwrap_err().code, "agent_timeout");
        }
        assert_eq!(world.guarded.state(), BreakerState::Open);
    }

    #[tokio::test]
    async fn a_backend_that_refuses_or_fails_while_it_answers_is_up() {
        let answers = [
            Answer::Fails(status(400)),
            Answer::Fails(status(429)),
            Answer::Fails(Failure::BadStream("is odd")),
            Answer::Fails(Failure::Reported { said: None }),
            Answer::Says(Failure::Late(Late::Next)),
            Answer::Says(Failure::Cut),
        ];
        for answer in answers {
            let world = world(8, answer);
            for _ in 0..20 {
                let _all: Vec<_> = world.run().collect().await;
            }
            assert_eq!((world.guarded.state(), world.asked()), (BreakerState::Closed, 20));
        }
    }

    #[tokio::test]
    async fn a_run_that_is_stopped_or_panics_says_nothing_of_the_backend() {
        let world = world(8, Answer::Silent);
        for _ in 0..20 {
            drop(world.run());
        }
        world.answers(Answer::Panics);
        for _ in 0..20 {
            let run = std::panic::AssertUnwindSafe(|| world.run());
            assert!(std::panic::catch_unwind(run).is_err());
        }
        assert_eq!((world.guarded.state(), world.guarded.in_flight()), (BreakerState::Closed, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_stopped_leaves_the_next_run_to_try() {
        let world = world(8, Answer::Fails(Failure::Unreachable));
        world.fail(5).await;
        world.answers(Answer::Silent);
        tokio::time::advance(Duration::from_secs(13)).await;
        let trial = world.run();
        assert_eq!(world.guarded.state(), BreakerState::Probing);
        assert_eq!(world.first().await.unwrap_err().code, "agent_unavailable");
        drop(trial);
        world.answers(Answer::Begins);
        assert!(world.first().await.is_ok());
        assert_eq!(world.guarded.state(), BreakerState::Closed);
    }
}
