//! What the doors remember over a restart: one SQLite file of a few small tables beside the journal, or memory alone.
//!
//! ```text
//!  auth  --> logins, revocations --.
//!  api   --> audit, answers -------+--> Store: one connection behind a lock
//! ```
//!
//! Each table has a file of its own below this one, with its part of [`TABLES`]. A call may wait for the disk: make it at
//! start or from a blocking task, and keep what every request asks for in memory.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

pub mod answers;
pub mod audit;
pub mod logins;
pub mod revocations;

/// The file, in the directory of the journal.
const FILE: &str = "doors.db";

/// How long a call waits for another process that reads the file.
const BUSY: Duration = Duration::from_secs(2);

/// What makes the tables; each statement may be run again on a file that has them.
const TABLES: &[&str] = &[audit::TABLE, answers::TABLE, logins::TABLE, revocations::TABLE];

/// The tables.
pub struct Store(Mutex<Connection>);

/// The file cannot be used; the text says what SQLite or the system said.
#[derive(Debug, thiserror::Error)]
#[error("the file of logins and revocations ({FILE}): {0}")]
pub struct StoreError(String);

impl StoreError {
    /// A row of a table is none that we wrote; the text says which.
    pub(crate) fn unreadable(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }

    /// The task that was to do the work is gone: it panicked, or the process ends.
    pub(crate) fn interrupted() -> Self {
        Self("the work was interrupted".to_owned())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the file in `directory`, which is there and is ours, or makes it, for this user alone; without a directory
    /// everything is gone with the process.
    ///
    /// # Errors
    /// The file cannot be opened, or is none of ours.
    pub fn open(directory: Option<&Path>) -> Result<Arc<Self>, StoreError> {
        let connection = match directory {
            None => Connection::open_in_memory()?,
            Some(directory) => {
                let path = directory.join(FILE);
                let made = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
                made.map_err(|error| StoreError(format!("{}: {error}", path.display())))?;
                let connection = Connection::open(&path)?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.pragma_update(None, "synchronous", "FULL")?;
                connection
            }
        };
        connection.busy_timeout(BUSY)?;
        for table in TABLES {
            connection.execute_batch(table)?;
        }
        Ok(Arc::new(Self(Mutex::new(connection))))
    }

    /// Works on the tables; nobody else does meanwhile.
    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(&connection)?)
    }
}
