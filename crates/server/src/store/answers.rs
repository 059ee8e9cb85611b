//! Answers under idempotency keys: what was asked for once is not done twice, and whoever asks again gets the same answer.

use rusqlite::{Connection, OptionalExtension, params};

pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS answers (
        operator TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint BLOB NOT NULL,
        audit INTEGER NOT NULL,
        at INTEGER NOT NULL,
        status INTEGER,
        body BLOB,
        PRIMARY KEY (operator, key)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS answers_by_time ON answers (at);
    CREATE UNIQUE INDEX IF NOT EXISTS answers_of_entry ON answers (audit);
";

/// How long an answer is kept.
pub const KEPT_FOR_MS: u64 = 24 * 3600 * 1000;

/// Answers that are kept; the oldest goes for a newer one.
pub const MAX_ANSWERS: usize = 4_096;

/// The longest answer that is kept, in bytes. Of a longer one it is known that it was given.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Who asks for an answer of his own, by which key, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The operator: another one's keys are others.
    pub operator: String,
    /// `Idempotency-Key`.
    pub key: String,
    /// A hash over method, address and body.
    pub fingerprint: [u8; 32],
}

/// What is known when something is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is new, and stands in the audit log under this id.
    New(u64),
    /// It was answered.
    Answered {
        /// HTTP status.
        status: u16,
        /// JSON; none where it was too long to be kept.
        body: Option<Vec<u8>>,
    },
    /// The same key stands for another request.
    Other,
    /// It was begun, under this id of the audit log, and not answered: it is being done, or the process died in between.
    Unanswered(u64),
}

/// What is known of this claim; none where it is new.
pub(super) fn find(connection: &Connection, claim: &Claim, now_ms: u64) -> rusqlite::Result<Option<Begun>> {
    connection.prepare_cached("DELETE FROM answers WHERE at < ?1")?.execute([now_ms.saturating_sub(KEPT_FOR_MS)])?;
    connection
        .prepare_cached("SELECT fingerprint, audit, status, body FROM answers WHERE operator = ?1 AND key = ?2")?
        .query_row(params![claim.operator, claim.key], |row| {
            let fingerprint: Vec<u8> = row.get(0)?;
            let status: Option<u16> = row.get(2)?;
            Ok(match status {
                _ if fingerprint != claim.fingerprint => Begun::Other,
                Some(status) => Begun::Answered { status, body: row.get(3)? },
                None => Begun::Unanswered(row.get(1)?),
            })
        })
        .optional()
}

/// Takes the key, for the entry `audit` of the audit log.
pub(super) fn claim(connection: &Connection, claim: &Claim, audit: u64, now_ms: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO answers (operator, key, fingerprint, audit, at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![claim.operator, claim.key, claim.fingerprint, audit, now_ms])?;
    connection
        .prepare_cached(
            "DELETE FROM answers WHERE audit <= (SELECT audit FROM answers ORDER BY audit DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([MAX_ANSWERS])?;
    Ok(())
}

/// Keeps the answer; none frees the key.
pub(super) fn settle(connection: &Connection, audit: u64, answer: Option<(u16, &[u8])>) -> rusqlite::Result<()> {
    match answer {
        Some((status, body)) => connection
            .prepare_cached("UPDATE answers SET status = ?2, body = ?3 WHERE audit = ?1")?
            .execute(params![audit, status, Some(body).filter(|body| body.len() <= MAX_ANSWER_BYTES)])?,
        None => connection.prepare_cached("DELETE FROM answers WHERE audit = ?1")?.execute([audit])?,
    };
    Ok(())
}
