//! The lines of a run.

use std::fmt::Display;

use lychgate_core::{RunId, SessionKey};
use tracing::{debug, error, info, warn};

use crate::telemetry::traces::{Context, naming};

/// What happened to a run.
#[derive(Clone, Copy)]
pub enum RunStep<'a> {
    /// Its RUN_STARTED is in the log of its thread.
    Started,
    /// It could not begin: the journal cannot be read or written.
    Refused(&'a (dyn Display + Sync)),
    /// Its agent failed, fell silent or stopped in the middle.
    Failed(&'a (dyn Display + Sync)),
    /// The journal takes no more of it.
    CutShort(&'a (dyn Display + Sync)),
    /// Its thread was deleted under it.
    Deleted,
    /// The journal does not take its end; it is tried again.
    EndOwed,
    /// It never did; the next start writes it.
    EndMissing,
    /// Its end is in the log.
    Ended,
}

/// Writes the line of a step; `span` is the run's, where it is traced.
pub fn run(step: RunStep<'_>, key: &SessionKey, run: &RunId, span: Option<Context>) {
    naming(span, || write(step, key, run));
}

fn write(step: RunStep<'_>, key: &SessionKey, run: &RunId) {
    let (user, thread) = (key.user(), key.thread());
    match step {
        RunStep::Started => {
            debug!(event = "run.started", %user, %thread, isolation_key = %key, %run, "run started");
        }
        RunStep::Refused(error) => {
            warn!(event = "run.refused", %user, %thread, isolation_key = %key, %run, %error, "a run could not be started");
        }
        RunStep::Failed(error) => {
            info!(event = "run.failed", %user, %thread, isolation_key = %key, %run, %error, "run failed");
        }
        RunStep::CutShort(error) => {
            warn!(event = "run.cut_short", %user, %thread, isolation_key = %key, %run, %error, "run cut short");
        }
        RunStep::Deleted => info!(
            event = "run.deleted", %user, %thread, isolation_key = %key, %run, "the thread of a run was deleted"
        ),
        RunStep::EndOwed => error!(
            event = "run.end_owed", %user, %thread, isolation_key = %key, %run,
            "the end of a run cannot be written; it is tried again"
        ),
        RunStep::EndMissing => error!(
            event = "run.end_missing", %user, %thread, isolation_key = %key, %run,
            "a run has no end in the log; the next start writes it"
        ),
        RunStep::Ended => debug!(event = "run.ended", %user, %thread, isolation_key = %key, %run, "run ended"),
    }
}
