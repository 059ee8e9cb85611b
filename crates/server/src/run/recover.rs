//! After a crash: every run that the former process left open gets its end (R18).

use std::collections::HashSet;

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
    /// begun. Call it before anybody can start a run. Returns how many there were. One that cannot be read or ended is
    /// told as an error and left: one sick thread must not keep everybody out.
    ///
    /// # Errors
    /// [`JournalError`] when the log cannot even say which runs are open.
    pub async fn recover(&self) -> Result<usize, JournalError> {
        let (mut ended, mut left) = (0, HashSet::new());
        loop {
            let mut unfinished = self.journal.unfinished(RUNS + left.len()).await?;
            unfinished.retain(|(key, _)| !left.contains(key));
            if unfinished.is_empty() {
                break;
            }
            for (key, run) in unfinished {
                match self.end_left_open(&key, &run, &restarted()).await {
                    Ok(()) => ended += 1,
                    // Another node was faster.
                    Err(JournalError::Gone) => _ = left.insert(key),
                    Err(error) => {
                        tracing::error!(%key, %run, %error, "a run that the former process left open cannot be ended");
                        left.insert(key);
                    }
                }
            }
        }
        if ended > 0 {
            tracing::warn!(runs = ended, "runs that the former process left open have been ended");
        }
        Ok(ended)
    }

    /// Ends every run that nobody drives any more, because its node is gone, with RUN_ERROR `node_lost`. Call it again and
    /// again; it is nothing to do with a journal of one node. Where two nodes do so at once, the second one ends nothing.
    pub async fn end_abandoned(&self) {
        let abandoned = match self.journal.abandoned(RUNS).await {
            Ok(abandoned) => abandoned,
            Err(error) => return tracing::debug!(%error, "whether runs were abandoned is not known"),
        };
        for (key, run) in abandoned {
            match self.end_left_open(&key, &run, &lost()).await {
                Ok(()) | Err(JournalError::Gone) => {}
                Err(error) => tracing::warn!(%key, %run, %error, "a run of a node that is gone cannot be ended yet"),
            }
        }
    }

    /// Ends the run of this thread that nobody drives, if there is one. For whoever holds the thread's claim.
    pub(super) async fn end_left_behind(&self, key: &SessionKey) {
        let ended = match self.journal.left_behind(key).await {
            Ok(Some(run)) => self.end_left_open(key, &run, &cut_short()).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) | Err(JournalError::Gone) => {}
            Err(error) => tracing::warn!(%key, %error, "a run whose end was lost cannot be ended yet"),
        }
    }

    /// Writes the end of a run that is the last one of its thread.
    ///
    /// # Errors
    /// [`JournalError`]; `Gone` where another run is the last one by now, which is not touched.
    pub(super) async fn end_left_open(
        &self,
        key: &SessionKey,
        run: &RunId,
        why: &AgentError,
    ) -> Result<(), JournalError> {
        let mut open = OpenItems::default();
        let snapshot = self.journal.snapshot(key).await?;
        let began = match snapshot.run {
            Some((of, began)) if of == *run => began,
            // Somebody was faster, and the next one may go on.
            Some(_) | None => return Err(JournalError::Gone),
        };
        let mut after = snapshot.cut;
        loop {
            let entries = self.journal.read(key, after, EVENTS).await?;
            entries.iter().for_each(|entry| open.follow(&entry.event));
            match entries.last() {
                Some(last) if entries.len() == EVENTS => after = last.offset,
                Some(_) | None => break,
            }
        }
        let whole = open.closers().chain([events::failed(why)]).collect();
        // Two of this node may have found it: who comes second must not write an end of nothing.
        let once = format!("end:{began}");
        match self.journal.append_once(key, &once, whole).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(JournalError::Gone) => return Err(JournalError::Gone),
            // A log at its bound takes a small end.
            Err(JournalError::Unavailable(_) | JournalError::Trimmed(_)) => {
                self.journal.append_once(key, &once, vec![events::failed(why)]).await?;
            }
        }
        tracing::info!(%key, %run, code = why.code, "a run that was left open has its end");
        Ok(())
    }
}

fn lost() -> AgentError {
    AgentError {
        code: "node_lost".to_owned(),
        message: "The machine that wrote this answer is gone; what was written until then is here.".to_owned(),
        retry_after: None,
    }
}

fn cut_short() -> AgentError {
    AgentError {
        code: "journal_unavailable".to_owned(),
        message: "The end of this answer was lost; what is left of it is here.".to_owned(),
        retry_after: None,
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
