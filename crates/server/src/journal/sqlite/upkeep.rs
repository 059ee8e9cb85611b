//! What is done to threads when nobody waits for it: the thread that folds, trims, joins, forgets, and writes pages back.
//!
//! ```text
//! nudge, or a second --> no room? take the ballast back, then a trial
//!                    --> the write-ahead log is long? write back here, then the writer finishes it
//!                    --> thread.due <= now, oldest first --> work a change out --> writer applies it
//! ```
//!
//! What has to be done stands in the file (`thread.due`), so that neither a crash nor a burst loses it. Nobody depends on
//! when it is done: a snapshot folds for itself what is not folded yet.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::sync::mpsc;

use super::change::{self, Change, Rules};
use super::condition::Condition;
use super::files::Directory;
use super::read::at_once;
use super::rows::{Failure, Thread, number};
use super::writer::{Answer, CHECKPOINT_PAGES, Job, checkpoint, left};
use crate::wire::{millis, unix_ms};

/// How often it looks, nudged or not.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Changes that are on their way to the writer at once.
const AT_ONCE: usize = 8;
/// A thread that cannot be read is looked at again after that long, in milliseconds.
const POSTPONED_MS: u64 = 3_600_000;

/// Turns of writing back before the writer has to finish it, and what it does gladly.
const TURNS: usize = 6;
const FEW_PAGES: u64 = 128;

pub(super) struct Upkeep {
    pub(super) db: Connection,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) nudged: Receiver<()>,
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) directory: Arc<Directory>,
    pub(super) condition: Arc<Condition>,
    pub(super) rules: Rules,
    /// The rank that was noted beside the file.
    pub(super) noted: Cell<u64>,
}

impl Upkeep {
    /// Works until it is told to stop, or nobody is left who could tell it.
    pub(super) fn run(self) {
        loop {
            match self.nudged.recv_timeout(LOOK_EVERY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.is_stopping() {
                return;
            }
            if let Err(failure) = self.look() {
                self.condition.on_read(&failure);
                tracing::warn!(why = failure.text(), "the upkeep of the journal was cut short");
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn look(&self) -> Result<(), Failure> {
        if self.condition.is_worth_a_trial() {
            self.try_for_room();
            return Ok(());
        }
        self.note_rank()?;
        loop {
            self.write_back()?;
            if self.is_stopping() || self.round(unix_ms())? == 0 {
                return Ok(());
            }
        }
    }

    /// Notes beside the file how far it has come, so that a backup that is copied over it is known by being behind (R19).
    fn note_rank(&self) -> Result<(), Failure> {
        let rank = number(&self.db, "rank")?;
        if self.noted.replace(rank) != rank
            && let Err(error) = self.directory.raise_mark(rank)
        {
            tracing::debug!(%error, "the rank could not be noted beside the journal");
        }
        Ok(())
    }

    /// Room for the ballast is room enough to go on.
    fn try_for_room(&self) {
        match self.directory.take_ballast() {
            Ok(()) => self.send(Job::Trial),
            Err(error) => tracing::debug!(%error, "there is no room for the ballast yet"),
        }
    }

    fn send(&self, job: Job) {
        // The writer has gone only when the journal is closed.
        let _ = self.jobs.blocking_send(job);
    }

    /// The bulk of the pages are written back here, beside the commits. What was written meanwhile is less with every
    /// turn; the rest is so little that the writer does it between two commits. Then the log starts over.
    fn write_back(&self) -> Result<(), Failure> {
        if left(&self.db)? < CHECKPOINT_PAGES {
            return Ok(());
        }
        for _ in 0..TURNS {
            checkpoint(&self.db)?;
            if left(&self.db)? < FEW_PAGES {
                break;
            }
        }
        let (reply, done) = sync_channel(1);
        self.send(Job::Checkpoint(reply));
        // The writer has gone only when the journal is closed.
        let _ = done.recv();
        Ok(())
    }

    /// Does what is due first, and says how much that was.
    fn round(&self, now: u64) -> Result<usize, Failure> {
        let changes = at_once(&self.db, |db| {
            let due = Thread::select(db, "WHERE due <= ? ORDER BY due LIMIT ?", params![now, AT_ONCE])?;
            let mut changes: Vec<Change> = due.iter().map(|thread| self.change(db, thread, now)).collect();
            if let Some(retention) = self.rules.retention
                && changes.is_empty()
            {
                let retention = millis(retention);
                let old = "WHERE written < ? AND run IS NULL ORDER BY written LIMIT ?";
                let old = Thread::select(db, old, params![now.saturating_sub(retention), AT_ONCE])?;
                changes.extend(old.iter().map(|thread| Change::Forget { id: thread.id, rank: thread.rank }));
            }
            Ok(changes)
        })?;
        let answers: Vec<_> = changes.into_iter().map(|change| self.submit(change)).collect();
        let mut done = 0;
        for answer in answers {
            match answer.recv() {
                Ok(Ok(())) => done += 1,
                Ok(Err(error)) => tracing::debug!(%error, "a thread was left as it is"),
                Err(_) => return Ok(0),
            }
        }
        Ok(done)
    }

    fn change(&self, db: &Connection, thread: &Thread, now: u64) -> Change {
        change::next(db, thread, &self.rules, now).unwrap_or_else(|failure| {
            self.condition.on_read(&failure);
            tracing::error!(why = failure.text(), "a thread of the journal cannot be kept up");
            Change::Postpone { id: thread.id, until: now.saturating_add(POSTPONED_MS) }
        })
    }

    fn submit(&self, change: Change) -> Receiver<Answer> {
        let (reply, answer) = sync_channel(1);
        self.send(Job::Change(change, reply));
        answer
    }
}
