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
//! in place of the file is another log for the same reason.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::files::Directory;
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
}

/// Whether the log that `last` left is the one that `now` finds.
pub(super) fn is_same(last: &Trace, now: &Trace) -> bool {
    let same_boot = last.boot.is_some() && last.boot == now.boot;
    last.file == now.file && (last.closed || last.full || same_boot)
}

/// Opens the log: decides on its epoch and leaves a trace, in the caller's transaction, which must reach the disk before
/// the first append is acknowledged.
pub(super) fn open(
    db: &Connection,
    directory: &Directory,
    durability: Durability,
    fresh: &str,
) -> rusqlite::Result<Arc<str>> {
    let now = Trace {
        closed: false,
        full: durability == Durability::Full,
        boot: super::files::boot(),
        file: directory.identity(),
    };
    let last = Trace {
        closed: text(db, "closed")?.is_some_and(|closed| closed == "yes"),
        full: text(db, "durability")?.is_some_and(|durability| durability == "full"),
        boot: text(db, "boot")?,
        file: text(db, "file")?.unwrap_or_default(),
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
    Ok(epoch.into())
}

/// Leaves word that nothing was lost.
pub(super) fn close(db: &Connection) -> rusqlite::Result<()> {
    db.execute("INSERT OR REPLACE INTO meta VALUES ('closed', 'yes')", []).map(|_| ())
}

fn text(db: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let value = db.query_row("SELECT value FROM meta WHERE key = ?", [key], |row| row.get(0)).optional()?;
    Ok(value.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(closed: bool, full: bool, boot: Option<&str>, file: &str) -> Trace {
        Trace { closed, full, boot: boot.map(str::to_owned), file: file.to_owned() }
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
        let unknown = trace(false, false, None, "f");
        assert!(!is_same(&unknown, &unknown), "who does not know the boot cannot rule a loss of power out");
    }
}
