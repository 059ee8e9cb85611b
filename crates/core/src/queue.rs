//! Those who wait for a slot, in the order in which they came.

use crate::context::SessionContext;
use crate::gate::io::Resume;
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::timer::{Awake, Clock, Time};

/// An open that found no slot yet.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) context: SessionContext,
    pub(crate) reference: Option<Box<str>>,
    pub(crate) resume: Option<Resume>,
    /// When it asked, as people count it.
    pub(crate) since: Time,
    /// When it asked, on the clock of silence: a stall of ours takes no time from the ladder, or we would take a live
    /// session before the dead had their chance to be found (I4).
    pub(crate) since_awake: Awake,
}

/// Our own stalls stretch a ladder to so many times its deadline and no further: with the default of 3 s an open is
/// answered within the 10 s of I3, however badly we run.
const STRETCH: u32 = 3;

impl Waiter {
    /// When its ladder ends: after the deadline in time that we ran, or after a multiple of it in plain time.
    pub(crate) fn deadline(&self, clock: &Clock, limits: &Limits) -> Time {
        let ran = clock.wall(self.since_awake + limits.ladder_deadline);
        ran.min(self.since + limits.ladder_deadline * STRETCH)
    }

    pub(crate) fn connection(&self) -> ConnectionId {
        self.context.connection()
    }
}

/// A probe of every connection of a user: two pings, `probe_gap` apart, to be answered until `probe_deadline`. An
/// admission trusts only a round that began after it asked.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) started: Time,
    pub(crate) started_awake: Awake,
    pub(crate) second_asked: bool,
    pub(crate) asked: Vec<Asked>,
}

/// One connection in a round.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) connection: ConnectionId,
    /// When the kernel took its pings.
    pub(crate) written: smallvec::SmallVec<[Awake; 2]>,
}
