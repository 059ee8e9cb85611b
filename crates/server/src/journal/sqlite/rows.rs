//! What stands in the tables, read so that a damaged row is an error with a name and never a panic.

use std::sync::Arc;

use lychgate_core::{RunId, SessionKey};
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, ffi, params};
use serde_json::value::RawValue;

use crate::journal::fold::{History, fold, surplus};
use crate::journal::{Entry, JournalError};
use crate::wire::Message;
use crate::wire::event::Event;

/// Why the database did not do as it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// This one request cannot be met; everything else goes on.
    Refused(JournalError),
    /// A row holds what we did not write; says which.
    Damaged(String),
    /// SQLite failed.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    /// A value of a type or size that we never write is the row's fault, and no other row's.
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(_) => Self::Sql(error),
            None => Self::Damaged(format!("a row of the journal cannot be read: {error}")),
        }
    }
}

impl Failure {
    /// There is no room: on the disk, in what the file may grow to, or in a quota, which SQLite meets as a write that
    /// failed or as shared memory that could not grow.
    pub(super) fn is_full(&self) -> bool {
        let is_unwritten = |error: &rusqlite::Error| {
            let code = error.sqlite_error().map(|error| error.extended_code);
            matches!(code, Some(ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE))
        };
        self.has_code(&[ErrorCode::DiskFull]) || matches!(self, Self::Sql(error) if is_unwritten(error))
    }

    /// Another program is writing to it.
    pub(super) fn is_busy(&self) -> bool {
        self.has_code(&[ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked])
    }

    /// The file itself is broken, not only one row.
    pub(super) fn is_corrupt(&self) -> bool {
        self.has_code(&[ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase])
    }

    fn has_code(&self, codes: &[ErrorCode]) -> bool {
        match self {
            Self::Refused(_) | Self::Damaged(_) => false,
            Self::Sql(error) => error.sqlite_error_code().is_some_and(|code| codes.contains(&code)),
        }
    }

    /// In words for operators.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Refused(error) => error.to_string(),
            Self::Damaged(what) => format!("{what}; docs/journal.md says what to do"),
            Self::Sql(error) if self.is_busy() => format!("another program is writing to the file: {error}"),
            Self::Sql(error) => error.to_string(),
        }
    }
}

impl From<Failure> for JournalError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            failure @ (Failure::Damaged(_) | Failure::Sql(_)) => Self::Unavailable(failure.text()),
        }
    }
}

/// Offsets stay below 2^53, which is what JavaScript counts to.
const MAX_COUNTER: u64 = 1 << 53;

/// What one thread may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_events: usize,
    pub(super) max_messages: usize,
    pub(super) max_bytes: usize,
}

/// A number of the table `meta`.
pub(super) fn number(db: &Connection, key: &str) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT value FROM meta WHERE key = ?")?.query_row([key], |row| counter(row, 0))
}

/// What is counted up from here on: an offset, a rank. Far below what the column holds, so that the next ones fit too.
fn counter(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    match row.get(column)? {
        counter @ ..MAX_COUNTER => Ok(counter),
        beyond => Err(rusqlite::Error::IntegralValueOutOfRange(column, i64::try_from(beyond).unwrap_or(i64::MAX))),
    }
}

/// A row of the table `thread`.
#[derive(Clone, Debug)]
pub(super) struct Thread {
    pub(super) id: i64,
    pub(super) user: String,
    pub(super) name: String,
    pub(super) rank: u64,
    pub(super) created: u64,
    pub(super) written: u64,
    /// The last offset. Its column is that of the last boundary; what the run in flight wrote since is above it.
    pub(super) head: u64,
    /// Events up to here are gone.
    pub(super) floor: u64,
    /// Events up to here stand in `message`.
    pub(super) folded: u64,
    /// Events up to here are joined.
    pub(super) joined: u64,
    /// Where the last finished run started.
    pub(super) finished: Option<u64>,
    /// The run in flight, and the offset of its RUN_STARTED.
    pub(super) run: Option<(RunId, u64)>,
    /// Rows in `message`, and the bytes of their JSON.
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Whether there were older messages.
    pub(super) more: bool,
}

const THREAD: &str = "SELECT id, user, name, rank, created, written,
    max(head, coalesce((SELECT max(offset) FROM event WHERE thread = id), 0)),
    floor, folded, joined, finished, run, run_start, messages, bytes, more FROM thread";

impl Thread {
    /// The thread of this key, if it was ever written to.
    pub(super) fn find(db: &Connection, key: &SessionKey) -> Result<Option<Self>, Failure> {
        let mut find = db.prepare_cached(&format!("{THREAD} WHERE user = ? AND name = ?"))?;
        Ok(find.query_row([key.user().as_str(), key.thread().as_str()], Self::of).optional()?)
    }

    /// Threads as the rest of the statement selects them.
    pub(super) fn select(db: &Connection, rest: &str, parameters: impl rusqlite::Params) -> Result<Vec<Self>, Failure> {
        let mut select = db.prepare_cached(&format!("{THREAD} {rest}"))?;
        let rows = select.query_map(parameters, Self::of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let run: Option<String> = row.get(11)?;
        let start: Option<u64> = row.get(12)?;
        let run = run.zip(start).map(|(run, start)| match RunId::parse(&run) {
            Ok(run) => Ok((run, start)),
            Err(error) => Err(rusqlite::Error::FromSqlConversionFailure(11, Type::Text, Box::new(error))),
        });
        Ok(Self {
            id: row.get(0)?,
            user: row.get(1)?,
            name: row.get(2)?,
            rank: row.get(3)?,
            created: row.get(4)?,
            written: row.get(5)?,
            head: counter(row, 6)?,
            floor: row.get(7)?,
            folded: row.get(8)?,
            joined: row.get(9)?,
            finished: row.get(10)?,
            run: run.transpose()?,
            messages: row.get(13)?,
            bytes: row.get(14)?,
            more: row.get(15)?,
        })
    }

    /// The run boundary that history ends at.
    pub(super) fn cut(&self) -> u64 {
        self.run.as_ref().map_or(self.head, |(_, start)| start.saturating_sub(1))
    }

    /// Whether there are finished events that no row of `message` knows of yet.
    pub(super) fn is_behind(&self) -> bool {
        self.folded < self.cut()
    }

    /// Its entries from `from` to `to`, both included, at most `limit`.
    pub(super) fn entries(&self, db: &Connection, from: u64, to: u64, limit: usize) -> Result<Vec<Entry>, Failure> {
        let mut select = db.prepare_cached(
            "SELECT offset, json FROM event WHERE thread = ? AND offset BETWEEN ? AND ? ORDER BY offset LIMIT ?",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let to = i64::try_from(to).unwrap_or(i64::MAX);
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let mut rows = select.query(params![self.id, from, to, limit])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let offset: u64 = row.get(0)?;
            entries.push(Entry { offset, event: self.event(offset, row)? });
        }
        Ok(entries)
    }

    fn event(&self, offset: u64, row: &Row<'_>) -> Result<Event, Failure> {
        let damaged = |why: &dyn std::fmt::Display| {
            let (user, name) = (&self.user, &self.name);
            Failure::Damaged(format!("the event {offset} of the thread {name:?} of {user:?} cannot be read: {why}"))
        };
        let json: String = row.get(1).map_err(|error| damaged(&error))?;
        RawValue::from_string(json).and_then(Event::parse).map_err(|error| damaged(&error))
    }

    /// Messages and state up to [`Self::cut`], within `bounds`.
    pub(super) fn past(&self, db: &Connection, bounds: Bounds) -> Result<Past, Failure> {
        let messages = self.stored_messages(db)?;
        let positions: Vec<u64> = messages.iter().map(|(position, _)| *position).collect();
        let stored: Vec<Arc<Message>> = messages.into_iter().map(|(_, message)| message).collect();
        let mut history = History { messages: stored.clone(), state: self.state(db)? };
        let mut bytes = self.bytes;
        let mut from = self.folded + 1;
        while from <= self.cut() {
            let entries = self.entries(db, from, self.cut(), FOLDED_AT_ONCE)?;
            let Some(last) = entries.last() else { break };
            from = last.offset + 1;
            for entry in &entries {
                bytes += entry.event.json().get().len() as u64;
                fold(&mut history, &entry.event);
            }
        }
        let gone = surplus(&history.messages, bounds.max_messages, bounds.max_bytes, bytes);
        let more = self.more || gone > 0;
        history.messages.drain(..gone);
        Ok(Past { history, stored, positions, gone, more })
    }

    /// Rows of `message` as a statement of [`messages_of`] gives them.
    pub(super) fn stored_messages(&self, db: &Connection) -> Result<Vec<(u64, Arc<Message>)>, Failure> {
        let mut select = db.prepare_cached("SELECT position, json FROM message WHERE thread = ? ORDER BY position")?;
        self.messages(&mut select.query([self.id])?)
    }

    /// The messages of rows that have a position and JSON.
    pub(super) fn messages(&self, rows: &mut rusqlite::Rows<'_>) -> Result<Vec<(u64, Arc<Message>)>, Failure> {
        let mut messages = Vec::new();
        while let Some(row) = rows.next()? {
            let position: u64 = row.get(0)?;
            messages.push((position, Arc::new(self.decoded(row, &format!("the message {position}"))?)));
        }
        Ok(messages)
    }

    fn state(&self, db: &Connection) -> Result<Option<Arc<serde_json::Value>>, Failure> {
        let mut select = db.prepare_cached("SELECT thread, json FROM state WHERE thread = ?")?;
        let mut rows = select.query([self.id])?;
        Ok(match rows.next()? {
            None => None,
            Some(row) => Some(Arc::new(self.decoded(row, "the state")?)),
        })
    }

    /// The JSON in the second column of a row.
    fn decoded<T: serde::de::DeserializeOwned>(&self, row: &Row<'_>, what: &str) -> Result<T, Failure> {
        let damaged = |why: &dyn std::fmt::Display| {
            let (user, name) = (&self.user, &self.name);
            Failure::Damaged(format!("{what} of the thread {name:?} of {user:?} cannot be read: {why}"))
        };
        let json = row.get_ref(1)?.as_str().map_err(|error| damaged(&error))?;
        serde_json::from_str(json).map_err(|error| damaged(&error))
    }
}

/// Events that are in memory at once while they are folded.
const FOLDED_AT_ONCE: usize = 1_024;

/// A thread without its run in flight.
pub(super) struct Past {
    /// What is shown.
    pub(super) history: History,
    /// What stands in `message`, and where.
    pub(super) stored: Vec<Arc<Message>>,
    pub(super) positions: Vec<u64>,
    /// Older messages that the bounds took off the front of `history`.
    pub(super) gone: usize,
    /// Whether there were older messages.
    pub(super) more: bool,
}
