//! Publications: events that a backend puts into a thread beside its runs.
//!
//! ```text
//! publish --run in flight--> its task appends them between its own events
//!         '-thread at rest--> RUN_STARTED publication-<uuid>, the events, RUN_FINISHED: one append
//! ```
//!
//! Both are whole in themselves: whatever a publication begins it also ends, so that a client that verifies the stream
//! accepts it wherever it lands. The task that holds the thread writes it, so that it never falls between two runs.

use lychgate_core::{RunId, SessionKey};
use tokio::sync::oneshot;

use super::claim::Held;
use super::events;
use super::open_items::OpenItems;
use crate::journal::{Journal, JournalError};
use crate::wire::event::Event;

/// Publications of one thread that wait to be written; one more is [`PublishError::Busy`].
pub(super) const MAX_WAITING: usize = 16;
/// Events of one publication at most.
pub const MAX_EVENTS: usize = 256;

/// What a backend wants to be in a thread.
#[derive(Debug)]
pub struct Publish {
    /// Which thread.
    pub key: SessionKey,
    /// Idempotency key, at most 256 bytes: the same again on this thread is a no-op.
    pub once: Box<str>,
    /// The events, 1 to [`MAX_EVENTS`]: no RUN_STARTED, RUN_FINISHED or RUN_ERROR, and nothing left open.
    pub events: Vec<Event>,
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is in the log, as durable as configured.
    Appended {
        /// The offset of its last event.
        head: u64,
    },
    /// It was there already.
    Known,
}

/// Why a publication was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It is not whole in itself; the text says which event.
    #[error("{0}")]
    Open(String),
    /// Too many publications of this thread wait already.
    #[error("{MAX_WAITING} publications of this thread wait to be written")]
    Busy,
    /// The gateway stops.
    #[error("the gateway is being stopped")]
    Stopping,
    /// The journal took nothing.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A publication with its answer.
pub(super) struct Publication {
    publish: Publish,
    answer: oneshot::Sender<Result<Published, PublishError>>,
}

impl Publication {
    pub(super) fn new(publish: Publish) -> (Self, oneshot::Receiver<Result<Published, PublishError>>) {
        let (answer, answered) = oneshot::channel();
        (Self { publish, answer }, answered)
    }

    pub(super) fn key(&self) -> &SessionKey {
        &self.publish.key
    }

    /// Appends it as it is: for a thread with a run in flight.
    pub(super) async fn append(self, journal: &dyn Journal) {
        let Publish { key, once, events } = self.publish;
        answer(journal, &key, &once, events, self.answer).await;
    }

    /// Tells whoever asked that the journal takes nothing at the moment.
    pub(super) fn refuse(self, error: JournalError) {
        // Whoever asked may have gone.
        let _ = self.answer.send(Err(error.into()));
    }

    /// Appends it as a run of its own: for a thread at rest.
    async fn append_as_run(self, journal: &dyn Journal) {
        let Publish { key, once, events } = self.publish;
        let run = RunId::parse(&format!("publication-{}", uuid::Uuid::now_v7())).expect("a uuid makes a run id");
        let started = events::started(&key, &run, &crate::wire::RunInput::default());
        let ended = events::finished(&key, &run);
        let events = std::iter::once(started).chain(events).chain([ended]).collect();
        answer(journal, &key, &once, events, self.answer).await;
    }
}

async fn answer(
    journal: &dyn Journal,
    key: &SessionKey,
    once: &str,
    events: Vec<Event>,
    answer: oneshot::Sender<Result<Published, PublishError>>,
) {
    // Apart from the keys under which we write ends that were owed.
    let once = format!("publication:{once}");
    let published = match journal.append_once(key, &once, events).await {
        Ok(Some(entries)) => Ok(Published::Appended { head: entries.last().map_or(0, |entry| entry.offset) }),
        Ok(None) => Ok(Published::Known),
        Err(error) => Err(error.into()),
    };
    // Whoever asked may have gone; it is in the log all the same.
    let _ = answer.send(published);
}

/// The task that holds a thread at rest: writes what was published, and some of what comes meanwhile; a run that waits
/// gets its turn then.
pub(super) async fn write_all(held: Held) {
    let runs = std::sync::Arc::clone(&held.runs);
    for _ in 0..MAX_WAITING {
        match held.next_publication() {
            Some(publication) => publication.append_as_run(&*runs.journal).await,
            None => return,
        }
    }
}

/// Checks that the events are whole in themselves.
pub(super) fn check(events: &[Event]) -> Result<(), PublishError> {
    if events.is_empty() || events.len() > MAX_EVENTS {
        return Err(PublishError::Open(format!("`events` has 1 to {MAX_EVENTS} events, not {}", events.len())));
    }
    let mut open = OpenItems::default();
    for (index, event) in events.iter().enumerate() {
        if event.kind().starts_with("RUN_") {
            let kind = event.kind();
            return Err(PublishError::Open(format!(
                "`events[{index}]` is {kind}; runs are started with `run`, a publication only adds to a thread"
            )));
        }
        if let Err(what) = open.follow_strictly(event) {
            return Err(PublishError::Open(format!("`events[{index}]` {what}")));
        }
    }
    match open.closers().next() {
        None => Ok(()),
        Some(closer) => Err(PublishError::Open(format!(
            "what `events` begins has to end in them: {} is missing at the end",
            closer.json()
        ))),
    }
}
