//! What was written is told: to the follower, then to whoever waits.
//!
//! ```text
//! writer --batch--> by the hash of the thread's key --> lane 0: follower, appender
//!                                                  '--> lane 1: ...
//! ```
//!
//! A thread of the journal has its lane for good, which keeps its order; a follower that is busy with one user holds up
//! the others in that lane alone.

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use super::writer::{Append, Outcome};
use crate::journal::Follower;

/// Lanes; each is a thread of the process.
const LANES: usize = 4;
/// Batches that wait in a lane, at most.
const BATCHES: usize = 4;

/// Appends and what became of them.
pub(super) type Acks = Vec<(Append, Outcome)>;

/// Where the writer puts what it has written.
pub(super) struct Lanes {
    hasher: RandomState,
    lanes: Vec<SyncSender<Acks>>,
}

impl Lanes {
    /// The lanes, and what is to be told from each.
    pub(super) fn new() -> (Self, Vec<Receiver<Acks>>) {
        let (lanes, told) = (0..LANES).map(|_| sync_channel(BATCHES)).unzip();
        (Self { hasher: RandomState::new(), lanes }, told)
    }

    /// Waits where a lane is full.
    pub(super) fn send(&self, acks: impl Iterator<Item = (Append, Outcome)>) {
        let mut parts: [Acks; LANES] = Default::default();
        for (append, outcome) in acks {
            let lane = self.hasher.hash_one(&append.wanted.key) % LANES as u64;
            parts[lane as usize].push((append, outcome));
        }
        for (lane, part) in self.lanes.iter().zip(parts) {
            if !part.is_empty() && lane.send(part).is_err() {
                tracing::error!("the journal's acknowledgements ended before their writer");
            }
        }
    }
}

/// Works on one lane; ends with the writer.
pub(super) fn acknowledge(acks: &Receiver<Acks>, follower: &OnceLock<Arc<dyn Follower>>) {
    while let Ok(batch) = acks.recv() {
        for (append, outcome) in batch {
            if let (Ok(Some(entries)), Some(follower)) = (&outcome, follower.get()) {
                let told = catch_unwind(AssertUnwindSafe(|| follower.appended(&append.wanted.key, entries)));
                if told.is_err() {
                    tracing::error!(key = %append.wanted.key, "the follower of the journal panicked");
                }
            }
            drop(append.weight);
            // Whoever appended may have gone; what he appended is there all the same.
            let _ = append.reply.send(outcome);
        }
    }
}
