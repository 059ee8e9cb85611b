//! The log in a file of this node: it outlives the process, and with `full` the loss of power.
//!
//! ```text
//! append --> queue --> writer (one thread, one transaction for all that wait) --> acks --> follower, appender
//! read, snapshot, ... --> readers (a few connections, each answer one view of the file)
//! upkeep: folds finished runs into messages, joins, forgets, writes pages back; its changes go by the writer too
//! ```
//!
//! Of a thread are kept, as in memory: the run in flight and the last finished one as events, everything before as
//! messages. What has ended but is not folded yet is folded by whoever reads. A thread at rest costs no memory.

use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use lychgate_core::{RunId, SessionKey, UserId};
use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::acks::Lanes;
use self::change::Rules;
use self::condition::Condition;
use self::files::Directory;
use self::ledger::Ledger;
use self::readers::Readers;
use self::rows::Bounds;
use self::upkeep::Upkeep;
use self::wanted::Wanted;
use self::writer::{Append, Job, Outcome, QUEUE, QUEUE_BYTES, Writer};
use super::{Entry, Follower, Journal, JournalError, JournalFuture, MessagePage, Snapshot, ThreadPage};
use crate::config;
use crate::wire::event::Event;

mod acks;
mod archive;
mod change;
mod condition;
mod epoch;
mod error;
mod files;
mod ledger;
mod open;
mod read;
mod readers;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod upkeep;
mod wanted;
mod writer;

pub use archive::{Archive, Deletion, Kept, Listed};
pub use error::OpenError;

/// SQLite writes to `journal.db-wal` first.
const WAL_EXTENSION: &str = "db-wal";

/// What an event weighs in the queue beside its JSON.
const EVENT_WEIGHT: usize = 256;

/// The journal `sqlite`.
pub struct Sqlite {
    epoch: Arc<str>,
    /// Of the database.
    file: PathBuf,
    bounds: Bounds,
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    readers: Readers,
    condition: Arc<Condition>,
    follower: Arc<OnceLock<Arc<dyn Follower>>>,
    stopping: Arc<AtomicBool>,
    nudge: SyncSender<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("epoch", &self.epoch).field("condition", &self.condition).finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Opens the journal of the configured directory, or makes one. `epoch` is random text, used where the log is
    /// another one than before: a new file, a copy, or one that may have lost its end.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the way out.
    pub fn open(config: &config::Journal, epoch: &str) -> Result<Self, OpenError> {
        let directory = Directory::claim(&config.directory)?;
        let (db, epoch) = open::prepare(&directory, config.durability, epoch)?;
        Self::start(config, directory, db, epoch)
    }

    fn start(
        config: &config::Journal,
        directory: Directory,
        db: Connection,
        epoch: Arc<str>,
    ) -> Result<Self, OpenError> {
        let directory = Arc::new(directory);
        let path = directory.database();
        let failed = |error: rusqlite::Error| open::explain(&path, &error);
        let bounds = Bounds {
            max_events: config.max_events_per_thread,
            max_messages: config.max_messages_per_thread,
            max_bytes: config.max_bytes_per_thread,
        };
        let rules = Rules { bounds, compact_after: config.compact_after, retention: config.retention };
        let ledger = Ledger::new(&db, bounds).map_err(failed)?;
        let condition = Arc::new(Condition::default());
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (acks, told) = Lanes::new();
        let (nudge, nudged) = sync_channel(1);
        let stopping = Arc::new(AtomicBool::new(false));
        let follower: Arc<OnceLock<Arc<dyn Follower>>> = Arc::default();
        let upkeep = Upkeep {
            db: open::writer(&path, config.durability).map_err(failed)?,
            jobs: jobs.clone(),
            nudged,
            stopping: Arc::clone(&stopping),
            directory: Arc::clone(&directory),
            condition: Arc::clone(&condition),
            rules,
            noted: Cell::new(0),
        };
        if let Err(error) = directory.take_ballast() {
            tracing::warn!(%error, "there is no room for the ballast: a full disk would leave runs without an end");
        }
        db.busy_timeout(writer::BUSY).map_err(failed)?;
        let writer = Writer {
            db,
            ledger,
            queue,
            acks,
            nudge: nudge.clone(),
            directory,
            condition: Arc::clone(&condition),
            stopping: Arc::clone(&stopping),
            forced: None,
        };
        let mut threads = vec![
            spawn("journal", &path, &condition, move || writer.run())?,
            spawn("journal-upkeep", &path, &condition, move || upkeep.run())?,
        ];
        for lane in told {
            let follower = Arc::clone(&follower);
            threads.push(spawn("journal-acks", &path, &condition, move || acks::acknowledge(&lane, &follower))?);
        }
        Ok(Self {
            epoch,
            file: path.clone(),
            bounds,
            jobs,
            room: Arc::new(Semaphore::new(QUEUE_BYTES as usize)),
            readers: Readers::new(path, Arc::clone(&condition)),
            condition,
            follower,
            stopping,
            nudge,
            threads: Mutex::new(threads),
        })
    }

    /// Transactions since it was opened.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.condition.commits()
    }

    async fn submit(&self, key: &SessionKey, once: Option<&str>, events: Vec<Event>) -> Outcome {
        let wanted = Wanted { key: key.clone(), once: once.map(str::to_owned), events, is_rehearsal: false };
        self.hand_in(wanted).await
    }

    async fn hand_in(&self, wanted: Wanted) -> Outcome {
        // What is larger than the whole queue has it for itself.
        let weight = wanted.bytes() + wanted.events.len() * EVENT_WEIGHT;
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).min(QUEUE_BYTES);
        let weight = Arc::clone(&self.room).acquire_many_owned(weight).await.map_err(|_| closed())?;
        let (reply, outcome) = oneshot::channel();
        self.jobs.send(Job::Append(Append { wanted, reply, weight })).await.map_err(|_| closed())?;
        outcome.await.map_err(|_| closed())?
    }

    fn stop_upkeep(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        // It is awake already when this is full.
        let _ = self.nudge.try_send(());
    }
}

fn closed() -> JournalError {
    JournalError::Unavailable("the journal is closed".to_owned())
}

/// A thread of the journal; if it panics, probes are told, and whoever waits for it is answered by its end.
fn spawn(
    name: &'static str,
    path: &Path,
    condition: &Arc<Condition>,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let condition = Arc::clone(condition);
    let guarded = move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            condition.on_end(&format!("its thread {name} failed unexpectedly; restart the gateway"));
        }
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(guarded)
        .map_err(|error| OpenError::Failed { path: path.to_owned(), why: error.to_string() })
}

impl Drop for Sqlite {
    /// Waits for nobody: what is in the queue is written all the same.
    fn drop(&mut self) {
        self.stop_upkeep();
    }
}

impl Journal for Sqlite {
    fn append<'a>(&'a self, key: &'a SessionKey, events: Vec<Event>) -> JournalFuture<'a, Vec<Entry>> {
        Box::pin(async move { Ok(self.submit(key, None, events).await?.unwrap_or_default()) })
    }

    fn append_once<'a>(
        &'a self,
        key: &'a SessionKey,
        once: &'a str,
        events: Vec<Event>,
    ) -> JournalFuture<'a, Option<Vec<Entry>>> {
        Box::pin(self.submit(key, Some(once), events))
    }

    fn rehearse<'a>(&'a self, key: &'a SessionKey, event: Event) -> JournalFuture<'a, ()> {
        let wanted = Wanted { key: key.clone(), once: None, events: vec![event], is_rehearsal: true };
        Box::pin(async move { self.hand_in(wanted).await.map(drop) })
    }

    fn read<'a>(&'a self, key: &'a SessionKey, after: u64, limit: usize) -> JournalFuture<'a, Vec<Entry>> {
        let key = key.clone();
        Box::pin(self.readers.ask(move |db| read::entries(db, &key, after, limit)))
    }

    fn snapshot<'a>(&'a self, key: &'a SessionKey) -> JournalFuture<'a, Snapshot> {
        let (key, epoch, bounds) = (key.clone(), Arc::clone(&self.epoch), self.bounds);
        Box::pin(self.readers.ask(move |db| read::snapshot(db, &key, epoch, bounds)))
    }

    fn knows_run<'a>(&'a self, key: &'a SessionKey, run: &'a RunId) -> JournalFuture<'a, bool> {
        let (key, run) = (key.clone(), run.clone());
        Box::pin(self.readers.ask(move |db| read::knows_run(db, &key, &run)))
    }

    fn threads<'a>(&'a self, user: &'a UserId, before: Option<u64>, limit: usize) -> JournalFuture<'a, ThreadPage> {
        let (user, bounds) = (user.clone(), self.bounds);
        Box::pin(self.readers.ask(move |db| read::threads(db, &user, before, limit, bounds)))
    }

    fn messages<'a>(
        &'a self,
        key: &'a SessionKey,
        before: Option<&'a str>,
        limit: usize,
    ) -> JournalFuture<'a, MessagePage> {
        let (key, before, bounds) = (key.clone(), before.map(str::to_owned), self.bounds);
        Box::pin(self.readers.ask(move |db| read::messages(db, &key, before.as_deref(), limit, bounds)))
    }

    fn unfinished(&self, limit: usize) -> JournalFuture<'_, Vec<(SessionKey, RunId)>> {
        Box::pin(self.readers.ask(move |db| read::unfinished(db, limit)))
    }

    fn trouble(&self) -> Option<String> {
        self.condition.trouble()
    }

    fn bytes(&self) -> u64 {
        // Both are there while it is open; what cannot be looked at now is looked at by the next one who asks.
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        size(&self.file) + size(&self.file.with_extension(WAL_EXTENSION))
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        if self.follower.set(follower).is_err() {
            tracing::error!("a journal has one follower; the second one is not told anything");
        }
    }

    fn close(&self) -> JournalFuture<'_, ()> {
        self.stop_upkeep();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(async move {
            if threads.is_empty() {
                return Ok(());
            }
            // Refused only when the writer has ended by itself.
            let _ = self.jobs.send(Job::Close).await;
            let joined =
                tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
            self.readers.close();
            joined.await.map_err(|_| closed())
        })
    }
}
