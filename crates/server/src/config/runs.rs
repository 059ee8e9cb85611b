//! `[runs]`: what waits for a thread, and how long an answer goes on that nobody listens to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Fault, in_range, not_zero};
use super::value::Span;

/// Runs of one thread that may wait, at most, whatever is configured: each holds its question in memory.
const MAX_QUEUED: usize = 64;

/// `[runs]`
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs {
    /// Runs that wait for the one before them on the same thread. Default 0: the thread is busy. At most 64.
    pub max_queued_per_thread: usize,
    /// How long a run goes on after the last connection of its thread has left. Default none: to its end.
    pub detach_grace: Option<Duration>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRuns {
    max_queued_per_thread: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    detach_grace: Option<Span>,
}

impl RawRuns {
    pub(super) fn check(&self) -> Result<Runs, Fault> {
        in_range("runs.max_queued_per_thread", self.max_queued_per_thread, 0, MAX_QUEUED)?;
        let detach_grace = self.detach_grace.map(|span| span.0);
        if let Some(grace) = detach_grace {
            not_zero("runs.detach_grace", grace)?;
        }
        Ok(Runs { max_queued_per_thread: self.max_queued_per_thread, detach_grace })
    }
}
