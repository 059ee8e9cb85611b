//! Where a run that is known stands in the log of its thread, for whoever wants to be told it again.

use lychgate_core::{Resume, RunId, SessionKey};

use super::Sessions;
use crate::journal::{JournalError, Snapshot};

/// Entries that one look into the log asks for.
const BATCH: usize = 256;

/// What the log knows of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunInLog {
    /// Nothing: it was never started.
    Unknown,
    /// That there was one; its beginning is not held any more.
    Gone,
    /// From here on, exclusive, everything since its RUN_STARTED.
    After(Resume),
}

impl Sessions {
    /// Finds a run in the log of its thread. One that was never started costs one question; for one that was, the log is
    /// read from its beginning, a batch at a time.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the journal cannot be read.
    pub async fn find_run(&self, key: &SessionKey, run: &RunId) -> Result<RunInLog, JournalError> {
        if !self.journal.knows_run(key, run).await? {
            return Ok(RunInLog::Unknown);
        }
        let Snapshot { epoch, oldest, .. } = self.journal.snapshot(key).await?;
        let mut after = oldest;
        loop {
            let entries = match self.journal.read(key, after, BATCH).await {
                Ok(entries) => entries,
                // Cut short in the meantime: what is left begins later.
                Err(JournalError::Trimmed(oldest)) if oldest > after => {
                    after = oldest;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let is_end = entries.len() < BATCH;
            for entry in entries {
                let head = entry.event.head();
                if head.kind == "RUN_STARTED" && head.run_id.as_deref() == Some(run.as_str()) {
                    return Ok(RunInLog::After(Resume { after, epoch: Box::from(&*epoch) }));
                }
                // The offset before it and not the one below it: a log may have joined what lay between.
                after = entry.offset;
            }
            if is_end {
                return Ok(RunInLog::Gone);
            }
            // A journal in memory never makes its reader wait; a long thread must not keep a worker from everybody else.
            tokio::task::coop::consume_budget().await;
        }
    }
}
