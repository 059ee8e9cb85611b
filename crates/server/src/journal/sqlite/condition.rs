//! How the journal is: told to probes, and asked by the writer before it takes anything.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rows::Failure;

/// How the journal is. Every method is quick.
#[derive(Debug, Default)]
pub(super) struct Condition(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    commits: u64,
    is_full: bool,
    /// Why the last transaction failed.
    failing: Option<String>,
    /// The file is broken somewhere; stays until the process ends.
    damage: Option<String>,
    /// Nobody writes any more.
    ended: Option<String>,
}

impl Condition {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing, or not everything, can be written or read; none when all is well.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.state();
        let full = || state.is_full.then(|| "the disk is full".to_owned());
        let why = state.ended.clone().or_else(full).or_else(|| state.damage.clone()).or_else(|| state.failing.clone());
        why.map(|why| format!("journal: {why}"))
    }

    pub(super) fn is_full(&self) -> bool {
        self.state().is_full
    }

    /// Whether a trial could end the trouble.
    pub(super) fn is_worth_a_trial(&self) -> bool {
        let state = self.state();
        state.ended.is_none() && (state.is_full || state.failing.is_some())
    }

    pub(super) fn on_full(&self) {
        let mut state = self.state();
        if !state.is_full {
            tracing::error!("the disk is full: only the ends of runs are written until there is room");
        }
        state.is_full = true;
    }

    pub(super) fn on_room(&self) {
        let mut state = self.state();
        if state.is_full || state.failing.is_some() {
            tracing::warn!("the journal can be written again");
        }
        state.is_full = false;
        state.failing = None;
    }

    pub(super) fn on_commit(&self) {
        let mut state = self.state();
        state.commits += 1;
        state.failing = None;
    }

    /// Transactions that were committed.
    pub(super) fn commits(&self) -> u64 {
        self.state().commits
    }

    /// A transaction or an answer failed as a whole.
    pub(super) fn on_failure(&self, failure: &Failure) {
        if failure.is_full() {
            return self.on_full();
        }
        let mut state = self.state();
        let why = failure.text();
        let place = if failure.is_corrupt() { &mut state.damage } else { &mut state.failing };
        match place {
            Some(_) => {}
            None if failure.is_busy() => tracing::warn!(why, "appends wait"),
            None => tracing::error!(why, "the journal failed"),
        }
        *place = Some(why);
    }

    /// The file gave an answer that it should not have: told to probes, because others will meet it too.
    pub(super) fn on_read(&self, failure: &Failure) {
        if failure.is_corrupt() {
            self.on_failure(failure);
        }
    }

    pub(super) fn on_end(&self, why: &str) {
        self.state().ended.get_or_insert_with(|| why.to_owned());
    }
}
