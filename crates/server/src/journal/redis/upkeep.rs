//! Finished events become messages, pieces of text are joined: worked out here from one view of a thread, then done by one
//! script if the thread is still as it was. Any node may do it, whoever is first.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use lychgate_core::SessionKey;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::error::Failure;
use super::link::READ_WITHIN;
use super::thread::{Events, Past, entries};
use super::{Inner, scripts};
use crate::journal::{merge_adjacent, title};

/// Threads that wait to be folded; the next run of one that found no place folds it too, and whoever reads it does so for
/// himself.
const QUEUE: usize = 4_096;
/// Longest text that pieces are joined to within a log.
const JOINED_BYTES: usize = 16 * 1_024;

/// Which threads are to be folded.
pub(super) struct Upkeep {
    queue: Sender<SessionKey>,
    waiting: Mutex<HashSet<SessionKey>>,
}

impl Upkeep {
    pub(super) fn new() -> (Self, Receiver<SessionKey>) {
        let (queue, wanted) = mpsc::channel(QUEUE);
        (Self { queue, waiting: Mutex::default() }, wanted)
    }

    /// Has a thread folded soon.
    pub(super) fn want(&self, key: &SessionKey) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.contains(key) && self.queue.try_send(key.clone()).is_ok() {
            waiting.insert(key.clone());
        }
    }

    /// From here on what is written to the thread wants another fold.
    fn begin(&self, key: &SessionKey) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Folds one thread after the other.
pub(super) async fn keep(inner: Arc<Inner>, mut wanted: Receiver<SessionKey>) {
    while let Some(key) = wanted.recv().await {
        inner.upkeep.begin(&key);
        if let Err(failure) = inner.fold(&key).await {
            tracing::warn!(%key, why = failure.text(), "a thread could not be folded");
        }
    }
}

impl Inner {
    pub(super) async fn past(&self, key: &SessionKey) -> Result<(Past, Arc<str>), Failure> {
        let of = self.keys.of(key);
        let mut asked = scripts::VIEW.prepare_invoke();
        for key in [&of.user, &of.thread, &of.stream, &of.messages, &of.index] {
            asked.key(key);
        }
        asked.arg(super::append::fresh_epoch()).arg(key.thread().as_str());
        let (viewed, server) = self.link.ask(&asked, READ_WITHIN).await?;
        Ok((Past::of(key, viewed, self.bounds)?, server))
    }

    /// Turns what has ended into messages.
    pub(super) async fn fold(&self, key: &SessionKey) -> Result<(), Failure> {
        let (past, _) = self.past(key).await?;
        let Some(thread) = past.thread.as_ref().filter(|thread| thread.is_behind()) else { return Ok(()) };
        let stays = past.stored.get(past.gone.min(past.stored.len())..).unwrap_or_default();
        let is_same = |(old, now): &(&Arc<_>, &Arc<_>)| Arc::ptr_eq(old, now);
        let stay = stays.iter().zip(&past.history.messages).take_while(is_same).count();
        let written: Vec<String> = past.history.messages[stay..].iter().map(|message| json(message)).collect();
        let kept = past.history.messages[..stay].iter().map(|message| json(message).len());
        let size = kept.chain(written.iter().map(String::len)).sum::<usize>();
        let of = self.keys.of(key);
        let mut asked = scripts::FOLD.prepare_invoke();
        asked.key(&of.thread).key(&of.stream).key(&of.messages);
        asked.arg(thread.folded).arg(thread.cut()).arg(self.new_floor(thread)).arg(past.gone).arg(stay);
        asked.arg(past.history.state.as_ref().map(|state| state.to_string()).unwrap_or_default());
        asked.arg(if past.more { "more" } else { "" }).arg(size);
        asked.arg(title(&past.history.messages).unwrap_or_default());
        asked.arg(written);
        self.link.ask::<u64>(&asked, READ_WITHIN).await?;
        Ok(())
    }

    /// Up to where events go. What is kept is the run in flight and the last finished one, so that whoever is a little
    /// behind resumes without a reset; each may have what a run may have.
    fn new_floor(&self, thread: &super::thread::Thread) -> u64 {
        let first_kept = thread.finished.unwrap_or(thread.floor + 1);
        let kept = thread.head.saturating_sub(first_kept);
        let floor = match kept > self.bounds.max_events.saturating_mul(2) as u64 {
            true => thread.cut(),
            false => first_kept.saturating_sub(1).min(thread.cut()),
        };
        floor.max(thread.floor)
    }

    /// Joins pieces of text in the older half of the run in flight, where nobody reads who is nearly up to date.
    pub(super) async fn join_older_half(&self, key: &SessionKey) -> Result<(), Failure> {
        let (past, _) = self.past(key).await?;
        let Some((thread, start)) = past.thread.and_then(|thread| {
            let start = thread.run.as_ref().map(|(_, start)| *start)?;
            Some((thread, start))
        }) else {
            return Ok(());
        };
        let of = self.keys.of(key);
        let mut older = redis::cmd("XRANGE");
        let half = self.bounds.max_events.div_ceil(2).max(1);
        older.arg(&of.stream).arg(format!("{start}-0")).arg("+").arg("COUNT").arg(half);
        let older = entries(self.link.command::<Events>(&older).await?)?;
        let Some(last) = older.last().map(|entry| entry.offset).filter(|last| *last <= thread.head) else {
            return Ok(());
        };
        let bytes = |entries: &[crate::journal::Entry]| {
            entries.iter().map(|entry| entry.event.json().get().len()).sum::<usize>()
        };
        let (count, before) = (older.len(), bytes(&older));
        let joined = merge_adjacent(older, JOINED_BYTES);
        if joined.len() == count {
            return Ok(());
        }
        let mut asked = scripts::JOIN.prepare_invoke();
        asked.key(&of.thread).key(&of.stream).arg(start).arg(start).arg(last).arg(count);
        asked.arg(before.saturating_sub(bytes(&joined)));
        for entry in &joined {
            asked.arg(entry.offset).arg(entry.event.json().get());
        }
        self.link.ask::<u64>(&asked, READ_WITHIN).await?;
        Ok(())
    }
}

fn json(message: &crate::wire::Message) -> String {
    serde_json::to_string(message).expect("a message that was JSON is written as JSON")
}
