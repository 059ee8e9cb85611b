//! The tables, and how a file of an earlier version becomes one of this version.
//!
//! ```text
//! application_id: ours? --no--> refused        user_version: newer? --yes--> refused
//!        '--fresh--> MIGRATIONS[0..]                  '--older--> MIGRATIONS[version..], one transaction
//! ```
//!
//! People read these tables with `sqlite3`; docs/journal.md describes them and shows queries.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// "Lych" in ASCII: `PRAGMA application_id` of our files.
pub(super) const APPLICATION_ID: i64 = 0x4c79_6368;

/// The version that this program reads and writes: `PRAGMA user_version`.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// Each takes a file from the version of its index to the next one; what was released is never changed.
const MIGRATIONS: [&str; 1] = [FIRST];

/// Rows of one thread lie together (`WITHOUT ROWID`), so that to resume reads neighbouring pages.
const FIRST: &str = "
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('floor', 0), ('rank', 0);

CREATE TABLE thread (
    id        INTEGER PRIMARY KEY,
    user      TEXT NOT NULL,
    name      TEXT NOT NULL,
    rank      INTEGER NOT NULL,
    created   INTEGER NOT NULL,
    written   INTEGER NOT NULL,
    head      INTEGER NOT NULL,
    floor     INTEGER NOT NULL,
    folded    INTEGER NOT NULL,
    joined    INTEGER NOT NULL,
    finished  INTEGER,
    run       TEXT,
    run_start INTEGER,
    messages  INTEGER NOT NULL DEFAULT 0,
    bytes     INTEGER NOT NULL DEFAULT 0,
    more      INTEGER NOT NULL DEFAULT 0,
    due       INTEGER
) STRICT;
CREATE UNIQUE INDEX thread_by_name ON thread (user, name);
CREATE INDEX thread_by_rank ON thread (user, rank);
CREATE INDEX thread_by_time ON thread (written);
CREATE INDEX thread_due ON thread (due) WHERE due IS NOT NULL;
CREATE INDEX thread_in_flight ON thread (id) WHERE run IS NOT NULL;

CREATE TABLE event (
    thread INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    json   TEXT NOT NULL,
    PRIMARY KEY (thread, offset)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    thread   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    id       TEXT NOT NULL,
    role     TEXT NOT NULL,
    json     TEXT NOT NULL,
    PRIMARY KEY (thread, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_by_id ON message (thread, id);

CREATE TABLE state (
    thread INTEGER PRIMARY KEY,
    json   TEXT NOT NULL
) STRICT;

CREATE TABLE run (
    thread INTEGER NOT NULL,
    run    TEXT NOT NULL,
    start  INTEGER NOT NULL,
    PRIMARY KEY (thread, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE publication (
    thread INTEGER NOT NULL,
    key    TEXT NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (thread, key)
) STRICT, WITHOUT ROWID;
";

/// What a file is, before anything of it is used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing was ever written to it.
    Fresh,
    /// Ours, of this version or an earlier one.
    Ours(usize),
    /// Ours, of a later version.
    Newer(usize),
    /// A database of some other program.
    Foreign,
}

/// Says what the file is.
pub(super) fn kind(db: &Connection) -> rusqlite::Result<Kind> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match application {
        0 if version == 0 && tables == 0 => Kind::Fresh,
        APPLICATION_ID if version > VERSION => Kind::Newer(version),
        APPLICATION_ID => Kind::Ours(version),
        _ => Kind::Foreign,
    })
}

/// Brings a file that is at `version` to [`VERSION`], or leaves it as it was.
pub(super) fn migrate(db: &mut Connection, version: usize) -> rusqlite::Result<()> {
    steps(db, version, &MIGRATIONS)
}

fn steps(db: &mut Connection, version: usize, migrations: &[&str]) -> rusqlite::Result<()> {
    if version >= migrations.len() {
        return Ok(());
    }
    let all = Transaction::new(db, TransactionBehavior::Immediate)?;
    for step in &migrations[version..] {
        all.execute_batch(step)?;
    }
    all.pragma_update(None, "application_id", APPLICATION_ID)?;
    all.pragma_update(None, "user_version", migrations.len())?;
    all.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn a_fresh_file_becomes_one_of_this_version() {
        let mut db = fresh();
        assert_eq!(kind(&db).unwrap(), Kind::Fresh);
        migrate(&mut db, 0).unwrap();
        assert_eq!(kind(&db).unwrap(), Kind::Ours(VERSION));
    }

    #[test]
    fn a_file_of_an_earlier_version_goes_through_the_steps_that_it_lacks() {
        let mut db = fresh();
        migrate(&mut db, 0).unwrap();
        let next = [FIRST, "ALTER TABLE thread ADD COLUMN colour TEXT", "UPDATE thread SET colour = 'red'"];
        db.execute("INSERT INTO thread VALUES (1,'u','t',1,1,1,1,0,1,1,1,NULL,NULL,0,0,0,NULL)", []).unwrap();
        steps(&mut db, VERSION, &next).unwrap();
        let colour: String = db.query_row("SELECT colour FROM thread", [], |row| row.get(0)).unwrap();
        assert_eq!(colour, "red");
        assert_eq!(kind(&db).unwrap(), Kind::Newer(3));
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut db = fresh();
        migrate(&mut db, 0).unwrap();
        let next = [FIRST, "ALTER TABLE thread ADD COLUMN colour TEXT", "no SQL at all"];
        steps(&mut db, VERSION, &next).unwrap_err();
        assert_eq!(kind(&db).unwrap(), Kind::Ours(VERSION));
        db.prepare("SELECT colour FROM thread").unwrap_err();
    }

    #[test]
    fn a_file_of_another_program_is_foreign() {
        let db = fresh();
        db.execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
        assert_eq!(kind(&db).unwrap(), Kind::Foreign);
        let db = fresh();
        db.pragma_update(None, "application_id", 42).unwrap();
        assert_eq!(kind(&db).unwrap(), Kind::Foreign);
    }
}
