//! Which incarnation of the log this is (R19).
//!
//! ```text
//! opened: same file? --no--> new epoch          closed cleanly, or `full`? --yes--> same epoch
//!              '--yes--> crashed in `normal`: same boot? --yes--> same epoch (a dead process loses nothing)
//!                                                   '--no--> new epoch (a loss of power may have taken the last events)
//! ```
//!
//! An offset that was acknowledged and then lost would be given to another event. Whoever saw the first one would be
//! served the log from there as if nothing had happened; a new epoch makes him start over instead. A copy that was put
//! in place of the file is another log for the same reason. One that was copied over it, so that it is the same file by
//! every name, is known by its mark: each opening and each closing leaves random text in the file and beside it, and
//! upkeep notes beside it how far the file has come.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::files::{Directory, Mark};
use super::rows::number;
use crate::config::Durability;

/// What an opening of the file leaves in `meta` for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trace {
    /// Whether the process that had the file closed it in order.
    pub(super) closed: bool,
    /// Whether every append waited for the disk.
    pub(super) full: bool,
    /// Which boot of the machine it was; none where the kernel did not say.
    pub(super) boot: Option<String>,
    /// Which file it was.
    pub(super) file: String,
    /// The mark of that opening, or of the closing after it.
    pub(super) mark: Mark,
}

/// Whether the log that `last` left is the one that `now` finds. The mark of `now` is the one beside the file.
pub(super) fn is_same(last: &Trace, now: &Trace) -> bool {
    let same_boot = last.boot.is_some() && last.boot == now.boot;
    let same_mark = last.mark.nonce == now.mark.nonce && last.mark.rank >= now.mark.rank;
    last.file == now.file && same_mark && (last.closed || last.full || same_boot)
}

/// Opens the log: decides on its epoch, the incarnation of the log, and leaves a trace, in the caller's transaction, which
/// must reach the disk before the first append is acknowledged. The mark is to be left beside the file after that: a crash
/// in between costs an epoch and never hides a loss.
pub(super) fn open(
    db: &Connection,
    directory: &Directory,
    durability: Durability,
    fresh: &str,
) -> rusqlite::Result<(Arc<str>, Mark)> {
    let now = Trace {
        closed: false,
        full: durability == Durability::Full,
        boot: super::files::boot(),
        file: directory.identity(),
        mark: directory.mark(),
    };
    let last = Trace {
        closed: text(db, "closed")?.is_some_and(|closed| closed == "yes"),
        full: text(db, "durability")?.is_some_and(|durability| durability == "full"),
        boot: text(db, "boot")?,
        file: text(db, "file")?.unwrap_or_default(),
        mark: Mark { nonce: text(db, "mark")?.unwrap_or_default(), rank: number(db, "rank")? },
    };
    let known = text(db, "epoch")?;
    let epoch = match known.filter(|_| is_same(&last, &now)) {
        Some(epoch) => epoch,
        None => fresh.to_owned(),
    };
    let mut set = db.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)")?;
    set.execute(params!["epoch", epoch])?;
    set.execute(params!["closed", "no"])?;
    set.execute(params!["durability", if now.full { "full" } else { "normal" }])?;
    set.execute(params!["boot", now.boot])?;
    set.execute(params!["file", now.file])?;
    Ok((epoch.into(), mark(db)?))
}

/// Leaves word that nothing was lost, in the caller's transaction. The mark is to be left beside the file after that.
pub(super) fn close(db: &Connection) -> rusqlite::Result<Mark> {
    db.execute("INSERT OR REPLACE INTO meta VALUES ('closed', 'yes')", [])?;
    mark(db)
}

/// Marks the file.
fn mark(db: &Connection) -> rusqlite::Result<Mark> {
    let mark = Mark { nonce: uuid::Uuid::now_v7().to_string(), rank: number(db, "rank")? };
    db.execute("INSERT OR REPLACE INTO meta VALUES ('mark', ?)", [&mark.nonce])?;
    Ok(mark)
}

fn text(db: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let value = db.query_row("SELECT value FROM meta WHERE key = ?", [key], |row| row.get(0)).optional()?;
    Ok(value.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(closed: bool, full: bool, boot: Option<&str>, file: &str) -> Trace {
        let mark = Mark { nonce: "n".to_owned(), rank: 7 };
        Trace { closed, full, boot: boot.map(str::to_owned), file: file.to_owned(), mark }
    }

    #[test]
    fn only_what_may_have_lost_events_or_is_a_copy_is_another_log() {
        let now = trace(false, false, Some("b2"), "f");
        for (last, same) in [
            (trace(true, false, Some("b1"), "f"), true),
            (trace(false, true, Some("b1"), "f"), true),
            (trace(false, false, Some("b2"), "f"), true),
            (trace(false, false, Some("b1"), "f"), false),
            (trace(false, false, None, "f"), false),
            (trace(true, true, Some("b2"), "a copy"), false),
        ] {
            assert_eq!(is_same(&last, &now), same, "{last:?}");
        }
        for (nonce, rank, same) in [("n", 7, true), ("n", 8, true), ("n", 6, false), ("m", 7, false), ("", 7, false)] {
            let last = Trace { mark: Mark { nonce: nonce.to_owned(), rank }, ..trace(true, true, Some("b2"), "f") };
            assert_eq!(is_same(&last, &now), same, "{last:?}");
        }
        let unknown = trace(false, false, None, "f");
        assert!(!is_same(&unknown, &unknown), "who does not know the boot cannot rule a loss of power out");
    }
}
