//! Short tasks that read the journal for one attachment: to open it, and to bring it up to date.

use std::sync::Arc;

use lychgate_core::{ConnectionId, Resume, SessionKey};

use super::frames::{Frames, opened, unreadable};
use super::{Attachment, Sessions, State};
use crate::journal::{Entry, JournalError, Snapshot, merge_adjacent};
use crate::outbox::Sent;

/// Entries that one read asks for.
const BATCH: usize = 128;
/// Longest text that adjacent pieces are joined to for a reader who is behind.
const JOINED_BYTES: usize = 16 * 1_024;

/// Which attachment a task works for.
pub(super) struct Place {
    pub(super) key: SessionKey,
    pub(super) connection: ConnectionId,
    pub(super) generation: u64,
}

/// What the client said when it opened.
#[derive(Default)]
pub(super) struct Opening {
    pub(super) resume: Option<Resume>,
    pub(super) reference: Option<Box<str>>,
}

/// Answers `opened`, then catches up.
pub(super) async fn open(sessions: Arc<Sessions>, place: Place, opening: Opening) {
    if answer_opened(&sessions, &place, opening).await.is_some() {
        catch_up(sessions, place).await;
    }
}

/// Brings the attachment up to date, or as far as its window and its sink allow.
pub(super) async fn catch_up(sessions: Arc<Sessions>, place: Place) {
    while let Some(after) = begin(&sessions, &place) {
        let goes_on = match sessions.journal.read(&place.key, after, BATCH).await {
            Ok(entries) => {
                let is_end = entries.len() < BATCH;
                deliver(&sessions, &place, &merge_adjacent(entries, JOINED_BYTES), is_end)
            }
            // The log let go of what this client still needs: it is told to start over, never served a hole (R19).
            Err(JournalError::Trimmed(_)) => answer_opened(&sessions, &place, Opening::default()).await,
            Err(error @ (JournalError::Unavailable(_) | JournalError::Gone)) => fail(&sessions, &place, None, &error),
        };
        if goes_on.is_none() {
            return;
        }
        // A journal in memory never makes its reader wait; a long thread must not keep a worker from everybody else.
        tokio::task::coop::consume_budget().await;
    }
}

/// Runs `change` if the attachment is still the one that the task was started for.
fn with<T>(sessions: &Sessions, place: &Place, change: impl FnOnce(&mut Attachment) -> T) -> Option<T> {
    let change = |attachment: &mut Attachment| (attachment.generation == place.generation).then(|| change(attachment));
    sessions.with(&place.key, place.connection, change).flatten()
}

/// Where to read from. What is appended after this is either read or marks the attachment.
fn begin(sessions: &Sessions, place: &Place) -> Option<u64> {
    with(sessions, place, |attachment| {
        attachment.state = State::Reading { again: false };
        attachment.position
    })
}

/// Hands over what was read; `Some` when there is more to read.
fn deliver(sessions: &Sessions, place: &Place, entries: &[Entry], is_end: bool) -> Option<()> {
    let mut frames = Frames::new(&place.key, entries);
    with(sessions, place, |attachment| {
        let again = attachment.state == State::Reading { again: true };
        let state = sessions.hand_over(&place.key, attachment, &mut frames);
        match state {
            State::Live if again || !is_end => Some(()),
            state => {
                attachment.state = state;
                None
            }
        }
    })
    .flatten()
}

/// Sends `opened`: a resume where the log still has everything after what the client named, otherwise a reset.
async fn answer_opened(sessions: &Sessions, place: &Place, opening: Opening) -> Option<()> {
    let reference = opening.reference.as_deref();
    let snapshot = match sessions.journal.snapshot(&place.key).await {
        Ok(snapshot) => snapshot,
        Err(error) => return fail(sessions, place, reference, &error),
    };
    let after = match &opening.resume {
        Some(resume) => resume_from(sessions, place, &snapshot, resume).await,
        None => None,
    };
    let usage = with(sessions, place, |attachment| attachment.usage)?;
    // Made outside of the lock: history may be long.
    let frame = opened(&place.key, &snapshot, after, reference, usage);
    // History may be long and several threads may be opened at once: a slow link makes them wait, it does not make the
    // client a slow one.
    with(sessions, place, |attachment| {
        let sent = match attachment.sink.send(&frame) {
            Sent::Full => {
                sessions.await_room(&place.key, place.connection);
                attachment.sink.send(&frame)
            }
            sent @ (Sent::Accepted | Sent::Closed) => sent,
        };
        match sent {
            Sent::Accepted => {
                attachment.position = after.unwrap_or(snapshot.cut);
                attachment.acked = attachment.position;
                return Some(());
            }
            Sent::Full => {
                attachment.state = State::AwaitsRoomToOpen;
                attachment.opening = Some(Box::new(opening));
            }
            Sent::Closed => attachment.state = State::Gone,
        }
        None
    })
    .flatten()
}

/// The offset to resume from, if the log can. An offset above the head is none of this log's.
async fn resume_from(sessions: &Sessions, place: &Place, snapshot: &Snapshot, resume: &Resume) -> Option<u64> {
    let is_held = *resume.epoch == *snapshot.epoch && (snapshot.oldest..=snapshot.head).contains(&resume.after);
    if !is_held {
        return None;
    }
    let read = sessions.journal.read(&place.key, resume.after, 1).await;
    read.is_ok().then_some(resume.after)
}

fn fail(sessions: &Sessions, place: &Place, reference: Option<&str>, error: &JournalError) -> Option<()> {
    tracing::warn!(key = %place.key, connection = %place.connection, %error, "a thread cannot be read");
    with(sessions, place, |attachment| {
        attachment.state = State::AwaitsJournal;
        attachment.sink.send_control(&unreadable(&place.key, reference));
    });
    None
}
