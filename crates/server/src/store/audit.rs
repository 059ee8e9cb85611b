//! The audit log: who asked for what on the admin listener, and what became of it.
//!
//! ```text
//!  begin (with the claim of an answer) ─► the action ─► finish (with the answer)      each is on the disk when it returns
//!    outcome `begun`                                      `done`, `failed`, `held`
//!    the process dies in between: `unknown` at the next start
//! ```
//!
//! Publications and refused attempts are *routine*: they have a share of their own, so that whoever causes many of them
//! pushes nothing out that an operator did. What became of a publication reaches the disk with whatever is written next,
//! so that it waits for the disk once and not twice; if the machine fails before that, its entry is `unknown`.

use std::borrow::Cow;

use rusqlite::{Connection, Row, params};
use serde_json::value::RawValue;

use super::answers::{self, Begun, Claim};
use super::{Store, StoreError};

/// `begun` of an earlier process stays unknown: whoever reads it must not take it for done, nor for not done.
pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        request TEXT NOT NULL,
        operator TEXT NOT NULL,
        action TEXT NOT NULL,
        user TEXT,
        thread TEXT,
        parameters TEXT NOT NULL,
        outcome TEXT NOT NULL,
        result TEXT,
        routine INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS audit_of_user ON audit (user, id);
    CREATE INDEX IF NOT EXISTS audit_by_time ON audit (at);
    CREATE INDEX IF NOT EXISTS audit_by_share ON audit (routine, id);
    UPDATE audit SET outcome = 'unknown' WHERE outcome = 'begun';
";

/// Routine entries that are kept, or fewer where the log is smaller.
const MAX_ROUTINE: usize = 10_000;

/// After so many new entries, what is too much goes: finding it costs time in proportion to what is kept.
const PRUNE_EVERY: i64 = 256;

/// The longest parameters and the longest result that an entry keeps, in bytes of JSON.
const MAX_JSON_BYTES: usize = 4 * 1024;

/// What is kept of the log.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Entries that are no routine; at most 256 more until they are pruned.
    pub entries: usize,
    /// How long, in milliseconds.
    pub for_ms: u64,
}

/// What is about to be done.
#[derive(Clone, Debug)]
pub struct Deed {
    /// Whether it is one of many that push out nothing but each other.
    pub routine: bool,
    /// The request, as in its log line and its answer.
    pub request: String,
    /// `key:NAME` or `user:ID`; `nobody` where he proved nothing.
    pub operator: String,
    /// A word for it, such as `evict`.
    pub action: Cow<'static, str>,
    /// Whom it concerns.
    pub user: Option<String>,
    /// Which of his conversations.
    pub thread: Option<String>,
    /// What was asked for beside it, as JSON.
    pub parameters: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is being done; of an earlier process: nobody knows.
    Begun,
    /// It was done.
    Done,
    /// It was not, or not all of it.
    Failed,
    /// Whoever asked may not.
    Refused,
    /// A rule would have done it, and only tells.
    DryRun,
    /// A rule would have done harm by it, and did nothing.
    Held,
}

impl Outcome {
    /// The word in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::DryRun => "dry_run",
            Self::Held => "held",
        }
    }
}

/// One entry of the log, as it stands there.
#[derive(Debug)]
pub struct Entry {
    /// Rises with every entry.
    pub id: u64,
    /// In milliseconds since 1970.
    pub at: u64,
    /// The request.
    pub request: String,
    /// Who.
    pub operator: String,
    /// What.
    pub action: String,
    /// Whom it concerns.
    pub user: Option<String>,
    /// Which of his conversations.
    pub thread: Option<String>,
    /// What was asked for beside it.
    pub parameters: Box<RawValue>,
    /// What became of it, with `unknown` for what a process did not live to tell.
    pub outcome: String,
    /// What was answered.
    pub result: Option<Box<RawValue>>,
}

/// Which entries are wanted.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// The newest, before this id if there is one; newest first.
    Newest(Option<u64>),
    /// Those after this id, oldest first.
    After(u64),
}

impl Store {
    /// Writes down what is about to be done, and claims the answer for its idempotency key, in one step: on the disk when
    /// this returns. An answer that is claimed already leaves no entry.
    ///
    /// # Errors
    /// The file cannot be written: then nothing may be done.
    pub fn begin(&self, deed: &Deed, claim: Option<&Claim>, now_ms: u64, keep: Keep) -> Result<Begun, StoreError> {
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            if let Some(claim) = claim
                && let Some(known) = answers::find(&transaction, claim, now_ms)?
            {
                return Ok(known);
            }
            let id = insert(&transaction, deed, Outcome::Begun, None, now_ms, keep)?;
            if let Some(claim) = claim {
                answers::claim(&transaction, claim, id, now_ms)?;
            }
            transaction.commit()?;
            Ok(Begun::New(id))
        })
    }

    /// Writes down what became of it and, if there is one, the answer that a repetition gets: on the disk when this
    /// returns. Without an answer the idempotency key is free again.
    ///
    /// # Errors
    /// The file cannot be written; the entry stays `begun`.
    pub fn finish(
        &self,
        id: u64,
        outcome: Outcome,
        result: &str,
        answer: Option<(u16, &[u8])>,
    ) -> Result<(), StoreError> {
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            conclude(&transaction, id, outcome, result)?;
            answers::settle(&transaction, id, answer)?;
            transaction.commit()
        })
    }

    /// Writes down what became of a routine deed: in the file when this returns, on the disk with whatever is written next.
    /// It outlives the process, and is `unknown` if the machine fails before.
    ///
    /// # Errors
    /// The file cannot be written; the entry stays `begun`.
    pub fn finish_routine(&self, id: u64, outcome: Outcome, result: &str) -> Result<(), StoreError> {
        self.with(|connection| {
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            let concluded = conclude(connection, id, outcome, result);
            connection.pragma_update(None, "synchronous", "FULL")?;
            concluded
        })
    }

    /// Writes down an entry that is over.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(
        &self,
        deed: &Deed,
        outcome: Outcome,
        result: Option<&str>,
        now_ms: u64,
        keep: Keep,
    ) -> Result<(), StoreError> {
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            insert(&transaction, deed, outcome, result, now_ms, keep)?;
            transaction.commit()
        })
    }

    /// At most `limit` entries, of this user if one is named.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn audit(&self, wanted: &Wanted, user: Option<&str>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let (bound, compare, order) = match wanted {
            Wanted::Newest(before) => (before.map_or(i64::MAX, as_id), "<", "DESC"),
            Wanted::After(after) => (as_id(*after), ">", "ASC"),
        };
        let of_user = match user {
            Some(_) => "user = ?3 AND",
            None => "?3 IS NULL AND",
        };
        let query = format!(
            "SELECT id, at, request, operator, action, user, thread, parameters, outcome, result \
             FROM audit WHERE {of_user} id {compare} ?1 ORDER BY id {order} LIMIT ?2"
        );
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&query)?;
            statement.query_map(params![bound, limit, user], entry)?.collect()
        })
    }
}

fn conclude(connection: &Connection, id: u64, outcome: Outcome, result: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE audit SET outcome = ?2, result = ?3 WHERE id = ?1")?.execute(params![
        id,
        outcome.as_str(),
        bounded(result)
    ])?;
    Ok(())
}

fn as_id(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        at: row.get(1)?,
        request: row.get(2)?,
        operator: row.get(3)?,
        action: row.get(4)?,
        user: row.get(5)?,
        thread: row.get(6)?,
        parameters: json(row.get(7)?),
        outcome: row.get(8)?,
        result: row.get::<_, Option<String>>(9)?.map(json),
    })
}

/// JSON of ours; a file that somebody changed by hand is shown as the text that it holds.
fn json(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap_or_else(|error| {
        let quoted = serde_json::Value::from(error.to_string()).to_string();
        RawValue::from_string(quoted).expect("a quoted text is JSON")
    })
}

fn bounded(json: &str) -> &str {
    match json.len() {
        0..=MAX_JSON_BYTES => json,
        _ => r#""too long for the audit log""#,
    }
}

fn insert(
    connection: &Connection,
    deed: &Deed,
    outcome: Outcome,
    result: Option<&str>,
    now_ms: u64,
    keep: Keep,
) -> rusqlite::Result<u64> {
    let Deed { routine, request, operator, action, user, thread, parameters } = deed;
    connection
        .prepare_cached(
            "INSERT INTO audit (at, request, operator, action, user, thread, parameters, outcome, result, routine) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            now_ms,
            request,
            operator,
            action,
            user,
            thread,
            bounded(parameters),
            outcome.as_str(),
            result.map(bounded),
            routine
        ])?;
    let id = connection.last_insert_rowid();
    if id % PRUNE_EVERY == 0 {
        prune(connection, now_ms, keep)?;
    }
    Ok(u64::try_from(id).unwrap_or_default())
}

/// Drops what is older, and what is more, than may be kept.
fn prune(connection: &Connection, now_ms: u64, keep: Keep) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM audit WHERE at < ?1", [now_ms.saturating_sub(keep.for_ms)])?;
    for (routine, entries) in [(false, keep.entries), (true, keep.entries.min(MAX_ROUTINE))] {
        connection.execute(
            "DELETE FROM audit WHERE routine = ?1 AND id <= \
             (SELECT id FROM audit WHERE routine = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![routine, entries],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
