//! Says every two seconds that this node lives, and looks whether the data are still those that it knows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lychgate_core::{RunId, SessionKey};
use redis::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::error::Failure;
use super::lane::Flight;
use super::link::WITHIN;
use super::{Inner, scripts};

const EVERY: Duration = Duration::from_secs(2);
/// After so long without a word a node is gone, and its runs are ended by others.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// What is still to be looked after, a number for each thread: as many as there are threads with a run of this node.
#[derive(Default)]
pub(super) struct Open(Mutex<HashMap<SessionKey, u64>>);

impl Open {
    fn open(&self) -> MutexGuard<'_, HashMap<SessionKey, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, key: &SessionKey, number: u64) {
        self.open().insert(key.clone(), number);
    }

    pub(super) fn has(&self, key: &SessionKey) -> bool {
        self.open().contains_key(key)
    }

    fn of(&self, key: &SessionKey) -> Option<u64> {
        self.open().get(key).copied()
    }

    fn all(&self) -> Vec<(SessionKey, u64)> {
        self.open().iter().map(|(key, number)| (key.clone(), *number)).collect()
    }

    /// Done, unless something newer is to be looked after by now.
    fn done(&self, key: &SessionKey, number: u64) {
        let mut open = self.open();
        if open.get(key) == Some(&number) {
            open.remove(key);
        }
    }
}

/// What the last beat saw.
#[derive(Default)]
pub(super) struct Seen {
    generation: Mutex<String>,
    bytes: AtomicU64,
}

impl Seen {
    pub(super) fn new(generation: String) -> Self {
        Self { generation: Mutex::new(generation), bytes: AtomicU64::new(0) }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Beats until it is told to stop.
pub(super) async fn keep(inner: Arc<Inner>, stop: CancellationToken) {
    let mut beats = interval(EVERY);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(beats.tick()).await.is_some() {
        if let Err(failure) = inner.beat().await {
            tracing::debug!(why = failure.text(), "the journal's node could not say that it lives");
        }
    }
}

impl Inner {
    /// Says that this node lives, sees what became of the data, settles what is open.
    pub(super) async fn beat(&self) -> Result<(), Failure> {
        // Also where Redis is full: the others must not take a node for dead that only cannot write.
        let mut lease = scripts::LEASE.prepare_invoke();
        lease.key(self.keys.lease(&self.writer)).arg(LEASE.as_millis() as u64);
        self.link.ask::<Value>(&lease, WITHIN).await?;
        let mut note = redis::cmd("SADD");
        note.arg(self.keys.writers()).arg(&self.writer);
        self.link.command::<Value>(&note).await?;
        self.look_at_generation().await?;
        let said = self.link.look().await?;
        let used = said.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
        self.seen.bytes.store(used.unwrap_or(0), Ordering::Relaxed);
        self.settle().await
    }

    /// A flush leaves the server as it was and takes everything: whoever reads starts over (R19).
    async fn look_at_generation(&self) -> Result<(), Failure> {
        let mut mark = redis::pipe();
        // In one step: a node that starts now sees both or none.
        mark.atomic();
        mark.hset_nx(self.keys.journal(), "schema", super::server::SCHEMA).ignore();
        mark.hset_nx(self.keys.journal(), "generation", super::append::fresh_epoch()).ignore();
        mark.hget(self.keys.journal(), "generation");
        let (generation,): (String,) = self.link.pipeline(&mark).await?;
        let mut known = self.seen.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = *known != generation;
        *known = generation;
        drop(known);
        if is_other {
            self.link.begun_anew();
        }
        Ok(())
    }

    /// What was given up can no more be applied after this; a run that was begun by it is one that nobody drives.
    async fn settle(&self) -> Result<(), Failure> {
        for (key, sequence) in self.unsettled.all() {
            let of = self.keys.of(&key);
            let mut asked = scripts::SETTLE.prepare_invoke();
            asked.key(&of.thread).key(&of.sequences).arg(&self.writer).arg(sequence);
            let (start, _) = self.link.ask::<u64>(&asked, WITHIN).await?;
            if start > 0 && self.flights.of(&key).is_none_or(|flight| flight.start != start) {
                tracing::warn!(%key, start, "a run was begun by an append that was given up; it is ended");
                self.flights.put(&key, Some(Flight { start, head: None }));
                self.undriven.put(&key, start);
            }
            self.unsettled.done(&key, sequence);
        }
        Ok(())
    }

    /// Lets go of the lease, so that what this node left open is ended by others at once.
    pub(super) async fn leave(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + WITHIN;
        let mut forget = redis::cmd("DEL");
        forget.arg(self.keys.lease(&self.writer));
        self.again(deadline, || self.link.command::<Value>(&forget)).await?;
        Ok(())
    }

    /// Runs that were begun by an append that was given up, at most `limit`.
    pub(super) async fn undriven(&self, limit: usize) -> Result<Vec<(SessionKey, RunId)>, Failure> {
        let mut open = Vec::new();
        for (key, start) in self.undriven.all().into_iter().take(limit) {
            if let Some(run) = self.still_open(&key, start).await? {
                open.push((key, run));
            }
        }
        Ok(open)
    }

    /// The one of them that is in this thread.
    pub(super) async fn left_behind(&self, key: &SessionKey) -> Result<Option<RunId>, Failure> {
        match self.undriven.of(key) {
            Some(start) => self.still_open(key, start).await,
            None => Ok(None),
        }
    }

    /// The run that began there, if it is in flight; else nobody has to look after it any more.
    async fn still_open(&self, key: &SessionKey, start: u64) -> Result<Option<RunId>, Failure> {
        match self.flight_of(key).await? {
            Some((run, now)) if now == start => Ok(Some(run)),
            Some(_) | None => {
                self.undriven.done(key, start);
                Ok(None)
            }
        }
    }
}
