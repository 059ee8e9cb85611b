//! Appends in order per thread, and all threads at once: the appends of a thread wait in its lane, which is there as long
//! as one does.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lychgate_core::SessionKey;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::journal::{Entry, JournalError};
use crate::wire::event::Event;

/// What becomes of an append; none when it was done before under the same key.
pub(super) type Outcome = Result<Option<Vec<Entry>>, JournalError>;

/// What is wanted of a thread.
#[derive(Debug)]
pub(super) enum Wanted {
    /// These events.
    Append {
        /// Known by this key.
        once: Option<String>,
        events: Vec<Event>,
    },
    /// The whole way, and nothing left.
    Rehearse(Event),
}

/// One append that waits.
pub(super) struct Job {
    pub(super) wanted: Wanted,
    /// When whoever waits is told that it was not taken.
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Outcome>,
    /// What it takes of the room that all appends share.
    pub(super) _room: OwnedSemaphorePermit,
}

/// All lanes.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<SessionKey, VecDeque<Job>>>);

impl Lanes {
    /// A poisoned lock guards lanes that are whole all the same: each change is one call.
    fn lanes(&self) -> MutexGuard<'_, HashMap<SessionKey, VecDeque<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job behind those of its thread; true where there was no lane, and somebody has to work it off.
    pub(super) fn put(&self, key: &SessionKey, job: Job) -> bool {
        let mut lanes = self.lanes();
        if let Some(lane) = lanes.get_mut(key) {
            lane.push_back(job);
            return false;
        }
        lanes.insert(key.clone(), VecDeque::from([job]));
        true
    }

    /// The next job of a thread; none where the lane is empty, and gone by that.
    pub(super) fn next(&self, key: &SessionKey) -> Option<Job> {
        let mut lanes = self.lanes();
        let job = lanes.get_mut(key).and_then(VecDeque::pop_front);
        if job.is_none() {
            lanes.remove(key);
        }
        job
    }
}

/// What this node knows of a run that it drives, or that it ends for a node that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    /// The offset of its RUN_STARTED.
    pub(super) start: u64,
    /// The last offset that was acknowledged; none for the run of another node.
    pub(super) head: Option<u64>,
}

/// The runs that this node may write to: as many as it drives.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<SessionKey, Flight>>>);

impl Flights {
    fn flights(&self) -> MutexGuard<'_, HashMap<SessionKey, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, key: &SessionKey) -> Option<Flight> {
        self.flights().get(key).copied()
    }

    pub(super) fn put(&self, key: &SessionKey, flight: Option<Flight>) {
        let mut flights = self.flights();
        match flight {
            Some(flight) => drop(flights.insert(key.clone(), flight)),
            None => drop(flights.remove(key)),
        }
    }

    /// Remembers a run that is found in the log, unless it is one of ours.
    pub(super) fn found(&self, key: &SessionKey, start: u64) {
        self.flights().entry(key.clone()).or_insert(Flight { start, head: None });
    }
}
