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

use lychgate_core::{RunId, SessionKey};

use crate::wire::Message;
use crate::wire::event::Event;

pub mod fold;
pub mod memory;
mod merge;

pub use merge::merge as merge_adjacent;

#[cfg(test)]
mod conformance;

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
    /// The run boundary that `messages` end at: a client that was reset continues with the events after it.
    pub cut: u64,
    /// The earliest `after` from which the log still holds every later event. Not every later `after` need be one to
    /// continue from: a log may have joined events; [`Journal::read`] has the last word.
    pub oldest: u64,
    /// Whether there are older messages than `messages`.
    pub more: bool,
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
}

/// A future of a journal.
pub type JournalFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, JournalError>> + Send + 'a>>;

/// Hears of every append after it was acknowledged, in order per thread. Must not block, and must not call the journal
/// from within: the thread is still locked.
pub trait Follower: Send + Sync + 'static {
    /// These entries are in the log now.
    fn appended(&self, key: &SessionKey, entries: &[Entry]);
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

    /// Sets the one follower; called once, at assembly.
    fn follow(&self, follower: Arc<dyn Follower>);
}
