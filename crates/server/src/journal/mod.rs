//! Event logs: one per thread, appended to by runs, read by sessions.
//!
//! ```text
//! run --append--> journal --acknowledged--> follower (session) --frame--> every attached outbox
//!                    ^------------------read (who is behind)---------------'
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use lychgate_core::{RunId, SessionKey, ThreadId, UserId};
use serde_json::Value;

use crate::wire::Message;
use crate::wire::event::Event;

pub mod fold;
mod measured;
pub mod memory;
mod merge;
pub mod redis;
pub mod sqlite;

pub use measured::Measured;
pub use merge::merge as merge_adjacent;

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(test)]
pub(crate) mod faulty;

/// The beginning of the first question, for a list of threads.
fn title(messages: &[Arc<Message>]) -> Option<String> {
    let question = messages.iter().find(|message| message.role == "user")?;
    let text = match question.rest.get("content")? {
        Value::String(text) => text,
        // Several parts, some of them perhaps pictures: the first text.
        Value::Array(parts) => parts.iter().find_map(|part| part.get("text")?.as_str())?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(TITLE_CHARS).collect())
}

/// An event with its place in the log of its thread. Offsets start at 1, rise strictly, stay below 2^53; gaps are
/// legal.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place.
    pub offset: u64,
    /// The event.
    pub event: Event,
}

/// What `opened` tells a client about a thread.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The incarnation of the log.
    pub epoch: Arc<str>,
    /// The last offset; 0 for an empty log.
    pub head: u64,
    /// The run in flight, and the offset of its RUN_STARTED.
    pub run: Option<(RunId, u64)>,
    /// The messages up to `cut`; shared, so that a run on a long thread copies no text.
    pub messages: Vec<Arc<Message>>,
    /// The state that agent and front end share, as of `cut`; none where no agent told one.
    pub state: Option<Arc<Value>>,
    /// The run boundary that `messages` end at: a client that was reset continues with the events after it.
    pub cut: u64,
    /// The earliest `after` from which the log still holds every later event. Not every later `after` need be one to
    /// continue from: a log may have joined events; [`Journal::read`] has the last word.
    pub oldest: u64,
    /// Whether there are older messages than `messages`.
    pub more: bool,
}

/// What a list of threads says of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadSummary {
    /// Its id.
    pub thread: ThreadId,
    /// Where it stands among the user's threads: later activity, higher rank. No two are equal.
    pub rank: u64,
    /// When its first event was written, in milliseconds since 1970.
    pub created: u64,
    /// When a run last started or ended, in milliseconds since 1970.
    pub written: u64,
    /// The last offset.
    pub head: u64,
    /// Messages that it holds, without those of the run in flight.
    pub messages: u64,
    /// The run in flight.
    pub run: Option<RunId>,
    /// The beginning of the first question that is still there, at most [`TITLE_CHARS`] characters.
    pub title: Option<String>,
}

/// Characters of a thread's title at most.
pub const TITLE_CHARS: usize = 80;

/// Some of a user's threads, the one that was active last first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadPage {
    /// The threads.
    pub threads: Vec<ThreadSummary>,
    /// Whether there are more, with lower ranks.
    pub more: bool,
}

/// Some of a thread's messages, oldest first.
#[derive(Clone, Debug, Default)]
pub struct MessagePage {
    /// The messages; those of the run in flight are not among them, they are events still.
    pub messages: Vec<Arc<Message>>,
    /// Whether there are older ones.
    pub more: bool,
}

impl MessagePage {
    /// The last `limit` of all `messages` before the one with the id `before`; `more` says whether there are older ones.
    fn of(mut messages: Vec<Arc<Message>>, more: bool, before: Option<&str>, limit: usize) -> Self {
        let end = match before {
            None => messages.len(),
            Some(id) => messages.iter().position(|message| message.id == id).unwrap_or(0),
        };
        messages.truncate(end);
        let start = end.saturating_sub(limit);
        Self { messages: messages.split_off(start), more: end > 0 && (start > 0 || more) }
    }
}

/// Why the log did not take or give something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The log is full or its medium failed; the text says how.
    #[error("the journal cannot take more: {0}")]
    Unavailable(String),
    /// The events after this offset are gone: read a snapshot instead.
    #[error("the journal no longer holds the events after this offset; the oldest it can continue from is {0}")]
    Trimmed(u64),
    /// The thread was deleted, or its run ended by another node, while the run was in flight; what that run still says
    /// belongs nowhere. The start of another run makes the thread anew.
    #[error("the thread was deleted")]
    Gone,
}

/// A future of a journal.
pub type JournalFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, JournalError>> + Send + 'a>>;

/// Hears of every append after it was acknowledged, in order per thread. Must not block, and must not call the journal
/// from within: the thread is still locked.
pub trait Follower: Send + Sync + 'static {
    /// These entries are in the log now.
    fn appended(&self, key: &SessionKey, entries: &[Entry]);

    /// There may be more in the log of this thread than was told: whoever needs it reads it. For what others appended.
    fn behind(&self, key: &SessionKey) {
        let _ = key;
    }

    /// What was read before stands in another log now (R19): whoever was given some of it has to start over. Only a journal
    /// that can lose what others keep for it says so.
    fn begun_anew(&self, what: Anew<'_>) {
        let _ = what;
    }
}

/// What is another log than before.
#[derive(Clone, Copy, Debug)]
pub enum Anew<'a> {
    /// The log of this thread: it starts at its first offset again.
    Thread(&'a SessionKey),
    /// Any log.
    Everything,
}

/// A log per thread.
pub trait Journal: Send + Sync + fmt::Debug + 'static {
    /// Appends in order and returns the entries once they are as durable as configured. The follower has been told
    /// before this returns. All of `events` are taken, or none.
    fn append<'a>(&'a self, key: &'a SessionKey, events: Vec<Event>) -> JournalFuture<'a, Vec<Entry>>;

    /// The entries after `after`, at most `limit` (at least one when there is any). Fewer than `limit` means that there
    /// were no more when it looked. The last entry of one `read` is where the next one may start.
    fn read<'a>(&'a self, key: &'a SessionKey, after: u64, limit: usize) -> JournalFuture<'a, Vec<Entry>>;

    /// Where the thread stands. A thread that nobody wrote to is empty.
    fn snapshot<'a>(&'a self, key: &'a SessionKey) -> JournalFuture<'a, Snapshot>;

    /// Whether this run was started on this thread, ever (within what is retained).
    fn knows_run<'a>(&'a self, key: &'a SessionKey, run: &'a RunId) -> JournalFuture<'a, bool>;

    /// As [`Journal::append`], once for each `once` of a thread: none when this was done before (within what is
    /// retained, at least the last 1,024). `once` has at most 512 bytes. Runs that are among `events` are not remembered:
    /// `once` is what they are known by.
    fn append_once<'a>(
        &'a self,
        key: &'a SessionKey,
        once: &'a str,
        events: Vec<Event>,
    ) -> JournalFuture<'a, Option<Vec<Entry>>>;

    /// The user's threads with ranks below `before` (none: from the top), at most `limit`.
    fn threads<'a>(&'a self, user: &'a UserId, before: Option<u64>, limit: usize) -> JournalFuture<'a, ThreadPage>;

    /// The last `limit` messages before the one with the id `before` (none: before the run in flight). A message that is
    /// not, or no longer, there has none before it.
    fn messages<'a>(
        &'a self,
        key: &'a SessionKey,
        before: Option<&'a str>,
        limit: usize,
    ) -> JournalFuture<'a, MessagePage>;

    /// Runs that are open in the log, at most `limit`. Asked at the start, when whoever drove them is gone; each is in
    /// the answer until its end is appended.
    fn unfinished(&self, limit: usize) -> JournalFuture<'_, Vec<(SessionKey, RunId)>>;

    /// Runs that are open in the log although nobody drives them any more, at most `limit`: those of other nodes that are
    /// gone. Asked again and again while this node serves; each is in the answer until its end is appended. A journal of
    /// one node knows of none.
    fn abandoned(&self, limit: usize) -> JournalFuture<'_, Vec<(SessionKey, RunId)>> {
        let _ = limit;
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// The run of this thread that is open in the log although nobody on this node drives it: what ended it, or the run behind it,
    /// was lost. For whoever may append to the thread. A journal that loses nothing knows of none.
    fn left_behind<'a>(&'a self, key: &'a SessionKey) -> JournalFuture<'a, Option<RunId>> {
        let _ = key;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Why nothing can be appended at the moment, in words for operators; none when all is well. Does not block.
    fn trouble(&self) -> Option<String>;

    /// Goes the whole way of an append, through every queue to the medium and back to the follower, and leaves nothing in
    /// the log: the follower is told of an entry above every other of a thread that nobody wrote to, and no read returns
    /// it. For trying out whether an append would work.
    fn rehearse<'a>(&'a self, key: &'a SessionKey, event: Event) -> JournalFuture<'a, ()>;

    /// What it takes: of memory, or of its file with what is not yet written back. May ask the file system.
    fn bytes(&self) -> u64;

    /// Somebody attends this thread from here on: a journal that others write to as well tells the follower when they do
    /// ([`Follower::behind`]). Does not block.
    fn attend(&self, key: &SessionKey) {
        let _ = key;
    }

    /// Nobody attends this thread any more. Does not block.
    fn leave(&self, key: &SessionKey) {
        let _ = key;
    }

    /// Sets the one follower; called once, at assembly.
    fn follow(&self, follower: Arc<dyn Follower>);

    /// Writes what is on its way and lets go of the medium; nothing is appended or read afterwards. What was not closed
    /// loses nothing by it, but the next start may have to be more careful.
    fn close(&self) -> JournalFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
