//! Appends within a transaction, and what the writer remembers of the threads that have a run in flight.
//!
//! ```text
//! append -> known? -> yes: its next offset is at hand
//!             '-> no: its row is read (made, if there is none), and kept while a run is in flight
//!        -> one row per event -> at the boundary of a run: the row of the thread
//! ```
//!
//! A thread at rest costs no memory. What is remembered is forgotten when a transaction fails and when another program
//! has written to the file (`PRAGMA data_version`).

use std::collections::{HashMap, HashSet};

use lychgate_core::{RunId, SessionKey};
use rusqlite::{Connection, params};

use super::read::was_published;
use super::rows::{Bounds, Failure, Thread, number};
use super::wanted::{Room, Wanted};
use crate::journal::{Entry, JournalError, merge_adjacent};
use crate::wire::event::Event;
use crate::wire::unix_ms;

/// Threads that are remembered at most; beyond it all are forgotten and read again.
const MAX_OPEN: usize = 65_536;
/// Longest text that pieces are joined to within a log.
pub(super) const JOINED_BYTES: usize = 16 * 1_024;
/// What is left of former runs may be this many times the bounds, and this many events in any case, until upkeep has
/// come round.
const AT_REST: usize = 4;
const EVENTS_AT_REST: usize = 16_384;

/// A thread that is being written to.
struct Open {
    thread: Thread,
    /// Events of the run in flight, or of all where there is none, and the bytes of their JSON.
    events: usize,
    bytes: usize,
    /// Read before another program wrote to the file.
    is_stale: bool,
    /// The transaction in which its run started; 0 for one that was found in the file.
    since: u64,
}

/// What the writer knows.
pub(super) struct Ledger {
    bounds: Bounds,
    /// The highest offset of a thread that went. New threads start above it, so that an offset of a thread that went
    /// never names an event of the one that took its place (R19).
    floor: u64,
    rank: u64,
    saved_rank: u64,
    version: Option<i64>,
    /// Transactions that have begun.
    begun: u64,
    open: HashMap<SessionKey, Open>,
    /// Threads that were deleted while their run was in flight: what that run still says belongs nowhere.
    gone: HashSet<SessionKey>,
    /// Whether something became due for upkeep.
    has_due: bool,
}

impl Ledger {
    pub(super) fn new(db: &Connection, bounds: Bounds) -> rusqlite::Result<Self> {
        let rank = number(db, "rank")?;
        Ok(Self {
            bounds,
            floor: number(db, "floor")?,
            rank,
            saved_rank: rank,
            version: None,
            begun: 0,
            open: HashMap::new(),
            gone: HashSet::new(),
            has_due: false,
        })
    }

    /// Called first in every transaction, when nobody else can write any more.
    pub(super) fn begin(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.begun += 1;
        let version = db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.version.replace(version) != Some(version) {
            self.open.values_mut().for_each(|open| open.is_stale = true);
            self.floor = number(db, "floor")?;
            self.rank = self.rank.max(number(db, "rank")?);
        }
        Ok(())
    }

    /// Threads that are remembered.
    #[cfg(test)]
    pub(super) fn open_threads(&self) -> usize {
        self.open.len()
    }

    /// Called last in every transaction.
    pub(super) fn end(&mut self, db: &Connection) -> rusqlite::Result<()> {
        if self.rank != self.saved_rank {
            db.prepare_cached("UPDATE meta SET value = ? WHERE key = 'rank'")?.execute([self.rank])?;
            self.saved_rank = self.rank;
        }
        Ok(())
    }

    /// The transaction failed: what was remembered since its begin never happened. Which runs were in flight before it
    /// stays known, or a thread that is deleted meanwhile would be made anew by what its run still says.
    pub(super) fn forget(&mut self) {
        self.open.retain(|_, open| open.since != self.begun);
        self.version = None;
        // Ranks may have gaps; what is in the file may be lower than what we remember.
        self.saved_rank = 0;
    }

    /// Whether something became due for upkeep since this was last asked.
    pub(super) fn take_due(&mut self) -> bool {
        std::mem::take(&mut self.has_due)
    }

    /// Upkeep changed this thread, or took it away.
    pub(super) fn forget_thread(&mut self, db: &Connection, id: i64) -> rusqlite::Result<()> {
        self.open.values_mut().filter(|open| open.thread.id == id).for_each(|open| open.is_stale = true);
        self.floor = number(db, "floor")?;
        Ok(())
    }

    /// Appends all of `wanted`, or nothing; none when it was done before under the same key. [`Failure::Refused`] leaves
    /// the transaction as good as it was.
    pub(super) fn append(
        &mut self,
        db: &Connection,
        wanted: &Wanted,
        room: Room,
    ) -> Result<Option<Vec<Entry>>, Failure> {
        if wanted.is_rehearsal {
            return self.rehearse(db, wanted, room).map(Some);
        }
        let mut open = self.find(db, wanted)?;
        let appended = self.append_to(db, &mut open, wanted, room);
        if open.thread.run.is_some() {
            if self.open.len() >= MAX_OPEN {
                self.open.clear();
            }
            self.open.insert(wanted.key.clone(), open);
        }
        appended
    }

    /// A write of its own in this transaction, one row that the next one takes the place of: whatever keeps an append from
    /// the disk keeps this from it, and the log holds nothing of it.
    fn rehearse(&self, db: &Connection, wanted: &Wanted, room: Room) -> Result<Vec<Entry>, Failure> {
        if room == Room::ForEnds {
            return Err(refused("the disk is full".to_owned()));
        }
        db.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('rehearsed', ?)")?.execute([unix_ms()])?;
        Ok((self.floor + 1..)
            .zip(&wanted.events)
            .map(|(offset, event)| Entry { offset, event: event.clone() })
            .collect())
    }

    fn append_to(
        &mut self,
        db: &Connection,
        open: &mut Open,
        wanted: &Wanted,
        room: Room,
    ) -> Result<Option<Vec<Entry>>, Failure> {
        if let Some(once) = &wanted.once
            && was_published(db, open.thread.id, once)?
        {
            return Ok(None);
        }
        let is_small_end = wanted.is_small_end(&open.thread);
        if room == Room::ForEnds && !is_small_end {
            return Err(refused("the disk is full".to_owned()));
        }
        self.make_places(db, open, wanted, is_small_end)?;
        if open.thread.id == 0 {
            open.thread.id = insert(db, &open.thread)?;
        }
        self.write(db, open, wanted).map(Some)
    }

    /// The thread as it stands, taken out of what is remembered; with the id 0 where there is none yet. Where it was
    /// deleted under its run, in whole or so far in part, nothing but the start of another run brings it back.
    fn find(&mut self, db: &Connection, wanted: &Wanted) -> Result<Open, Failure> {
        let key = &wanted.key;
        let before = match self.open.remove(key) {
            Some(open) if !open.is_stale => return Ok(open),
            stale => stale.and_then(|open| open.thread.run),
        };
        let found = Thread::find(db, key)?;
        let now = found.as_ref().and_then(|thread| thread.run.as_ref());
        let went = self.gone.contains(key) || (before.is_some() && before.as_ref() != now);
        match wanted.starts() {
            true => drop(self.gone.remove(key)),
            false if went => {
                if self.gone.len() >= MAX_OPEN {
                    self.gone.clear();
                }
                self.gone.insert(key.clone());
                return Err(Failure::Refused(JournalError::Gone));
            }
            false => {}
        }
        let Some(thread) = found else {
            return Ok(Open { thread: self.fresh(key), events: 0, bytes: 0, is_stale: false, since: 0 });
        };
        let mut weigh = db.prepare_cached(
            "SELECT count(*), coalesce(sum(octet_length(json)), 0) FROM event WHERE thread = ? AND offset >= ?",
        )?;
        let from = thread.run.as_ref().map_or(0, |(_, start)| *start);
        let (events, bytes) = weigh.query_row(params![thread.id, from], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Open { thread, events, bytes, is_stale: false, since: 0 })
    }

    fn fresh(&self, key: &SessionKey) -> Thread {
        let (now, floor) = (unix_ms(), self.floor);
        Thread {
            id: 0,
            user: key.user().as_str().to_owned(),
            name: key.thread().as_str().to_owned(),
            rank: 0,
            created: now,
            written: now,
            head: floor,
            floor,
            folded: floor,
            joined: floor,
            finished: None,
            run: None,
            messages: 0,
            bytes: 0,
            more: false,
        }
    }

    /// Makes places for what is wanted, or says why there are none. The end of a run needs none.
    fn make_places(
        &self,
        db: &Connection,
        open: &mut Open,
        wanted: &Wanted,
        is_small_end: bool,
    ) -> Result<(), Failure> {
        let Bounds { max_events, max_bytes, .. } = self.bounds;
        let is_in_flight = open.thread.run.is_some();
        let (most_events, most_bytes) = match is_in_flight {
            true => (max_events, max_bytes),
            false => (max_events.saturating_mul(AT_REST).max(EVENTS_AT_REST), max_bytes.saturating_mul(AT_REST)),
        };
        let (events, bytes) = (wanted.events.len(), wanted.bytes());
        if is_in_flight && open.events + events > most_events {
            join_older_half(db, open)?;
        }
        match (open.events + events > most_events, open.bytes + bytes > most_bytes) {
            (false, false) => Ok(()),
            _ if is_small_end => Ok(()),
            (true, _) => Err(refused(format!("the run has more than {most_events} events that cannot be joined"))),
            (false, true) => Err(refused(format!("the run has more than {most_bytes} bytes"))),
        }
    }

    /// One row per event, and the row of the thread where a run starts or ends, or none is in flight.
    fn write(&mut self, db: &Connection, open: &mut Open, wanted: &Wanted) -> Result<Vec<Entry>, Failure> {
        let mut insert = db.prepare_cached("INSERT INTO event (thread, offset, json) VALUES (?, ?, ?)")?;
        let mut appended = Vec::with_capacity(wanted.events.len());
        let mut is_boundary = wanted.once.is_some();
        let thread = &mut open.thread;
        for event in &wanted.events {
            let json = event.json().get();
            thread.head += 1;
            insert.execute(params![thread.id, thread.head, json])?;
            if event.kind() == "RUN_STARTED" {
                (open.events, open.bytes, open.since) = (0, 0, self.begun);
            }
            open.events += 1;
            open.bytes += json.len();
            is_boundary |= step(thread, event);
            if event.kind() == "RUN_STARTED" && wanted.once.is_none() {
                remember_run(db, thread)?;
            }
            appended.push(Entry { offset: thread.head, event: event.clone() });
        }
        if let Some(once) = &wanted.once {
            db.prepare_cached("INSERT INTO publication (thread, key, offset) VALUES (?, ?, ?)")?.execute(params![
                thread.id,
                once,
                thread.head
            ])?;
        }
        if is_boundary {
            self.rank += 1;
            thread.rank = self.rank;
            thread.written = unix_ms();
            self.update(db, thread)?;
        }
        Ok(appended)
    }

    fn update(&mut self, db: &Connection, thread: &Thread) -> Result<(), Failure> {
        let (run, start) = thread.run.as_ref().map(|(run, start)| (run.as_str(), *start)).unzip();
        // What became history is folded at once; a run in flight is left alone.
        let due = thread.is_behind().then_some(thread.written);
        self.has_due |= due.is_some();
        db.prepare_cached(
            "UPDATE thread SET rank = ?2, written = ?3, head = ?4, finished = ?5, run = ?6, run_start = ?7,
             due = coalesce(?8, due) WHERE id = ?1",
        )?
        .execute(params![
            thread.id,
            thread.rank,
            thread.written,
            thread.head,
            thread.finished,
            run,
            start,
            due
        ])?;
        Ok(())
    }
}

/// Follows the runs; says whether the row of the thread has to be written.
fn step(thread: &mut Thread, event: &Event) -> bool {
    match event.kind() {
        "RUN_STARTED" => {
            end_run(thread);
            let run = event.head().run_id.as_deref().map(RunId::parse);
            thread.run = run.and_then(Result::ok).map(|run| (run, thread.head));
            true
        }
        "RUN_FINISHED" | "RUN_ERROR" => {
            end_run(thread);
            true
        }
        _ => thread.run.is_none(),
    }
}

/// So that it is known when it is sent again. A publication is known by its key alone: as a run it would take the place
/// of one that a client started.
fn remember_run(db: &Connection, thread: &Thread) -> Result<(), Failure> {
    if let Some((run, start)) = &thread.run {
        db.prepare_cached("INSERT OR REPLACE INTO run (thread, run, start) VALUES (?, ?, ?)")?.execute(params![
            thread.id,
            run.as_str(),
            start
        ])?;
    }
    Ok(())
}

fn end_run(thread: &mut Thread) {
    if let Some((_, start)) = thread.run.take() {
        thread.finished = Some(start);
    }
}

fn insert(db: &Connection, thread: &Thread) -> Result<i64, Failure> {
    db.prepare_cached(
        "INSERT INTO thread (user, name, rank, created, written, head, floor, folded, joined)
         VALUES (?1, ?2, 0, ?3, ?3, ?4, ?4, ?4, ?4)",
    )?
    .execute(params![thread.user, thread.name, thread.created, thread.floor])?;
    Ok(db.last_insert_rowid())
}

/// Joins pieces of text in the older half of the run in flight, where nobody reads who is nearly up to date.
fn join_older_half(db: &Connection, open: &mut Open) -> Result<(), Failure> {
    let thread = &open.thread;
    let from = thread.cut() + 1;
    let older = thread.entries(db, from, thread.head, open.events / 2)?;
    let Some(to) = older.last().map(|entry| entry.offset) else { return Ok(()) };
    let before = older.len();
    let joined = merge_adjacent(older, JOINED_BYTES);
    replace(db, thread.id, from, to, &joined)?;
    open.events -= (before - joined.len()).min(open.events);
    Ok(())
}

/// Puts `entries` in place of what stands from `from` to `to`.
pub(super) fn replace(db: &Connection, id: i64, from: u64, to: u64, entries: &[Entry]) -> Result<(), Failure> {
    db.prepare_cached("DELETE FROM event WHERE thread = ? AND offset BETWEEN ? AND ?")?
        .execute(params![id, from, to])?;
    let mut insert = db.prepare_cached("INSERT INTO event (thread, offset, json) VALUES (?, ?, ?)")?;
    for entry in entries {
        insert.execute(params![id, entry.offset, entry.event.json().get()])?;
    }
    Ok(())
}

fn refused(why: String) -> Failure {
    Failure::Refused(JournalError::Unavailable(why))
}
