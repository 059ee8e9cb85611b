//! The end of a run: exactly one terminal event, whatever happens (R18).

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::drive::Run;
use super::events;
use super::orders::Why;
use crate::agent::AgentError;
use crate::close::ErrorCode;
use crate::journal::JournalError;
use crate::outbox::Frame;
use crate::telemetry::logs::{self, RunStep};
use crate::telemetry::metrics::RunOutcome;
use crate::wire::Server;
use crate::wire::event::Event;

/// Between two attempts to write an end that the log did not take.
const RETRY_END: Duration = Duration::from_secs(1);

/// What ends a run.
pub(super) enum End {
    /// The agent said so: its own RUN_FINISHED or RUN_ERROR.
    Said(Event),
    /// It failed, fell silent, stopped in the middle, or panicked.
    Failed(AgentError),
    /// Somebody else ended it.
    Ordered(Why),
    /// The journal takes no more.
    JournalFailed(JournalError),
}

impl End {
    fn outcome(&self) -> RunOutcome {
        match self {
            Self::Said(event) if event.kind() == "RUN_FINISHED" => RunOutcome::Finished,
            Self::Said(_) | Self::Failed(_) => RunOutcome::Failed,
            Self::Ordered(Why::Stopped) => RunOutcome::Stopped,
            Self::Ordered(Why::Detached) => RunOutcome::Detached,
            Self::Ordered(Why::GatewayStopping) => RunOutcome::GatewayStopping,
            Self::JournalFailed(_) => RunOutcome::JournalFailed,
        }
    }

    /// The word of the failure, if it is one, for the run's trace.
    fn failure(&self) -> Option<&str> {
        match self {
            Self::Said(event) => (event.kind() != "RUN_FINISHED").then_some("agent_said_so"),
            Self::Failed(error) => Some(&error.code),
            Self::JournalFailed(_) => Some("journal_unavailable"),
            Self::Ordered(_) => None,
        }
    }
}

impl Run<'_> {
    /// Writes the end: what is ready, what closes the rest, the terminal event. Where the log does not take all of it,
    /// the end alone. Of a run that is gone nothing is written: it would end another one, or nothing.
    pub(super) async fn finish(mut self, end: End) {
        let is_gone = matches!(end, End::JournalFailed(JournalError::Gone));
        let outcome = end.outcome();
        let mut trace = self.trace.take();
        trace.iter_mut().for_each(|trace| trace.ended(outcome.as_str(), end.failure()));
        let (terminal, ready) = match end {
            End::Said(event) => (events::with_our_ids(event, self.key(), self.id()), true),
            End::Failed(error) => {
                self.log(RunStep::Failed(&error));
                (events::failed(&error), true)
            }
            End::Ordered(Why::Stopped) => (events::cancelled(self.key(), self.id()), true),
            End::Ordered(Why::Detached) => (events::failed(&detached()), true),
            End::Ordered(Why::GatewayStopping) => (events::failed(&stopping()), true),
            End::JournalFailed(error) => {
                self.log(RunStep::CutShort(&error));
                (events::failed(&unwritten()), false)
            }
        };
        self.held.is_ending();
        let ready = if ready { std::mem::take(&mut self.ready) } else { Vec::new() };
        let mut open = self.open.clone();
        ready.iter().for_each(|event| open.follow(event));
        let events = ready.len() + 1;
        let whole = ready.into_iter().chain(open.closers()).chain([terminal]).collect();
        let closed = || self.open.closers().chain([events::failed(&unwritten())]).collect();
        let alone = || vec![events::failed(&unwritten())];
        let appending = Instant::now();
        let ended = match is_gone {
            true => self.has_nothing_to_end().await,
            false => self.try_end(whole).await || self.try_end(closed()).await || self.try_end(alone()).await,
        };
        trace.iter_mut().for_each(|trace| trace.appended(events, appending, ended));
        self.held.runs.around.finished(outcome, self.began.elapsed());
        if !ended {
            self.owe_end([&closed, &alone]).await;
        }
        self.log(RunStep::Ended);
    }

    fn log(&self, step: RunStep<'_>) {
        logs::run(step, self.key(), self.id(), self.span);
    }

    fn refuse_published(&self, error: &JournalError) {
        while let Some(publication) = self.held.next_publication() {
            publication.refuse(error.clone());
        }
    }

    async fn try_end(&self, events: Vec<Event>) -> bool {
        match self.journal.append(self.key(), events).await {
            Ok(_) => true,
            Err(JournalError::Gone) => self.has_nothing_to_end().await,
            Err(JournalError::Unavailable(_) | JournalError::Trimmed(_)) => false,
        }
    }

    /// The thread was deleted under the run, another node ended it, or its beginning was lost: an end would have no beginning.
    /// What was lost may be the end of a former run, which has one before whoever is told can ask again.
    async fn has_nothing_to_end(&self) -> bool {
        self.log(RunStep::Deleted);
        self.held.runs.end_left_behind(self.key()).await;
        self.tell("This conversation was deleted, or its answer was ended elsewhere, while it was being written.");
        true
    }

    /// Tells everybody who is attached, beside the log: it takes nothing.
    fn tell(&self, message: &str) {
        let error = Server::Error {
            code: ErrorCode::Internal.as_str(),
            message,
            thread: Some(self.key().thread().as_str()),
            run: Some(self.id().as_str()),
            reference: None,
            retry_in: None,
        };
        self.held.runs.around.tell(self.key(), &Frame::text(error.to_json().as_bytes()));
    }

    /// The log takes not even the end. Whoever is here is told, and the end is tried again until it is written or the
    /// gateway stops: a thread whose run never ends would be lost to its user (R18).
    async fn owe_end(&self, ends: [&(dyn Fn() -> Vec<Event> + Sync); 2]) {
        self.log(RunStep::EndOwed);
        self.held.is_running();
        self.tell(&unwritten().message);
        // Written at most once, even where an attempt that was told to have failed did not.
        let once = format!("end:{}", self.started_at);
        while !self.held.runs.stopping.load(Ordering::SeqCst) {
            sleep(RETRY_END).await;
            for end in ends {
                match self.journal.append_once(self.key(), &once, end()).await {
                    Ok(_) => return self.held.is_ending(),
                    Err(JournalError::Gone) => {
                        self.has_nothing_to_end().await;
                        return self.held.is_ending();
                    }
                    Err(error) => self.refuse_published(&error),
                }
            }
        }
        self.log(RunStep::EndMissing);
    }
}

fn detached() -> AgentError {
    AgentError {
        code: "detached".to_owned(),
        message: "The answer was ended because nobody was listening any more.".to_owned(),
        retry_after: None,
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
        code: "journal_unavailable".to_owned(),
        message: "The answer could not be written any further; what was written until then is kept.".to_owned(),
        retry_after: None,
    }
}

pub(super) fn panicked() -> AgentError {
    AgentError { code: "internal".to_owned(), message: "The agent failed unexpectedly.".to_owned(), retry_after: None }
}

pub(super) fn cut_off() -> AgentError {
    AgentError {
        code: "agent_eof".to_owned(),
        message: "The agent's answer ended in the middle.".to_owned(),
        retry_after: None,
    }
}
