//! Connections to the file, and what is checked before the first of them is used.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::epoch;
use super::error::OpenError;
use super::files::Directory;
use super::schema::{self, Kind};
use crate::config::Durability;

/// What every file of SQLite starts with.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// How long the first look at the file may take. A few hundred megabytes are read whole in that time; of a larger file
/// the tables that everything hangs on come first, and a page that is broken further on is met when it is read.
const CHECK_WITHIN: Duration = Duration::from_secs(2);
/// Instructions of SQLite's machine between two looks at the clock.
const CHECK_STEPS: i32 = 10_000;
/// How long to wait for another program that writes, such as `lychgate threads delete`.
const BUSY: Duration = Duration::from_secs(5);
/// Pages that the writer keeps at hand, in KiB: the last pages of a few thousand threads.
const WRITER_CACHE_KIB: i64 = 16 * 1_024;
/// Statements of one connection that stay prepared.
const STATEMENTS: usize = 64;

/// A connection that writes.
pub(super) fn writer(path: &Path, durability: Durability) -> rusqlite::Result<Connection> {
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.pragma_update(None, "synchronous", synchronous(durability))?;
    db.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // The upkeep thread writes pages back, so that no commit has to.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(db)
}

/// A connection that cannot write.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread at a time: SQLite's own mutex would guard nothing.
    let db = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

fn synchronous(durability: Durability) -> &'static str {
    match durability {
        Durability::Normal => "NORMAL",
        Durability::Full => "FULL",
    }
}

/// Opens the file of a directory for writing: it is ours, whole as far as one can tell in two seconds, and of this
/// version when this returns.
pub(super) fn prepare(
    directory: &Directory,
    durability: Durability,
    fresh_epoch: &str,
) -> Result<(Connection, Arc<str>), OpenError> {
    let path = directory.database();
    is_database(&path)?;
    let failed = |error| explain(&path, &error);
    let mut db = writer(&path, Durability::Full).map_err(failed)?;
    let version = version(&db, &path)?;
    // Kept in the file, and it must be set before anything is in there.
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let why = format!("it cannot be written ahead: SQLite stays in the mode {mode:?}; is it on a network drive?");
        return Err(OpenError::Failed { path, why });
    }
    schema::migrate(&mut db, version).map_err(failed)?;
    check(&mut db, &path)?;
    let (epoch, mark) = Transaction::new(&mut db, TransactionBehavior::Immediate)
        .and_then(|all| {
            let opened = epoch::open(&all, directory, durability, fresh_epoch)?;
            all.commit()?;
            Ok(opened)
        })
        .map_err(failed)?;
    // On a full disk the ends of runs are worth more than the epoch after the next crash.
    if let Err(error) = directory.leave_mark(&mark) {
        tracing::warn!(%error, "the journal cannot be marked; after a crash it is taken for a copy");
    }
    db.pragma_update(None, "synchronous", synchronous(durability)).map_err(failed)?;
    Ok((db, epoch))
}

/// The version of a file of ours; 0 for one that nothing was written to.
pub(super) fn version(db: &Connection, path: &Path) -> Result<usize, OpenError> {
    match schema::kind(db).map_err(|error| explain(path, &error))? {
        Kind::Fresh => Ok(0),
        Kind::Ours(version) => Ok(version),
        Kind::Newer(found) => Err(OpenError::Newer { path: path.to_owned(), found, known: schema::VERSION }),
        Kind::Foreign => Err(OpenError::Foreign { path: path.to_owned() }),
    }
}

/// SQLite takes a file of any short garbage for an empty one; we do not.
pub(super) fn is_database(path: &Path) -> Result<(), OpenError> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start));
    match read {
        Err(error) => Err(OpenError::Failed { path: path.to_owned(), why: error.to_string() }),
        Ok(0) => Ok(()),
        Ok(_) if start == MAGIC => Ok(()),
        Ok(_) => {
            let why = "its first bytes are not those of a database".to_owned();
            Err(OpenError::Damaged { path: path.to_owned(), why })
        }
    }
}

/// Looks for damage, the tables that everything hangs on first.
fn check(db: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let deadline = Instant::now() + CHECK_WITHIN;
    let failed = |error: rusqlite::Error| explain(path, &error);
    db.progress_handler(CHECK_STEPS, Some(move || Instant::now() > deadline)).map_err(failed)?;
    let checked = ["quick_check('meta')", "quick_check('thread')", "quick_check(1)"].iter().try_for_each(|check| {
        match db.query_row(&format!("PRAGMA {check}"), [], |row| row.get::<_, String>(0)) {
            Ok(found) if found == "ok" => Ok(()),
            Ok(why) => Err(OpenError::Damaged { path: path.to_owned(), why: why.replace('\n', " ") }),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                tracing::info!(path = %path.display(), "the journal is too large to be checked whole at the start");
                Ok(())
            }
            Err(error) => Err(explain(path, &error)),
        }
    });
    db.progress_handler(0, None::<fn() -> bool>).map_err(failed)?;
    checked
}

/// What an error of SQLite means for somebody who wants the file opened.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> OpenError {
    let (path, why) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch) => {
            OpenError::Damaged { path, why }
        }
        // A table of ours that lacks what we made it with, or a value of another type.
        Some(ErrorCode::Unknown) => OpenError::Damaged { path, why },
        Some(_) => OpenError::Failed { path, why },
        None => OpenError::Damaged { path, why },
    }
}
