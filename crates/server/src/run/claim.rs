//! Who may write to a thread: one task at a time, and what waits for it to be done.
//!
//! ```text
//! start, publish --free thread--> Claim --task ends, Held dropped--> publications, then the next run, then free
//!                '-claimed: waits within bounds, or busy
//! ```

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use lychgate_core::{RunId, SessionKey};

use super::orders::Orders;
use super::publish::Publication;
use super::{RunChange, Runs, StartRun, lock, refuse_busy};

/// All claims of one shard.
pub(super) type Claims = HashMap<SessionKey, Claim>;

/// The one task that writes to a thread.
pub(super) struct Claim {
    /// None while only a publication is written.
    pub(super) run: Option<RunId>,
    pub(super) orders: Arc<Orders>,
    pub(super) stage: Stage,
    /// Runs that come after this one, in order.
    pub(super) waiting: VecDeque<Waiting>,
    /// What was published and is not in the log yet.
    pub(super) publications: VecDeque<Publication>,
}

/// How far a claim has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The journal is asked whether it knows the run. If it does, the claim was for nothing, and the next run must not
    /// hear that the thread is busy: a client that re-sends what it has not seen answered says both in one breath.
    Asked,
    /// RUN_STARTED is in the log or on its way.
    Running,
    /// Its terminal event, or a publication, is on its way. Whoever saw that event may start the next run before we are
    /// done here.
    Ending,
}

/// A run that waits for the end of the one before; it can be stopped already.
pub(super) struct Waiting {
    pub(super) start: StartRun,
    pub(super) orders: Arc<Orders>,
}

impl Claim {
    /// How many runs may wait behind it: one more than configured while it is not known whether the thread is busy.
    pub(super) fn places(&self, configured: usize) -> usize {
        configured + usize::from(self.stage != Stage::Running)
    }

    /// The orders of this run, if it is the claim's own or one that waits.
    pub(super) fn orders_of(&self, run: &RunId) -> Option<&Arc<Orders>> {
        match self.run.as_ref() == Some(run) {
            true => Some(&self.orders),
            false => self.position(run).map(|at| &self.waiting[at].orders),
        }
    }

    /// The place of a run that waits; 0 is next.
    pub(super) fn position(&self, run: &RunId) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.start.run == *run)
    }
}

/// A thread that is claimed; dropped on every kind of end of the task that holds it, a panic and an abort among them.
pub(super) struct Held {
    pub(super) runs: Arc<Runs>,
    pub(super) key: SessionKey,
    /// The run that was told to have started.
    started: Option<RunId>,
}

impl Held {
    pub(super) fn new(runs: Arc<Runs>, key: SessionKey) -> Self {
        Self { runs, key, started: None }
    }

    /// The run is a new one: whoever came meanwhile and finds no place to wait hears that the thread is busy.
    pub(super) fn has_started(&mut self, run: &RunId) {
        self.started = Some(run.clone());
        self.is_running();
        self.runs.around.changed(RunChange::Started { key: self.key.clone(), run: run.clone() });
    }

    /// The thread is busy from now on.
    pub(super) fn is_running(&self) {
        let mut crowd = Vec::new();
        {
            let mut claims = lock(self.runs.shard(&self.key));
            let Some(claim) = claims.get_mut(&self.key) else { return };
            claim.stage = Stage::Running;
            let places = claim.places(self.runs.bounds.max_queued_per_thread).min(claim.waiting.len());
            crowd.extend(claim.waiting.drain(places..));
        }
        for waiting in crowd {
            refuse_busy(&waiting.start, &waiting.orders);
        }
    }

    /// From now on the next run of this thread is kept until this one has ended.
    pub(super) fn is_ending(&self) {
        if let Some(claim) = lock(self.runs.shard(&self.key)).get_mut(&self.key) {
            claim.stage = Stage::Ending;
        }
    }

    /// What was published on this thread since the last time, oldest first.
    pub(super) fn next_publication(&self) -> Option<Publication> {
        lock(self.runs.shard(&self.key)).get_mut(&self.key)?.publications.pop_front()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(run) = self.started.take() {
            self.runs.around.changed(RunChange::Ended { key: self.key.clone(), run });
        }
        self.runs.release(&self.key);
    }
}
