//! What upkeep does to a thread: worked out from a view of the file on its own thread, then applied by the writer in one
//! small step, if the thread is still as it was.
//!
//! ```text
//! finished events --Fold--> messages        events before the last finished run --Fold--> gone
//! pieces of text --Join--> longer pieces    thread past its retention --Forget, Forget, ...--> gone
//! ```

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::ledger::{JOINED_BYTES, Ledger, replace};
use super::rows::{Bounds, Failure, Past, Thread, number};
use crate::journal::{Entry, merge_adjacent};
use crate::wire::{Message, millis};

/// Rows that one step deletes or joins, at most: a commit waits for it.
const ROWS: usize = 1_024;
/// Runs and publications that one thread remembers.
const REMEMBERED: u64 = 1_024;

/// One step.
#[derive(Debug)]
pub(super) enum Change {
    /// Finished events become messages; what nobody resumes from goes.
    Fold(Box<Fold>),
    /// Pieces of text are joined.
    Join(Join),
    /// The thread goes, a part at a time.
    Forget {
        /// Which thread.
        id: i64,
        /// As it was last active.
        rank: u64,
    },
    /// The thread cannot be read: it is looked at again then.
    Postpone {
        /// Which thread.
        id: i64,
        /// In milliseconds since 1970.
        until: u64,
    },
}

#[derive(Debug)]
pub(super) struct Fold {
    id: i64,
    rank: u64,
    /// The thread's `folded` before and after.
    from: u64,
    to: u64,
    floor: u64,
    /// Rows of `message` up to here go.
    drop_to: Option<u64>,
    rows: Vec<(u64, Arc<Message>, String)>,
    messages: u64,
    bytes: u64,
    more: bool,
    state: Option<String>,
    forget_runs: Option<u64>,
    forget_publications: Option<u64>,
    due: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Join {
    id: i64,
    rank: u64,
    from: u64,
    to: u64,
    entries: Vec<Entry>,
    due: Option<u64>,
}

/// What upkeep goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) bounds: Bounds,
    pub(super) compact_after: Duration,
    pub(super) retention: Option<Duration>,
}

/// What is to be done for a thread at `now`. Every answer moves or clears its `due`.
pub(super) fn next(db: &Connection, thread: &Thread, rules: &Rules, now: u64) -> Result<Change, Failure> {
    let compact_after = millis(rules.compact_after);
    let compact_at = thread.written.saturating_add(compact_after);
    let is_whole = thread.run.is_some() || thread.joined >= thread.head;
    if is_whole || now < compact_at || thread.is_behind() {
        return fold(db, thread, rules.bounds, now, (!is_whole).then_some(compact_at));
    }
    join(db, thread, now)
}

fn fold(db: &Connection, thread: &Thread, bounds: Bounds, now: u64, then: Option<u64>) -> Result<Change, Failure> {
    let past = thread.past(db, bounds)?;
    let (floor, is_all) = new_floor(db, thread, bounds)?;
    let start = past.positions.last().map_or(1, |last| last + 1);
    let (drop_to, rows) = difference(&past, start);
    let rows = rows.into_iter().map(|(position, message)| {
        let json = serde_json::to_string(&*message).expect("a message that was JSON is written as JSON");
        (position, message, json)
    });
    let rows: Vec<_> = rows.collect();
    let state = past.history.state.as_ref().map(|state| state.to_string());
    let counted = weigh(db, thread, drop_to, &rows)?;
    Ok(Change::Fold(Box::new(Fold {
        id: thread.id,
        rank: thread.rank,
        from: thread.folded,
        to: thread.cut(),
        floor,
        drop_to,
        rows,
        messages: past.history.messages.len() as u64,
        bytes: counted,
        more: past.more,
        state,
        forget_runs: surplus(db, thread.id, "SELECT start FROM run WHERE thread = ? ORDER BY start DESC")?,
        forget_publications: surplus(
            db,
            thread.id,
            "SELECT offset FROM publication WHERE thread = ? ORDER BY offset DESC",
        )?,
        due: if is_all { then } else { Some(now) },
    })))
}

/// Which rows of `message` go, and which are written anew: those that changed and those that are new. History that
/// something replaced as a whole is written as a whole, after what stands there.
fn difference(past: &Past, start: u64) -> (Option<u64>, Vec<(u64, Arc<Message>)>) {
    let Past { history, stored, positions, gone, .. } = past;
    let kept = stored.get((*gone).min(stored.len())..).unwrap_or_default();
    let goes_on =
        history.messages.len() >= kept.len() && kept.iter().zip(&history.messages).all(|(old, new)| old.id == new.id);
    if !goes_on {
        let rows = (start..).zip(history.messages.iter().cloned()).collect();
        return (positions.last().copied(), rows);
    }
    let drop_to = (*gone > 0).then(|| positions.get(gone - 1).or(positions.last()).copied()).flatten();
    let places = positions.iter().skip(*gone).copied().chain(start..);
    let changed = |index: usize, message: &Arc<Message>| kept.get(index).is_none_or(|old| !Arc::ptr_eq(old, message));
    let rows = places.zip(&history.messages).enumerate();
    let rows = rows.filter(|(index, (_, message))| changed(*index, message));
    (drop_to, rows.map(|(_, (position, message))| (position, Arc::clone(message))).collect())
}

/// Bytes of all messages as they will stand.
fn weigh(
    db: &Connection,
    thread: &Thread,
    drop_to: Option<u64>,
    rows: &[(u64, Arc<Message>, String)],
) -> Result<u64, Failure> {
    let mut size = db.prepare_cached("SELECT octet_length(json) FROM message WHERE thread = ? AND position = ?")?;
    let mut bytes = thread.bytes;
    if let Some(drop_to) = drop_to {
        let mut gone = db.prepare_cached(
            "SELECT coalesce(sum(octet_length(json)), 0) FROM message WHERE thread = ? AND position <= ?",
        )?;
        bytes = bytes.saturating_sub(gone.query_row(params![thread.id, drop_to], |row| row.get(0))?);
    }
    for (position, _, json) in rows {
        let mut old = size.query(params![thread.id, position])?;
        if let Some(row) = old.next()?
            && drop_to.is_none_or(|drop_to| *position > drop_to)
        {
            bytes = bytes.saturating_sub(row.get(0)?);
        }
        bytes += json.len() as u64;
    }
    Ok(bytes)
}

/// Up to where events go, [`ROWS`] at most, and whether that is as far as they should: what is kept is the run in flight
/// and the last finished one, so that whoever is a little behind resumes without a reset.
fn new_floor(db: &Connection, thread: &Thread, bounds: Bounds) -> Result<(u64, bool), Failure> {
    let first_kept = thread.finished.unwrap_or(thread.floor + 1);
    let kept = "SELECT count(*) FROM event WHERE thread = ? AND offset >= ?";
    let kept: usize = db.prepare_cached(kept)?.query_row(params![thread.id, first_kept], |row| row.get(0))?;
    // The last finished run and the one in flight may each have what a run may have.
    let wanted = match kept > bounds.max_events.saturating_mul(2) {
        true => thread.cut(),
        false => first_kept.saturating_sub(1).min(thread.cut()),
    };
    let last = "SELECT offset FROM event WHERE thread = ? ORDER BY offset LIMIT 1 OFFSET ?";
    let mut last = db.prepare_cached(last)?;
    let mut last = last.query(params![thread.id, ROWS - 1])?;
    Ok(match last.next()? {
        Some(row) if row.get::<_, u64>(0)? < wanted => (row.get(0)?, false),
        Some(_) | None => (wanted.max(thread.floor), true),
    })
}

/// Up to where rows are forgotten, so that [`REMEMBERED`] stay.
fn surplus(db: &Connection, id: i64, newest_first: &str) -> Result<Option<u64>, Failure> {
    let mut select = db.prepare_cached(&format!("{newest_first} LIMIT 1 OFFSET ?"))?;
    let mut rows = select.query(params![id, REMEMBERED])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

fn join(db: &Connection, thread: &Thread, now: u64) -> Result<Change, Failure> {
    let from = thread.joined.max(thread.floor) + 1;
    let entries = thread.entries(db, from, thread.head, ROWS)?;
    let to = if entries.len() < ROWS { thread.head } else { entries.last().map_or(thread.head, |last| last.offset) };
    let due = (to < thread.head).then_some(now);
    let entries = merge_adjacent(entries, JOINED_BYTES);
    Ok(Change::Join(Join { id: thread.id, rank: thread.rank, from, to, entries, due }))
}

impl Change {
    /// Applies the step, in the writer's transaction; nothing where the thread has changed since it was worked out.
    pub(super) fn apply(&self, db: &Connection, ledger: &mut Ledger) -> Result<(), Failure> {
        let id = match self {
            Self::Fold(fold) => fold.apply(db)?,
            Self::Join(join) => join.apply(db)?,
            Self::Forget { id, rank } => {
                let is_as_it_was = "SELECT 1 FROM thread WHERE id = ? AND rank = ? AND run IS NULL";
                if db.prepare_cached(is_as_it_was)?.exists(params![id, rank])? {
                    forget_some(db, *id)?;
                }
                *id
            }
            Self::Postpone { id, until } => {
                db.execute("UPDATE thread SET due = ? WHERE id = ?", params![until, id])?;
                *id
            }
        };
        Ok(ledger.forget_thread(db, id)?)
    }
}

impl Fold {
    fn apply(&self, db: &Connection) -> Result<i64, Failure> {
        let Self { id, .. } = *self;
        let changed = db
            .prepare_cached(
                "UPDATE thread SET folded = ?3, floor = max(floor, ?4), messages = ?5, bytes = ?6, more = ?7,
                 due = CASE WHEN rank = ?8 THEN ?9 ELSE due END WHERE id = ?1 AND folded = ?2",
            )?
            .execute(params![
                id,
                self.from,
                self.to,
                self.floor,
                self.messages,
                self.bytes,
                self.more,
                self.rank,
                self.due
            ])?;
        if changed == 0 {
            return Ok(id);
        }
        if let Some(drop_to) = self.drop_to {
            db.prepare_cached("DELETE FROM message WHERE thread = ? AND position <= ?")?
                .execute(params![id, drop_to])?;
        }
        let mut put = db.prepare_cached("INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?)")?;
        for (position, message, json) in &self.rows {
            put.execute(params![id, position, message.id, message.role, json])?;
        }
        match &self.state {
            Some(state) => {
                let same = "SELECT 1 FROM state WHERE thread = ? AND json = ?";
                if !db.prepare_cached(same)?.exists(params![id, state])? {
                    db.prepare_cached("INSERT OR REPLACE INTO state VALUES (?, ?)")?.execute(params![id, state])?;
                }
            }
            None => {
                db.prepare_cached("DELETE FROM state WHERE thread = ?")?.execute([id])?;
            }
        }
        db.prepare_cached("DELETE FROM event WHERE thread = ? AND offset <= ?")?.execute(params![id, self.floor])?;
        if let Some(last) = self.forget_runs {
            db.prepare_cached("DELETE FROM run WHERE thread = ? AND start <= ?")?.execute(params![id, last])?;
        }
        if let Some(last) = self.forget_publications {
            db.prepare_cached("DELETE FROM publication WHERE thread = ? AND offset <= ?")?
                .execute(params![id, last])?;
        }
        Ok(id)
    }
}

impl Join {
    fn apply(&self, db: &Connection) -> Result<i64, Failure> {
        let changed = db
            .prepare_cached(
                "UPDATE thread SET joined = ?, due = ? WHERE id = ? AND rank = ? AND run IS NULL AND floor < ?",
            )?
            .execute(params![self.to, self.due, self.id, self.rank, self.from])?;
        if changed > 0 {
            replace(db, self.id, self.from, self.to, &self.entries)?;
        }
        Ok(self.id)
    }
}

/// Takes a part of a thread away; true when nothing of it is left. First its events go, so that no client resumes into a
/// thread that is half gone.
pub(super) fn forget_some(db: &Connection, id: i64) -> Result<bool, Failure> {
    let mut room = ROWS;
    let last = "SELECT max(offset) FROM event WHERE thread = ?";
    let last: Option<u64> = db.prepare_cached(last)?.query_row([id], |row| row.get(0))?;
    db.prepare_cached(
        "UPDATE thread SET head = max(head, ?2), floor = max(head, ?2), folded = max(head, ?2), joined = max(head, ?2),
         finished = NULL, run = NULL, run_start = NULL, due = NULL WHERE id = ?1",
    )?
    .execute(params![id, last.unwrap_or(0)])?;
    for (table, place) in [("event", "offset"), ("message", "position")] {
        let delete = format!(
            "DELETE FROM {table} WHERE thread = ?1 AND {place} IN
             (SELECT {place} FROM {table} WHERE thread = ?1 ORDER BY {place} LIMIT ?2)"
        );
        room -= db.prepare_cached(&delete)?.execute(params![id, room])?.min(room);
    }
    if room == 0 {
        // A run that starts now keeps the thread, and finds it as it is.
        let recount = "UPDATE thread SET more = 1, messages = (SELECT count(*) FROM message WHERE thread = ?1),
            bytes = (SELECT coalesce(sum(octet_length(json)), 0) FROM message WHERE thread = ?1) WHERE id = ?1";
        db.prepare_cached(recount)?.execute([id])?;
        return Ok(false);
    }
    // One above its last offset: whoever has seen all of it is reset too, not told that nothing happened since (R19).
    let head: u64 = db.query_row("SELECT head FROM thread WHERE id = ?", [id], |row| row.get(0))?;
    let floor = number(db, "floor")?.max(head + 1);
    db.execute("UPDATE meta SET value = ? WHERE key = 'floor'", [floor])?;
    for table in ["run", "publication", "state"] {
        db.execute(&format!("DELETE FROM {table} WHERE thread = ?"), [id])?;
    }
    db.execute("DELETE FROM thread WHERE id = ?", [id])?;
    Ok(true)
}
