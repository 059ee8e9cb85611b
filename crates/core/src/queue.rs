//! Those who wait for a slot, in the order in which they came.

use crate::context::SessionContext;
use crate::gate::io::Resume;
use crate::id::ConnectionId;
use crate::timer::Time;

/// An open that found no slot yet.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) context: SessionContext,
    pub(crate) reference: Option<Box<str>>,
    pub(crate) resume: Option<Resume>,
    /// When it asked: the one clock of its admission (M11).
    pub(crate) since: Time,
}

impl Waiter {
    pub(crate) fn connection(&self) -> ConnectionId {
        self.context.connection()
    }
}

/// A probe of every connection of a user: two pings, `probe_gap` apart, to be answered until `probe_deadline`. An
/// admission trusts only a round that began after it asked.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) started: Time,
    pub(crate) started_awake: crate::timer::Awake,
    pub(crate) second_asked: bool,
    pub(crate) asked: Vec<Asked>,
}

/// One connection in a round.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) connection: ConnectionId,
    /// When the kernel took its pings.
    pub(crate) written: smallvec::SmallVec<[crate::timer::Awake; 2]>,
}
