//! The table of revocations: what is revoked, of which time, and until when that matters.

use rusqlite::params;

use super::{Store, StoreError};

pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS revocations (
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        issuer TEXT NOT NULL,
        issued_before INTEGER NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (kind, subject, issuer)
    ) STRICT, WITHOUT ROWID;
";

/// One revocation. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `token`, `user` or `everybody`.
    pub kind: String,
    /// The `jti`, or the user; empty for everybody.
    pub subject: String,
    /// The `iss` of a token; empty for that of any issuer.
    pub issuer: String,
    /// What was issued before this time is hit.
    pub issued_before: u64,
    /// Nothing that it hits is valid from then on.
    pub until: u64,
}

impl Store {
    /// Every revocation.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn revocations(&self) -> Result<Vec<Row>, StoreError> {
        self.with(|connection| {
            let mut query =
                connection.prepare("SELECT kind, subject, issuer, issued_before, until FROM revocations")?;
            let rows = query.query_map([], |row| {
                Ok(Row {
                    kind: row.get(0)?,
                    subject: row.get(1)?,
                    issuer: row.get(2)?,
                    issued_before: row.get(3)?,
                    until: row.get(4)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Writes one; of two of the same thing the further-reaching counts. It is on the disk when this returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_revocation(&self, row: &Row) -> Result<(), StoreError> {
        const UPSERT: &str =
            "INSERT INTO revocations (kind, subject, issuer, issued_before, until) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET issued_before = max(issued_before, excluded.issued_before),
                                      until = max(until, excluded.until)";
        let (issued_before, until) = (signed(row.issued_before), signed(row.until));
        self.with(|connection| {
            connection.execute(UPSERT, params![row.kind, row.subject, row.issuer, issued_before, until]).map(drop)
        })
    }

    /// Forgets those that hit nothing any more at a time.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_revocations(&self, now: u64) -> Result<(), StoreError> {
        self.with(|connection| connection.execute("DELETE FROM revocations WHERE until <= ?", [signed(now)]).map(drop))
    }
}

/// SQLite's numbers have a sign; a time beyond them is as good as the last one.
fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
