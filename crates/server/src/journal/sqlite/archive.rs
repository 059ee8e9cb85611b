//! The file without a gateway, or beside one: for operators.
//!
//! What is read is read from one view of the file per thread, and nothing is held in between, so that a gateway that
//! works on the file meanwhile is not kept from starting its write-ahead log over.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lychgate_core::{RunId, SessionKey, ThreadId, UserId};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::Value;

use super::change::forget_some;
use super::error::OpenError;
use super::read::{at_once, summary};
use super::rows::{Bounds, Failure, Thread};
use super::{files, open, schema};
use crate::config::Durability;
use crate::journal::{Entry, JournalError, ThreadSummary};
use crate::wire::Message;

/// Between two steps of a deletion, at least: a gateway that waits for the file looks for it now and then only.
const BREATH: Duration = Duration::from_millis(10);

/// Whoever looks sees all that is kept.
const EVERYTHING: Bounds = Bounds { max_events: usize::MAX, max_messages: usize::MAX, max_bytes: usize::MAX };

/// The journal of a directory, whether a gateway works there or not.
#[derive(Debug)]
pub struct Archive {
    db: Connection,
    path: PathBuf,
}

/// One thread of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Whose it is.
    pub user: UserId,
    /// What a list says of it.
    pub summary: ThreadSummary,
}

/// All that is kept of a thread.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Whose it is, and what a list says of it.
    pub listed: Listed,
    /// The incarnation of the log.
    pub epoch: String,
    /// Events up to here are gone.
    pub oldest: u64,
    /// Whether there were older messages.
    pub more: bool,
    /// The messages, without those of the run in flight.
    pub messages: Vec<Arc<Message>>,
    /// The state that agent and front end share.
    pub state: Option<Arc<Value>>,
    /// The events after `oldest`.
    pub entries: Vec<Entry>,
}

/// What became of an order to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Nothing of it is left.
    Done,
    /// There is no such thread.
    Missing,
    /// A run is in flight; the thread was left as it is.
    InFlight(RunId),
}

impl Archive {
    /// Opens it for looking.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the way out.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::with(directory, open::reader)
    }

    /// Opens it for deleting.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_to_delete(directory: &Path) -> Result<Self, OpenError> {
        Self::with(directory, |path| {
            let db = open::writer(path, Durability::Full)?;
            // What somebody wants gone is overwritten, not only unlinked.
            db.pragma_update(None, "secure_delete", true)?;
            Ok(db)
        })
    }

    fn with(directory: &Path, connect: impl FnOnce(&Path) -> rusqlite::Result<Connection>) -> Result<Self, OpenError> {
        let path = files::database(directory);
        if !path.exists() {
            return Err(OpenError::Missing { path });
        }
        open::is_database(&path)?;
        let db = connect(&path).map_err(|error| open::explain(&path, &error))?;
        match open::version(&db, &path)? {
            0 => Err(OpenError::Missing { path }),
            schema::VERSION => Ok(Self { db, path }),
            earlier => {
                let why = format!("it has version {earlier}; start the gateway once, which brings it up to date");
                Err(OpenError::Failed { path, why })
            }
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The threads that were active last, of one user or of all, at most `limit`; and whether there are more.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] says what cannot be read.
    pub fn list(&self, user: Option<&UserId>, limit: usize) -> Result<(Vec<Listed>, bool), JournalError> {
        let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let listed = at_once(&self.db, |db| {
            let found = match user {
                Some(user) => {
                    Thread::select(db, "WHERE user = ? ORDER BY rank DESC LIMIT ?", params![user.as_str(), wanted])
                }
                None => Thread::select(db, "ORDER BY written DESC, rank DESC LIMIT ?", params![wanted]),
            }?;
            found.into_iter().map(|thread| listed(db, thread)).collect::<Result<Vec<_>, Failure>>()
        })?;
        let more = listed.len() > limit;
        Ok((listed.into_iter().take(limit).collect(), more))
    }

    /// The next threads after this one, in the order of their users and names, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] says what cannot be read.
    pub fn keys(
        &self,
        user: Option<&UserId>,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<SessionKey>, JournalError> {
        let after = after.map_or(("", ""), |key| (key.user().as_str(), key.thread().as_str()));
        let rest = "WHERE (user, name) > (?, ?) AND user = coalesce(?, user) ORDER BY user, name LIMIT ?";
        let parameters = params![after.0, after.1, user.map(UserId::as_str), i64::try_from(limit).unwrap_or(i64::MAX)];
        let found = at_once(&self.db, |db| {
            Thread::select(db, rest, parameters)?.iter().map(key).collect::<Result<Vec<_>, Failure>>()
        })?;
        Ok(found)
    }

    /// All that is kept of a thread; none when there is no such thread.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] says what cannot be read.
    pub fn read(&self, key: &SessionKey) -> Result<Option<Kept>, JournalError> {
        let kept = at_once(&self.db, |db| {
            let Some(thread) = Thread::find(db, key)? else { return Ok(None) };
            let past = thread.past(db, EVERYTHING)?;
            let entries = thread.entries(db, thread.floor + 1, thread.head, usize::MAX)?;
            Ok(Some(Kept {
                epoch: db.query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0))?,
                oldest: thread.floor,
                more: past.more,
                messages: past.history.messages,
                state: past.history.state,
                entries,
                listed: listed(db, thread)?,
            }))
        })?;
        Ok(kept)
    }

    /// Deletes a thread in small steps. After each of them the file is left to a gateway that works on it, for as long as
    /// the step took: a deletion that took the file again at once would starve it. With `force` also a thread with a run in
    /// flight goes; what that run still says is refused.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the file cannot be written.
    pub fn delete(&mut self, key: &SessionKey, force: bool) -> Result<Deletion, JournalError> {
        let mut nothing_there = Deletion::Missing;
        loop {
            let began = Instant::now();
            let step = self.delete_some(key, force)?;
            sleep(began.elapsed().max(BREATH));
            match step {
                Some(Deletion::Missing) => return Ok(nothing_there),
                Some(decided @ (Deletion::Done | Deletion::InFlight(_))) => return Ok(decided),
                None => nothing_there = Deletion::Done,
            }
        }
    }

    fn delete_some(&mut self, key: &SessionKey, force: bool) -> Result<Option<Deletion>, Failure> {
        let step = Transaction::new(&mut self.db, TransactionBehavior::Immediate)?;
        let Some(thread) = Thread::find(&step, key)? else { return Ok(Some(Deletion::Missing)) };
        if let Some((run, _)) = thread.run.filter(|_| !force) {
            return Ok(Some(Deletion::InFlight(run)));
        }
        let is_done = forget_some(&step, thread.id)?;
        step.commit()?;
        Ok(is_done.then_some(Deletion::Done))
    }
}

fn key(thread: &Thread) -> Result<SessionKey, Failure> {
    let damaged = |error| Failure::Damaged(format!("the user or name of the thread {} {error}", thread.id));
    let user = UserId::parse(&thread.user).map_err(damaged)?;
    Ok(SessionKey::new(user, ThreadId::parse(&thread.name).map_err(damaged)?))
}

fn listed(db: &Connection, thread: Thread) -> Result<Listed, Failure> {
    let user = key(&thread)?.user().clone();
    Ok(Listed { user, summary: summary(db, thread, EVERYTHING)? })
}
