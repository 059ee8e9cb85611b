//! What one append asks for, and whether it is taken where there is no room.

use lychgate_core::SessionKey;

use super::rows::Thread;
use crate::wire::event::Event;

/// The end of a run is taken above every bound, up to this size: a log that cannot record an end would show a run in
/// flight for ever (R18).
const END_BYTES: usize = 16 * 1_024;

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Everything.
    Enough,
    /// The ends of runs, from the ballast.
    ForEnds,
}

/// What one append asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) key: SessionKey,
    pub(super) once: Option<String>,
    pub(super) events: Vec<Event>,
    /// Nothing of it stays in the log.
    pub(super) is_rehearsal: bool,
}

impl Wanted {
    /// Whether this ends the run in flight and does little else. A publication that is a run of its own is none.
    pub(super) fn is_small_end(&self, thread: &Thread) -> bool {
        let ends = self.events.last().is_some_and(Event::ends_run);
        let starts = self.events.iter().any(|event| event.kind() == "RUN_STARTED");
        thread.run.is_some() && ends && !starts && self.bytes() <= END_BYTES
    }

    /// Whether it begins with a run.
    pub(super) fn starts(&self) -> bool {
        self.events.first().is_some_and(|event| event.kind() == "RUN_STARTED")
    }

    /// Of the JSON of its events.
    pub(super) fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.json().get().len()).sum()
    }
}
