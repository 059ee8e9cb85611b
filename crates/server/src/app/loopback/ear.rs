//! The reader at the end of a trial: a line that keeps nothing, and notices that it was opened and that an event came.

use std::sync::atomic::{AtomicBool, Ordering};

use lychgate_core::{Backlog, PingOutcome};
use tokio::sync::Notify;

use crate::close::Closing;
use crate::outbox::{Frame, Sent};
use crate::sink::{Line, Sink};

/// For one trial, and one task that waits.
#[derive(Debug, Default)]
pub(super) struct Ear {
    is_open: AtomicBool,
    has_heard: AtomicBool,
    news: Notify,
}

impl Ear {
    /// Waits for the answer to the open.
    pub(super) async fn opened(&self) {
        self.until(&self.is_open).await;
    }

    /// Waits for an event.
    pub(super) async fn heard(&self) {
        self.until(&self.has_heard).await;
    }

    async fn until(&self, flag: &AtomicBool) {
        while !flag.load(Ordering::Acquire) {
            // One that came in between is remembered.
            self.news.notified().await;
        }
    }
}

impl Sink for Ear {
    /// What comes first is the answer to the open; events follow.
    fn send(&self, _: &Frame) -> Sent {
        let was_open = self.is_open.swap(true, Ordering::AcqRel);
        self.has_heard.fetch_or(was_open, Ordering::AcqRel);
        self.news.notify_one();
        Sent::Accepted
    }

    /// A greeting or a refusal: a trial that is refused is over when its time is.
    fn send_control(&self, _: &Frame) -> Sent {
        Sent::Accepted
    }
}

impl Line for Ear {
    fn ping(&self) -> PingOutcome {
        PingOutcome::Written
    }

    fn backlog(&self) -> Backlog {
        Backlog::default()
    }

    fn close(&self, _: &Closing) {}

    fn abort(&self) {}
}
