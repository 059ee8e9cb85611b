//! The log in Redis: a thread that was begun on one node is read, and goes on, on every other.
//!
//! ```text
//! append --> lane of its thread --> script: all of it or nothing --acknowledged--> follower, appender
//!                                     stream of events, fields of the thread, ranks of the user's threads
//! read, snapshot, ... --> scripts, each one view of a thread
//! upkeep: folds finished runs into messages, by a script that does nothing where another node was faster
//! tail: hears that another node appended to a thread that somebody attends here; he reads it from the log
//! pulse: says that this node lives; ends nothing by itself, but tells which runs nobody drives any more
//! ```
//!
//! Every wait has a deadline, and who waited in vain does not know what became of it (R16): an append has a number of its
//! writer's, so that it may be sent twice and is done once, and one that was given up can no more be done later.
//!
//! A log is known by its epoch and by the process of Redis that it was read from: after a flush, a restart or a failover
//! readers start over (R19), because Redis may acknowledge what it then loses.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lychgate_core::{RunId, SessionKey, UserId};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::append::Sequence;
use self::keys::Keys;
use self::lane::{Flights, Job, Lanes, Outcome, Wanted};
use self::link::{Followed, Link};
use self::pulse::{Open, Seen};
use self::tail::Attended;
use self::thread::Bounds;
use self::upkeep::Upkeep;
use super::{Entry, Follower, Journal, JournalError, JournalFuture, MessagePage, Snapshot, ThreadPage};
use crate::config;
use crate::wire::event::Event;
use crate::wire::millis;

mod append;
mod error;
mod keys;
mod lane;
mod link;
mod pulse;
mod read;
mod scripts;
mod server;
mod tail;
#[cfg(test)]
mod tests;
mod thread;
mod upkeep;

pub use error::OpenError;

/// From an append to its answer, whatever happens to Redis: a run ends with a reason then.
pub const APPEND_WITHIN: Duration = Duration::from_secs(3);
/// From a question to its answer, the wait for those before it included.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Bytes of the appends that wait.
const QUEUE_BYTES: u32 = 32 * 1_024 * 1_024;
/// What an event weighs there beside its JSON.
const EVENT_WEIGHT: usize = 256;
/// Questions that are asked at once; after a failover everybody asks.
const QUESTIONS: usize = 64;

/// The journal `redis`.
pub struct Redis {
    inner: Arc<Inner>,
    room: Arc<Semaphore>,
    questions: Semaphore,
    runtime: Handle,
    stop: CancellationToken,
}

/// What the tasks of the journal share.
struct Inner {
    link: Link,
    keys: Keys,
    /// This node as the log knows it; another one in every process.
    writer: String,
    bounds: Bounds,
    retention_ms: Option<u64>,
    lanes: Lanes,
    flights: Flights,
    sequence: Sequence,
    /// Appends whose outcome nobody knows: the last one of each thread.
    unsettled: Open,
    /// Runs that such an append began, by their starts.
    undriven: Open,
    upkeep: Upkeep,
    attended: Attended,
    follower: Followed,
    seen: Seen,
}

impl fmt::Debug for Redis {
    /// Nothing of the address: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("writer", &self.inner.writer).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects, checks the server and says that this node lives. Call it on the runtime that is to do the work.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the server or with what lies there.
    pub async fn open(config: &config::Journal) -> Result<Self, OpenError> {
        let follower: Followed = Arc::new(OnceLock::new());
        let url = config.url.as_ref().ok_or(OpenError::Address)?;
        let keys = Keys::new(&url.stem(&config.prefix));
        let link = Link::new(url, keys.journal(), Arc::clone(&follower))?;
        let generation = link.open().await?;
        let (upkeep, wanted) = Upkeep::new();
        let inner = Arc::new(Inner {
            link,
            keys,
            writer: append::fresh_epoch(),
            bounds: Bounds {
                max_events: config.max_events_per_thread,
                max_messages: config.max_messages_per_thread,
                max_bytes: config.max_bytes_per_thread,
            },
            retention_ms: config.retention.map(millis),
            lanes: Lanes::default(),
            flights: Flights::default(),
            sequence: Sequence::default(),
            unsettled: Open::default(),
            undriven: Open::default(),
            upkeep,
            attended: Attended::default(),
            follower,
            seen: Seen::new(generation),
        });
        inner.beat().await.map_err(|failure| OpenError::Unreachable(failure.text().to_owned()))?;
        let (runtime, stop) = (Handle::current(), CancellationToken::new());
        runtime.spawn(pulse::keep(Arc::clone(&inner), stop.clone()));
        runtime.spawn(tail::keep(Arc::clone(&inner), stop.clone()));
        let folding = upkeep::keep(Arc::clone(&inner), wanted);
        let stopped = stop.clone();
        runtime.spawn(async move { stopped.run_until_cancelled(folding).await });
        let (room, questions) = (Arc::new(Semaphore::new(QUEUE_BYTES as usize)), Semaphore::new(QUESTIONS));
        Ok(Self { inner, room, questions, runtime, stop })
    }

    async fn hand_in(&self, key: &SessionKey, wanted: Wanted) -> Outcome {
        let deadline = Instant::now() + APPEND_WITHIN;
        let weight = match &wanted {
            Wanted::Append { events, .. } => events.iter().map(|event| event.json().get().len() + EVENT_WEIGHT).sum(),
            Wanted::Rehearse(event) => event.json().get().len() + EVENT_WEIGHT,
        };
        // What is larger than the whole queue has it for itself.
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).min(QUEUE_BYTES);
        let room = timeout(APPEND_WITHIN, Arc::clone(&self.room).acquire_many_owned(weight));
        let full = || JournalError::Unavailable("too much waits for Redis".to_owned());
        let _room = room.await.map_err(|_| full())?.map_err(|_| closed())?;
        let (reply, outcome) = oneshot::channel();
        if self.inner.lanes.put(key, Job { wanted, deadline, reply, _room }) {
            let (inner, key) = (Arc::clone(&self.inner), key.clone());
            self.runtime.spawn(async move { inner.work(key).await });
        }
        // The lane answers sooner; whatever becomes of it, nobody waits for ever.
        timeout(APPEND_WITHIN * 2, outcome).await.map_err(|_| append::late())?.map_err(|_| closed())?
    }

    /// Waits for its turn and for the answer, neither for long.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
        let asked = async {
            let _turn = self.questions.acquire().await.map_err(|_| closed())?;
            question.await
        };
        timeout(ANSWER_WITHIN, asked).await.map_err(|_| append::late())?
    }
}

fn closed() -> JournalError {
    JournalError::Unavailable("the journal is closed".to_owned())
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Journal for Redis {
    fn append<'a>(&'a self, key: &'a SessionKey, events: Vec<Event>) -> JournalFuture<'a, Vec<Entry>> {
        let wanted = Wanted::Append { once: None, events };
        Box::pin(async move { Ok(self.hand_in(key, wanted).await?.unwrap_or_default()) })
    }

    fn append_once<'a>(
        &'a self,
        key: &'a SessionKey,
        once: &'a str,
        events: Vec<Event>,
    ) -> JournalFuture<'a, Option<Vec<Entry>>> {
        Box::pin(self.hand_in(key, Wanted::Append { once: Some(once.to_owned()), events }))
    }

    fn rehearse<'a>(&'a self, key: &'a SessionKey, event: Event) -> JournalFuture<'a, ()> {
        Box::pin(async move { self.hand_in(key, Wanted::Rehearse(event)).await.map(drop) })
    }

    fn read<'a>(&'a self, key: &'a SessionKey, after: u64, limit: usize) -> JournalFuture<'a, Vec<Entry>> {
        Box::pin(self.ask(self.inner.read(key, after, limit)))
    }

    fn snapshot<'a>(&'a self, key: &'a SessionKey) -> JournalFuture<'a, Snapshot> {
        Box::pin(self.ask(self.inner.snapshot(key)))
    }

    fn knows_run<'a>(&'a self, key: &'a SessionKey, run: &'a RunId) -> JournalFuture<'a, bool> {
        Box::pin(self.ask(self.inner.knows_run(key, run)))
    }

    fn threads<'a>(&'a self, user: &'a UserId, before: Option<u64>, limit: usize) -> JournalFuture<'a, ThreadPage> {
        Box::pin(self.ask(self.inner.threads(user, before, limit)))
    }

    fn messages<'a>(
        &'a self,
        key: &'a SessionKey,
        before: Option<&'a str>,
        limit: usize,
    ) -> JournalFuture<'a, MessagePage> {
        Box::pin(self.ask(self.inner.messages(key, before, limit)))
    }

    fn unfinished(&self, limit: usize) -> JournalFuture<'_, Vec<(SessionKey, RunId)>> {
        Box::pin(async move { Ok(self.inner.unfinished(limit).await?) })
    }

    fn abandoned(&self, limit: usize) -> JournalFuture<'_, Vec<(SessionKey, RunId)>> {
        Box::pin(async move {
            let mut open = self.inner.undriven(limit).await?;
            open.extend(self.inner.abandoned(limit - open.len().min(limit)).await?);
            Ok(open)
        })
    }

    fn left_behind<'a>(&'a self, key: &'a SessionKey) -> JournalFuture<'a, Option<RunId>> {
        Box::pin(async move { Ok(self.inner.left_behind(key).await?) })
    }

    fn trouble(&self) -> Option<String> {
        self.inner.link.trouble()
    }

    fn bytes(&self) -> u64 {
        self.inner.seen.bytes()
    }

    fn attend(&self, key: &SessionKey) {
        self.inner.attended.attend(self.inner.keys.of(key).thread, key);
    }

    fn leave(&self, key: &SessionKey) {
        self.inner.attended.leave(&self.inner.keys.of(key).thread);
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        if self.inner.follower.set(follower).is_err() {
            tracing::error!("a journal has one follower; the second one is not told anything");
        }
    }

    fn close(&self) -> JournalFuture<'_, ()> {
        self.stop.cancel();
        Box::pin(async move {
            // All the room there is: nothing waits any more.
            let idle = timeout(APPEND_WITHIN, self.room.acquire_many(QUEUE_BYTES));
            let idle = idle.await.is_ok();
            self.room.close();
            self.inner.leave().await?;
            if idle { Ok(()) } else { Err(closed()) }
        })
    }
}
