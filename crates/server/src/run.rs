//! Runs: drive an agent, append what it says. A run belongs to its thread and outlives every session and socket.
//!
//! ```text
//! start --claim--> known? no-op --> snapshot --> RUN_STARTED --> agent's events ... --> RUN_FINISHED | RUN_ERROR
//!    '--> waits, or busy                          (append)          (append)                  (append)
//! publish --claim, or handed to the run in flight--------------------^
//! ```
//!
//! One task writes to a thread at a time: the one that holds its claim.
//!
//! Every run that has a RUN_STARTED gets exactly one terminal event: after the agent's own, after its stream ended, failed
//! or fell silent, after a stop, a panic, or the gateway's own end (R18).

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lychgate_core::{RunId, SessionKey, UserId};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use self::claim::{Claim, Claims, Held, Stage, Waiting};
use self::orders::{Orders, Why};
use self::publish::Publication;
use crate::agent::Agent;
use crate::close::ErrorCode;
use crate::config;
use crate::journal::Journal;
use crate::outbox::Frame;
use crate::sink::Sink;
use crate::telemetry::metrics::RunOutcome;
use crate::telemetry::traces::Asker;
use crate::wire::{Notice, RunInput, Server, millis};

mod attendance;
mod claim;
mod drive;
mod end;
mod events;
mod open_items;
mod orders;
mod publish;
mod recover;
#[cfg(test)]
mod tests;

pub use publish::{MAX_EVENTS as MAX_PUBLISHED_EVENTS, Publish, PublishError, Published};

/// Locks that threads are spread over.
const SHARDS: usize = 64;

/// A `run` from a client, or from whoever may speak for one.
pub struct StartRun {
    /// On which thread.
    pub key: SessionKey,
    /// The plan that the user's token names; passed on to the agent.
    pub plan: Option<Box<str>>,
    /// The agents that the user may ask, by name; none: every one.
    pub agents: Option<Arc<[Box<str>]>>,
    /// Which run; the idempotency key.
    pub run: RunId,
    /// What the client said.
    pub input: RunInput,
    /// Which agent; none for the default one.
    pub agent: Option<String>,
    /// Where a refusal goes.
    pub reply: Arc<dyn Sink>,
    /// Who asks, for its trace; none where nothing is traced.
    pub trace: Option<Box<Asker>>,
}

/// Why a run has no agent. `Display` is what the user hears.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAgent {
    /// There is none of this name.
    #[error("There is no agent of this name.")]
    Unknown,
    /// His token does not list it; these it lists.
    #[error("You may not ask this agent; those that you may ask are: {}.", if .0.is_empty() { "none".into() } else { .0.join(", ") })]
    Forbidden(Box<[Box<str>]>),
}

impl NoAgent {
    /// The word of the `error` frame.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown => ErrorCode::AgentUnavailable,
            Self::Forbidden(_) => ErrorCode::Forbidden,
        }
    }
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

/// What runs need of the rest of the house; assembly wires it. No call may block.
pub trait Surroundings: Send + Sync + 'static {
    /// The agent of this name, or the default one, with the name that it is configured under.
    fn agent(&self, name: Option<&str>) -> Option<(Arc<str>, Arc<dyn Agent>)>;

    /// How many runs a user may have in flight: his plan decides.
    fn max_runs(&self, user: &UserId) -> usize;

    /// A run began or ended.
    fn changed(&self, change: RunChange);

    /// A run that was accepted has its terminal event in the log, or owes it; so long after it was accepted.
    fn finished(&self, _outcome: RunOutcome, _took: Duration) {}

    /// Whether a connection is attached to the thread.
    fn is_attended(&self, key: &SessionKey) -> bool;

    /// Sends a control frame to every connection of the thread.
    fn tell(&self, key: &SessionKey, frame: &Frame);
}

/// All runs of this node that have not ended.
pub struct Runs {
    /// For the tasks that work on it.
    me: Weak<Self>,
    journal: Arc<dyn Journal>,
    around: Arc<dyn Surroundings>,
    bounds: config::Runs,
    runtime: Handle,
    tasks: TaskTracker,
    stopping: AtomicBool,
    shards: Box<[Mutex<Claims>]>,
    hasher: RandomState,
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
    /// No runs yet. Each will be a task on `runtime`.
    #[must_use]
    pub fn new(
        journal: Arc<dyn Journal>,
        bounds: config::Runs,
        around: Arc<dyn Surroundings>,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            journal,
            around,
            bounds,
            runtime,
            tasks: TaskTracker::new(),
            stopping: AtomicBool::new(false),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        })
    }

    /// Whether a user may ask the agent of this name, or the default one: all, or those of a list.
    ///
    /// # Errors
    /// [`NoAgent`] with a sentence for him.
    pub fn may_ask(&self, name: Option<&str>, allowed: Option<&[Box<str>]>) -> Result<(), NoAgent> {
        self.agent(name, allowed).map(drop)
    }

    fn agent(&self, name: Option<&str>, allowed: Option<&[Box<str>]>) -> Result<(Arc<str>, Arc<dyn Agent>), NoAgent> {
        match (self.around.agent(name), allowed) {
            (Some((name, _)), Some(allowed)) if !allowed.iter().any(|one| **one == *name) => {
                Err(NoAgent::Forbidden(allowed.into()))
            }
            (Some(found), _) => Ok(found),
            // Whoever may not ask everybody learns nothing of who else there is.
            (None, Some(allowed)) => Err(NoAgent::Forbidden(allowed.into())),
            (None, None) => Err(NoAgent::Unknown),
        }
    }

    /// Starts a run; does not block. The same run again is a no-op, whether it waits, is in flight or over; of one that is
    /// over `reply` hears so. A thread
    /// with another run in flight, and `runs.max_queued_per_thread` waiting, is `error busy` to `reply`; a user with
    /// all his runs in flight `error rate_limited`; an unknown agent `error agent_unavailable`, one that he may not ask
    /// `error forbidden`; a gateway that stops
    /// `error draining`; a journal that takes nothing `error internal`.
    pub fn start(&self, start: StartRun) {
        // Asked before the lock is taken: whoever answers has locks of his own.
        let most = self.around.max_runs(start.key.user());
        let mut claims = lock(self.shard(&start.key));
        if self.stopping.load(Ordering::SeqCst) {
            drop(claims);
            return refuse(&start, &Orders::default(), ErrorCode::Draining);
        }
        let Some(claim) = claims.get_mut(&start.key) else {
            // Counted and taken in one step, under the one lock that holds all claims of a user.
            if runs_of(&claims, start.key.user()) >= most {
                drop(claims);
                return refuse(&start, &Orders::default(), ErrorCode::RateLimited);
            }
            return self.claim(claims, start, Arc::default(), Behind::default());
        };
        if let Some(orders) = claim.orders_of(&start.run) {
            if let Some(position) = claim.position(&start.run) {
                say_queued(&start, position + 1);
                orders.join(start.reply);
            } else if claim.stage == Stage::Asked {
                orders.join(start.reply);
            }
            return;
        }
        if claim.waiting.len() >= claim.places(self.bounds.max_queued_per_thread) {
            drop(claims);
            return refuse_busy(&start, &Orders::default());
        }
        if self.bounds.max_queued_per_thread > 0 {
            say_queued(&start, claim.waiting.len() + 1);
        }
        claim.waiting.push_back(Waiting { start, orders: Arc::default() });
    }

    /// Ends this run with RUN_FINISHED, outcome cancelled. Whether it was in flight, or waited.
    pub fn stop(&self, key: &SessionKey, run: &RunId) -> bool {
        let claims = lock(self.shard(key));
        match claims.get(key).and_then(|claim| claim.orders_of(run)) {
            Some(orders) => {
                orders.end(Why::Stopped);
                true
            }
            None => false,
        }
    }

    /// Puts a backend's events into a thread: between those of the run in flight, or as a run of their own. Once for
    /// each `once` of a thread. Dropping the future changes nothing: what was handed over is written.
    ///
    /// # Errors
    /// [`PublishError`] says what was wrong; nothing was written then.
    pub async fn publish(&self, publish: Publish) -> Result<Published, PublishError> {
        publish::check(&publish.events)?;
        let (publication, answered) = Publication::new(publish);
        self.take(publication)?;
        // The task that had it ended without an answer: it was aborted, as the gateway stops.
        answered.await.unwrap_or(Err(PublishError::Stopping))
    }

    fn take(&self, publication: Publication) -> Result<(), PublishError> {
        let mut claims = lock(self.shard(publication.key()));
        if self.stopping.load(Ordering::SeqCst) {
            return Err(PublishError::Stopping);
        }
        match claims.get_mut(publication.key()) {
            None => {
                let key = publication.key().clone();
                let behind = Behind { publications: [publication].into(), waiting: VecDeque::new() };
                self.claim_publishing(claims, key, behind);
            }
            Some(claim) if claim.publications.len() >= publish::MAX_WAITING => return Err(PublishError::Busy),
            Some(claim) => {
                claim.publications.push_back(publication);
                claim.orders.ring();
            }
        }
        Ok(())
    }

    /// Threads with a run, or a publication, that has not ended.
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
                claim.orders.end(Why::GatewayStopping);
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
    fn claim(&self, mut claims: MutexGuard<'_, Claims>, start: StartRun, orders: Arc<Orders>, behind: Behind) {
        let Some(me) = self.me.upgrade() else { return };
        let claim = Claim {
            run: Some(start.run.clone()),
            orders: Arc::clone(&orders),
            stage: Stage::Asked,
            waiting: behind.waiting,
            publications: behind.publications,
        };
        if !claim.publications.is_empty() {
            orders.ring();
        }
        claims.insert(start.key.clone(), claim);
        drop(claims);
        let held = Held::new(me, start.key.clone());
        self.tasks.spawn_on(drive::run(held, start, orders), &self.runtime);
    }

    /// Claims a thread at rest for what was published on it.
    fn claim_publishing(&self, mut claims: MutexGuard<'_, Claims>, key: SessionKey, behind: Behind) {
        let Some(me) = self.me.upgrade() else { return };
        let claim = Claim {
            run: None,
            orders: Arc::default(),
            stage: Stage::Ending,
            waiting: behind.waiting,
            publications: behind.publications,
        };
        claims.insert(key.clone(), claim);
        drop(claims);
        self.tasks.spawn_on(publish::write_all(Held::new(me, key)), &self.runtime);
    }

    /// Frees the thread for what came while the last task had it. Publications and runs take turns: neither can keep the
    /// other waiting for ever.
    fn release(&self, key: &SessionKey) {
        let most = self.around.max_runs(key.user());
        let mut claims = lock(self.shard(key));
        let Some(Claim { run, mut waiting, publications, .. }) = claims.remove(key) else {
            return;
        };
        if self.stopping.load(Ordering::SeqCst) {
            drop(claims);
            return waiting.iter().for_each(|next| refuse(&next.start, &next.orders, ErrorCode::Draining));
        }
        let had_run = run.is_some();
        if !publications.is_empty() && (had_run || waiting.is_empty()) {
            return self.claim_publishing(claims, key.clone(), Behind { waiting, publications });
        }
        let Some(next) = waiting.pop_front() else { return };
        if had_run || runs_of(&claims, key.user()) < most {
            return self.claim(claims, next.start, next.orders, Behind { waiting, publications });
        }
        // It waited behind a publication, which is no run, so that it was not counted until now.
        if !publications.is_empty() {
            self.claim_publishing(claims, key.clone(), Behind { waiting: VecDeque::new(), publications });
        } else {
            drop(claims);
        }
        let refused = std::iter::once(next).chain(waiting);
        refused.for_each(|next| refuse(&next.start, &next.orders, ErrorCode::RateLimited));
    }
}

/// Runs that the user has in flight. One lock holds all claims of a user.
fn runs_of(claims: &Claims, user: &UserId) -> usize {
    claims.iter().filter(|(key, claim)| key.user() == user && claim.run.is_some()).count()
}

/// What waits behind a claim and passes on to the next one.
#[derive(Default)]
struct Behind {
    waiting: VecDeque<Waiting>,
    publications: VecDeque<Publication>,
}

fn say_queued(start: &StartRun, position: usize) {
    let notice =
        Server::Notice(Notice::RunQueued { thread: start.key.thread().as_str(), run: start.run.as_str(), position });
    start.reply.send_control(&Frame::text(notice.to_json().as_bytes()));
}

/// The answer to a run that is over: nobody has to wait for its events, which were told.
fn say_ended(start: &StartRun, orders: &Orders) {
    let notice = Server::Notice(Notice::RunEnded { thread: start.key.thread().as_str(), run: start.run.as_str() });
    tell_askers(start, orders, &Frame::text(notice.to_json().as_bytes()));
}

fn tell_askers(start: &StartRun, orders: &Orders, frame: &Frame) {
    start.reply.send_control(frame);
    for asker in orders.askers().iter().filter(|asker| !Arc::ptr_eq(asker, &start.reply)) {
        asker.send_control(frame);
    }
}

fn refuse_busy(start: &StartRun, orders: &Orders) {
    refuse(start, orders, ErrorCode::Busy);
}

fn refuse(start: &StartRun, orders: &Orders, code: ErrorCode) {
    refuse_saying(start, orders, code, code.row().sentence);
}

/// Tells everybody who asked for this run.
fn refuse_saying(start: &StartRun, orders: &Orders, code: ErrorCode, message: &str) {
    let row = code.row();
    let error = Server::Error {
        code: row.word,
        message,
        thread: Some(start.key.thread().as_str()),
        run: Some(start.run.as_str()),
        reference: None,
        retry_in: row.retry_in.map(millis),
    };
    tell_askers(start, orders, &Frame::text(error.to_json().as_bytes()));
}
