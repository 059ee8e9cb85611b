//! After a crash: every run that the former process left open gets its end (R18).

use lychgate_core::{RunId, SessionKey};

use super::open_items::OpenItems;
use super::{Runs, events};
use crate::agent::AgentError;
use crate::journal::JournalError;

/// Runs that are looked up at once.
const RUNS: usize = 256;
/// Events that are read at once.
const EVENTS: usize = 512;

impl Runs {
    /// Ends every run that a former process left open with RUN_ERROR `gateway_restarted`, after closing what it had
    /// begun. Call it before anybody can start a run. Returns how many there were.
    ///
    /// # Errors
    /// [`JournalError`] when the log cannot be read or takes nothing; what was ended until then stays ended.
    pub async fn recover(&self) -> Result<usize, JournalError> {
        let mut count = 0;
        loop {
            let unfinished = self.journal.unfinished(RUNS).await?;
            if unfinished.is_empty() {
                break;
            }
            for (key, run) in unfinished {
                self.end_left_open(&key, &run).await?;
                count += 1;
            }
        }
        if count > 0 {
            tracing::warn!(runs = count, "runs that the former process left open have been ended");
        }
        Ok(count)
    }

    async fn end_left_open(&self, key: &SessionKey, run: &RunId) -> Result<(), JournalError> {
        let mut open = OpenItems::default();
        let mut after = self.journal.snapshot(key).await?.cut;
        loop {
            let entries = self.journal.read(key, after, EVENTS).await?;
            entries.iter().for_each(|entry| open.follow(&entry.event));
            match entries.last() {
                Some(last) if entries.len() == EVENTS => after = last.offset,
                Some(_) | None => break,
            }
        }
        let end = events::failed(&restarted());
        self.journal.append(key, open.closers().chain([end]).collect()).await?;
        tracing::info!(%key, %run, "a run was left open by the former process");
        Ok(())
    }
}

fn restarted() -> AgentError {
    AgentError {
        code: "gateway_restarted".to_owned(),
        message: "The gateway was restarted before the answer was complete; what was written until then is here."
            .to_owned(),
        retry_after: None,
    }
}
