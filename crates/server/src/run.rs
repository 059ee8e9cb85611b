//! Runs: drive an agent, append what it says. A run belongs to its thread and outlives every session and socket.
//!
//! ```text
//! start --claim--> known? no-op --> snapshot --> RUN_STARTED --> agent's events ... --> RUN_FINISHED | RUN_ERROR
//!          busy <--'                              (append)          (append)                  (append)
//! ```
//!
//! Every run that has a RUN_STARTED gets exactly one terminal event: after the agent's own, after its stream ended, failed
//! or fell silent, after a stop, a panic, or the gateway's own end (R18).

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lychgate_core::{RunId, SessionKey, UserId};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use self::ending::{Ending, Why};
use crate::agent::Agent;
use crate::close::ErrorCode;
use crate::journal::Journal;
use crate::outbox::Frame;
use crate::sink::Sink;
use crate::wire::{RunInput, Server};

mod drive;
mod ending;
mod events;
mod open_items;
#[cfg(test)]
mod tests;

/// Locks that threads are spread over.
const SHARDS: usize = 64;

/// A `run` from a client, or from whoever may speak for one.
pub struct StartRun {
    /// On which thread.
    pub key: SessionKey,
    /// The plan that the user's token names; passed on to the agent.
    pub plan: Option<Box<str>>,
    /// Which run; the idempotency key.
    pub run: RunId,
    /// What the client said.
    pub input: RunInput,
    /// Which agent; none for the default one.
    pub agent: Option<String>,
    /// Where a refusal goes.
    pub reply: Arc<dyn Sink>,
}

/// A run began or ended; for the gate, which protects its session meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunChange {
    /// Told before RUN_STARTED is appended.
    Started {
        /// On which thread.
        key: SessionKey,
        /// Which run.
        run: RunId,
    },
    /// Told after the terminal event was appended; once for every `Started`.
    Ended {
        /// On which thread.
        key: SessionKey,
        /// Which run.
        run: RunId,
    },
}

/// Finds an agent by name; without a name, the default one.
pub type FindAgent = Box<dyn Fn(Option<&str>) -> Option<Arc<dyn Agent>> + Send + Sync>;

/// How many runs a user may have in flight: his plan decides.
pub type MaxRuns = Box<dyn Fn(&UserId) -> usize + Send + Sync>;

/// Hears of runs. Must not block.
pub type OnChange = Box<dyn Fn(RunChange) + Send + Sync>;

/// All runs of this node that have not ended.
pub struct Runs {
    /// For the tasks that work on it.
    me: Weak<Self>,
    journal: Arc<dyn Journal>,
    find_agent: FindAgent,
    max_per_user: MaxRuns,
    on_change: OnChange,
    runtime: Handle,
    tasks: TaskTracker,
    stopping: AtomicBool,
    shards: Box<[Mutex<Claims>]>,
    hasher: RandomState,
}

type Claims = HashMap<SessionKey, Claim>;

/// The one run of a thread.
struct Claim {
    run: RunId,
    ending: Arc<Ending>,
    stage: Stage,
    /// The next run, kept while it is not known whether the thread is busy.
    next: Option<Box<Next>>,
}

/// How far a claim has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The journal is asked whether it knows the run. If it does, the claim was for nothing, and the next run must not
    /// hear that the thread is busy: a client that re-sends what it has not seen answered says both in one breath.
    Asked,
    /// RUN_STARTED is in the log or on its way.
    Running,
    /// Its terminal event is on its way. Whoever saw that event may start the next run before we are done here.
    Ending,
}

/// A run that waits for the end of the one before; it can be stopped already.
struct Next {
    start: StartRun,
    ending: Arc<Ending>,
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

/// A poisoned lock guards claims that are whole all the same: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Runs {
    /// No runs yet. Each will be a task on `runtime`; a user has at most `max_per_user(user)` in flight, one more is
    /// `error rate_limited`.
    #[must_use]
    pub fn new(
        journal: Arc<dyn Journal>,
        find_agent: FindAgent,
        max_per_user: MaxRuns,
        on_change: OnChange,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            journal,
            find_agent,
            max_per_user,
            on_change,
            runtime,
            tasks: TaskTracker::new(),
            stopping: AtomicBool::new(false),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        })
    }

    /// Starts a run; does not block. The same run again is a no-op, whether it is in flight or over. A thread with
    /// another run in flight is `error busy` to `reply`; an unknown agent `error agent_unavailable`; a gateway that stops
    /// `error draining`; a journal that takes nothing `error internal`.
    pub fn start(&self, start: StartRun) {
        let mut claims = lock(self.shard(&start.key));
        if self.stopping.load(Ordering::SeqCst) {
            drop(claims);
            return refuse(&start, ErrorCode::Draining);
        }
        let Some(claim) = claims.get_mut(&start.key) else {
            // One lock holds all claims of a user, so that this is counted and taken in one step.
            let held = claims.keys().filter(|key| key.user() == start.key.user()).count();
            if held >= (self.max_per_user)(start.key.user()) {
                drop(claims);
                return refuse(&start, ErrorCode::RateLimited);
            }
            return self.claim(claims, start, Arc::default());
        };
        if claim.run == start.run || claim.next.as_ref().is_some_and(|next| next.start.run == start.run) {
            return;
        }
        match (claim.stage, &claim.next) {
            (Stage::Asked | Stage::Ending, None) => {
                claim.next = Some(Box::new(Next { start, ending: Arc::default() }));
            }
            (Stage::Running, _) | (Stage::Asked | Stage::Ending, Some(_)) => {
                drop(claims);
                refuse_busy(&start);
            }
        }
    }

    /// Ends this run with RUN_FINISHED, outcome cancelled. Whether it was in flight.
    pub fn stop(&self, key: &SessionKey, run: &RunId) -> bool {
        let claims = lock(self.shard(key));
        let Some(claim) = claims.get(key) else { return false };
        let next = claim.next.as_deref().map(|next| (&next.start.run, &next.ending));
        let named = [Some((&claim.run, &claim.ending)), next];
        match named.into_iter().flatten().find(|(known, _)| *known == run) {
            Some((_, ending)) => {
                ending.end(Why::Stopped);
                true
            }
            None => false,
        }
    }

    /// Runs that have not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Takes no more runs and ends those in flight with RUN_ERROR `gateway_stopping`; waits for them, at most for
    /// `deadline`. Returns how many had not ended by then.
    pub async fn shutdown(&self, deadline: Duration) -> usize {
        self.stopping.store(true, Ordering::SeqCst);
        for shard in &self.shards {
            // The lock orders this after every claim that was made before `stopping` was seen.
            for claim in lock(shard).values() {
                claim.ending.end(Why::GatewayStopping);
            }
        }
        self.tasks.close();
        let left = match tokio::time::timeout(deadline, self.tasks.wait()).await {
            Ok(()) => 0,
            Err(_) => self.in_flight(),
        };
        if left > 0 {
            tracing::error!(left, "runs had not ended when the gateway stopped");
        }
        left
    }

    fn shard(&self, key: &SessionKey) -> &Mutex<Claims> {
        &self.shards[usize::try_from(self.hasher.hash_one(key.user()) % SHARDS as u64).unwrap_or(0)]
    }

    /// Claims the thread and starts the task once the lock is free: a runtime that is shutting down drops the task at
    /// once, and the claim with it.
    fn claim(&self, mut claims: MutexGuard<'_, Claims>, start: StartRun, ending: Arc<Ending>) {
        let Some(me) = self.me.upgrade() else { return };
        let claim = Claim { run: start.run.clone(), ending: Arc::clone(&ending), stage: Stage::Asked, next: None };
        claims.insert(start.key.clone(), claim);
        drop(claims);
        let held = Held { runs: me, key: start.key.clone(), run: start.run.clone(), has_started: false };
        self.tasks.spawn_on(drive::run(held, start, ending), &self.runtime);
    }

    /// Frees the thread, and starts the run that came while the last one ended.
    fn release(&self, key: &SessionKey) {
        let mut claims = lock(self.shard(key));
        let Some(next) = claims.remove(key).and_then(|claim| claim.next) else {
            return;
        };
        if self.stopping.load(Ordering::SeqCst) {
            drop(claims);
            return refuse(&next.start, ErrorCode::Draining);
        }
        self.claim(claims, next.start, next.ending);
    }
}

/// A thread that is claimed for a run; dropped on every kind of end of its task, a panic and an abort among them.
struct Held {
    runs: Arc<Runs>,
    key: SessionKey,
    run: RunId,
    has_started: bool,
}

impl Held {
    /// The run is a new one: whoever came meanwhile hears that the thread is busy.
    fn has_started(&mut self) {
        self.has_started = true;
        if let Some(next) = self.enter(Stage::Running) {
            refuse_busy(&next.start);
        }
        (self.runs.on_change)(RunChange::Started { key: self.key.clone(), run: self.run.clone() });
    }

    /// From now on the next run of this thread is kept until this one has ended.
    fn is_ending(&self) {
        // While a run is under way none is kept, so there is none to be refused here.
        self.enter(Stage::Ending);
    }

    fn enter(&self, stage: Stage) -> Option<Box<Next>> {
        let mut claims = lock(self.runs.shard(&self.key));
        let claim = claims.get_mut(&self.key)?;
        claim.stage = stage;
        claim.next.take()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.has_started {
            (self.runs.on_change)(RunChange::Ended { key: self.key.clone(), run: self.run.clone() });
        }
        self.runs.release(&self.key);
    }
}

fn refuse_busy(start: &StartRun) {
    refuse(start, ErrorCode::Busy);
}

fn refuse(start: &StartRun, code: ErrorCode) {
    refuse_saying(start, code, code.row().sentence);
}

fn refuse_saying(start: &StartRun, code: ErrorCode, message: &str) {
    let row = code.row();
    let error = Server::Error {
        code: row.word,
        message,
        thread: Some(start.key.thread().as_str()),
        run: Some(start.run.as_str()),
        reference: None,
        retry_in: row.retry_in.map(|retry_in| u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX)),
    };
    start.reply.send_control(&Frame::text(error.to_json().as_bytes()));
}
