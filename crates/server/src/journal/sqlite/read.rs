//! The answers of a journal, each from one consistent view of the file.

use std::sync::Arc;

use lychgate_core::{RunId, SessionKey, ThreadId, UserId};
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{Bounds, Failure, Thread, number};
use crate::journal::{Entry, JournalError, MessagePage, Snapshot, ThreadPage, ThreadSummary, title};
use crate::wire::Message;

/// Runs `ask` on one view of the file: nothing that is committed meanwhile is seen in parts.
pub(super) fn at_once<T>(db: &Connection, ask: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
    let view = db.unchecked_transaction()?;
    ask(&view)
}

/// The entries after `after`. An offset that no kept entry ends at is one to be reset from (R19).
pub(super) fn entries(db: &Connection, key: &SessionKey, after: u64, limit: usize) -> Result<Vec<Entry>, Failure> {
    let trimmed = |floor| Err(Failure::Refused(JournalError::Trimmed(floor)));
    let Some(thread) = Thread::find(db, key)? else {
        let floor = number(db, "floor")?;
        return if after >= floor { Ok(Vec::new()) } else { trimmed(floor) };
    };
    if after >= thread.head {
        return Ok(Vec::new());
    }
    if after < thread.floor {
        return trimmed(thread.floor);
    }
    if after > thread.floor {
        let mut held = db.prepare_cached("SELECT 1 FROM event WHERE thread = ? AND offset = ?")?;
        if !held.exists(params![thread.id, after])? {
            return trimmed(thread.floor);
        }
    }
    thread.entries(db, after + 1, thread.head, limit)
}

/// Where the thread stands.
pub(super) fn snapshot(
    db: &Connection,
    key: &SessionKey,
    epoch: Arc<str>,
    bounds: Bounds,
) -> Result<Snapshot, Failure> {
    let Some(thread) = Thread::find(db, key)? else {
        let floor = number(db, "floor")?;
        let (messages, state, run) = (Vec::new(), None, None);
        return Ok(Snapshot { epoch, head: floor, run, messages, state, cut: floor, oldest: floor, more: false });
    };
    let past = thread.past(db, bounds)?;
    Ok(Snapshot {
        epoch,
        head: thread.head,
        cut: thread.cut(),
        oldest: thread.floor,
        run: thread.run,
        messages: past.history.messages,
        state: past.history.state,
        more: past.more,
    })
}

/// Whether this run was started on this thread.
pub(super) fn knows_run(db: &Connection, key: &SessionKey, run: &RunId) -> Result<bool, Failure> {
    let mut known = db.prepare_cached(
        "SELECT 1 FROM run WHERE thread = (SELECT id FROM thread WHERE user = ? AND name = ?) AND run = ?",
    )?;
    Ok(known.exists([key.user().as_str(), key.thread().as_str(), run.as_str()])?)
}

/// The user's threads with ranks below `before`, at most `limit`.
pub(super) fn threads(
    db: &Connection,
    user: &UserId,
    before: Option<u64>,
    limit: usize,
    bounds: Bounds,
) -> Result<ThreadPage, Failure> {
    let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let selected = "WHERE user = ? AND rank < ? ORDER BY rank DESC LIMIT ?";
    let mut found = Thread::select(db, selected, params![user.as_str(), before, wanted])?;
    let more = found.len() > limit;
    found.truncate(limit);
    let threads = found.into_iter().map(|thread| summary(db, thread, bounds)).collect::<Result<_, _>>()?;
    Ok(ThreadPage { threads, more })
}

/// What a list says of a thread.
pub(super) fn summary(db: &Connection, thread: Thread, bounds: Bounds) -> Result<ThreadSummary, Failure> {
    let (messages, title) = match thread.is_behind() {
        true => {
            let messages = thread.past(db, bounds)?.history.messages;
            (messages.len() as u64, title(&messages))
        }
        false => (thread.messages, title(&first_question(db, &thread)?)),
    };
    let name = ThreadId::parse(&thread.name)
        .map_err(|error| Failure::Damaged(format!("the name of the thread {} {error}", thread.id)))?;
    Ok(ThreadSummary {
        thread: name,
        rank: thread.rank,
        created: thread.created,
        written: thread.written,
        head: thread.head,
        messages,
        run: thread.run.map(|(run, _)| run),
        title,
    })
}

fn first_question(db: &Connection, thread: &Thread) -> Result<Vec<Arc<Message>>, Failure> {
    let mut first = db.prepare_cached(
        "SELECT position, json FROM message WHERE thread = ? AND role = 'user' ORDER BY position LIMIT 1",
    )?;
    let found = thread.messages(&mut first.query([thread.id])?)?;
    Ok(found.into_iter().map(|(_, message)| message).collect())
}

/// The last `limit` messages before the one with the id `before`.
pub(super) fn messages(
    db: &Connection,
    key: &SessionKey,
    before: Option<&str>,
    limit: usize,
    bounds: Bounds,
) -> Result<MessagePage, Failure> {
    let Some(thread) = Thread::find(db, key)? else {
        return Ok(MessagePage::default());
    };
    match thread.is_behind() {
        true => {
            let past = thread.past(db, bounds)?;
            Ok(MessagePage::of(past.history.messages, past.more, before, limit))
        }
        false => stored_page(db, &thread, before, limit),
    }
}

/// The same from the rows alone, without reading what is not shown.
fn stored_page(db: &Connection, thread: &Thread, before: Option<&str>, limit: usize) -> Result<MessagePage, Failure> {
    let end = match before {
        None => i64::MAX,
        Some(id) => {
            let mut place = db.prepare_cached("SELECT min(position) FROM message WHERE thread = ? AND id = ?")?;
            let place: Option<i64> = place.query_row(params![thread.id, id], |row| row.get(0))?;
            let Some(place) = place else { return Ok(MessagePage::default()) };
            place
        }
    };
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut select = db.prepare_cached(
        "SELECT position, json FROM message WHERE thread = ? AND position < ? ORDER BY position DESC LIMIT ?",
    )?;
    let mut found = thread.messages(&mut select.query(params![thread.id, end, wanted])?)?;
    let has_older = found.len() > limit;
    found.truncate(limit);
    found.reverse();
    let more = has_older || (thread.more && !found.is_empty());
    Ok(MessagePage { messages: found.into_iter().map(|(_, message)| message).collect(), more })
}

/// Runs that are open in the log.
pub(super) fn unfinished(db: &Connection, limit: usize) -> Result<Vec<(SessionKey, RunId)>, Failure> {
    let mut select = db.prepare_cached("SELECT user, name, run FROM thread WHERE run IS NOT NULL LIMIT ?")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = select.query_map(params![limit], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    let mut open = Vec::new();
    for row in rows {
        let (user, name, run) = row?;
        let parsed = (UserId::parse(&user), ThreadId::parse(&name), RunId::parse(&run));
        match parsed {
            (Ok(user), Ok(name), Ok(run)) => open.push((SessionKey::new(user, name), run)),
            (_, _, _) => tracing::error!(user, name, run, "a run in the journal has an id that is none"),
        }
    }
    Ok(open)
}

/// Whether something was appended under this key before.
pub(super) fn was_published(db: &Connection, thread: i64, key: &str) -> Result<bool, Failure> {
    let mut known = db.prepare_cached("SELECT 1 FROM publication WHERE thread = ? AND key = ?")?;
    Ok(known.query_row(params![thread, key], |_| Ok(())).optional()?.is_some())
}
