//! Deadlines that hold for every backend: one to the first event, one between two events.
//!
//! A backend that goes quiet would otherwise hold its run, and with it the thread, for ever (R18). Only events count:
//! keep-alive comments of a server are no answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::time::{Sleep, sleep};

use super::failure::{Failure, Late};
use super::{Agent, AgentError, EventStream, RunRequest};
use crate::wire::event::Event;

/// An agent whose silence ends in `agent_timeout`; the work is cancelled at that moment.
pub(super) struct Deadline {
    agent: Arc<dyn Agent>,
    first: Duration,
    idle: Duration,
}

impl Deadline {
    /// Waits `first` for the first event and `idle` for every other one. Time counts only while somebody waits for the
    /// event: a consumer that pauses is not held against the agent.
    pub(super) fn new(agent: Arc<dyn Agent>, first: Duration, idle: Duration) -> Self {
        Self { agent, first, idle }
    }
}

impl Agent for Deadline {
    fn run(&self, request: RunRequest) -> EventStream {
        Box::pin(Watched {
            events: self.agent.run(request),
            wait: self.first,
            late: Late::First,
            idle: self.idle,
            alarm: None,
            over: false,
        })
    }
}

struct Watched {
    events: EventStream,
    wait: Duration,
    late: Late,
    idle: Duration,
    /// Set only when the agent makes us wait: an answer that is there at once costs no timer.
    alarm: Option<Pin<Box<Sleep>>>,
    over: bool,
}

impl Stream for Watched {
    type Item = Result<Event, AgentError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        match this.events.as_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(event))) => {
                this.wait = this.idle;
                this.late = Late::Next;
                this.alarm = None;
                Poll::Ready(Some(Ok(event)))
            }
            Poll::Ready(end) => {
                this.over = true;
                Poll::Ready(end)
            }
            Poll::Pending => {
                let wait = this.wait;
                let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep(wait)));
                ready!(alarm.as_mut().poll(cx));
                this.over = true;
                this.events = Box::pin(stream::empty());
                Poll::Ready(Some(Err(Failure::Late(this.late).into())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::StreamExt;
    use tokio::time::Instant;

    use super::*;
    use crate::agent::{emit, tests::request};

    const FIRST: Duration = Duration::from_secs(30);
    const IDLE: Duration = Duration::from_secs(60);

    /// Says one word or none, then nothing for ever; tells when it was dropped.
    struct Quiet {
        words: usize,
        dropped: Arc<AtomicBool>,
    }

    struct Bell(Arc<AtomicBool>);

    impl Drop for Bell {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    impl Agent for Quiet {
        fn run(&self, _request: RunRequest) -> EventStream {
            let bell = Bell(self.dropped.clone());
            let words = stream::iter(vec![Ok(emit::text_start("m1")); self.words]);
            Box::pin(words.chain(stream::pending()).map(move |event| {
                let _held = &bell;
                event
            }))
        }
    }

    async fn silence(words: usize) -> (Vec<Result<Event, AgentError>>, Duration, bool) {
        let dropped = Arc::new(AtomicBool::new(false));
        let quiet = Arc::new(Quiet { words, dropped: dropped.clone() });
        let mut events = Deadline::new(quiet, FIRST, IDLE).run(request("hello"));
        let start = Instant::now();
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            seen.push(event);
        }
        (seen, start.elapsed(), dropped.load(Ordering::SeqCst))
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_never_begins_is_given_up_and_cancelled() {
        let (seen, waited, cancelled) = silence(0).await;
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].as_ref().unwrap_err().code, "agent_timeout");
        assert!((FIRST..IDLE).contains(&waited), "{waited:?}");
        assert!(cancelled);
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_goes_quiet_is_given_up_and_cancelled() {
        let (seen, waited, cancelled) = silence(1).await;
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].as_ref().unwrap_err().code, "agent_timeout");
        assert!(waited >= IDLE, "{waited:?}");
        assert!(cancelled);
    }
}
