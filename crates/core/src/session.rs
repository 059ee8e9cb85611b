//! The record of one session: who is attached, and until when it lingers.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use crate::id::{ConnectionId, ThreadId};
use crate::lease::Lease;
use crate::timer::Time;

/// A hash of a thread's id: equal ids have equal marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    pub(crate) fn of(thread: &ThreadId) -> Self {
        Self(FixedState::with_seed(0).hash_one(thread))
    }
}

/// A connection of a session.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) connection: ConnectionId,
    /// It came over by `prev` and has to be opened by then.
    pub(crate) claim: Option<Time>,
    /// The client's name for the open that attached it.
    pub(crate) reference: Option<Box<str>>,
}

/// One `user:thread` that holds a slot. It is attached, or it lingers; it is never both, and never neither.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) thread: ThreadId,
    /// Of the thread's id: a search among twenty sessions reads twenty words, and no text but the right one.
    pub(crate) mark: Mark,
    /// Mostly one, which then lies in the session's own record.
    pub(crate) attached: SmallVec<[Attachment; 1]>,
    pub(crate) lingers_until: Option<Time>,
    pub(crate) last_used: Time,
    /// Its place among its user's sessions on all nodes; none where this node counts alone.
    pub(crate) lease: Option<Lease>,
}

impl Session {
    pub(crate) fn new(thread: ThreadId, first: Attachment, now: Time) -> Self {
        let mark = Mark::of(&thread);
        Self { thread, mark, attached: SmallVec::from_buf([first]), lingers_until: None, last_used: now, lease: None }
    }

    pub(crate) fn attachment(&self, connection: ConnectionId) -> Option<&Attachment> {
        self.attached.iter().find(|attachment| attachment.connection == connection)
    }

    pub(crate) fn attachment_mut(&mut self, connection: ConnectionId) -> Option<&mut Attachment> {
        self.attached.iter_mut().find(|attachment| attachment.connection == connection)
    }

    /// Detaches a connection, if it was attached.
    pub(crate) fn detach(&mut self, connection: ConnectionId) -> Option<Attachment> {
        let index = self.attached.iter().position(|attachment| attachment.connection == connection)?;
        Some(self.attached.remove(index))
    }

    /// When something falls due here.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.attached.iter().filter_map(|attachment| attachment.claim).chain(self.lingers_until).min()
    }
}
