//! Drives the gates: lock, one input, drain the outputs into non-blocking sends, unlock.
//!
//! ```text
//!  ws, run --Input--> [shard: Mutex<Gate + links>] --Output--> line     (hello, ping, notice, close)
//!                        ^            |            \--------> Effects  (attach, detach; then events, unlocked)
//!  reaper thread --------'            '--- deadline ---> reaper thread
//! ```
//!
//! Gates are sharded by user. There is no await between check and take, and no second owner of a count: see the
//! contract in [`lychgate_core`].

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lychgate_core::lease::Wish;
use lychgate_core::{
    AdmissionPath, ConnectionId, End, Entropy, Event, EvictReason, Feed, Gate, Heartbeat, Input, Ledger, NodeBreakers,
    PingOutcome, PlanId, Plans, Proof, Resume, RunId, SessionContext, SessionKey, Sign, ThreadId, Time, Until, Usage,
    UserId, WriteProgress, ZombieKind,
};

use crate::sink::Line;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Instant, Mutex, MutexGuard, RandomState};

mod bounds;
mod burial;
mod census;
mod decisions;
mod drain;
mod loopback;
mod news;
mod operate;
mod overload;
mod reaper;
mod vigil;
mod wall;

#[cfg(test)]
#[cfg(feature = "shuttle")]
mod schedules;
#[cfg(test)]
mod tests;

pub use bounds::{ConnectionBounds, network};
pub use decisions::{Decisions, Memory};
pub use news::Counted;
pub use operate::Place;
pub use overload::{Overload, Shed, come_back_after, jittered};
pub use reaper::{Lag, Reaper, Report};
pub use vigil::{Trouble, Vigil};

/// Shards per node: enough that two cores seldom meet on one lock.
const SHARDS: usize = if cfg!(all(test, feature = "shuttle")) { 2 } else { 64 };

/// What an admitted open brings to the session.
#[derive(Debug)]
pub struct Admitted {
    /// All ids of the open.
    pub context: SessionContext,
    /// The client's name for it.
    pub reference: Option<Box<str>>,
    /// Where the client left off.
    pub resume: Option<Resume>,
    /// How it was admitted.
    pub path: AdmissionPath,
    /// The user's sessions against his limit.
    pub usage: Usage,
    /// Where to send to.
    pub line: Arc<dyn Line>,
    /// What counts as life on this connection.
    pub heartbeat: Heartbeat,
}

/// What the driver causes outside of sockets. Assembly wires it to sessions, logs and metrics.
pub trait Effects: Send + Sync + 'static {
    /// A connection is attached to a session. Called under the shard's lock: must not block, must not call back.
    fn attach(&self, admitted: Admitted);

    /// A connection is attached to a session no longer. Called under the shard's lock, as [`Effects::attach`].
    fn detach(&self, key: &SessionKey, connection: ConnectionId);

    /// A ping was written, or had to wait, or failed. Called under the shard's lock, as [`Effects::attach`].
    fn pinged(&self, _outcome: PingOutcome) {}

    /// Something is wanted of other nodes, by a driver that counts with them; what becomes of it comes back by
    /// [`Driver::news`]. Called under the shard's lock, as [`Effects::attach`].
    fn wish(&self, _wish: Wish) {}

    /// Something happened. Called without any lock, so it may write a log line.
    fn event(&self, event: &Event);
}

/// What the driver tells clients at `hello`.
#[derive(Clone, Copy, Debug)]
pub struct Greeting {
    /// Between two pings.
    pub ping_interval: Duration,
    /// Unacknowledged events per connection and thread.
    pub window: u64,
}

/// A socket that proved who it is.
#[derive(Debug)]
pub struct Arrival {
    /// The verified user.
    pub user: UserId,
    /// Its id.
    pub connection: ConnectionId,
    /// The connection that it replaces.
    pub prev: Option<ConnectionId>,
    /// What counts as life on it.
    pub heartbeat: Heartbeat,
    /// Until its token expires; past for one that is over and still tolerated, whose grace runs already.
    pub expires_in: Option<Until>,
    /// The plan that its token names; one that is not configured is none.
    pub plan: Option<Box<str>>,
    /// What let it in, so that it is found when that is revoked.
    pub proof: Proof,
    /// Where it came from; bounds how many one address may hold.
    pub address: IpAddr,
    /// Where to send to.
    pub line: Arc<dyn Line>,
}

/// What the driver knows of a connection beside the gate's record.
struct Link {
    line: Arc<dyn Line>,
    /// What lets it be here by now, in the order that leaves no gap in the record.
    proof_id: u64,
    /// What let it in. Were it a login, its end closes the connection, whatever tokens were brought since.
    first_id: u64,
    issued: u32,
    heartbeat: Heartbeat,
}

impl Link {
    fn new(line: Arc<dyn Line>, heartbeat: Heartbeat, proof: Proof) -> Self {
        let mut link = Self { line, proof_id: 0, first_id: proof.id, issued: 0, heartbeat };
        link.renew(proof);
        link
    }

    fn renew(&mut self, Proof { id, issued }: Proof) {
        self.proof_id = id;
        // What is issued after the year 2106 counts as issued before it, which revokes rather too much than too little.
        self.issued = u32::try_from(issued).unwrap_or(0);
    }

    /// What it is found by when that is taken away for this reason. A token that was replaced counts no more, and must
    /// close nothing; a login is not replaced by a token.
    fn proofs(&self, reason: EvictReason) -> impl Iterator<Item = Proof> {
        let first = (reason == EvictReason::LoggedOut).then_some(self.first_id);
        let issued = self.issued.into();
        [Some(self.proof_id), first].into_iter().flatten().map(move |id| Proof { id, issued })
    }
}

struct Shard {
    gate: Gate,
    links: HashMap<ConnectionId, Link>,
    /// What was decided about its users; written under the same lock, so that it is in the order of the decisions.
    ledger: Ledger,
    /// Every moment of a stall is credited once.
    credited_until: Time,
    /// Connections that were called dead and whose tasks have not ended: nobody, most of the time.
    buried: Vec<(ConnectionId, ZombieKind)>,
    /// Verdicts that turned out to be wrong, until somebody tells them.
    disproved: Vec<Event>,
}

impl Shard {
    fn new(gate: Gate, ledger: Ledger) -> Self {
        Self {
            gate,
            links: HashMap::new(),
            ledger,
            credited_until: Time::ZERO,
            buried: Vec::new(),
            disproved: Vec::new(),
        }
    }

    /// A token that names a plan which is not configured says nothing about limits: those of everybody hold, because a
    /// mistake between two systems must not lock a user out. Asked under the lock: plans may be replaced.
    fn plan(&self, name: Option<&str>) -> PlanId {
        name.and_then(|name| self.gate.plan(name)).unwrap_or_default()
    }
}

/// Owns the gates.
pub struct Driver {
    shards: Box<[Mutex<Shard>]>,
    /// For the gateway itself, when it tries out whether it can deliver. It is among nobody's, so that whatever counts,
    /// lists or tells of users finds nothing of it.
    own: Mutex<Shard>,
    /// Everybody's decisions. Locked within a shard's lock, for as long as one is written.
    feed: Mutex<Feed>,
    /// The number of the newest one, for whoever waits.
    heard: AtomicU64,
    /// Names this life of the node in the cursors of its feed.
    epoch: u64,
    hasher: RandomState,
    origin: Instant,
    wall: wall::Wall,
    sequence: AtomicU64,
    greeting: Greeting,
    effects: Arc<dyn Effects>,
    bounds: bounds::Addresses,
    breakers: Arc<NodeBreakers>,
    /// More than every connection of the node being somebody's last: nobody can be sent away for a newcomer.
    full: Overload,
    shed: Shed,
    /// The runtime runs late.
    late: Overload,
    alarm: reaper::Alarm,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl Driver {
    /// Empty gates. Start its [`Reaper`] too: without it no deadline passes.
    #[must_use]
    pub fn new(
        plans: impl Into<Plans>,
        bounds: ConnectionBounds,
        greeting: Greeting,
        effects: Arc<dyn Effects>,
    ) -> Arc<Self> {
        Self::remembering(plans, bounds, greeting, effects, Memory::default(), Counted::ByThisNode)
    }

    /// The same, which remembers so much of its decisions, and counts sessions so.
    #[must_use]
    pub fn remembering(
        plans: impl Into<Plans>,
        bounds: ConnectionBounds,
        greeting: Greeting,
        effects: Arc<dyn Effects>,
        memory: Memory,
        counted: Counted,
    ) -> Arc<Self> {
        let plans = plans.into();
        let hasher = RandomState::new();
        let breakers = Arc::<NodeBreakers>::default();
        let shard = |n: usize| {
            let gate = Gate::of_node(plans.clone(), hasher.hash_one(n), Arc::clone(&breakers));
            let gate = gate.counting(counted.in_shard(n));
            let ledger = Ledger::new(memory.ledger_bytes / SHARDS, hasher.hash_one((n, "ledger")));
            Mutex::new(Shard::new(gate, ledger))
        };
        // Breakers of its own: what becomes of a trial must not open or close those of users.
        let own = Gate::of_node(plans.clone(), hasher.hash_one("own"), Arc::default());
        Arc::new(Self {
            shards: (0..SHARDS).map(shard).collect(),
            own: Mutex::new(Shard::new(own, Ledger::new(0, 0))),
            feed: Mutex::new(Feed::new(memory.feed_bytes)),
            heard: AtomicU64::new(0),
            epoch: random_bits() as u64,
            hasher,
            origin: Instant::now(),
            wall: wall::Wall::default(),
            sequence: AtomicU64::new(0),
            greeting,
            effects,
            bounds: bounds::Addresses::new(bounds),
            breakers,
            full: Overload::default(),
            shed: Shed::default(),
            late: Overload::default(),
            alarm: reaper::Alarm::default(),
        })
    }

    /// Registers a connection; `hello`, or the refusal, is on its way when this returns. The connection leaves the
    /// count when the returned registration is dropped, however that comes about.
    #[must_use = "dropping the registration disconnects"]
    pub fn connect(self: &Arc<Self>, arrival: Arrival) -> Registration {
        let Arrival { user, connection, prev, heartbeat, expires_in, plan, proof, address, line } = arrival;
        let registration = Registration {
            driver: Arc::clone(self),
            user: user.clone(),
            connection,
            address,
            heartbeat,
            end: End::Lost,
        };
        let expires = expires_in.map(|until| self.now() + until);
        self.with_shard(&user, |shard| {
            shard.links.insert(connection, Link::new(line, heartbeat, proof));
            let plan = shard.plan(plan.as_deref());
            Some(Input::Connect { user: user.clone(), connection, prev, heartbeat, expires, plan })
        });
        self.bound_address(address, &user, connection);
        self.bound_node(&user, connection);
        registration
    }

    /// Runs that a user may have in flight.
    #[must_use]
    pub fn max_runs(&self, user: &UserId) -> usize {
        self.shard(user).gate.limits(user).max_runs_per_user
    }

    /// Random numbers for one context.
    #[must_use]
    pub fn entropy(&self) -> Entropy {
        Entropy { sequence: self.sequence.fetch_add(1, Ordering::Relaxed), random: random_bits() }
    }

    /// A run began.
    pub fn run_started(&self, key: &SessionKey, run: &RunId) {
        self.input(key.user(), Input::RunStarted { key: key.clone(), run: run.clone() });
    }

    /// A run ended.
    pub fn run_ended(&self, key: &SessionKey, run: &RunId) {
        self.input(key.user(), Input::RunEnded { key: key.clone(), run: run.clone() });
    }

    /// The user's sessions against his limit, recounted.
    #[must_use]
    pub fn usage(&self, user: &UserId) -> Usage {
        self.shard(user).gate.usage(user)
    }

    /// Sessions that the user holds on this node.
    #[must_use]
    pub fn sessions_of(&self, user: &UserId) -> Vec<SessionKey> {
        self.shard(user).gate.session_keys(user)
    }

    /// Now, on the clock that decisions are told by.
    #[must_use]
    pub fn clock(&self) -> Time {
        self.now()
    }

    /// What time it is for the gates.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn shard_of(&self, user: &UserId) -> &Mutex<Shard> {
        if user.is_gateway() {
            return &self.own;
        }
        let place = self.hasher.hash_one(user) as usize % self.shards.len();
        &self.shards[place]
    }

    fn shard(&self, user: &UserId) -> MutexGuard<'_, Shard> {
        lock(self.shard_of(user))
    }

    fn input(&self, user: &UserId, input: Input) {
        self.with_shard(user, |_| Some(input));
    }

    fn with_shard(&self, user: &UserId, prepare: impl FnOnce(&mut Shard) -> Option<Input>) -> Vec<Event> {
        self.change(self.shard_of(user), prepare)
    }

    /// A gate takes an input, or (none) lets time pass.
    fn change(&self, shard: &Mutex<Shard>, prepare: impl FnOnce(&mut Shard) -> Option<Input>) -> Vec<Event> {
        self.act(shard, |shard, now| match prepare(shard) {
            Some(input) => shard.gate.handle_input(now, input),
            None => shard.gate.handle_timeout(now),
        })
    }

    /// Looks over a few users of every shard, the next ones each time, and repairs what cannot be: bounded work, so
    /// that a broken record is found in the end and costs nobody his slot: four places a second and shard.
    fn audit(&self) {
        for shard in &self.shards {
            self.act(shard, |shard, now| {
                let Shard { gate, links, .. } = shard;
                gate.audit(now, 1, |connection| links.contains_key(&connection));
            });
        }
    }

    /// The one place where a gate changes: lock, act, drain, unlock, tell; answers what happened.
    fn act(&self, shard: &Mutex<Shard>, act: impl FnOnce(&mut Shard, Time)) -> Vec<Event> {
        let is_own = std::ptr::eq(shard, &raw const self.own);
        let (events, deadline) = {
            let mut shard = lock(shard);
            let now = self.now();
            self.credit_overslept(&mut shard, now);
            act(&mut shard, now);
            let events = self.drain_outputs(&mut shard, now);
            if is_own {
                // A trial is over before any deadline, and nobody is told of it.
                return events;
            }
            events.iter().for_each(|event| self.note(&mut shard, now, event));
            (events, shard.gate.poll_timeout())
        };
        if let Some(deadline) = deadline {
            self.alarm.not_after(deadline);
        }
        for event in &events {
            self.effects.event(event);
        }
        events
    }
}

/// A gate's state is changed by one function that upholds its invariants step by step; after a panic in it, going on
/// serves the other users of the shard better than poisoning them all.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 128 bits from the operating system.
///
/// # Panics
/// When the operating system has no randomness: no id would be safe.
#[must_use]
pub fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    u128::from_ne_bytes(bytes)
}

/// A connection in the count; dropping it takes it out, on every path (hazard R3).
#[derive(Debug)]
pub struct Registration {
    driver: Arc<Driver>,
    user: UserId,
    connection: ConnectionId,
    address: IpAddr,
    heartbeat: Heartbeat,
    end: End,
}

impl Registration {
    /// Whose connection it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Its id.
    #[must_use]
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// What counts as life on it.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat
    }

    /// Asks for a session.
    pub fn open(&self, context: SessionContext, reference: Option<Box<str>>, resume: Option<Resume>) {
        self.input(Input::Open { context, reference, resume });
    }

    /// Lets a session go.
    pub fn leave(&self, thread: ThreadId) {
        self.input(Input::Leave { user: self.user.clone(), connection: self.connection, thread });
    }

    /// The peer spoke.
    pub fn heard(&self, sign: Sign) {
        let (user, connection) = (self.user.clone(), self.connection);
        self.driver.with_shard(&self.user, |shard| {
            shard.on_words(&user, connection, self.heartbeat, sign);
            Some(Input::Heard { user, connection, sign })
        });
    }

    /// A person used the session: a run was sent or stopped.
    pub fn used(&self, key: SessionKey) {
        self.input(Input::Used { key });
    }

    /// A ping that had to wait behind other bytes was written.
    pub fn ping_written(&self) {
        let (user, connection, outcome) = (self.user.clone(), self.connection, PingOutcome::Written);
        self.driver.with_shard(&self.user, |shard| {
            let backlog = shard.links.get(&connection)?.line.backlog();
            Some(Input::PingResult { user, connection, outcome, backlog })
        });
    }

    /// The kernel takes no more, or took some, or all.
    pub fn backlog(&self, progress: WriteProgress) {
        self.input(Input::Backlog { user: self.user.clone(), connection: self.connection, progress });
    }

    /// The client brought a new token, with its plan.
    pub fn renew(&self, expires_in: Option<Until>, plan: Option<&str>, proof: Proof) {
        let expires = expires_in.map(|until| self.driver.now() + until);
        let (user, connection) = (self.user.clone(), self.connection);
        self.driver.with_shard(&self.user, |shard| {
            shard.links.get_mut(&connection)?.renew(proof);
            let plan = shard.plan(plan);
            Some(Input::Renew { user, connection, expires, plan })
        });
    }

    /// Says how the socket ended; without it, the end counts as lost.
    pub fn ended(&mut self, end: End) {
        self.end = end;
    }

    fn input(&self, input: Input) {
        self.driver.input(&self.user, input);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.driver.bounds.remove(self.address, self.connection);
        let (user, connection, end) = (self.user.clone(), self.connection, self.end);
        self.driver.with_shard(&self.user, |shard| {
            shard.links.remove(&connection);
            shard.buried.retain(|(buried, _)| *buried != connection);
            Some(Input::Disconnect { user, connection, end })
        });
    }
}
